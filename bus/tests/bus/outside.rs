//! Servers that someone else runs: with our account in their configuration, too small, or too old.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cox_bus::server::{accounts, find};
use cox_bus::{Bus, Connect, ConnectError, Credentials, Identity, Secret};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::Instant;

use crate::harness::{LONG, until, within};

/// A nats-server that is not ours.
struct Outside {
    process: Child,
    url: String,
}

impl Outside {
    /// Starts one with these lines in its configuration.
    fn start(dir: &Path, lines: &str) -> Outside {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let conf = dir.join("nats.conf");
        let store = dir.display();
        let text = format!("host: 127.0.0.1\nport: {port}\njetstream: {{store_dir: \"{store}\"}}\n{lines}\n");
        std::fs::write(&conf, text).unwrap();
        let mut command = Command::new(find(None).unwrap().path);
        let process = command.arg("-c").arg(&conf).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Outside { process, url: format!("nats://127.0.0.1:{port}") }
    }

    /// Connects once the server is there.
    async fn connect(&self, identity: Identity, password: &str) -> Result<Bus, ConnectError> {
        let mut result = None;
        until("the server is there", async || {
            let connected = Bus::connect(login(&self.url, identity.clone(), password)).await;
            let there = !matches!(connected, Err(ConnectError::Unreachable { .. }));
            result = Some(connected);
            there
        })
        .await;
        result.unwrap()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn login(url: &str, identity: Identity, password: &str) -> Connect {
    let secret = Secret::Password { user: identity.to_string(), password: password.to_owned() };
    let credentials = Credentials { secret, sealing: None };
    Connect { url: url.to_owned(), credentials, identity, cluster: "test".into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_account_works_in_another_servers_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let users: Vec<_> = [Identity::Apiserver, Identity::Scheduler, Identity::Node("n.1".into())]
        .map(|i| (i.clone(), json!({"user": i.to_string(), "password": "correct"})))
        .into();
    let accounts = accounts("test", &users);
    let server = Outside::start(dir.path(), &format!("max_payload: 4194304\naccounts: {accounts}"));
    let scheduler = within(server.connect(Identity::Scheduler, "correct")).await.unwrap();
    let node = within(server.connect(Identity::Node("n.1".into()), "correct")).await.unwrap();
    assert_eq!((scheduler.max_payload(), node.max_payload()), (4 << 20, 4 << 20));
    let apiserver = within(server.connect(Identity::Apiserver, "correct")).await.unwrap();
    let mut serving = apiserver.serve_api().await.unwrap();
    let deadline = Instant::now() + LONG;
    let answering = async {
        match serving.next().await {
            Some(cox_bus::Incoming::Head { from, lease: false, reply }) => {
                assert_eq!(from, Identity::Scheduler);
                let position = cox_objects::Position { epoch: cox_objects::Epoch(1), revision: 2 };
                reply.answer(&cox_bus::Head { position, lease: false }).await;
            }
            other => panic!("{other:?}"),
        }
    };
    let (head, ()) = within(async { tokio::join!(scheduler.head(deadline), answering) }).await;
    assert_eq!(head.unwrap().revision, 2);
    let error = within(server.connect(Identity::Scheduler, "wrong")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_small_payload_limit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Outside::start(dir.path(), "max_payload: 1048576");
    let error = within(server.connect(Identity::Ops, "any")).await.unwrap_err();
    assert!(error.to_string().contains("limits messages to 1048576 bytes: set max_payload"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_server_is_refused_by_its_version() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let old = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let info = json!({"server_id": "X", "server_name": "x", "version": "2.9.10", "go": "go1", "host": "127.0.0.1",
                          "port": 1, "headers": true, "max_payload": 8 << 20, "proto": 1, "client_id": 1});
        stream.write_all(format!("INFO {info}\r\n").as_bytes()).await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with("PING") {
                write.write_all(b"PONG\r\n").await.unwrap();
            }
        }
    });
    let error = within(Bus::connect(login(&url, Identity::Ops, "any"))).await.unwrap_err();
    assert!(error.to_string().contains("is version 2.9.10: 2.10 or newer is needed"), "{error}");
    old.abort();
}
