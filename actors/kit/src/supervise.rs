//! Supervision trees: children that are restarted with backoff, intensity limits, ordered shutdown, and what `cox status` shows.
//!
//! Flow: a component's root [`supervisor`] starts its children in order. A child that fails is started again after a backoff;
//! one that fails more than [`INTENSITY`] times within [`PERIOD`] takes its supervisor down with it, whose own supervisor
//! then does the same one level up. A root that gives up ends the component; one that panics is started again as any other actor is.
//! Shutdown stops children in reverse order of start.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};

pub mod fault;
pub mod scope;
pub mod worker;

use fault::Faults;
pub use scope::{Node, Scope, State};
pub use worker::worker;

use crate::task::panic_text;

/// How many failures of its children a supervisor takes within [`PERIOD`].
pub const INTENSITY: usize = 8;
/// The window of the intensity limit.
pub const PERIOD: Duration = Duration::from_secs(30);
/// The delay before the first restart; it doubles up to [`MAX_RESTART_DELAY`] while failures continue within [`PERIOD`].
pub const RESTART_DELAY: Duration = Duration::from_millis(20);
/// The longest delay before a restart.
pub const MAX_RESTART_DELAY: Duration = Duration::from_secs(5);
/// How long a child that supervises no others may take to stop before it is left behind.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// What any actor's start may fail with.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Starts an actor linked to its supervisor.
pub type Start = Arc<dyn Fn(Scope, ActorCell) -> BoxFuture<'static, Result<ActorCell, StartError>> + Send + Sync>;

/// Runs a pure decision; one that panics is its text. What it was to change is not to be relied upon then.
///
/// # Errors
/// The text of the panic.
pub fn guarded<T>(decide: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decide)).map_err(|panic| panic_text(panic.as_ref()))
}

/// A child of a supervisor: a name, unique among its siblings, and how to start it.
#[derive(Clone)]
pub struct Child {
    name: String,
    start: Start,
    /// It has children of its own, which it stops one after the other.
    supervises: bool,
}

impl Child {
    /// A child started by a function.
    pub fn new<F>(name: impl Into<String>, start: F) -> Self
    where
        F: Fn(Scope, ActorCell) -> BoxFuture<'static, Result<ActorCell, StartError>> + Send + Sync + 'static,
    {
        Child { name: name.into(), start: Arc::new(start), supervises: false }
    }

    /// A child that supervises children of its own.
    pub fn supervisor(name: impl Into<String>, children: Vec<Child>) -> Self {
        let child = Child::new(name, move |scope, parent| {
            let children = children.clone();
            Box::pin(async move {
                let started = Actor::spawn_linked(None, Supervisor, (scope, children), parent).await;
                Ok(started.map_err(start_error)?.0.get_cell())
            })
        });
        Child { supervises: true, ..child }
    }
}

struct Supervisor;

#[derive(Debug)]
enum Message {
    Restart(usize),
    /// A test wants to see it fail.
    Panic(String),
}

struct Kid {
    child: Child,
    scope: Scope,
    cell: Option<ActorCell>,
}

struct Children {
    scope: Scope,
    kids: Vec<Kid>,
    failures: Vec<Instant>,
    _fault: fault::Point,
}

impl Children {
    async fn start(&mut self, index: usize, myself: &ActorRef<Message>) -> Result<(), StartError> {
        let Some(kid) = self.kids.get_mut(index) else { return Ok(()) };
        kid.scope = self.scope.child(&kid.child.name);
        kid.scope.set(State::Starting, None);
        let cell = (kid.child.start)(kid.scope.clone(), myself.get_cell()).await?;
        kid.scope.set(State::Running, None);
        kid.cell = Some(cell);
        Ok(())
    }

    /// Notes a failure; returns the delay before the restart, or none if there were too many.
    fn failed(&mut self, now: Instant, error: &str) -> Option<Duration> {
        if Faults::wished_for(error) {
            return Some(RESTART_DELAY);
        }
        self.failures.retain(|at| now.duration_since(*at) < PERIOD);
        self.failures.push(now);
        let count = self.failures.len();
        (count <= INTENSITY).then(|| RESTART_DELAY.saturating_mul(1 << count.min(16)).min(MAX_RESTART_DELAY))
    }

    /// Stops all children; what is returned takes the supervisor down.
    async fn give_up(&mut self, why: String) -> ActorProcessingErr {
        self.scope.set(State::Failed, Some(why.clone()));
        self.stop().await;
        why.into()
    }

    async fn stop(&mut self) {
        for kid in self.kids.iter_mut().rev() {
            if !kid.child.supervises {
                kid.scope.cancelled().cancel();
            }
            if let Some(cell) = kid.cell.take() {
                let timeout = (!kid.child.supervises).then_some(STOP_TIMEOUT);
                if cell.stop_and_wait(Some("shutdown".to_owned()), timeout).await.is_err() {
                    tracing::warn!(actor = kid.scope.path(), "did not stop in time and is left behind");
                    cell.kill();
                }
            }
            kid.scope.cancelled().cancel();
            kid.scope.set(State::Stopped, None);
        }
    }
}

