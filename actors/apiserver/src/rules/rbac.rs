//! Roles and bindings.

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::check::{self, Errors};
use super::read::{Fill, Read, same};
use super::selector;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Defaults of a binding: users, groups and roles are this group's own.
pub(crate) fn binding_defaults(object: &mut Value) {
    object.object("roleRef").fill("apiGroup", GROUP);
    for subject in object.items("subjects") {
        if matches!(subject.text("kind"), "User" | "Group") {
            subject.fill("apiGroup", GROUP);
        }
    }
}

/// A Role or ClusterRole.
pub(crate) fn validate_role(errors: &mut Errors, object: &Value, namespaced: bool) {
    for (i, rule) in object.list("rules").iter().enumerate() {
        policy_rule(errors, rule, namespaced, &Path::new("rules").index(i));
    }
    let aggregation = object.at("aggregationRule");
    if !namespaced && !aggregation.is_null() {
        let at = Path::new("aggregationRule").child("clusterRoleSelectors");
        let selectors = aggregation.list("clusterRoleSelectors");
        if selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(FieldError::required(&at, detail));
        }
        for (i, own) in selectors.iter().enumerate() {
            selector::labels(errors, own, &at.index(i));
        }
    }
}

fn policy_rule(errors: &mut Errors, rule: &Value, namespaced: bool, path: &Path) {
    if !rule.filled("verbs") {
        errors.push(FieldError::required(&path.child("verbs"), "verbs must contain at least one value"));
    }
    if rule.filled("nonResourceURLs") {
        let at = path.child("nonResourceURLs");
        let urls = rule.at("nonResourceURLs");
        if namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid(&at, urls.clone(), detail));
        }
        if ["apiGroups", "resources", "resourceNames"].iter().any(|f| rule.filled(f)) {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(&at, urls.clone(), detail));
        }
        return;
    }
    if !rule.filled("apiGroups") {
        let detail = "resource rules must supply at least one api group";
        errors.push(FieldError::required(&path.child("apiGroups"), detail));
    }
    if !rule.filled("resources") {
        let detail = "resource rules must supply at least one resource";
        errors.push(FieldError::required(&path.child("resources"), detail));
    }
}

/// A RoleBinding or ClusterRoleBinding.
pub(crate) fn validate_binding(errors: &mut Errors, object: &Value, namespaced: bool) {
    let role = object.at("roleRef");
    let path = Path::new("roleRef");
    check::one_of(errors, &path.child("apiGroup"), role.text("apiGroup"), &[GROUP]);
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    check::one_of(errors, &path.child("kind"), role.text("kind"), kinds);
    let own = role.text("name");
    if own.is_empty() {
        errors.push(FieldError::required(&path.child("name"), ""));
    } else {
        check::texts(errors, &path.child("name"), own, name::is_path_segment_name(own));
    }
    for (i, subject) in object.list("subjects").iter().enumerate() {
        self::subject(errors, subject, namespaced, &Path::new("subjects").index(i));
    }
}

fn subject(errors: &mut Errors, subject: &Value, namespaced: bool, path: &Path) {
    let (own, group) = (subject.text("name"), subject.text("apiGroup"));
    check::required(errors, &path.child("name"), own);
    match subject.text("kind") {
        "ServiceAccount" => {
            if !own.is_empty() {
                check::dns_subdomain(errors, &path.child("name"), own);
            }
            if !group.is_empty() {
                errors.push(FieldError::not_supported(&path.child("apiGroup"), group, &[""]));
            }
            if !namespaced && !subject.filled("namespace") {
                errors.push(FieldError::required(&path.child("namespace"), ""));
            }
        }
        "User" | "Group" => check::one_of(errors, &path.child("apiGroup"), group, &[GROUP]),
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(&path.child("kind"), other, &kinds));
        }
    }
}

/// A binding keeps its role.
pub(crate) fn validate_binding_update(errors: &mut Errors, object: &Value, old: &Value, namespaced: bool) {
    validate_binding(errors, object, namespaced);
    if !same(object.at("roleRef"), old.at("roleRef")) {
        let role = object.at("roleRef");
        let shown = super::print::internal(
            role,
            &[("APIGroup", "apiGroup", "\"\""), ("Kind", "kind", "\"\""), ("Name", "name", "\"\"")],
        );
        errors.push(FieldError::invalid_raw(&Path::new("roleRef"), &shown, "cannot change roleRef"));
    }
}
