//! Jobs.

mod status;

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::super::check::{self, Errors, IMMUTABLE};
use super::super::super::read::{Fill, Read, same};
use super::super::super::{pod, print, selector};
use super::super::template;

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";
/// The most pods of an indexed Job at a time.
const PARALLELISM: i64 = 100_000;

/// Defaults: one pod, six retries.
pub(crate) fn defaults(object: &mut Value) {
    let labels = object.at("spec").at("template").at("metadata").at("labels").clone();
    if !object.at("metadata").filled("labels") && labels.as_object().is_some_and(|l| !l.is_empty()) {
        object.object("metadata").set("labels", labels);
    }
    let spec = object.object("spec");
    if !spec.has("completions") && !spec.has("parallelism") {
        spec.set("completions", 1);
    }
    spec.fill_unset("parallelism", 1);
    let retries = if spec.has("backoffLimitPerIndex") { i64::from(i32::MAX) } else { 6 };
    spec.fill_unset("backoffLimit", retries);
    spec.fill_unset("completionMode", "NonIndexed");
    spec.fill_unset("suspend", false);
    spec.fill_unset("manualSelector", false);
    let replacement = if spec.has("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    spec.fill_unset("podReplacementPolicy", replacement);
    if let Some(policy) = spec.inner("podFailurePolicy") {
        failure_policy(policy);
    }
    pod::defaults::template(spec.object("template"));
}

fn failure_policy(policy: &mut Value) {
    for rule in policy.items("rules") {
        for pattern in rule.items("onPodConditions") {
            pattern.fill("status", "True");
        }
    }
}

/// Defaults of a Job inside a CronJob: only those of its pods.
pub(super) fn template_defaults(spec: &mut Value) {
    if let Some(policy) = spec.inner("podFailurePolicy") {
        failure_policy(policy);
    }
    pod::defaults::template(spec.object("template"));
}

/// A Job finds its pods by its own uid (which must be set by now), unless its author chose a selector. A Job without labels of its
/// own has those of its template.
pub(crate) fn prepare_create(object: &mut Value) {
    if object.at("spec").flag("manualSelector") {
        return;
    }
    let template_labels = object.at("spec").at("template").at("metadata").at("labels").clone();
    let inherited = same(object.at("metadata").at("labels"), &template_labels);
    let (name, uid) = (object.at("metadata").at("name").clone(), object.at("metadata").at("uid").clone());
    let spec = object.object("spec");
    let labels = spec.object("template").object("metadata").object("labels");
    for (key, value) in [("job-name", &name), (NAME_LABEL, &name), ("controller-uid", &uid), (UID_LABEL, &uid)] {
        labels.set(key, value.clone());
    }
    let labels = labels.clone();
    spec.object("selector").object("matchLabels").fill_unset(UID_LABEL, uid);
    if inherited {
        object.object("metadata").set("labels", labels);
    }
}

/// A new Job, after its metadata.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec");
    let spec = object.at("spec");
    generated_selector(errors, object, &path);
    whole(errors, spec, &path);
}

/// The spec of a Job of its own, with the selector that finds its pods.
fn whole(errors: &mut Errors, spec: &Value, path: &Path) {
    content(errors, spec, path);
    if !spec.has("selector") {
        errors.push(FieldError::required(&path.child("selector"), ""));
    } else {
        selector::labels(errors, spec.at("selector"), &path.child("selector"));
    }
    let labels = spec.at("template").at("metadata").at("labels");
    if spec.has("selector") && !selector::matches(spec.at("selector"), labels) {
        let at = path.child("template").child("metadata").child("labels");
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid_raw(&at, &labels.to_string(), detail));
    }
}

fn generated_selector(errors: &mut Errors, object: &Value, path: &Path) {
    let spec = object.at("spec");
    if spec.flag("manualSelector") {
        return;
    }
    let uid = object.at("metadata").at("uid");
    let own = spec.at("selector");
    let generated = own
        .at("matchLabels")
        .as_object()
        .is_some_and(|l| l.len() == 1 && (l.get(UID_LABEL) == Some(uid) || l.get("controller-uid") == Some(uid)));
    if !generated || own.filled("matchExpressions") {
        let shown = print::label_selector(own);
        errors.push(FieldError::invalid_raw(&path.child("selector"), &shown, "`selector` not auto-generated"));
    }
}

