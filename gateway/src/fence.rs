//! The linearizable fence: a read sees every write that was answered before the read arrived.
//!
//! Flow: a reader asks the apiserver for the head and waits until the mirror has it. Readers share a question only if it was
//! sent after they arrived: while a question gathers readers (a few turns of the scheduler, if another is under way), more may join;
//! once it is sent, the next reader begins another. The answer may bring a read lease: while that holds nobody needs to ask.
//!
//! Caveats: a question is a task of its own, so that one who leaves does not strand the others, and so that a turn is a turn of the
//! scheduler and not one more reader looking at the answer.

mod lease;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cox_bus::Head;
use cox_mirror::Mirror;
use cox_objects::{Revision, Status};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::backend::Backend;
use crate::tasks::Tasks;
use lease::Lease;

/// How many turns others get to join a question while another is under way. At 64 connections ten give half again as many reads. A reader
/// that is alone does not wait: each turn of a scheduler that has nothing else to do costs two system calls.
const GATHER: usize = 10;

type Question = Shared<BoxFuture<'static, Result<Revision, Status>>>;

/// The fence of one gateway; clones share it.
#[derive(Clone)]
pub struct Fence {
    backend: Arc<dyn Backend>,
    mirror: Mirror,
    tasks: Tasks,
    gathering: Arc<Mutex<Option<Question>>>,
    /// Questions that have begun and are not answered.
    open: Arc<AtomicUsize>,
    lease: Arc<Lease>,
    patience: Duration,
}

impl Fence {
    /// A fence between a backend and a mirror; reads that are not served within `patience` are given up.
    pub fn new(backend: Arc<dyn Backend>, mirror: Mirror, tasks: Tasks, patience: Duration) -> Self {
        let lease = Arc::new(Lease::new());
        Fence { backend, mirror, tasks, gathering: Arc::default(), open: Arc::default(), lease, patience }
    }

    /// Waits until the mirror has all that was answered when this was called, and says which revision that is.
    ///
    /// # Errors
    /// 504 if the apiserver does not answer or the mirror does not get there in time.
    pub async fn pass(&self) -> Result<Revision, Status> {
        let now = Instant::now();
        let deadline = now + self.patience;
        let floor = match self.lease.floor(now) {
            Some(floor) => {
                if self.lease.begins_renewal(now) {
                    self.renew();
                }
                floor
            }
            None => tokio::time::timeout_at(deadline, self.question())
                .await
                .map_err(|_| Status::timeout("the head of the log was not learned in time"))??,
        };
        let waited = self.mirror.wait_for(floor, deadline).await;
        waited.map(|()| floor).map_err(|lagging| Status::timeout(lagging.to_string()))
    }

    /// A client is about to be told of a revision: reads from now on see it.
    pub fn told(&self, revision: Revision) {
        self.lease.told(revision);
    }

    /// Answers for the mirror where the apiserver asks how far it is, so that there can be a read lease. Ends when that breaks off.
    ///
    /// # Errors
    /// If the bus is not there.
    pub async fn answer(&self) -> Result<(), cox_bus::CallError> {
        let answered = self.backend.reached(&self.mirror, &|stands| self.lease.answers(stands)).await;
        self.lease.answers(false);
        answered
    }

    fn question(&self) -> Question {
        let mut gathering = self.gathering.lock();
        gathering.get_or_insert_with(|| self.begin()).clone()
    }

    fn begin(&self) -> Question {
        let (sender, answer) = oneshot::channel();
        let fence = self.clone();
        self.tasks.spawn("fence", async move {
            // If all readers have left, nobody needs to know.
            let _ = sender.send(fence.gather().await);
        });
        answer
            .map(|answer| answer.unwrap_or_else(|_| Err(Status::internal("a question for the head broke off"))))
            .boxed()
            .shared()
    }

    async fn gather(&self) -> Result<Revision, Status> {
        let open = Open::new(&self.open);
        if !open.alone {
            for _ in 0..GATHER {
                tokio::task::yield_now().await;
            }
        }
        // From here on newcomers need another question.
        self.gathering.lock().take();
        self.ask().await
    }

    async fn ask(&self) -> Result<Revision, Status> {
        let asked = Instant::now();
        let head = self.backend.head(self.lease.is_wanted(), asked + self.patience).await;
        let Head { position, lease } =
            head.map_err(|error| Status::timeout(format!("the head of the log cannot be learned: {error}")))?;
        if lease {
            self.lease.granted(asked, position.revision);
        }
        Ok(position.revision)
    }

    fn renew(&self) {
        let fence = self.clone();
        self.tasks.spawn("lease", async move {
            if let Err(status) = fence.ask().await {
                tracing::debug!(reason = status.message, "the read lease was not renewed");
            }
            fence.lease.renewed();
        });
    }
}

/// Counts a question while it is under way.
struct Open<'a> {
    count: &'a AtomicUsize,
    alone: bool,
}

impl<'a> Open<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        Open { count, alone: count.fetch_add(1, Ordering::Relaxed) == 0 }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
