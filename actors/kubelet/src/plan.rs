//! What a pod needs next: a pure decision from what is known of it.
//!
//! The worker runs the steps, looks again, and decides again; nothing here remembers. Steps that only wait are expressed by the time
//! after which to look again.

use std::time::Duration;

use cox_runtime::{ContainerId, SandboxId};
use jiff::Timestamp;

use crate::backoff::{self, Backoff};
use crate::model::{ContainerView, Known, Lost, Retry, Volumes, Waiting};
use crate::probes::tracker::Kind;
use crate::spec::container::hash;
use crate::spec::names::{Member, Role, pod_id};

/// How long the end of a container is shown before its back-off is.
const SHOWN: Duration = Duration::from_secs(1);

/// Something to do for the pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Put the volumes in place.
    MakeVolumes,
    /// Make the sandbox.
    MakeSandbox {
        /// Which one of the pod this is.
        attempt: u32,
    },
    /// Pull the image if need be, then create and start a container.
    Start {
        /// The container.
        member: Box<Member>,
        /// Which start of it this is.
        attempt: u32,
    },
    /// Stop a container.
    Stop {
        /// Which.
        id: ContainerId,
        /// Its name.
        name: String,
        /// From TERM to KILL.
        grace: Duration,
        /// What the Killing event says; none if it is not told.
        tell: Option<String>,
    },
    /// Forget a container that has ended and that no status shows any more.
    Remove(ContainerId),
    /// Stop the sandbox: nothing runs in it any more.
    StopSandbox(SandboxId),
    /// All is stopped: the phase is final, volumes go.
    Finish,
    /// The pod is to be deleted and everything of it is gone: delete it from the API.
    Delete,
}

/// A decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do now.
    pub steps: Vec<Step>,
    /// Containers that wait, and why; others that waited no longer do.
    pub waiting: Vec<(String, Waiting)>,
    /// Decide again after this time, even if nothing happens.
    pub again: Option<Duration>,
}

/// Decides. `grace` is what is left of the pod's termination grace, of a pod that is ending.
pub fn plan(known: &Known<'_>, grace: Duration, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    if known.memory.finished {
        if known.pod.metadata.deletion_timestamp.is_some() {
            match known.held_back(&Retry::Delete, now) {
                Some(rest) => again(&mut plan, rest),
                None => plan.steps.push(Step::Delete),
            }
        }
        return plan;
    }
    if known.is_ending() || known.memory.rejected {
        end(known, grace, &mut plan, now);
        return plan;
    }
    let progress = progress(known);
    if let Progress::Over = progress {
        end(known, grace, &mut plan, now);
        return plan;
    }
    match known.sandbox {
        Some(sandbox) if sandbox.ready => {}
        other => {
            // What ran in a sandbox that is gone cannot go on; its containers have ended with it.
            make_volumes(known, &mut plan, now);
            match known.held_back(&Retry::Sandbox, now) {
                Some(rest) => again(&mut plan, rest),
                None => plan.steps.push(Step::MakeSandbox { attempt: other.map_or(0, |dead| dead.attempt + 1) }),
            }
            return plan;
        }
    }
    if known.memory.volumes == Volumes::Pending {
        make_volumes(known, &mut plan, now);
        return plan;
    }
    run(known, &mut plan, now);
    collect(known, &mut plan);
    plan
}

fn make_volumes(known: &Known<'_>, plan: &mut Plan, now: Timestamp) {
    if known.memory.volumes == Volumes::Pending {
        match known.held_back(&Retry::Volumes, now) {
            Some(rest) => again(plan, rest),
            None => plan.steps.push(Step::MakeVolumes),
        }
    }
}

/// How far the pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Init containers are still to complete.
    Initializing,
    /// The main containers run, or are to run.
    Running,
    /// No main container will run again, or initialization has failed for good.
    Over,
}

/// The exit code of the newest start of a container, if it has ended; 137 for one that ran and is gone without a trace.
fn end_code(known: &Known<'_>, name: &str) -> Option<i32> {
    match known.newest(name) {
        Some(newest) => newest.ended().map(|(code, _)| code),
        None => match known.lost(name)? {
            Lost::Ended { exit_code, .. } => Some(exit_code),
            Lost::Gone { running: true, .. } => Some(137),
            Lost::Gone { .. } => None,
        },
    }
}

