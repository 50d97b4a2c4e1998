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

/// A program with a consumer of its own, which knows NATS, JSON and its credentials file.
struct Program {
    client: Client,
    way: Value,
    asked: u32,
}

impl Program {
    async fn sign_in(cluster: &Cluster, name: &str) -> Result<Program> {
        let identity = format!("integrator:{name}");
        let file: Value = serde_json::from_slice(&std::fs::read(cluster.credentials(&identity))?)?;
        let way = file.get("integrator").cloned().context("it does not say where the consumer is")?;
        Ok(Program { client: connect(cluster, &identity).await?, way, asked: 0 })
    }

    fn way(&self, name: &str) -> Result<String> {
        Ok(self.way.get(name).and_then(Value::as_str).with_context(|| format!("no {name}"))?.to_owned())
    }

    /// An inbox in which the answers may come.
    async fn inbox(&mut self) -> Result<(String, Subscriber)> {
        self.asked += 1;
        let inbox = format!("{}.{}", self.way("inbox")?, self.asked);
        let answers = self.client.subscribe(inbox.clone()).await?;
        Ok((inbox, answers))
    }

    /// The next message of the consumer, if there is one within a second.
    async fn pull(&mut self) -> Result<Option<Message>> {
        let (inbox, mut answers) = self.inbox().await?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.way("stream")?, self.way("consumer")?);
        self.client.publish_with_reply(subject, inbox, r#"{"batch":1,"expires":1000000000}"#.into()).await?;
        let answer = tokio::time::timeout(Duration::from_secs(3), answers.next()).await;
        Ok(answer.ok().flatten().filter(|message| message.status.is_none()))
    }

    async fn acknowledge(&self, message: &Message) -> Result<()> {
        let to = message.reply.clone().context("it cannot be acknowledged")?;
        Ok(self.client.publish(to, "+ACK".into()).await?)
    }

    /// Takes messages until the one of an object comes; the objects, as far as they did not come before.
    async fn take_until(&mut self, last: &str, seen: &mut Vec<(u64, String)>) -> Result<()> {
        let deadline = tokio::time::Instant::now() + 6 * PATIENCE;
        while seen.last().is_none_or(|(_, subject)| subject != last) {
            anyhow::ensure!(tokio::time::Instant::now() < deadline, "{last} does not come after {seen:?}");
            let Some(message) = self.pull().await? else { continue };
            let next = (revision(&message), header(&message, "ce-subject"));
            if seen.last().is_none_or(|(before, _)| *before < next.0) {
                seen.push(next);
            } else {
                assert!(seen.contains(&next), "out of order: {next:?} after {seen:?}");
            }
            self.acknowledge(&message).await?;
        }
        Ok(())
    }

    /// Asks for a page of the log.
    async fn read(&mut self, asked: Value) -> Result<Value> {
        let (inbox, mut answers) = self.inbox().await?;
        self.client.publish_with_reply(self.way("read")?, inbox, asked.to_string().into()).await?;
        Ok(serde_json::from_slice(&next(&mut answers).await?.payload)?)
    }
}

fn make(cluster: &Cluster, names: impl IntoIterator<Item = u32>) -> Result<()> {
    for n in names {
        cluster.kubectl(&["create", "configmap", &format!("c-{n}")])?;
    }
    Ok(())
}

/// What `cox integrator list` says of one.
fn listed(cluster: &Cluster, name: &str) -> Result<Value> {
    let all: Value = serde_json::from_str(&cluster.cox(&["integrator", "list", "--json"])?)?;
    Ok(all.get(name).cloned().unwrap_or_default())
}

