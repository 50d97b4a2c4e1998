//! Validation of webhook configurations. Their match conditions are kept unread: nothing here evaluates CEL.

use std::collections::BTreeSet;

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::check::{self, Errors};
use super::read::Read;
use super::selector;

const URL_FORM: &str = "; desired format: https://host[/path]";

/// The webhooks of a validating or mutating configuration.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let mut names = BTreeSet::new();
    for (i, webhook) in object.list("webhooks").iter().enumerate() {
        let at = Path::new("webhooks").index(i);
        let own = webhook.text("name");
        self::webhook(errors, webhook, &at);
        review_versions(errors, webhook, &at.child("admissionReviewVersions"));
        if !names.insert(own) {
            errors.push(FieldError::duplicate(&at.child("name"), own));
        }
    }
}

fn webhook(errors: &mut Errors, webhook: &Value, path: &Path) {
    let own = webhook.text("name");
    check::texts(errors, &path.child("name"), own, name::is_fully_qualified_name(own));
    for (i, rule) in webhook.list("rules").iter().enumerate() {
        self::rule(errors, rule, &path.child("rules").index(i));
    }
    check::one_of(errors, &path.child("failurePolicy"), webhook.text("failurePolicy"), &["Fail", "Ignore"]);
    check::one_of(errors, &path.child("matchPolicy"), webhook.text("matchPolicy"), &["Equivalent", "Exact"]);
    let effects = path.child("sideEffects");
    if webhook.has("sideEffects") {
        check::one_of(errors, &effects, webhook.text("sideEffects"), &["None", "NoneOnDryRun"]);
    } else {
        errors.push(FieldError::required(&effects, "must specify one of None, NoneOnDryRun"));
    }
    if let Some(seconds) = webhook.int("timeoutSeconds").filter(|s| !(1..=30).contains(s)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(&path.child("timeoutSeconds"), seconds, detail));
    }
    for field in ["namespaceSelector", "objectSelector"] {
        selector::labels(errors, webhook.at(field), &path.child(field));
    }
    if webhook.has("reinvocationPolicy") {
        let policies = ["IfNeeded", "Never"];
        check::one_of(errors, &path.child("reinvocationPolicy"), webhook.text("reinvocationPolicy"), &policies);
    }
    client(errors, webhook.at("clientConfig"), &path.child("clientConfig"));
    conditions(errors, webhook.list("matchConditions"), &path.child("matchConditions"));
}

fn review_versions(errors: &mut Errors, webhook: &Value, path: &Path) {
    let versions = webhook.texts("admissionReviewVersions");
    if versions.is_empty() {
        errors.push(FieldError::required(path, "must specify one of v1, v1beta1"));
        return;
    }
    for (i, version) in versions.iter().enumerate() {
        if versions.iter().take(i).any(|earlier| earlier == version) {
            errors.push(FieldError::invalid(&path.index(i), *version, "duplicate version"));
        }
        check::texts(errors, &path.index(i), version, name::is_dns1035_label(version));
    }
    if !versions.iter().any(|v| ["v1", "v1beta1"].contains(v)) {
        let shown = webhook.at("admissionReviewVersions").clone();
        errors.push(FieldError::invalid(path, shown, "must include at least one of v1, v1beta1"));
    }
}

/// What a rule matches: operations, groups, versions, resources; `*` stands for all, and then alone.
fn rule(errors: &mut Errors, rule: &Value, path: &Path) {
    let operations = rule.texts("operations");
    let at = path.child("operations");
    alone(errors, rule, "operations", "operations", path);
    for (i, operation) in operations.into_iter().enumerate() {
        let known = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
        check::one_of(errors, &at.index(i), operation, &known);
    }
    alone(errors, rule, "apiGroups", "API groups", path);
    alone(errors, rule, "apiVersions", "API versions", path);
    for (i, _) in rule.texts("apiVersions").iter().enumerate().filter(|(_, version)| version.is_empty()) {
        errors.push(FieldError::required(&path.child("apiVersions").index(i), ""));
    }
    resources(errors, rule, &path.child("resources"));
    if rule.has("scope") {
        check::one_of(errors, &path.child("scope"), rule.text("scope"), &["*", "Cluster", "Namespaced"]);
    }
}

