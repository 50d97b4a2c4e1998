//! Crashes: of the runtime, of a monitor, in the middle of a creation.

use std::fs;
use std::time::Duration;

use cox_runtime::{ContainerState, ExecOutcome, ExitReason, OciRuntime, OpenError, Runtime, SandboxSpec, SandboxState};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::MONITOR;
use crate::world::{DEADLINE, World, eventually, shell};

/// The process ids of this container's monitors.
fn monitors(id: &str) -> Vec<i32> {
    let is_monitor = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|c| c.contains(id) && c.contains(MONITOR))
    };
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(is_monitor).collect()
}

/// Whether this process may make others, and itself, less likely to be killed for memory: `CAP_SYS_RESOURCE`.
fn may_be_spared() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(capabilities.trim(), 16).unwrap() >> 24 & 1 == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_everything_is_found_and_nothing_started_twice() {
    let mut world = World::new().await;
    let sandbox = world.ready("kept").await;
    let before = world.list_sandboxes().await.unwrap();
    let id = world.run(&sandbox, "echo once; while ! [ -f /tmp/go ]; do sleep 0.05; done; exit 8").await;
    let prepared = cox_runtime::ContainerSpec { attempt: 1, ..shell(&sandbox, "true") };
    let prepared = world.create_container(prepared).await.unwrap();
    let state = world.state(&id).await;
    let in_use = OciRuntime::open(world.config.clone()).await.unwrap_err();
    assert!(matches!(in_use, OpenError::InUse { .. }));

    world.reopen().await;
    assert_eq!(world.list_sandboxes().await.unwrap(), before);
    assert_eq!(world.state(&id).await, state);
    assert_eq!(world.state(&prepared).await, ContainerState::Created);
    world.start_container(&id).await.unwrap();
    let [monitor] = monitors(&id.0)[..] else { panic!("{:?}", monitors(&id.0)) };
    let of = |what: &str| fs::read_to_string(format!("/proc/{monitor}/{what}")).unwrap();
    let cgroup = format!("/{}/monitors", world.config.cgroup_root.trim_matches('/'));
    eventually("the monitor has a cgroup beside its container's", || of("cgroup").contains(&cgroup)).await;
    if may_be_spared() {
        assert_eq!(of("oom_score_adj").trim(), "-998", "it is not what the kernel kills for memory");
    }
    assert_eq!(world.log(&id).await.matches("once").count(), 1);
    let go = ["sh", "-c", "echo > /tmp/go"].map(str::to_owned);
    assert_eq!(world.exec_sync(&id, &go, DEADLINE).await.unwrap().outcome, ExecOutcome::Exited(0));
    assert!(matches!(world.exit(&id).await, ContainerState::Exited { exit_code: 8, .. }));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_while_nobody_looked_is_told_afterwards() {
    let mut world = World::new().await;
    let sandbox = world.ready("unseen").await;
    let id = world.run(&sandbox, "sleep 0.3; exit 12").await;
    let folder = world.config.run_dir.join("containers").join(&id.0);
    world.close_for(|| eventually("it has ended", || folder.join("exit.json").exists())).await;
    let ContainerState::Exited { exit_code: 12, started_at, finished_at, .. } = world.state(&id).await else {
        panic!("{:?}", world.state(&id).await)
    };
    // It is said to have started when the OCI runtime has returned, a little after its process began.
    assert!(finished_at - started_at >= 150_000_000);
    world.end().await;
}

impl World {
    /// Does something while no runtime is open.
    async fn close_for<F: Future<Output = ()>>(&mut self, work: impl FnOnce() -> F) {
        let runtime = self.take_runtime();
        runtime.close().await;
        work().await;
        self.open_again().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_monitor_is_noticed_and_the_end_of_its_container_too() {
    let world = World::new().await;
    let sandbox = world.ready("orphan").await;
    let id = world.run(&sandbox, "sleep 1000").await;
    let ContainerState::Running { pid, started_at: began } = world.state(&id).await else { panic!("it does not run") };
    kill(Pid::from_raw(monitors(&id.0)[0]), Signal::SIGKILL).unwrap();
    eventually("the monitor is gone", || monitors(&id.0).is_empty()).await;
    // It still runs, and is not said to have ended.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(matches!(world.state(&id).await, ContainerState::Running { .. }));
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let state = world.exit(&id).await;
    assert!(
        matches!(state, ContainerState::Exited { exit_code: 137, reason: ExitReason::Unknown, started_at, .. } if started_at == began),
        "{state:?}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_was_cut_off_is_undone() {
    let mut world = World::new().await;
    let sandbox = world.ready("whole").await;
    let id = world.run(&sandbox, "sleep 1000").await;
    let address = world.list_sandboxes().await.unwrap()[0].addresses[0];
    world.stop_container(&id, Duration::ZERO).await.unwrap();
    // As if we had been killed just before the last step of each.
    let run = world.config.run_dir.clone();
    let (c, s) = (run.join("containers").join(&id.0), run.join("sandboxes/whole"));
    world
        .close_for(|| async {
            fs::remove_file(c.join("container.json")).unwrap();
            fs::remove_file(s.join("sandbox.json")).unwrap();
        })
        .await;
    assert_eq!(world.list_sandboxes().await.unwrap(), []);
    assert_eq!(world.list_containers(None).await.unwrap(), []);
    assert!(!c.exists() && !s.exists());
    assert!(!run.join("addresses").join(&world.config.network.bridge).join(address.to_string()).exists());
    world.ready("whole").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_cannot_be_made_leaves_nothing() {
    let world = World::new().await;
    let good = world.sandbox_spec("half");
    // Each of these fails at another step: the parameters, the host name, the cgroup.
    let parameter = SandboxSpec { sysctls: [("net.no.such".to_owned(), "1".to_owned())].into(), ..good.clone() };
    assert!(world.create_sandbox(parameter).await.is_err());
    let name = SandboxSpec { hostname: "x".repeat(100), ..good.clone() };
    assert!(world.create_sandbox(name).await.is_err());
    let mut bounded = good.clone();
    bounded.resources.memory_limit = Some(-5);
    assert!(world.create_sandbox(bounded).await.is_err());
    assert!(fs::read_dir(world.config.run_dir.join("sandboxes")).unwrap().next().is_none());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(world.folder.path().to_str().unwrap()), "{mounts}");
    let made = world.create_sandbox(good).await.unwrap();
    assert_eq!(made.state, SandboxState::Ready);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reboot_nothing_is_left() {
    let mut world = World::new().await;
    let sandbox = world.ready("old").await;
    world.remove_sandbox(&sandbox).await.unwrap();
    let run = world.config.run_dir.clone();
    world
        .close_for(|| async {
            // What a machine that lost power would show.
            fs::create_dir_all(run.join("containers/dead/upper")).unwrap();
            fs::create_dir_all(run.join("addresses/x")).unwrap();
            fs::write(run.join("boot-id"), "another").unwrap();
        })
        .await;
    assert!(!run.join("containers/dead").exists() && !run.join("addresses/x").exists());
    assert_eq!(world.list_containers(None).await.unwrap(), []);
    world.end().await;
}
