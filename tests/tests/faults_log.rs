//! Faults of the process and of the disk, end to end: the real binary is killed, its disk fills up, breaks, or goes back in time.

#[path = "faults_log/clock.rs"]
mod clock;
#[path = "faults_log/full.rs"]
mod full;
#[path = "faults_log/kill.rs"]
mod kill;
#[path = "faults_log/older.rs"]
mod older;
#[path = "faults_log/start.rs"]
mod start;

use std::time::Duration;

use anyhow::Result;
use cox_tests::faults::{Door, Run};
use cox_tests::wait::{Look, until_async};
use serde_json::Value;

/// How long the writers may take to get on, and a fault to show or to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until so many more writes are acknowledged.
async fn writes(run: &Run, more: u64) -> Result<()> {
    let goal = run.load.acknowledged() + more;
    until_async("writes go on", PATIENCE, || async {
        let count = run.load.acknowledged();
        Ok(Look::at(count >= goal, || format!("{count} of {goal}")))
    })
    .await
}

/// Waits until the server is ready, or is not.
async fn readiness(door: &Door, code: u16) -> Result<()> {
    until_async("readiness follows", PATIENCE, || async {
        let answer = door.ask("GET", "/readyz", "", Value::Null).await;
        Ok(Look::at(answer.code == code, || format!("{} {}", answer.code, answer.body)))
    })
    .await
}
