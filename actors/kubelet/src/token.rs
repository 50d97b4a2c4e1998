//! Tokens of a pod's ServiceAccount, for its projected volumes.

use cox_kit::{Command, Feed, Why};
use cox_objects::{Key, Resource};
use k8s_openapi::api::core::v1::{Pod, ServiceAccountTokenProjection};
use serde_json::{Value, json};

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::node::Context;

/// The lifetime of a token whose projection names none, in seconds.
const DEFAULT_LIFETIME: i64 = 3600;

/// Tokens that are still good, by pod, path and audience; each with the time at which it is due for another (four fifths of its life).
#[derive(Default)]
pub struct Cache {
    kept: Mutex<HashMap<String, (String, Instant)>>,
}

impl Cache {
    /// Forgets the tokens of a pod.
    pub fn forget(&self, pod_uid: &str) {
        self.kept.lock().retain(|key, _| !key.starts_with(pod_uid));
    }
}

/// A token bound to the pod: the one that is kept, or a new one.
///
/// # Errors
/// What the API server said.
pub async fn get<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    projection: &ServiceAccountTokenProjection,
    why: &Why,
) -> Result<String, String> {
    let meta = &pod.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let account = pod
        .spec
        .as_ref()
        .and_then(|s| s.service_account_name.as_deref())
        .filter(|n| !n.is_empty())
        .unwrap_or("default");
    let lifetime = projection.expiration_seconds.unwrap_or(DEFAULT_LIFETIME);
    let uid = meta.uid.as_deref().unwrap_or_default();
    let kept_as =
        format!("{uid}\0{}\0{}\0{lifetime}", projection.path, projection.audience.as_deref().unwrap_or_default());
    if let Some((token, due)) = context.tokens.kept.lock().get(&kept_as).cloned()
        && Instant::now() < due
    {
        return Ok(token);
    }
    let audiences: Vec<&String> = projection.audience.iter().filter(|a| !a.is_empty()).collect();
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "audiences": audiences, "expirationSeconds": lifetime,
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": meta.name, "uid": meta.uid},
        },
    });
    let key = Key::new(Resource::SERVICEACCOUNTS, namespace, account);
    let command = Command::CreateAt { key, subresource: "token", body: request };
    let done = context.api.run(&[command], why).await.map_err(|e| e.to_string())?;
    let answer = done.objects.first().and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let token = answer.as_ref().and_then(|v| v.pointer("/status/token")).and_then(Value::as_str);
    let token = token.map(str::to_owned).ok_or_else(|| "the answer holds no token".to_owned())?;
    let good_for = Duration::from_secs(lifetime.max(0).unsigned_abs()) * 4 / 5;
    context.tokens.kept.lock().insert(kept_as, (token.clone(), Instant::now() + good_for));
    Ok(token)
}
