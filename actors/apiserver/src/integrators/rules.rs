//! What may be registered, what still may be read, and what was missed: pure.

use cox_bus::integrator::{Filter, Gap};
use cox_objects::{Kinds, Revision, User, name};

use super::{Integrator, New};
use crate::pipeline::authorize::{Asked, refuse};
use crate::state::State;

/// How many filters one may have.
const FILTERS: usize = 64;
/// The longest name.
const NAME: usize = 32;
/// How many messages may be in flight.
const IN_FLIGHT: u32 = 1000;

/// The filters of a program to register, or why it may not be.
pub(super) fn check(new: &New, head: Revision, kinds: &Kinds) -> Result<Vec<Filter>, String> {
    if new.name.len() > NAME || !name::is_dns1123_label(&new.name).is_empty() {
        return Err(format!("{:?} is no name: 1 to {NAME} lower-case letters, digits and '-' are allowed", new.name));
    }
    if new.user.name.is_empty() {
        return Err("say as which user it reads".to_owned());
    }
    if !(1..=IN_FLIGHT).contains(&new.in_flight) {
        return Err(format!("between 1 and {IN_FLIGHT} messages may be in flight"));
    }
    if new.since.is_some_and(|since| since > head) {
        return Err(format!("revision {} is not reached yet; the log is at {head}", new.since.unwrap_or_default()));
    }
    if !(1..=FILTERS).contains(&new.filters.len()) {
        return Err(format!("give 1 to {FILTERS} filters"));
    }
    let mut filters: Vec<Filter> = Vec::with_capacity(new.filters.len());
    for text in &new.filters {
        let filter: Filter = text.parse().map_err(|error| format!("{error}"))?;
        if let Some(resource) = filter.resource.as_ref().filter(|resource| kinds.stored(resource).is_none()) {
            return Err(format!("there is no resource {}", resource.as_str()));
        }
        if let Some(other) = filters.iter().find(|other| filter.overlaps(other)) {
            return Err(format!("filters {other} and {filter} let the same events pass"));
        }
        filters.push(filter);
    }
    Ok(filters)
}

/// The filters of a registered program, which were checked when it was.
pub(super) fn filters(one: &Integrator) -> Vec<Filter> {
    one.filters.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Fails if a user may not list and watch what the filters let pass.
pub(super) fn may_read(state: &dyn State, user: &User, filters: &[Filter]) -> Result<(), String> {
    for filter in filters {
        for verb in ["list", "watch"] {
            let asked = Asked {
                verb,
                group: filter.resource.as_ref().map_or("*", |resource| resource.group()),
                resource: filter.resource.as_ref().map_or("*", |resource| resource.plural()),
                namespace: filter.namespace.as_deref().unwrap_or_default(),
                name: filter.name.as_deref().unwrap_or_default(),
                ..Asked::default()
            };
            refuse(state, user, &asked).map_err(|status| status.message)?;
        }
    }
    Ok(())
}

/// Where a program is, and what the stream may have dropped of what it had not acknowledged when it was last looked at. A purge moves a
/// consumer's own position too, so that only the one that was seen before tells.
pub(super) fn passed(position: Revision, acknowledged: Revision, first: Revision) -> (Revision, Option<Gap>) {
    let dropped = (first > position + 1).then(|| Gap { from: position + 1, to: first - 1 });
    (position.max(acknowledged).max(first.saturating_sub(1)), dropped)
}

/// What of a gap is still to be read.
pub(super) fn still_missing(gap: Option<Gap>, taken: Revision) -> Option<Gap> {
    gap.filter(|gap| gap.to > taken).map(|gap| Gap { from: gap.from.max(taken + 1), ..gap })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(filters: &[&str]) -> New {
        let user = User { name: "shop".into(), ..User::default() };
        let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
        New { name: "shop".into(), user, filters, since: None, in_flight: 1 }
    }

    fn why(new: &New) -> String {
        check(new, 10, &cox_objects::kinds::builtin()).expect_err("it may be registered")
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert_eq!(check(&new(&["pods", "nodes/_"]), 10, &cox_objects::kinds::builtin()).map(|f| f.len()), Ok(2));
        assert!(why(&New { name: "a/b".into(), ..new(&["pods"]) }).contains("no name"));
        assert!(why(&New { since: Some(11), ..new(&["pods"]) }).contains("the log is at 10"));
        assert!(why(&New { in_flight: 0, ..new(&["pods"]) }).contains("between 1 and"));
        assert!(why(&new(&[])).contains("filters"));
        assert!(why(&new(&["podz"])).contains("no resource podz"));
        assert!(why(&new(&["pods", "pods/default"])).contains("the same events"));
        assert!(why(&New { user: User::default(), ..new(&["pods"]) }).contains("which user"));
    }

    #[test]
    fn what_was_dropped_unacknowledged_is_a_gap() {
        assert_eq!(passed(10, 10, 11), (10, None));
        assert_eq!(passed(10, 25, 5), (25, None), "the window is behind it");
        assert_eq!(passed(10, 10, 31), (30, Some(Gap { from: 11, to: 30 })));
        assert_eq!(passed(10, 30, 31), (30, Some(Gap { from: 11, to: 30 })), "a purge moves the consumer too");
        assert_eq!(passed(0, 0, 1), (0, None));
    }

    #[test]
    fn a_gap_goes_away_as_it_is_read() {
        let gap = Some(Gap { from: 11, to: 30 });
        assert_eq!(still_missing(gap, 5), gap);
        assert_eq!(still_missing(gap, 20), Some(Gap { from: 21, to: 30 }));
        assert_eq!(still_missing(gap, 30), None);
        assert_eq!(still_missing(None, 3), None);
    }
}
