//! Fairness under overload, in the spirit of Kubernetes' API Priority and Fairness: requests are sorted by who sends them into priority
//! levels with seats of their own, and where all seats of a level are taken its users take turns.
//!
//! Flow: [`schema`] says where a request belongs, its [`level`] gives it a seat or has it wait in [`queues`] for a bounded time, by user; then
//! it is refused with 429 and `Retry-After`. Guarantees: whoever floods the server waits for its own requests, not others for it; what waits is
//! bounded; a request that finds a seat costs a few atomic operations, and no lock, task or allocation. A watch has a seat only
//! until it has begun, a conversation none.

pub mod level;
pub mod queues;
pub mod schema;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cox_kit::Registry;
use cox_kit::metrics::{Counter, Gauge, Histogram, Metric};
use cox_objects::{Status, User};

use crate::route::Info;
use level::{Level, Refused};
use queues::Bounds;
use schema::{LEVELS, SCHEMAS, classify, is_conversation};

/// How many requests of a level, and of one user in it, wait for a seat: of a user as many as Kubernetes has wait (six queues of fifty).
const BOUNDS: Bounds = Bounds { all: 1024, flow: 300 };
/// How long a request waits for a seat: as long as Kubernetes has it wait, a quarter of what it may take in all.
const TURN: Duration = Duration::from_secs(15);
/// When whoever is refused may come again, in seconds.
const RETRY: u32 = 1;
/// Upper bounds of the time that requests waited, in seconds: Kubernetes' own.
const WAITED: &[f64] = &[0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0];

/// The seats of a gateway; clones share them.
#[derive(Clone)]
pub struct Flows(Arc<Shared>);

struct Shared {
    levels: Vec<Level>,
    tallies: Vec<Tally>,
    hasher: RandomState,
}

/// What has happened to the requests of one schema.
struct Tally {
    /// Those that got a seat, and those of them that are done: reading ones, then changing ones.
    begun: [AtomicU64; 2],
    ended: [AtomicU64; 2],
    waiting: Gauge,
    waited: Histogram,
    full: Counter,
    late: Counter,
    gone: Counter,
}

/// Leave to be worked on; others may be when this is dropped.
pub struct Seat<'a> {
    /// None for what needs no seat.
    _place: Option<level::Seat<'a>>,
    /// Which number grows when it is over; none for what is not counted.
    ended: Option<&'a AtomicU64>,
}

impl Flows {
    /// The seats, with what is measured of them shown in a registry.
    pub fn new(registry: &Registry) -> Self {
        let levels = LEVELS.iter().map(|facts| Level::new(facts.seats, BOUNDS, TURN)).collect();
        let tallies = SCHEMAS.iter().map(|schema| Tally::new(registry, &labels(schema))).collect();
        let flows = Flows(Arc::new(Shared { levels, tallies, hasher: RandomState::new() }));
        flows.show(registry);
        flows
    }

    /// A seat for a request of a user.
    ///
    /// # Errors
    /// 429 if too many wait already, or none became free in time.
    pub async fn enter(&self, user: &User, info: &Info) -> Result<Seat<'_>, Status> {
        if is_conversation(info) {
            return Ok(Seat { _place: None, ended: None });
        }
        let place = classify(user, info);
        let (Some(schema), Some(tally)) = (SCHEMAS.get(place), self.0.tallies.get(place)) else {
            return Err(refused());
        };
        let Some(level) = self.0.levels.get(schema.level) else { return Err(refused()) };
        let seat = if schema.free {
            None
        } else if let Some(seat) = level.try_sit() {
            Some(seat)
        } else {
            Some(self.wait(level, tally, user).await?)
        };
        let kind = usize::from(!matches!(info.verb.as_str(), "get" | "list" | "watch"));
        let [begun, ended] = [&tally.begun, &tally.ended].map(|both| both.get(kind));
        if let Some(begun) = begun {
            begun.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Seat { _place: seat, ended })
    }

    async fn wait<'a>(&'a self, level: &'a Level, tally: &'a Tally, user: &User) -> Result<level::Seat<'a>, Status> {
        let begun = Instant::now();
        let waits = Waits::new(tally);
        let waited = level.wait(self.0.hasher.hash_one(&user.name)).await;
        waits.over();
        match waited {
            Ok(seat) => {
                tally.waited.took(begun.elapsed());
                Ok(seat)
            }
            Err(Refused::QueueFull) => {
                tally.full.add(1);
                Err(refused())
            }
            Err(Refused::TimeOut) => {
                tally.late.add(1);
                Err(refused())
            }
        }
    }

    /// Requests that are worked on: reading ones, then changing ones.
    pub fn executing(&self) -> [u64; 2] {
        let mut sums = [0; 2];
        for tally in &self.0.tallies {
            for (sum, own) in sums.iter_mut().zip(tally.executing()) {
                *sum += own;
            }
        }
        sums
    }

    fn show(&self, registry: &Registry) {
        for (place, schema) in SCHEMAS.iter().enumerate() {
            let ask = |of: fn(&Tally) -> u64| {
                let shared = self.0.clone();
                move || shared.tallies.get(place).map_or(0, of)
            };
            let (labels, free) = (labels(schema), schema.free);
            let executing = ask(|tally| tally.executing().iter().sum());
            registry.asked(SEATS, &labels, move || if free { 0 } else { executing() });
            registry.asked(EXECUTING, &labels, ask(|tally| tally.executing().iter().sum()));
            registry.asked_total(DISPATCHED, &labels, ask(|tally| tally.begun.iter().map(load).sum()));
        }
        for facts in LEVELS {
            let seats = usize::try_from(facts.seats).unwrap_or(usize::MAX);
            registry.gauge(NOMINAL, &[("priority_level", facts.name)]).set(seats);
        }
        for (place, kind) in ["readOnly", "mutating"].into_iter().enumerate() {
            let flows = self.clone();
            let ask = move || flows.executing().get(place).copied().unwrap_or_default();
            registry.asked(IN_FLIGHT, &[("request_kind", kind)], ask);
        }
    }
}

