//! What is legal in a pod or template, but hardly meant.

use std::collections::{BTreeMap, BTreeSet};

use cox_objects::Path;
use cox_objects::quantity::Quantity;
use serde_json::Value;

use super::super::print;
use super::super::read::Read;

const ANNOTATIONS: [(&str, &str); 4] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("seccomp.security.alpha.kubernetes.io/pod", "non-functional in v1.27+; use the \"seccompProfile\" field instead"),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

const VOLUMES: [(&str, &str); 9] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// The warnings about a pod (`path` is the root) or a template (`path` is its place), which holds `metadata` and `spec`.
pub(crate) fn template(object: &Value, old: Option<&Value>, path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let (spec, at) = (object.at("spec"), path.child("spec"));
    node_labels(&mut found, spec, &at);
    annotations(&mut found, object, old, &path.child("metadata").child("annotations"));
    selectors_of_nothing(&mut found, spec, &at);
    for (i, volume) in spec.list("volumes").iter().enumerate() {
        for (source, text) in VOLUMES.iter().filter(|(source, _)| volume.has(source)) {
            found.push(format!("{}: {text}", at.child("volumes").index(i).child(source)));
        }
    }
    for (i, alias) in spec.list("hostAliases").iter().enumerate() {
        found.extend(print::doubtful_address(&at.child("hostAliases").index(i).child("ip"), alias.text("ip")));
    }
    for (i, server) in spec.at("dnsConfig").texts("nameservers").into_iter().enumerate() {
        let at = at.child("dnsConfig").child("nameservers").index(i);
        found.extend(print::doubtful_address(&at, server));
    }
    repeated(&mut found, spec, "hostAliases", "ip", &at);
    repeated(&mut found, spec, "imagePullSecrets", "name", &at);
    for (i, secret) in spec.list("imagePullSecrets").iter().enumerate() {
        if !secret.filled("name") {
            let at = at.child("imagePullSecrets").index(i).child("name");
            found.push(format!("{at}: invalid empty name \"\""));
        }
    }
    for (container, at) in containers(spec, &at) {
        fractions(&mut found, container, &at);
        hidden_variables(&mut found, container, &at);
    }
    ports(&mut found, spec, &at);
    if spec.int("terminationGracePeriodSeconds").is_some_and(|s| s < 0) {
        let at = at.child("terminationGracePeriodSeconds");
        found.push(format!("{at}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    found
}

/// The warning about the name of something whose pods' host names are made of it.
pub(crate) fn host_name(object: &Value, use_of_it: &str) -> Option<String> {
    let found = cox_objects::name::is_dns1123_label(object.at("metadata").text("name"));
    (!found.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in {use_of_it}, which can result in surprising behavior; a DNS label is \
             recommended: [{}]",
            found.join(" ")
        )
    })
}

/// A selector that is not there selects no pod.
fn selectors_of_nothing(found: &mut Vec<String>, spec: &Value, path: &Path) {
    const NOTHING: &str = "a null labelSelector results in matching no pod";
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let mut at = Vec::new();
    for (i, constraint) in spec.list("topologySpreadConstraints").iter().enumerate() {
        at.push((constraint, path.child("topologySpreadConstraints").index(i)));
    }
    for field in ["podAffinity", "podAntiAffinity"] {
        let own = spec.at("affinity").at(field);
        let path = path.child("affinity").child(field);
        for (i, term) in own.list(required).iter().enumerate() {
            at.push((term, path.child(required).index(i)));
        }
        for (i, weighted) in own.list(preferred).iter().enumerate() {
            at.push((weighted.at("podAffinityTerm"), path.child(preferred).index(i).child("podAffinityTerm")));
        }
    }
    let empty = at.iter().filter(|(holder, _)| !holder.has("labelSelector"));
    found.extend(empty.map(|(_, path)| format!("{}: {NOTHING}", path.child("labelSelector"))));
}

fn containers<'a>(spec: &'a Value, path: &Path) -> Vec<(&'a Value, Path)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| {
            let at = path.child(list);
            spec.list(list).iter().enumerate().map(move |(i, c)| (c, at.index(i)))
        })
        .collect()
}

/// Why a node label should no longer be used.
fn node_label(key: &str) -> Option<&'static str> {
    Some(match key {
        "beta.kubernetes.io/arch" => "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
        "beta.kubernetes.io/os" => "deprecated since v1.14; use \"kubernetes.io/os\" instead",
        "failure-domain.beta.kubernetes.io/region" => {
            "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"
        }
        "failure-domain.beta.kubernetes.io/zone" => {
            "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"
        }
        "beta.kubernetes.io/instance-type" => {
            "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"
        }
        _ => return None,
    })
}

