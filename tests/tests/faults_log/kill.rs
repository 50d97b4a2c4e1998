//! SIGKILL at random moments under 16 writers: what was acknowledged is there once, followers see it all, reads are linearizable.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cox_tests::Cluster;
use cox_tests::faults::{self, Run};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::writes;

const WRITERS: usize = 16;
/// After how many kills everything is checked and a new run begins: its records are kept in memory.
const EPISODE: u64 = 25;
/// How long a start may take on the slowest machine that runs this; the long form tells how long they took.
const START: Duration = Duration::from_secs(60);
/// How long a start is to take on a machine that does nothing else: those that take longer are told of.
const PROMPT: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_loses_nothing() -> Result<()> {
    let mut rng = StdRng::seed_from_u64(faults::seed());
    let kills = faults::rounds(5, 1000);
    let mut cluster = Cluster::without_node(&[])?;
    let mut starts = Vec::new();
    let (mut killed, mut early, mut acknowledged, mut perhaps) = (0, 0, 0, 0);
    while killed < kills {
        let run = Run::start(&cluster, WRITERS, rng.random()).await?;
        let episode = EPISODE.min(kills - killed);
        for number in killed..killed + episode {
            writes(&run, rng.random_range(0..150)).await.with_context(|| format!("before kill {number}"))?;
            tokio::time::sleep(Duration::from_micros(rng.random_range(0..20_000))).await;
            let start = tokio::task::block_in_place(|| {
                cluster.kill()?;
                // Now and then also while it starts.
                while rng.random_range(0..8) == 0 {
                    cluster.launch(&[])?;
                    std::thread::sleep(Duration::from_millis(rng.random_range(0..600)));
                    cluster.kill()?;
                    early += 1;
                }
                restart(&mut cluster)
            });
            starts.push(start.with_context(|| format!("after kill {number}"))?);
        }
        killed += episode;
        let summary = run.finish(&cluster).await.with_context(|| format!("after {killed} kills"))?;
        println!("{killed} kills: {summary:?}");
        acknowledged += summary.acknowledged;
        perhaps += summary.perhaps;
    }
    cluster.stop()?;
    let verified = cluster.cox(&["verify"])?;
    ensure!(verified.contains("sound at revision"), "{verified}");
    println!(
        "{killed} kills under {WRITERS} writers and {early} of a starting server: \
         {acknowledged} acknowledged writes, {perhaps} without an answer; ready again after {}",
        distribution(&mut starts)
    );
    Ok(())
}

/// Starts the server again; how long that took.
fn restart(cluster: &mut Cluster) -> Result<Duration> {
    let begun = Instant::now();
    cluster.up()?;
    let took = begun.elapsed();
    ensure!(took < START, "it took {took:?} to be ready");
    if took > PROMPT {
        println!("ready again only after {took:?}");
    }
    Ok(took)
}

fn distribution(times: &mut [Duration]) -> String {
    times.sort();
    let at = |part: usize| {
        times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let late = times.iter().filter(|time| **time > PROMPT).count();
    let [p50, p90, p99, max] = [50, 90, 99, 100].map(|part| at(part).as_millis());
    format!("p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, at most {max} ms; {late} of {} took over a second", times.len())
}