fn refused() -> Status {
    Status::too_many_requests("Too many requests, please try again later.", RETRY)
}

fn labels(schema: &schema::Schema) -> [(&'static str, &'static str); 2] {
    let level = LEVELS.get(schema.level).map_or("", |level| level.name);
    [("flow_schema", schema.name), ("priority_level", level)]
}

fn load(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

impl Tally {
    fn new(registry: &Registry, labels: &[(&'static str, &'static str); 2]) -> Self {
        let [schema, level] = *labels;
        let rejected = |reason| registry.counter(REJECTED, &[schema, level, ("reason", reason)]);
        Tally {
            begun: Default::default(),
            ended: Default::default(),
            waiting: registry.gauge(IN_QUEUE, labels),
            waited: registry.histogram(WAIT, &[("execute", "true"), schema, level], WAITED),
            full: rejected("queue-full"),
            late: rejected("time-out"),
            gone: rejected("cancelled"),
        }
    }

    fn executing(&self) -> [u64; 2] {
        // What has ended is looked at first: what begins meanwhile must not make it look as if more had ended.
        let [[a, b], [c, d]] = [self.ended.each_ref().map(load), self.begun.each_ref().map(load)];
        [c.saturating_sub(a), d.saturating_sub(b)]
    }
}

/// One that waits, also if its client goes away.
struct Waits<'a> {
    tally: &'a Tally,
    over: bool,
}

impl<'a> Waits<'a> {
    fn new(tally: &'a Tally) -> Self {
        tally.waiting.add(1);
        Waits { tally, over: false }
    }

    fn over(mut self) {
        self.over = true;
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.tally.waiting.add(-1);
        self.tally.gone.add(u64::from(!self.over));
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(ended) = self.ended {
            ended.fetch_add(1, Ordering::Relaxed);
        }
    }
}

const EXECUTING: Metric = Metric {
    name: "apiserver_flowcontrol_current_executing_requests",
    help: "Requests that have a seat, or need none.",
};
const SEATS: Metric = Metric { name: "apiserver_flowcontrol_current_executing_seats", help: "Seats that are taken." };
const IN_QUEUE: Metric =
    Metric { name: "apiserver_flowcontrol_current_inqueue_requests", help: "Requests that wait for a seat." };
const DISPATCHED: Metric =
    Metric { name: "apiserver_flowcontrol_dispatched_requests_total", help: "Requests that were worked on." };
const NOMINAL: Metric = Metric { name: "apiserver_flowcontrol_nominal_limit_seats", help: "Seats of the level." };
const REJECTED: Metric =
    Metric { name: "apiserver_flowcontrol_rejected_requests_total", help: "Requests that got no seat." };
const WAIT: Metric = Metric {
    name: "apiserver_flowcontrol_request_wait_duration_seconds",
    help: "Time that requests waited for a seat, of those that had to wait and got one.",
};
const IN_FLIGHT: Metric = Metric { name: "apiserver_current_inflight_requests", help: "Requests being answered." };

#[cfg(test)]
mod tests;
