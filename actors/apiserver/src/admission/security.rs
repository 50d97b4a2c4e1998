//! Pod Security admission: what a namespace's labels allow its pods, by the Pod Security Standards.
//!
//! Assumptions: nothing is exempt, and namespaces without labels are privileged, as Kubernetes is configured by default. A label
//! that asks for an older version of the standards gets the newest, under the version's name.

mod checks;

use cox_objects::{FieldError, Path, Resource, Status};
use serde_json::Value;

use super::forbidden;
use crate::context::Context;
use crate::value::{list, text};

const PREFIX: &str = "pod-security.kubernetes.io/";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "privileged" => Level::Privileged,
            "baseline" => Level::Baseline,
            "restricted" => Level::Restricted,
            _ => return None,
        })
    }
}

/// A level, and the version of the standards that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Policy {
    level: Level,
    version: String,
}

impl Policy {
    /// The policy of a mode (`enforce`, `warn`) that a namespace's labels set. What is not understood is restricted, so that a
    /// mistake does not open the namespace.
    fn of(namespace: &Value, mode: &str) -> Self {
        let label =
            |name: &str| namespace.pointer("/metadata/labels").and_then(|l| l.get(name)).and_then(Value::as_str);
        let level = label(&format!("{PREFIX}{mode}"));
        let level = level.map_or(Level::Privileged, |text| Level::parse(text).unwrap_or(Level::Restricted));
        let version =
            label(&format!("{PREFIX}{mode}-version")).filter(|v| is_version(v)).unwrap_or("latest").to_owned();
        Policy { level, version }
    }

    fn name(&self) -> String {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        format!("{level}:{}", self.version)
    }

    fn faults(&self, spec: &Value) -> Vec<checks::Fault> {
        match self.level {
            Level::Privileged => Vec::new(),
            Level::Baseline => checks::baseline(spec),
            Level::Restricted => checks::restricted(spec),
        }
    }

    /// `violates PodSecurity "baseline:latest": privileged (container "c" must …)`; nothing if the pod is fine.
    fn violation(&self, verb: &str, spec: &Value) -> Option<String> {
        let faults = self.faults(spec);
        let told: Vec<String> = faults.iter().map(|fault| format!("{} ({})", fault.reason, fault.detail)).collect();
        (!told.is_empty()).then(|| format!("{verb} PodSecurity {:?}: {}", self.name(), told.join(", ")))
    }
}

/// `latest`, `v1.30`
fn is_version(text: &str) -> bool {
    let minor = text.strip_prefix("v1.");
    text == "latest"
        || minor.is_some_and(|m| {
            m == "0" || (!m.starts_with('0') && !m.is_empty() && m.bytes().all(|b| b.is_ascii_digit()))
        })
}

/// Refuses a valid pod that its namespace does not allow; otherwise what is to be warned of. Pods that controllers make are refused
/// when they are made, so that of what holds their template there are only warnings.
pub(super) fn check(ctx: &Context<'_>, object: &Value, old: Option<&Value>) -> Result<Vec<String>, Status> {
    let subresource = ctx.request.subresource.as_str();
    let resource = ctx.resource().as_str();
    if resource == "namespaces" && subresource.is_empty() {
        return namespace(ctx, object, old);
    }
    let pod = resource == "pods" && ["", "ephemeralcontainers", "resize"].contains(&subresource);
    let spec = match template(resource) {
        _ if pod => "/spec",
        Some(spec) if subresource.is_empty() => spec,
        _ => return Ok(Vec::new()),
    };
    let spec = object.pointer(spec).unwrap_or(&Value::Null);
    let holder = ctx.state.get(&cox_objects::Key::new(Resource::NAMESPACES, "", &ctx.request.namespace));
    // Most namespaces say nothing, and their JSON is not worth reading for it.
    let Some(holder) = holder.filter(|n| contains(n.bytes(), PREFIX.as_bytes())) else { return Ok(Vec::new()) };
    let holder = holder.value();
    if pod {
        if old.is_some_and(|old| !matters(spec, old.get("spec").unwrap_or(&Value::Null))) {
            return Ok(Vec::new());
        }
        if let Some(why) = Policy::of(&holder, "enforce").violation("violates", spec) {
            return Err(forbidden(ctx, object, &why));
        }
    }
    Ok(Policy::of(&holder, "warn").violation("would violate", spec).into_iter().collect())
}

