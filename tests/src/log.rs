//! The log as its readers on the bus see it, and the invariants that hold for it.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use cox_bus::{Bus, Connect};
use cox_objects::{Event, Resource};

use crate::Cluster;

/// Reads the events from `from` to the end of the log, with the credentials of a mirror, and checks that revisions are dense and transactions whole.
///
/// # Errors
/// If it cannot be read, or an invariant is broken.
pub async fn read(cluster: &Cluster, from: u64) -> Result<Vec<Event>> {
    let connect = Connect::from_file(&cluster.credentials("mirror"), None)?;
    let bus = Bus::connect(connect).await?;
    let mut range = cox_bus::range(&bus, from, u64::MAX).await?;
    let mut events = Vec::new();
    while let Some(chunk) = range.next().await? {
        events.extend(chunk);
    }
    check(&events, from)?;
    Ok(events)
}

/// Whether revisions are dense from `from` on, each transaction is there from its first to its last change, and no address is taken without its Service.
fn check(events: &[Event], from: u64) -> Result<()> {
    let mut transactions: BTreeMap<(u64, u64), Vec<&Event>> = BTreeMap::new();
    for (event, expected) in events.iter().zip(from..) {
        ensure!(event.revision() == expected, "revision {expected} is missing: there is {}", event.revision());
        transactions.entry(event.transaction).or_default().push(event);
    }
    for ((first, last), parts) in transactions {
        let count = parts.len() as u64;
        // A range that begins within a transaction holds the rest of it.
        let begin = first.max(from);
        ensure!(count == last + 1 - begin, "transaction {first}-{last} holds {count} changes");
        let services = parts.iter().filter(|e| takes_address(e)).count();
        let addresses =
            parts.iter().filter(|e| e.key.resource == Resource::new("networking.k8s.io", "ipaddresses")).count();
        if first >= from && services != addresses {
            bail!("transaction {first}-{last} changes {services} Services' existence and {addresses} addresses");
        }
    }
    Ok(())
}

/// Whether a change makes or ends a Service that has an address.
fn takes_address(event: &Event) -> bool {
    let ends = event.change != cox_objects::Change::Modified;
    let address = event.object.value().pointer("/spec/clusterIP").cloned();
    ends && event.key.resource == Resource::new("", "services") && address.is_some_and(|a| a != "None")
}
