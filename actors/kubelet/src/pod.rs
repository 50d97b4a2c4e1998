//! The worker of one pod: an actor that looks, decides ([`crate::plan`]), acts and tells.
//!
//! Flow: whatever happens (the Pod or what it names changes, the runtime tells of an exit, an operation is through, a probe has a verdict,
//! a time has come) leads to one [`turn`](State::turn): look at the runtime, plan, start the operations that are not under way, write the
//! status if it has changed.
//!
//! Guarantees: at most one operation of a kind is under way; operations can be aborted and repeated at any point. A restart of the actor
//! loses backoffs and the probes' counts; everything else is found again in the runtime.

mod figures;
mod health;
mod images;
mod look;
mod mounts;
mod operation;
mod outcome;
mod reasons;
mod start;
mod stop;
mod tell;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cox_kit::supervise::fault::Point;
use cox_kit::{Feed, Reason, Scope, Task};
use cox_objects::{Key, Object};
use cox_runtime::ContainerId;
use jiff::{SignedDuration, Timestamp};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::{AbortHandle, JoinHandle};

pub use images::Pulls;
pub use operation::{Finished, Operation};
use reasons::Reasons;

use crate::backoff::Backoff;
use crate::kept::Kept;
use crate::model::{ContainerView, Known, Memory, SandboxView, Verdict, Volumes, Waiting};
use crate::node::Context;
use crate::plan::{Progress, Step, plan, progress};
use crate::probes::tracker::Kind;
use crate::probes::watch::Prober;
use crate::spec::names::pod_id;
use crate::volumes::manager::{EMPTY_DIR, Places};
use crate::volumes::usage::{Bound, bounds};

/// How often volumes that follow API objects are looked at although nothing has been seen to change (tokens come due).
const REFRESH: Duration = Duration::from_secs(60);

/// How often it is measured what bounded volumes hold, as kubelets do.
const MEASURE: Duration = Duration::from_secs(10);

/// What a worker is told.
pub enum Message {
    /// The Pod has changed, the runtime tells of one of its containers, or a time has come.
    Look(Reason),
    /// A ConfigMap or Secret that the Pod may name has changed: what could not be made may be possible now.
    Sources(Reason),
    /// The operation of this serial number is through.
    Finished(u64, Operation, Finished),
    /// A probe has a verdict.
    Probed(ContainerId, Kind, bool),
    /// Volumes are to be looked at again.
    Refresh,
    /// What volumes hold is to be measured.
    Measure,
    /// A task of the worker panicked: the worker is to start anew.
    Broken(String),
}

/// The actor.
pub struct Worker<F>(std::marker::PhantomData<fn() -> F>);

impl<F> Default for Worker<F> {
    fn default() -> Self {
        Worker(std::marker::PhantomData)
    }
}

/// What a worker is started with.
pub struct Arguments<F> {
    /// Shared with the others.
    pub context: Arc<Context<F>>,
    /// Its place in the tree.
    pub scope: Scope,
    /// The pod.
    pub key: Key,
    /// As the API has it.
    pub pod: Kept,
    /// Whether the node refused it, and why.
    pub rejected: Option<Verdict>,
    /// What brought it here.
    pub reason: Reason,
}

/// An operation under way.
struct UnderWay {
    task: Task,
    since: Instant,
    /// Tells it apart from others of its kind: the end of one that was replaced is no news of its successor.
    serial: u64,
}

/// What a worker knows.
pub struct State<F> {
    context: Arc<Context<F>>,
    scope: Scope,
    myself: ActorRef<Message>,
    key: Key,
    /// Its parsed form is let go of whenever nothing is under way.
    pod: Kept,
    /// As it was when it was last looked at.
    considered: Object,
    reasons: Reasons,
    uid: String,
    /// The Pod is no longer in the API.
    gone: bool,
    /// Nothing has happened since a turn that found nothing to do: another one would find the same.
    settled: bool,
    memory: Memory,
    sandbox: Option<SandboxView>,
    containers: Vec<ContainerView>,
    places: Places,
    under_way: HashMap<Operation, UnderWay>,
    /// How many operations were begun.
    begun: u64,
    /// Operations that were cancelled: they may still be at work for a moment.
    leaving: Vec<JoinHandle<()>>,
    /// The version of the Pod whose status write was refused, and when: the same is not sent again at once.
    refused: Option<(String, Instant)>,
    probers: HashMap<ContainerId, Prober>,
    wake: Option<AbortHandle>,
    /// When the pod began to end.
    ending: Option<Instant>,
    figures: figures::Own,
    _fault: Point,
}

