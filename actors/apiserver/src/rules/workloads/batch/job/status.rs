//! The status of a Job: which conditions exclude or need each other, and what never goes back.

use cox_objects::{FieldError, Path};
use jiff::Timestamp;
use serde_json::Value;

use super::super::super::super::check::{self, Errors};
use super::super::super::super::read::{Read, same};

/// A written status. What is wrong already and stays untouched is not held against the writer.
pub(super) fn validate(errors: &mut Errors, object: &Value, old: &Value) {
    let path = Path::new("status");
    counts(errors, object.at("status"), &path);
    let change = Change { now: object.at("status"), before: old.at("status") };
    change.outcome(errors, &path);
    change.finish(errors, &path);
    change.indexes(errors, object.at("spec"), &path);
    change.criteria(errors, &path);
    change.steps_back(errors, object.at("spec"), &path);
}

/// Whether a condition of this type is true.
fn is(status: &Value, condition: &str) -> bool {
    status.list("conditions").iter().any(|c| c.text("type") == condition && c.text("status") == "True")
}

fn is_finished(status: &Value) -> bool {
    is(status, "Complete") || is(status, "Failed")
}

/// An error about a field whose value Kubernetes does not print.
fn unshown(errors: &mut Errors, path: &Path, detail: &str) {
    errors.push(FieldError::invalid_raw(path, detail, ""));
}

fn counts(errors: &mut Errors, status: &Value, path: &Path) {
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        check::non_negative(errors, &path.child(field), status.int(field));
    }
    let counting = status.at("uncountedTerminatedPods");
    let at = path.child("uncountedTerminatedPods");
    let mut seen: Vec<&str> = Vec::new();
    for field in ["succeeded", "failed"] {
        for (i, uid) in counting.texts(field).into_iter().enumerate() {
            let at = at.child(field).index(i);
            if uid.is_empty() {
                errors.push(FieldError::invalid(&at, uid, "must not be empty"));
            } else if seen.contains(&uid) {
                errors.push(FieldError::duplicate(&at, uid));
            }
            seen.push(uid);
        }
    }
}

/// What a write makes of a status.
struct Change<'a> {
    now: &'a Value,
    before: &'a Value,
}

