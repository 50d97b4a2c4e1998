//! How many pods each set of a Deployment shall have: rolling update, recreation, and scaling in between.

use cox_kit::View;

use super::sets::{Member, Sets};
use super::status::Progress;
use crate::pods::Pod;

/// One step of a rolling update: the current set grows while there is room, else old ones shrink while enough pods are available.
pub(super) fn rolling(sets: &mut Sets<'_>) {
    let deployment = sets.deployment;
    let (wanted, total) = (deployment.wanted(), sets.total());
    let Some(current) = &mut sets.current else { return };
    let before = current.size;
    if before > wanted {
        current.size = wanted;
    } else {
        current.size += (deployment.most() - total).clamp(0, wanted - before);
    }
    if current.size == before {
        shrink_old(sets);
    }
}

fn shrink_old(sets: &mut Sets<'_>) {
    let least = sets.deployment.least_available();
    let missing_new = sets.current.as_ref().map_or(0, |current| current.size - current.available());
    let mut may_go = sets.total() - least - missing_new;
    // Pods that are not available serve nobody: they go first, from the oldest set on.
    for member in &mut sets.old {
        let unhealthy = (member.size - member.available()).min(may_go).max(0);
        member.size -= unhealthy;
        may_go -= unhealthy;
    }
    let available: i32 = sets.all().map(Member::available).sum();
    let mut spare = (available - least).min(may_go);
    for member in &mut sets.old {
        let gone = member.size.min(spare).max(0);
        member.size -= gone;
        spare -= gone;
    }
}

/// One step of a recreation: old sets are emptied, and once their last pod has ended, the current one gets all.
pub(super) fn recreate(view: View<'_>, sets: &mut Sets<'_>, progress: &mut Progress<'_>) {
    sets.find_current(progress);
    let shrinks = sets.old.iter().any(|member| member.size > 0);
    sets.old.iter_mut().for_each(|member| member.size = 0);
    let runs = |member: &Member| view.owned::<Pod>(&member.set.metadata.uid).iter().any(|pod| !pod.is_terminal());
    if shrinks || sets.old.iter().any(runs) {
        return;
    }
    if sets.current.is_none() {
        sets.ensure_current(view, progress);
    } else if let Some(current) = &mut sets.current {
        current.size = sets.deployment.wanted();
    }
}

/// Follows a change of the Deployment's size, without rolling out anything: in the middle of a rollout, all sets share it in proportion.
pub(super) fn scale(sets: &mut Sets<'_>) {
    let deployment = sets.deployment;
    let wanted = deployment.wanted();
    if sets.all().filter(|member| member.size > 0).count() <= 1 {
        let active = sets.all().position(|member| member.size > 0);
        // Nothing runs: the current set, or else the newest one, gets the pods.
        let last = sets.old.len() + usize::from(sets.current.is_some());
        let at = active.or(last.checked_sub(1));
        if let Some(member) = at.and_then(|at| sets.all_mut().nth(at)) {
            member.size = wanted;
            member.sized_for(deployment);
        }
        return;
    }
    let saturated = |current: &Member| {
        current.desired_before() == Some(wanted)
            && current.size == wanted
            && current.set.status.available_replicas == wanted
    };
    if sets.current.as_ref().is_some_and(saturated) {
        sets.old.iter_mut().for_each(|member| member.size = 0);
        return;
    }
    if !deployment.is_recreate() {
        in_proportion(sets);
    }
}

fn in_proportion(sets: &mut Sets<'_>) {
    let deployment = sets.deployment;
    let allowed = if deployment.wanted() > 0 { deployment.most() } else { 0 };
    let mut left = allowed - sets.total();
    let grows = left > 0;
    let reported = deployment.status.counts.replicas;
    let mut active: Vec<&mut Member> = sets.all_mut().filter(|member| member.size > 0).collect();
    // The largest first; of the same size the newest where there is more to give, the oldest where some has to be taken.
    active.sort_by_key(|member| {
        let created = member.set.metadata.created().as_second();
        (std::cmp::Reverse(member.size), if grows { -created } else { created })
    });
    for member in &mut active {
        let share = share(member, allowed, reported);
        let share = if grows { share.clamp(0, left.max(0)) } else { share.clamp(left.min(0), 0) };
        member.size += share;
        left -= share;
    }
    // What rounding left over goes to the largest.
    if let Some(largest) = active.first_mut() {
        largest.size = largest.size.saturating_add(left).max(0);
    }
    active.iter_mut().for_each(|member| member.sized_for(deployment));
}

/// By how much a set would change if it kept its part of the whole.
fn share(member: &Member, allowed: i32, reported: i32) -> i32 {
    if allowed == 0 {
        return -member.size;
    }
    let before = f64::from(member.max_before().unwrap_or(reported).max(1));
    let exact = f64::from(member.size) * f64::from(allowed) / before;
    // Sizes fit: they are products of replica counts that were divided again.
    exact.round() as i32 - member.size
}
