//! The pods of the node: starts a worker for each pod that is bound to it, and tells the workers what concerns them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cox_kit::feed::Change;
use cox_kit::supervise::fault::Point;
use cox_kit::supervise::{Child, State as TreeState};
use cox_kit::{Feed, Reason, Scope, Task, Why};
use cox_objects::{Key, Resource, Revision};
use cox_runtime::Event;
use k8s_openapi::api::core::v1::Pod;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::broadcast::error::RecvError;

use crate::admit::{Claim, admit};
use crate::kept::{Kept, uid_of};
use crate::model::Verdict;
use crate::node::Context;
use crate::pod::{self, Worker};

mod sweep;

/// How often everything is looked at although nothing has been told: a safety net.
const LOOK: Duration = Duration::from_secs(30);
/// The first such look: by then the feed has usually told what there is.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// How long a pod's worker rests after its first failure; it doubles up to [`LONGEST_REST`] while failures continue.
const REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// How long until it is tried again to remove what is left of a pod.
const SWEEP_AGAIN: Duration = Duration::from_secs(2);
/// After so long without a failure the next one counts as the first.
const FORGIVEN: Duration = Duration::from_secs(120);

enum Message {
    /// Changes of the feed; answered when they are taken in, so that no more come than are worked off.
    Changed(Vec<Change>, RpcReplyPort<()>),
    Happened(Event),
    LookAtAll,
    /// A worker that failed is started again.
    Again(String),
    /// The sweep is through; whether all that it found went.
    Swept(bool),
    /// What could not be removed is tried again.
    SweepAgain,
    /// A task of this actor panicked.
    Broken(String),
}

struct Pods<F>(std::marker::PhantomData<fn() -> F>);

struct Entry {
    key: Key,
    /// The node refused the pod: it takes up no room.
    rejected: bool,
    /// What it took of the node's room at this revision of it; none if it had ended.
    claim: (Revision, Option<Claim>),
    /// None for a moment after it failed.
    worker: Option<ActorRef<pod::Message>>,
    scope: Scope,
    /// How often the worker failed, and when it last did.
    failures: Option<(u32, Instant)>,
}

impl Entry {
    fn send(&self, message: pod::Message) {
        if let Some(worker) = &self.worker {
            // One that has just ended is removed by its own event; one that failed looks at everything once it is back.
            let _ = worker.send_message(message);
        }
    }

    /// What the pod takes of the node's room now. It is worked out again only if the pod has changed since it was asked for.
    fn claim<F: Feed>(&mut self, uid: &str, context: &Context<F>) -> Option<Claim> {
        let stored = context.feed.get(&self.key)?;
        if stored.revision() != self.claim.0 {
            // The name of one that is just going may have been taken by another.
            let own = stored.parse::<Pod>().ok().filter(|pod| pod.metadata.uid.as_deref() == Some(uid));
            self.claim = (stored.revision(), own.and_then(|pod| Claim::of(&pod)));
        }
        self.claim.1.clone()
    }

    /// Notes a failure; how long the worker rests before it is started again.
    fn failed(&mut self, now: Instant) -> Duration {
        let lately = self.failures.filter(|(_, last)| now.duration_since(*last) < FORGIVEN);
        let count = lately.map_or(0, |(count, _)| count);
        self.failures = Some((count.saturating_add(1), now));
        self.worker = None;
        REST.saturating_mul(1 << count.min(16)).min(LONGEST_REST)
    }
}

/// How far it is with what was left of pods that are gone.
enum Sweeping {
    /// It has not been looked for yet.
    Never,
    /// It was looked for.
    Done,
    /// It is being removed; whether it is to be looked for once more.
    UnderWay { _task: Task, again: bool },
}

struct State<F> {
    context: Arc<Context<F>>,
    scope: Scope,
    /// By uid: a new pod of the same name is another one.
    workers: HashMap<String, Entry>,
    sweeping: Sweeping,
    /// What listens to the feed and to the runtime.
    _ears: [Task; 2],
    _fault: Point,
}

/// The child that runs the node's pods. A restart finds everything again: pods in the feed, containers in the runtime; nothing is started
/// twice.
pub fn pods<F: Feed>(context: Context<F>) -> Child {
    let context = Arc::new(context);
    Child::new("pods", move |scope, parent| {
        let arguments = (context.clone(), scope);
        Box::pin(async move {
            let (actor, _) = Actor::spawn_linked(None, Pods::<F>(std::marker::PhantomData), arguments, parent).await?;
            Ok(actor.get_cell())
        })
    })
}

