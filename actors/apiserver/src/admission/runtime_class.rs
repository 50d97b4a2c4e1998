//! RuntimeClass: the class that a pod names must be there; its overhead becomes the pod's.

use cox_objects::{Key, Resource, Status};
use serde_json::Value;

use super::forbidden;
use crate::context::Context;
use crate::value::{map, text};

const RUNTIME_CLASSES: Resource = Resource::from_static("runtimeclasses.node.k8s.io");

/// Looks up the class of a new pod.
pub(super) fn admit(ctx: &Context<'_>, pod: &mut Value) -> Result<(), Status> {
    let name = text(pod, "/spec/runtimeClassName");
    let said = pod.pointer("/spec/overhead").filter(|o| o.as_object().is_some_and(|o| !o.is_empty()));
    if name.is_empty() {
        return match said {
            Some(_) => Err(forbidden(
                ctx,
                pod,
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            )),
            None => Ok(()),
        };
    }
    let class = ctx.state.get(&Key::new(RUNTIME_CLASSES, "", name));
    let Some(class) = class.map(|c| c.value()) else {
        return Err(forbidden(ctx, pod, &format!("pod rejected: RuntimeClass {name:?} not found")));
    };
    let overhead = class.pointer("/overhead/podFixed").filter(|o| !o.is_null());
    if said.is_some() && said != overhead {
        let why = match overhead {
            Some(_) => "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            None => "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        };
        return Err(forbidden(ctx, pod, why));
    }
    if let Some(overhead) = overhead.cloned() {
        map(pod, "spec").insert("overhead".into(), overhead);
    }
    scheduling(ctx, pod, &class)
}

/// Where the class runs goes into the pod's selector and tolerations.
fn scheduling(ctx: &Context<'_>, pod: &mut Value, class: &Value) -> Result<(), Status> {
    if let Some(wanted) = class.pointer("/scheduling/nodeSelector").and_then(Value::as_object) {
        for (key, value) in wanted {
            let said = pod.pointer("/spec/nodeSelector").and_then(|s| s.get(key));
            if said.is_some_and(|said| said != value) {
                let why = format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                    value.as_str().unwrap_or_default(),
                    said.and_then(Value::as_str).unwrap_or_default()
                );
                return Err(forbidden(ctx, pod, &why));
            }
        }
        let selector = map(pod, "spec").entry("nodeSelector").or_insert_with(|| serde_json::json!({}));
        crate::value::fields(selector).extend(wanted.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    let wanted = crate::value::list(class, "/scheduling/tolerations");
    let tolerations = crate::value::items(map(pod, "spec"), "tolerations");
    for toleration in wanted {
        if !tolerations.contains(toleration) {
            tolerations.push(toleration.clone());
        }
    }
    Ok(())
}
