//! The clock is set back an hour under load, and the server starts again with it: nothing is lost, everyone goes on, and one line says
//! what happened.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use cox_tests::Cluster;
use cox_tests::faults::{self, Run};
use cox_tests::wait::{Look, until};

use crate::{PATIENCE, writes};

/// The library that gives a process another clock: its monotonic one stays, as it does where an administrator sets the time.
fn library() -> Result<PathBuf> {
    for folder in fs::read_dir("/usr/lib")? {
        let library = folder?.path().join("faketime").join("libfaketimeMT.so.1");
        if library.exists() {
            return Ok(library);
        }
    }
    anyhow::bail!("libfaketime is missing: install it (apt-get install libfaketime)")
}

/// Sets the clock of a cluster that was prepared for it. It is looked at once a second.
fn set(clock: &Path, offset: &str) -> Result<()> {
    let new = clock.with_extension("new");
    fs::write(&new, offset)?;
    Ok(fs::rename(new, clock)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_loses_nothing() -> Result<()> {
    let mut cluster = Cluster::prepared()?;
    let clock = cluster.scratch().join("clock");
    set(&clock, "+0")?;
    for (name, value) in [
        ("LD_PRELOAD", library()?.to_string_lossy().as_ref()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_string_lossy().as_ref()),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ] {
        cluster.set(name, value);
    }
    cluster.up()?;
    let run = Run::start(&cluster, 8, faults::seed()).await?;
    writes(&run, 100).await?;
    set(&clock, "-1h")?;
    until("the clock is another one", PATIENCE, || {
        let said = cluster.last_messages();
        Ok(Look::at(said.contains("the clock went back"), || said.clone()))
    })?;
    writes(&run, 100).await?;
    // Those that lead go on to do so.
    cluster.kubectl(&["create", "deployment", "later", "--image=none"])?;
    until("the controllers work", PATIENCE, || {
        let sets = cluster.kubectl(&["get", "replicasets", "-o", "name"])?;
        Ok(Look::at(sets.contains("replicaset.apps/later-"), || sets.clone()))
    })?;
    cluster.kill()?;
    cluster.up()?;
    writes(&run, 100).await?;
    set(&clock, "+0")?;
    writes(&run, 100).await?;
    let summary = run.finish(&cluster).await?;
    println!("{summary:?}");
    let said = cluster.last_messages();
    ensure!(said.lines().filter(|line| line.contains("the clock went back")).count() == 1, "it says it again: {said}");
    Ok(())
}