async fn until_listed(cluster: &Cluster, name: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let one = listed(cluster, name)?;
        if holds(&one) {
            return Ok(());
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "it stays so: {one}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const ADMIN: [&str; 4] = ["--as", "kubernetes-admin", "--group", "system:masters"];

#[tokio::test]
async fn a_durable_consumer_misses_nothing_whoever_is_killed() -> Result<()> {
    let mut cluster = Cluster::without_node(&[])?;
    let create = ["integrator", "create", "shop", "--filter", "configmaps/default"];
    cluster.cox(&[&create[..], &ADMIN].concat())?;
    let mut seen = Vec::new();
    make(&cluster, 0..4)?;
    let mut program = Program::sign_in(&cluster, "shop").await?;
    program.take_until("configmaps/default/c-1", &mut seen).await?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(cluster.nats_pid()?), nix::sys::signal::Signal::SIGKILL)?;
    make(&cluster, 4..7)?;
    program.take_until("configmaps/default/c-5", &mut seen).await?;
    // Away, with a message that it took and did not acknowledge.
    program.pull().await?;
    drop(program);
    make(&cluster, 7..9)?;
    cluster.kill()?;
    cluster.up()?;
    make(&cluster, 9..12)?;
    let mut program = Program::sign_in(&cluster, "shop").await?;
    program.take_until("configmaps/default/c-11", &mut seen).await?;
    let ours: Vec<String> = seen.into_iter().map(|(_, subject)| subject).filter(|s| s.contains("/c-")).collect();
    assert_eq!(ours, (0..12).map(|n| format!("configmaps/default/c-{n}")).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn what_the_stream_dropped_is_told_and_read_from_the_log() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    let create = ["integrator", "create", "late", "--filter", "configmaps/default,secrets/default"];
    cluster.cox(&[&create[..], &ADMIN].concat())?;
    make(&cluster, 0..3)?;
    cluster.kubectl(&["create", "secret", "generic", "hidden", "--from-literal=password=hunter2"])?;
    let apiserver = connect(&cluster, "apiserver").await?;
    apiserver.publish(format!("$JS.API.STREAM.PURGE.cox-{}-events", cluster.id()?), "{}".into()).await?;
    apiserver.flush().await?;

    let mut program = Program::sign_in(&cluster, "late").await?;
    let mut gaps = program.client.subscribe(program.way("gap")?).await?;
    let gap: Value = serde_json::from_slice(&next(&mut gaps).await?.payload)?;
    let (mut missed, mut ask) = (Vec::new(), gap.clone());
    while !ask["from"].is_null() {
        let page = program.read(ask.clone()).await?;
        assert_eq!(page.get("error"), None);
        missed.extend(page["events"].as_array().context("no events")?.clone());
        ask["from"] = page["next"].clone();
    }
    // Controllers write there too.
    missed.retain(|event| event["subject"].as_str().is_some_and(|s| s.contains("/c-") || s.ends_with("/hidden")));
    let subjects: Vec<&str> = missed.iter().filter_map(|event| event["subject"].as_str()).collect();
    let wanted =
        ["configmaps/default/c-0", "configmaps/default/c-1", "configmaps/default/c-2", "secrets/default/hidden"];
    assert_eq!(subjects, wanted);
    let [map, .., secret] = missed.as_slice() else { anyhow::bail!("too few") };
    assert_eq!((&map["specversion"], &map["type"]), (&"1.0".into(), &"io.coxswain.configmaps.added".into()));
    assert_eq!(map["data"]["metadata"]["name"], "c-0");
    assert!(secret.get("data").is_none() && secret["data_base64"].is_string() && secret["sealedkey"].is_string());

    // It is told again until it says that it has it.
    next(&mut gaps).await?;
    let to = gap["to"].as_u64().context("no end")?;
    program.read(serde_json::json!({"from": to, "to": to, "taken": to})).await?;
    until_listed(&cluster, "late", |one| one["gap"].is_null()).await?;
    make(&cluster, 3..4)?;
    let mut seen = Vec::new();
    program.take_until("configmaps/default/c-3", &mut seen).await?;
    assert!(seen.iter().all(|(revision, _)| *revision > to), "what was dropped is not delivered");
    Ok(())
}

#[tokio::test]
async fn it_reads_what_its_user_may_and_ends_with_that() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    cluster.kubectl(&["create", "serviceaccount", "reader"])?;
    cluster.kubectl(&["create", "role", "reader", "--verb=list,watch", "--resource=configmaps"])?;
    cluster.kubectl(&["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader"])?;
    let create = |filter: &str| {
        let user = "system:serviceaccount:default:reader";
        cluster.cox(&["integrator", "create", "reader", "--as", user, "--filter", filter])
    };
    for wide in ["configmaps", "*", "secrets/default"] {
        let refused = create(wide).expect_err("more than its user may").to_string();
        assert!(refused.contains("forbidden"), "{refused}");
    }
    create("configmaps/default")?;
    assert!(create("configmaps/default").is_err_and(|error| error.to_string().contains("already")));
    make(&cluster, 0..1)?;
    let mut program = Program::sign_in(&cluster, "reader").await?;
    program.take_until("configmaps/default/c-0", &mut Vec::new()).await?;
    // Nothing but its own next messages: no other events, no consumers of its own making.
    let mut others = program.client.subscribe(format!("cox.{}.events.>", cluster.id()?)).await?;
    let (inbox, mut answers) = program.inbox().await?;
    let subject = format!("$JS.API.CONSUMER.CREATE.{}.own", program.way("stream")?);
    program.client.publish_with_reply(subject, inbox, "{}".into()).await?;
    make(&cluster, 1..2)?;
    program.take_until("configmaps/default/c-1", &mut Vec::new()).await?;
    assert!(futures::FutureExt::now_or_never(others.next()).flatten().is_none());
    assert!(futures::FutureExt::now_or_never(answers.next()).flatten().is_none());

    cluster.kubectl(&["delete", "rolebinding", "reader"])?;
    until_listed(&cluster, "reader", |one| one["ended"].is_string()).await?;
    make(&cluster, 2..3)?;
    assert!(program.pull().await?.is_none(), "it gets nothing more");
    assert!(program.read(serde_json::json!({"from": 1, "to": 9})).await?["error"].is_string());
    cluster.cox(&["integrator", "delete", "reader"])?;
    assert!(!cluster.credentials("integrator:reader").exists() && listed(&cluster, "reader")?.is_null());
    assert!(cluster.cox(&["integrator", "delete", "reader"]).is_err());
    Ok(())
}
