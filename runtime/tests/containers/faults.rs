//! The programs that a pod's start needs fail or hang, before or after they have done their work: what was done is undone, and counted.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cox_runtime::{Config, ContainerError, ContainerState, NetworkDriver, Runtime, RuntimeChoice, SandboxError};

use crate::world::{World, eventually, shell};

/// A program that hangs is killed after this time.
const PATIENCE: Duration = Duration::from_secs(3);

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// The program does nothing and says that it failed.
    Fails,
    /// It does nothing, and does not end.
    Hangs,
    /// It does its work and says that it failed.
    FailsAfter,
    /// It does its work and does not end.
    HangsAfter,
}

const MODES: [Mode; 4] = [Mode::Fails, Mode::Hangs, Mode::FailsAfter, Mode::HangsAfter];

/// Puts a program in the place of another: as long as there is a file beside it that names a verb, it goes wrong at that verb.
fn put(fake: &Path, real: &Path, verb: &str) {
    let (real, file) = (real.display(), fake.with_extension("fault"));
    let text = format!(
        r#"#!/bin/sh
verb="{verb}"
fault=$(cat {file} 2>/dev/null)
if [ -n "$fault" ]; then
  case " $verb " in *" ${{fault%:*}} "*)
    case ${{fault#*:}} in
      Fails) echo broken >&2; exit 1;;
      Hangs) tail -f {file}; exit 1;;
      FailsAfter) {real} "$@" >/dev/null; echo broken >&2; exit 1;;
      HangsAfter) {real} "$@" >/dev/null; tail -f {file}; exit 1;;
    esac
  esac
fi
exec {real} "$@"
"#,
        file = file.display()
    );
    fs::write(fake, text).unwrap();
    fs::set_permissions(fake, fs::Permissions::from_mode(0o755)).unwrap();
}

fn set(fake: &Path, verb: &str, mode: Mode) {
    fs::write(fake.with_extension("fault"), format!("{verb}:{mode:?}")).unwrap();
}

fn clear(fake: &Path) {
    fs::remove_file(fake.with_extension("fault")).unwrap();
}

fn installed(name: &str, folders: &[&str]) -> PathBuf {
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists()).unwrap()
}

/// Everything on the machine that belongs to this world, apart from its bridge and what the runtime keeps while nothing runs.
fn traces(world: &World) -> BTreeSet<String> {
    let (here, bridge) = (world.folder.path().to_str().unwrap(), world.config.network.bridge.as_str());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut traces: BTreeSet<String> =
        mounts.lines().filter(|line| line.contains(here)).map(|line| format!("mount {line}")).collect();
    let ports = Path::new("/sys/class/net").join(bridge).join("brif");
    traces.extend(names(&ports).into_iter().map(|name| format!("cable {name}")));
    let addresses = names(&world.config.run_dir.join("addresses").join(bridge));
    let is_address = |name: &String| name.parse::<std::net::Ipv4Addr>().is_ok();
    traces.extend(addresses.into_iter().filter(is_address).map(|name| format!("address {name}")));
    for folder in ["sandboxes", "containers", "oci"] {
        traces.extend(names(&world.config.run_dir.join(folder)).into_iter().map(|name| format!("{folder} {name}")));
    }
    for hierarchy in ["memory", "pids", "cpu", ""] {
        let root = Path::new("/sys/fs/cgroup").join(hierarchy).join(&world.config.cgroup_root);
        for class in names(&root).into_iter().filter(|class| class == "burstable") {
            traces.extend(
                names(&root.join(class))
                    .into_iter()
                    .filter(|n| n.starts_with('f'))
                    .map(|n| format!("cgroup {hierarchy} {n}")),
            );
        }
    }
    let fakes = match &world.config.runtime {
        RuntimeChoice::Program(fake) => fake.clone(),
        RuntimeChoice::Auto => world.config.network.plugin_dirs[0].display().to_string(),
    };
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if [&marker(world), &fakes].iter().any(|text| line.contains(*text))
            || line.contains(" run ") && line.contains(here)
        {
            traces.insert(format!("process {line}"));
        }
    }
    traces
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// A command line by which the processes of this world's containers are known.
fn marker(world: &World) -> String {
    format!("sleep 86{}", world.config.network.subnet.addr().octets()[2])
}

async fn nothing_is_left(world: &World, after: &str) {
    eventually(&format!("after {after} nothing is left"), || traces(world).is_empty()).await;
}

/// The settings of a world whose OCI runtime can be made to go wrong; the fake is in `place`.
fn faulty_runtime(place: &Path) -> impl FnOnce(&mut Config) + use<> {
    let fake = place.join("crun");
    put(&fake, &installed("crun", &["/usr/bin", "/usr/local/bin"]), "$*");
    move |config| {
        config.runtime = RuntimeChoice::Program(fake.display().to_string());
        config.patience = PATIENCE;
    }
}

