//! The image of a container: there already, pulled, or why not.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use cox_kit::{Feed, Why};
use cox_runtime::{Image, ImageError, RegistryAuth};
use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use serde_json::Value;
use tracing::{Instrument, info_span};

use super::start::{Failure, IMAGE_RETRY, RETRY};
use crate::backoff::Backoff;
use crate::model::Waiting;
use crate::node::Context;
use crate::spec::names::Member;

/// `image` and `imageID` of an image in a status: its name in the store (the one asked for, if it has several), and `repo@digest` of a
/// pulled one, else its own id.
pub(super) async fn told<F: Feed>(context: &Context<F>, id: &str, asked: String) -> (String, String) {
    let Some(image) = context.runtime.resolve_image(id).await.ok().flatten() else { return (asked, id.to_owned()) };
    let of_asked = image.repo_tags.iter().find(|tag| **tag == asked || tag.ends_with(&format!("/{asked}")));
    let name = of_asked.or_else(|| image.repo_tags.first()).or_else(|| image.repo_digests.first()).cloned();
    (name.unwrap_or(asked), image.repo_digests.first().cloned().unwrap_or_else(|| id.to_owned()))
}

/// An image that a pod needs.
pub(super) struct Wanted<'a> {
    reference: &'a str,
    policy: Option<&'a str>,
    /// The container that events about it name; empty for one of a volume.
    field_path: String,
    /// The decision for which it is needed.
    why: &'a Why,
}

impl<'a> Wanted<'a> {
    /// What a container is made from.
    pub(super) fn of(member: &'a Member, why: &'a Why) -> Self {
        Wanted {
            reference: member.container.image.as_deref().unwrap_or_default(),
            policy: member.container.image_pull_policy.as_deref(),
            field_path: member.field_path(),
            why,
        }
    }
}

/// Makes sure that the images are there which a container mounts as volumes; their ids by volume.
pub(super) async fn of_volumes<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    container: &Container,
    before: Option<&Waiting>,
    why: &Why,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut ids = BTreeMap::new();
    for volume in pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
        let mounted = container.volume_mounts.iter().flatten().any(|mount| mount.name == volume.name);
        let Some(source) = volume.image.as_ref().filter(|_| mounted) else { continue };
        let wanted = Wanted {
            reference: source.reference.as_deref().unwrap_or_default(),
            policy: source.pull_policy.as_deref(),
            field_path: String::new(),
            why,
        };
        ids.insert(volume.name.clone(), ensure(context, pod, wanted, before).await?.id);
    }
    Ok(ids)
}

/// Makes sure that the image is there.
pub(super) async fn ensure<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    Wanted { reference, policy, field_path: path, why }: Wanted<'_>,
    before: Option<&Waiting>,
) -> Result<Image, Failure> {
    let tell = |warning, reason: &str, text: String| context.tell(why, pod, &path, warning, reason, text);
    let present = match context.runtime.resolve_image(reference).await {
        Ok(present) => present,
        Err(ImageError::BadName { name, reason }) => {
            let text =
                format!("Failed to apply default image tag {name:?}: couldn't parse image name {name:?}: {reason}");
            tell(true, "InspectFailed", text.clone());
            tell(true, "Failed", "Error: InvalidImageName".to_owned());
            return Err(Failure::new("InvalidImageName", text, RETRY));
        }
        Err(error) => {
            tell(true, "InspectFailed", format!("Failed to inspect image {reference:?}: {error}"));
            return Err(Failure::new("ImageInspectError", error.to_string(), RETRY));
        }
    };
    match (present, policy.unwrap_or("IfNotPresent")) {
        (Some(image), "IfNotPresent" | "Never") => {
            let text =
                format!("Container image {reference:?} already present on machine and can be accessed by the pod");
            tell(false, "Pulled", text);
            Ok(image)
        }
        (None, "Never") => {
            let text = format!("Container image {reference:?} is not present with pull policy of Never");
            tell(true, "ErrImageNeverPull", text.clone());
            tell(true, "Failed", "Error: ErrImageNeverPull".to_owned());
            Err(Failure::new("ErrImageNeverPull", text, RETRY))
        }
        _ => pull(context, pod, reference, before, &tell).await,
    }
}

