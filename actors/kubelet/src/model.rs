//! What a pod's worker knows at a moment: what the runtime shows, and what the worker itself remembers. The input of every decision.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use cox_runtime::{ContainerId, ContainerState, ExitReason, SandboxId, User};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodSpec};

use crate::backoff::{Backoff, Held};
use crate::probes::tracker::Kind;
use crate::spec::names::{Member, Role, members};

/// A sandbox of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxView {
    /// Its id.
    pub id: SandboxId,
    /// Which sandbox of the pod this is, from 0.
    pub attempt: u32,
    /// Whether it can take containers.
    pub ready: bool,
    /// Its addresses, the primary first; empty with the host's network.
    pub ips: Vec<IpAddr>,
}

/// One start of one container, as the runtime has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerView {
    /// Its id.
    pub id: ContainerId,
    /// The container's name in the pod.
    pub name: String,
    /// Which start of the container this is, from 0.
    pub attempt: u32,
    /// Hash of the spec that it was made from.
    pub hash: String,
    /// The image's name, as the store has it.
    pub image: String,
    /// The image's id, or `repo@digest` for a pulled one: `imageID`.
    pub image_id: String,
    /// Where it is in its life.
    pub state: ContainerState,
    /// Who runs it.
    pub user: User,
    /// What it left as its termination message.
    pub message: String,
}

impl ContainerView {
    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running { .. })
    }

    /// Whether its process runs or has run, as against one that could not be started.
    pub fn has_run(&self) -> bool {
        match &self.state {
            ContainerState::Created => false,
            ContainerState::Running { .. } => true,
            ContainerState::Exited { reason, .. } => *reason != ExitReason::StartError,
        }
    }

    /// Exit code and time of its end, if it has ended.
    pub fn ended(&self) -> Option<(i32, Timestamp)> {
        match &self.state {
            ContainerState::Exited { exit_code, finished_at, .. } => Some((*exit_code, time(*finished_at))),
            _ => None,
        }
    }
}

/// A time of the runtime (Unix nanoseconds).
pub fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Why a container does not run yet: `state.waiting`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// `ErrImagePull`, `CreateContainerConfigError`, …
    pub reason: String,
    /// For people.
    pub message: String,
}

/// What the probes of a running container have found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The startup probe has succeeded, or there is none and the `postStart` hook is through.
    pub started: bool,
    /// The readiness probe's last verdict; containers without one are ready once started.
    pub ready: bool,
    /// The liveness or startup probe that has failed for good: the container is to be restarted.
    pub doomed: Option<Kind>,
}

/// How far the pod's volumes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Volumes {
    /// Not asked for, or being made.
    #[default]
    Pending,
    /// All are in place.
    Ready,
}

/// An end that is not the containers' own doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `DeadlineExceeded`, `Evicted`, `NodeAffinity`, …
    pub reason: String,
    /// For people.
    pub message: String,
}

/// What a worker remembers of its pod between decisions. Lost in a restart of the node's agent, and found again except for backoffs.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// When the kubelet took the pod on: `status.startTime`.
    pub start_time: Option<Timestamp>,
    /// Why containers wait, by name.
    pub waiting: BTreeMap<String, Waiting>,
    /// Backoffs of crashed containers, by name.
    pub crashes: BTreeMap<String, Backoff>,
    /// What probes found, by container id.
    pub health: BTreeMap<ContainerId, Health>,
    /// Volumes.
    pub volumes: Volumes,
    /// The pod was ended by the kubelet.
    pub verdict: Option<Verdict>,
    /// The pod was refused: it has never had anything.
    pub rejected: bool,
    /// Everything of the pod is stopped and its sandbox gone: its phase is final.
    pub finished: bool,
    /// Stops under way: containers that are not asked again to stop, except at once.
    pub stopping: BTreeSet<ContainerId>,
    /// Containers that were stopped to be started anew, by a probe's verdict or for another image.
    pub condemned: BTreeSet<ContainerId>,
    /// Containers (by name) whose start is under way, the hook after the start included: until it is through, nothing is told of it.
    pub starting: BTreeSet<String>,
    /// What has failed is not tried again before this time.
    pub not_before: BTreeMap<Retry, Held>,
}

impl Memory {
    /// Gives back the room of what is no longer remembered.
    pub fn shrink(&mut self) {
        fn give_back<T: Default>(kept: &mut T, is_empty: fn(&T) -> bool) {
            if is_empty(kept) {
                *kept = T::default();
            }
        }
        give_back(&mut self.waiting, BTreeMap::is_empty);
        give_back(&mut self.crashes, BTreeMap::is_empty);
        give_back(&mut self.health, BTreeMap::is_empty);
        give_back(&mut self.stopping, BTreeSet::is_empty);
        give_back(&mut self.condemned, BTreeSet::is_empty);
        give_back(&mut self.starting, BTreeSet::is_empty);
        give_back(&mut self.not_before, BTreeMap::is_empty);
    }
}

/// What is known of a start that only the API remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It had ended with this code.
    Ended {
        /// Its exit code.
        exit_code: i32,
        /// The number of the next start.
        next: u32,
    },
    /// How it ended is not known.
    Gone {
        /// It was told to run.
        running: bool,
        /// The number of the next start.
        next: u32,
    },
}

impl Lost {
    /// The number of the next start: the count never goes back.
    pub fn next(self) -> u32 {
        match self {
            Lost::Ended { next, .. } | Lost::Gone { next, .. } => next,
        }
    }
}

