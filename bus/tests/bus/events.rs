//! What followers end up with equals the log, whatever happens to the server and to slow readers.

use std::sync::Arc;
use std::time::Duration;

use cox_bus::{Bus, Followed, Follower, Identity, Publisher, follow, range, serve_reads, snapshot};
use cox_objects::{Epoch, Key, Position, Resource, Revision};
use futures::StreamExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::{Cluster, Memory, print, until, within};

/// Publishes and serves a log; stops when it is dropped.
struct Publishing {
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Publishing {
    async fn start(cluster: &Cluster, log: &Arc<Memory>) -> Publishing {
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (bus, key) = (cluster.bus(Identity::Apiserver).await, cluster.server.sealing_key());
        let publisher = Publisher::new(bus, log.clone(), key.clone());
        let token = cancel.clone();
        tasks.spawn(async move { publisher.run(token).await.unwrap() });
        let (bus, log, token) = (cluster.bus(Identity::Apiserver).await, log.clone(), cancel.clone());
        tasks.spawn(async move { serve_reads(&bus, log, key, token).await.unwrap() });
        Publishing { cancel, tasks }
    }

    async fn stop(mut self) {
        self.cancel.cancel();
        while let Some(done) = within(self.tasks.join_next()).await {
            done.unwrap();
        }
    }
}

/// Reads what is missing, again and again until it is there.
async fn fill(bus: &Bus, from: Revision, to: Revision, into: &mut Vec<String>) {
    let mut next = from;
    while next <= to {
        let Ok(mut range) = range(bus, next, to).await else { continue };
        while let Ok(Some(events)) = range.next().await {
            for event in events {
                assert_eq!(event.revision(), next);
                next += 1;
                into.push(print(&event));
            }
        }
    }
}

/// Follows up to a revision, filling gaps; gives what it saw and how many revisions were missing at first.
async fn collect(bus: &Bus, mut follower: Follower, to: Revision) -> (Vec<String>, u64) {
    let (mut seen, mut missed) = (Vec::new(), 0);
    while follower.position().revision < to {
        match within(follower.next()).await.expect("the bus is closed") {
            Followed::Event(event) => seen.push(print(&event)),
            Followed::Gap { from, to } => {
                missed += to - from + 1;
                within(fill(bus, from, to, &mut seen)).await;
            }
            Followed::Head(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // An event may stand behind the gap that was just filled.
    while (seen.len() as u64) < to {
        match within(follower.next()).await.unwrap() {
            Followed::Event(event) => seen.push(print(&event)),
            Followed::Head(_) => {}
            other => panic!("{other:?}"),
        }
    }
    (seen, missed)
}

async fn stream_end(bus: &Bus) -> Option<(Revision, Option<Position>)> {
    let end = Publisher::<Memory>::end(bus).await.ok()??;
    Some((end.last, end.last_event))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_what_follows_are_the_log() {
    let cluster = Cluster::start().await;
    let log = Memory::new(1, 1);
    log.fill(500);
    let publishing = Publishing::start(&cluster, &log).await;
    let mirror = cluster.bus(Identity::Mirror).await;

    let following = follow(&mirror).await.unwrap();
    let mut snapshot = within(snapshot(&mirror)).await.unwrap();
    assert_eq!(snapshot.position(), log.position());
    let mut objects = Vec::new();
    while let Some(chunk) = within(snapshot.next()).await.unwrap() {
        objects.extend(chunk);
    }
    assert_eq!(objects.len(), 100, "50 pods and 50 secrets");
    assert!(objects.iter().any(|(k, o)| k.resource == Resource::SECRETS && o.value()["data"].is_string()));

    let mut follower = following.from(snapshot.position());
    log.commit(Key::new(Resource::SECRETS, "default", "new"), "hunter2");
    let event = loop {
        match within(follower.next()).await.unwrap() {
            Followed::Event(event) => break event,
            Followed::Head(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(print(&event), *log.printed().last().unwrap());
    publishing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_follower_equals_the_log_though_the_server_is_killed_under_load() {
    let cluster = Cluster::start().await;
    let log = Memory::new(1, 1);
    let publishing = Publishing::start(&cluster, &log).await;
    let start = log.position();
    let mut followers = JoinSet::new();
    for identity in [Identity::Mirror, Identity::Gateway, Identity::Scheduler] {
        let bus = cluster.bus(identity).await;
        let follower = follow(&bus).await.unwrap().from(start);
        followers.spawn(async move { collect(&bus, follower, 12_000).await.0 });
    }
    for round in 0..12 {
        log.fill(1000);
        if round % 4 == 1 {
            let old = cluster.kill();
            until("the server is back", async || cluster.server.pid().is_some_and(|pid| Some(pid) != old)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let expected = log.printed();
    while let Some(seen) = within(followers.join_next()).await {
        assert!(seen.unwrap() == expected, "a follower differs from the log");
    }
    let bus = cluster.bus(Identity::Apiserver).await;
    until("the stream holds the log, each event at its own sequence", async || {
        stream_end(&bus).await == Some((12_000, Some(log.position())))
    })
    .await;
    publishing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_follower_misses_nothing_in_the_end() {
    let cluster = Cluster::start().await;
    let log = Memory::new(1, 1);
    let publishing = Publishing::start(&cluster, &log).await;
    let mirror = cluster.bus(Identity::Mirror).await;
    let follower = follow(&mirror).await.unwrap().from(log.position());
    // More than a subscription holds, while nobody reads.
    log.fill(80_000);
    let apiserver = cluster.bus(Identity::Apiserver).await;
    until("all is published", async || stream_end(&apiserver).await.is_some_and(|(last, _)| last == 80_000)).await;
    let (seen, missed) = collect(&mirror, follower, 80_000).await;
    assert!(missed > 0, "the test does not overflow the subscription");
    assert!(seen == log.printed());
    publishing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_epoch_leaps_the_stream_and_tells_followers() {
    let cluster = Cluster::start().await;
    let old = Memory::new(1, 1);
    old.fill(100);
    let publishing = Publishing::start(&cluster, &old).await;
    let apiserver = cluster.bus(Identity::Apiserver).await;
    until("the old epoch is published", async || stream_end(&apiserver).await == Some((100, Some(old.position()))))
        .await;
    let mirror = cluster.bus(Identity::Mirror).await;
    let mut follower = follow(&mirror).await.unwrap().from(old.position());
    publishing.stop().await;

    let new = Memory::new(2, 1_000_000_101);
    new.fill(10);
    let publishing = Publishing::start(&cluster, &new).await;
    let epoch = loop {
        match within(follower.next()).await.unwrap() {
            Followed::EpochChanged(epoch) => break epoch,
            Followed::Head(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(epoch, Epoch(2));
    assert!(follower.next().await.is_none());
    until("the stream is at the new epoch's head", async || {
        stream_end(&apiserver).await == Some((1_000_000_110, Some(new.position())))
    })
    .await;
    publishing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_behind_its_stream_is_refused() {
    let cluster = Cluster::start().await;
    let log = Memory::new(1, 1);
    log.fill(100);
    let publishing = Publishing::start(&cluster, &log).await;
    let apiserver = cluster.bus(Identity::Apiserver).await;
    until("all is published", async || stream_end(&apiserver).await.is_some_and(|(last, _)| last == 100)).await;
    publishing.stop().await;

    let restored = Memory::new(1, 1);
    restored.fill(60);
    let publisher = Publisher::new(apiserver, restored, cluster.server.sealing_key());
    let error = within(publisher.run(CancellationToken::new())).await.unwrap_err();
    assert!(error.to_string().contains("--accept-loss"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_older_than_its_stream_begins_it_where_it_is() {
    let cluster = Cluster::start().await;
    let log = Memory::new(1, 5_000_001);
    log.fill(20);
    let publishing = Publishing::start(&cluster, &log).await;
    let apiserver = cluster.bus(Identity::Apiserver).await;
    until("the sequence is the revision", async || {
        stream_end(&apiserver).await == Some((5_000_020, Some(log.position())))
    })
    .await;
    publishing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_stream_is_made_anew_and_refilled() {
    let cluster = Cluster::start().await;
    let log = Memory::new(1, 1);
    log.fill(300);
    let publishing = Publishing::start(&cluster, &log).await;
    let apiserver = cluster.bus(Identity::Apiserver).await;
    until("all is published", async || stream_end(&apiserver).await.is_some_and(|(last, _)| last == 300)).await;
    let delete = format!("$JS.API.STREAM.DELETE.{}", apiserver.subjects().stream());
    let soon = tokio::time::Instant::now() + Duration::from_secs(5);
    let _: serde_json::Value = apiserver.request_json(&delete, &serde_json::json!({}), soon).await.unwrap();
    log.fill(10);
    until("it is back", async || stream_end(&apiserver).await == Some((310, Some(log.position())))).await;
    publishing.stop().await;
}

/// What no message can carry is announced without its body; whoever follows has it from the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_too_large_is_read_from_the_log() {
    let cluster = Cluster::start().await;
    let log = Memory::new(1, 1);
    let publishing = Publishing::start(&cluster, &log).await;
    let mirror = cluster.bus(Identity::Mirror).await;
    let mut raw = mirror.listen(mirror.subjects().events_all(), None).await.unwrap();
    let follower = follow(&mirror).await.unwrap().from(log.position());
    log.fill(3);
    // As much as a stream's frame carries, which has no headers.
    let large = "x".repeat(mirror.max_payload() - 900);
    log.commit(Key::new(Resource::PODS, "default", "large"), &large);
    log.fill(3);
    let (seen, missed) = collect(&mirror, follower, 7).await;
    assert!(seen == log.printed() && missed == 1, "{missed} were missing");
    let mut bodies = Vec::new();
    while bodies.len() < 7 {
        bodies.push(within(raw.next()).await.unwrap().payload.len());
    }
    assert!(bodies.iter().enumerate().all(|(at, length)| (*length == 0) == (at == 3)), "{bodies:?}");
    let apiserver = cluster.bus(Identity::Apiserver).await;
    until("its place in the stream is taken", async || stream_end(&apiserver).await == Some((7, Some(log.position()))))
        .await;
    publishing.stop().await;
}

/// The stream is bounded, drops what is oldest, and is nobody's memory of what was sent: repetitions are told by their sequence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_is_as_small_as_it_shall_be() {
    let cluster = Cluster::start().await;
    let log = Memory::new(1, 1);
    log.fill(10);
    let publishing = Publishing::start(&cluster, &log).await;
    let apiserver = cluster.bus(Identity::Apiserver).await;
    until("all is published", async || stream_end(&apiserver).await.is_some_and(|(last, _)| last == 10)).await;
    let subject = format!("$JS.API.STREAM.INFO.{}", apiserver.subjects().stream());
    let deadline = tokio::time::Instant::now() + crate::harness::LONG;
    let info: serde_json::Value = apiserver.request_json(&subject, &serde_json::json!({}), deadline).await.unwrap();
    let config = &info["config"];
    let of = |name: &str| config[name].as_u64();
    assert_eq!(of("max_age"), Some(3_600_000_000_000));
    assert_eq!(of("max_bytes"), Some(256 << 20));
    assert_eq!(of("duplicate_window"), Some(100_000_000));
    assert_eq!((config["discard"].as_str(), config["retention"].as_str()), (Some("old"), Some("limits")));
    assert_eq!(config["deny_delete"], true);
    assert_eq!(config["metadata"]["epoch"].as_str(), Some(Epoch(1).to_string().as_str()));
    assert_eq!(config["subjects"], serde_json::json!(["cox.test.events.>"]));
    publishing.stop().await;
}

/// Whatever has a consumer deliver a message where it likes: nobody of the cluster takes it for an event, and the stream mends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_jetstream_was_made_to_forge_is_no_event() {
    let cluster = Cluster::start().await;
    let log = Memory::new(1, 1);
    log.fill(20);
    let publishing = Publishing::start(&cluster, &log).await;
    let apiserver = cluster.bus(Identity::Apiserver).await;
    until("all is published", async || stream_end(&apiserver).await.is_some_and(|(last, _)| last == 20)).await;
    cluster.server.door().admit("shop").await.unwrap();
    let make = "$JS.API.CONSUMER.CREATE.cox-test-events.shop";
    let config = serde_json::json!({"stream_name": "cox-test-events", "config": {"durable_name": "shop", "name": "shop",
        "ack_policy": "explicit", "deliver_policy": "all"}});
    let deadline = tokio::time::Instant::now() + crate::harness::LONG;
    let made: serde_json::Value = apiserver.request_json(make, &config, deadline).await.unwrap();
    assert!(made.get("error").is_none(), "{made}");

    let mirror = cluster.bus(Identity::Mirror).await;
    let follower = follow(&mirror).await.unwrap().from(Position { epoch: Epoch(1), revision: 0 });
    let file = cluster.dir.path().join("bus/creds/integrator:shop.json");
    let connect = cox_bus::Connect::from_file(&file, None).unwrap();
    let cox_bus::Secret::NKey(seed) = connect.credentials.secret.clone() else { panic!("not a key") };
    let client = async_nats::ConnectOptions::with_nkey(seed).connect(&connect.url).await.unwrap();
    let controllers = cluster.bus(Identity::Controllers).await;
    let mut heartbeats = controllers.listen(controllers.subjects().node_wildcard("heartbeat"), None).await.unwrap();
    let secret = cluster.server.connect(&Identity::Controllers).unwrap().credentials.secret;
    let cox_bus::Secret::NKey(seed) = secret else { panic!("not a key") };
    let raw = async_nats::ConnectOptions::with_nkey(seed).connect(&connect.url).await.unwrap();
    let mut all = raw.subscribe("cox.test.node.*.heartbeat").await.unwrap();
    raw.flush().await.unwrap();
    let next = "$JS.API.CONSUMER.MSG.NEXT.cox-test-events.shop";
    let replies = ["events.core.pods.default.forged", "head", "api.ops.create.core.pods", "node.n1.heartbeat"];
    // Again until it has arrived: that the subscription stands is not known.
    until("the server delivers wherever it is told to", async || {
        for reply in replies {
            client.publish_with_reply(next, format!("cox.test.{reply}"), "".into()).await.unwrap();
        }
        tokio::time::timeout(Duration::from_millis(200), all.next()).await.is_ok()
    })
    .await;
    let node = cluster.bus(Identity::Node("n1".into())).await;
    node.publish(node.subjects().node("n1", "heartbeat"), "its own".into()).await.unwrap();
    assert_eq!(within(heartbeats.next()).await.unwrap().payload, "its own");
    log.fill(20);
    let expected = log.printed();
    let (seen, _) = collect(&mirror, follower, 40).await;
    assert!(seen == expected, "a follower took a forged message for an event");
    until("the stream is the log's again", async || stream_end(&apiserver).await == Some((40, Some(log.position()))))
        .await;
    publishing.stop().await;
}
