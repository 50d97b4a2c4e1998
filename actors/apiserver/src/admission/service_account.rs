//! ServiceAccount: every pod runs as one, and finds its token, the cluster's CA and its namespace in a volume.

use cox_objects::{Key, Resource, Status};
use serde_json::{Value, json};

use super::forbidden;
use crate::context::Context;
use crate::value::{flag, items, list, map, text};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MIRROR: &str = "/metadata/annotations/kubernetes.io~1config.mirror";
/// An odd number, by which the token's issuer knows such volumes.
const TOKEN_SECONDS: i64 = 3607;

/// Gives a new pod its account.
pub(super) fn admit(ctx: &Context<'_>, pod: &mut Value) -> Result<(), Status> {
    if pod.pointer(MIRROR).is_some() {
        return mirror(ctx, pod);
    }
    let name = match text(pod, "/spec/serviceAccountName") {
        "" => "default",
        name => name,
    }
    .to_owned();
    let namespace = ctx.request.namespace.as_str();
    let account = ctx.state.get(&Key::new(Resource::SERVICEACCOUNTS, namespace, &name));
    let Some(account) = account.map(|a| a.value()) else {
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        return Err(forbidden(ctx, pod, &why));
    };
    let spec = map(pod, "spec");
    spec.insert("serviceAccountName".into(), name.as_str().into());
    spec.insert("serviceAccount".into(), name.into());
    let automount = flag(pod, "/spec/automountServiceAccountToken")
        .or_else(|| flag(&account, "/automountServiceAccountToken"))
        .unwrap_or(true);
    if automount {
        mount(ctx, pod);
    }
    let secrets = list(&account, "/imagePullSecrets");
    if list(pod, "/spec/imagePullSecrets").is_empty() && !secrets.is_empty() {
        *items(map(pod, "spec"), "imagePullSecrets") = secrets.to_vec();
    }
    Ok(())
}

/// Mounts the token volume into every container that has nothing of its own at the path.
fn mount(ctx: &Context<'_>, pod: &mut Value) {
    let volumes = list(pod, "/spec/volumes");
    let existing = volumes.iter().map(|v| text(v, "/name")).find(|n| n.starts_with(VOLUME_PREFIX)).map(str::to_owned);
    let name = existing.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", ctx.suffix()));
    let mut needed = false;
    for field in ["initContainers", "containers"] {
        let Some(containers) = map(pod, "spec").get_mut(field).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let mounts = items(crate::value::fields(container), "volumeMounts");
            if mounts.iter().any(|m| text(m, "/mountPath") == MOUNT_PATH) {
                continue;
            }
            mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
            needed = true;
        }
    }
    if existing.is_none() && needed {
        items(map(pod, "spec"), "volumes").push(volume(&name));
    }
}

fn volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace",
            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}})
}

/// A mirror pod shows what a node runs by itself, so it may use nothing of the cluster.
fn mirror(ctx: &Context<'_>, pod: &Value) -> Result<(), Status> {
    let refused = |what: &str| Err(forbidden(ctx, pod, &format!("a mirror pod may not {what}")));
    if !text(pod, "/spec/serviceAccountName").is_empty() {
        return refused("reference service accounts");
    }
    let containers = || {
        ["initContainers", "containers", "ephemeralContainers"]
            .into_iter()
            .flat_map(|field| list(pod, &format!("/spec/{field}")))
    };
    let env = |reference: &str, from: &str| {
        containers().any(|c| {
            list(c, "/env").iter().any(|e| e.pointer(&format!("/valueFrom/{reference}")).is_some())
                || list(c, "/envFrom").iter().any(|e| e.get(from).is_some())
        })
    };
    let volume = |kind: &str| {
        list(pod, "/spec/volumes")
            .iter()
            .any(|v| v.get(kind).is_some() || list(v, "/projected/sources").iter().any(|s| s.get(kind).is_some()))
    };
    if volume("secret") || env("secretKeyRef", "secretRef") || !list(pod, "/spec/imagePullSecrets").is_empty() {
        return refused("reference secrets");
    }
    if volume("configMap") || env("configMapKeyRef", "configMapRef") {
        return refused("reference configmaps");
    }
    if volume("persistentVolumeClaim") {
        return refused("reference persistentvolumeclaims");
    }
    if volume("serviceAccountToken") {
        return refused("use ServiceAccount volume projections");
    }
    Ok(())
}
