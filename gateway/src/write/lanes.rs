//! The lanes that writes take to the apiserver: when all are taken, those that wait travel together in the next message.
//!
//! Flow: a write that finds a free lane goes at once, by itself. One that finds none waits; the lane that becomes free first takes all that wait.
//! So nothing is held up for company, and the more there is to do, the less each write costs on the bus.
//!
//! Guarantees: each write has an outcome of its own. A client that leaves takes nobody along. Caveats: what travels together is answered
//! together, so that what is large, or may have to be decided many times over, goes by itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cox_bus::{ApiReply, ApiRequest, CallError, Verb, Why, now_ms};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::backend::Backend;
use crate::tasks::Tasks;

/// How many messages are under way before writes wait: one is decided while another is committed.
const LANES: usize = 2;
/// How many writes travel together at most.
const TOGETHER: usize = 64;
/// A body of more bytes than this goes by itself.
const SMALL: usize = 64 << 10;

/// The lanes of one gateway; clones share them.
#[derive(Clone)]
pub struct Lanes {
    backend: Arc<dyn Backend>,
    tasks: Tasks,
    traffic: Arc<Mutex<Traffic>>,
}

#[derive(Default)]
struct Traffic {
    /// Lanes that are taken; while one is free nobody waits.
    taken: usize,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    request: Arc<ApiRequest>,
    answer: oneshot::Sender<Result<ApiReply, CallError>>,
}

impl Lanes {
    /// Free lanes to a backend.
    pub fn new(backend: Arc<dyn Backend>, tasks: Tasks) -> Self {
        Lanes { backend, tasks, traffic: Arc::default() }
    }

    /// Sends a write and waits for its answer, until its deadline.
    ///
    /// # Errors
    /// If there is no answer: whether the write may have happened is in the error.
    pub async fn call(&self, request: &Arc<ApiRequest>) -> Result<ApiReply, CallError> {
        if goes_alone(request) {
            return self.backend.call(request).await;
        }
        let answered = match self.enter(request) {
            Entered::Lane(_lane) => return self.backend.call(request).await,
            Entered::Waits(answered) => answered,
        };
        let left = Duration::from_millis(request.deadline.saturating_sub(now_ms()));
        match tokio::time::timeout(left, answered).await {
            Ok(Ok(answer)) => answer,
            // It may be on its way, or go still.
            Ok(Err(_)) | Err(_) => Err(CallError::PerhapsDone(Why::TimedOut)),
        }
    }

    fn enter(&self, request: &Arc<ApiRequest>) -> Entered {
        let mut traffic = self.traffic.lock();
        if traffic.taken < LANES {
            traffic.taken += 1;
            return Entered::Lane(Lane(self.clone()));
        }
        let (answer, answered) = oneshot::channel();
        traffic.waiting.push_back(Waiting { request: request.clone(), answer });
        Entered::Waits(answered)
    }

    /// Takes those who wait and still want an answer into a lane that has become free; without any it stays free.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut traffic = self.traffic.lock();
        let most = traffic.waiting.len().min(TOGETHER);
        let batch: Vec<Waiting> = traffic.waiting.drain(..most).filter(|waiting| !waiting.answer.is_closed()).collect();
        if batch.is_empty() && traffic.waiting.is_empty() {
            traffic.taken -= 1;
            return None;
        }
        Some(batch)
    }

    async fn carry(self, batch: Vec<Waiting>, _lane: Lane) {
        let requests: Vec<&ApiRequest> = batch.iter().map(|waiting| &*waiting.request).collect();
        let replies = self.backend.batch(&requests).await;
        match replies {
            Ok(replies) => batch.into_iter().zip(replies).for_each(|(waiting, reply)| answer(waiting, Ok(reply))),
            Err(error) => batch.into_iter().for_each(|waiting| answer(waiting, Err(error.clone()))),
        }
    }
}

fn answer(waiting: Waiting, answer: Result<ApiReply, CallError>) {
    // A client that has left settles it by its request id, if it comes back.
    let _ = waiting.answer.send(answer);
}

enum Entered {
    Lane(Lane),
    Waits(oneshot::Receiver<Result<ApiReply, CallError>>),
}

/// A lane that is taken. Whoever leaves it, in whatever way, lets those who wait into it.
struct Lane(Lanes);

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(batch) = self.0.next() {
            let lanes = self.0.clone();
            self.0.tasks.spawn("writes", self.0.clone().carry(batch, Lane(lanes)));
        }
    }
}

fn goes_alone(request: &ApiRequest) -> bool {
    matches!(request.verb, Verb::Patch | Verb::DeleteCollection) || request.body.len() > SMALL
}

#[cfg(test)]
mod tests;
