//! SIGKILL while many write: nothing acknowledged is lost, and no half of a transaction is there.
//!
//! The test runs itself again as the process that is killed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "support/log.rs"]
mod support;

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cox_log::CommitError;
use support::{asked, check_invariants, key, open, put, request, value};

const DIR: &str = "COX_LOG_TEST_DIR";
const ROUND: &str = "COX_LOG_TEST_ROUND";
const ROUNDS: u64 = 12;
const WRITERS: u64 = 8;

/// The process that is killed: each writer says what was acknowledged.
#[test]
#[ignore = "started by killed_writers_lose_nothing"]
fn writes_until_killed() {
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let log = open(Path::new(&std::env::var(DIR).unwrap()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let log = log.clone();
            runtime.spawn(async move {
                for n in 0.. {
                    let id = (round << 32) | (writer << 24) | n;
                    let text = format!("{id}-{}", "x".repeat(700));
                    let changes = ["a", "b", "c"].map(|part| put(&format!("{part}{writer}"), &text)).into();
                    let committed = log.commit(asked(id, changes)).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {id} {}", committed.first).unwrap();
                    out.flush().unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        runtime.block_on(writer).unwrap();
    }
}

/// Starts the writers, kills them after a while, and returns what was acknowledged: id and first revision.
fn round(dir: &Path, round: u64) -> Vec<(u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_until_killed", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    // The acknowledged writes themselves are the clock that matters; each round is another moment of it.
    let enough = 5 + (round * 37) % 150;
    // Each write waits for the disk, which others may use, too.
    let deadline = Instant::now() + Duration::from_secs(180);
    let mut killed = false;
    while let Some(Ok(line)) = lines.next() {
        if let Some((id, first)) = line.rsplit_once("ack ").and_then(|(_, rest)| rest.split_once(' ')) {
            acknowledged.push((id.parse().unwrap(), first.parse().unwrap()));
        }
        assert!(Instant::now() < deadline, "the writers are stuck");
        if !killed && acknowledged.len() as u64 >= enough {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the writers ended by themselves: {acknowledged:?}");
    acknowledged
}

#[test]
fn killed_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for number in 0..ROUNDS {
        all.extend(round(dir.path(), number));
        let log = open(dir.path());
        check_invariants(&log);
        for (id, first) in &all {
            let event = log.event(*first).unwrap().expect("an acknowledged event");
            assert!(value(&event.object).starts_with(&format!("{id}-")), "revision {first} is what was acknowledged");
            assert_eq!(event.transaction, (*first, first + 2));
            assert_eq!(log.outcome(request(*id)).unwrap().expect("an outcome").first, *first);
        }
        for writer in 0..WRITERS {
            let [a, b, c] =
                ["a", "b", "c"].map(|part| log.get(&key(&format!("{part}{writer}"))).unwrap().map(|o| value(&o)));
            assert!(a == b && b == c, "all of a transaction or nothing");
        }
    }
    assert!(all.len() > 5 * ROUNDS as usize);
}

/// The process whose disk is full: its files may not grow beyond a limit, which it lifts later.
#[test]
#[ignore = "started by a_full_disk_stops_writes_and_nothing_else"]
fn writes_until_full() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let dir = std::env::var(DIR).unwrap();
    let options = cox_log::Options { reserve: 0, ..cox_log::Options::default() };
    let log = cox_log::Log::open(Path::new(&dir), options, Box::new(support::Any)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let text = "x".repeat(20_000);
        let write = |id: u64| log.commit(asked(id, vec![put("a", &format!("{id}-{text}"))]));
        let mut done = 0;
        let failed = loop {
            match write(done + 1).await {
                Ok(_) => done += 1,
                Err(error) => break error,
            }
            assert!(done < 1000, "the limit does not hold");
        };
        assert!(matches!(failed, CommitError::Unknown | CommitError::NotWritable(_)), "{failed}");
        assert!(log.writable().borrow().is_err());
        let read = value(&log.get(&key("a")).unwrap().expect("reads go on"));
        assert!(read.starts_with(&format!("{done}-")));
        assert!(matches!(write(done + 2).await, Err(CommitError::NotWritable(_))), "surely not done");
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
        let mut writable = log.writable();
        let recovered = tokio::time::timeout(Duration::from_secs(30), writable.wait_for(Result::is_ok)).await;
        recovered.expect("the log recovers by itself").unwrap();
        // What was in doubt is settled by its id: done before, or done now, but once.
        let settled = write(done + 1).await;
        assert!(matches!(settled, Ok(_) | Err(CommitError::Repeated(_))), "{settled:?}");
        write(done + 3).await.unwrap();
        check_invariants(&log);
        assert_eq!(log.head(), done + 2);
        println!("recovered after {done}");
    });
}

#[test]
fn a_full_disk_stops_writes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -S -f 1024; exec "$0" --exact writes_until_full --ignored --nocapture"#])
        .arg(std::env::current_exe().unwrap())
        .env(DIR, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("recovered after"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    check_invariants(&open(dir.path()));
}
