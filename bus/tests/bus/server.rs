//! The server's own life: restarted when it dies, on its port, gone with us, private.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use cox_bus::server::{NatsServer, ServerConfig, ServerError, credentials_path};
use cox_bus::{Bus, Connect, ConnectError, Credentials, Identity, Secret};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Cluster, config, until, within};

fn is_alive(pid: i32) -> bool {
    // A zombie has no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_comes_back_on_its_port_when_it_dies_and_is_gone_when_stopped() {
    let cluster = Cluster::start().await;
    let bus = cluster.bus(Identity::Gateway).await;
    let old = cluster.kill().unwrap();
    until("it runs again", async || cluster.server.pid().is_some_and(|pid| pid != old)).await;
    within(bus.state().wait_for(|s| s.up && s.generation == 2)).await.unwrap();

    let (pid, url) = (cluster.server.pid().unwrap(), cluster.server.url());
    within(cluster.server.stop()).await;
    assert!(!is_alive(pid));
    let again = NatsServer::start(config(cluster.dir.path())).await.unwrap();
    assert_eq!(again.url(), url, "its port is kept");
    within(again.stop()).await;
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_files_are_private_and_credentials_work_from_their_files() {
    let cluster = Cluster::start().await;
    let dir = cluster.dir.path().join("bus");
    for file in files(&dir) {
        let own = file.extension().is_none_or(|e| e != "log");
        assert!(!own || mode(&file) == 0o600, "{} is {:o}", file.display(), mode(&file));
    }
    assert_eq!((mode(&dir), mode(&cluster.dir.path().join("nats"))), (0o700, 0o700));

    let file = credentials_path(cluster.dir.path(), &Identity::Node("n2".into()));
    let connect = Connect::from_file(&file, None).unwrap();
    assert!(connect.credentials.sealing.is_none(), "a node has no key to Secrets");
    within(Bus::connect(connect)).await.unwrap();
    let gateway = Connect::from_file(&cluster.server.credentials_file(&Identity::Gateway), None).unwrap();
    assert!(gateway.credentials.sealing.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_integrator_is_let_in_and_shown_out_while_others_stay_connected() {
    let cluster = Cluster::start().await;
    let (bus, door) = (cluster.bus(Identity::Scheduler).await, cluster.server.door());
    let file = within(door.admit("shop")).await.unwrap();
    assert_eq!(mode(&file), 0o600);
    let connect = Connect::from_file(&file, None).unwrap();
    assert_eq!(connect.identity, Identity::Integrator("shop".into()));
    let program = within(Bus::connect(connect.clone())).await.unwrap();
    assert_eq!(within(door.admit("shop")).await.unwrap(), file, "once more is the same");
    let again = Connect::from_file(&file, None).unwrap();
    assert!(
        matches!((&again.credentials.secret, &connect.credentials.secret), (Secret::NKey(a), Secret::NKey(b)) if a == b)
    );

    // Also of a server that was started again.
    let before = program.state().borrow().generation;
    cluster.kill();
    until("it is back", async || program.state().borrow().generation > before).await;
    within(Bus::connect(connect.clone())).await.unwrap();

    let scheduler = bus.state().borrow().generation;
    within(door.dismiss("shop")).await.unwrap();
    until("it is out", async || matches!(Bus::connect(connect.clone()).await, Err(ConnectError::Refused { .. }))).await;
    assert!(!file.exists());
    assert_eq!(bus.state().borrow().generation, scheduler, "nobody else was disturbed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_and_a_missing_server_are_said_clearly() {
    let cluster = Cluster::start().await;
    let mut connect = cluster.server.connect(&Identity::Scheduler).unwrap();
    let stranger = nkeys::KeyPair::new_user().seed().unwrap();
    connect.credentials = Credentials { secret: Secret::NKey(stranger), sealing: None };
    let error = within(Bus::connect(connect)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");

    let mut posing = cluster.server.connect(&Identity::Scheduler).unwrap();
    posing.identity = Identity::Gateway;
    let error = within(Bus::connect(posing)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Inbox { .. }), "another's inbox is closed: {error}");

    let mut nowhere = cluster.server.connect(&Identity::Scheduler).unwrap();
    nowhere.url = "nats://127.0.0.1:1".into();
    let error = within(Bus::connect(nowhere)).await.unwrap_err();
    assert!(error.to_string().contains("no NATS server answers at nats://127.0.0.1:1"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named() {
    let cluster = Cluster::start().await;
    let port: u16 = cluster.server.url().rsplit(':').next().unwrap().parse().unwrap();
    within(cluster.server.stop()).await;
    let _other = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let error = NatsServer::start(config(cluster.dir.path())).await.err().unwrap();
    assert!(matches!(error, ServerError::PortTaken { port: p, .. } if p == port), "{error}");
}

/// The ports that a process listens on.
fn listens(pid: i32) -> Vec<u16> {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let files: Vec<String> =
        links.filter_map(|link| Some(std::fs::read_link(link.path()).ok()?.to_string_lossy().into_owned())).collect();
    let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let listening = lines.filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (place, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let ours = *state == "0A" && files.contains(&format!("socket:[{inode}]"));
        ours.then(|| u16::from_str_radix(place.rsplit(':').next()?, 16).ok()).flatten()
    });
    listening.collect()
}

/// No monitoring, no leaf nodes, no clusters: whoever can reach this machine finds one port, and that asks for credentials.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_listens_on_its_own_port_only() {
    let cluster = Cluster::start().await;
    let port: u16 = cluster.server.url().rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(listens(cluster.server.pid().unwrap()), [port]);
}

const HELPER: &str = "COX_BUS_TEST_SERVER_DIR";

/// Not a test: run by the one below in a process of its own.
#[test]
#[ignore = "a helper process"]
fn helper_that_owns_a_server() {
    let Some(dir) = std::env::var_os(HELPER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = ServerConfig { nodes: vec![], ..config(Path::new(&dir)) };
        let server = NatsServer::start(config).await.unwrap();
        println!("\nserver {}", server.pid().unwrap());
        std::future::pending::<()>().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_dies_with_an_owner_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "server::helper_that_owns_a_server", "--ignored", "--nocapture"])
        .env(HELPER, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let pid = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("server ")?.parse::<i32>().ok());
    let pid = pid.expect("the helper says which process its server is");
    assert!(is_alive(pid));
    kill(Pid::from_raw(owner.id().cast_signed()), Signal::SIGKILL).unwrap();
    owner.wait().unwrap();
    until("the server is gone", async || !is_alive(pid)).await;
    // And the next owner finds all as it was left.
    within(NatsServer::start(config(dir.path())).await.unwrap().stop()).await;
}
