//! An integrator's way: any NATS client on the documented subjects sees every change as a CloudEvent, in order and without a hole.

use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::{Client, ConnectOptions, HeaderMap, Message, Subscriber};
use cox_tests::Cluster;
use futures::StreamExt;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(10);

/// Signs in with a credentials file as any program would that knows NATS and JSON.
async fn connect(cluster: &Cluster, identity: &str) -> Result<Client> {
    let file: Value = serde_json::from_slice(&std::fs::read(cluster.credentials(identity))?)?;
    let text = |name: &str| Some(file.get(name)?.as_str()?.to_owned());
    let options = ConnectOptions::with_nkey(text("nkey").context("no nkey")?);
    Ok(options.connect(text("url").context("no url")?).await?)
}

async fn next(events: &mut Subscriber) -> Result<Message> {
    let next = tokio::time::timeout(PATIENCE, events.next()).await.context("no event comes")?;
    next.context("the subscription has ended")
}

/// A header, or nothing if it is missing; attribute names are read in any case, as the specification has it.
fn header(message: &Message, name: &str) -> String {
    let mut headers = message.headers.iter().flat_map(HeaderMap::iter);
    let found = headers.find(|(key, _)| AsRef::<str>::as_ref(*key).eq_ignore_ascii_case(name));
    found.and_then(|(_, values)| values.first()).map(|v| v.as_str().to_owned()).unwrap_or_default()
}

/// The revision; 0, which no event has, if the header is missing.
fn revision(message: &Message) -> u64 {
    header(message, "ce-sequence").parse().unwrap_or(0)
}

/// Reads until the deletion of `name` and checks on the way that nothing is missing.
async fn until_deleted(events: &mut Subscriber, name: &str) -> Result<Vec<Message>> {
    let mut seen: Vec<Message> = Vec::new();
    loop {
        let message = next(events).await?;
        if let Some(last) = seen.last() {
            assert_eq!(revision(&message), revision(last) + 1, "after {} comes {}", last.subject, message.subject);
        }
        let end = message.subject.ends_with(&format!(".configmaps.default.{name}"))
            && header(&message, "ce-type").ends_with(".deleted");
        seen.push(message);
        if end {
            return Ok(seen);
        }
    }
}

#[tokio::test]
async fn every_change_is_a_cloud_event() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    let id = cluster.id()?;
    let client = connect(&cluster, "ops").await?;
    let mut events = client.subscribe(format!("cox.{id}.events.>")).await?;
    client.flush().await?;
    // The subscription stands when it delivers.
    cluster.kubectl(&["create", "configmap", "marker"])?;
    cluster.kubectl(&["delete", "configmap", "marker"])?;
    until_deleted(&mut events, "marker").await?;

    cluster.kubectl(&["create", "configmap", "a.b", "--from-literal=n=1"])?;
    cluster.kubectl(&["create", "secret", "generic", "hidden", "--from-literal=password=hunter2"])?;
    cluster.kubectl(&["create", "service", "clusterip", "front", "--tcp=80"])?;
    cluster.kubectl(&["annotate", "configmap", "a.b", "note=grüße"])?;
    cluster.kubectl(&["delete", "configmap", "a.b"])?;
    cluster.kubectl(&["create", "configmap", "end"])?;
    cluster.kubectl(&["delete", "configmap", "end"])?;
    let seen = until_deleted(&mut events, "end").await?;

    let of = |part: &str| seen.iter().filter(|m| m.subject.contains(part)).collect::<Vec<_>>();
    let ours: Vec<&Message> = seen.iter().filter(|m| header(m, "ce-subject").contains("a.b")).collect();
    let types: Vec<String> = ours.iter().map(|m| header(m, "ce-type")).collect();
    assert_eq!(types, ["added", "modified", "deleted"].map(|t| format!("io.coxswain.configmaps.{t}")));
    for message in &ours {
        let object: Value = serde_json::from_slice(&message.payload)?;
        assert_eq!(object.pointer("/metadata/name"), Some(&"a.b".into()));
        assert_eq!(object.pointer("/metadata/resourceVersion"), Some(&revision(message).to_string().into()));
        assert_eq!(header(message, "ce-specversion"), "1.0");
        assert_eq!(header(message, "ce-source"), format!("/cox/{id}"));
        assert_eq!(header(message, "content-type"), "application/json");
        assert!(header(message, "ce-id").ends_with(&format!("-{}", revision(message))));
        assert_eq!(header(message, "ce-user"), "kubernetes-admin");
        assert!(message.subject.starts_with(&format!("cox.{id}.events.core.configmaps.default.")));
    }
    // One transaction: the Service and its address.
    let (service, address) = (of(".services.default.front"), of(".ipaddresses."));
    assert_eq!((service.len(), address.len()), (1, 1));
    let transactions = [service, address].map(|m| m.first().map(|m| header(m, "ce-transaction")));
    assert_eq!(transactions.first(), transactions.last());
    // A Secret does not travel in the clear.
    let secret = of(".secrets.default.hidden");
    let sealed = secret.first().context("the Secret's event is missing")?;
    assert!(!header(sealed, "sealed-key").is_empty());
    let password = b"aHVudGVyMg==";
    assert!(!sealed.payload.windows(password.len()).any(|w| w == password));
    Ok(())
}

#[tokio::test]
async fn who_only_listens_cannot_write_events() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    let id = cluster.id()?;
    let subject = format!("cox.{id}.events.core.configmaps.default.forged");
    let client = connect(&cluster, "ops").await?;
    let mut events = client.subscribe(format!("cox.{id}.events.>")).await?;
    client.publish(subject.clone(), "{}".into()).await?;
    client.flush().await?;
    cluster.kubectl(&["create", "configmap", "after"])?;
    loop {
        let message = next(&mut events).await?;
        assert_ne!(message.subject.as_str(), subject);
        if message.subject.ends_with(".after") {
            return Ok(());
        }
    }
}