impl<F: Feed> Actor for Worker<F> {
    type Msg = Message;
    type State = Box<State<F>>;
    type Arguments = Arguments<F>;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        Arguments { context, scope, key, pod, rejected, reason }: Arguments<F>,
    ) -> Result<Box<State<F>>, ActorProcessingErr> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let told = pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map(|t| t.0);
        let memory = Memory {
            start_time: Some(told.unwrap_or_else(cox_kit::clock::now)),
            rejected: rejected.is_some(),
            verdict: rejected,
            ..Memory::default()
        };
        let figures = figures::Own::new(context.figures.share(), told.is_some());
        let fails = myself.clone();
        // An actor that is gone needs no end.
        let fault = scope.fault_point(move |why| drop(fails.send_message(Message::Broken(why))));
        let state = Box::new(State {
            context,
            scope,
            _fault: fault,
            uid,
            key,
            considered: pod.stored().clone(),
            reasons: Reasons::default(),
            pod,
            gone: false,
            settled: false,
            memory,
            sandbox: None,
            containers: Vec::new(),
            places: BTreeMap::new(),
            under_way: HashMap::new(),
            begun: 0,
            leaving: Vec::new(),
            refused: None,
            probers: HashMap::new(),
            wake: None,
            ending: None,
            figures,
            myself: myself.clone(),
        });
        myself.send_message(Message::Look(reason))?;
        if state.pod.spec.as_ref().is_some_and(|spec| spec.volumes.as_ref().is_some_and(|list| !list.is_empty())) {
            myself.send_interval(REFRESH, || Message::Refresh);
        }
        if !state.bounds().is_empty() {
            myself.send_interval(MEASURE, || Message::Measure);
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut Box<State<F>>,
    ) -> Result<(), ActorProcessingErr> {
        if let Message::Broken(panic) = message {
            return Err(panic.into());
        }
        state.take_in(message);
        // Boxed: what a turn needs while it waits would otherwise be a part of every worker at rest.
        Box::pin(state.turn()).await?;
        if state.is_over() {
            state.scope.remove();
            myself.stop(None);
        }
        state.let_go();
        Ok(())
    }
}

impl<F: Feed> State<F> {
    /// Takes in what a message tells.
    fn take_in(&mut self, message: Message) {
        // A look finds out by itself whether there is anything new.
        self.settled &= matches!(message, Message::Look(_));
        match message {
            Message::Look(reason) => self.look(reason),
            Message::Sources(reason) => self.sources_changed(reason),
            Message::Finished(serial, operation, finished) => self.finished(serial, operation, finished),
            Message::Probed(container, kind, good) => {
                self.because(kind.name());
                self.probed(&container, kind, good);
            }
            Message::Refresh => {
                self.because("volumes");
                self.refresh_volumes();
            }
            Message::Measure => self.measure_volumes(),
            Message::Broken(_) => {}
        }
    }

    /// Lets go of what only work needs, if none is under way: most pods have nothing done to them most of the time.
    fn let_go(&mut self) {
        if self.under_way.is_empty() {
            self.pod.rest();
            self.under_way.shrink_to_fit();
            self.leaving.shrink_to_fit();
            self.memory.shrink();
        }
    }