fn node_labels(found: &mut Vec<String>, spec: &Value, path: &Path) {
    for (key, _) in spec.entries("nodeSelector") {
        if let Some(text) = node_label(key) {
            found.push(format!("{}: {text}", path.child("nodeSelector").key(key)));
        }
    }
    let affinity = spec.at("affinity").at("nodeAffinity");
    let at = path.child("affinity").child("nodeAffinity");
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let terms_at = at.child(required).child("nodeSelectorTerms");
    let mut terms: Vec<(&Value, Path)> = Vec::new();
    for (i, term) in affinity.at(required).list("nodeSelectorTerms").iter().enumerate() {
        terms.push((term, terms_at.index(i)));
    }
    for (i, weighted) in affinity.list(preferred).iter().enumerate() {
        terms.push((weighted.at("preference"), at.child(preferred).index(i).child("preference")));
    }
    for (term, at) in terms {
        for (i, rule) in term.list("matchExpressions").iter().enumerate() {
            if let Some(text) = node_label(rule.text("key")) {
                let at = at.child("matchExpressions").index(i).child("key");
                found.push(format!("{at}: {} is {text}", rule.text("key")));
            }
        }
    }
    for (i, constraint) in spec.list("topologySpreadConstraints").iter().enumerate() {
        let key = constraint.text("topologyKey");
        if let Some(text) = node_label(key) {
            let at = path.child("topologySpreadConstraints").index(i).child("topologyKey");
            found.push(format!("{at}: {key} is {text}"));
        }
    }
}

fn annotations(found: &mut Vec<String>, object: &Value, old: Option<&Value>, path: &Path) {
    let own = object.at("metadata").at("annotations");
    let had = |key: &str| old.is_some_and(|o| o.at("metadata").at("annotations").has(key));
    for (key, text) in ANNOTATIONS {
        if own.has(key) && !had(key) {
            found.push(format!("{}: {text}", path.key(key)));
        }
    }
    for (key, _) in object.at("metadata").entries("annotations") {
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/") && !had(key) {
            let text = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            found.push(format!("{}: {text}", path.key(key)));
        }
    }
}

fn repeated(found: &mut Vec<String>, spec: &Value, list: &str, field: &str, path: &Path) {
    let mut seen = BTreeSet::new();
    for (i, item) in spec.list(list).iter().enumerate() {
        let own = item.text(field);
        if !seen.insert(own) {
            found.push(format!("{}: duplicate {field} {own:?}", path.child(list).index(i).child(field)));
        }
    }
}

fn fractions(found: &mut Vec<String>, container: &Value, path: &Path) {
    for (list, resource) in [
        ("limits", "memory"),
        ("requests", "memory"),
        ("requests", "ephemeral-storage"),
        ("limits", "ephemeral-storage"),
    ] {
        let own = container.at("resources").at(list).text(resource);
        if Quantity::parse(own).is_ok_and(|q| !q.is_integer()) {
            let at = path.child("resources").child(list).key(resource);
            found.push(format!("{at}: fractional byte value {own:?} is invalid, must be an integer"));
        }
    }
}

fn hidden_variables(found: &mut Vec<String>, container: &Value, path: &Path) {
    let mut seen = BTreeSet::new();
    for (i, variable) in container.list("env").iter().enumerate() {
        let own = variable.text("name");
        let builds_on_it = variable.text("value").contains(&format!("$({own})"));
        if !seen.insert(own) && !builds_on_it {
            let at = path.child("env").index(i);
            found.push(format!("{at}: hides previous definition of {own:?}, which may be dropped when using apply"));
        }
    }
}

fn ports(found: &mut Vec<String>, spec: &Value, path: &Path) {
    let mut all: BTreeMap<String, Vec<(Path, &Value)>> = BTreeMap::new();
    for (container, at) in containers(spec, path) {
        for (i, port) in container.list("ports").iter().enumerate() {
            let at = at.child("ports").index(i);
            let key = format!("{}/{}", port.int("containerPort").unwrap_or(0), port.text("protocol"));
            let others = all.entry(key).or_default();
            for (other_at, other) in others.iter() {
                if let Some(how) = overlap(port, other) {
                    found.push(format!("{at}: {how} port definition with {other_at}"));
                }
            }
            others.push((at, port));
        }
    }
}

/// How two definitions of the same container port get in each other's way.
fn overlap(port: &Value, other: &Value) -> Option<&'static str> {
    let (ip, other_ip) = (port.text("hostIP"), other.text("hostIP"));
    let (number, other_number) = (port.int("hostPort").unwrap_or(0), other.int("hostPort").unwrap_or(0));
    if ip == other_ip && number == other_number {
        Some("duplicate")
    } else if number == 0 || other_number == 0 {
        Some("overlapping")
    } else if number == other_number && (ip.is_empty() || other_ip.is_empty()) {
        Some("dangerously ambiguous")
    } else {
        None
    }
}
