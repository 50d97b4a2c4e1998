//! Leadership on a Lease: one of several instances of a component leads, and what it commits is guarded by the Lease it believes to hold.
//!
//! Flow: every [`RETRY`] each instance looks at the Lease. The holder renews it; others take it over once it has not been renewed for its
//! duration, as *they* measured since they saw its last change (no clocks are compared). A holder that stops in order gives it up.
//!
//! Guarantees: the guard (uid, holder, transitions) travels with each command of the leader and is checked at commit, so that an instance
//! that wrongly believes to lead writes nothing.

use std::time::Duration;

use cox_bus::LeaseGuard;
use cox_objects::{Key, Resource};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::feed::Feed;
use crate::supervise::{Child, worker};
use crate::why::Why;
use crate::{Api, Command};

/// How often the Lease is looked at, and renewed by its holder.
pub const RETRY: Duration = Duration::from_secs(2);
/// `leaseDurationSeconds` that we write.
pub const DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew for so long stops acting before others may take over.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How long a holder that stops tries to give it up.
const RELEASE: Duration = Duration::from_secs(1);

/// What an instance does next about a Lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It does not exist: create it.
    Create(Value),
    /// It is ours, or free to take: write this object (conditional on the version read).
    Write(Value),
    /// Another one holds it.
    Wait,
}

/// What an instance remembers between two looks: when it saw the Lease change last.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    state: Option<(String, Option<Timestamp>, Duration)>,
}

/// Decides about a Lease. `elapsed` is a monotonic time of this instance.
pub fn decide(
    observed: &mut Observed,
    lease: Option<&Lease>,
    (namespace, name, me): (&str, &str, &str),
    now: Timestamp,
    elapsed: Duration,
) -> Step {
    let stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let Some(lease) = lease else {
        return Step::Create(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"holderIdentity": me, "leaseDurationSeconds": DURATION.as_secs(), "acquireTime": stamp,
                     "renewTime": stamp, "leaseTransitions": 0},
        }));
    };
    let none = LeaseSpec::default();
    let spec = lease.spec.as_ref().unwrap_or(&none);
    let holder = spec.holder_identity.as_deref().unwrap_or("");
    let ours = holder == me;
    let seen = (holder.to_owned(), spec.renew_time.as_ref().map(|t| t.0));
    let since = match &observed.state {
        Some((h, r, at)) if (h, r) == (&seen.0, &seen.1) => *at,
        _ => {
            observed.state = Some((seen.0, seen.1, elapsed));
            elapsed
        }
    };
    let duration = Duration::from_secs(spec.lease_duration_seconds.unwrap_or(0).max(0).unsigned_abs().into());
    if !ours && !holder.is_empty() && elapsed < since + duration {
        return Step::Wait;
    }
    let transitions = spec.lease_transitions.unwrap_or(0) + i32::from(!ours);
    let acquired = match &spec.acquire_time {
        Some(time) if ours => time.0.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        _ => stamp.clone(),
    };
    Step::Write(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"namespace": namespace, "name": name, "uid": lease.metadata.uid,
                     "resourceVersion": lease.metadata.resource_version},
        "spec": {"holderIdentity": me, "leaseDurationSeconds": DURATION.as_secs(), "acquireTime": acquired,
                 "renewTime": stamp, "leaseTransitions": transitions},
    }))
}

/// The guard that a written Lease gives its holder.
fn guard(key: &Key, lease: &Lease) -> Option<LeaseGuard> {
    let spec = lease.spec.as_ref()?;
    Some(LeaseGuard {
        key: key.clone(),
        uid: lease.metadata.uid.clone()?,
        holder: spec.holder_identity.clone()?,
        transitions: spec.lease_transitions.unwrap_or(0).into(),
    })
}

/// Whether an instance leads: the guard while it does.
pub type Leadership = watch::Receiver<Option<LeaseGuard>>;

/// A child that strives for a Lease in `kube-system` and says through the sender whether it leads.
///
/// A restart loses what was observed of another holder, so a takeover begins to wait anew; nothing else.
pub fn elector<F: Feed>(
    name: String,
    me: String,
    feed: F,
    api: Api,
    leads: watch::Sender<Option<LeaseGuard>>,
) -> Child {
    let api = api.vital();
    worker("elector", move |scope| {
        let (name, me, feed, api, leads) = (name.clone(), me.clone(), feed.clone(), api.clone(), leads.clone());
        async move {
            let key = Key::new(Resource::LEASES, "kube-system", &name);
            let started = std::time::Instant::now();
            let mut observed = Observed::default();
            let mut renewed = started;
            loop {
                let stored = feed.get(&key).and_then(|object| object.parse::<Lease>().ok());
                let id = ("kube-system", name.as_str(), me.as_str());
                let command = match decide(&mut observed, stored.as_ref(), id, crate::clock::now(), started.elapsed()) {
                    Step::Create(lease) => Some(Command::Create(lease)),
                    Step::Write(object) => Some(Command::Update { key: key.clone(), subresource: "", object }),
                    Step::Wait => {
                        leads.send_replace(None);
                        None
                    }
                };
                if let Some(command) = command {
                    let why = Why::timer("lease", feed.revision());
                    let commands = [command];
                    let written = tokio::select! {
                        () = scope.cancelled().cancelled() => break,
                        written = api.run(&commands, &why) => written,
                    };
                    match written {
                        Ok(done) => {
                            renewed = std::time::Instant::now();
                            let held = done.objects.first().and_then(|o| serde_json::from_slice::<Lease>(o).ok());
                            let held = held.and_then(|lease| guard(&key, &lease));
                            leads.send_if_modified(|now| {
                                let changed = *now != held;
                                *now = held;
                                changed
                            });
                            feed.wait_for(done.revision, RETRY).await;
                        }
                        Err(failed) => {
                            tracing::debug!(lease = name, error = %failed, "the Lease was not written");
                            if renewed.elapsed() > RENEW_DEADLINE {
                                leads.send_replace(None);
                            }
                        }
                    }
                }
                tokio::select! {
                    () = scope.cancelled().cancelled() => break,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
            if leads.send_replace(None).is_some() {
                release(&feed, &api, &key, &me).await;
            }
            Ok(())
        }
    })
}

/// Gives the Lease up, so that another instance leads at once.
async fn release<F: Feed>(feed: &F, api: &Api, key: &Key, me: &str) {
    let held = feed.get(key).map(|object| object.value());
    let holder = held.as_ref().and_then(|lease| lease.pointer("/spec/holderIdentity"));
    if holder.and_then(Value::as_str) != Some(me) {
        return;
    }
    let version = held.as_ref().and_then(|lease| lease.pointer("/metadata/resourceVersion"));
    let patch =
        json!({"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": "", "leaseDurationSeconds": 1}});
    let command = Command::Patch { key: key.clone(), subresource: "", patch };
    let (commands, why) = ([command], Why::timer("lease", feed.revision()));
    match tokio::time::timeout(RELEASE, api.run(&commands, &why)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the Lease was not given up and runs out by itself"),
        Err(_) => tracing::debug!("the apiserver is not there: the Lease was not given up and runs out by itself"),
    }
}

#[cfg(test)]
mod tests;
