//! Pods as controllers see them: what they need of one, and when it counts as active, ready, available or terminating.

use std::time::Duration;

use cox_kit::Typed;
use cox_objects::Resource;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Toleration;
use serde::Deserialize;

use crate::model::{Condition, Meta, condition, or_default};

/// The parts of a Pod that controllers look at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    pub metadata: Meta,
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
    #[serde(deserialize_with = "or_default")]
    pub status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    #[serde(deserialize_with = "or_default")]
    pub node_name: String,
    #[serde(deserialize_with = "or_default")]
    pub hostname: String,
    #[serde(deserialize_with = "or_default")]
    pub subdomain: String,
    #[serde(deserialize_with = "or_default")]
    pub tolerations: Vec<Toleration>,
    #[serde(deserialize_with = "or_default")]
    pub containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    pub init_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container {
    #[serde(deserialize_with = "or_default")]
    pub restart_policy: String,
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Port {
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    #[serde(deserialize_with = "or_default")]
    pub container_port: i32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    #[serde(deserialize_with = "or_default")]
    pub phase: String,
    #[serde(rename = "podIP", deserialize_with = "or_default")]
    pub pod_ip: String,
    #[serde(rename = "podIPs", deserialize_with = "or_default")]
    pub pod_ips: Vec<Ip>,
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_default")]
    pub container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ip {
    #[serde(deserialize_with = "or_default")]
    pub ip: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerStatus {
    #[serde(deserialize_with = "or_default")]
    pub restart_count: i32,
}

impl Typed for Pod {
    const RESOURCE: Resource = Resource::PODS;
}

impl Pod {
    /// Whether its containers have ended for good.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether it counts as a replica: neither ended nor on its way out.
    pub(crate) fn is_active(&self) -> bool {
        !self.is_terminal() && !self.metadata.is_deleted()
    }

    /// Whether it is on its way out and its containers may still run.
    pub(crate) fn is_terminating(&self) -> bool {
        !self.is_terminal() && self.metadata.is_deleted()
    }

    /// Its condition of type Ready.
    pub(crate) fn readiness(&self) -> Option<&Condition> {
        condition(&self.status.conditions, "Ready")
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.readiness().is_some_and(|ready| ready.status == "True")
    }

    /// Since when it is ready; none while it is not.
    pub(crate) fn ready_since(&self) -> Option<Timestamp> {
        let ready = self.readiness().filter(|ready| ready.status == "True")?;
        ready.last_transition_time.as_ref().map(|time| time.0)
    }

    /// Whether it has been ready for that long.
    pub(crate) fn is_available(&self, min_ready_seconds: i32, now: Timestamp) -> bool {
        if min_ready_seconds <= 0 {
            return self.is_ready();
        }
        let min_ready = SignedDuration::from_secs(min_ready_seconds.into());
        self.ready_since().is_some_and(|since| now.duration_since(since) >= min_ready)
    }

    /// How long until it is available, if it stays ready.
    pub(crate) fn available_in(&self, min_ready_seconds: i32, now: Timestamp) -> Option<Duration> {
        let ready_for = now.duration_since(self.ready_since()?);
        let left = SignedDuration::from_secs(min_ready_seconds.into()) - ready_for;
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }

    /// The sum of its containers' restarts.
    pub(crate) fn restarts(&self) -> i32 {
        self.status.container_statuses.iter().map(|status| status.restart_count).sum()
    }
}
