//! Who has the read lease: the decisions, without a clock.

use std::collections::HashMap;
use std::time::Duration;

use cox_bus::head::READ_LEASE;
use cox_objects::Revision;
use tokio::time::Instant;

/// A gateway that was not heard of for so long is gone. Gateways speak up more often, also when nobody reads.
const ABSENT: Duration = Duration::from_secs(10);
/// How long a gateway that was not prompt gets no lease.
const DOUBTED: Duration = Duration::from_secs(5);
/// Clocks of different machines do not go equally fast.
const MARGIN: Duration = Duration::from_millis(5);

/// At most one gateway has the lease.
#[derive(Debug, Default)]
pub(super) struct Holder {
    held: Option<Held>,
    /// When each gateway was heard last.
    gateways: HashMap<String, Instant>,
    doubted: Option<(String, Instant)>,
}

#[derive(Debug)]
struct Held {
    /// Empty if it is not known who.
    connection: String,
    until: Instant,
    /// What its mirror is known to have.
    reached: Revision,
}

impl Holder {
    /// Nobody has it; or somebody unknown may, until then.
    pub(super) fn new(until: Option<Instant>) -> Self {
        let held = until.map(|until| Held { connection: String::new(), until, reached: 0 });
        Holder { held, ..Holder::default() }
    }

    /// A gateway asks for the head. Whether it has the lease from now on: if it wants it, and is the only gateway, and is not doubted.
    pub(super) fn heard(&mut self, connection: &str, wants: bool, now: Instant) -> bool {
        self.gateways.retain(|_, last| now.duration_since(*last) < ABSENT);
        match self.gateways.get_mut(connection) {
            Some(last) => *last = now,
            None => drop(self.gateways.insert(connection.to_owned(), now)),
        }
        let alone = self.gateways.len() == 1;
        let doubted = self.doubted.as_ref().is_some_and(|(who, until)| who == connection && now < *until);
        let another = self.held.as_ref().is_some_and(|held| held.connection != connection && now < held.until);
        if !wants || !alone || doubted || another {
            return false;
        }
        let until = now + READ_LEASE + MARGIN;
        match &mut self.held {
            Some(held) if held.connection == connection => held.until = until,
            held => *held = Some(Held { connection: connection.to_owned(), until, reached: 0 }),
        }
        true
    }

    /// Whom to wait for before an asker is told of a revision, and until when at most.
    pub(super) fn awaited(
        &mut self,
        asker: Option<&str>,
        revision: Revision,
        now: Instant,
    ) -> Option<(String, Instant)> {
        self.held.take_if(|held| now >= held.until);
        let held = self.held.as_ref()?;
        let waits = asker != Some(held.connection.as_str()) && held.reached < revision;
        waits.then(|| (held.connection.clone(), held.until))
    }

    /// Whether somebody has it.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The holder's mirror has this revision.
    pub(super) fn reached(&mut self, connection: &str, revision: Revision) {
        if let Some(held) = self.held.as_mut().filter(|held| held.connection == connection) {
            held.reached = held.reached.max(revision);
        }
    }

    /// A gateway did not say in time how far it is: its lease is not renewed. When that ends, if it still has one.
    pub(super) fn doubt(&mut self, connection: &str, now: Instant) -> Option<Instant> {
        self.doubted = Some((connection.to_owned(), now + DOUBTED));
        self.held.as_ref().filter(|held| held.connection == connection).map(|held| held.until)
    }
}

#[cfg(test)]
mod tests;