impl<F: Feed> Actor for Pods<F> {
    type Msg = Message;
    type State = State<F>;
    type Arguments = (Arc<Context<F>>, Scope);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (context, scope): Self::Arguments,
    ) -> Result<State<F>, ActorProcessingErr> {
        let broken = || {
            let myself = myself.clone();
            // An actor that is gone needs no end.
            move |panic| drop(myself.send_message(Message::Broken(panic)))
        };
        let ears = [
            Task::start(&scope, "feed", pump_changes(context.clone(), myself.clone()), broken()),
            Task::start(&scope, "runtime-events", pump_events(context.clone(), myself.clone()), broken()),
        ];
        let fault = scope.fault_point(broken());
        myself.send_after(FIRST_LOOK, || Message::LookAtAll);
        myself.send_interval(LOOK, || Message::LookAtAll);
        Ok(State { context, scope, workers: HashMap::new(), sweeping: Sweeping::Never, _ears: ears, _fault: fault })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State<F>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Changed(changes, done) => {
                for change in changes {
                    state.take_in(&change, &myself).await?;
                }
                if matches!(state.sweeping, Sweeping::Never) {
                    state.sweep(&myself);
                }
                // The pump that waits may have been stopped.
                let _ = done.send(());
            }
            Message::Happened(event) => {
                let (sandbox, what) = match &event {
                    Event::Started { sandbox, .. } => (sandbox, "container-started"),
                    Event::Exited { sandbox, .. } => (sandbox, "container-exited"),
                };
                let uid = sandbox.0.rsplit_once('-').map_or(sandbox.0.as_str(), |(uid, _)| uid);
                state.look(uid, what);
            }
            Message::LookAtAll => {
                let uids: Vec<String> = state.workers.keys().cloned().collect();
                uids.iter().for_each(|uid| state.look(uid, "relist"));
                state.sweep(&myself);
            }
            Message::Swept(whole) => {
                let again = matches!(state.sweeping, Sweeping::UnderWay { again: true, .. });
                state.sweeping = Sweeping::Done;
                if again {
                    state.sweep(&myself);
                } else if !whole {
                    myself.send_after(SWEEP_AGAIN, || Message::SweepAgain);
                }
            }
            Message::SweepAgain => state.sweep(&myself),
            Message::Again(uid) => state.again(&uid, &myself).await?,
            Message::Broken(panic) => return Err(panic.into()),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State<F>,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                let Some((uid, entry)) = state.entry_of(&cell) else { return Ok(()) };
                tracing::error!(pod = %entry.key, %error, "a pod's worker failed and is started again");
                entry.scope.set(TreeState::Restarting, Some(error.to_string()));
                let rest = entry.failed(Instant::now());
                myself.send_after(rest, move || Message::Again(uid));
            }
            SupervisionEvent::ActorTerminated(cell, ..) => {
                if let Some((uid, _)) = state.entry_of(&cell) {
                    state.workers.remove(&uid);
                }
                state.sweep(&myself);
            }
            _ => {}
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Message>, state: &mut State<F>) -> Result<(), ActorProcessingErr> {
        for worker in state.workers.values().filter_map(|entry| entry.worker.as_ref()) {
            worker.stop(None);
        }
        Ok(())
    }
}

impl<F: Feed> State<F> {
    async fn take_in(&mut self, change: &Change, myself: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        if change.new.is_none() {
            self.context.cache.forget(&change.key);
        }
        if change.key.resource != Resource::PODS {
            self.tell_users(change);
            return Ok(());
        }
        for entry in self.workers.values().filter(|entry| entry.key == change.key) {
            entry.send(pod::Message::Look(Reason::change(change)));
        }
        let uid = self.context.feed.get(&change.key).and_then(|pod| uid_of(&pod));
        if uid.is_none_or(|uid| self.workers.contains_key(&uid)) {
            return Ok(());
        }
        match self.context.pod(&change.key) {
            Some(pod) => self.begin(pod, Reason::change(change), myself).await,
            None => Ok(()),
        }
    }

    /// Tells the workers whose pods may name an object that has changed: those of its namespace.
    fn tell_users(&self, change: &Change) {
        for entry in self.workers.values().filter(|entry| entry.key.namespace() == change.key.namespace()) {
            entry.send(pod::Message::Sources(Reason::change(change)));
        }
    }

    fn look(&self, uid: &str, why: &str) {
        if let Some(entry) = self.workers.get(uid) {
            entry.send(pod::Message::Look(Reason::timer(why)));
        }
    }