/// Where the resources that hold a template of pods have its spec.
fn template(resource: &str) -> Option<&'static str> {
    Some(match resource {
        "podtemplates" => "/template/spec",
        "replicationcontrollers"
        | "replicasets.apps"
        | "deployments.apps"
        | "daemonsets.apps"
        | "statefulsets.apps"
        | "jobs.batch" => "/spec/template/spec",
        "cronjobs.batch" => "/spec/jobTemplate/spec/template/spec",
        _ => return None,
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Whether an update of a pod touches what is checked: what runs, and with which rights.
fn matters(new: &Value, old: &Value) -> bool {
    ["/initContainers", "/containers", "/ephemeralContainers"].iter().any(|at| {
        let (new, old) = (list(new, at), list(old, at));
        let changed = |(new, old): (&Value, &Value)| {
            ["image", "securityContext"].iter().any(|field| new.get(field) != old.get(field))
        };
        new.len() != old.len() || new.iter().zip(old).any(changed)
    })
}

/// A namespace's labels must be understood; who makes them stricter hears of the pods that are there already.
fn namespace(ctx: &Context<'_>, namespace: &Value, old: Option<&Value>) -> Result<Vec<String>, Status> {
    let errors = misunderstood(namespace);
    if !errors.is_empty() && old.is_none_or(|old| misunderstood(old) != errors) {
        return Err(Status::invalid("", "Namespace", text(namespace, "/metadata/name"), &errors));
    }
    let Some(old) = old else { return Ok(Vec::new()) };
    let (now, before) = (Policy::of(namespace, "enforce"), Policy::of(old, "enforce"));
    let relaxed = now.version == before.version && now.level < before.level;
    if now == before || now.level == Level::Privileged || relaxed {
        return Ok(Vec::new());
    }
    let name = text(namespace, "/metadata/name");
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (key, pod) in ctx.state.list(&Resource::PODS, name) {
        let pod = pod.value();
        let faults = now.faults(pod.get("spec").unwrap_or(&Value::Null));
        let reasons = faults.iter().map(|fault| fault.reason).collect::<Vec<_>>().join(", ");
        match found.iter_mut().find(|(known, _)| *known == reasons) {
            _ if reasons.is_empty() => {}
            Some((_, pods)) => pods.push(key.name().to_owned()),
            None => found.push((reasons, vec![key.name().to_owned()])),
        }
    }
    let mut lines: Vec<String> = found.iter().map(|(reasons, pods)| line(pods, reasons)).collect();
    lines.sort_unstable();
    if !lines.is_empty() {
        let head =
            format!("existing pods in namespace {name:?} violate the new PodSecurity enforce level {:?}", now.name());
        lines.insert(0, head);
    }
    Ok(lines)
}

/// `a: privileged`, `a (and 2 other pods): privileged`
fn line(pods: &[String], reasons: &str) -> String {
    let first = pods.iter().min().map(String::as_str).unwrap_or_default();
    match pods.len() {
        1 => format!("{first}: {reasons}"),
        2 => format!("{first} (and 1 other pod): {reasons}"),
        many => format!("{first} (and {} other pods): {reasons}", many - 1),
    }
}

fn misunderstood(namespace: &Value) -> Vec<FieldError> {
    let labels = namespace.pointer("/metadata/labels").unwrap_or(&Value::Null);
    let path = Path::new("metadata").child("labels");
    let mut errors = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        let key = format!("{PREFIX}{mode}");
        if let Some(level) = labels.get(&key).and_then(Value::as_str).filter(|l| Level::parse(l).is_none()) {
            let detail = "must be one of privileged, baseline, restricted";
            errors.push(FieldError::invalid(&path.key(&key), level, detail));
        }
        let key = format!("{PREFIX}{mode}-version");
        if let Some(version) = labels.get(&key).and_then(Value::as_str).filter(|v| !is_version(v)) {
            errors.push(FieldError::invalid(&path.key(&key), version, "must be \"latest\" or \"v1.x\""));
        }
    }
    errors
}

#[cfg(test)]
mod tests;