/// The spec of a Job, alone or inside a CronJob.
pub(super) fn content(errors: &mut Errors, spec: &Value, path: &Path) {
    for field in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        check::non_negative(errors, &path.child(field), spec.int(field));
    }
    check::non_negative(errors, &path.child("backoffLimitPerIndex"), spec.int("backoffLimitPerIndex"));
    check::non_negative(errors, &path.child("maxFailedIndexes"), spec.int("maxFailedIndexes"));
    let mode = spec.text("completionMode");
    if spec.has("completionMode") {
        check::one_of(errors, &path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
    }
    if mode == "Indexed" {
        if !spec.has("completions") {
            let detail = "when completion mode is Indexed";
            errors.push(FieldError::required(&path.child("completions"), detail));
        }
        if let Some(pods) = spec.int("parallelism").filter(|p| *p > PARALLELISM) {
            let detail = format!("must be less than or equal to {PARALLELISM} when completion mode is Indexed");
            errors.push(FieldError::invalid(&path.child("parallelism"), pods, &detail));
        }
    } else if spec.has("backoffLimitPerIndex") {
        let at = path.child("backoffLimitPerIndex");
        let shown = spec.at("backoffLimitPerIndex").clone();
        errors.push(FieldError::invalid(&at, shown, "requires indexed completion mode"));
    }
    if spec.has("maxFailedIndexes") && !spec.has("backoffLimitPerIndex") {
        let detail = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(&path.child("backoffLimitPerIndex"), detail));
    }
    if spec.has("podReplacementPolicy") {
        let supported = ["Failed", "TerminatingOrFailed"];
        let policy = spec.text("podReplacementPolicy");
        check::one_of(errors, &path.child("podReplacementPolicy"), policy, &supported);
    }
    if let Some(by) = spec.at("managedBy").as_str() {
        check::texts(errors, &path.child("managedBy"), by, cox_objects::name::is_domain_prefixed_path(by));
    }
    template::validate(errors, spec.at("template"), &path.child("template"));
    let policy = spec.at("template").at("spec").text("restartPolicy");
    let at = path.child("template").child("spec").child("restartPolicy");
    if policy.is_empty() || policy == "Always" {
        errors.push(FieldError::required(&at, "valid values: \"OnFailure\", \"Never\""));
    } else if !["OnFailure", "Never"].contains(&policy) {
        errors.push(FieldError::not_supported(&at, policy, &["OnFailure", "Never"]));
    } else if spec.has("podFailurePolicy") && policy != "Never" {
        let detail = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.push(FieldError::invalid(&at, policy, detail));
    }
}

/// An update: what defines the work stays.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value, old: &Value) {
    if subresource == "status" {
        return status::validate(errors, object, old);
    }
    validate(errors, object);
    let (spec, before) = (object.at("spec"), old.at("spec"));
    let path = Path::new("spec");
    // Kubernetes looks at the spec as a whole and again as a change, so that a cause comes twice.
    whole(errors, spec, &path);
    let elastic = before.text("completionMode") == "Indexed" && spec.at("completions") == spec.at("parallelism");
    if !same(spec.at("completions"), before.at("completions")) && !elastic {
        check::immutable(errors, &path.child("completions"), spec.at("completions"), before.at("completions"));
    }
    if !same(spec.at("selector"), before.at("selector")) {
        let shown = print::label_selector(spec.at("selector"));
        errors.push(FieldError::invalid_raw(&path.child("selector"), &shown, IMMUTABLE));
    }
    pods_stay(errors, old, spec, before, &path.child("template"));
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        check::immutable(errors, &path.child(field), spec.at(field), before.at(field));
    }
}

/// The template stays; while a Job that never started is suspended, where its pods may run can change.
fn pods_stay(errors: &mut Errors, old: &Value, spec: &Value, before: &Value, path: &Path) {
    let mut now = spec.at("template").clone();
    let was = before.at("template");
    let movable = before.flag("suspend") && !old.at("status").has("startTime");
    if movable {
        for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
            now.object("spec").set(field, was.at("spec").at(field).clone());
        }
        now.object("metadata").set("labels", was.at("metadata").at("labels").clone());
        now.object("metadata").set("annotations", was.at("metadata").at("annotations").clone());
    }
    if !same(&now, was) {
        let same_spec = same(now.at("spec"), was.at("spec"));
        let (at, shown) = if same_spec { (path.clone(), &now) } else { (path.child("spec"), now.at("spec")) };
        errors.push(FieldError::invalid(&at, shown.clone(), IMMUTABLE));
    }
}
