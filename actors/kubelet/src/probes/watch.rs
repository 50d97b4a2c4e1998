//! The tasks that ask a container's probes.

use std::sync::Arc;
use std::time::Duration;

use cox_kit::Feed;
use cox_runtime::ContainerId;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use ractor::ActorRef;
use tokio::task::JoinHandle;

use super::run::{Action, ask};
use super::tracker::{Kind, Rhythm, Tracker};
use crate::model::{ContainerView, time};
use crate::node::Context;
use crate::pod::Message;
use crate::spec::names::Member;
use cox_runtime::ContainerState;

/// The probes of one running container; dropped, they end.
pub struct Prober(Vec<JoinHandle<()>>);

impl Drop for Prober {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

struct Asking<F> {
    context: Context<F>,
    pod: Arc<Pod>,
    container: Container,
    field_path: String,
    id: ContainerId,
    ip: String,
    started_at: Timestamp,
    worker: ActorRef<Message>,
}

impl Prober {
    /// Starts the probes. The startup probe (if it has not succeeded yet) holds up the others.
    pub fn start<F: Feed>(
        context: &Context<F>,
        pod: &Arc<Pod>,
        member: &Member,
        view: &ContainerView,
        ip: String,
        started: bool,
        worker: &ActorRef<Message>,
    ) -> Self {
        let container = &member.container;
        let started_at = match view.state {
            ContainerState::Running { started_at, .. } => time(started_at),
            _ => cox_kit::clock::now(),
        };
        let asking = Arc::new(Asking {
            context: context.clone(),
            pod: pod.clone(),
            container: container.clone(),
            field_path: member.field_path(),
            id: view.id.clone(),
            ip,
            started_at,
            worker: worker.clone(),
        });
        let startup = container.startup_probe.clone().filter(|_| !started);
        let others =
            [(Kind::Readiness, container.readiness_probe.clone()), (Kind::Liveness, container.liveness_probe.clone())];
        let (through, wait) = tokio::sync::watch::channel(startup.is_none());
        let mut tasks = Vec::new();
        if let Some(probe) = startup {
            let asking = asking.clone();
            tasks.push(tokio::spawn(async move {
                if asking.until(Kind::Startup, &probe, true).await {
                    through.send_replace(true);
                }
            }));
        }
        for (kind, probe) in others {
            let Some(probe) = probe else { continue };
            let (asking, mut wait) = (asking.clone(), wait.clone());
            tasks.push(tokio::spawn(async move {
                // A startup probe that failed for good leaves nobody to wait for.
                if wait.wait_for(|through| *through).await.is_ok() {
                    asking.until(kind, &probe, false).await;
                }
            }));
        }
        Prober(tasks)
    }
}

impl<F: Feed> Asking<F> {
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
                self.context.tell(&self.pod, &self.field_path, true, "Unhealthy", text);
            }
            let Some(verdict) = tracker.answer(good) else { continue };
            // A worker that is gone has no use for the verdict.
            let _ = self.worker.send_message(Message::Probed(self.id.clone(), kind, verdict));
            if once && verdict {
                return true;
            }
            if !verdict && kind != Kind::Readiness {
                return false;
            }
        }
    }
}
