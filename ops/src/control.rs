//! What a component answers on its control subjects: its supervision tree and what is wrong in it, how far its mirror is, and what its process
//! measures.

use std::collections::BTreeMap;

use cox_apiserver::readiness::QUESTION;
use cox_bus::{Bus, Heard, Identity, Listener};
use cox_kit::supervise::{Child, Node, StartError, State, worker};
use cox_kit::{Registry, Scope};
use cox_mirror::Mirror;
use cox_objects::Revision;
use serde::{Deserialize, Serialize};

/// The question for the supervision tree.
pub const TREE: &str = "tree";
/// The question for what the component's process measures: the text for Prometheus, as a JSON string.
pub const METRICS: &str = "metrics";

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// The component.
    pub component: String,
    /// The process that it runs in.
    pub pid: u32,
    /// Its actors by path.
    pub tree: BTreeMap<String, Node>,
    /// The revision of the mirror that it reads, if it has one.
    pub revision: Option<Revision>,
}

/// The trees of a component: its own, and those of what it stands on in its process, which are shown below it.
#[derive(Clone)]
pub struct Trees {
    /// Its own.
    pub own: Scope,
    /// What follows the log, or its node's feed, for it; none if it reads no mirror, or another component of the process shows it.
    pub mirror: Option<Scope>,
    /// What answers for it, if that is a tree of its own.
    pub control: Option<Scope>,
}

impl Trees {
    /// The trees of a component.
    pub fn of(own: Scope, mirror: Option<Scope>) -> Self {
        Trees { own, mirror, control: None }
    }

    /// All actors by path.
    fn shown(&self) -> BTreeMap<String, Node> {
        let mut all = self.own.tree();
        for other in self.mirror.iter().chain(&self.control) {
            all.extend(other.tree().into_iter().map(|(path, node)| (format!("{}/{path}", self.own.path()), node)));
        }
        all
    }

    /// The tree with an actor, and the actor's path there.
    #[cfg(debug_assertions)]
    fn find<'a>(&self, path: &'a str) -> (&Scope, &'a str) {
        let below = path.strip_prefix(self.own.path()).and_then(|rest| rest.strip_prefix('/'));
        let part_of = |scope: &&Scope| below.is_some_and(|path| path.split('/').next() == Some(scope.path()));
        match (self.mirror.iter().chain(&self.control).find(part_of), below) {
            (Some(scope), Some(path)) => (scope, path),
            _ => (&self.own, path),
        }
    }
}

/// The children that answer for a component.
pub fn children(bus: Bus, identity: Identity, trees: Trees, mirror: Option<Mirror>, metrics: Registry) -> Vec<Child> {
    #[cfg(debug_assertions)]
    let more = vec![faults::faults(bus.clone(), identity.clone(), trees.clone())];
    #[cfg(not(debug_assertions))]
    let more = Vec::new();
    std::iter::once(server(bus, identity, trees, mirror, metrics)).chain(more).collect()
}

/// A child that answers. A restart loses nothing.
fn server(bus: Bus, identity: Identity, trees: Trees, mirror: Option<Mirror>, metrics: Registry) -> Child {
    worker("answers", move |own| {
        let (bus, identity, trees, mirror) = (bus.clone(), identity.clone(), trees.clone(), mirror.clone());
        let metrics = metrics.clone();
        async move {
            let mut questions = bus.listen(bus.subjects().ctl(&identity, TREE), None).await?;
            let mut scrapes = bus.listen(bus.subjects().ctl(&identity, METRICS), None).await?;
            let mut doubts = Doubts::listen(&bus, &identity).await?;
            loop {
                tokio::select! {
                    () = own.cancelled().cancelled() => return Ok(()),
                    scrape = scrapes.next() => {
                        let Some(scrape) = scrape else { return Err("the bus connection is closed".into()) };
                        scrape.answer_json(&metrics.text()).await?;
                    }
                    doubt = doubts.next() => {
                        let Some(doubt) = doubt else { return Err("the bus connection is closed".into()) };
                        doubt.answer_json(&wrong(&trees.shown())).await?;
                    }
                    heard = questions.next() => {
                        let Some(heard) = heard else { return Err("the bus connection is closed".into()) };
                        let told = Told {
                            component: identity.to_string(),
                            pid: std::process::id(),
                            tree: trees.shown(),
                            revision: mirror.as_ref().map(|m| m.position().revision),
                        };
                        heard.answer_json(&told).await?;
                    }
                }
            }
        }
    })
}

/// What tests ask of a component. Releases have none of it.
#[cfg(debug_assertions)]
mod faults {
    use super::*;

    /// The wish that an actor panics.
    const PANIC: &str = "panic";

    #[derive(Deserialize)]
    struct Wish {
        /// The actor's path in the tree that is shown.
        path: String,
        /// A key of that controller: work on it panics, or no longer does; the actor itself goes on.
        key: Option<(String, bool)>,
    }

    /// A child that carries the wishes out.
    pub(super) fn faults(bus: Bus, identity: Identity, trees: Trees) -> Child {
        worker("faults", move |own| {
            let (bus, identity, trees) = (bus.clone(), identity.clone(), trees.clone());
            async move {
                let mut wishes = bus.listen(bus.subjects().ctl(&identity, PANIC), None).await?;
                while let Some(heard) = own.hear(&mut wishes).await? {
                    let wish: Wish = heard.json()?;
                    heard.answer_json(&()).await?;
                    let (scope, path) = trees.find(&wish.path);
                    match wish.key {
                        Some((key, panics)) => scope.let_key_panic(path, &key, panics),
                        None => scope.tell_to_panic(path),
                    }
                }
                Ok(())
            }
        })
    }
}

/// Questions for what is wrong with a component. The apiserver answers them itself: it knows of the log.
struct Doubts(Option<Listener>);

impl Doubts {
    async fn listen(bus: &Bus, identity: &Identity) -> Result<Self, StartError> {
        let own = matches!(identity, Identity::Apiserver);
        let subject = bus.subjects().ctl(identity, QUESTION);
        Ok(Doubts(if own { None } else { Some(bus.listen(subject, None).await?) }))
    }

    async fn next(&mut self) -> Option<Heard> {
        match &mut self.0 {
            Some(listener) => listener.next().await,
            None => std::future::pending().await,
        }
    }
}

/// What is wrong in a tree: actors that failed, and are started again after a while or were given up, and keys that are left alone.
pub fn wrong(tree: &BTreeMap<String, Node>) -> Vec<String> {
    let each = tree.iter().flat_map(|(path, node)| {
        let failed = matches!(node.state, State::Failed | State::Restarting).then(|| format!("{path} has failed"));
        let parked = node.parked.iter().map(move |key| format!("{path} panics over {key} and leaves it alone"));
        failed.into_iter().chain(parked)
    });
    each.collect()
}
