//! Old sets that are kept for going back, and those beyond `revisionHistoryLimit`, which go.

use cox_kit::Command;
use cox_objects::Resource;

use super::sets::{Member, Sets};

/// Deletes the oldest revisions beyond the limit; a set that still has pods stays until it has none.
pub(super) fn surplus(sets: &Sets<'_>) -> Vec<Command> {
    let Some(limit) = sets.deployment.spec.revision_history_limit else { return Vec::new() };
    let mut old: Vec<&Member> = sets.old.iter().filter(|member| !member.set.metadata.is_deleted()).collect();
    old.sort_by_key(|member| (member.revision(), member.set.metadata.created()));
    let beyond = old.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
    let empty = |member: &&&Member| {
        let set = &member.set;
        set.status.replicas == 0 && set.wanted() == 0 && set.metadata.generation <= set.status.observed_generation
    };
    let delete =
        |member: &&Member| Command::delete(member.set.metadata.key(Resource::REPLICASETS), &member.set.metadata.uid);
    old.iter().take(beyond).filter(empty).map(delete).collect()
}
