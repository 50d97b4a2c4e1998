//! Tells the API how the pod does: one write at a time, and only what has changed.

use std::time::Duration;

use cox_kit::{Command, Feed};
use serde::Deserialize;
use serde_json::Value;

use super::State;
use super::operation::{Finished, Operation};
use crate::model::ContainerView;
use crate::status::{NodeFacts, difference, status};

/// How long the status of one container waits for that of another which is just starting.
const SETTLE: Duration = Duration::from_secs(1);
/// How long a pod's end is held back while its sandbox and volumes are taken away.
const WIND_DOWN: Duration = Duration::from_secs(1);
/// How long after a refusal the same status is sent again.
const REFUSED: Duration = Duration::from_secs(10);
/// How long a status write may take to show in the feed before the worker goes on without it.
const SHOWN: Duration = Duration::from_secs(5);

/// What is read of a stored Pod: the rest of it is not changed here.
#[derive(Deserialize, Default)]
struct Told {
    status: Option<Value>,
}

impl<F: Feed> State<F> {
    /// Writes the status if it is not what the API has, one write at a time; says after which time to look again at one that is held back.
    pub(super) fn tell(&mut self) -> Option<Duration> {
        if self.gone || self.under_way.contains_key(&Operation::Tell) {
            return None;
        }
        let version = self.pod.metadata.resource_version.clone().unwrap_or_default();
        if let Some((refused, at)) = &self.refused
            && *refused == version
            && at.elapsed() < REFUSED
        {
            return Some(REFUSED.saturating_sub(at.elapsed()));
        }
        let node = NodeFacts { host_ips: self.context.config.node_ips.clone() };
        let wanted = status(&self.known(), &node, cox_kit::clock::now());
        let told = self.context.feed.get(&self.key).and_then(|object| object.parse::<Told>().ok());
        let has = told.unwrap_or_default().status.unwrap_or_else(|| serde_json::json!({}));
        let patch = difference(&has, &wanted)?;
        difference(&without_nulls(has.clone()), &without_nulls(wanted.clone()))?;
        let held = self.settling(&has, &wanted).or_else(|| self.winding_down(&has, &wanted));
        if let Some(rest) = held.or_else(|| self.restarting()) {
            return Some(rest);
        }
        self.launch_tell(patch);
        None
    }

    /// For how long a first status of main containers is held back while others of the pod are just starting: they are told of together.
    fn settling(&self, has: &Value, wanted: &Value) -> Option<Duration> {
        let pending = |status: &Value| status.get("phase").and_then(Value::as_str) == Some("Pending");
        let same =
            has.get("containerStatuses").is_none() || has.get("containerStatuses") == wanted.get("containerStatuses");
        if same || !pending(has) || !pending(wanted) {
            return None;
        }
        let starts = self.under_way.iter().filter(|(operation, _)| operation.starts().is_some());
        let youngest = starts.map(|(_, under_way)| under_way.since.elapsed()).min()?;
        SETTLE.checked_sub(youngest).filter(|rest| !rest.is_zero())
    }

    /// For how long the end of a container that is being started anew is held back: what is told is that it runs again.
    fn restarting(&self) -> Option<Duration> {
        let ended = self.containers.iter().filter(|c| self.memory.condemned.contains(&c.id) && c.ended().is_some());
        let starts = ended.filter_map(|c| self.under_way.get(&Operation::Start(c.name.clone())));
        let youngest = starts.map(|under_way| under_way.since.elapsed()).min()?;
        SETTLE.checked_sub(youngest).filter(|rest| !rest.is_zero())
    }

    /// For how long the steps by which a pod is taken down are held back: its end is told as a whole. Only a pod that ended by itself tells of
    /// its containers first.
    fn winding_down(&self, has: &Value, wanted: &Value) -> Option<Duration> {
        if !self.is_ending() || self.memory.finished {
            return None;
        }
        let lists = ["containerStatuses", "initContainerStatuses"];
        let news = lists.iter().any(|list| has.get(*list) != wanted.get(*list));
        let by_itself = !self.known().is_ending();
        if by_itself && news {
            return None;
        }
        let (_, ended) = self.containers.iter().filter_map(ContainerView::ended).max_by_key(|(_, at)| *at)?;
        if self.containers.iter().any(ContainerView::is_running) {
            return (news && !by_itself).then_some(WIND_DOWN);
        }
        let passed = Duration::try_from(cox_kit::clock::now().duration_since(ended)).unwrap_or_default();
        WIND_DOWN.checked_sub(passed).filter(|rest| !rest.is_zero())
    }

    /// Writes a status.
    fn launch_tell(&mut self, patch: Value) {
        let (context, key, uid, why) = (self.context.clone(), self.key.clone(), self.uid.clone(), self.why());
        self.spawn(Operation::Tell, async move {
            let patch = serde_json::json!({"metadata": {"uid": uid}, "status": patch});
            let result = context.api.run(&[Command::Patch { key, subresource: "status", patch }], &why).await;
            Finished::Plain(match result {
                Ok(done) => {
                    context.feed.wait_for(done.revision, SHOWN).await;
                    Ok(())
                }
                Err(failed) if matches!(failed.status.code, 400..=499) && failed.status.code != 429 => {
                    tracing::info!(status = %failed, "a pod's status was refused");
                    return Finished::Refused;
                }
                Err(failed) => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Err(failed.to_string())
                }
            })
        });
    }
}

/// A value without the nulls in it: a field that is null and one that is absent say the same.
fn without_nulls(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for field in fields.values_mut() {
                *field = without_nulls(field.take());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_nulls(item.take())),
        _ => {}
    }
    value
}
