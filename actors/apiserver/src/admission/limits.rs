//! LimitRanges: what a namespace gives containers that ask for nothing, and how much its pods and claims may ask for.

use std::collections::BTreeMap;

use cox_objects::quantity::Quantity;
use cox_objects::{Resource, Status};
use serde_json::{Map, Value};

use super::forbidden;
use crate::context::Context;
use crate::rules;
use crate::value::{fields, list, map, text};

const LIMIT_RANGES: Resource = Resource::from_static("limitranges");
/// Says on a pod what it was given.
const NOTE: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Quantity>;

fn ranges(ctx: &Context<'_>) -> Vec<Value> {
    ctx.state.list(&LIMIT_RANGES, &ctx.request.namespace).iter().map(|(_, object)| object.value()).collect()
}

/// Gives the containers of a new pod what they do not ask for themselves.
pub(super) fn give(ctx: &Context<'_>, pod: &mut Value) {
    for range in ranges(ctx) {
        let mut told = Vec::new();
        for (containers, noun) in [("containers", "container"), ("initContainers", "init container")] {
            let all = map(pod, "spec").get_mut(containers).and_then(Value::as_array_mut);
            for container in all.into_iter().flatten() {
                fill(container, &range, noun, &mut told);
            }
        }
        if !told.is_empty() {
            let annotations = map(pod, "metadata").entry("annotations").or_insert_with(|| Map::new().into());
            fields(annotations).insert(NOTE.into(), format!("LimitRanger plugin set: {}", told.join("; ")).into());
        }
    }
}

fn fill(container: &mut Value, range: &Value, noun: &str, told: &mut Vec<String>) {
    let name = text(container, "/name").to_owned();
    for (field, source, what) in [("requests", "defaultRequest", "request"), ("limits", "default", "limit")] {
        let mut given: Vec<String> = Vec::new();
        for limit in list(range, "/spec/limits").iter().filter(|l| text(l, "/type") == "Container") {
            for (resource, amount) in limit.get(source).and_then(Value::as_object).into_iter().flatten() {
                let resources = fields(fields(container).entry("resources").or_insert_with(|| Map::new().into()));
                let own = fields(resources.entry(field).or_insert_with(|| Map::new().into()));
                if !own.contains_key(resource) {
                    own.insert(resource.clone(), amount.clone());
                    given.push(resource.clone());
                }
            }
        }
        if !given.is_empty() {
            given.sort_unstable();
            told.push(format!("{} {what} for {noun} {name}", given.join(", ")));
        }
    }
}

/// Refuses a valid pod or claim that is beyond its namespace's limits.
pub(super) fn check(ctx: &Context<'_>, object: &Value, created: bool) -> Result<(), Status> {
    if !ctx.request.subresource.is_empty() {
        return Ok(());
    }
    let judge = match ctx.resource().as_str() {
        // An update cannot change what a pod asks for.
        "pods" if created => pod,
        "persistentvolumeclaims" => claim,
        _ => return Ok(()),
    };
    for range in ranges(ctx) {
        let mut faults = Vec::new();
        for limit in list(&range, "/spec/limits") {
            judge(&mut faults, &Limit { kind: text(limit, "/type"), limit }, object);
        }
        match faults.as_slice() {
            [] => {}
            [one] => return Err(forbidden(ctx, object, one)),
            many => return Err(forbidden(ctx, object, &format!("[{}]", many.join(", ")))),
        }
    }
    Ok(())
}

/// One entry of a LimitRange.
struct Limit<'a> {
    kind: &'a str,
    limit: &'a Value,
}

impl Limit<'_> {
    fn amounts(&self, field: &str) -> Amounts {
        amounts(self.limit.get(field))
    }

    fn least(&self, faults: &mut Vec<String>, requests: &Amounts, limits: &Amounts) {
        for (resource, least) in self.amounts("min") {
            let bound = format!("minimum {resource} usage per {} is {least}", self.kind);
            match (requests.get(&resource), limits.get(&resource)) {
                (None, _) => faults.push(format!("{bound}.  No request is specified")),
                (Some(own), _) if *own < least => faults.push(format!("{bound}, but request is {own}")),
                (_, Some(own)) if *own < least => faults.push(format!("{bound}, but limit is {own}")),
                _ => {}
            }
        }
    }

    fn most(&self, faults: &mut Vec<String>, requests: &Amounts, limits: &Amounts) {
        for (resource, most) in self.amounts("max") {
            let bound = format!("maximum {resource} usage per {} is {most}", self.kind);
            match (requests.get(&resource), limits.get(&resource)) {
                (_, None) => faults.push(format!("{bound}.  No limit is specified")),
                (_, Some(own)) if *own > most => faults.push(format!("{bound}, but limit is {own}")),
                (Some(own), _) if *own > most => faults.push(format!("{bound}, but request is {own}")),
                _ => {}
            }
        }
    }

    fn ratio(&self, faults: &mut Vec<String>, requests: &Amounts, limits: &Amounts) {
        for (resource, most) in self.amounts("maxLimitRequestRatio") {
            let bound = format!("{resource} max limit to request ratio per {} is {most}", self.kind);
            let some = |amounts: &Amounts| amounts.get(&resource).map(Quantity::as_f64).filter(|n| *n != 0.0);
            match (some(requests), some(limits)) {
                (None, _) => faults.push(format!("{bound}, but no request is specified or request is 0")),
                (_, None) => faults.push(format!("{bound}, but no limit is specified or limit is 0")),
                (Some(request), Some(limit)) if limit / request > most.as_f64() => {
                    faults.push(format!("{bound}, but provided ratio is {:.6}", limit / request));
                }
                _ => {}
            }
        }
    }
}

fn amounts(map: Option<&Value>) -> Amounts {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, amount)| Some((name.clone(), Quantity::from_value(amount).ok()?))).collect()
}

fn pod(faults: &mut Vec<String>, limit: &Limit<'_>, pod: &Value) {
    match limit.kind {
        "Container" => {
            for container in ["/spec/containers", "/spec/initContainers"].iter().flat_map(|at| list(pod, at)) {
                let own = |at: &str| amounts(container.pointer(at));
                all(faults, limit, &own("/resources/requests"), &own("/resources/limits"));
            }
        }
        "Pod" => {
            let spec = pod.get("spec").unwrap_or(&Value::Null);
            all(faults, limit, &rules::aggregate(spec, "requests"), &rules::aggregate(spec, "limits"));
        }
        _ => {}
    }
}

fn all(faults: &mut Vec<String>, limit: &Limit<'_>, requests: &Amounts, limits: &Amounts) {
    limit.least(faults, requests, limits);
    limit.most(faults, requests, limits);
    limit.ratio(faults, requests, limits);
}

/// A claim has requests only.
fn claim(faults: &mut Vec<String>, limit: &Limit<'_>, claim: &Value) {
    if limit.kind != "PersistentVolumeClaim" {
        return;
    }
    let requests = amounts(claim.pointer("/spec/resources/requests"));
    limit.least(faults, &requests, &Amounts::new());
    for (resource, most) in limit.amounts("max") {
        let bound = format!("maximum {resource} usage per {} is {most}", limit.kind);
        match requests.get(&resource) {
            None => faults.push(format!("{bound}.  No request is specified")),
            Some(own) if *own > most => faults.push(format!("{bound}, but request is {own}")),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
