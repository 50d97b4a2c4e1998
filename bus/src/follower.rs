//! Follows the event stream by a core subscription: what is not newer is dropped, what is missing is said.

use cox_objects::{Epoch, Event, Key, Position, Revision};
use serde::{Deserialize, Serialize};

use crate::event::{self, Decoded};
use crate::serve::Messages;
use crate::{Bus, CallError};

mod core;

use self::core::{Core, Step};

/// What a follower learns, in the order of revisions.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are events")]
pub enum Followed {
    /// The next event.
    Event(Event),
    /// These revisions (both included) did not arrive: read them from the log before going on.
    Gap {
        /// The first that is missing.
        from: Revision,
        /// The last that is missing.
        to: Revision,
    },
    /// The next event, of an object that was sealed with a key that we do not have.
    Sealed(Position, Key),
    /// The head as the apiserver announces it every 200 ms; everything up to the follower's own position was given before.
    Head(Position),
    /// The log has a new epoch: what was followed is no longer the truth. Start anew from a snapshot; nothing comes after this.
    EpochChanged(Epoch),
}

/// The announcement of the head, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Announcement {
    /// The epoch, as text.
    pub epoch: String,
    /// The newest committed revision.
    pub revision: Revision,
}

/// A subscription to all events. It keeps up to 65,536 messages while nobody reads; past that there is a gap.
pub struct Follower {
    bus: Bus,
    events: Messages,
    heads: Messages,
    core: Core,
    held: Option<Followed>,
}

/// A subscription that stands, so that a snapshot taken now leaves no gap; see [`Following::from`].
pub struct Following(Bus, Messages, Messages);

/// Subscribes to the events. The subscription stands when this returns: take the snapshot then, and go on from its
/// position.
///
/// # Errors
/// If the bus is not there, or the identity may not read events.
pub async fn follow(bus: &Bus) -> Result<Following, CallError> {
    let events = bus.subscribe(bus.subjects().events_all(), None).await?;
    let heads = bus.subscribe(bus.subjects().head(), None).await?;
    Ok(Following(bus.clone(), events, heads))
}

impl Following {
    /// Everything after this position, the snapshot's.
    pub fn from(self, position: Position) -> Follower {
        let Following(bus, events, heads) = self;
        Follower { bus, events, heads, core: Core::new(position), held: None }
    }
}

impl Follower {
    /// The position up to which everything was given, gaps included.
    pub fn position(&self) -> Position {
        self.core.at()
    }

    /// What comes next; none when the connection is closed for good, or after a change of epoch.
    pub async fn next(&mut self) -> Option<Followed> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        loop {
            if self.core.is_over() {
                return None;
            }
            let due = self.core.due();
            let step = tokio::select! {
                biased;
                message = self.events.next() => {
                    let message = message?;
                    match event::decode(self.bus.subjects(), &message, self.bus.sealing_key()) {
                        Ok(Decoded::Event(event)) => self.at(event.position, Followed::Event(*event)),
                        Ok(Decoded::Sealed(position, key)) => self.at(position, Followed::Sealed(position, key)),
                        Ok(Decoded::TooLarge(position)) => {
                            let Position { revision, .. } = position;
                            self.at(position, Followed::Gap { from: revision, to: revision })
                        }
                        Err(error) => {
                            // Only the apiserver may publish here, so this is a bug or a newer version; the number that
                            // it stood for shows as a gap.
                            tracing::warn!(subject = %message.subject, %error, "not an event");
                            None
                        }
                    }
                }
                message = self.heads.next() => {
                    let head: Option<Announcement> = serde_json::from_slice(&message?.payload).ok();
                    head.and_then(|head| self.head(&head))
                }
                () = until(due) => {
                    let overdue = self.core.overdue(tokio::time::Instant::now());
                    overdue.map(|(from, to)| Followed::Gap { from, to })
                }
            };
            if step.is_some() {
                return step;
            }
        }
    }

    fn at(&mut self, position: Position, what: Followed) -> Option<Followed> {
        match self.core.event(position) {
            Step::Take => Some(what),
            Step::Drop => None,
            Step::Gap(from, to) => {
                self.held = Some(what);
                Some(Followed::Gap { from, to })
            }
            Step::Epoch(epoch) => Some(Followed::EpochChanged(epoch)),
        }
    }

    fn head(&mut self, head: &Announcement) -> Option<Followed> {
        let position = Position { epoch: head.epoch.parse().ok()?, revision: head.revision };
        match self.core.head(position, tokio::time::Instant::now()) {
            Some(epoch) => Some(Followed::EpochChanged(epoch)),
            None => Some(Followed::Head(position)),
        }
    }
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
