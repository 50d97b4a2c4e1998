//! The actor that lets go of the past: raises the log's floors as the policy says, and drops what lies below them, so gently that writers do not
//! notice.
//!
//! It keeps nothing: the floors and how far the log is swept are on the disk, so that a restart goes on where the last one was. It also tells on
//! the control subject what is kept and what that takes.

use std::time::{Duration, Instant};

use cox_bus::{Bus, Identity};
use cox_kit::Scope;
use cox_kit::supervise::StartError;
use cox_log::{Log, LogError, Retention, Step};
use cox_objects::{Position, Revision};
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval_at, sleep};

use crate::figures::Kept;

/// What is asked on the control subject.
pub const QUESTION: &str = "retention";

/// How many events one step looks at: it takes about a millisecond, and its write less.
const AT_ONCE: usize = 128;
/// How long after a step nothing is done, in times of what it took: no more than a sixth of one core is spent.
const REST: u32 = 5;
/// The same while more comes to be dropped than goes.
const HURRY: u32 = 1;
/// So many revisions to look at are too many.
const BEHIND: u64 = 200_000;
/// The shortest rest.
const LEAST: Duration = Duration::from_millis(2);

/// What is kept, and how often it is looked after.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What is kept.
    pub retention: Retention,
    /// How often the floors are raised.
    pub every: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { retention: Retention::default(), every: Duration::from_secs(30) }
    }
}

/// What is kept of a log, and what that takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeps {
    /// The newest revision.
    pub head: Position,
    /// From here on no event is missing.
    pub dense_from: Revision,
    /// From here on objects can be read as they were; of all resources that are not named in `floors`.
    pub readable_from: Revision,
    /// When that was, in milliseconds since the Unix epoch.
    pub readable_since: Option<u64>,
    /// The same of resources with a floor of their own, by name.
    pub floors: std::collections::BTreeMap<String, Revision>,
    /// How long the past is kept, as it is set: by resource, and of all others.
    pub keep: Vec<String>,
    /// Bytes of the log's files.
    pub disk: u64,
    /// How many bytes they may be.
    pub max_disk: Option<u64>,
    /// About how many events a day brings.
    pub daily: Option<u64>,
}

/// The answer: what is kept, or why that is not known.
pub type Answer = Result<Keeps, String>;

/// Works and answers until the scope is cancelled.
pub(crate) async fn serve(bus: Bus, log: Log, policy: Policy, kept: Kept, scope: Scope) -> Result<(), StartError> {
    let mut questions = bus.listen(bus.subjects().ctl(&Identity::Apiserver, QUESTION), None).await?;
    let working = work(&log, &policy, &kept);
    tokio::pin!(working);
    loop {
        tokio::select! {
            heard = scope.hear(&mut questions) => {
                let Some(heard) = heard? else { return Ok(()) };
                let (log, retention) = (log.clone(), policy.retention.clone());
                let answer = tokio::task::spawn_blocking(move || keeps(&log, &retention)).await;
                let answer: Answer = answer.map_err(|error| error.to_string()).and_then(|keeps| keeps.map_err(|error| error.to_string()));
                heard.answer_json(&answer).await?;
            }
            () = &mut working => {}
        }
    }
}

/// Raises the floors and drops, for ever. What fails is tried again: a full or failed disk is the writer's to report.
async fn work(log: &Log, Policy { retention, every }: &Policy, kept: &Kept) {
    // Not at once: a start has other things to do.
    let mut ticks = interval_at(tokio::time::Instant::now() + *every, *every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = round(log, retention, kept).await {
            tracing::warn!(%error, "the past of the log is not let go of");
        }
    }
}

async fn round(log: &Log, retention: &Retention, kept: &Kept) -> Result<(), LogError> {
    let (raised, policy) = (log.clone(), retention.clone());
    let usage = blocking(move || {
        let now = cox_kit::clock::now_ms();
        raised.retain(&policy, now)?;
        raised.usage(now)
    });
    kept.takes(&usage.await?);
    kept.floors(&log.floors());
    loop {
        let begun = Instant::now();
        let swept = log.clone();
        let step: Step = blocking(move || swept.sweep(AT_ONCE)).await?;
        kept.swept(step, begun.elapsed());
        if step.done {
            return Ok(());
        }
        let rest = if step.behind > BEHIND { HURRY } else { REST };
        sleep((begun.elapsed() * rest).max(LEAST)).await;
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(LogError::Closed))
}

fn keeps(log: &Log, retention: &Retention) -> Result<Keeps, LogError> {
    let (floors, usage) = (log.floors(), log.usage(cox_kit::clock::now_ms())?);
    let own = retention.by_resource.iter().map(|(resource, keep)| format!("{resource}={keep}"));
    Ok(Keeps {
        head: Position { epoch: log.epoch(), revision: log.head() },
        dense_from: floors.dense_from,
        readable_from: floors.kept.all,
        readable_since: usage.readable_since,
        floors: floors.kept.own.iter().map(|(resource, floor)| (resource.to_string(), *floor)).collect(),
        keep: std::iter::once(retention.keep.to_string()).chain(own).collect(),
        disk: usage.disk,
        max_disk: retention.max_disk,
        daily: usage.daily,
    })
}
