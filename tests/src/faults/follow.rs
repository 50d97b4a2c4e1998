//! Followers of the log, each by a public way: a durable consumer, a core subscription, a watch over HTTP. What one sees is written down.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::check::Record;
use super::history::Seen;

mod consumer;
mod subscription;
mod watcher;

/// How long a follower may take to come to the end after everything is well again.
const PATIENCE: Duration = Duration::from_secs(90);

/// One that stands and follows in a task of its own.
pub struct Follower {
    name: String,
    of: String,
    until: watch::Sender<Option<u64>>,
    task: JoinHandle<Result<Vec<Seen>>>,
}

/// What a follower is told: to end once it has the change at a revision.
pub(crate) type Until = watch::Receiver<Option<u64>>;

impl Follower {
    fn start<F>(name: &str, of: &str, follow: impl FnOnce(Until) -> F) -> Follower
    where
        F: Future<Output = Result<Vec<Seen>>> + Send + 'static,
    {
        let (until, receiver) = watch::channel(None);
        Follower { name: name.to_owned(), of: of.to_owned(), until, task: tokio::spawn(follow(receiver)) }
    }

    /// Waits until it has the change at `last`, which is one that it follows, and gives what it saw after `from`.
    ///
    /// # Errors
    /// If it broke, or does not come that far.
    pub async fn finish(mut self, from: u64, last: u64) -> Result<Record> {
        self.until.send_replace(Some(last));
        let Ok(seen) = tokio::time::timeout(PATIENCE, &mut self.task).await else {
            self.task.abort();
            bail!("follower {} does not come to revision {last}", self.name);
        };
        let mut seen = seen?.with_context(|| format!("follower {}", self.name))?;
        seen.retain(|seen| seen.revision > from && seen.revision <= last);
        Ok(Record { follower: std::mem::take(&mut self.name), of: std::mem::take(&mut self.of), seen })
    }
}

/// Whether the end is reached.
fn is_over(until: &Until, seen: &[Seen]) -> bool {
    until.borrow().is_some_and(|last| seen.last().is_some_and(|seen| seen.revision >= last))
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}
