//! Exec, attach, port forwarding, logs that are followed.

use std::time::Duration;

use cox_runtime::logs::{LogOptions, LogReader};
use cox_runtime::{
    AttachOptions, ContainerSpec, ExecOptions, ExecOutcome, Runtime, SandboxError, Session, Stdio, TerminalSize,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::world::{DEADLINE, World, shell};

fn exec(script: &str) -> ExecOptions {
    ExecOptions {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        stdin: true,
        stdout: true,
        stderr: true,
        ..ExecOptions::default()
    }
}

/// Reads until the text has come.
async fn until(session: &mut Session, text: &str) -> String {
    let stdout = session.stdout.as_mut().unwrap();
    let mut seen = String::new();
    let mut chunk = [0; 1024];
    while !seen.contains(text) {
        let n = timeout(DEADLINE, stdout.read(&mut chunk)).await.unwrap_or_else(|_| panic!("only {seen:?}")).unwrap();
        assert!(n > 0, "the end after {seen:?}");
        seen += &String::from_utf8_lossy(&chunk[..n]);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_has_streams_and_an_end() {
    let world = World::new().await;
    let sandbox = world.ready("exec").await;
    let id = world.run(&sandbox, "sleep 1000").await;
    let mut session = world.exec(&id, exec("cat; echo bad >&2; exit 9")).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    let text = vec![b'x'; 300_000];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (session.stdout.take().unwrap(), session.stderr.take().unwrap());
    let write = async {
        stdin.write_all(&text).await.unwrap();
        drop(stdin);
    };
    let all = async { tokio::join!(write, stdout.read_to_end(&mut out), stderr.read_to_end(&mut err)) };
    let ((), read_out, read_err) = timeout(DEADLINE, all).await.unwrap();
    assert_eq!((read_out.unwrap(), read_err.unwrap()), (300_000, 4));
    assert_eq!((out.len(), err.as_slice()), (300_000, &b"bad\n"[..]));
    assert_eq!(session.outcome.await.unwrap(), ExecOutcome::Exited(9));

    // A session that is dropped ends its command.
    let session = world.exec(&id, exec("exec sleep 4321")).await.unwrap();
    let runs = ["sh", "-c", "ps -o args | grep -c '^sleep 4321'"].map(str::to_owned);
    while world.exec_sync(&id, &runs, DEADLINE).await.unwrap().output != b"1\n" {}
    drop(session);
    timeout(DEADLINE, async { while world.exec_sync(&id, &runs, DEADLINE).await.unwrap().output != b"0\n" {} })
        .await
        .unwrap();

    let slow = ExecOptions { timeout: Some(Duration::from_millis(200)), ..exec("sleep 99") };
    let session = world.exec(&id, slow).await.unwrap();
    assert_eq!(timeout(DEADLINE, session.outcome).await.unwrap().unwrap(), ExecOutcome::TimedOut);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_with_a_terminal() {
    let world = World::new().await;
    let sandbox = world.ready("tty").await;
    let id = world.run(&sandbox, "sleep 1000").await;
    let size = Some(TerminalSize { width: 100, height: 40 });
    let sized = |size| format!("until [ \"$(stty size)\" = '{size}' ]; do :; done; echo is {size}");
    let script = format!("{}; {}; read x; echo got $x; exit 4", sized("40 100"), sized("33 77"));
    let options = ExecOptions { tty: true, size, ..exec(&script) };
    let mut session = world.exec(&id, options).await.unwrap();
    assert!(session.stderr.is_none());
    until(&mut session, "is 40 100").await;
    session.resize.as_ref().unwrap().send(TerminalSize { width: 77, height: 33 }).await.unwrap();
    until(&mut session, "is 33 77").await;
    session.stdin.as_mut().unwrap().write_all(b"it\n").await.unwrap();
    until(&mut session, "got it").await;
    assert_eq!(timeout(DEADLINE, session.outcome).await.unwrap().unwrap(), ExecOutcome::Exited(4));
    let missing = ExecOptions { command: vec!["nope".into()], tty: true, stdout: true, ..ExecOptions::default() };
    let refused = match world.exec(&id, missing).await {
        Err(e) => e,
        Ok(session) => session.outcome.await.unwrap_err(),
    };
    assert!(refused.to_string().contains("not found in $PATH"), "{refused}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attach_joins_the_containers_own_streams() {
    let world = World::new().await;
    let sandbox = world.ready("attach").await;
    let stdio = Stdio { stdin: true, stdin_once: true, tty: false };
    let spec = ContainerSpec { stdio, ..shell(&sandbox, "while read x; do echo got $x; done; echo end; exit 6") };
    let id = world.create_container(spec).await.unwrap();
    world.start_container(&id).await.unwrap();
    let both = AttachOptions { stdin: true, stdout: true, stderr: true };
    let mut session = world.attach(&id, both).await.unwrap();
    let mut watcher = world.attach(&id, AttachOptions { stdin: false, ..both }).await.unwrap();
    session.stdin.as_mut().unwrap().write_all(b"one\n").await.unwrap();
    until(&mut session, "got one").await;
    until(&mut watcher, "got one").await;
    session.stdin.take().unwrap().shutdown().await.unwrap();
    until(&mut watcher, "end").await;
    assert_eq!(timeout(DEADLINE, session.outcome).await.unwrap().unwrap(), ExecOutcome::Exited(6));
    assert_eq!(timeout(DEADLINE, watcher.outcome).await.unwrap().unwrap(), ExecOutcome::Exited(6));
    assert!(world.log(&id).await.contains("stdout F got one\n"));

    let tty = Stdio { tty: true, stdin: true, stdin_once: false };
    let script = "read x; echo got $x; read y; stty size; read z";
    let spec = ContainerSpec { stdio: tty, attempt: 1, log_path: "c/1.log".into(), ..shell(&sandbox, script) };
    let id = world.create_container(spec).await.unwrap();
    world.start_container(&id).await.unwrap();
    let mut session = world.attach(&id, both).await.unwrap();
    assert!(session.stderr.is_none());
    session.stdin.as_mut().unwrap().write_all(b"two\n").await.unwrap();
    until(&mut session, "got two").await;
    session.resize.as_ref().unwrap().send(TerminalSize { width: 66, height: 22 }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    session.stdin.as_mut().unwrap().write_all(b"\n").await.unwrap();
    until(&mut session, "22 66").await;

    let silent = ContainerSpec { attempt: 2, log_path: "c/2.log".into(), ..shell(&sandbox, "sleep 1000") };
    let id = world.create_container(silent).await.unwrap();
    world.start_container(&id).await.unwrap();
    assert!(world.attach(&id, both).await.unwrap_err().to_string().contains("no standard input"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_the_loopback_address_are_reached() {
    let world = World::new().await;
    let sandbox = world.ready("forward").await;
    let refused = world.port_forward(&sandbox, 7070).await.err().unwrap();
    assert!(matches!(refused, SandboxError::Connect { .. }), "{refused}");
    world.run(&sandbox, "while :; do nc -l -p 7070 -e cat; done").await;
    let connected = async {
        loop {
            if let Ok(stream) = world.port_forward(&sandbox, 7070).await {
                return stream;
            }
        }
    };
    let mut stream = timeout(DEADLINE, connected).await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"ping");
    drop(stream);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_over_rotation_to_its_end() {
    let mut world = World::new().await;
    world.config.max_log_bytes = 20_000;
    world.config.max_log_files = 50;
    world.reopen().await;
    let sandbox = world.ready("logs").await;
    let spec = shell(&sandbox, "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done");
    let id = world.create_container(spec).await.unwrap();
    let path = world.container_status(&id).await.unwrap().unwrap().log_path;
    let stop = CancellationToken::new();
    let options = LogOptions { follow: Some(stop.clone()), ..LogOptions::default() };
    let mut reader = LogReader::open(&path, options).unwrap();
    let reading = tokio::spawn(async move {
        let mut lines = Vec::new();
        while let Some(entry) = reader.next().await.unwrap() {
            lines.push(String::from_utf8(entry.content).unwrap());
        }
        lines
    });
    world.start_container(&id).await.unwrap();
    world.exit(&id).await;
    stop.cancel();
    let lines = timeout(DEADLINE, reading).await.unwrap().unwrap();
    let expected: Vec<String> = (0..2000).map(|i| format!("line {i}")).collect();
    assert_eq!(lines, expected);
    assert!(!cox_runtime::logs::rotated(&path).unwrap().is_empty(), "it was rotated");
    world.end().await;
}
