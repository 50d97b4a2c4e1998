//! The operations of a pod's worker: what can be under way, and how each is begun and abandoned.

use std::time::{Duration, Instant};

use cox_kit::{Feed, Task};
use cox_runtime::{ContainerId, SandboxId};
use tracing::{Instrument, Span, info_span};

use super::{Message, State, UnderWay, broken, next_backoff, start, stop, work};
use crate::model::{SandboxView, Verdict};
use crate::plan::Step;
use crate::spec::names::Member;
use crate::volumes::manager::Places;

/// What can be under way; one of each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Volumes are put in place or brought up to date.
    Volumes,
    /// The sandbox is made.
    Sandbox,
    /// A container is created and started, by name.
    Start(String),
    /// A container is stopped.
    Stop(ContainerId),
    /// A container is forgotten.
    Remove(ContainerId),
    /// The sandbox is stopped.
    StopSandbox,
    /// The volumes are taken away, and everything else of a pod that is deleted.
    Finish,
    /// The Pod is deleted from the API.
    Delete,
    /// The status is written.
    Tell,
    /// What volumes hold is measured.
    Measure,
}

/// How an operation ended.
pub enum Finished {
    /// Volumes are in place.
    Volumes(Result<Places, String>),
    /// The sandbox stands.
    Sandbox(Result<SandboxView, String>),
    /// A container runs, or why not and when to try again.
    Started(Result<(), start::Failure>),
    /// The API refused a status: the Pod is gone or another one, or it is not valid.
    Refused,
    /// A volume holds more than it may, or none does.
    Measured(Option<Verdict>),
    /// Nothing more to say than whether it worked.
    Plain(Result<(), String>),
}