    /// Starts a worker for a pod of this node that has none.
    async fn begin(&mut self, pod: Kept, reason: Reason, myself: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        let ours = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()) == Some(&self.context.config.node_name);
        let Some(uid) = pod.metadata.uid.clone().filter(|uid| ours && !self.workers.contains_key(uid)) else {
            return Ok(());
        };
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (namespace, name) = (text(&pod.metadata.namespace), text(&pod.metadata.name));
        let others = self.others(&uid);
        let rejected = admit(&pod, &others, &self.context);
        if let Some(verdict) = &rejected {
            let why = Why::of([reason.clone()], self.context.feed.revision());
            self.context.tell(&why, &pod, "", true, &verdict.reason, verdict.message.clone());
        }
        let key = Key::new(Resource::PODS, &namespace, &name);
        let scope = self.scope.child(&format!("{namespace}.{name}"));
        let claim = (pod.stored().revision(), Claim::of(&pod));
        let mut entry = Entry { key, rejected: rejected.is_some(), claim, worker: None, scope, failures: None };
        entry.worker = Some(self.spawn(&entry, (pod, rejected), reason, myself).await?);
        self.workers.insert(uid, entry);
        Ok(())
    }

    /// Starts a worker that failed again, unless its pod is gone: what is left of that is swept.
    async fn again(&mut self, uid: &str, myself: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        let others = self.others(uid);
        let Some(entry) = self.workers.get(uid).filter(|entry| entry.worker.is_none()) else { return Ok(()) };
        let pod = self.context.pod(&entry.key).filter(|pod| pod.metadata.uid.as_deref() == Some(uid));
        let Some(pod) = pod else {
            entry.scope.remove();
            self.workers.remove(uid);
            self.sweep(myself);
            return Ok(());
        };
        let rejected = admit(&pod, &others, &self.context);
        let worker = self.spawn(entry, (pod, rejected), Reason::timer("restart"), myself).await?;
        if let Some(entry) = self.workers.get_mut(uid) {
            entry.worker = Some(worker);
        }
        Ok(())
    }

    async fn spawn(
        &self,
        entry: &Entry,
        (pod, rejected): (Kept, Option<Verdict>),
        reason: Reason,
        myself: &ActorRef<Message>,
    ) -> Result<ActorRef<pod::Message>, ActorProcessingErr> {
        entry.scope.set(TreeState::Running, None);
        let (context, scope, key) = (self.context.clone(), entry.scope.clone(), entry.key.clone());
        let arguments = pod::Arguments { context, scope, key, pod, rejected, reason };
        let (worker, _) = Actor::spawn_linked(None, Worker::<F>::default(), arguments, myself.get_cell()).await?;
        Ok(worker)
    }

    fn entry_of(&mut self, cell: &ActorCell) -> Option<(String, &mut Entry)> {
        let is_own = |entry: &Entry| entry.worker.as_ref().is_some_and(|worker| worker.get_cell() == *cell);
        self.workers.iter_mut().find(|(_, entry)| is_own(entry)).map(|(uid, entry)| (uid.clone(), entry))
    }

    /// What the other pods take of the node's room.
    fn others(&mut self, uid: &str) -> Vec<Claim> {
        let known = self.workers.iter_mut().filter(|(other, entry)| other.as_str() != uid && !entry.rejected);
        known.filter_map(|(uid, entry)| entry.claim(uid, &self.context)).collect()
    }

    /// Begins to remove what is left of pods that are gone, unless that is under way: then once more after it.
    fn sweep(&mut self, myself: &ActorRef<Message>) {
        // A feed that has not told yet what there is knows of no pod.
        if self.context.feed.revision() == 0 {
            return;
        }
        if let Sweeping::UnderWay { again, .. } = &mut self.sweeping {
            *again = true;
            return;
        }
        let (context, workers) = (self.context.clone(), self.workers.keys().cloned().collect());
        let (told, broken) = (myself.clone(), myself.clone());
        let work = async move {
            let whole = sweep::sweep(context, workers).await;
            // An actor that is gone needs no end.
            let _ = told.send_message(Message::Swept(whole));
        };
        let broken = move |panic| drop(broken.send_message(Message::Broken(panic)));
        self.sweeping = Sweeping::UnderWay { _task: Task::start(&self.scope, "sweep", work, broken), again: false };
    }
}

async fn pump_changes<F: Feed>(context: Arc<Context<F>>, pods: ActorRef<Message>) {
    let resources = [Resource::PODS, Resource::CONFIGMAPS, Resource::SECRETS];
    let mut changes = context.feed.changes(&resources);
    loop {
        while let Some(batch) = changes.next().await {
            if pods.call(|port| Message::Changed(batch, port), None).await.is_err() {
                return;
            }
        }
        tracing::info!("fell behind the node's feed; all pods are looked at again");
        changes = context.feed.changes(&resources);
        // Of pods that went meanwhile no change tells.
        if pods.send_message(Message::LookAtAll).is_err() {
            return;
        }
    }
}

async fn pump_events<F: Feed>(context: Arc<Context<F>>, pods: ActorRef<Message>) {
    let mut events = context.runtime.events();
    loop {
        let message = match events.recv().await {
            Ok(event) => Message::Happened(event),
            Err(RecvError::Lagged(_)) => Message::LookAtAll,
            Err(RecvError::Closed) => return,
        };
        if pods.send_message(message).is_err() {
            return;
        }
    }
}
