//! The disk is full: writes are refused as clients understand it, reads go on, and nobody has to help when there is space again.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use cox_tests::Cluster;
use cox_tests::faults::{self, Act, Disk, Door, Outcome, Run};
use cox_tests::wait::{Look, until_async};
use serde_json::Value;

use crate::{PATIENCE, readiness, writes};

/// The size of the disk in MiB.
const SIZE: u64 = 192;
/// So much is left where it is nearly full: less than the log keeps free, in bytes.
const NEARLY: u64 = 32 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_writes_and_nothing_else() -> Result<()> {
    let mut cluster = Cluster::prepared()?;
    let disk = Disk::mount(&cluster.data(), SIZE)?;
    cluster.up()?;
    let run = Run::start(&cluster, 8, faults::seed()).await?;
    let door = Door::open(&cluster).await?;
    let kept = done(door.create("kept", "").await.outcome).context("before")?;
    for left in [NEARLY, 0] {
        writes(&run, 40).await?;
        tokio::task::block_in_place(|| disk.fill(left))?;
        refuses(&door, &left.to_string()).await.with_context(|| format!("with {left} bytes left"))?;
        reads(&door, kept).await.with_context(|| format!("with {left} bytes left"))?;
        disk.free_up()?;
        readiness(&door, 200).await?;
        writes(&run, 40).await.with_context(|| format!("after {left} bytes were left"))?;
    }
    let summary = run.finish(&cluster).await?;
    ensure!(summary.never > 0, "nobody noticed");
    println!("{summary:?}");

    // It also starts with a full disk, and serves what it has.
    cluster.stop()?;
    disk.fill(NEARLY)?;
    cluster.up()?;
    let door = Door::open(&cluster).await?;
    refuses(&door, "start").await.context("started with a full disk")?;
    reads(&door, kept).await?;
    disk.free_up()?;
    readiness(&door, 200).await?;
    done(door.create("new", "").await.outcome).context("after")?;
    cluster.stop()?;
    let verified = cluster.cox(&["verify"])?;
    ensure!(verified.contains("sound at revision"), "{verified}");
    Ok(())
}

/// Waits until writes are refused, and sees how: surely not done, when to come again, and why; readiness names the part.
async fn refuses(door: &Door, left: &str) -> Result<()> {
    let number = AtomicU64::new(0);
    let refused = until_async("writes are refused", PATIENCE, || async {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let answer = door.create(&format!("probe-{left}-{number}"), "").await;
        Ok(match answer.code {
            503 => Look::Done(answer),
            code => Look::NotYet(format!("{code} {}", answer.body)),
        })
    })
    .await?;
    let text = |answer: &Value, name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    ensure!(refused.outcome == Outcome::Never && refused.retry_after == Some(1), "{refused:?}");
    ensure!(text(&refused.body, "reason") == "ServiceUnavailable", "{}", refused.body);
    ensure!(text(&refused.body, "message").contains("cannot be written"), "{}", refused.body);
    readiness(door, 500).await?;
    let ready = door.ask("GET", "/readyz", "", Value::Null).await;
    ensure!(ready.body.to_string().contains("[-]log-store failed"), "{}", ready.body);
    let why = door.ask("GET", "/readyz/log-store", "", Value::Null).await;
    ensure!(why.code == 500 && why.body.to_string().contains("disk"), "{} {}", why.code, why.body);
    // It is alive: nobody should start it again for this.
    let live = door.ask("GET", "/livez", "", Value::Null).await;
    ensure!(live.code == 200, "{}", live.body);
    Ok(())
}

/// Gets, lists and the past are served.
async fn reads(door: &Door, kept: u64) -> Result<()> {
    let path = "/api/v1/namespaces/default/configmaps";
    for path in [format!("{path}/kept"), path.to_owned(), format!("{path}/kept?at={kept}")] {
        let answer = door.ask("GET", &path, "", Value::Null).await;
        ensure!(answer.code == 200, "{path}: {} {}", answer.code, answer.body);
    }
    ensure!(matches!(door.get("configmaps", "nothing").await.outcome, Outcome::Done { value: None, .. }));
    Ok(())
}

/// The revision of a write that must be acknowledged.
fn done(outcome: Outcome) -> Result<u64> {
    match outcome {
        Outcome::Done { revision: Some(revision), .. } => Ok(revision),
        outcome => anyhow::bail!("{:?} is not done: {outcome:?}", Act::Create(String::new())),
    }
}
