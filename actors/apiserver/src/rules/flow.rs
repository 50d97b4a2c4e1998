//! FlowSchemas and PriorityLevelConfigurations: stored for clients that manage them; requests are not sorted by them.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::check::{self, Errors};
use super::print;
use super::read::Read;

const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
/// The highest matching precedence.
const PRECEDENCE: i64 = 10_000;
/// The most queues of a priority level.
const QUEUES: i64 = 10_000_000;

/// A FlowSchema.
pub(crate) fn schema(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    let precedence = spec.int("matchingPrecedence").unwrap_or(0);
    let at = path.child("matchingPrecedence");
    if precedence <= 0 {
        errors.push(FieldError::invalid(&at, precedence, "must be a positive value"));
    }
    if precedence > PRECEDENCE {
        errors.push(FieldError::invalid(&at, precedence, "must not be greater than 10000"));
    }
    // Only the schema that exempts those who run the cluster may come first.
    if precedence == 1 && object.at("metadata").text("name") != "exempt" {
        errors.push(FieldError::invalid(
            &at,
            precedence,
            "only the schema named 'exempt' may have matchingPrecedence 1",
        ));
    }
    let method = spec.at("distinguisherMethod");
    let methods = ["ByNamespace", "ByUser"];
    if !method.is_null() && !methods.contains(&method.text("type")) {
        let at = path.child("distinguisherMethod").child("type");
        unsupported(errors, &at, &print::internal(method, &[("Type", "type", "\"\"")]), &methods);
    }
    let level = spec.at("priorityLevelConfiguration").text("name");
    let at = path.child("priorityLevelConfiguration").child("name");
    if level.is_empty() {
        errors.push(FieldError::required(&at, "must reference a priority level"));
    } else {
        check::dns_subdomain(errors, &at, level);
    }
    for (i, rule) in spec.list("rules").iter().enumerate() {
        policy(errors, rule, &path.child("rules").index(i));
    }
}

fn unsupported(errors: &mut Errors, path: &Path, shown: &str, supported: &[&str]) {
    let mut error = FieldError::not_supported(path, "", supported);
    error.body = error.body.replacen("\"\"", shown, 1);
    errors.push(error);
}

fn policy(errors: &mut Errors, rule: &Value, path: &Path) {
    if !rule.filled("subjects") {
        errors.push(FieldError::required(&path.child("subjects"), "subjects must contain at least one value"));
    }
    for (i, own) in rule.list("subjects").iter().enumerate() {
        subject(errors, own, &path.child("subjects").index(i));
    }
    if !rule.filled("resourceRules") && !rule.filled("nonResourceRules") {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(FieldError::required(path, detail));
    }
    for (i, own) in rule.list("resourceRules").iter().enumerate() {
        resource_rule(errors, own, &path.child("resourceRules").index(i));
    }
    for (i, own) in rule.list("nonResourceRules").iter().enumerate() {
        let at = path.child("nonResourceRules").index(i);
        verbs(errors, own, &at);
        if !own.filled("nonResourceURLs") {
            let detail = "nonResourceURLs must contain at least one value";
            errors.push(FieldError::required(&at.child("nonResourceURLs"), detail));
        } else if own.texts("nonResourceURLs") != ["*"] {
            for (j, url) in own.texts("nonResourceURLs").into_iter().enumerate() {
                if let Some(fault) = url_fault(url) {
                    errors.push(FieldError::invalid(&at.child("nonResourceURLs").index(j), url, fault));
                }
            }
        }
    }
}

/// What is wrong with a path: it begins with a slash, and its only star is its last part.
fn url_fault(url: &str) -> Option<&'static str> {
    if url.is_empty() {
        return Some("must not be empty");
    }
    if url == "/" {
        return None;
    }
    if !url.starts_with('/') {
        return Some("must start with slash");
    }
    if url.contains(' ') {
        return Some("must not contain white-space");
    }
    if url.contains("//") {
        return Some("must not contain double slash");
    }
    let stars = url.matches('*').count();
    let last = url.ends_with("/*");
    (stars > 1 || (stars == 1 && !last)).then_some("wildcard can only do suffix matching")
}

fn verbs(errors: &mut Errors, rule: &Value, path: &Path) {
    let given = rule.texts("verbs");
    let at = path.child("verbs");
    if given.is_empty() {
        errors.push(FieldError::required(&at, "verbs must contain at least one value"));
    } else if given.contains(&"*") {
        if given.len() > 1 {
            let detail = "if '*' is present, must not specify other verbs";
            errors.push(FieldError::invalid(&at, given, detail));
        }
    } else if !given.iter().all(|verb| VERBS.contains(verb)) {
        errors.push(FieldError::not_supported(&at, given, &VERBS));
    }
}

fn resource_rule(errors: &mut Errors, rule: &Value, path: &Path) {
    verbs(errors, rule, path);
    for (field, noun) in [("apiGroups", "api groups"), ("resources", "resources")] {
        let given = rule.texts(field);
        let at = path.child(field);
        if given.is_empty() {
            let named = if field == "apiGroups" { "resource groups" } else { noun };
            errors.push(FieldError::required(&at, &format!("{named} must contain at least one value")));
        } else if given.len() > 1 && given.contains(&"*") {
            let detail = format!("if '*' is present, must not specify other {noun}");
            errors.push(FieldError::invalid(&at, given, &detail));
        }
    }
    let namespaces = rule.texts("namespaces");
    let at = path.child("namespaces");
    if namespaces.is_empty() && !rule.flag("clusterScope") {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(FieldError::required(&at, detail));
    } else if namespaces.len() > 1 && namespaces.contains(&"*") {
        errors.push(FieldError::invalid(&at, namespaces, "if '*' is present, must not specify other namespaces"));
    } else {
        for (i, namespace) in namespaces.iter().enumerate().filter(|(_, n)| **n != "*") {
            check::dns_label(errors, &at.index(i), namespace);
        }
    }
}

