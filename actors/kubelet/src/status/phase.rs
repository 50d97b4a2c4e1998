//! The phase of a pod, from its containers.

use crate::model::{ContainerView, Known, Lost};
use crate::plan::{Progress, progress};
use crate::spec::names::{Member, Role};

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
    let mains: Vec<&Member> = members.iter().filter(|m| m.role == Role::Main).collect();
    let codes: Vec<Option<i32>> = mains.iter().map(|m| end_code(known, &m.container.name)).collect();
    let all_ended = !codes.is_empty() && codes.iter().all(Option::is_some);
    // A container of a deleted pod is not started again, whatever its policy.
    let ended_by_deletion = known.pod.metadata.deletion_timestamp.is_some() && known.memory.finished && all_ended;
    // Sidecars end after the others: until then the pod goes on.
    let sidecars = members.iter().filter(|m| m.role == Role::Sidecar);
    let held_up =
        all_ended && sidecars.into_iter().any(|m| known.told_start(&m.container.name).is_some_and(|c| c.is_running()));
    if !held_up && (progress(known) == Progress::Over || ended_by_deletion) {
        let well = all_ended && codes.iter().all(|code| *code == Some(0));
        return if well { Phase::Succeeded } else { Phase::Failed };
    }
    before_the_end(known, &mains)
}

fn end_code(known: &Known<'_>, name: &str) -> Option<i32> {
    match known.told_start(name) {
        Some(start) => start.ended().map(|(code, _)| code),
        None => match known.lost(name)? {
            Lost::Ended { exit_code, .. } => Some(exit_code),
            Lost::Gone { .. } => None,
        },
    }
}

/// What the API is told. While anything of a pod is left, its end is only announced by its containers; and a pod that is gone has ended,
/// also if nothing of it ever ran.
pub(super) fn shown(known: &Known<'_>, computed: Phase) -> &'static str {
    if known.memory.rejected || known.told_end().is_some() {
        return computed.as_str();
    }
    if known.memory.finished {
        let ended = computed.is_final();
        return if ended { computed.as_str() } else { Phase::Failed.as_str() };
    }
    if !computed.is_final() {
        return computed.as_str();
    }
    let told = known.pod.status.as_ref().and_then(|s| s.phase.as_deref());
    let members = known.members();
    let mut mains = members.iter().filter(|m| m.role == Role::Main);
    // Main containers may have run and ended before anyone could be told.
    let ran = mains.any(|m| known.told_start(&m.container.name).is_some_and(ContainerView::has_run));
    if ran || told == Some("Running") { Phase::Running.as_str() } else { Phase::Pending.as_str() }
}

/// Pending until every main container has been started once (or has ended), Running from then on.
fn before_the_end(known: &Known<'_>, mains: &[&Member]) -> Phase {
    let begun = |m: &&Member| known.told_start(&m.container.name).is_some() || known.lost(&m.container.name).is_some();
    if !mains.is_empty() && mains.iter().all(begun) { Phase::Running } else { Phase::Pending }
}
