//! A place in a supervision tree, and what the tree shows of the actor there.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_bus::{Heard, Listener};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::fault::Faults;

/// A place in the tree, handed to each child: where to register what it starts, and when to stop.
#[derive(Clone, Debug)]
pub struct Scope {
    path: String,
    nodes: Arc<Mutex<BTreeMap<String, Node>>>,
    cancel: CancellationToken,
    faults: Faults,
}

impl Scope {
    /// The root of a component's tree.
    pub fn root(component: &str) -> Self {
        let (path, cancel, faults) = (component.to_owned(), CancellationToken::new(), Faults::default());
        let scope = Scope { path, nodes: Arc::default(), cancel, faults };
        scope.set(State::Running, None);
        scope
    }

    /// The place of a child.
    pub fn child(&self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        Scope { path, nodes: self.nodes.clone(), cancel: self.cancel.child_token(), faults: self.faults.clone() }
    }

    /// The place above the root, which is not shown: of who starts the root again.
    pub(super) fn above(&self) -> Self {
        Scope { path: String::new(), ..self.clone() }
    }

    /// Cancelled when this place is to stop.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancel
    }

    /// What is heard next; none once this place is to stop.
    ///
    /// # Errors
    /// If the bus connection is closed.
    pub async fn hear(&self, listener: &mut Listener) -> Result<Option<Heard>, StartError> {
        tokio::select! {
            () = self.cancel.cancelled() => Ok(None),
            heard = listener.next() => heard.map(Some).ok_or_else(|| "the bus connection is closed".into()),
        }
    }

    /// The path in the tree: `scheduler/binder`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What a test may have asked to fail here.
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Panics if a test wants work on this key here to; does nothing in releases.
    pub fn strike_at(&self, key: &impl ToString) {
        self.faults.strike_at(&self.path, key);
    }

    /// Says how this actor does. One that runs no longer has nothing below it.
    pub fn set(&self, state: State, error: Option<String>) {
        if self.path.is_empty() {
            return;
        }
        let mut nodes = self.nodes.lock();
        if matches!(state, State::Restarting | State::Failed) {
            let below = format!("{}/", self.path);
            nodes.retain(|path, _| !path.starts_with(&below));
        }
        let node = nodes.entry(self.path.clone()).or_default();
        if state == State::Restarting {
            node.restarts += 1;
        }
        if state == State::Running && node.state != State::Running {
            node.since = crate::clock::now_ms();
        }
        if state != State::Running {
            node.parked.clear();
        }
        node.state = state;
        if error.is_some() {
            node.last_error = error;
        }
    }

    /// Says that this is no actor but a task of the one above.
    pub(crate) fn set_task(&self) {
        self.nodes.lock().entry(self.path.clone()).or_default().task = true;
    }

    /// Says which keys this actor leaves alone because working on them panicked.
    pub fn set_parked(&self, keys: Vec<String>) {
        self.nodes.lock().entry(self.path.clone()).or_default().parked = keys;
    }

    /// Takes this actor out of the tree: a dynamic child that ended.
    pub fn remove(&self) {
        self.nodes.lock().remove(&self.path);
    }

    /// The tree as it is now, by path.
    pub fn tree(&self) -> BTreeMap<String, Node> {
        self.nodes.lock().clone()
    }

    pub(super) fn state(&self) -> State {
        self.nodes.lock().get(&self.path).map(|node| node.state).unwrap_or_default()
    }
}

/// How an actor does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its start has not returned.
    #[default]
    Starting,
    /// It runs.
    Running,
    /// It failed and will be started again.
    Restarting,
    /// It was stopped.
    Stopped,
    /// It failed too often.
    Failed,
}

/// One actor in the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// How it does.
    pub state: State,
    /// How often it was started again since what is above it was started.
    pub restarts: u64,
    /// Since when it runs, or last ran: milliseconds since 1970.
    #[serde(default)]
    pub since: u64,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
    /// It is a task of the actor above, which fails with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub task: bool,
    /// The keys that it leaves alone until they change, because working on each panicked three times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parked: Vec<String>,
}
