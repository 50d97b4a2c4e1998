//! Why a write was made: its author, its request, what the author had seen and what it reacted to.

use serde::{Deserialize, Serialize};

use crate::{Position, Revision};

/// Identifies one api request over all its repetitions: a UUIDv7, made by the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct RequestId(pub u128);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// What a component reacted to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// An event of the log.
    Event(Position),
    /// A timer of the component's own, by its name (`resync`, `probe`, `backoff`).
    Timer(String),
}

/// The cause of a change, kept with its event: `cox why` walks these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The user on whose behalf it was written (`system:kube-scheduler`, `kubernetes-admin`, …).
    pub user: String,
    /// The bus identity that sent it (`gateway`, `scheduler`, …).
    pub component: String,
    /// The request that carried it.
    pub request: RequestId,
    /// The revision up to which the writer had seen, where it is a component.
    pub observed: Option<Revision>,
    /// What the writer reacted to; none for a person's request.
    pub trigger: Option<Trigger>,
    /// Up to 8 further triggers that went into the same decision.
    pub folded: Vec<Trigger>,
    /// The chain this belongs to: the id of the request that began it.
    pub correlation: Option<RequestId>,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

impl Cause {
    /// How many further triggers a cause keeps.
    pub const MAX_FOLDED: usize = 8;
}
