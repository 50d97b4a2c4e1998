//! The worker of one pod: an actor that looks, decides ([`crate::plan`]), acts and tells.
//!
//! Flow: whatever happens (the Pod or what it names changes, the runtime tells of an exit, an operation is through, a probe has a verdict,
//! a time has come) leads to one [`turn`](State::turn): look at the runtime, plan, start the operations that are not under way, write the
//! status if it has changed.
//!
//! Guarantees: at most one operation of a kind is under way; operations can be aborted and repeated at any point. A restart of the actor
//! loses backoffs and the probes' counts; everything else is found again in the runtime.

mod images;
mod mounts;
mod operation;
mod start;
mod stop;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cox_kit::{Feed, Scope};
use cox_objects::{Key, Resource};
use cox_runtime::{ContainerId, SandboxState};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::Value;
use tokio::task::{AbortHandle, JoinHandle};

pub use images::Pulls;
pub use operation::{Finished, Operation};

use crate::backoff::Backoff;
use crate::model::{ContainerView, Health, Known, Memory, Retry, SandboxView, Verdict, Volumes, Waiting};
use crate::node::Context;
use crate::plan::{Progress, Step, plan, progress};
use crate::probes::tracker::Kind;
use crate::probes::watch::Prober;
use crate::spec::names::{Role, label, pod_id};
use crate::status::{NodeFacts, difference, status};
use crate::volumes::manager::Places;

/// How often volumes that follow API objects are looked at although nothing has been seen to change (tokens come due).
const REFRESH: Duration = Duration::from_secs(60);

/// How long the status of one container waits for that of another which is just starting.
const SETTLE: Duration = Duration::from_millis(300);
/// How long after a refusal the same status is sent again.
const REFUSED: Duration = Duration::from_secs(10);

/// What a worker is told.
pub enum Message {
    /// The Pod has changed, the runtime tells of one of its containers, or a time has come.
    Look,
    /// A ConfigMap or Secret that the Pod may name has changed: what could not be made may be possible now.
    Sources,
    /// An operation is through.
    Finished(Operation, Finished),
    /// A probe has a verdict.
    Probed(ContainerId, Kind, bool),
    /// Volumes are to be looked at again.
    Refresh,
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
    pub context: Context<F>,
    /// Its place in the tree.
    pub scope: Scope,
    /// The pod.
    pub pod: Arc<Pod>,
    /// Whether the node refused it, and why.
    pub rejected: Option<Verdict>,
}

/// An operation under way.
struct Task {
    handle: JoinHandle<()>,
    since: Instant,
}

/// What a worker knows.
pub struct State<F> {
    context: Context<F>,
    scope: Scope,
    myself: ActorRef<Message>,
    pod: Arc<Pod>,
    uid: String,
    /// The Pod is no longer in the API.
    gone: bool,
    memory: Memory,
    sandbox: Option<SandboxView>,
    containers: Vec<ContainerView>,
    places: Places,
    under_way: HashMap<Operation, Task>,
    /// Operations that were aborted: they may still be at work for a moment.
    leaving: Vec<JoinHandle<()>>,
    /// The version of the Pod whose status write was refused, and when: the same is not sent again at once.
    refused: Option<(String, Instant)>,
    probers: HashMap<ContainerId, Prober>,
    wake: Option<AbortHandle>,
}

impl<F: Feed> Actor for Worker<F> {
    type Msg = Message;
    type State = State<F>;
    type Arguments = Arguments<F>;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        Arguments { context, scope, pod, rejected }: Arguments<F>,
    ) -> Result<State<F>, ActorProcessingErr> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let told = pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map(|t| t.0);
        let memory = Memory {
            start_time: Some(told.unwrap_or_else(cox_kit::clock::now)),
            rejected: rejected.is_some(),
            verdict: rejected,
            ..Memory::default()
        };
        let state = State {
            context,
            scope,
            uid,
            pod,
            gone: false,
            memory,
            sandbox: None,
            containers: Vec::new(),
            places: BTreeMap::new(),
            under_way: HashMap::new(),
            leaving: Vec::new(),
            refused: None,
            probers: HashMap::new(),
            wake: None,
            myself: myself.clone(),
        };
        myself.send_message(Message::Look)?;
        myself.send_interval(REFRESH, || Message::Refresh);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State<F>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Look => state.reread(),
            Message::Sources => state.sources_changed(),
            Message::Finished(operation, finished) => state.finished(operation, finished),
            Message::Probed(container, kind, good) => state.probed(&container, kind, good),
            Message::Refresh => state.refresh_volumes(),
        }
        state.turn().await?;
        if state.is_over() {
            state.scope.remove();
            myself.stop(None);
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Message>, state: &mut State<F>) -> Result<(), ActorProcessingErr> {
        // The pod goes on without us; what is under way can be repeated.
        state.under_way.values().for_each(|task| task.handle.abort());
        state.probers.clear();
        Ok(())
    }
}

