//! What the probes of a worker's containers find.

use cox_kit::Feed;
use cox_runtime::ContainerId;
use k8s_openapi::api::core::v1::Container;

use super::{Message, Operation, State, broken};
use crate::model::{ContainerView, Health};
use crate::probes::tracker::Kind;
use crate::probes::watch::{Probed, Prober};
use crate::spec::names::Role;

/// Whether a container has a probe.
fn asks(container: &Container) -> bool {
    [&container.startup_probe, &container.readiness_probe, &container.liveness_probe].into_iter().any(Option::is_some)
}

impl<F: Feed> State<F> {
    /// Starts the probes of containers that run, and ends those of containers that no longer do.
    pub(super) fn keep_probers(&mut self) {
        let running: Vec<ContainerView> = self.containers.iter().filter(|c| c.is_running()).cloned().collect();
        self.probers.retain(|id, _| running.iter().any(|c| c.id == *id));
        let members = self.known().members();
        for view in running {
            let Some(member) = members.iter().find(|m| m.container.name == view.name) else { continue };
            if matches!(member.role, Role::Init | Role::Ephemeral) || self.probers.contains_key(&view.id) {
                continue;
            }
            // The hook after the start comes before any probe.
            if self.under_way.contains_key(&Operation::Start(view.name.clone())) {
                continue;
            }
            let known = self.memory.health.get(&view.id).cloned();
            let mut health = known.unwrap_or_else(|| self.found_health(&view));
            health.started |= member.container.startup_probe.is_none();
            let started = health.started;
            self.memory.health.insert(view.id.clone(), health);
            if !asks(&member.container) {
                continue;
            }
            let ip = self.sandbox.as_ref().and_then(|s| s.ips.first()).map(ToString::to_string);
            let ip = ip.or_else(|| self.context.config.node_ips.first().cloned()).unwrap_or_default();
            let (id, worker, of) = (view.id.clone(), self.myself.clone(), view.id.clone());
            // A worker that is gone has no use for the verdict.
            let verdict = move |kind, good| drop(worker.send_message(Message::Probed(of.clone(), kind, good)));
            let probed = Probed { started, ip, view, verdict: Box::new(verdict) };
            let panicked = broken(&self.myself);
            let prober = Prober::start(&self.context, &self.pod, member, probed, &self.scope, panicked);
            self.probers.insert(id, prober);
        }
    }

    /// The health of a container that this worker did not start: as it was told, so that a restart of the agent makes no pod unready.
    fn found_health(&self, view: &ContainerView) -> Health {
        let known = self.known();
        let told =
            known.told(&view.name).filter(|s| s.container_id.as_deref().is_some_and(|id| id.ends_with(&view.id.0)));
        told.map(|s| Health { started: s.started == Some(true), ready: s.ready, doomed: None }).unwrap_or_default()
    }

    /// Takes in a verdict; one of a container that no longer runs says nothing.
    pub(super) fn probed(&mut self, container: &ContainerId, kind: Kind, good: bool) {
        let Some(view) = self.containers.iter().find(|c| c.id == *container && c.is_running()) else { return };
        let health = self.memory.health.entry(view.id.clone()).or_default();
        match (kind, good) {
            (Kind::Startup, true) => health.started = true,
            (Kind::Readiness, good) => health.ready = good,
            (Kind::Liveness, true) => {}
            (Kind::Startup | Kind::Liveness, false) => {
                health.doomed = Some(kind);
            }
        }
    }
}
