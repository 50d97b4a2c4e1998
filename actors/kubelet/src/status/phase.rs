//! The phase of a pod, from its containers.

use crate::model::Known;
use crate::plan::{Progress, progress};
use crate::spec::names::Role;

/// `status.phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not everything has been started.
    Pending,
    /// Something runs, or will run again.
    Running,
    /// All containers ended well, for good.
    Succeeded,
    /// All containers ended for good, one of them badly; or the pod was ended.
    Failed,
}

impl Phase {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Pending => "Pending",
            Phase::Running => "Running",
            Phase::Succeeded => "Succeeded",
            Phase::Failed => "Failed",
        }
    }

    /// Whether nothing of the pod will run any more.
    pub fn is_final(self) -> bool {
        matches!(self, Phase::Succeeded | Phase::Failed)
    }
}

/// The phase, from the states of the containers; a final one holds although the sandbox may still be there.
pub fn phase(known: &Known<'_>) -> Phase {
    match known.told_end() {
        Some("Succeeded") => return Phase::Succeeded,
        Some(_) => return Phase::Failed,
        None => {}
    }
    if known.memory.rejected || known.memory.verdict.is_some() {
        return Phase::Failed;
    }
    let members = known.members();
    let mains: Vec<_> = members.iter().filter(|m| m.role == Role::Main).collect();
    let codes: Vec<Option<i32>> =
        mains.iter().map(|m| known.newest(&m.container.name).and_then(|c| c.ended()).map(|(code, _)| code)).collect();
    let ended_for_deletion = known.pod.metadata.deletion_timestamp.is_some() && known.memory.finished;
    if progress(known) == Progress::Over || ended_for_deletion {
        let well = !codes.is_empty() && codes.iter().all(|code| *code == Some(0));
        return if well { Phase::Succeeded } else { Phase::Failed };
    }
    before_the_end(known)
}

/// Pending until every main container has been started once (or has ended), Running from then on.
pub(super) fn before_the_end(known: &Known<'_>) -> Phase {
    let members = known.members();
    let mut mains = members.iter().filter(|m| m.role == Role::Main).peekable();
    let any = mains.peek().is_some();
    let begun = any && mains.all(|m| known.newest(&m.container.name).is_some_and(|c| c.is_running() || c.ended().is_some()));
    if begun { Phase::Running } else { Phase::Pending }
}
