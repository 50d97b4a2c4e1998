//! The actor that places pods: changes in, steps out to the apiserver, many at a time.
//!
//! Flow: all changes that are there are taken in before anything is decided; decisions are written in batches; what was written is known to the
//! planner before the mirror shows it. Guarantees: nothing is decided on a part of the objects at the start. Caveats: a restart loses the
//! queue with its backoffs; everything is listed and tried again. A pod whose decision panics three times in a row is left alone until it changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cox_kit::feed::{Behind, Changes, Feed};
use cox_kit::lease::Leadership;
use cox_kit::supervise::{Child, Scope, StartError, guarded, worker};
use cox_kit::{Api, Command, Reason, Registry, Why, clock};
use cox_objects::{Key, Revision, Status};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;

use crate::commands::{self, SCHEDULER};
use crate::figures::{Ended, Figures};
use crate::intake::{self, FOLLOWED};
use crate::journal::Journal;
use crate::planner::{Attempt, Planner, Step, Turn};
use crate::pod::Pod;

/// How many decisions travel together.
const BATCH: usize = 64;
/// How many batches are on their way; then decisions wait, and are made on newer facts.
const IN_FLIGHT: usize = 4;
/// How long deciding may go on before other actors get the thread.
const SLICE: Duration = Duration::from_millis(10);

/// The child that works while it leads.
pub(crate) fn scheduler<F: Feed>(
    feed: F,
    api: Api,
    leads: Leadership,
    journal: Arc<Mutex<Journal>>,
    metrics: Registry,
) -> Child {
    worker("scheduler", move |scope| {
        let (feed, api, mut leads, journal) = (feed.clone(), api.clone(), leads.clone(), journal.clone());
        let metrics = metrics.clone();
        async move {
            loop {
                tokio::select! {
                    () = scope.cancelled().cancelled() => return Ok(()),
                    led = leads.wait_for(Option::is_some) => { led?; }
                }
                let figures = Figures::new(&metrics);
                let shell = Shell::new(feed.clone(), api.clone(), journal.clone(), scope.clone(), figures);
                tokio::select! {
                    () = scope.cancelled().cancelled() => return Ok(()),
                    // A closed channel is a dead elector, which its supervisor starts again.
                    lost = leads.wait_for(Option::is_none) => drop(lost),
                    result = shell.run() => match result {
                        Err(error) if error.is::<Behind>() => tracing::info!("{error}; everything is looked at again"),
                        result => return result,
                    },
                }
            }
        }
    })
}

struct Shell<F> {
    planner: Planner,
    feed: F,
    api: Api,
    journal: Arc<Mutex<Journal>>,
    scope: Scope,
    /// The pods that are left alone, as the tree shows them.
    shown: BTreeSet<Key>,
    started: Instant,
    /// Chooses between equally good nodes, another one each time.
    turn: u64,
    figures: Figures,
}

/// What was written of a batch.
struct Written {
    pod: Arc<Pod>,
    bound: Option<Arc<str>>,
    decided: Decided,
    result: Result<(), Status>,
}

/// Why it was tried, and since when.
#[derive(Clone)]
struct Decided {
    why: Why,
    began: Instant,
}

impl<F: Feed> Shell<F> {
    fn new(feed: F, api: Api, journal: Arc<Mutex<Journal>>, scope: Scope, figures: Figures) -> Self {
        let (planner, started, turn) = (Planner::new(SCHEDULER), Instant::now(), rand::random());
        scope.set_parked(Vec::new());
        Shell { planner, feed, api, journal, scope, shown: BTreeSet::new(), started, turn, figures }
    }

    async fn run(mut self) -> Result<(), StartError> {
        let mut changes = self.feed.changes(&FOLLOWED);
        let mut in_flight = FuturesUnordered::new();
        loop {
            if self.drain(&mut changes).is_err() {
                break;
            }
            if in_flight.len() < IN_FLIGHT {
                let batch = self.decide();
                if !batch.is_empty() {
                    in_flight.push(write(self.api.clone(), self.feed.clone(), batch));
                }
            }
            self.figures.pending(self.planner.queue().waiting());
            self.show_left_alone();
            let free = in_flight.len() < IN_FLIGHT;
            let due = self.planner.queue().next_due().map(|due| tokio::time::Instant::from_std(self.started + due));
            tokio::select! {
                batch = changes.next() => if self.take_in(batch).is_err() { break },
                Some(written) = in_flight.next() => self.settle(written),
                () = sleep_until(due), if free => {}
                () = tokio::task::yield_now(), if free && self.planner.queue().is_ready() => {}
            }
        }
        // What is on its way takes up room that whoever starts anew must see.
        while in_flight.next().await.is_some() {}
        Err(Behind.into())
    }

    /// Takes in all changes that are there.
    fn drain(&mut self, changes: &mut Changes) -> Result<(), Behind> {
        while let Some(batch) = changes.next().now_or_never() {
            self.take_in(batch)?;
        }
        Ok(())
    }

    fn take_in(&mut self, batch: Option<Vec<cox_kit::feed::Change>>) -> Result<(), Behind> {
        let batch = batch.ok_or(Behind)?;
        let now = self.started.elapsed();
        for change in &batch {
            match guarded(|| intake::read(change)) {
                Ok(Some(fact)) => self.planner.take_in(fact, &Reason::change(change), now),
                Ok(None) => {}
                // An object that nobody can read must not keep the others from their nodes.
                Err(panic) => tracing::error!(key = %change.key, panic, "a change is passed over"),
            }
        }
        Ok(())
    }