/// How far the pod is, from what its containers show.
pub fn progress(known: &Known<'_>) -> Progress {
    let members = known.members();
    let mains: Vec<&Member> = members.iter().filter(|m| m.role == Role::Main).collect();
    let over =
        |member: &Member| end_code(known, &member.container.name).is_some_and(|code| !known.restarts(member, code));
    if !mains.is_empty() && mains.iter().all(|m| over(m)) {
        return Progress::Over;
    }
    if mains.iter().any(|m| known.newest(&m.container.name).is_some()) {
        return Progress::Running;
    }
    for member in members.iter().filter(|m| m.role == Role::Init) {
        match known.newest(&member.container.name).and_then(ContainerView::ended) {
            Some((0, _)) => {}
            Some((code, _)) if !known.restarts(member, code) => return Progress::Over,
            _ => return Progress::Initializing,
        }
    }
    let sidecars_started = members
        .iter()
        .filter(|m| m.role == Role::Sidecar)
        .all(|m| known.newest(&m.container.name).is_some_and(|c| c.is_running() && known.health(c).started));
    if sidecars_started { Progress::Running } else { Progress::Initializing }
}

/// Starts and restarts what should run.
fn run(known: &Known<'_>, plan: &mut Plan, now: Timestamp) {
    let initialized = progress(known) == Progress::Running;
    for member in known.members() {
        match member.role {
            Role::Init if initialized => {}
            Role::Init | Role::Sidecar => {
                let go_on = keep(known, &member, plan, now);
                // One init container after the other: a sidecar holds up the next until it has started.
                if !go_on && !initialized {
                    return;
                }
            }
            Role::Main if !initialized => {}
            Role::Main | Role::Ephemeral => {
                keep(known, &member, plan, now);
            }
        }
    }
}

/// Brings one container to where it should be; true if it is there (an init container that is done, a sidecar that has started).
fn keep(known: &Known<'_>, member: &Member, plan: &mut Plan, now: Timestamp) -> bool {
    let name = &member.container.name;
    if known.memory.starting.contains(name) && !known.newest(name).is_some_and(ContainerView::is_running) {
        // What this start will give is not known yet, and nothing else is to be done or told meanwhile.
        return false;
    }
    let Some(newest) = known.newest(name) else {
        start(known, member, starts_told(known, name), plan, now);
        return false;
    };
    if known.memory.stopping.contains(&newest.id) && newest.ended().is_none() {
        return false;
    }
    let Some((code, ended)) = newest.ended() else {
        return keep_running(known, member, newest, plan, now);
    };
    if !known.restarts(member, code) {
        return member.role == Role::Init && code == 0;
    }
    let backoff =
        known.failed_at(newest).and_then(|failed| Backoff::remaining(known.memory.crashes.get(name), failed, now));
    match backoff {
        Some(rest) => {
            // The end is shown as itself for a moment, then as a wait.
            let passed = Duration::try_from(now.duration_since(ended)).unwrap_or_default();
            if let Some(moment) = SHOWN.checked_sub(passed).filter(|moment| !moment.is_zero()) {
                again(plan, moment.min(rest));
                return false;
            }
            let delay = known.memory.crashes.get(name).map_or(backoff::BASE, |b| b.delay);
            let message = format!(
                "back-off {} restarting failed container={name} pod={}",
                backoff::print(delay),
                pod_id(known.pod)
            );
            plan.waiting.push((name.clone(), Waiting { reason: "CrashLoopBackOff".to_owned(), message }));
            again(plan, rest);
        }
        None => {
            start(known, member, newest.attempt + 1, plan, now);
        }
    }
    false
}

/// Starts a container, unless that failed a moment ago.
fn start(known: &Known<'_>, member: &Member, attempt: u32, plan: &mut Plan, now: Timestamp) {
    let name = &member.container.name;
    match known.held_back(&Retry::Container(name.clone()), now) {
        Some(rest) => {
            if let Some(waiting) = known.memory.waiting.get(name) {
                plan.waiting.push((name.clone(), waiting.clone()));
            }
            again(plan, rest);
        }
        None => plan.steps.push(Step::Start { member: Box::new(member.clone()), attempt }),
    }
}

