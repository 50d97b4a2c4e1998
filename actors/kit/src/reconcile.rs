//! The reconcile shell: a pure reconciler in the middle, changes in, commands out.
//!
//! Flow: changes of the watched resources are mapped to keys; the queue hands out each key once at a time; the reconciler decides; its commands
//! run, each naming what triggered the decision; the key comes back once the mirror holds what they wrote.
//!
//! Guarantees: a key is never reconciled on a state older than its own last write. A panic of the core parks the key after the third time in
//! a row and leaves the others alone; the tree shows it, an Event on the object tells of it, and the next change that concerns the key ends
//! it. A restart loses the queue; everything is listed and looked at again.

mod figures;
mod park;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cox_objects::{Key, Object, Resource, Status};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tracing::Instrument;

use crate::api::Failed;
use crate::feed::{Behind, Change, Feed};
use crate::lease::Leadership;
use crate::metrics::Registry;
use crate::queue::{Outcome, Queue};
use crate::recorder::Note;
use crate::supervise::{Child, Scope, StartError, guarded, worker};
use crate::view::ParseCache;
use crate::why::{Reason, Why};
use crate::{Api, Command, Decision, View};
use figures::Figures;
pub use park::left_alone;

/// How many keys of one reconciler have commands on their way at a time.
const IN_HAND: usize = 32;
/// How long a reconciler waits for the mirror to show its own write before it looks again; a mirror that is further behind is reported by its owner.
const OWN_WRITE: Duration = Duration::from_secs(30);

