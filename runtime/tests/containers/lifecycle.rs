//! What containers see and how they end.

use std::fs;
use std::time::{Duration, Instant};

use cox_runtime::{
    ContainerSpec, ContainerState, ExecOutcome, ExitReason, HostNamespaces, Mount, MountSource, Propagation, Resources,
    Runtime, SandboxSpec, SeccompProfile, Security, UserSpec,
};

use crate::world::{DEADLINE, World, eventually, shell};

fn code(state: &ContainerState) -> i32 {
    match state {
        ContainerState::Exited { exit_code, .. } => *exit_code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_what_it_was_given() {
    let world = World::new().await;
    let sandbox = world.ready("web-1").await;
    let given = world.folder.path().join("given");
    fs::create_dir(&given).unwrap();
    fs::write(given.join("f"), "from the host\n").unwrap();
    let bind = |target: &str, read_only| Mount {
        target: target.into(),
        source: MountSource::Bind {
            path: given.clone(),
            propagation: Propagation::Private,
            recursive_read_only: false,
        },
        read_only,
    };
    let script = "hostname; id -u; id -g; echo $FROM $MORE; cat /ro/f; echo x > /ro/g || echo refused; \
                  echo to the host > /rw/out; ip -o -4 addr show eth0 | grep -o '10\\.251\\.[0-9.]*' ; echo err >&2; exit 3";
    let spec = ContainerSpec {
        user: UserSpec { uid: Some(33), ..UserSpec::default() },
        env: vec![("MORE".into(), "own".into())],
        mounts: vec![bind("/ro", true), bind("/rw", false)],
        security: Security {
            seccomp: SeccompProfile::RuntimeDefault,
            no_new_privileges: true,
            read_only_rootfs: true,
            ..Security::default()
        },
        ..shell(&sandbox, script)
    };
    fs::set_permissions(&given, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let id = world.create_container(spec).await.unwrap();
    world.start_container(&id).await.unwrap();
    let state = world.exit(&id).await;
    assert_eq!(code(&state), 3);
    assert!(matches!(state, ContainerState::Exited { reason: ExitReason::Ended, signal: None, .. }));
    let log = world.log(&id).await;
    let address = world.sandbox_address("web-1").await;
    let expect = [
        "stdout F web-1",
        "stdout F 33",
        "stdout F 34",
        "stdout F image own",
        "stdout F from the host",
        "stdout F refused",
        "stderr F err",
    ];
    for line in expect {
        assert!(log.contains(&format!(" {line}\n")), "{line:?} is not in\n{log}");
    }
    assert!(log.contains(&format!("stdout F {address}\n")), "{address} is not in\n{log}");
    assert_eq!(fs::read_to_string(given.join("out")).unwrap(), "to the host\n");
    let status = world.container_status(&id).await.unwrap().unwrap();
    assert_eq!((status.user.uid, status.user.gid, status.user.supplemental_groups), (33, 34, vec![34, 44]));
    world.end().await;
}

impl World {
    async fn sandbox_address(&self, id: &str) -> String {
        let id = cox_runtime::SandboxId(id.to_owned());
        self.sandbox(&id).await.unwrap().unwrap().addresses[0].to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_beyond_its_memory_is_killed_and_that_is_said() {
    let world = World::new().await;
    let sandbox = world.ready("oom").await;
    let spec = ContainerSpec {
        resources: Resources { memory_limit: Some(16 << 20), ..Resources::default() },
        ..shell(&sandbox, "dd if=/dev/zero of=/dev/null bs=200M count=1; sleep 0.1; exit 5")
    };
    let id = world.create_container(spec).await.unwrap();
    world.start_container(&id).await.unwrap();
    let state = world.exit(&id).await;
    assert!(matches!(state, ContainerState::Exited { reason: ExitReason::OomKilled, .. }), "{state:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grace_is_given_and_ends() {
    let world = World::new().await;
    let sandbox = world.ready("grace").await;
    let id = world.run(&sandbox, "trap 'echo asked' TERM; echo up; while :; do sleep 0.1; done").await;
    let path = world.container_status(&id).await.unwrap().unwrap().log_path;
    eventually("it is up", || fs::read_to_string(&path).unwrap_or_default().contains("up")).await;
    let start = Instant::now();
    world.stop_container(&id, Duration::from_millis(600)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(600));
    assert_eq!(code(&world.state(&id).await), 137);
    assert!(world.log(&id).await.contains("asked"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_a_sandbox_may_share_their_processes() {
    let world = World::new().await;
    let spec = SandboxSpec { shared_pid: true, ..world.sandbox_spec("shared") };
    let sandbox = world.create_sandbox(spec).await.unwrap().spec.id;
    let one = world.run(&sandbox, "sleep 333 & exec sleep 444").await;
    let two = ContainerSpec { name: "two".into(), log_path: "two/0.log".into(), ..shell(&sandbox, "exec sleep 555") };
    let two = world.create_container(two).await.unwrap();
    world.start_container(&two).await.unwrap();
    let list = ["ps", "-o", "pid,args"].map(str::to_owned);
    let seen = world.exec_sync(&two, &list, DEADLINE).await.unwrap();
    let seen = String::from_utf8(seen.output).unwrap();
    for process in ["sleep 333", "sleep 444", "sleep 555"] {
        assert!(seen.contains(process), "{process} is not in\n{seen}");
    }
    let root = ["ls", "/proc/1/root/"].map(str::to_owned);
    let outside = world.exec_sync(&two, &root, DEADLINE).await.unwrap();
    assert!(!String::from_utf8_lossy(&outside.output).contains("usr"), "the host shows through process 1");
    // The end of the first takes what it left behind, and leaves the other alone.
    world.stop_container(&one, Duration::ZERO).await.unwrap();
    let seen = world.exec_sync(&two, &list, DEADLINE).await.unwrap();
    let seen = String::from_utf8(seen.output).unwrap();
    assert!(!seen.contains("sleep 333") && seen.contains("sleep 555"), "{seen}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_end_in_time_and_say_how() {
    let world = World::new().await;
    let sandbox = world.ready("probe").await;
    let id = world.run(&sandbox, "sleep 1000").await;
    let run = async |script: &str, limit| world.exec_sync(&id, &["sh", "-c", script].map(str::to_owned), limit).await;
    let out = run("echo a; echo b >&2; exit 7", DEADLINE).await.unwrap();
    assert_eq!((out.outcome, out.output.as_slice()), (ExecOutcome::Exited(7), &b"a\nb\n"[..]));
    let start = Instant::now();
    let out = run("echo begun; sleep 77", Duration::from_millis(300)).await.unwrap();
    assert_eq!((out.outcome, out.output.as_slice()), (ExecOutcome::TimedOut, &b"begun\n"[..]));
    assert!(start.elapsed() < Duration::from_secs(5));
    let nothing = world.exec_sync(&id, &["nope".to_owned()], DEADLINE).await.unwrap_err();
    assert!(nothing.to_string().ends_with("exec: \"nope\": executable file not found in $PATH"), "{nothing}");
    let big = run("dd if=/dev/zero bs=1k count=100 2>/dev/null", DEADLINE).await.unwrap();
    assert_eq!(big.output.len(), 16 * 1024);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_namespaces_and_all_privileges_on_request() {
    let world = World::new().await;
    let host = HostNamespaces { network: true, pid: true, ipc: true };
    let spec = SandboxSpec { host, ..world.sandbox_spec("host") };
    let made = world.create_sandbox(spec).await.unwrap();
    assert_eq!((made.addresses.len(), made.netns), (0, None));
    let tmpfs = Mount {
        target: "/scratch".into(),
        source: MountSource::Tmpfs { size: Some(1 << 20), mode: 0o1777 },
        read_only: false,
    };
    // Process 1 of the host is not ours; a file beyond the tmpfs's size does not fit.
    let script = "hostname; [ $$ -gt 1 ] && echo shared; grep CapEff /proc/self/status; \
                  dd if=/dev/zero of=/scratch/f bs=1k count=2000 2>/dev/null || echo full";
    let spec = ContainerSpec {
        mounts: vec![tmpfs],
        security: Security { privileged: true, ..Security::default() },
        ..shell(&made.spec.id, script)
    };
    let id = world.create_container(spec).await.unwrap();
    world.start_container(&id).await.unwrap();
    assert_eq!(code(&world.exit(&id).await), 0);
    let log = world.log(&id).await;
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let bounding = own.lines().find_map(|l| l.strip_prefix("CapBnd:")).unwrap().trim();
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for text in [name.trim(), "shared", bounding, "full"] {
        assert!(log.contains(text), "{text:?} is not in\n{log}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_started_has_an_empty_log() {
    let world = World::new().await;
    let sandbox = world.ready("silent").await;
    let bad = ContainerSpec { command: vec!["/no/such".to_owned()], ..shell(&sandbox, "") };
    let id = world.create_container(bad).await.unwrap();
    world.start_container(&id).await.unwrap_err();
    let path = world.container_status(&id).await.unwrap().unwrap().log_path;
    assert_eq!(fs::read_to_string(path).unwrap(), "");
    world.end().await;
}