fn alone(errors: &mut Errors, rule: &Value, field: &str, noun: &str, path: &Path) {
    let values = rule.texts(field);
    let at = path.child(field);
    if values.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else if values.len() > 1 && values.contains(&"*") {
        let detail = format!("if '*' is present, must not specify other {noun}");
        errors.push(FieldError::invalid(&at, rule.at(field).clone(), &detail));
    }
}

fn resources(errors: &mut Errors, rule: &Value, path: &Path) {
    let resources = rule.texts("resources");
    if resources.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    let all = |detail: &str| FieldError::invalid(path, rule.at("resources").clone(), detail);
    if resources.len() > 1 && resources.contains(&"*/*") {
        errors.push(all("if '*/*' is present, must not specify other resources"));
    }
    if resources.contains(&"*") && resources.iter().any(|r| !r.contains('/') && *r != "*") {
        errors.push(all("if '*' is present, must not specify other resources without subresources"));
    }
    for (i, resource) in resources.iter().enumerate() {
        if resource.is_empty() {
            errors.push(FieldError::required(&path.index(i), ""));
        }
        let Some((whole, sub)) = resource.split_once('/') else { continue };
        let covered = |other: &str| resources.iter().any(|r| *r == other && r != resource);
        if covered(&format!("{whole}/*")) || covered(&format!("*/{sub}")) {
            let detail = format!("if '{whole}/*' or '*/{sub}' is present, must not specify {resource}");
            errors.push(FieldError::invalid(&path.index(i), *resource, &detail));
        }
    }
}

fn client(errors: &mut Errors, client: &Value, path: &Path) {
    if client.has("url") == client.has("service") {
        errors.push(FieldError::required(path, "exactly one of url or service is required"));
    } else if client.has("url") {
        url(errors, client.text("url"), &path.child("url"));
    } else {
        service(errors, client.at("service"), &path.child("service"));
    }
}

fn url(errors: &mut Errors, url: &str, path: &Path) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme{URL_FORM}");
        errors.push(FieldError::invalid(path, scheme, &detail));
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() {
        errors.push(FieldError::invalid(path, host, &format!("host must be specified{URL_FORM}")));
    }
    for (part, what) in [(user, "user information is"), (fragment, "fragments are"), (query, "query parameters are")] {
        if !part.is_empty() {
            errors.push(FieldError::invalid(path, part, &format!("{what} not permitted in the URL")));
        }
    }
}

fn service(errors: &mut Errors, service: &Value, path: &Path) {
    for field in ["name", "namespace"] {
        if !service.filled(field) {
            let detail = format!("service {field} is required");
            errors.push(FieldError::required(&path.child(field), &detail));
        }
    }
    let port = service.int("port").unwrap_or(0);
    for text in name::is_port_number(port) {
        errors.push(FieldError::invalid(&path.child("port"), port, &format!("port is not valid: {text}")));
    }
    let at = path.child("path");
    let target = service.text("path");
    if !service.has("path") || target == "/" {
        return;
    }
    if !target.starts_with('/') {
        errors.push(FieldError::invalid(&at, target, "must start with a '/'"));
    }
    let mut segments: Vec<&str> = target.split('/').skip(1).collect();
    if segments.last().is_some_and(|last| last.is_empty()) {
        segments.pop();
    }
    if segments.is_empty() {
        errors.push(FieldError::invalid(&at, target, "segment[0] may not be empty"));
    }
    for (i, segment) in segments.into_iter().enumerate() {
        if segment.is_empty() {
            errors.push(FieldError::invalid(&at, target, &format!("segment[{i}] may not be empty")));
            continue;
        }
        for text in name::is_dns1123_subdomain(segment) {
            errors.push(FieldError::invalid(&at, target, &format!("segment[{i}]: {text}")));
        }
    }
}

fn conditions(errors: &mut Errors, conditions: &[Value], path: &Path) {
    const MOST: usize = 64;
    if conditions.len() > MOST {
        errors.push(FieldError::too_many(path, conditions.len(), MOST));
    }
    let mut names = BTreeSet::new();
    for (i, condition) in conditions.iter().enumerate() {
        let at = path.index(i);
        let own = condition.text("name");
        if condition.text("expression").trim().is_empty() {
            errors.push(FieldError::required(&at.child("expression"), ""));
        }
        if own.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else {
            check::qualified_name(errors, &at.child("name"), own);
            if !names.insert(own) {
                errors.push(FieldError::duplicate(&at.child("name"), own));
            }
        }
    }
}