    fn decide(&mut self) -> Vec<(Attempt, Decided)> {
        let slice = Instant::now();
        let observed: Revision = self.feed.revision();
        let mut batch = Vec::new();
        while batch.len() < BATCH && slice.elapsed() < SLICE {
            let began = Instant::now();
            self.turn = self.turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let Some(turn) = self.planner.take(self.started.elapsed()) else { break };
            let (planner, scope, tie_break) = (&mut self.planner, &self.scope, self.turn >> 32);
            let attempt = match guarded(|| {
                scope.strike_at(&turn.pod.key);
                planner.decide(&turn, tie_break)
            }) {
                Ok(decided) => planner.go(turn, decided, self.started.elapsed()),
                Err(panic) => {
                    self.panicked(turn, &panic, observed);
                    continue;
                }
            };
            self.journal.lock().keep(&attempt, observed, clock::now());
            let why = Why::of(attempt.reasons.iter().cloned(), observed).within(|| span(&attempt));
            batch.push((attempt, Decided { why, began }));
        }
        batch
    }

    /// Notes that the decision about a pod panicked; after the third time in a row the pod is left alone, and that is told.
    fn panicked(&mut self, turn: Turn, panic: &str, observed: Revision) {
        if self.planner.panicked(&turn, self.started.elapsed()) {
            tracing::error!(pod = %turn.pod.key, panic, "left alone after the decision about it panicked three times");
            self.api.record(commands::left_alone(&turn.pod, panic), &Why::of(turn.reasons, observed));
        }
    }

    fn show_left_alone(&mut self) {
        let now = self.planner.queue().left_alone();
        if *now != self.shown {
            self.shown.clone_from(now);
            self.scope.set_parked(now.iter().map(Key::to_string).collect());
        }
    }

    fn settle(&mut self, written: Vec<Written>) {
        let now = self.started.elapsed();
        for Written { pod, bound, decided, result } in written {
            if let Err(status) = &result {
                tracing::debug!(pod = %pod.key, %status, "what was decided was not written");
            }
            let ended = match (&bound, &result) {
                (_, Err(_)) => Ended::Error,
                (Some(_), Ok(())) => Ended::Scheduled,
                (None, Ok(())) => Ended::Unschedulable,
            };
            self.figures.attempt(ended, decided.began.elapsed());
            match bound {
                Some(node) => {
                    if result.is_ok() {
                        self.api.record(commands::bound(&pod, &node), &decided.why);
                    }
                    self.planner.settle_binding(&pod, result.is_ok(), &Reason::timer("binding"), now);
                }
                None => self.planner.settle_telling(&pod, result.is_ok(), now),
            }
        }
    }
}

/// The span of an attempt: from its decision until that is written.
fn span(attempt: &Attempt) -> tracing::Span {
    let node = match &attempt.step {
        Step::Bind { node, .. } => &**node,
        Step::Tell { .. } => "",
    };
    tracing::info_span!("scheduler.schedule", pod = %attempt.decision.pod, node, attempt = attempt.number)
}

/// Writes what was decided: bindings together, then conditions together, then for whom room is made.
async fn write<F: Feed>(api: Api, feed: F, batch: Vec<(Attempt, Decided)>) -> Vec<Written> {
    let (mut together, mut of) = (Vec::new(), Vec::new());
    let (mut conditions, mut told) = (Vec::new(), Vec::new());
    let mut written = Vec::new();
    for (attempt, decided) in batch {
        match attempt.step {
            Step::Bind { pod, node } => {
                together.push((commands::bind(&pod, &node), decided.why.clone()));
                of.push((pod, Some(node), decided));
            }
            Step::Tell { pod, message, nominate, victims } => {
                api.record(commands::failed(&pod, &message), &decided.why);
                let stored = feed.get(&pod.key);
                let nominated = nominate.as_ref().map(Option::as_ref);
                let say = stored.and_then(|s| commands::unschedulable(&s, &pod, &message, nominated, clock::now()));
                match (victims.is_empty(), say) {
                    (true, None) => written.push(Written { pod, bound: None, decided, result: Ok(()) }),
                    (true, Some(say)) => {
                        conditions.push((say, decided.why.clone()));
                        told.push((pod, None, decided));
                    }
                    (false, say) => {
                        written.push(make_room(&api, &feed, pod, nominate.flatten(), victims, say, decided).await)
                    }
                }
            }
        }
    }
    together.append(&mut conditions);
    of.append(&mut told);
    let results = api.run_each(&together).await;
    written.extend(of.into_iter().zip(results).map(|((pod, bound, decided), result)| Written {
        pod,
        bound,
        decided,
        result: result.map(drop),
    }));
    written
}

/// Pushes pods out of a node for another one, and says so.
async fn make_room<F: Feed>(
    api: &Api,
    feed: &F,
    pod: Arc<Pod>,
    node: Option<Arc<str>>,
    victims: Vec<Arc<Pod>>,
    say: Option<Command>,
    decided: Decided,
) -> Written {
    let going =
        victims.iter().filter_map(|victim| Some(commands::evict(&feed.get(&victim.key)?, victim, clock::now())));
    let run: Vec<Command> = going.flatten().chain(say).collect();
    let result = api.run(&run, &decided.why).await;
    let node = node.or_else(|| pod.nominated.clone()).unwrap_or_default();
    if result.is_ok() {
        victims.iter().for_each(|victim| api.record(commands::preempted(victim, &pod, &node), &decided.why));
    }
    Written { pod, bound: None, decided, result: result.map(drop).map_err(|failed| failed.status) }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