impl<F: Feed> State<F> {
    fn key(&self) -> Key {
        let meta = &self.pod.metadata;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Key::new(Resource::PODS, &text(&meta.namespace), &text(&meta.name))
    }

    fn known(&self) -> Known<'_> {
        Known { pod: &self.pod, sandbox: self.sandbox.as_ref(), containers: &self.containers, memory: &self.memory }
    }

    /// Takes in the Pod as the API has it now. One that is gone, or whose name another one has taken, is to be stopped at once.
    fn reread(&mut self) {
        match self.context.view().at::<Pod>(&self.key()) {
            Some(pod) if pod.metadata.uid.as_deref() == Some(&self.uid) => {
                let before = std::mem::replace(&mut self.pod, pod);
                let (old, new) = (&before.metadata, &self.pod.metadata);
                if old.labels != new.labels || old.annotations != new.annotations {
                    // Volumes of the downward API show them.
                    self.refresh_volumes();
                }
            }
            _ => self.gone = true,
        }
    }

    fn sources_changed(&mut self) {
        self.reread();
        for (name, waiting) in &self.memory.waiting {
            if waiting.reason == "CreateContainerConfigError" {
                self.memory.not_before.remove(&Retry::Container(name.clone()));
            }
        }
        self.memory.not_before.remove(&Retry::Volumes);
        self.refresh_volumes();
    }

    fn refresh_volumes(&mut self) {
        if self.memory.volumes == Volumes::Ready && !self.is_ending() {
            self.launch(Step::MakeVolumes);
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
        self.look_at_runtime().await?;
        let deadline = self.watch_deadline();
        let now = cox_kit::clock::now();
        if self.gone && !self.known().is_ending() {
            // Nobody will read a status, but what runs must end.
            let (reason, message) = ("Deleted".to_owned(), "the Pod is gone".to_owned());
            self.memory.verdict = Some(Verdict { reason, message });
        }
        if self.is_ending() {
            self.abandon_beginnings();
        }
        self.note_starts();
        let plan = plan(&self.known(), self.grace(), now);
        self.note_waits(&plan.waiting);
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
        self.set_wake([plan.again, deadline, settles].into_iter().flatten().min());
        Ok(())
    }

    /// The grace period, of a pod that is to end.
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
        Duration::from_secs(seconds.max(0).unsigned_abs())
    }

    async fn look_at_runtime(&mut self) -> Result<(), ActorProcessingErr> {
        let mut own: Vec<SandboxView> = Vec::new();
        let mut attempt = self.sandbox.as_ref().map_or(0, |s| s.attempt);
        // Sandboxes are numbered: the newest is the last that is there.
        while let Some(sandbox) = self.context.runtime.sandbox(&operation::sandbox_id(&self.uid, attempt)).await? {
            own.push(SandboxView {
                id: sandbox.spec.id.clone(),
                attempt,
                ready: sandbox.state == SandboxState::Ready,
                ips: sandbox.addresses.clone(),
            });
            attempt += 1;
        }
        if let Some(newest) = own.pop() {
            self.sandbox = Some(newest);
        }
        let Some(sandbox) = &self.sandbox else { return Ok(()) };
        let listed = self.context.runtime.list_containers(Some(&sandbox.id)).await?;
        let mut views = Vec::with_capacity(listed.len());
        for info in listed {
            let name = info.labels.get(label::CONTAINER_NAME).cloned().unwrap_or_else(|| info.name.clone());
            let before = self.containers.iter().find(|c| c.id == info.id);
            let (user, image, image_id) = match before {
                Some(view) => (view.user.clone(), view.image.clone(), view.image_id.clone()),
                None => {
                    let status = self.context.runtime.container_status(&info.id).await?;
                    let asked = self.known().members().into_iter().find(|m| m.container.name == name);
                    let asked = asked.and_then(|m| m.container.image).unwrap_or_default();
                    let (image, id) = images::told(&self.context, &info.image_id, asked).await;
                    (status.map(|s| s.user).unwrap_or_default(), image, id)
                }
            };
            let mut view = ContainerView {
                id: info.id,
                name,
                attempt: info.attempt,
                hash: info.labels.get(label::CONTAINER_HASH).cloned().unwrap_or_default(),
                image,
                image_id,
                state: info.state,
                user,
                message: before.map(|b| b.message.clone()).unwrap_or_default(),
            };
            if view.ended().is_some() && before.is_none_or(|b| b.ended().is_none()) {
                view.message = stop::termination_message(&self.context, &self.pod, &view).await;
                self.memory.stopping.remove(&view.id);
                self.memory.health.remove(&view.id);
            }
            views.push(view);
        }
        self.containers = views;
        Ok(())
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
        self.context.tell(&self.pod, "", false, "DeadlineExceeded", message.clone());
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
                self.context.tell(&self.pod, &path, true, "BackOff", message);
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
            let timer = self.myself.send_after(after + Duration::from_millis(2), || Message::Look);
            self.wake = Some(timer.abort_handle());
        }
    }

    /// Starts the probes of containers that run, and ends those of containers that no longer do.
    fn keep_probers(&mut self) {
        let running: Vec<ContainerView> = self.containers.iter().filter(|c| c.is_running()).cloned().collect();
        self.probers.retain(|id, _| running.iter().any(|c| c.id == *id));
        let members = self.known().members();
        for view in running {
            let Some(member) = members.iter().find(|m| m.container.name == view.name) else { continue };
            if matches!(member.role, Role::Init | Role::Ephemeral) || self.probers.contains_key(&view.id) {
                continue;
            }
            // The hook after the start comes before any probe.
            if self.under_way.contains_key(&Operation::Start(view.name.clone())) {
                continue;
            }
            let found = self.found_health(&view);
            let health = self.memory.health.entry(view.id.clone()).or_insert(found);
            if member.container.startup_probe.is_none() {
                health.started = true;
            }
            let ip = self.sandbox.as_ref().and_then(|s| s.ips.first()).map(ToString::to_string);
            let ip = ip.or_else(|| self.context.config.node_ips.first().cloned()).unwrap_or_default();
            let started = health.started;
            let prober = Prober::start(&self.context, &self.pod, member, &view, ip, started, &self.myself);
            self.probers.insert(view.id.clone(), prober);
        }
    }

    /// The health of a container that this worker did not start: as it was told, so that a restart of the agent makes no pod unready.
    fn found_health(&self, view: &ContainerView) -> Health {
        let known = self.known();
        let told =
            known.told(&view.name).filter(|s| s.container_id.as_deref().is_some_and(|id| id.ends_with(&view.id.0)));
        told.map(|s| Health { started: s.started == Some(true), ready: s.ready, doomed: None }).unwrap_or_default()
    }

    fn probed(&mut self, container: &ContainerId, kind: Kind, good: bool) {
        let Some(view) = self.containers.iter().find(|c| c.id == *container && c.is_running()) else { return };
        let name = view.name.clone();
        let health = self.memory.health.entry(container.clone()).or_default();
        match (kind, good) {
            (Kind::Startup, true) => health.started = true,
            (Kind::Readiness, good) => health.ready = good,
            (Kind::Liveness, true) => {}
            (Kind::Startup | Kind::Liveness, false) => {
                let probe = kind.title().to_lowercase();
                health.doomed = Some(format!("Container {name} failed {probe} probe, will be restarted"));
            }
        }
    }

    /// Writes the status if it is not what the API has, one write at a time; says after which time to look again at one that is held back.
    fn tell(&mut self) -> Option<Duration> {
        if self.gone || self.under_way.contains_key(&Operation::Tell) {
            return None;
        }
        let version = self.pod.metadata.resource_version.clone().unwrap_or_default();
        if let Some((refused, at)) = &self.refused
            && *refused == version
            && at.elapsed() < REFUSED
        {
            return Some(REFUSED.saturating_sub(at.elapsed()));
        }
        let node = NodeFacts { host_ips: self.context.config.node_ips.clone() };
        let wanted = status(&self.known(), &node, cox_kit::clock::now());
        let stored = self.context.feed.get(&self.key()).map(|object| object.value()).unwrap_or_default();
        let has = stored.get("status").cloned().unwrap_or_else(|| serde_json::json!({}));
        difference(&without_nulls(has.clone()), &without_nulls(wanted.clone()))?;
        let patch = difference(&has, &wanted)?;
        if let Some(rest) = self.settling(&has, &wanted) {
            return Some(rest);
        }
        self.launch_tell(patch);
        None
    }

    /// For how long a first status of main containers is held back while others of the pod are just starting: they are told of together.
    fn settling(&self, has: &Value, wanted: &Value) -> Option<Duration> {
        let pending = |status: &Value| status.get("phase").and_then(Value::as_str) == Some("Pending");
        let same =
            has.get("containerStatuses").is_none() || has.get("containerStatuses") == wanted.get("containerStatuses");
        if same || !pending(has) || !pending(wanted) {
            return None;
        }
        let starts = self.under_way.iter().filter(|(operation, _)| operation.starts().is_some());
        let youngest = starts.map(|(_, task)| task.since.elapsed()).min()?;
        SETTLE.checked_sub(youngest).filter(|rest| !rest.is_zero())
    }
}

/// A value without the nulls in it: a field that is null and one that is absent say the same.
fn without_nulls(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for field in fields.values_mut() {
                *field = without_nulls(field.take());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_nulls(item.take())),
        _ => {}
    }
    value
}

/// The backoff that a restart at this moment sets.
fn next_backoff(memory: &mut Memory, name: &str, failed: Timestamp) {
    let next = Backoff::next(memory.crashes.get(name), failed, cox_kit::clock::now());
    memory.crashes.insert(name.to_owned(), next);
}