/// What can be tried again after a failure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Retry {
    /// Making the sandbox.
    Sandbox,
    /// Putting the volumes in place.
    Volumes,
    /// Creating a container, by name.
    Container(String),
    /// Stopping a container.
    Stop(ContainerId),
    /// Taking away what is left of an ended pod.
    Finish,
    /// Deleting the pod from the API.
    Delete,
}

/// A pod with all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// As the API has it.
    pub pod: &'a Pod,
    /// Its newest sandbox.
    pub sandbox: Option<&'a SandboxView>,
    /// All its containers that the runtime has.
    pub containers: &'a [ContainerView],
    /// What the worker remembers.
    pub memory: &'a Memory,
}

impl<'a> Known<'a> {
    /// The pod's spec.
    pub fn spec(&self) -> Option<&'a PodSpec> {
        self.pod.spec.as_ref()
    }

    /// The pod's containers in the order of the spec.
    pub fn members(&self) -> Vec<Member> {
        self.spec().map(members).unwrap_or_default()
    }

    /// The newest start of a container.
    pub fn newest(&self, name: &str) -> Option<&'a ContainerView> {
        self.containers.iter().filter(|c| c.name == name).max_by_key(|c| c.attempt)
    }

    /// The newest start that is told of: one that is only being made is not there yet.
    pub fn told_start(&self, name: &str) -> Option<&'a ContainerView> {
        let is_told = |c: &&ContainerView| match &c.state {
            ContainerState::Created => false,
            ContainerState::Running { .. } => !self.memory.starting.contains(name),
            ContainerState::Exited { .. } => true,
        };
        self.containers.iter().filter(|c| c.name == name).filter(is_told).max_by_key(|c| c.attempt)
    }

    /// The start before a given one.
    pub fn before(&self, start: &ContainerView) -> Option<&'a ContainerView> {
        self.containers.iter().filter(|c| c.name == start.name && c.attempt < start.attempt).max_by_key(|c| c.attempt)
    }

    /// When the failure was for which a container that has ended backs off. One that was stopped to be started anew has not failed by
    /// itself: what counts then is how the start before it ended, if there was one.
    pub fn failed_at(&self, ended: &ContainerView) -> Option<Timestamp> {
        let failed = if self.memory.condemned.contains(&ended.id) { self.before(ended)? } else { ended };
        failed.ended().map(|(_, at)| at)
    }

    /// What the API has of a container.
    pub fn told(&self, name: &str) -> Option<&'a ContainerStatus> {
        let status = self.pod.status.as_ref()?;
        let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
        lists.into_iter().flatten().flatten().find(|s| s.name == name)
    }

    /// What the API has of the newest start of a container that the runtime no longer has (the machine was started anew, or the sandbox is
    /// another one).
    pub fn lost(&self, name: &str) -> Option<Lost> {
        if self.told_start(name).is_some() {
            return None;
        }
        let told = self.told(name)?;
        let count = u32::try_from(told.restart_count).unwrap_or(0);
        if let Some(ended) = told.state.as_ref().and_then(|s| s.terminated.as_ref()) {
            return Some(Lost::Ended { exit_code: ended.exit_code, next: count + 1 });
        }
        if told.container_id.as_deref().is_some_and(|id| !id.is_empty()) {
            let running = told.state.as_ref().is_some_and(|s| s.running.is_some());
            return Some(Lost::Gone { running, next: count + 1 });
        }
        // It was told as lost before: the count is already that of the next start.
        let again = told.last_state.as_ref().is_some_and(|s| s.terminated.is_some());
        again.then_some(Lost::Gone { running: false, next: count })
    }

    /// The health of a running container; nothing is known of a new one.
    pub fn health(&self, container: &ContainerView) -> Health {
        self.memory.health.get(&container.id).cloned().unwrap_or_default()
    }

    /// Whether the pod is to end: by its deletion, by a verdict, or because the API has it as ended.
    pub fn is_ending(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some() || self.memory.verdict.is_some() || self.told_end().is_some()
    }

    /// The final phase that the API has, if it has one: an ended pod never runs again.
    pub fn told_end(&self) -> Option<&'a str> {
        let phase = self.pod.status.as_ref()?.phase.as_deref()?;
        matches!(phase, "Succeeded" | "Failed").then_some(phase)
    }

    /// How long something that failed is still not to be tried again.
    pub fn held_back(&self, what: &Retry, now: Timestamp) -> Option<Duration> {
        let rest = self.memory.not_before.get(what)?.until.duration_since(now);
        Duration::try_from(rest).ok().filter(|rest| !rest.is_zero())
    }

    /// Whether a container that ended with this code is to run again (container-level rules of KEP-5307 come before the pod's policy).
    pub fn restarts(&self, member: &Member, exit_code: i32) -> bool {
        if let Some(restart) = rule_of(member, exit_code) {
            return restart;
        }
        let own = member.container.restart_policy.as_deref();
        let policy = own.or_else(|| self.spec().and_then(|s| s.restart_policy.as_deref())).unwrap_or("Always");
        match member.role {
            Role::Ephemeral => false,
            Role::Sidecar => true,
            Role::Init => exit_code != 0 && policy != "Never",
            Role::Main => match policy {
                "Never" => false,
                "OnFailure" => exit_code != 0,
                _ => true,
            },
        }
    }
}

/// What `restartPolicyRules` say of an exit code; none if no rule matches.
fn rule_of(member: &Member, exit_code: i32) -> Option<bool> {
    let rules = member.container.restart_policy_rules.iter().flatten();
    let mut matching = rules.filter(|rule| {
        rule.exit_codes.as_ref().is_some_and(|codes| {
            let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
            if codes.operator == "NotIn" { !listed } else { listed }
        })
    });
    matching.next().map(|rule| rule.action.starts_with("Restart"))
}
