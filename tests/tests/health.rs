//! Health endpoints name the part that is not well, and why to those who may know; `cox status` tells the same.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cox_tests::Cluster;
use cox_tests::faults::Door;
use cox_tests::wait::{Look, until_async};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// What an endpoint says, and its code.
async fn ask(door: &Door, path: &str) -> (u16, String) {
    let answer = door.ask("GET", path, "", Value::Null).await;
    (answer.code, answer.body.as_str().map_or_else(|| answer.body.to_string(), str::to_owned))
}

/// How old what the gateway's mirror shows is at most, in seconds, as `/metrics` has it.
async fn mirror_lag(door: &Door) -> Result<u64> {
    let (_, metrics) = ask(door, "/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix("cox_mirror_lag_seconds "));
    Ok(line.with_context(|| metrics.clone())?.parse()?)
}

/// A process that is stopped, until the end of the test at the latest.
struct Stopped(Pid);

impl Stopped {
    fn stop(pid: i32) -> Result<Self> {
        kill(Pid::from_raw(pid), Signal::SIGSTOP)?;
        Ok(Stopped(Pid::from_raw(pid)))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_hangs_is_named() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    let door = Door::open(&cluster).await?;
    assert_eq!(ask(&door, "/readyz").await, (200, "ok".to_owned()));
    let (_, well) = ask(&door, "/readyz?verbose").await;
    for part in ["ping", "log-store", "publisher", "bus", "mirror", "poststarthook/rbac/bootstrap-roles"] {
        ensure!(well.contains(&format!("[+]{part} ok\n")), "{well}");
    }
    ensure!(well.ends_with("readyz check passed\n"), "{well}");
    let (_, all) = ask(&door, "/healthz?verbose").await;
    for component in ["controllers", "scheduler"] {
        ensure!(all.contains(&format!("[+]{component} ok\n")), "{all}");
    }
    ensure!(cluster.cox(&["status"]).is_ok());

    let stopped = Stopped::stop(cluster.nats_pid()?)?;
    until_async("the bus is named", PATIENCE, || async {
        let (code, said) = ask(&door, "/readyz").await;
        let named = said.lines().any(|line| line.starts_with("[-]bus failed: ") && !line.ends_with("withheld"));
        Ok(Look::at(code == 500 && named && said.ends_with("readyz check failed\n"), || said))
    })
    .await?;
    let (code, why) = ask(&door, "/readyz/bus").await;
    ensure!(code == 500 && why.starts_with("internal server error: "), "{why}");
    assert_eq!(ask(&door, "/readyz/ping").await, (200, "ok".to_owned()));
    ensure!(cluster.cox(&["status"]).is_err(), "cox status says so, too");
    let (code, _) = ask(&door, "/api/v1/namespaces/default?resourceVersion=0").await;
    assert_eq!(code, 200, "what the mirror has is read all the same");
    until_async("the mirror is known to be old", PATIENCE, || async {
        let lag = mirror_lag(&door).await?;
        Ok(Look::at(lag >= 2, || format!("{lag} s")))
    })
    .await?;
    drop(stopped);
    until_async("all is well again", PATIENCE, || async {
        let (code, said) = ask(&door, "/healthz?verbose").await;
        Ok(Look::at(code == 200, || said))
    })
    .await?;
    ensure!(cluster.cox(&["status"]).is_ok());
    until_async("the mirror is new again", PATIENCE, || async {
        let lag = mirror_lag(&door).await?;
        Ok(Look::at(lag == 0, || format!("{lag} s")))
    })
    .await
}