impl Change<'_> {
    /// Whether a condition became true or ceased to be.
    fn turned(&self, condition: &str) -> bool {
        is(self.now, condition) != is(self.before, condition)
    }

    fn moved(&self, field: &str) -> bool {
        !same(self.now.at(field), self.before.at(field))
    }

    /// A Job completes or fails, not both, and its completion has a time.
    fn outcome(&self, errors: &mut Errors, path: &Path) {
        let (complete, failed, target) =
            (is(self.now, "Complete"), is(self.now, "Failed"), is(self.now, "FailureTarget"));
        let conditions = path.child("conditions");
        let completion = path.child("completionTime");
        let completing = self.turned("Complete") || self.moved("completionTime");
        if (self.turned("Complete") || self.turned("Failed")) && complete && failed {
            unshown(errors, &conditions, "cannot set Complete=True and Failed=true conditions");
        }
        if (self.turned("Complete") || self.turned("FailureTarget")) && complete && target {
            unshown(errors, &conditions, "cannot set Complete=True and FailureTarget=true conditions");
        }
        let time = self.now.at("completionTime");
        if completing && !time.is_null() && !complete {
            let detail = "cannot set completionTime when there is no Complete=True condition";
            errors.push(FieldError::invalid(&completion, time.clone(), detail));
        }
        if completing && time.is_null() && complete {
            errors.push(FieldError::required(&completion, "completionTime is required for Complete jobs"));
        }
        let at = |field: &str| self.now.text(field).parse::<Timestamp>().ok();
        let early = at("completionTime").zip(at("startTime")).is_some_and(|(end, start)| end < start);
        if early && (self.moved("startTime") || self.moved("completionTime")) {
            errors.push(FieldError::invalid(
                &completion,
                time.clone(),
                "completionTime cannot be set before startTime",
            ));
        }
        if (self.turned("Failed") || self.turned("FailureTarget")) && failed && !target {
            unshown(errors, &conditions, "cannot set Failed=True condition without the FailureTarget=true condition");
        }
        let criteria = is(self.now, "SuccessCriteriaMet");
        if (self.turned("Complete") || self.turned("SuccessCriteriaMet")) && complete && !criteria {
            let detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
            unshown(errors, &conditions, detail);
        }
    }

    /// A finished Job has started, and has no pods left to wait for.
    fn finish(&self, errors: &mut Errors, path: &Path) {
        let finished = is_finished(self.now);
        let turned = finished != is_finished(self.before);
        if !finished {
            return;
        }
        for field in ["active", "terminating"] {
            if let Some(count) = self.now.int(field).filter(|n| *n > 0 && (turned || self.moved(field))) {
                let detail = format!("{field}>0 is invalid for finished job");
                errors.push(FieldError::invalid(&path.child(field), count, &detail));
            }
        }
        if (turned || self.moved("startTime")) && !self.now.has("startTime") {
            errors.push(FieldError::required(&path.child("startTime"), "startTime is required for finished job"));
        }
        let uncounted = self.now.at("uncountedTerminatedPods");
        let waits = uncounted.filled("succeeded") || uncounted.filled("failed");
        if waits && (turned || self.moved("uncountedTerminatedPods")) {
            let detail = "uncountedTerminatedPods needs to be empty for finished job";
            errors.push(FieldError::invalid(&path.child("uncountedTerminatedPods"), uncounted.clone(), detail));
        }
    }

    /// Indexes are for Jobs that have them.
    fn indexes(&self, errors: &mut Errors, spec: &Value, path: &Path) {
        let completed = self.now.text("completedIndexes");
        if self.moved("completedIndexes") && !completed.is_empty() && spec.text("completionMode") != "Indexed" {
            let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
            errors.push(FieldError::invalid(&path.child("completedIndexes"), completed, detail));
        }
        let failed = self.now.at("failedIndexes");
        if self.moved("failedIndexes") && !failed.is_null() && !spec.has("backoffLimitPerIndex") {
            let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            errors.push(FieldError::invalid(&path.child("failedIndexes"), failed.clone(), detail));
        }
        let active = self.now.int("active").unwrap_or(0);
        let moved = self.moved("ready") || self.moved("active");
        if let Some(ready) = self.now.int("ready").filter(|ready| moved && *ready > active) {
            let detail = "cannot set more ready pods than active";
            errors.push(FieldError::invalid(&path.child("ready"), ready, detail));
        }
    }

    /// Success that is decided excludes failure.
    fn criteria(&self, errors: &mut Errors, path: &Path) {
        let at = path.child("conditions");
        for failure in ["Failed", "FailureTarget"] {
            let moved = self.turned("SuccessCriteriaMet") || self.turned(failure);
            if moved && is(self.now, "SuccessCriteriaMet") && is(self.now, failure) {
                unshown(errors, &at, &format!("cannot set SuccessCriteriaMet=True and {failure}=true conditions"));
            }
        }
    }

    /// What is final stays, and counters do not go down.
    fn steps_back(&self, errors: &mut Errors, spec: &Value, path: &Path) {
        let conditions = path.child("conditions");
        let undone = |condition: &str| is(self.before, condition) && !is(self.now, condition);
        for condition in ["Failed", "Complete", "FailureTarget"] {
            if undone(condition) {
                unshown(errors, &conditions, &format!("cannot disable the terminal {condition}=True condition"));
            }
        }
        // An indexed Job that is scaled down forgets the indexes above.
        let scalable = spec.text("completionMode") == "Indexed" && spec.at("completions") == spec.at("parallelism");
        for (field, held) in [("failed", true), ("succeeded", !scalable)] {
            let (now, before) = (self.now.int(field).unwrap_or(0), self.before.int(field).unwrap_or(0));
            if held && now < before {
                let detail = format!("cannot decrease the {field} counter");
                errors.push(FieldError::invalid(&path.child(field), now, &detail));
            }
        }
        let time = self.now.at("completionTime");
        if !time.is_null() && self.before.has("completionTime") && self.moved("completionTime") {
            errors.push(FieldError::invalid(
                &path.child("completionTime"),
                time.clone(),
                "completionTime cannot be mutated",
            ));
        }
        if self.before.has("startTime") && self.moved("startTime") && !spec.flag("suspend") {
            let detail = "startTime cannot be removed for unsuspended job";
            let shown = self.now.at("startTime").clone();
            errors.push(FieldError::invalid(&path.child("startTime"), shown, detail));
        }
        if undone("SuccessCriteriaMet") {
            unshown(errors, &conditions, "cannot disable the SuccessCriteriaMet=True condition");
        }
    }
}

#[cfg(test)]
mod tests;
