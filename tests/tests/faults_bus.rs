//! Faults of the bus, end to end: nats-server is killed, stopped, and gone for a while under sixteen writers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cox_tests::Cluster;
use cox_tests::faults::{self, Run};
use cox_tests::wait::{Look, until_async};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const WRITERS: usize = 16;
/// How long the writers may take to get on.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many writes are acknowledged between two faults.
const BETWEEN: u64 = 60;
/// How often it is looked whether the server is back, so that it is away.
const WATCH: Duration = Duration::from_millis(5);

/// What happens to the server.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It is killed with SIGKILL, and started again by whoever started it.
    Killed,
    /// It stands still for so long, with all its connections open, and goes on.
    Stopped(Duration),
    /// It is not there for so long: whatever is started is killed.
    Gone(Duration),
}

impl Fault {
    async fn happen(self, cluster: &Cluster) -> Result<()> {
        match self {
            Fault::Killed => signal(cluster, Signal::SIGKILL).map(drop),
            Fault::Stopped(time) => {
                signal(cluster, Signal::SIGSTOP)?;
                tokio::time::sleep(time).await;
                signal(cluster, Signal::SIGCONT).map(drop)
            }
            Fault::Gone(time) => {
                let until = Instant::now() + time;
                while Instant::now() < until {
                    signal(cluster, Signal::SIGKILL)?;
                    tokio::time::sleep(WATCH).await;
                }
                Ok(())
            }
        }
    }
}

/// Signals the server, if it is there.
fn signal(cluster: &Cluster, signal: Signal) -> Result<()> {
    let pid = cluster.nats_pid()?;
    // A number may be another's by now.
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if !line.contains(&*cluster.data().to_string_lossy()) {
        return Ok(());
    }
    match kill(Pid::from_raw(pid), signal) {
        Err(Errno::ESRCH) => Ok(()),
        done => Ok(done?),
    }
}

/// Every acknowledged write is there once, though answers were lost and asked for again; each follower (a durable consumer, a plain
/// subscription, a watch of the API that stands all the time) has all changes in order, none twice; reads are linearizable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_is_killed_stopped_and_gone_loses_nothing() -> Result<()> {
    let mut rng = StdRng::seed_from_u64(faults::seed());
    let mut cluster = Cluster::without_node(&[])?;
    let pid = cluster.pid();
    for round in 0..faults::rounds(1, 20) {
        let seconds = |short: u64, long: u64| Duration::from_secs(if faults::long() { long } else { short });
        let mut planned = vec![Fault::Killed; if faults::long() { 12 } else { 4 }];
        planned.push(Fault::Stopped(seconds(3, 20)));
        planned.push(Fault::Stopped(Duration::from_millis(rng.random_range(50..1500))));
        planned.push(Fault::Gone(seconds(3, 60)));
        let faults = planned.len();
        let run = Run::start(&cluster, WRITERS, rng.random()).await?;
        for fault in planned {
            goes_on(&run).await.with_context(|| format!("round {round}, before it was {fault:?}"))?;
            tokio::time::sleep(Duration::from_micros(rng.random_range(0..20_000))).await;
            fault.happen(&cluster).await?;
        }
        goes_on(&run).await.with_context(|| format!("round {round}, in the end"))?;
        let summary = run.finish(&cluster).await.with_context(|| format!("round {round}"))?;
        println!("{faults} faults of the bus under {WRITERS} writers, round {round}: {summary:?}");
    }
    assert_eq!(cluster.pid(), pid, "the same process all the time");
    // The mirror is where the log is, and no actor has failed for good.
    cluster.cox(&["status"])?;
    cluster.stop()?;
    let verified = cluster.cox(&["verify"])?;
    assert!(verified.contains("sound at revision"), "{verified}");
    Ok(())
}

/// Waits until the writers have got on.
async fn goes_on(run: &Run) -> Result<()> {
    let goal = run.load.acknowledged() + BETWEEN;
    until_async("writes go on", PATIENCE, || async {
        let count = run.load.acknowledged();
        Ok(Look::at(count >= goal, || format!("{count} of {goal}")))
    })
    .await
}