async fn pull<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    reference: &str,
    before: Option<&Waiting>,
    tell: &(impl Fn(bool, &str, String) + Sync),
) -> Result<Image, Failure> {
    // The first failure is shown as itself for a moment, then as a wait.
    if let Some(waiting) = before.filter(|w| w.reason == "ErrImagePull") {
        let text = format!("Back-off pulling image {reference:?}");
        tell(false, "BackOff", text.clone());
        tell(true, "Failed", "Error: ImagePullBackOff".to_owned());
        let message = format!("{text}: ErrImagePull: {}", waiting.message);
        let delay = context.pulls.delay(reference);
        return Err(Failure::new("ImagePullBackOff", message, delay));
    }
    tell(false, "Pulling", format!("Pulling image {reference:?}"));
    let started = std::time::Instant::now();
    let mut result = Err(ImageError::Network { name: reference.to_owned(), reason: "no attempt was made".to_owned() });
    for auth in credentials(context, pod, reference).iter().map(Some).chain([None]) {
        let span = info_span!("kubelet.image.pull", image = reference);
        result = context.runtime.pull_image(reference, auth).instrument(span).await;
        match &result {
            Err(ImageError::Unauthorized { .. }) => {}
            _ => break,
        }
    }
    match result {
        Ok(image) => {
            context.pulls.succeeded(reference);
            let ms = started.elapsed().as_millis();
            let took = if ms < 1000 { format!("{ms}ms") } else { format!("{:.3}s", started.elapsed().as_secs_f64()) };
            let text = format!(
                "Successfully pulled image {reference:?} in {took} ({took} including waiting). Image size: {} bytes.",
                image.size
            );
            tell(false, "Pulled", text);
            Ok(image)
        }
        Err(error) => {
            let text = worded(&error);
            tell(true, "Failed", format!("Failed to pull image {reference:?}: {text}"));
            tell(true, "Failed", "Error: ErrImagePull".to_owned());
            context.pulls.failed(reference);
            Err(Failure::new("ErrImagePull", text, IMAGE_RETRY))
        }
    }
}

/// The error as CRI runtimes word it, which is what people search for.
fn worded(error: &ImageError) -> String {
    match error {
        ImageError::NotFound { .. } => format!("rpc error: code = NotFound desc = {error}"),
        _ => error.to_string(),
    }
}

/// What `imagePullSecrets` hold for the image's registry.
fn credentials<F: Feed>(context: &Context<F>, pod: &Pod, reference: &str) -> Vec<RegistryAuth> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let names = pod.spec.iter().flat_map(|s| s.image_pull_secrets.iter().flatten()).map(|r| r.name.as_str());
    let secrets = names.filter_map(|name| context.view().get::<Secret>(namespace, name));
    let registry = registry_of(reference);
    secrets.flat_map(|secret: Arc<Secret>| from_secret(&secret, &registry)).collect()
}

fn registry_of(reference: &str) -> String {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host.to_owned(),
        _ => "docker.io".to_owned(),
    }
}

fn from_secret(secret: &Secret, registry: &str) -> Vec<RegistryAuth> {
    let data = secret.data.as_ref();
    let config = data.and_then(|d| d.get(".dockerconfigjson").or_else(|| d.get(".dockercfg")));
    let Some(config) = config.and_then(|bytes| serde_json::from_slice::<Value>(&bytes.0).ok()) else {
        return Vec::new();
    };
    let auths = config.get("auths").unwrap_or(&config);
    let matching = auths.as_object().into_iter().flatten().filter(|(host, _)| {
        let host = host.trim_start_matches("https://").trim_start_matches("http://");
        let host = host.split('/').next().unwrap_or_default();
        host == registry || (registry == "docker.io" && host.ends_with("docker.io"))
    });
    matching.filter_map(|(_, entry)| basic(entry)).collect()
}

fn basic(entry: &Value) -> Option<RegistryAuth> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
    if let (Some(username), Some(password)) = (text("username"), text("password")) {
        return Some(RegistryAuth::Basic { username, password });
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(text("auth")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(RegistryAuth::Basic { username: username.to_owned(), password: password.to_owned() })
}

/// Backoffs of images that could not be pulled, for the whole node.
#[derive(Default)]
pub struct Pulls {
    backoffs: parking_lot::Mutex<std::collections::HashMap<String, Backoff>>,
}

impl Pulls {
    fn failed(&self, reference: &str) {
        let mut backoffs = self.backoffs.lock();
        let now = cox_kit::clock::now();
        let next = Backoff::next(backoffs.get(reference), now, now);
        backoffs.insert(reference.to_owned(), next);
    }

    fn succeeded(&self, reference: &str) {
        self.backoffs.lock().remove(reference);
    }

    fn delay(&self, reference: &str) -> jiff::SignedDuration {
        let kept = self.backoffs.lock().get(reference).copied();
        let now = cox_kit::clock::now();
        let rest = kept.and_then(|b| Backoff::remaining(Some(&b), b.since, now)).unwrap_or_default();
        jiff::SignedDuration::try_from(rest).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_those_of_the_registry() {
        let config = json!({"auths": {
            "https://index.docker.io/v1/": {"username": "u", "password": "p"},
            "localhost:5000": {"auth": base64::engine::general_purpose::STANDARD.encode("a:b:c")},
        }});
        let data = base64::engine::general_purpose::STANDARD.encode(config.to_string());
        let secret: Secret = serde_json::from_value(json!({"data": {".dockerconfigjson": data}})).unwrap();
        let basic = |u: &str, p: &str| RegistryAuth::Basic { username: u.into(), password: p.into() };
        assert_eq!(from_secret(&secret, &registry_of("localhost:5000/x:1")), [basic("a", "b:c")]);
        assert_eq!(from_secret(&secret, &registry_of("library/busybox")), [basic("u", "p")]);
        assert_eq!(from_secret(&secret, &registry_of("ghcr.io/x")), []);
    }
}
