//! The image of a container: there already, pulled, or why not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine;
use cox_kit::{Feed, Why};
use cox_runtime::{Image, ImageError, RegistryAuth};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use serde_json::Value;
use tracing::{Instrument, info_span};

use super::start::{Failure, IMAGE_RETRY, RETRY};
use crate::backoff::Backoff;
use crate::model::Waiting;
use crate::node::Context;
use crate::spec::names::Member;

/// Why a container waits whose image was just not to be had.
const FAILED: &str = "ErrImagePull";
/// Why it waits from then on, until the next try.
const BACK_OFF: &str = "ImagePullBackOff";
/// How often it is looked, between two pulls, whether an image has come otherwise.
const LOOK: SignedDuration = SignedDuration::from_secs(10);

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
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let rest = context.pulls.rest(uid, reference, cox_kit::clock::now());
    if let (Some(waiting), Some(again)) = (before, look_again(before, rest)) {
        if waiting.reason == BACK_OFF {
            return Err(Failure::new(BACK_OFF, waiting.message.clone(), again));
        }
        // The first failure is shown as itself for a moment, then as a wait.
        let text = format!("Back-off pulling image {reference:?}");
        tell(false, "BackOff", text.clone());
        tell(true, "Failed", format!("Error: {BACK_OFF}"));
        let message = format!("{text}: {FAILED}: {}", waiting.message);
        return Err(Failure::new(BACK_OFF, message, again));
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
            context.pulls.succeeded(uid, reference);
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
            tell(true, "Failed", format!("Error: {FAILED}"));
            context.pulls.failed(uid, reference, cox_kit::clock::now());
            Err(Failure::new(FAILED, text, IMAGE_RETRY))
        }
    }
}

/// When it is looked again for an image that is not to be pulled now; none if it is.
fn look_again(before: Option<&Waiting>, rest: SignedDuration) -> Option<SignedDuration> {
    let reason = before?.reason.as_str();
    (reason == FAILED || (reason == BACK_OFF && !rest.is_zero())).then(|| rest.min(LOOK))
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

/// Backoffs of images that could not be pulled, by pod: that one pod has tried does not make another wait longer.
#[derive(Default)]
pub struct Pulls {
    backoffs: parking_lot::Mutex<HashMap<(String, String), Backoff>>,
}

impl Pulls {
    fn failed(&self, pod: &str, reference: &str, now: Timestamp) {
        let mut backoffs = self.backoffs.lock();
        // Those of pods that are gone, too.
        backoffs.retain(|_, backoff| !backoff.is_forgotten(now));
        let key = (pod.to_owned(), reference.to_owned());
        let next = Backoff::next(backoffs.get(&key), now, now);
        backoffs.insert(key, next);
    }

    fn succeeded(&self, pod: &str, reference: &str) {
        self.backoffs.lock().remove(&(pod.to_owned(), reference.to_owned()));
    }

    /// How long the next try is still to wait.
    fn rest(&self, pod: &str, reference: &str, now: Timestamp) -> SignedDuration {
        let kept = self.backoffs.lock().get(&(pod.to_owned(), reference.to_owned())).copied();
        let rest = kept.and_then(|b| Backoff::remaining(Some(&b), b.since, now)).unwrap_or_default();
        SignedDuration::try_from(rest).unwrap_or_default()
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

    #[test]
    fn an_image_that_comes_otherwise_is_seen_before_the_next_pull() {
        let again = |reason: &str, rest: i64| {
            let waiting = Waiting { reason: reason.to_owned(), message: String::new() };
            look_again(Some(&waiting), SignedDuration::from_secs(rest)).map(|again| again.as_secs())
        };
        assert_eq!((again(FAILED, 300), again(FAILED, 4), again(FAILED, 0)), (Some(10), Some(4), Some(0)));
        assert_eq!((again(BACK_OFF, 300), again(BACK_OFF, 4), again(BACK_OFF, 0)), (Some(10), Some(4), None));
        assert_eq!((again("ContainerCreating", 300), look_again(None, SignedDuration::ZERO)), (None, None));
    }

    #[test]
    fn each_pod_waits_for_its_own_failures() {
        let pulls = Pulls::default();
        let at = |seconds: i64| Timestamp::from_second(1_700_000_000 + seconds).unwrap();
        let rest = |pod: &str, now: i64| pulls.rest(pod, "i", at(now)).as_secs();
        for pod in ["a", "b", "c"] {
            pulls.failed(pod, "i", at(0));
        }
        assert_eq!((rest("a", 0), rest("c", 4), rest("c", 10), rest("d", 0)), (10, 6, 0, 0));
        pulls.failed("a", "i", at(10));
        assert_eq!((rest("a", 10), rest("b", 9)), (20, 1));
        pulls.succeeded("b", "i");
        assert_eq!(rest("b", 9), 0);
        // What is forgotten is not kept either.
        pulls.failed("d", "i", at(700));
        assert_eq!(pulls.backoffs.lock().len(), 1);
    }
}