/// The pure core of a controller.
pub trait Reconciler: Send + 'static {
    /// Its name in the supervision tree and as reporter of Events (`replicaset-controller`).
    const NAME: &'static str;

    /// The resources whose changes it wants to see.
    fn watches(&self) -> Vec<Resource>;

    /// The keys to look at because of a change; called for every object at start. The keys are its own notion: usually those of the
    /// objects that it is responsible for.
    fn keys(&mut self, view: View<'_>, change: &Change) -> Vec<Key>;

    /// Decides what to do about a key: level-triggered, from what is there now.
    fn reconcile(&mut self, view: View<'_>, key: &Key, now: Timestamp) -> Decision;

    /// What to tell about a command that was refused; the key is tried again with backoff in any case.
    /// Conflicts are not reported here: they only say that the view was old.
    fn refused(&mut self, view: View<'_>, key: &Key, command: &Command, status: &Status) -> Vec<Note> {
        let _ = (view, key, command, status);
        Vec::new()
    }
}

/// A child of a supervision tree that runs a reconciler over a feed. With a leadership, it works only while it leads. Controllers of a process
/// share the cache of what they have parsed.
pub fn controller<R, F>(
    make: impl Fn() -> R + Send + Sync + 'static,
    feed: F,
    api: Api,
    leads: Option<Leadership>,
    cache: Arc<ParseCache>,
    metrics: Registry,
) -> Child
where
    R: Reconciler,
    F: Feed,
{
    let make = Arc::new(make);
    worker(R::NAME, move |scope| {
        let (make, feed, api, mut leads) = (make.clone(), feed.clone(), api.clone(), leads.clone());
        let (cache, metrics) = (cache.clone(), metrics.clone());
        async move {
            loop {
                if let Some(leads) = &mut leads {
                    tokio::select! {
                        () = scope.cancelled().cancelled() => return Ok(()),
                        led = leads.wait_for(Option::is_some) => { led?; }
                    }
                }
                let shell = Shell::new(make(), feed.clone(), api.clone(), cache.clone(), scope.clone(), &metrics);
                tokio::select! {
                    () = scope.cancelled().cancelled() => return Ok(()),
                    () = lost(&mut leads) => {}
                    result = shell.run() => match result {
                        Err(error) if error.is::<Behind>() => {
                            tracing::info!(controller = R::NAME, "{error}; everything is looked at again");
                        }
                        result => return result,
                    },
                }
            }
        }
    })
}

async fn lost(leads: &mut Option<Leadership>) {
    match leads {
        // A closed channel is a dead elector, which its supervisor starts again: without it nobody leads.
        Some(leads) => drop(leads.wait_for(Option::is_none).await),
        None => std::future::pending().await,
    }
}

struct Shell<R, F> {
    core: R,
    feed: F,
    api: Api,
    cache: Arc<ParseCache>,
    queue: Queue<Key>,
    scope: Scope,
    started: Instant,
    figures: Figures,
}

/// A decision, and what came of it.
struct Attempt {
    key: Key,
    commands: Vec<Command>,
    why: Why,
    /// When the key was taken in hand.
    began: Instant,
    result: Result<(), Failed>,
}

impl<R: Reconciler, F: Feed> Shell<R, F> {
    fn new(core: R, feed: F, api: Api, cache: Arc<ParseCache>, scope: Scope, metrics: &Registry) -> Self {
        let (queue, figures) = (Queue::default(), Figures::new(metrics, R::NAME));
        scope.set_parked(Vec::new());
        Shell { core, feed, api, cache, queue, scope, started: Instant::now(), figures }
    }

    async fn run(mut self) -> Result<(), StartError> {
        let mut changes = self.feed.changes(&self.core.watches());
        let mut in_hand = FuturesUnordered::new();
        loop {
            while in_hand.len() < IN_HAND {
                let Some(decided) = self.decide() else { break };
                let span = decided.why.span().clone();
                in_hand.push(execute(self.api.clone(), self.feed.clone(), decided).instrument(span));
            }
            self.figures.look(&mut self.queue);
            let due = self.queue.next_due().map(|due| tokio::time::Instant::from_std(self.started + due));
            tokio::select! {
                batch = changes.next() => {
                    let Some(batch) = batch else {
                        // What is on its way is not to be decided again before it is seen.
                        while in_hand.next().await.is_some() {}
                        return Err(Behind.into());
                    };
                    for change in &batch {
                        self.take_in(change);
                    }
                }
                Some(attempt) = in_hand.next() => self.settle(attempt),
                () = sleep_until(due), if in_hand.len() < IN_HAND => {}
            }
        }
    }

    fn take_in(&mut self, change: &Change) {
        if change.new.is_none() {
            self.cache.forget(&change.key);
        }
        let view = View::new(&self.feed, &self.cache);
        let core = &mut self.core;
        let keys = match guarded(|| core.keys(view, change)) {
            Ok(keys) => keys,
            Err(panic) => {
                // An object that nobody can read must not keep the controller from all others.
                let why = Why::of([Reason::change(change)], view.revision());
                tracing::error!(controller = R::NAME, key = %change.key, panic, "a change is passed over");
                if let Some(note) = park::note(view, &change.key, R::NAME, &panic) {
                    self.api.record(note, &why);
                }
                return;
            }
        };
        let mut released = false;
        for key in keys {
            released |= self.queue.add(key, Reason::change(change), self.started.elapsed());
        }
        if released {
            self.show_parked();
        }
    }

    fn show_parked(&self) {
        self.scope.set_parked(self.queue.parked().map(Key::to_string).collect());
    }

    /// Notes that the reconciliation of a key panicked; after the third time in a row it is left alone, and that is told.
    fn panicked(&mut self, key: &Key, reasons: Vec<Reason>, panic: &str) {
        if !self.queue.finish(key, self.started.elapsed(), Outcome::Panicked) {
            return;
        }
        tracing::error!(controller = R::NAME, %key, panic, "parked after its reconciliation panicked three times");
        self.show_parked();
        let view = View::new(&self.feed, &self.cache);
        if let Some(note) = park::note(view, key, R::NAME, panic) {
            self.api.record(note, &Why::of(reasons, view.revision()));
        }
    }

    /// Reconciles keys until one has commands to run.
    fn decide(&mut self) -> Option<Attempt> {
        loop {
            let job = self.queue.take(self.started.elapsed())?;
            let began = Instant::now();
            self.figures.waited(job.waited);
            let view = View::new(&self.feed, &self.cache);
            let observed = view.revision();
            let (core, scope) = (&mut self.core, &self.scope);
            let decided = guarded(|| {
                scope.strike_at(&job.key);
                core.reconcile(view, &job.key, crate::clock::now())
            });
            let decision = match decided {
                Ok(decision) => decision,
                Err(panic) => {
                    self.panicked(&job.key, job.reasons, &panic);
                    continue;
                }
            };
            if let Some((after, timer)) = decision.again {
                self.queue.add_after(job.key.clone(), self.started.elapsed(), after, timer);
            }
            if decision.commands.is_empty() {
                self.queue.finish(&job.key, self.started.elapsed(), Outcome::Done);
                self.figures.worked(began.elapsed());
                continue;
            }
            // Only now: a look that leads to nothing is no part of any trace.
            let why = Why::of(job.reasons, observed)
                .within(|| tracing::info_span!("controller.reconcile", controller = R::NAME, key = %job.key));
            return Some(Attempt { key: job.key, commands: decision.commands, why, began, result: Ok(()) });
        }
    }

    fn settle(&mut self, Attempt { key, commands, why, began, result }: Attempt) {
        self.figures.worked(began.elapsed());
        let now = self.started.elapsed();
        let Err(Failed { index, status, .. }) = result else {
            self.queue.finish(&key, now, Outcome::Done);
            return;
        };
        tracing::debug!(controller = R::NAME, %key, %status, "a command was refused");
        if status.reason != "Conflict"
            && let Some(command) = commands.get(index)
        {
            let view = View::new(&self.feed, &self.cache);
            let core = &mut self.core;
            let notes = guarded(|| core.refused(view, &key, command, &status));
            notes.unwrap_or_default().into_iter().for_each(|note| self.api.record(note, &why));
        }
        self.queue.finish(&key, now, Outcome::Failed);
    }
}

/// Runs commands, then waits until the feed shows what they wrote.
async fn execute<F: Feed>(api: Api, feed: F, decided: Attempt) -> Attempt {
    let result = api.run(&decided.commands, &decided.why).await;
    let written = match &result {
        Ok(done) => done.revision,
        Err(failed) => failed.revision,
    };
    if written > 0 && !feed.wait_for(written, OWN_WRITE).await {
        tracing::warn!(key = %decided.key, written, "the mirror does not show our own write yet");
    }
    Attempt { result: result.map(drop), ..decided }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Kind, name and uid of the owner that controls an object: what most reconcilers map a dependent to.
pub fn controller_of(object: &Object) -> Option<(String, String, String)> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Owner {
        #[serde(default)]
        controller: bool,
        kind: String,
        name: String,
        uid: String,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        #[serde(default)]
        owner_references: Vec<Owner>,
    }
    #[derive(serde::Deserialize)]
    struct Owned {
        metadata: Metadata,
    }
    let owned: Owned = object.parse_ref().ok()?;
    let owner = owned.metadata.owner_references.into_iter().find(|owner| owner.controller)?;
    Some((owner.kind, owner.name, owner.uid))
}