impl Operation {
    /// The name of the container that it starts.
    pub(super) fn starts(&self) -> Option<&str> {
        match self {
            Operation::Start(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it makes something: what is being made would come after what is taken away.
    fn makes(&self) -> bool {
        matches!(self, Operation::Sandbox | Operation::Volumes | Operation::Start(_))
    }

    /// The span that it works in, below that of the decision.
    fn span(&self, sync: &Span) -> Span {
        match self {
            Operation::Volumes => info_span!(parent: sync, "kubelet.volumes"),
            Operation::Sandbox => info_span!(parent: sync, "kubelet.sandbox"),
            Operation::Start(container) => info_span!(parent: sync, "kubelet.container.start", container),
            Operation::Stop(container) => info_span!(parent: sync, "kubelet.container.stop", %container),
            _ => sync.clone(),
        }
    }

    /// What `cox status` calls it.
    fn name(&self) -> String {
        match self {
            Operation::Volumes => "volumes".to_owned(),
            Operation::Sandbox => "sandbox".to_owned(),
            Operation::Start(name) => format!("start-{name}"),
            Operation::Stop(id) => format!("stop-{id}"),
            Operation::Remove(id) => format!("remove-{id}"),
            Operation::StopSandbox => "stop-sandbox".to_owned(),
            Operation::Finish => "finish".to_owned(),
            Operation::Delete => "delete".to_owned(),
            Operation::Tell => "status".to_owned(),
            Operation::Measure => "measure".to_owned(),
        }
    }
}

/// The id of a pod's sandbox.
pub(super) fn sandbox_id(uid: &str, attempt: u32) -> SandboxId {
    SandboxId(format!("{uid}-{attempt}"))
}

impl<F: Feed> State<F> {
    /// Starts a step's operation unless it is under way.
    pub(super) fn launch(&mut self, step: Step) {
        let (context, pod) = (self.context.clone(), self.pod.clone());
        match step {
            Step::MakeVolumes => {
                let (ips, why) = (self.sandbox_ips(), self.why());
                self.spawn(Operation::Volumes, async move { work::volumes(&context, &pod, ips, &why).await });
            }
            Step::MakeSandbox { attempt } => {
                self.spawn(Operation::Sandbox, async move { work::sandbox(&context, &pod, attempt).await });
            }
            Step::Start { member, attempt } => self.launch_start(*member, attempt),
            Step::Stop { id, name, grace, tell } => self.launch_stop(id, &name, grace, tell),
            Step::Remove(id) => {
                let Some(view) = self.containers.iter().find(|c| c.id == id).cloned() else { return };
                self.spawn(Operation::Remove(id), async move { work::remove(&context, &pod, &view).await });
            }
            Step::StopSandbox(id) => self.spawn(Operation::StopSandbox, async move {
                Finished::Plain(context.runtime.stop_sandbox(&id).await.map_err(|e| e.to_string()))
            }),
            Step::Finish => {
                if self.under_way.contains_key(&Operation::Finish) || self.under_way.keys().any(Operation::makes) {
                    return;
                }
                let uid = self.uid.clone();
                let leaving = std::mem::take(&mut self.leaving);
                self.spawn(Operation::Finish, async move { work::finish(&context, &uid, leaving).await });
            }
            Step::Delete => {
                // The last status comes first: it is what watchers of the deletion see.
                if self.under_way.contains_key(&Operation::Tell) {
                    return;
                }
                let (key, uid, why) = (self.key.clone(), self.uid.clone(), self.why());
                self.spawn(Operation::Delete, async move { work::delete(&context, key, uid, &why).await });
            }
        }
    }

    fn launch_start(&mut self, member: Member, attempt: u32) {
        let name = member.container.name.clone();
        if self.under_way.contains_key(&Operation::Start(name.clone())) {
            return;
        }
        let Some(sandbox) = self.sandbox.clone() else { return };
        let known = self.known();
        let ended = known.newest(&name).filter(|c| c.attempt < attempt && c.ended().is_some());
        if let Some(failed) = ended.and_then(|ended| known.failed_at(ended)) {
            next_backoff(&mut self.memory, &name, failed);
        }
        let waiting = self.memory.waiting.get(&name).cloned();
        let target = member.target.as_deref().and_then(|name| self.known().newest(name));
        let target = target.filter(|c| c.is_running()).map(|c| c.id.clone());
        let job =
            start::Job { member, attempt, sandbox, target, places: self.places.clone(), waiting, why: self.why() };
        let (context, pod) = (self.context.clone(), self.pod.clone());
        let work = async move { Finished::Started(start::run(&context, &pod, job).await) };
        self.spawn(Operation::Start(name), work);
    }

    fn launch_stop(&mut self, id: ContainerId, name: &str, grace: Duration, tell: Option<String>) {
        if grace.is_zero() {
            // A slower stop is given up for this one.
            self.under_way.remove(&Operation::Stop(id.clone()));
        }
        let why = self.why();
        if let Some(text) = tell {
            self.context.tell(&why, &self.pod, &self.field_path(name), false, "Killing", text);
        }
        self.memory.stopping.insert(id.clone());
        if !self.is_ending() {
            self.memory.condemned.insert(id.clone());
        }
        let member = self.known().members().into_iter().find(|m| m.container.name == name);
        let ip = self.sandbox_ips().into_iter().next().unwrap_or_default();
        let (context, pod) = (self.context.clone(), self.pod.clone());
        self.spawn(Operation::Stop(id.clone()), async move {
            Finished::Plain(stop::stop(&context, &pod, member, &id, &ip, grace, &why).await)
        });
    }

    fn sandbox_ips(&self) -> Vec<String> {
        self.sandbox.iter().flat_map(|s| &s.ips).map(ToString::to_string).collect()
    }

    /// Runs an operation as a task whose end is told to the worker; cancelled with the worker, and safe to repeat.
    pub(super) fn spawn(&mut self, operation: Operation, work: impl Future<Output = Finished> + Send + 'static) {
        if self.under_way.contains_key(&operation) {
            return;
        }
        self.begun += 1;
        let serial = self.begun;
        let (myself, own) = (self.myself.clone(), operation.clone());
        // Boxed: each future around another one holds room for it twice, and there are five around this one.
        let work = Box::pin(work);
        let work = async move {
            let finished = work.await;
            // A worker that is gone has no use for the news.
            let _ = myself.send_message(Message::Finished(serial, own, finished));
        };
        let span = operation.span(self.why().span());
        let task = Task::start(&self.scope, &operation.name(), work.instrument(span), broken(&self.myself));
        self.under_way.insert(operation, UnderWay { task, since: Instant::now(), serial });
    }

    /// Ends what only a pod that goes on would need. A sandbox that is being made is waited for: half of one could not be taken away.
    pub(super) fn abandon_beginnings(&mut self) {
        let ended = self.under_way.extract_if(|operation, _| operation.makes() && *operation != Operation::Sandbox);
        self.leaving.extend(ended.map(|(_, under_way)| under_way.task.cancel()));
    }
}
