//! Publishes the log's events, in order, to one JetStream stream whose sequence is the revision, and announces the head.
//!
//! ## Flow
//! It looks at the stream's end and plans: go on there, leap (purge to the sequence that it needs and refill), or make
//! the stream anew. Whoever looks after the stream's consumers has a [`Turn`] then, since a stream that lost its end took them back with it.
//! Then it publishes with a window of messages in flight, each saying which sequence it expects before
//! it; every so often, and at the end of what there is, one asks for an acknowledgement, which speaks for all before it. A refusal, a missing
//! acknowledgement or a reconnect leads back to the look at the stream's end; a stream that stores nothing more is
//! made anew.
//!
//! ## Guarantees
//! Every event of the log is published at least once, in revision order, and stands in the stream at its own sequence.
//! A second publisher cannot interleave: the expectation fences it off.
//!
//! ## Caveats
//! Core subscribers see refused and repeated messages too, and drop them by their revision.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cox_objects::{Epoch, Event, Position, Revision};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::follower::Announcement;
use crate::jetstream::JetStream;
use crate::seal::{SealError, SealingKey};
use crate::serve::Messages;
use crate::source::{EventSource, SourceError};
use crate::{Bus, CallError, event};

mod plan;
mod turn;
mod window;

pub use self::turn::{Turn, Turns};
pub use crate::jetstream::{JetStreamError, StreamEnd};

use self::plan::{Plan, Stuck};
use self::window::{Ack, Window};

/// How often the head is announced: a silent loss shows within this.
const ANNOUNCE: Duration = Duration::from_millis(200);
/// How many events a new or leapt stream is refilled with; its own limit of bytes drops the oldest of them.
const REFILL: u64 = 100_000;
/// How many bytes of events are read ahead of the window.
const READ_AHEAD: usize = 1 << 20;
/// How long the server may take to acknowledge, in which it may write a large window to the disk.
const ACK: Duration = Duration::from_secs(2);

/// Why publishing cannot go on. Everything else is tried again for ever.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The stream holds events of this epoch that the log does not: the disk went back in time.
    #[error(
        "the event stream is at {stream}, the log only at {log}: the log has lost events. Start with --accept-loss to go on in a new epoch"
    )]
    Ahead {
        /// The stream's last revision.
        stream: Revision,
        /// The log's.
        log: Revision,
    },
}

