//! StatefulSets.

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read, same};
use super::super::{claim, meta, pod, print, selector};
use super::{counts, deployment, template};

/// Defaults of policies, strategy, history, templates.
pub(crate) fn defaults(object: &mut Value) {
    let spec = object.object("spec");
    spec.fill("podManagementPolicy", "OrderedReady");
    let strategy = spec.object("updateStrategy");
    strategy.fill("type", "RollingUpdate");
    if strategy.text("type") == "RollingUpdate" {
        strategy.object("rollingUpdate").fill_unset("partition", 0);
    }
    let retention = spec.object("persistentVolumeClaimRetentionPolicy");
    retention.fill("whenDeleted", "Retain");
    retention.fill("whenScaled", "Retain");
    spec.fill_unset("replicas", 1);
    spec.fill_unset("revisionHistoryLimit", 10);
    pod::defaults::template(spec.object("template"));
    for template in spec.items("volumeClaimTemplates") {
        template.fill("kind", "PersistentVolumeClaim");
        template.fill("apiVersion", "v1");
        pod::defaults::claim_spec(template.object("spec"));
        template.object("status").fill("phase", "Pending");
    }
}

/// The spec.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    let policy = spec.text("podManagementPolicy");
    let at = path.child("podManagementPolicy");
    match policy {
        "" => errors.push(FieldError::required(&at, "")),
        "OrderedReady" | "Parallel" => {}
        other => errors.push(FieldError::invalid(&at, other, "must be 'OrderedReady' or 'Parallel'")),
    }
    strategy(errors, spec.at("updateStrategy"), &path.child("updateStrategy"));
    let retention = spec.at("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        let at = path.child("persistentVolumeClaimRetentionPolicy").child(field);
        check::one_of(errors, &at, retention.text(field), &["Retain", "Delete"]);
    }
    check::non_negative(errors, &path.child("replicas"), spec.int("replicas"));
    check::non_negative(errors, &path.child("minReadySeconds"), spec.int("minReadySeconds"));
    check::non_negative(errors, &path.child("ordinals").child("start"), spec.at("ordinals").int("start"));
    template::own_selector(errors, spec, &path.child("selector"), "statefulset");
    pods(errors, spec, &path);
    check::non_negative(errors, &path.child("revisionHistoryLimit"), spec.int("revisionHistoryLimit"));
    let service = spec.text("serviceName");
    if !service.is_empty() {
        check::dns_label(errors, &path.child("serviceName"), service);
    }
    for (i, own) in spec.list("volumeClaimTemplates").iter().enumerate() {
        let at = path.child("volumeClaimTemplates").index(i);
        let metadata = own.at("metadata");
        check::labels(errors, &at.child("metadata").child("labels"), metadata.at("labels"));
        meta::annotations(errors, metadata.at("annotations"), &at.child("metadata").child("annotations"));
        claim::spec(errors, own.at("spec"), &at.child("spec"));
    }
}

fn pods(errors: &mut Errors, spec: &Value, path: &Path) {
    let own = spec.at("selector");
    if !selector::is_parsable(own) {
        let shown = print::label_selector(own);
        errors.push(FieldError::invalid_raw(&path.child("selector"), &shown, ""));
        return;
    }
    let at = path.child("template");
    template::labels_match(errors, spec, &at);
    template::validate(errors, spec.at("template"), &at);
    template::always_restarts(errors, spec, &at, "StatefulSet");
}

fn strategy(errors: &mut Errors, strategy: &Value, path: &Path) {
    let at = path.child("rollingUpdate");
    let rolling = strategy.at("rollingUpdate");
    let shown = || {
        let fields = [("Partition", "partition", "0"), ("MaxUnavailable", "maxUnavailable", "null")];
        print::internal(rolling, &fields)
    };
    match strategy.text("type") {
        "" => errors.push(FieldError::required(path, "")),
        "OnDelete" => {
            if !rolling.is_null() {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(FieldError::invalid_raw(&at, &shown(), detail));
            }
        }
        "RollingUpdate" => {
            check::non_negative(errors, &at.child("partition"), rolling.int("partition"));
            if rolling.has("maxUnavailable") {
                let unavailable = rolling.at("maxUnavailable");
                let at = at.child("maxUnavailable");
                check::int_or_percent(errors, &at, unavailable);
                if deployment::is_zero(unavailable) {
                    errors.push(FieldError::invalid(&at, unavailable.clone(), "cannot be 0"));
                }
                check::not_above_100_percent(errors, &at, unavailable);
            }
        }
        _ => {
            let fields = [("Type", "type", "\"\""), ("RollingUpdate", "rollingUpdate", "null")];
            let shown = print::internal(strategy, &fields);
            errors.push(FieldError::invalid_raw(path, &shown, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

/// An update: only what can be rolled out may change.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value, old: &Value) {
    const FIXED: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                         'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    if subresource == "status" {
        status(errors, object.at("status"), old.at("status"));
        return;
    }
    validate(errors, object);
    let rest = |object: &Value| {
        let mut rest = object.at("spec").clone();
        for field in [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ] {
            rest.drop_field(field);
        }
        rest
    };
    if !same(&rest(object), &rest(old)) {
        errors.push(FieldError::forbidden(&Path::new("spec"), FIXED));
    }
}

fn status(errors: &mut Errors, status: &Value, old: &Value) {
    let path = Path::new("status");
    let count = |field: &str| status.int(field).unwrap_or(0);
    let counts = ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "observedGeneration"];
    for field in counts {
        check::non_negative(errors, &path.child(field), status.int(field));
    }
    check::non_negative(errors, &path.child("availableReplicas"), status.int("availableReplicas"));
    counts::collisions(errors, status, old, &path);
    for field in ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"] {
        if count(field) > count("replicas") {
            let detail = "cannot be greater than status.replicas";
            errors.push(FieldError::invalid(&path.child(field), json!(count(field)), detail));
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let detail = "cannot be greater than status.readyReplicas";
        errors.push(FieldError::invalid(&path.child("availableReplicas"), count("availableReplicas"), detail));
    }
}