impl Actor for Supervisor {
    type Msg = Message;
    type State = Children;
    type Arguments = (Scope, Vec<Child>);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (scope, children): Self::Arguments,
    ) -> Result<Children, ActorProcessingErr> {
        let kids = children.into_iter().map(|child| Kid { scope: scope.child(&child.name), child, cell: None });
        let fails = myself.clone();
        // One that is gone needs no end.
        let fault = scope.fault_point(move |why| drop(fails.send_message(Message::Panic(why))));
        let mut state = Children { kids: kids.collect(), scope, failures: Vec::new(), _fault: fault };
        for index in 0..state.kids.len() {
            if let Err(error) = state.start(index, &myself).await {
                state.stop().await;
                return Err(error);
            }
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        let index = match message {
            Message::Restart(index) => index,
            Message::Panic(why) => return Err(why.into()),
        };
        if let Err(error) = state.start(index, &myself).await {
            let Some(delay) = state.failed(Instant::now(), "") else {
                return Err(state.give_up(format!("restarts failed too often: {error}")).await);
            };
            if let Some(kid) = state.kids.get(index) {
                kid.scope.set(State::Restarting, Some(error.to_string()));
            }
            myself.send_after(delay, move || Message::Restart(index));
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, error) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, reason) => (cell, reason.unwrap_or_else(|| "ended".to_owned())),
            _ => return Ok(()),
        };
        // An actor that is no child of the list (a dynamic one, or one being stopped) is its starter's business.
        let found = state.kids.iter_mut().enumerate().find(|(_, kid)| kid.cell.as_ref() == Some(&cell));
        let Some((index, kid)) = found else { return Ok(()) };
        kid.cell = None;
        kid.scope.cancelled().cancel();
        if state.scope.path().is_empty() && kid.scope.state() == State::Failed {
            // Nobody is left who could do better than a root that gave up.
            return Err(error.into());
        }
        kid.scope.set(State::Restarting, Some(error.clone()));
        tracing::error!(actor = kid.scope.path(), error, "an actor failed and is restarted");
        let path = kid.scope.path().to_owned();
        match state.failed(Instant::now(), &error) {
            Some(delay) => {
                myself.send_after(delay, move || Message::Restart(index));
                Ok(())
            }
            None => Err(state.give_up(format!("{path} failed too often: {error}")).await),
        }
    }

    async fn post_stop(&self, _: ActorRef<Message>, state: &mut Children) -> Result<(), ActorProcessingErr> {
        state.stop().await;
        Ok(())
    }
}

/// A running component.
pub struct Running {
    scope: Scope,
    root: ActorRef<Message>,
    ended: tokio::task::JoinHandle<()>,
}

/// Why a component could not start.
#[derive(Debug, thiserror::Error)]
#[error("{component} could not start: {source}")]
pub struct ComponentError {
    component: String,
    source: StartError,
}

impl Running {
    /// Starts a component: a root supervisor with these children, in order.
    ///
    /// # Errors
    /// If a child's first start fails; those before it are stopped again.
    pub async fn start(scope: Scope, children: Vec<Child>) -> Result<Self, ComponentError> {
        let component = scope.path().to_owned();
        // What is above the root starts it again should it panic, and ends with it when it gives up.
        let top = (scope.above(), vec![Child::supervisor(component.clone(), children)]);
        match Actor::spawn(None, Supervisor, top).await {
            Ok((root, ended)) => Ok(Running { scope, root, ended }),
            Err(error) => Err(ComponentError { component, source: start_error(error) }),
        }
    }

    /// The name of the component.
    pub fn name(&self) -> &str {
        self.scope.path()
    }

    /// The place of the root, to show its tree.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Stops all actors in reverse order of start, and waits for them.
    pub async fn stop(self) {
        self.root.stop(Some("shutdown".to_owned()));
        if self.ended.await.is_err() {
            tracing::error!(component = self.scope.path(), "the root actor panicked");
        }
        self.scope.cancelled().cancel();
    }

    /// Waits until the component ends by itself, which it does only when it failed too often.
    pub async fn failed(&mut self) -> String {
        // The join error says only that the root panicked, which is a failure as any other.
        let _ = (&mut self.ended).await;
        let tree = self.scope.tree();
        let error = tree.values().find_map(|node| node.last_error.clone());
        error.unwrap_or_else(|| "ended".to_owned())
    }
}

fn start_error(error: ractor::SpawnErr) -> StartError {
    match error {
        ractor::SpawnErr::StartupFailed(source) => source,
        other => Box::new(other),
    }
}

#[cfg(test)]
mod tests;
