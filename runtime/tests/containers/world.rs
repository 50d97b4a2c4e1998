//! A runtime of its own for a test, and what a test asks of it again and again.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cox_runtime::{
    Config, ContainerId, ContainerSpec, ContainerState, HostNamespaces, NetworkConfig, OciRuntime, Resources, Runtime,
    RuntimeChoice, SandboxId, SandboxSpec, Security, Stdio, UserSpec,
};

use crate::{MONITOR, image};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A folder, a bridge, a subnet, and the runtime that has them.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: Config,
    runtime: Option<OciRuntime>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// One with other settings than the usual ones.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Tests of one program run side by side, and so may programs.
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = (std::process::id() * 16 + n) % 250;
        let subnet = format!("10.251.{place}.0/24").parse().unwrap();
        let bridge = format!("cxt{}-{n}", std::process::id() % 1_000_000);
        let network = NetworkConfig::new(&bridge, subnet, "10.251.0.0/16".parse().unwrap());
        let mut config = Config::new(folder.path(), &bridge, network).unwrap();
        config.monitor_args = vec![MONITOR.to_owned()];
        // The whole suite against another OCI runtime, for example runc.
        if let Ok(program) = std::env::var("COX_TEST_RUNTIME") {
            config.runtime = RuntimeChoice::Program(program);
        }
        change(&mut config);
        let mut world = Self { folder, config, runtime: None };
        world.open().await;
        let archive = world.folder.path().join("box.tar");
        image::write(&archive);
        let loaded = world.load_images(&archive).await.unwrap();
        assert_eq!(loaded[0].repo_tags, [image::NAME]);
        world
    }

    /// Lets the runtime go, as when its process is killed, and opens it anew.
    pub(crate) async fn reopen(&mut self) {
        self.runtime.take().unwrap().close().await;
        self.open().await;
    }

    pub(crate) fn take_runtime(&mut self) -> OciRuntime {
        self.runtime.take().unwrap()
    }

    pub(crate) async fn open_again(&mut self) {
        self.open().await;
    }

    async fn open(&mut self) {
        self.runtime = Some(OciRuntime::open(self.config.clone()).await.unwrap());
    }

    /// Takes all down and checks that nothing is left.
    pub(crate) async fn end(mut self) {
        self.down().await.unwrap();
        self.runtime.take().unwrap().close().await;
        let here = self.folder.path().to_str().unwrap().to_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&here), "mounts are left: {mounts}");
        let bridge = &self.config.network.bridge;
        assert!(!PathBuf::from("/sys/class/net").join(bridge).exists(), "the bridge is left");
        let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
        let tables = String::from_utf8_lossy(&tables.stdout).into_owned();
        assert!(!tables.contains(&format!(" {bridge}-")), "a table is left: {tables}");
        eventually("no monitor is left", || {
            let is_ours = |e: fs::DirEntry| {
                fs::read_to_string(e.path().join("cmdline")).is_ok_and(|c| c.contains(&here) && c.contains(MONITOR))
            };
            !fs::read_dir("/proc").unwrap().flatten().any(is_ours)
        })
        .await;
        for cgroup in ["memory", "pids", "cpu", "systemd", ""] {
            let left = PathBuf::from("/sys/fs/cgroup").join(cgroup).join(&self.config.cgroup_root);
            assert!(!left.exists(), "{} is left", left.display());
        }
        assert!(fs::read_dir(self.config.run_dir.join("containers")).unwrap().next().is_none());
        assert!(fs::read_dir(self.config.run_dir.join("sandboxes")).unwrap().next().is_none());
    }

    pub(crate) fn sandbox_spec(&self, id: &str) -> SandboxSpec {
        sandbox_spec(id, self.folder.path().join("logs").join(id))
    }

    /// A ready sandbox.
    pub(crate) async fn ready(&self, id: &str) -> SandboxId {
        self.create_sandbox(self.sandbox_spec(id)).await.unwrap().spec.id
    }

    /// A container that runs a shell script.
    pub(crate) async fn run(&self, sandbox: &SandboxId, script: &str) -> ContainerId {
        let spec = shell(sandbox, script);
        let id = self.create_container(spec).await.unwrap();
        self.start_container(&id).await.unwrap();
        id
    }

    pub(crate) async fn state(&self, id: &ContainerId) -> ContainerState {
        self.container_status(id).await.unwrap().unwrap().info.state
    }

    /// The state once it is exited.
    pub(crate) async fn exit(&self, id: &ContainerId) -> ContainerState {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let mut events = self.events();
            let state = self.state(id).await;
            if matches!(state, ContainerState::Exited { .. }) {
                return state;
            }
            assert!(Instant::now() < deadline, "container {id} still is {state:?}");
            // An event for another container, or none for a while: look again.
            let _ = tokio::time::timeout(Duration::from_secs(1), events.recv()).await;
        }
    }

    pub(crate) async fn log(&self, id: &ContainerId) -> String {
        let path = self.container_status(id).await.unwrap().unwrap().log_path;
        fs::read_to_string(path).unwrap_or_default()
    }
}

impl std::ops::Deref for World {
    type Target = OciRuntime;

    fn deref(&self) -> &OciRuntime {
        self.runtime.as_ref().unwrap()
    }
}

impl Drop for World {
    /// A failed test tidies up as well as it can.
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(runtime) = self.runtime.take()
        {
            let _ = std::thread::spawn(move || {
                let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                if let Err(e) = rt.block_on(runtime.down()) {
                    eprintln!("tidying up: {e}");
                }
            })
            .join();
        }
    }
}

pub(crate) fn sandbox_spec(id: &str, log_directory: PathBuf) -> SandboxSpec {
    SandboxSpec {
        id: SandboxId(id.to_owned()),
        labels: BTreeMap::from([("name".to_owned(), id.to_owned())]),
        hostname: id.to_owned(),
        host: HostNamespaces::default(),
        shared_pid: false,
        ports: Vec::new(),
        sysctls: BTreeMap::new(),
        cgroup_parent: format!("burstable/{id}"),
        resources: Resources::default(),
        log_directory,
    }
}

pub(crate) fn shell(sandbox: &SandboxId, script: &str) -> ContainerSpec {
    ContainerSpec {
        sandbox: sandbox.clone(),
        target: None,
        name: "c".to_owned(),
        attempt: 0,
        labels: BTreeMap::new(),
        image: image::NAME.to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        args: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        user: UserSpec::default(),
        mounts: Vec::new(),
        devices: Vec::new(),
        security: Security::default(),
        resources: Resources::default(),
        stdio: Stdio::default(),
        log_path: "c/0.log".into(),
        stop_signal: None,
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
