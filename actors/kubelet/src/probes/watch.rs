//! The task that asks a container's probes.

use std::sync::Arc;
use std::time::Duration;

use cox_kit::recorder::{About, Note};
use cox_kit::{Feed, Scope, Task, Why};
use cox_runtime::{ContainerId, ContainerState};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};

use super::run::{Action, ask};
use super::tracker::{Kind, Rhythm, Tracker};
use crate::model::{ContainerView, time};
use crate::node::{Context, about};
use crate::spec::names::Member;

/// The probes of one running container; dropped, they end.
pub struct Prober(#[expect(dead_code, reason = "held for its end")] Task);

/// What the probes of a container need besides the Pod.
pub struct Probed {
    /// The container as the runtime has it.
    pub view: ContainerView,
    /// Where it is reached.
    pub ip: String,
    /// Its startup probe has succeeded already.
    pub started: bool,
    /// Hears of verdicts that have changed.
    pub verdict: Box<dyn Fn(Kind, bool) + Send + Sync>,
}

struct Asking<F> {
    context: Arc<Context<F>>,
    /// The container, as Events refer to it.
    about: About,
    container: Container,
    id: ContainerId,
    ip: String,
    started_at: Timestamp,
    verdict: Box<dyn Fn(Kind, bool) + Send + Sync>,
}

impl Prober {
    /// Starts the probes, as a task of the actor at `scope`. The startup probe (if it has not succeeded yet) holds up the others.
    pub fn start<F: Feed>(
        context: &Arc<Context<F>>,
        pod: &Pod,
        member: &Member,
        probed: Probed,
        scope: &Scope,
        panicked: impl FnOnce(String) + Send + 'static,
    ) -> Self {
        let container = member.container.clone();
        let started_at = match probed.view.state {
            ContainerState::Running { started_at, .. } => time(started_at),
            _ => cox_kit::clock::now(),
        };
        let name = format!("probes-{}", container.name);
        let asking = Asking {
            context: context.clone(),
            about: about(pod, &member.field_path()),
            container,
            id: probed.view.id,
            ip: probed.ip,
            started_at,
            verdict: probed.verdict,
        };
        // Boxed for what is put around it, which would hold room for it again and again as long as the container runs.
        Prober(Task::start(scope, &name, Box::pin(async move { asking.all(probed.started).await }), panicked))
    }
}

impl<F: Feed> Asking<F> {
    /// Asks all probes of the container, the startup probe first: one that has failed for good leaves nothing to ask.
    async fn all(&self, started: bool) {
        let startup = self.container.startup_probe.as_ref().filter(|_| !started);
        if let Some(probe) = startup
            && !self.until(Kind::Startup, probe, true).await
        {
            return;
        }
        let one = |kind, probe: Option<&'_ Probe>| {
            let probe = probe.cloned();
            async move {
                if let Some(probe) = probe {
                    self.until(kind, &probe, false).await;
                }
            }
        };
        let (readiness, liveness) = (self.container.readiness_probe.as_ref(), self.container.liveness_probe.as_ref());
        tokio::join!(one(Kind::Readiness, readiness), one(Kind::Liveness, liveness));
    }

    /// Asks again and again; with `once`, until the first good verdict (true). A bad verdict of a startup or liveness probe ends it.
    async fn until(&self, kind: Kind, probe: &Probe, once: bool) -> bool {
        let rhythm = Rhythm::of(probe);
        let action = Action::of_probe(&self.container, probe);
        let mut tracker = Tracker::new(rhythm);
        let age = Duration::try_from(cox_kit::clock::now().duration_since(self.started_at)).unwrap_or_default();
        tokio::time::sleep(rhythm.initial_delay.saturating_sub(age)).await;
        let mut ticks = tokio::time::interval(rhythm.period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (good, text) = match &action {
                Ok(action) => ask(&self.context.runtime, &self.id, &self.ip, action, rhythm.timeout).await,
                Err(error) => (false, error.to_string()),
            };
            if !good {
                let text = format!("{} probe failed: {text}", kind.title());
                let why = Why::timer(kind.name(), self.context.feed.revision());
                self.context.api.record(Note::warning(self.about.clone(), "Unhealthy", text), &why);
            }
            let Some(verdict) = tracker.answer(good) else { continue };
            (self.verdict)(kind, verdict);
            if once && verdict {
                return true;
            }
            if !verdict && kind != Kind::Readiness {
                return false;
            }
        }
    }
}
