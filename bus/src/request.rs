//! Request and reply: answered, *surely not done*, or *perhaps done*; sent again with the same id after a reconnect.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

use crate::connection::{Link, LinkState};
use crate::head::HeadQuestion;
use crate::{ApiReply, ApiRequest, Bus, Head, codec, router};
use cox_objects::Position;

/// How long to wait before asking again where nobody listened: a server that was just restarted hears of its
/// subscribers within this.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// At most this many requests, and bytes of them, go in one message of a batch.
const BATCH_REQUESTS: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// What is known of a request without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It did not reach anyone: it may be given up, or made anew.
    #[error("surely not done: {0}")]
    SurelyNotDone(Why),
    /// It may have been carried out: ask again with the same id to know.
    #[error("perhaps done: {0}")]
    PerhapsDone(Why),
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The bus was not there until the deadline.
    #[error("the bus is not there")]
    NotConnected,
    /// Nobody listened until the deadline.
    #[error("nobody serves {0}")]
    NobodyServes(String),
    /// The deadline passed.
    #[error("no answer in time")]
    TimedOut,
    /// The request is larger than the bus carries.
    #[error("a message of {0} bytes is too large for the bus")]
    TooLarge(usize),
    /// The request cannot be encoded, or the answer not decoded.
    #[error("{0}")]
    Malformed(String),
}

impl CallError {
    /// Whether it may have been carried out.
    pub fn perhaps_done(&self) -> bool {
        matches!(self, CallError::PerhapsDone(_))
    }
}

/// What came back for one sending.
pub(crate) enum Answer {
    Payload(Bytes),
    /// The server knows nobody who listens.
    Nobody,
}

/// The open calls of a connection, by the number in their reply subject.
#[derive(Default)]
pub(crate) struct Calls {
    next: AtomicU64,
    open: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
}

/// What was sent of one call and came back without having reached anyone.
#[derive(Default)]
struct Tally {
    sent: u32,
    bounced: u32,
}

impl Tally {
    /// The error of a call that is given up now.
    fn verdict(&self, why: Why) -> CallError {
        match self.sent > self.bounced {
            true => CallError::PerhapsDone(why),
            false => CallError::SurelyNotDone(why),
        }
    }
}

/// Takes the call out of the table when its future ends or is dropped.
struct Entry<'a>(&'a Calls, u64);

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.0.open.lock().remove(&self.1);
    }
}

impl Calls {
    pub(crate) fn answer(&self, number: u64, answer: Answer) {
        if let Some(waiter) = self.open.lock().remove(&number) {
            // The asker may have gone away in this moment; then nobody wants the answer.
            let _ = waiter.send(answer);
        }
    }

    /// Asks until there is an answer or the deadline passes.
    pub(crate) async fn ask(
        &self,
        link: &Link,
        subject: &str,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        self.ask_with(link, deadline, |_| (subject.to_owned(), payload.clone())).await
    }

    /// The same with a subject that depends on the reply's last token.
    pub(crate) async fn ask_with(
        &self,
        link: &Link,
        deadline: Instant,
        message: impl Fn(&str) -> (String, Bytes),
    ) -> Result<Bytes, CallError> {
        let mut tally = Tally::default();
        let mut state = link.state.clone();
        loop {
            // Each sending has a number of its own, so that a late "nobody" of one is not taken for that of another.
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let place = format!("{}{number:x}", router::CALL);
            let (subject, payload) = message(&place);
            if payload.len() > link.client.max_payload() {
                return Err(tally.verdict(Why::TooLarge(payload.len())));
            }
            let (sender, answer) = oneshot::channel();
            self.open.lock().insert(number, sender);
            let _entry = Entry(self, number);

            let Some(generation) = connected(&mut state, deadline).await else {
                return Err(tally.verdict(Why::NotConnected));
            };
            let answerer = link.subjects.served_by(&subject).unwrap_or_else(|| link.owner.token());
            let reply = link.address(&answerer, &place);
            match timeout_at(deadline, link.client.publish_with_reply(subject.clone(), reply, payload)).await {
                Ok(Ok(())) => tally.sent += 1,
                Ok(Err(_)) | Err(_) => return Err(tally.verdict(Why::NotConnected)),
            }
            tokio::select! {
                biased;
                answer = answer => match answer {
                    Ok(Answer::Payload(payload)) => return Ok(payload),
                    Ok(Answer::Nobody) | Err(_) => {
                        tally.bounced += 1;
                        if Instant::now() + ASK_AGAIN >= deadline {
                            return Err(tally.verdict(Why::NobodyServes(subject)));
                        }
                        sleep(ASK_AGAIN).await;
                    }
                },
                () = reconnected(&mut state, generation) => {}
                () = tokio::time::sleep_until(deadline) => return Err(tally.verdict(Why::TimedOut)),
            }
        }
    }
}