/// What interrupts a session of publishing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Fatal(#[from] PublishError),
    #[error("JetStream")]
    JetStream(#[from] JetStreamError),
    #[error("the bus")]
    Bus(#[from] CallError),
    #[error("the log")]
    Log(#[source] SourceError),
    #[error("sealing")]
    Seal(#[from] SealError),
    #[error("revision {0} was not acknowledged: {1}")]
    Refused(Revision, String),
    #[error("the bus was gone")]
    Reconnected,
}

/// The publisher of a cluster; there is one. It should have a connection of its own, because the server slows a
/// publisher whose subscribers are slow.
pub struct Publisher<S> {
    bus: Bus,
    source: Arc<S>,
    sealing: SealingKey,
    /// The revision up to which the stream has everything, for whoever wants to know.
    stored: Arc<AtomicU64>,
    /// Whoever looks after the stream's consumers has a turn each time before it publishes.
    turn: Turn,
}

impl<S: EventSource> Publisher<S> {
    /// A publisher of this log; `sealing` seals its Secrets.
    pub fn new(bus: Bus, source: Arc<S>, sealing: SealingKey) -> Self {
        Publisher { bus, source, sealing, stored: Arc::default(), turn: Turn::default() }
    }

    /// The same; whoever takes its turns sees to the stream's consumers before anything is published again.
    #[must_use]
    pub fn giving(self, turn: Turn) -> Self {
        Publisher { turn, ..self }
    }

    /// The same; it notes there up to which revision the stream has acknowledged everything.
    #[must_use]
    pub fn telling(self, stored: Arc<AtomicU64>) -> Self {
        Publisher { stored, ..self }
    }

    /// Where the cluster's stream ends; none if there is no stream. For a check before anything is served.
    ///
    /// # Errors
    /// If JetStream does not answer.
    pub async fn end(bus: &Bus) -> Result<Option<StreamEnd>, JetStreamError> {
        JetStream::new(bus).end().await
    }

    /// Fails if a stream that ends there holds events of this epoch that a log with this head does not.
    ///
    /// # Errors
    /// Then.
    pub fn check(epoch: Epoch, head: Revision, end: &StreamEnd) -> Result<(), PublishError> {
        match plan::plan(epoch, head, head + 1, Some(end), false) {
            Plan::Ahead(stream) => Err(PublishError::Ahead { stream, log: head }),
            _ => Ok(()),
        }
    }

    /// Publishes until it is cancelled.
    ///
    /// # Errors
    /// If the stream is ahead of the log.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), PublishError> {
        tokio::select! {
            () = cancel.cancelled() => Ok(()),
            () = self.announce() => Ok(()),
            fatal = self.publish() => Err(fatal),
        }
    }

    async fn announce(&self) {
        let mut tick = interval(ANNOUNCE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let head = self.source.head();
        loop {
            tick.tick().await;
            if !self.bus.link.state.borrow().up {
                continue;
            }
            let announcement = Announcement { epoch: self.source.epoch().to_string(), revision: *head.borrow() };
            if self.bus.publish_json(self.bus.subjects().head(), &announcement).await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn publish(&self) -> PublishError {
        let mut pause = Duration::from_millis(5);
        let mut stuck = Stuck::default();
        loop {
            let begun = Instant::now();
            let (first, trouble) = self.session(stuck.for_good(begun)).await;
            stuck.ended(first, matches!(trouble, Trouble::Refused(..)), begun);
            match trouble {
                Trouble::Fatal(error) => return error,
                trouble => tracing::info!(error = %Chain(&trouble), "publishing starts again from the stream's end"),
            }
            // What went well for a while is tried again at once.
            pause = if begun.elapsed() > Duration::from_secs(5) {
                Duration::from_millis(5)
            } else {
                (pause * 2).min(Duration::from_secs(1))
            };
            sleep(pause).await;
        }
    }

    /// The revision that it began with, if it did, and why it ended.
    async fn session(&self, broken: bool) -> (Option<Revision>, Trouble) {
        match self.prepare(broken).await {
            Ok(ready) => (Some(ready.window.next()), ready.run().await.err().unwrap_or(Trouble::Reconnected)),
            Err(trouble) => (None, trouble),
        }
    }

    /// Brings the stream, which may be broken, to where publishing can go on.
    async fn prepare(&self, broken: bool) -> Result<Session<'_, S>, Trouble> {
        let generation = self.bus.link.state.borrow().generation;
        let jetstream = JetStream::new(&self.bus);
        let (epoch, head) = (self.source.epoch(), *self.source.head().borrow());
        let first = self.source.oldest().max((head + 1).saturating_sub(REFILL)).max(1);
        let end = jetstream.end().await?;
        let plan = plan::plan(epoch, head, first, end.as_ref(), broken);
        tracing::debug!(?plan, %epoch, head, "event stream");
        let next = match plan {
            Plan::Continue(next) => next,
            Plan::Create(next) => {
                jetstream.create(epoch, next).await?;
                next
            }
            Plan::Leap(next) => {
                jetstream.leap(epoch, next).await?;
                next
            }
            Plan::Recreate(next) => {
                jetstream.delete().await?;
                jetstream.create(epoch, next).await?;
                next
            }
            Plan::Ahead(stream) => return Err(PublishError::Ahead { stream, log: head }.into()),
        };
        self.stored.store(next.saturating_sub(1), Ordering::Relaxed);
        self.turn.give().await;
        let number = format!("{:x}", rand::random::<u32>());
        let own = self.bus.link.owner.token();
        let acks = self.bus.subscribe(self.bus.link.address(&own, &format!("ack.{number}.*")), None).await?;
        Ok(Session {
            publisher: self,
            acks,
            reply: self.bus.link.address(&own, &format!("ack.{number}.")),
            window: Window::new(next),
            backlog: VecDeque::new(),
            epoch,
            generation,
        })
    }
}

/// Publishing from one look at the stream's end to the next.
struct Session<'a, S> {
    publisher: &'a Publisher<S>,
    acks: Messages,
    reply: String,
    window: Window,
    backlog: VecDeque<Event>,
    epoch: Epoch,
    generation: u64,
}

impl<S: EventSource> Session<'_, S> {
    async fn run(mut self) -> Result<(), Trouble> {
        let mut head = self.publisher.source.head();
        let mut state = self.publisher.bus.state();
        let mut tick = interval(ANNOUNCE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let newest = *head.borrow_and_update();
            while self.window.has_room() && self.window.next() <= newest {
                self.send_next(newest).await?;
            }
            tokio::select! {
                biased;
                ack = self.acks.next() => {
                    let Some(ack) = ack else { return Err(Trouble::Reconnected) };
                    self.acknowledged(&ack.subject, &ack.payload)?;
                }
                changed = head.changed() => if changed.is_err() { return Err(Trouble::Reconnected) },
                changed = state.changed() => {
                    let now = *state.borrow_and_update();
                    if changed.is_err() || now.generation != self.generation {
                        return Err(Trouble::Reconnected);
                    }
                }
                _ = tick.tick() => {
                    // A stream that is missing answers nothing at all: other subscribers take the message.
                    if let Some(revision) = self.window.overdue(Instant::now(), ACK) {
                        return Err(Trouble::Refused(revision, "no word of the server".to_owned()));
                    }
                }
            }
        }
    }

    /// Sends the next event; `newest` is the last that there is.
    async fn send_next(&mut self, newest: Revision) -> Result<(), Trouble> {
        let Publisher { bus, source, sealing, .. } = self.publisher;
        if self.backlog.is_empty() {
            self.backlog = source.read(self.window.next(), READ_AHEAD).map_err(Trouble::Log)?.into();
        }
        let revision = self.window.next();
        let Some(event) = self.backlog.pop_front() else {
            return Err(Trouble::Log(format!("revision {revision} is missing").into()));
        };
        if event.position != (Position { epoch: self.epoch, revision }) {
            return Err(Trouble::Log(format!("{} stands where revision {revision} should", event.position).into()));
        }
        let mut message = event::encode(bus.subjects(), &event, sealing, bus.max_payload())?;
        message.headers.insert("Nats-Expected-Last-Sequence", (revision - 1).to_string());
        let client = &bus.link.client;
        let asks = self.window.asks(newest);
        let sent = if asks {
            let reply = format!("{}{revision}", self.reply);
            client.publish_with_reply_and_headers(message.subject, reply, message.headers, message.body).await
        } else {
            client.publish_with_headers(message.subject, message.headers, message.body).await
        };
        sent.map_err(|e| Trouble::Refused(revision, e.to_string()))?;
        self.window.sent(asks, Instant::now());
        Ok(())
    }

    fn acknowledged(&mut self, subject: &str, payload: &[u8]) -> Result<(), Trouble> {
        let Some(revision) = subject.rsplit('.').next().and_then(|token| token.parse().ok()) else { return Ok(()) };
        match Ack::read(payload) {
            Ack::Stored(sequence) if sequence == revision => {
                self.window.acknowledged(revision);
                self.publisher.stored.store(self.window.stored(), Ordering::Relaxed);
            }
            other => return Err(Trouble::Refused(revision, other.to_string())),
        }
        Ok(())
    }
}

/// An error with its causes, for a log line.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
