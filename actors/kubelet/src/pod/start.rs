//! Creates and starts a container: image, environment, mounts, then the runtime, then the hook after the start.

use cox_kit::{Feed, Why};
use cox_runtime::{ContainerError, ContainerId};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{LifecycleHandler, Pod, Service};

use super::{images, mounts, stop};
use crate::model::{SandboxView, Waiting};
use crate::node::Context;
use crate::spec::container::{Surroundings, container};
use crate::spec::names::{Member, pod_id};
use crate::spec::{env, links};
use crate::volumes::manager::Places;

/// After a container whose configuration or image is not as it should be.
pub(super) const RETRY: SignedDuration = SignedDuration::from_secs(10);
/// How long a failed pull is shown as such before it is shown as a wait.
pub(super) const IMAGE_RETRY: SignedDuration = SignedDuration::from_secs(1);

/// What to start.
pub(super) struct Job {
    pub member: Member,
    pub attempt: u32,
    pub sandbox: SandboxView,
    /// The running container whose processes it is to share, if it is to.
    pub target: Option<ContainerId>,
    pub places: Places,
    /// Why it waited until now.
    pub waiting: Option<Waiting>,
    /// The decision that it is part of.
    pub why: Why,
}

/// Why it does not run, and when to try again.
pub struct Failure {
    /// What its status shows.
    pub waiting: Waiting,
    /// When to try again.
    pub again: Again,
}

/// When a start is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// After this time.
    After(SignedDuration),
    /// The runtime failed: after a while, longer each time.
    Later,
}

impl Failure {
    pub(super) fn new(reason: &str, message: String, again: SignedDuration) -> Self {
        Failure { waiting: Waiting { reason: reason.to_owned(), message }, again: Again::After(again) }
    }
}

/// Runs the job.
pub(super) async fn run<F: Feed>(context: &Context<F>, pod: &Pod, job: Job) -> Result<(), Failure> {
    let member = &job.member;
    let own = &member.container;
    let path = member.field_path();
    let tell = |warning, reason: &str, text: String| context.tell(&job.why, pod, &path, warning, reason, text);
    let refuse = |reason: &str, text: String| {
        tell(true, "Failed", format!("Error: {text}"));
        Failure::new(reason, text, RETRY)
    };
    let image = images::ensure(context, pod, images::Wanted::of(member, &job.why), job.waiting.as_ref()).await?;
    let mounted = images::of_volumes(context, pod, own, job.waiting.as_ref(), &job.why).await?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let config_error = |text: String| refuse("CreateContainerConfigError", text);
    let ips: Vec<String> = match job.sandbox.ips.as_slice() {
        [] => context.config.node_ips.clone(),
        ips => ips.iter().map(ToString::to_string).collect(),
    };
    let env = {
        let services = context.view().list::<Service>("");
        let enabled = pod.spec.as_ref().and_then(|s| s.enable_service_links) != Some(false);
        let links = links::variables(&services, namespace, enabled);
        let facts = context.facts(ips);
        env::resolve(pod, own, &facts, links, &context.sources(namespace)).map_err(|e| config_error(e.to_string()))?
    };
    if let Some(name) = member.target.as_deref().filter(|_| job.target.is_none()) {
        return Err(config_error(format!("unable to find target container {name}")));
    }
    let sources = mounts::Sources { places: &job.places, images: &mounted, env: &env };
    let mounts = mounts::prepare(context, pod, own, job.attempt, &job.sandbox, &sources).await;
    let around = Surroundings {
        sandbox: job.sandbox.id.clone(),
        target: job.target.clone(),
        attempt: job.attempt,
        image: image.id.clone(),
        image_config: &image.config,
        env,
        mounts: mounts.map_err(|e| config_error(e.to_string()))?,
        node_memory: context.machine.memory_bytes,
        seccomp_root: &context.config.seccomp_root(),
    };
    let spec = container(pod, own, around).map_err(|e| config_error(e.to_string()))?;
    let broken =
        |reason: &str, error: ContainerError| Failure { again: Again::Later, ..refuse(reason, error.to_string()) };
    let id = context.runtime.create_container(spec).await.map_err(|e| broken("CreateContainerError", e))?;
    tell(false, "Created", "Container created".to_owned());
    match context.runtime.start_container(&id).await {
        Ok(()) => {}
        // It counts as a start that has ended: when it is tried again is for the crash back-off to say.
        Err(ContainerError::Start { reason }) => {
            return Err(Failure { again: Again::After(SignedDuration::ZERO), ..refuse("RunContainerError", reason) });
        }
        Err(error) => return Err(broken("RunContainerError", error)),
    }
    tell(false, "Started", "Container started".to_owned());
    let hook = own.lifecycle.as_ref().and_then(|l| l.post_start.as_ref());
    if let Some(hook) = hook {
        let ip = job.sandbox.ips.first().map(ToString::to_string).unwrap_or_default();
        if let Err(error) = stop::hook(context, own, hook, &id, &ip).await {
            // The words of the hook stay out of the event: they may hold secrets of whoever answered.
            tell(true, "FailedPostStartHook", "PostStartHook failed".to_owned());
            tell(false, "Killing", "FailedPostStartHook".to_owned());
            let grace =
                pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds).unwrap_or(30).max(0).unsigned_abs();
            // That it could not be stopped shows in its state.
            let _ = context.runtime.stop_container(&id, std::time::Duration::from_secs(grace)).await;
            let text = format!(
                "{} for Container {:?} in Pod {:?} failed - error: {error}",
                called(hook),
                own.name,
                pod_id(pod)
            );
            return Err(Failure::new("PostStartHookError", text, SignedDuration::ZERO));
        }
    }
    Ok(())
}

/// A hook as its failure names it.
fn called(hook: &LifecycleHandler) -> String {
    match (&hook.exec, &hook.http_get) {
        (Some(exec), _) => {
            format!("Exec lifecycle hook ([{}])", exec.command.iter().flatten().cloned().collect::<Vec<_>>().join(" "))
        }
        (None, Some(get)) => format!("HTTP lifecycle hook ({})", get.path.as_deref().unwrap_or_default()),
        (None, None) => "Lifecycle hook".to_owned(),
    }
}
