//! Following the log over the bus: a snapshot, then every event; what is missing is read from the log.
//!
//! Flow: subscribe; take a snapshot once the subscription stands; apply events, many under one lock where many are there; fill gaps by range
//! reads. After a lost connection the follower shows what was missed as a gap. Guarantees: the mirror is whole at every moment
//! between two updates. Caveats: if a gap is older than the log keeps, or the epoch has changed, a new snapshot is taken and those who
//! follow changes start anew.

use std::time::Duration;

use cox_bus::replay::ReadError;
use cox_bus::{Bus, CallError, Followed, Follower, StreamError, now_ms};
use cox_objects::{Event, Key, Object, Position, Revision};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::state::Refused;
use crate::{Mirror, State};

/// How many events are applied under one lock, at most.
const AT_A_TIME: usize = 512;
/// How long to wait before the first further try, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Why following ended; it is begun again.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the events cannot be subscribed to: {0}")]
    Subscribe(#[from] CallError),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("the connection was closed")]
    Closed,
    #[error("the log has a new epoch")]
    Epoch,
    #[error("event {0} of {1} is sealed with another key than ours")]
    Sealed(Position, Key),
    #[error("events from revision {0} on are not to be had")]
    Missing(Revision),
}

impl Broken {
    /// Whether only a new snapshot helps.
    fn loses_what_is_there(&self) -> bool {
        match self {
            Broken::Subscribe(_) | Broken::Closed => false,
            Broken::Read(ReadError::Stream(StreamError::Refused(status))) => status.code == 410,
            Broken::Read(_) => false,
            Broken::Epoch | Broken::Sealed(..) | Broken::Missing(_) => true,
        }
    }
}

impl Mirror {
    /// Follows the log until it is cancelled. Whatever breaks is tried again, with backoff.
    pub async fn follow(&self, bus: &Bus, cancel: CancellationToken) {
        let mut wait = BACKOFF.0;
        let mut anew = true;
        while !cancel.is_cancelled() {
            let before = self.position();
            let broken = tokio::select! {
                () = cancel.cancelled() => return,
                broken = self.follow_once(bus, anew) => broken,
            };
            // Whatever else breaks, what is there holds, and the rest shows as a gap.
            anew = broken.loses_what_is_there() || self.position().revision == 0;
            tracing::warn!(%broken, position = %self.position(), "the mirror lost the log and starts again");
            wait = if self.position() == before { (wait * 2).min(BACKOFF.1) } else { BACKOFF.0 };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn follow_once(&self, bus: &Bus, anew: bool) -> Broken {
        match self.try_follow(bus, anew).await {
            Ok(()) => Broken::Closed,
            Err(broken) => broken,
        }
    }

    async fn try_follow(&self, bus: &Bus, anew: bool) -> Result<(), Broken> {
        // The subscription stands before the snapshot is asked for, so that nothing falls between them.
        let following = cox_bus::follow(bus).await?;
        if anew {
            let (position, objects) = snapshot(bus).await?;
            self.update(|state| state.reset(position, objects));
        } else {
            self.update(State::drop_unfinished);
        }
        let mut follower = following.from(self.position());
        while let Some(first) = follower.next().await {
            self.take(bus, &mut follower, first).await?;
        }
        Ok(())
    }

    /// Takes in what there is: all events that have arrived, under one lock.
    async fn take(&self, bus: &Bus, follower: &mut Follower, first: Followed) -> Result<(), Broken> {
        let mut next = Some(first);
        let mut events = Vec::new();
        while let Some(followed) = next {
            match followed {
                Followed::Event(event) => events.push(event),
                other => {
                    self.apply(bus, std::mem::take(&mut events)).await?;
                    self.react(bus, other).await?;
                }
            }
            next = if events.len() < AT_A_TIME { follower.next().now_or_never().flatten() } else { None };
        }
        self.apply(bus, events).await
    }

    async fn react(&self, bus: &Bus, followed: Followed) -> Result<(), Broken> {
        match followed {
            Followed::Event(_) => Ok(()),
            Followed::Gap { from, to } => self.fill(bus, from, to).await,
            Followed::Head(head) => {
                self.announce(head);
                // A turn that comes also when nothing changes: a burst is not remembered for ever.
                self.update(|state| state.age(now_ms()));
                Ok(())
            }
            Followed::Sealed(position, key) => Err(Broken::Sealed(position, key)),
            Followed::EpochChanged(_) => Err(Broken::Epoch),
        }
    }

    async fn apply(&self, bus: &Bus, events: Vec<Event>) -> Result<(), Broken> {
        let mut rest = events.into_iter();
        while rest.len() > 0 {
            let gap = self.update(|state| offer_all(state, &mut rest))?;
            let Some((from, event)) = gap else { continue };
            let to = event.revision() - 1;
            self.fill(bus, from, to).await?;
            if let Some((from, _)) = self.update(|state| offer_all(state, &mut std::iter::once(event)))? {
                return Err(Broken::Missing(from));
            }
        }
        Ok(())
    }

    /// Reads what is missing from the log.
    async fn fill(&self, bus: &Bus, from: Revision, to: Revision) -> Result<(), Broken> {
        tracing::debug!(from, to, "reading what was missed");
        let mut range = cox_bus::range(bus, from, to).await?;
        while let Some(events) = range.next().await? {
            if let Some((from, _)) = self.update(|state| offer_all(state, &mut events.into_iter()))? {
                return Err(Broken::Missing(from));
            }
        }
        Ok(())
    }
}

/// Offers events in order up to a gap: its first revision, and the event after it.
fn offer_all(state: &mut State, events: &mut impl Iterator<Item = Event>) -> Result<Option<(Revision, Event)>, Broken> {
    for event in events {
        match state.offer(event) {
            Ok(_) => {}
            Err(Refused::Gap { from, event }) => return Ok(Some((from, *event))),
            Err(Refused::OtherEpoch) => return Err(Broken::Epoch),
        }
    }
    Ok(None)
}

async fn snapshot(bus: &Bus) -> Result<(Position, Vec<(Key, Object)>), ReadError> {
    let mut snapshot = cox_bus::snapshot(bus).await?;
    let mut objects = Vec::new();
    while let Some(chunk) = snapshot.next().await? {
        objects.extend(chunk);
    }
    Ok((snapshot.position(), objects))
}

#[cfg(test)]
mod tests;
