//! A watch of ConfigMaps over HTTP, begun again from its last change whenever its connection breaks, as clients do.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use cox_objects::Change;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};

use super::{Follower, Until, is_over};
use crate::faults::client::Door;
use crate::faults::history::{self, Seen};

/// How long it rests after a failure.
const REST: Duration = Duration::from_millis(20);

impl Follower {
    /// A watch from now on.
    ///
    /// # Errors
    /// If ConfigMaps cannot be listed.
    pub async fn watch(door: &Door) -> Result<Follower> {
        let maps: Api<ConfigMap> = Api::default_namespaced(door.client());
        let listed = maps.list(&ListParams::default()).await?;
        let from = listed.metadata.resource_version.context("a list without a version")?;
        Ok(Follower::start("watch", "configmaps/default/", |until| follow(maps, from, until)))
    }
}

async fn follow(maps: Api<ConfigMap>, mut from: String, until: Until) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    while !is_over(&until, &seen) {
        match maps.watch(&WatchParams::default().timeout(290), &from).await {
            Ok(events) => one(std::pin::pin!(events), &mut seen, &mut from, &until).await?,
            Err(kube::Error::Api(status)) if status.code == 410 => {
                bail!("its place {from} is too old: {}", status.message)
            }
            // The server is away, or not ready to say.
            Err(_) => {}
        }
        tokio::time::sleep(REST).await;
    }
    Ok(seen)
}

/// Reads one connection to its end.
async fn one<S>(mut events: S, seen: &mut Vec<Seen>, from: &mut String, until: &Until) -> Result<()>
where
    S: Stream<Item = kube::Result<WatchEvent<ConfigMap>>> + Unpin,
{
    let mut until = until.clone();
    while !is_over(&until, seen) {
        let event = tokio::select! {
            event = events.next() => event,
            changed = until.changed() => {
                changed?;
                continue;
            }
        };
        let (change, map) = match event {
            Some(Ok(WatchEvent::Added(map))) => (Change::Added, map),
            Some(Ok(WatchEvent::Modified(map))) => (Change::Modified, map),
            Some(Ok(WatchEvent::Deleted(map))) => (Change::Deleted, map),
            Some(Ok(WatchEvent::Bookmark(mark))) => {
                *from = mark.metadata.resource_version;
                continue;
            }
            Some(Ok(WatchEvent::Error(status))) if status.code == 410 => {
                bail!("the watch is too old: {}", status.message)
            }
            Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => return Ok(()),
        };
        *from = map.resource_version().context("a change without a version")?;
        let key = history::key("configmaps", &map.name_any());
        seen.push(Seen::new(from.parse()?, change, key, &serde_json::to_value(&map)?));
    }
    Ok(())
}
