//! Waiting on conditions, always with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until `ready` gives something; `what` says what is waited for.
///
/// # Errors
/// If it does not within `patience`, with what it said last, or if it fails for good.
pub fn until<T>(what: &str, patience: Duration, mut ready: impl FnMut() -> Result<Look<T>>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match ready()? {
            Look::Done(value) => return Ok(value),
            Look::NotYet(seen) if Instant::now() > deadline => bail!("waited {patience:?} until {what}: {seen}"),
            Look::NotYet(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// As [`until`], for conditions that are asked for asynchronously.
///
/// # Errors
/// As [`until`].
pub async fn until_async<T, F>(what: &str, patience: Duration, mut ready: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Look<T>>>,
{
    let deadline = Instant::now() + patience;
    loop {
        match ready().await? {
            Look::Done(value) => return Ok(value),
            Look::NotYet(seen) if Instant::now() > deadline => bail!("waited {patience:?} until {what}: {seen}"),
            Look::NotYet(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// What a look at a condition found.
pub enum Look<T> {
    /// It holds.
    Done(T),
    /// It does not hold yet; what was seen instead.
    NotYet(String),
}

impl Look<()> {
    /// Done if `holds`.
    pub fn at(holds: bool, seen: impl FnOnce() -> String) -> Self {
        if holds { Look::Done(()) } else { Look::NotYet(seen()) }
    }
}