fn keep_running(known: &Known<'_>, member: &Member, running: &ContainerView, plan: &mut Plan, now: Timestamp) -> bool {
    let name = &member.container.name;
    if !running.is_running() {
        // Created, but its start failed or was lost: starting it again is what the runtime makes of another start.
        start(known, member, running.attempt, plan, now);
        return false;
    }
    let health = known.health(running);
    let tell = if running.hash != hash(&member.container) {
        Some(format!("Container {name} definition changed, will be restarted"))
    } else {
        health.doomed.map(|probe| format!("Container {name} failed {} probe, will be restarted", probe.name()))
    };
    if tell.is_some() {
        match known.held_back(&Retry::Stop(running.id.clone()), now) {
            Some(rest) => again(plan, rest),
            None => plan.steps.push(Step::Stop {
                id: running.id.clone(),
                name: name.clone(),
                grace: own_grace(known, member, health.doomed),
                tell,
            }),
        }
        return false;
    }
    member.role == Role::Sidecar && health.started
}

/// The number of the next start, as far as the API knows: the count must not go back when the containers that it counted are gone.
fn starts_told(known: &Known<'_>, name: &str) -> u32 {
    known.lost(name).map_or(0, Lost::next)
}

/// Grace of a container that is restarted: that of the probe which condemned it, else the pod's.
fn own_grace(known: &Known<'_>, member: &Member, condemned_by: Option<Kind>) -> Duration {
    let probe = match condemned_by {
        Some(Kind::Startup) => member.container.startup_probe.as_ref(),
        Some(Kind::Liveness) => member.container.liveness_probe.as_ref(),
        Some(Kind::Readiness) | None => None,
    };
    let own = probe.and_then(|probe| probe.termination_grace_period_seconds);
    let pods = known.spec().and_then(|s| s.termination_grace_period_seconds);
    Duration::from_secs(own.or(pods).unwrap_or(30).max(0).unsigned_abs())
}

/// Stops everything: main containers together, then sidecars in reverse order, then the sandbox.
fn end(known: &Known<'_>, grace: Duration, plan: &mut Plan, now: Timestamp) {
    let members = known.members();
    // One that was made and never started ends with the sandbox.
    let live = |role: fn(Role) -> bool| {
        members
            .iter()
            .filter(move |m| role(m.role))
            .filter_map(|m| known.newest(&m.container.name))
            .filter(|c| c.is_running())
    };
    let mut waits = false;
    for container in live(|role| role != Role::Sidecar) {
        stop(known, container, grace, plan, now);
        waits = true;
    }
    if !waits && let Some(sidecar) = live(|role| role == Role::Sidecar).next_back() {
        stop(known, sidecar, grace, plan, now);
        waits = true;
    }
    if waits {
        return;
    }
    match known.sandbox {
        Some(sandbox) if sandbox.ready => match known.held_back(&Retry::Sandbox, now) {
            Some(rest) => again(plan, rest),
            None => plan.steps.push(Step::StopSandbox(sandbox.id.clone())),
        },
        _ => match known.held_back(&Retry::Finish, now) {
            Some(rest) => again(plan, rest),
            None => plan.steps.push(Step::Finish),
        },
    }
}

/// A stop under way is not made quicker by a shorter grace, except by none at all.
fn stop(known: &Known<'_>, container: &ContainerView, grace: Duration, plan: &mut Plan, now: Timestamp) {
    let under_way = known.memory.stopping.contains(&container.id);
    if under_way && !grace.is_zero() {
        return;
    }
    if let Some(rest) = known.held_back(&Retry::Stop(container.id.clone()), now) {
        again(plan, rest);
        return;
    }
    plan.steps.push(Step::Stop {
        id: container.id.clone(),
        name: container.name.clone(),
        grace,
        tell: (!under_way).then(|| format!("Stopping container {}", container.name)),
    });
}

/// Forgets starts that no status shows: all but the newest two of each container.
fn collect(known: &Known<'_>, plan: &mut Plan) {
    for member in known.members() {
        let mut starts: Vec<_> = known.containers.iter().filter(|c| c.name == member.container.name).collect();
        starts.sort_by_key(|c| std::cmp::Reverse(c.attempt));
        let old = starts.into_iter().skip(2).filter(|c| c.ended().is_some());
        plan.steps.extend(old.map(|c| Step::Remove(c.id.clone())));
    }
}

fn again(plan: &mut Plan, after: Duration) {
    plan.again = Some(plan.again.map_or(after, |before| before.min(after)));
}

#[cfg(test)]
mod tests;
