//! Quantities of resources: lists of them, requests and limits of containers and pods.

use std::collections::BTreeMap;

use cox_objects::quantity::Quantity;
use cox_objects::{FieldError, Path, name};
use serde_json::{Value, json};

use super::check::Errors;
use super::read::{Fill, Read};

/// Resources that have a meaning in a container's requests and limits without a domain.
const CONTAINER: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// What pods use, as a quota names it without a domain.
pub(crate) const COMPUTE: [&str; 10] = [
    "pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// What a namespace holds, as a quota names it without a domain: all of it counted, but for the storage that is asked for.
pub(crate) const OBJECTS: [&str; 9] = [
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "requests.storage",
];

/// Writes the quantities of a list as Kubernetes prints them, rounded up to thousandths.
pub(crate) fn canonical(object: &mut Value, field: &str) {
    let Some(list) = object.get_mut(field).and_then(Value::as_object_mut) else { return };
    for quantity in list.values_mut() {
        if let Some(parsed) = parse(quantity) {
            *quantity = Value::from(parsed.rounded_to_milli().to_string());
        }
    }
}

fn parse(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}

/// Whether a quantity is nothing; what is no quantity is not.
pub(crate) fn is_zero(text: &str) -> bool {
    Quantity::parse(text).is_ok_and(|q| q == Quantity::default())
}

/// Whether a quantity is below nothing.
pub(crate) fn is_negative(text: &str) -> bool {
    Quantity::parse(text).is_ok_and(|q| q < Quantity::default())
}

/// How two quantities compare; unreadable ones are equal.
pub(crate) fn compare(left: &Value, right: &Value) -> std::cmp::Ordering {
    match (parse(left), parse(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => std::cmp::Ordering::Equal,
    }
}

/// About how much a quantity is.
pub(crate) fn as_f64(quantity: &Value) -> f64 {
    parse(quantity).map(|q| q.as_f64()).unwrap_or_default()
}

/// Whether two lists hold the same quantities, in whatever form.
pub(crate) fn same_list(left: &Value, right: &Value) -> bool {
    let read = |list: &Value| -> BTreeMap<String, Option<Quantity>> {
        list.as_object().map(|m| m.iter().map(|(k, v)| (k.clone(), parse(v))).collect()).unwrap_or_default()
    };
    read(left) == read(right)
}

/// Adds up the requests of containers where a pod has limits of its own but not every request.
///
/// Source: KEP-2837 (pod-level resources).
pub(crate) fn default_pod_requests(spec: &mut Value) {
    let limits: Vec<(String, Value)> = entries(spec.at("resources"), "limits");
    if limits.is_empty() {
        return;
    }
    let containers = aggregate(spec, "requests");
    let Some(resources) = spec.inner("resources") else { return };
    let mut requests = resources.at("requests").as_object().cloned().unwrap_or_default();
    let summed = containers.into_iter().map(|(name, quantity)| (name, Value::from(quantity.to_string())));
    for (name, quantity) in summed.chain(limits) {
        if is_pod_level(&name) && !requests.contains_key(&name) {
            requests.insert(name, quantity);
        }
    }
    if !requests.is_empty() {
        resources.set("requests", requests);
    }
}

fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn entries(object: &Value, field: &str) -> Vec<(String, Value)> {
    object.entries(field).map(|(k, v)| (k.to_owned(), v.clone())).collect()
}

/// What all containers of a pod need at once: the sum of those that run side by side, or more if an init container needs more.
pub(crate) fn aggregate(spec: &Value, field: &str) -> BTreeMap<String, Quantity> {
    let mut total = BTreeMap::new();
    for container in spec.list("containers") {
        add(&mut total, container, field);
    }
    let mut sidecars = BTreeMap::new();
    let mut peak: BTreeMap<String, Quantity> = BTreeMap::new();
    for container in spec.list("initContainers") {
        let mut now = sidecars.clone();
        add(&mut now, container, field);
        if container.text("restartPolicy") == "Always" {
            add(&mut total, container, field);
            sidecars = now.clone();
        }
        raise(&mut peak, now);
    }
    raise(&mut total, peak);
    total
}

fn add(total: &mut BTreeMap<String, Quantity>, container: &Value, field: &str) {
    for (name, value) in container.at("resources").entries(field) {
        let Some(quantity) = parse(value) else { continue };
        let sum = match total.get(name) {
            Some(before) => before.plus(&quantity),
            None => quantity,
        };
        total.insert(name.to_owned(), sum);
    }
}

fn raise(total: &mut BTreeMap<String, Quantity>, other: BTreeMap<String, Quantity>) {
    for (name, quantity) in other {
        if total.get(&name).is_none_or(|before| *before < quantity) {
            total.insert(name, quantity);
        }
    }
}

/// Requests and limits of a container.
pub(crate) fn container(errors: &mut Errors, resources: &Value, claims: &[&str], path: &Path) {
    requirements(errors, resources, path, container_name);
    own_claims(errors, resources, claims, &path.child("claims"));
}

fn requirements(errors: &mut Errors, resources: &Value, path: &Path, check_name: fn(&mut Errors, &str, &Path)) {
    let (limits_at, requests_at) = (path.child("limits"), path.child("requests"));
    let (mut base, mut huge) = (false, false);
    for (at, field) in [(&limits_at, "limits"), (&requests_at, "requests")] {
        for (resource, quantity) in resources.entries(field) {
            let key = at.key(resource);
            check_name(errors, resource, &key);
            value(errors, resource, quantity, &key);
            if resource.starts_with("hugepages-") {
                huge = true;
                huge_page(errors, resource, quantity, &key);
            }
            base |= matches!(resource, "cpu" | "memory");
            if field == "requests" {
                against_limit(errors, resource, quantity, resources.at("limits"), &limits_at, &requests_at);
            }
        }
    }
    if huge && !base {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
}

fn against_limit(
    errors: &mut Errors,
    resource: &str,
    request: &Value,
    limits: &Value,
    limits_at: &Path,
    requests_at: &Path,
) {
    let shared = is_native(resource) && !resource.starts_with("hugepages-");
    match limits.get(resource) {
        Some(limit) => {
            let order = compare(request, limit);
            let relation = match (order.is_eq(), order.is_gt(), shared) {
                (false, _, false) => "equal to",
                (_, true, true) => "less than or equal to",
                _ => return,
            };
            let detail = format!("must be {relation} {resource} limit of {}", text(limit));
            errors.push(FieldError::invalid(requests_at, text(request), &detail));
        }
        None if !shared => {
            errors.push(FieldError::required(limits_at, "Limit must be set for non overcommitable resources"));
        }
        None => {}
    }
}

/// A quantity as Kubernetes prints it.
pub(crate) fn text(quantity: &Value) -> String {
    parse(quantity).map(|q| q.to_string()).unwrap_or_default()
}

fn own_claims(errors: &mut Errors, resources: &Value, claims: &[&str], path: &Path) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, claim) in resources.list("claims").iter().enumerate() {
        let at = path.index(i);
        let own = claim.text("name");
        if own.is_empty() {
            errors.push(FieldError::required(&at, ""));
            continue;
        }
        if seen.contains(&own) {
            errors.push(FieldError::duplicate(&at, own));
        }
        seen.push(own);
        if !claims.contains(&own) {
            let mut missing = FieldError::not_found(&at, own);
            let which = if claims.is_empty() { " which is empty" } else { "" };
            missing.body.push_str(&format!(": must be one of the names in pod.spec.resourceClaims{which}"));
            errors.push(missing);
        }
    }
}

/// The name of a resource that containers can have.
pub(crate) fn container_name(errors: &mut Errors, resource: &str, path: &Path) {
    resource_name(errors, resource, path);
    if !resource.contains('/') {
        if !CONTAINER.contains(&resource) && !resource.starts_with("hugepages-") {
            errors.push(FieldError::invalid(path, resource, "must be a standard resource for containers"));
        }
    } else if !is_native(resource) && !is_extended(resource) {
        errors.push(FieldError::invalid(path, resource, "doesn't follow extended resource name standard"));
    }
}

/// The name of a resource: qualified, or one that Kubernetes knows.
pub(crate) fn resource_name(errors: &mut Errors, resource: &str, path: &Path) {
    let found = name::is_label_key(resource);
    if !found.is_empty() {
        super::check::texts(errors, path, resource, found);
    } else if !resource.contains('/') && !is_standard(resource) && !resource.starts_with("hugepages-") {
        errors.push(FieldError::invalid(path, resource, "must be a standard resource type or fully qualified"));
    }
}

fn is_standard(resource: &str) -> bool {
    COMPUTE.contains(&resource) || OBJECTS.contains(&resource) || resource == "storage"
}

/// Whether the resource is Kubernetes' own, not a device plugin's.
pub(crate) fn is_native(resource: &str) -> bool {
    !resource.contains('/') || resource.contains("kubernetes.io/")
}

/// Whether the resource is one that somebody else than Kubernetes counts on nodes.
pub(crate) fn is_extended(resource: &str) -> bool {
    !is_native(resource)
        && !resource.starts_with("requests.")
        && name::is_label_key(&format!("requests.{resource}")).is_empty()
}

/// Whether the resource comes in whole units only.
pub(crate) fn is_integer(resource: &str) -> bool {
    // The counted ones: a fraction of them makes no sense.
    let counted = resource == "pods" || (OBJECTS.contains(&resource) && resource != "requests.storage");
    counted || is_extended(resource)
}

/// The amount of a resource: not negative, whole where it is counted.
pub(crate) fn value(errors: &mut Errors, resource: &str, quantity: &Value, path: &Path) {
    let Some(parsed) = parse(quantity) else { return };
    if parsed < Quantity::default() {
        errors.push(FieldError::invalid(path, parsed.to_string(), "must be greater than or equal to 0"));
    }
    if is_integer(resource) && !parsed.is_integer() {
        errors.push(FieldError::invalid(path, parsed.to_string(), "must be an integer"));
    }
}

fn huge_page(errors: &mut Errors, resource: &str, quantity: &Value, path: &Path) {
    let size = resource.strip_prefix("hugepages-").and_then(|s| Quantity::parse(s).ok()).map(|s| s.value());
    let (Some(size), Some(amount)) = (size.filter(|s| *s > 0), parse(quantity)) else { return };
    if amount.value() % size != 0 {
        let detail = format!("{amount} is not positive integer multiple of {resource}");
        errors.push(FieldError::invalid(path, amount.to_string(), &detail));
    }
}

/// What a pod costs beside its containers; Kubernetes checks it as if it were their limits, and says so in the path.
pub(crate) fn overhead(errors: &mut Errors, overhead: &Value, path: &Path) {
    requirements(errors, &json!({"limits": overhead}), path, container_name);
}

/// `spec.resources` of a pod: only what can be shared, and not less than its containers need.
pub(crate) fn pod_level(errors: &mut Errors, spec: &Value, path: &Path) {
    let resources = spec.at("resources");
    if resources.is_null() {
        return;
    }
    if resources.has("claims") {
        errors.push(FieldError::forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level"));
    }
    requirements(errors, resources, path, pod_level_name);
    let needed = aggregate(spec, "requests");
    for (resource, quantity) in resources.entries("requests") {
        let Some(sum) = needed.get(resource) else { continue };
        if parse(quantity).is_some_and(|own| *sum > own) {
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.push(FieldError::invalid(&path.child("requests").key(resource), text(quantity), &detail));
        }
    }
    for list in ["initContainers", "containers"] {
        for (i, container) in spec.list(list).iter().enumerate() {
            for (resource, limit) in container.at("resources").entries("limits") {
                let Some(whole) = resources.at("limits").get(resource) else { continue };
                if compare(limit, whole).is_gt() {
                    let at = Path::new("spec").child(list).index(i).child("resources").child("limits").key(resource);
                    let detail = format!("must be less than or equal to pod limits of {}", text(whole));
                    errors.push(FieldError::invalid(&at, text(limit), &detail));
                }
            }
        }
    }
}

fn pod_level_name(errors: &mut Errors, resource: &str, path: &Path) {
    resource_name(errors, resource, path);
    if !is_pod_level(resource) {
        errors.push(FieldError::not_supported(path, resource, &["cpu", "hugepages-", "memory"]));
    }
}

#[cfg(test)]
mod tests;