fn subject(errors: &mut Errors, subject: &Value, path: &Path) {
    let kind = subject.text("kind");
    let fields = [("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];
    let Some((_, own)) = fields.iter().find(|(name, _)| *name == kind) else {
        errors.push(FieldError::not_supported(&path.child("kind"), kind, &["Group", "ServiceAccount", "User"]));
        return;
    };
    if !subject.has(own) {
        let detail = format!("{own} is required when subject kind is '{kind}'");
        errors.push(FieldError::required(&path.child(own), &detail));
    }
    for (_, other) in fields.iter().filter(|(name, field)| *name != kind && subject.has(field)) {
        let detail = format!("{other} is forbidden when subject kind is not '{}'", capital(other));
        errors.push(FieldError::forbidden(&path.child(other), &detail));
    }
    let at = path.child(own);
    let holder = subject.at(own);
    let name = holder.text("name");
    if !subject.has(own) {
        return;
    }
    if name.is_empty() {
        errors.push(FieldError::required(&at.child("name"), ""));
    } else if kind == "ServiceAccount" && name != "*" {
        check::dns_subdomain(errors, &at.child("name"), name);
    }
    if kind == "ServiceAccount" {
        let namespace = holder.text("namespace");
        if namespace.is_empty() {
            errors.push(FieldError::required(&at.child("namespace"), "must specify namespace for service account"));
        } else {
            check::dns_label(errors, &at.child("namespace"), namespace);
        }
    }
}

fn capital(field: &str) -> &str {
    match field {
        "group" => "Group",
        "serviceAccount" => "ServiceAccount",
        _ => "User",
    }
}

/// A PriorityLevelConfiguration.
pub(crate) fn level(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    match spec.text("type") {
        "Exempt" => {
            if spec.has("limited") {
                errors.push(FieldError::forbidden(&path.child("limited"), "must be nil if the type is not Limited"));
            }
            if spec.has("exempt") {
                shares(errors, spec.at("exempt"), &path.child("exempt"));
            }
        }
        "Limited" => {
            if spec.has("exempt") {
                errors.push(FieldError::forbidden(&path.child("exempt"), "must be nil if the type is Limited"));
            }
            match spec.has("limited") {
                true => limited(errors, spec.at("limited"), &path.child("limited")),
                false => {
                    let detail = "must not be empty when type is Limited";
                    errors.push(FieldError::required(&path.child("limited"), detail));
                }
            }
        }
        other => errors.push(FieldError::not_supported(&path.child("type"), other, &["Exempt", "Limited"])),
    }
}

fn shares(errors: &mut Errors, holder: &Value, path: &Path) {
    if let Some(own) = holder.int("nominalConcurrencyShares").filter(|n| *n < 0) {
        errors.push(FieldError::invalid(
            &path.child("nominalConcurrencyShares"),
            own,
            "must be a non-negative integer",
        ));
    }
    if let Some(own) = holder.int("lendablePercent").filter(|n| !(0..=100).contains(n)) {
        errors.push(FieldError::invalid(&path.child("lendablePercent"), own, "must be between 0 and 100, inclusive"));
    }
}

fn limited(errors: &mut Errors, limited: &Value, path: &Path) {
    shares(errors, limited, path);
    let response = limited.at("limitResponse");
    let at = path.child("limitResponse");
    let queuing = at.child("queuing");
    match response.text("type") {
        "Reject" if response.has("queuing") => {
            errors.push(FieldError::forbidden(&queuing, "must be nil if limited.limitResponse.type is not Limited"));
        }
        "Reject" => {}
        "Queue" if !response.has("queuing") => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            errors.push(FieldError::required(&queuing, detail));
        }
        "Queue" => queues(errors, response.at("queuing"), &queuing),
        other => errors.push(FieldError::not_supported(&at.child("type"), other, &["Queue", "Reject"])),
    }
    if let Some(own) = limited.int("borrowingLimitPercent").filter(|n| *n < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.push(FieldError::invalid(&path.child("borrowingLimitPercent"), own, detail));
    }
}

fn queues(errors: &mut Errors, queuing: &Value, path: &Path) {
    let number = |field: &str| queuing.int(field).unwrap_or(0);
    let (queues, hand) = (number("queues"), number("handSize"));
    for field in ["queueLengthLimit", "queues"] {
        if number(field) <= 0 {
            errors.push(FieldError::invalid(&path.child(field), number(field), "must be positive"));
        }
    }
    if queues > QUEUES {
        errors.push(FieldError::invalid(&path.child("queues"), queues, &format!("must not be greater than {QUEUES}")));
    }
    let at = path.child("handSize");
    if hand <= 0 {
        errors.push(FieldError::invalid(&at, hand, "must be positive"));
    } else if hand > queues {
        errors.push(FieldError::invalid(&at, hand, &format!("should not be greater than queues ({queues})")));
    }
}
