//! The question for the head of the log, and the read lease that may come with its answer.
//!
//! A gateway with a *read lease* answers reads without asking: until the lease ends the apiserver tells nobody else of anything newer than
//! what that gateway's mirror is known to have. There is at most one at a time, and none while several gateways are there, since a mirror
//! without a lease would show what one with a lease may not have yet.

use std::time::Duration;

use cox_objects::{Position, Revision};
use serde::{Deserialize, Serialize};

/// How long a read lease holds, from the moment at which it was asked for.
pub const READ_LEASE: Duration = Duration::from_millis(300);

/// The question.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct HeadQuestion {
    /// Whether a read lease is wanted.
    #[serde(default)]
    pub(crate) lease: bool,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The newest committed position.
    pub position: Position,
    /// Whether the asker has a read lease now, for [`READ_LEASE`] from its question on.
    pub lease: bool,
}

/// The apiserver's question to the holder of a read lease, and its answer: JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The revision that the mirror is to have; in the answer, the one that it has.
    pub revision: Revision,
}