/// The settings of a world whose network plugins can be made to go wrong; the fakes are in `place`.
fn faulty_plugins(place: &Path) -> impl FnOnce(&mut Config) + use<> {
    for name in ["bridge", "host-local"] {
        put(&place.join(name), &installed(name, &["/usr/lib/cni", "/opt/cni/bin"]), "$CNI_COMMAND");
    }
    let plugins = place.to_owned();
    move |config| {
        config.network.driver = NetworkDriver::Cni;
        config.network.plugin_dirs = vec![plugins];
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oci_runtime_that_goes_wrong_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let world = World::with(faulty_runtime(place.path())).await;
    let fake = place.path().join("crun");
    for (number, mode) in MODES.into_iter().enumerate() {
        let sandbox = world.ready(&format!("f{number}")).await;
        let before = traces(&world);
        let id = world.create_container(shell(&sandbox, &format!("exec {}", marker(&world)))).await.unwrap();
        set(&fake, "run", mode);
        let error = world.start_container(&id).await.unwrap_err();
        clear(&fake);
        match (mode, &error) {
            (Mode::Fails | Mode::FailsAfter, ContainerError::Start { reason }) => assert!(reason.contains("broken")),
            (Mode::Hangs | Mode::HangsAfter, ContainerError::Runtime { reason, .. }) => {
                assert!(reason.contains("did not end within 3 s and was killed"), "{reason}");
                // It can be tried again at once, and then it runs.
                world.start_container(&id).await.unwrap();
                assert!(matches!(world.state(&id).await, ContainerState::Running { .. }));
            }
            other => panic!("{other:?}"),
        }
        world.remove_container(&id).await.unwrap();
        eventually(&format!("after {mode:?} there is only the sandbox"), || traces(&world) == before).await;
        world.remove_sandbox(&sandbox).await.unwrap();
        nothing_is_left(&world, &format!("{mode:?} of run")).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oci_runtime_that_hangs_at_the_end_holds_nothing_up_for_ever() {
    let place = tempfile::tempdir().unwrap();
    let world = World::with(faulty_runtime(place.path())).await;
    let fake = place.path().join("crun");
    let sandbox = world.ready("f0").await;
    let id = world.run(&sandbox, &format!("exec {}", marker(&world))).await;
    set(&fake, "delete", Mode::Hangs);
    world.stop_container(&id, Duration::ZERO).await.unwrap();
    assert!(matches!(world.state(&id).await, ContainerState::Exited { exit_code: 137, .. }));
    let error = world.remove_container(&id).await.unwrap_err();
    assert!(error.to_string().contains("delete"), "{error}");
    clear(&fake);
    world.remove_sandbox(&sandbox).await.unwrap();
    nothing_is_left(&world, "a delete that hung").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn network_plugins_that_go_wrong_leave_nothing() {
    let place = tempfile::tempdir().unwrap();
    let faulty = faulty_plugins(place.path());
    let world = World::with(|config| {
        faulty(config);
        config.patience = PATIENCE;
    })
    .await;
    for plugin in ["bridge", "host-local"] {
        let fake = place.path().join(plugin);
        for mode in MODES {
            set(&fake, "ADD", mode);
            let error = world.create_sandbox(world.sandbox_spec("f")).await.unwrap_err();
            let SandboxError::Network { reason, .. } = &error else { panic!("{error:?}") };
            let hung = matches!(mode, Mode::Hangs | Mode::HangsAfter);
            assert!(!hung || reason.contains("was killed"), "{plugin} {mode:?}: {reason}");
            assert_eq!(world.list_sandboxes().await.unwrap(), []);
            clear(&fake);
            nothing_is_left(&world, &format!("{mode:?} of {plugin}")).await;
            // And now it can be made.
            let sandbox = world.ready("f").await;
            set(&fake, "DEL", mode);
            let stopped = world.stop_sandbox(&sandbox).await;
            clear(&fake);
            assert!(stopped.is_err(), "{plugin} {mode:?}");
            world.remove_sandbox(&sandbox).await.unwrap();
            nothing_is_left(&world, &format!("{mode:?} of {plugin} at the end")).await;
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_at_once_is_undone_later() {
    let place = tempfile::tempdir().unwrap();
    let world = World::with(faulty_plugins(place.path())).await;
    // The address is taken, what comes after it fails, and so does the way back.
    let (bridge, addresses) = (place.path().join("bridge"), place.path().join("host-local"));
    set(&addresses, "DEL", Mode::Fails);
    set(&bridge, "ADD", Mode::FailsAfter);
    world.create_sandbox(world.sandbox_spec("f")).await.unwrap_err();
    assert!(traces(&world).iter().any(|trace| trace.starts_with("address")), "{:?}", traces(&world));
    clear(&addresses);
    clear(&bridge);
    nothing_is_left(&world, "a sandbox that could not be undone").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_none_and_a_subnet_that_is_full_leave_nothing() {
    let world = World::with(|config| config.network.subnet = "10.251.255.0/30".parse().unwrap()).await;
    let only = world.ready("f0").await;
    let before = traces(&world);
    let error = world.create_sandbox(world.sandbox_spec("f1")).await.unwrap_err();
    assert!(error.to_string().contains("every address of 10.251.255.0/30 is in use"), "{error}");
    assert_eq!(traces(&world), before);
    world.remove_sandbox(&only).await.unwrap();
    nothing_is_left(&world, "a full subnet").await;
    world.end().await;

    let world = World::new().await;
    let (name, other) = (world.config.network.bridge.clone(), format!("x{}", &world.config.network.bridge[1..]));
    let ip = |arguments: &[&str]| {
        let done = std::process::Command::new("ip").args(arguments).output().unwrap();
        assert!(done.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    ip(&["link", "add", &name, "type", "veth", "peer", "name", &other]);
    assert!(world.create_sandbox(world.sandbox_spec("f")).await.is_err());
    nothing_is_left(&world, "a bridge that is none").await;
    ip(&["link", "delete", &name]);
    let sandbox = world.ready("f").await;
    world.remove_sandbox(&sandbox).await.unwrap();
    world.end().await;
}