    fn known(&self) -> Known<'_> {
        Known { pod: &self.pod, sandbox: self.sandbox.as_ref(), containers: &self.containers, memory: &self.memory }
    }

    fn refresh_volumes(&mut self) {
        if self.memory.volumes == Volumes::Ready && !self.is_ending() {
            self.launch(Step::MakeVolumes);
        }
    }

    /// The bounds of the pod's volumes on disk.
    fn bounds(&self) -> Vec<Bound> {
        bounds(&self.pod, |name| self.context.config.volume_dir(&self.uid, EMPTY_DIR, name))
    }

    fn measure_volumes(&mut self) {
        if self.memory.volumes == Volumes::Ready && !self.is_ending() {
            let bounds = self.bounds();
            self.spawn(Operation::Measure, work::measure(bounds));
        }
    }

    fn is_over(&self) -> bool {
        self.gone && self.memory.finished && self.under_way.is_empty()
    }

    /// Nothing of the pod is to be begun any more.
    fn is_ending(&self) -> bool {
        let known = self.known();
        self.gone || self.memory.finished || known.is_ending() || progress(&known) == Progress::Over
    }

    /// Looks at the runtime, plans, acts, tells.
    async fn turn(&mut self) -> Result<(), ActorProcessingErr> {
        let changed = self.look_at_runtime().await?;
        if self.settled && !changed {
            self.decided(false);
            return Ok(());
        }
        self.count();
        let deadline = self.watch_deadline();
        let now = cox_kit::clock::now();
        if self.gone && !self.known().is_ending() {
            // Nobody will read a status, but what runs must end.
            let (reason, message) = ("Deleted".to_owned(), "the Pod is gone".to_owned());
            self.memory.verdict = Some(Verdict { reason, message });
        }
        if self.is_ending() {
            self.ending.get_or_insert_with(Instant::now);
            self.abandon_beginnings();
        }
        self.note_starts();
        let plan = plan(&self.known(), self.grace(), now);
        self.note_waits(&plan.waiting);
        let planned = !plan.steps.is_empty();
        let (deletes, steps): (Vec<Step>, Vec<Step>) = plan.steps.into_iter().partition(|step| *step == Step::Delete);
        for step in steps {
            self.launch(step);
        }
        self.note_starts();
        self.keep_probers();
        let settles = self.tell();
        if !deletes.is_empty() && !self.gone {
            self.launch(Step::Delete);
        }
        self.decided(plan.again.is_some() || settles.is_some());
        let wake = [plan.again, deadline, settles].into_iter().flatten().min();
        self.settled = !planned && wake.is_none() && self.under_way.is_empty();
        self.set_wake(wake);
        Ok(())
    }

    /// What is left of the grace period, of a pod that is to end. A sidecar whose turn comes late still gets a moment.
    fn grace(&self) -> Duration {
        let meta = &self.pod.metadata;
        let own = self.pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds);
        let seconds = if self.gone {
            0
        } else if meta.deletion_timestamp.is_some() {
            meta.deletion_grace_period_seconds.or(own).unwrap_or(30)
        } else {
            // Only a deletion may ask for none at all.
            own.unwrap_or(30).max(1)
        };
        let whole = Duration::from_secs(seconds.max(0).unsigned_abs());
        let passed = Duration::from_secs(self.ending.map_or(0, |since| since.elapsed().as_secs()));
        whole.saturating_sub(passed).max(stop::LEAST_GRACE.min(whole))
    }

    /// `activeDeadlineSeconds`: what is left of it.
    fn watch_deadline(&mut self) -> Option<Duration> {
        let limit = self.pod.spec.as_ref().and_then(|s| s.active_deadline_seconds)?;
        let passed = cox_kit::clock::now().duration_since(self.memory.start_time?);
        if self.is_ending() {
            return None;
        }
        let left = SignedDuration::from_secs(limit).saturating_sub(passed);
        if left.is_positive() {
            return Duration::try_from(left).ok();
        }
        let message = "Pod was active on the node longer than the specified deadline".to_owned();
        let why = self.why();
        self.context.tell(&why, &self.pod, "", false, "DeadlineExceeded", message.clone());
        self.memory.verdict = Some(Verdict { reason: "DeadlineExceeded".to_owned(), message });
        None
    }

    fn note_starts(&mut self) {
        self.memory.starting = self.under_way.keys().filter_map(Operation::starts).map(str::to_owned).collect();
    }

    fn note_waits(&mut self, waits: &[(String, Waiting)]) {
        for (name, waiting) in waits {
            let entered = self.memory.waiting.get(name).map(|w| w.reason.as_str()) != Some(waiting.reason.as_str());
            if entered && waiting.reason == "CrashLoopBackOff" {
                let message = format!("Back-off restarting failed container {name} in pod {}", pod_id(&self.pod));
                let path = self.field_path(name);
                let why = self.why();
                self.context.tell(&why, &self.pod, &path, true, "BackOff", message);
            }
            self.memory.waiting.insert(name.clone(), waiting.clone());
        }
    }

    fn field_path(&self, name: &str) -> String {
        let members = self.known().members();
        members.iter().find(|m| m.container.name == name).map(|m| m.field_path()).unwrap_or_default()
    }

    fn set_wake(&mut self, after: Option<Duration>) {
        if let Some(wake) = self.wake.take() {
            wake.abort();
        }
        if let Some(after) = after {
            let look = || Message::Look(Reason::timer("pod-timer"));
            let timer = self.myself.send_after(after + Duration::from_millis(2), look);
            self.wake = Some(timer.abort_handle());
        }
    }
}

/// The backoff that a restart at this moment sets.
fn next_backoff(memory: &mut Memory, name: &str, failed: Timestamp) {
    let next = Backoff::next(memory.crashes.get(name), failed, cox_kit::clock::now());
    memory.crashes.insert(name.to_owned(), next);
}

/// What a panic in one of a worker's tasks leads to.
fn broken(worker: &ActorRef<Message>) -> impl FnOnce(String) + Send + 'static {
    let worker = worker.clone();
    // A worker that is gone needs no end.
    move |panic| drop(worker.send_message(Message::Broken(panic)))
}
