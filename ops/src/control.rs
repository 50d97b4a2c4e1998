//! What a component answers on its control subjects: its supervision tree, how far its mirror is, and what its process measures.

use std::collections::BTreeMap;

use cox_bus::{Bus, Identity};
use cox_kit::supervise::{Child, Node, worker};
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

/// A child that answers. A restart loses nothing.
pub fn server(bus: Bus, identity: Identity, scope: Scope, mirror: Option<Mirror>, metrics: Registry) -> Child {
    worker("answers", move |own| {
        let (bus, identity, scope, mirror) = (bus.clone(), identity.clone(), scope.clone(), mirror.clone());
        let metrics = metrics.clone();
        async move {
            let mut questions = bus.listen(bus.subjects().ctl(&identity, TREE), None).await?;
            let mut scrapes = bus.listen(bus.subjects().ctl(&identity, METRICS), None).await?;
            loop {
                tokio::select! {
                    () = own.cancelled().cancelled() => return Ok(()),
                    scrape = scrapes.next() => {
                        let Some(scrape) = scrape else { return Err("the bus connection is closed".into()) };
                        scrape.answer_json(&metrics.text()).await?;
                    }
                    heard = questions.next() => {
                        let Some(heard) = heard else { return Err("the bus connection is closed".into()) };
                        let told = Told {
                            component: identity.to_string(),
                            pid: std::process::id(),
                            tree: scope.tree(),
                            revision: mirror.as_ref().map(|m| m.position().revision),
                        };
                        heard.answer_json(&told).await?;
                    }
                }
            }
        }
    })
}
