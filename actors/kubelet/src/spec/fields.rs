//! The values that `fieldRef` and `resourceFieldRef` give, for environment variables and downward API files.

use cox_objects::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

/// What a pod's fields need besides the Pod: facts that the node found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// `status.podIPs`, the primary first; empty until the sandbox stands.
    pub pod_ips: Vec<String>,
    /// `status.hostIPs`.
    pub host_ips: Vec<String>,
    /// What the node can give: the limit of a container that sets none.
    pub allocatable: Allocatable,
}

/// The node's allocatable resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocatable {
    /// Thousandths of a CPU.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral_storage: i64,
}

/// Why a field has no value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FieldError {
    /// The path is none that this node knows.
    #[error("unsupported fieldPath: {0}")]
    Path(String),
    /// The resource is none that can be asked for.
    #[error("unsupported container resource : {0}")]
    Resource(String),
    /// The container it asks about is not in the pod.
    #[error("container {0} not found")]
    Container(String),
    /// The divisor is no quantity.
    #[error("divisor {0:?} is not a quantity")]
    Divisor(String),
}

/// The value of a `fieldRef`; none while it is not known yet (an address before the sandbox stands).
///
/// # Errors
/// If the path names nothing that the downward API offers.
pub fn field(pod: &Pod, facts: &PodFacts, path: &str) -> Result<Option<String>, FieldError> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    let one = |value: Option<&String>| Ok(Some(value.cloned().unwrap_or_default()));
    if let Some(key) = subscript(path, "metadata.labels") {
        return one(meta.labels.as_ref().and_then(|labels| labels.get(key)));
    }
    if let Some(key) = subscript(path, "metadata.annotations") {
        return one(meta.annotations.as_ref().and_then(|annotations| annotations.get(key)));
    }
    match path {
        "metadata.name" => one(meta.name.as_ref()),
        "metadata.namespace" => one(meta.namespace.as_ref()),
        "metadata.uid" => one(meta.uid.as_ref()),
        "metadata.labels" => Ok(Some(pairs(meta.labels.iter().flatten()))),
        "metadata.annotations" => Ok(Some(pairs(meta.annotations.iter().flatten()))),
        "spec.nodeName" => one(spec.and_then(|s| s.node_name.as_ref())),
        "spec.serviceAccountName" => one(spec.and_then(|s| s.service_account_name.as_ref())),
        "status.hostIP" => Ok(facts.host_ips.first().cloned()),
        "status.hostIPs" => Ok(Some(facts.host_ips.join(","))),
        "status.podIP" => Ok(facts.pod_ips.first().cloned()),
        "status.podIPs" => Ok((!facts.pod_ips.is_empty()).then(|| facts.pod_ips.join(","))),
        other => Err(FieldError::Path(other.to_owned())),
    }
}

/// The value of a `resourceFieldRef`, divided by its divisor and rounded up. A limit that is not set is the node's allocatable.
///
/// # Errors
/// If resource, container or divisor are not valid.
pub fn resource(
    pod: &Pod,
    own: &Container,
    facts: &PodFacts,
    selector: &ResourceFieldSelector,
) -> Result<String, FieldError> {
    let spec = pod.spec.as_ref();
    let container = match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        None => own,
        Some(name) => {
            let mut all = spec.into_iter().flat_map(|s| s.containers.iter().chain(s.init_containers.iter().flatten()));
            all.find(|c| c.name == name).ok_or_else(|| FieldError::Container(name.to_owned()))?
        }
    };
    let unknown = || FieldError::Resource(selector.resource.clone());
    let (side, name) = selector.resource.split_once('.').ok_or_else(unknown)?;
    let resources = container.resources.as_ref();
    let listed = match side {
        "limits" => resources.and_then(|r| r.limits.as_ref()),
        "requests" => resources.and_then(|r| r.requests.as_ref()),
        _ => return Err(unknown()),
    };
    let value = listed.and_then(|list| list.get(name)).and_then(|q| Quantity::parse(&q.0).ok());
    let limit = side == "limits";
    let cpu = name == "cpu";
    let amount = match (value, name) {
        (Some(value), _) if cpu => value.milli_value(),
        (Some(value), _) => value.value(),
        (None, "cpu") if limit => facts.allocatable.milli_cpu,
        (None, "memory") if limit => facts.allocatable.memory,
        (None, "ephemeral-storage") if limit => facts.allocatable.ephemeral_storage,
        (None, name) if matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") => 0,
        _ => return Err(unknown()),
    };
    let divisor = match selector.divisor.as_ref().map(|d| d.0.as_str()) {
        None | Some("" | "0") => {
            if cpu {
                1000
            } else {
                1
            }
        }
        Some(text) => {
            let parsed = Quantity::parse(text).map_err(|_| FieldError::Divisor(text.to_owned()))?;
            if cpu { parsed.milli_value() } else { parsed.value() }
        }
    };
    let divisor = i128::from(divisor.max(1));
    Ok(((i128::from(amount) + divisor - 1) / divisor).to_string())
}

/// `metadata.labels['key']` → `key`.
fn subscript<'a>(path: &'a str, map: &str) -> Option<&'a str> {
    path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")
}

/// `key="value"` lines, as downward API files list maps.
fn pairs<'a>(map: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    map.map(|(key, value)| format!("{key}={}", quote(value))).collect::<Vec<_>>().join("\n")
}

/// A string as Go's `%q` prints it, for the characters that labels and annotations hold in practice.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"x": "lx", "a": "q\"b"}},
            "spec": {"nodeName": "n1", "serviceAccountName": "default", "containers": [{"name": "c", "resources":
                {"requests": {"cpu": "250m"}, "limits": {"memory": "64Mi"}}}]},
        }))
        .unwrap()
    }

    fn facts() -> PodFacts {
        PodFacts {
            pod_ips: vec!["10.0.0.5".into()],
            host_ips: vec!["192.0.2.2".into()],
            allocatable: Allocatable { milli_cpu: 2000, memory: 1 << 30, ephemeral_storage: 7 },
        }
    }

    #[test]
    fn fields_read_as_recorded() {
        let get = |path| field(&pod(), &facts(), path).unwrap();
        assert_eq!(get("metadata.labels['x']").as_deref(), Some("lx"));
        assert_eq!(get("metadata.labels['none']").as_deref(), Some(""));
        assert_eq!(get("metadata.labels").as_deref(), Some("a=\"q\\\"b\"\nx=\"lx\""));
        assert_eq!(get("status.podIPs").as_deref(), Some("10.0.0.5"));
        assert_eq!(field(&pod(), &PodFacts::default(), "status.podIP").unwrap(), None);
        assert!(field(&pod(), &facts(), "spec.restartPolicy").is_err());
    }

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let pod = pod();
        let own = &pod.spec.as_ref().unwrap().containers[0];
        let get = |resource_name: &str, divisor: Option<&str>| {
            let selector =
                serde_json::from_value(json!({"resource": resource_name, "divisor": divisor.unwrap_or("0")})).unwrap();
            resource(&pod, own, &facts(), &selector).unwrap()
        };
        assert_eq!(get("limits.cpu", None), "2");
        assert_eq!(get("limits.cpu", Some("1m")), "2000");
        assert_eq!(get("requests.cpu", None), "1");
        assert_eq!(get("limits.memory", None), "67108864");
        assert_eq!(get("limits.memory", Some("1Mi")), "64");
        assert_eq!(get("limits.ephemeral-storage", None), "7");
    }
}