/// Waits for the connection; gives its generation, or none at the deadline.
async fn connected(state: &mut watch::Receiver<LinkState>, deadline: Instant) -> Option<u64> {
    let now = *state.borrow_and_update();
    if now.up {
        return Some(now.generation);
    }
    match timeout_at(deadline, state.wait_for(|s| s.up)).await {
        Ok(Ok(state)) => Some(state.generation),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// Waits until the connection was made anew.
async fn reconnected(state: &mut watch::Receiver<LinkState>, generation: u64) {
    if state.wait_for(|s| s.up && s.generation != generation).await.is_err() {
        // The connection is being dropped; the deadline ends the call.
        std::future::pending().await
    }
}

impl Bus {
    /// Sends a write and waits for its answer, until its own deadline. It is sent again with the same id when the bus
    /// was gone in between; the apiserver knows a repeated id.
    ///
    /// # Errors
    /// If there is no answer: whether the write may have happened is in the error.
    pub async fn call(&self, request: &ApiRequest) -> Result<ApiReply, CallError> {
        let resource = match request.subresource.as_str() {
            "" => request.plural.clone(),
            sub => format!("{}/{sub}", request.plural),
        };
        let subject = self.subjects().api(self.identity(), request.verb, &request.group, &resource);
        self.ask(&subject, request, at(request.deadline)).await
    }

    /// Sends many writes, each with its own outcome, in as few messages as they fit into. The answers are in the order
    /// of the requests. They do not depend on each other: some may be carried out and others not.
    ///
    /// # Errors
    /// If there is no answer to one of the messages; then nothing is known of any, and asking again tells.
    pub async fn batch(&self, requests: &[&ApiRequest]) -> Result<Vec<ApiReply>, CallError> {
        let subject = self.subjects().api_batch(self.identity());
        let mut replies = Vec::with_capacity(requests.len());
        let mut rest = requests;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest));
            rest = later;
            let deadline = at(now.iter().map(|r| r.deadline).max().unwrap_or_default());
            let answers: Vec<ApiReply> = self.ask(&subject, &now, deadline).await?;
            if answers.len() != now.len() {
                let what = format!("{} answers to {} requests", answers.len(), now.len());
                return Err(CallError::PerhapsDone(Why::Malformed(what)));
            }
            replies.extend(answers);
        }
        Ok(replies)
    }

    /// The newest committed position: a read that waits for it sees every write that was answered before this question.
    ///
    /// # Errors
    /// If the apiserver does not answer until the deadline.
    pub async fn head(&self, deadline: Instant) -> Result<Position, CallError> {
        self.head_with(HeadQuestion { lease: false }, deadline).await.map(|head| head.position)
    }

    /// The same, with a read lease for this gateway if it may have one.
    ///
    /// # Errors
    /// If the apiserver does not answer until the deadline.
    pub async fn lease(&self, deadline: Instant) -> Result<Head, CallError> {
        self.head_with(HeadQuestion { lease: true }, deadline).await
    }

    async fn head_with(&self, question: HeadQuestion, deadline: Instant) -> Result<Head, CallError> {
        self.ask(&self.subjects().api_head(self.identity()), &question, deadline).await
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        subject: &str,
        question: &Q,
        deadline: Instant,
    ) -> Result<A, CallError> {
        let payload = codec::encode(question).map_err(|e| CallError::SurelyNotDone(Why::Malformed(e.to_string())))?;
        let reply = self.link.calls.ask(&self.link, subject, payload.into(), deadline).await?;
        decoded(&reply)
    }
}

fn decoded<A: DeserializeOwned>(reply: &[u8]) -> Result<A, CallError> {
    codec::decode(reply).map_err(|e| CallError::PerhapsDone(Why::Malformed(e.to_string())))
}

/// How many of the requests go into one message; at least one.
fn fitting(requests: &[&ApiRequest]) -> usize {
    let mut bytes = 0;
    let fits = requests.iter().take(BATCH_REQUESTS).take_while(|r| {
        bytes += r.body.len() + 512;
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// The moment of a deadline given in milliseconds since the Unix epoch; far ones are cut to a day.
pub(crate) fn at(deadline: u64) -> Instant {
    let left = deadline.saturating_sub(now_ms()).min(86_400_000);
    Instant::now() + Duration::from_millis(left)
}

#[cfg(test)]
mod tests;
