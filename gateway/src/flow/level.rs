//! A priority level: so many seats, and those who wait for one.
//!
//! Flow: while there are seats a request costs one atomic operation to sit down and one to get up. Only when all are taken does it join
//! the [`Queues`]; whoever gets up then hands the seat to the one whose turn it is.
//!
//! Guarantees: never more requests sit than there are seats; no seat is free while somebody waits; one who leaves while waiting leaves
//! nothing behind, also if the seat was just being handed over. Caveat: the count of those who wait changes under the queues' lock only, and
//! in the same number as the count of those who sit, so that neither of them misses what the other does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::queues::{Bounds, Queues, Ticket};

/// One that waits, in the upper half of the state; those who sit are in the lower.
const ONE_WAITS: u64 = 1 << 32;

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many wait.
    QueueFull,
    /// None became free in time.
    TimeOut,
}

/// The seats of a level.
pub struct Level {
    seats: u32,
    state: AtomicU64,
    queues: Mutex<Queues<oneshot::Sender<()>>>,
    patience: Duration,
}

/// A seat; it is free when this is dropped.
pub struct Seat<'a>(&'a Level);

impl Level {
    /// So many seats, for which so many wait, for so long.
    pub fn new(seats: u32, bounds: Bounds, patience: Duration) -> Self {
        Level { seats, state: AtomicU64::new(0), queues: Mutex::new(Queues::new(bounds)), patience }
    }

    /// How many seats there are.
    pub fn seats(&self) -> u32 {
        self.seats
    }

    /// How many sit.
    pub fn taken(&self) -> u32 {
        sitting(self.state.load(Ordering::Relaxed))
    }

    /// How many wait.
    pub fn waiting(&self) -> u32 {
        waiting(self.state.load(Ordering::Relaxed))
    }

    /// A seat, if there is one and nobody waits.
    pub fn try_sit(&self) -> Option<Seat<'_>> {
        let sat = self.update(|state| self.has_room(state).then_some(state + 1));
        sat.then(|| Seat(self))
    }

    /// Waits for a seat, as one of a flow.
    ///
    /// # Errors
    /// If too many wait, or it takes too long.
    pub async fn wait(&self, flow: u64) -> Result<Seat<'_>, Refused> {
        let mut place = match self.join(flow)? {
            Joined::Sat(seat) => return Ok(seat),
            Joined::Waits(place) => place,
        };
        match tokio::time::timeout(self.patience, &mut place.handed).await {
            Ok(Ok(())) => {
                place.over = true;
                Ok(Seat(self))
            }
            // Somebody with fewer requests got the place.
            Ok(Err(_)) => Err(Refused::QueueFull),
            Err(_) => Err(Refused::TimeOut),
        }
    }

    fn join(&self, flow: u64) -> Result<Joined<'_>, Refused> {
        let (hand, handed) = oneshot::channel();
        let mut queues = self.queues.lock();
        let (ticket, out) = queues.join(flow, hand).map_err(|_| Refused::QueueFull)?;
        if out.is_none() {
            let mut sat = false;
            self.update(|state| {
                sat = self.has_room(state);
                Some(if sat { state + 1 } else { state + ONE_WAITS })
            });
            if sat {
                queues.leave(ticket);
                return Ok(Joined::Sat(Seat(self)));
            }
        }
        Ok(Joined::Waits(Place { level: self, ticket, handed, over: false }))
    }

    /// Hands a seat on, or frees it.
    fn get_up(&self) {
        if self.update(|state| (waiting(state) == 0).then(|| state - 1)) {
            return;
        }
        loop {
            let mut queues = self.queues.lock();
            let Some(hand) = queues.turn() else {
                // The last one has just left.
                self.state.fetch_sub(1, Ordering::AcqRel);
                return;
            };
            self.state.fetch_sub(ONE_WAITS, Ordering::AcqRel);
            drop(queues);
            // One who is leaving does not take it.
            if hand.send(()).is_ok() {
                return;
            }
        }
    }

    fn has_room(&self, state: u64) -> bool {
        waiting(state) == 0 && sitting(state) < self.seats
    }

    fn update(&self, change: impl FnMut(u64) -> Option<u64>) -> bool {
        self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, change).is_ok()
    }
}

fn sitting(state: u64) -> u32 {
    u32::try_from(state % ONE_WAITS).unwrap_or(u32::MAX)
}

fn waiting(state: u64) -> u32 {
    u32::try_from(state / ONE_WAITS).unwrap_or(u32::MAX)
}

enum Joined<'a> {
    Sat(Seat<'a>),
    Waits(Place<'a>),
}

/// The place of one that waits.
struct Place<'a> {
    level: &'a Level,
    ticket: Ticket,
    handed: oneshot::Receiver<()>,
    /// Whether it has become a seat.
    over: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut queues = self.level.queues.lock();
        if queues.leave(self.ticket) {
            self.level.state.fetch_sub(ONE_WAITS, Ordering::AcqRel);
            return;
        }
        drop(queues);
        // It is not in the queue any more: a seat may be under way. After this nobody hands one over.
        self.handed.close();
        if self.handed.try_recv().is_ok() {
            self.level.get_up();
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.get_up();
    }
}

#[cfg(test)]
mod tests;
