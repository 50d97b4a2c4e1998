//! The read lease on a real bus: who has it misses nothing that others were told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use cox_bus::head::{READ_LEASE, Reached};
use cox_bus::{ApiRequest, Bus, Identity, Verb, now_ms};
use cox_test_support::{Core, request};
use serde_json::json;
use tokio::time::{Instant, timeout};

const LONG: Duration = Duration::from_secs(20);

fn config_map(name: &str) -> ApiRequest {
    request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": name}}))
}

/// A write of a component, which speaks for itself.
fn by_itself(request: ApiRequest) -> ApiRequest {
    ApiRequest { user: None, ..request }
}

async fn lease(gateway: &Bus) -> bool {
    gateway.lease(Instant::now() + LONG).await.unwrap().lease
}

/// Asks until it is granted.
async fn leased(gateway: &Bus) {
    let end = Instant::now() + LONG;
    while !lease(gateway).await {
        assert!(Instant::now() < end, "no lease is granted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_answered_once_the_holders_mirror_has_its_write() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let gateway = cluster.gateway.clone();
    let mut questions = gateway.listen(gateway.subjects().lease(gateway.connection()), None).await.unwrap();
    let ops = cluster.connect(Identity::Ops).await;
    leased(&gateway).await;

    let create = by_itself(config_map("c"));
    let mut writing = Box::pin(ops.call(&create));
    let asked = tokio::select! {
        _ = &mut writing => panic!("answered before the holder was asked"),
        heard = questions.next() => heard.unwrap(),
    };
    let Reached { revision } = asked.json().unwrap();
    // The holder renews meanwhile, so that the lease is not what ends the waiting.
    assert!(lease(&gateway).await);
    assert!(
        timeout(Duration::from_millis(20), &mut writing).await.is_err(),
        "the holder has not said that it is there"
    );
    asked.answer_json(&Reached { revision }).await.unwrap();
    let reply = timeout(LONG, writing).await.unwrap().unwrap();
    assert_eq!((reply.code, reply.revision), (201, revision));
    assert!(reply.seen >= reply.revision);
    cluster.stop().await;
}

/// What it says is heard: it goes on without asking, and components that write wait for no lease to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_holder_keeps_its_lease() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let gateway = cluster.gateway.clone();
    let mut questions = gateway.listen(gateway.subjects().lease(gateway.connection()), None).await.unwrap();
    let answering = tokio::spawn(async move {
        while let Some(asked) = questions.next().await {
            let Reached { revision } = asked.json().unwrap();
            asked.answer_json(&Reached { revision }).await.unwrap();
        }
    });
    let ops = cluster.connect(Identity::Ops).await;
    // A machine that is slow for a moment makes it late; one that is never heard is doubted each time.
    let end = Instant::now() + LONG;
    for attempt in 0.. {
        assert!(Instant::now() < end, "it is doubted though it answers");
        leased(&gateway).await;
        assert_eq!(ops.call(&by_itself(config_map(&format!("c{attempt}")))).await.unwrap().code, 201);
        if lease(&gateway).await {
            break;
        }
    }
    answering.abort();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_holder_itself_is_answered_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let gateway = cluster.gateway.clone();
    let mut questions = gateway.listen(gateway.subjects().lease(gateway.connection()), None).await.unwrap();
    leased(&gateway).await;
    assert_eq!(gateway.call(&config_map("c")).await.unwrap().code, 201);
    let again = gateway.call(&config_map("c")).await.unwrap();
    assert_eq!(again.code, 409);
    assert!(again.seen > 0, "a refusal tells of what is there, too");
    assert!(timeout(Duration::from_millis(50), questions.next()).await.is_err(), "nobody waited for it");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_says_nothing_is_waited_for_once() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let gateway = cluster.gateway.clone();
    let ops = cluster.connect(Identity::Ops).await;
    leased(&gateway).await;
    let begun = Instant::now();
    let create = by_itself(config_map("c"));
    let (reply, ()) = tokio::join!(ops.call(&create), async {
        // It goes on asking: a lease that nobody answers for must end all the same.
        let mut granted = true;
        while granted {
            granted = lease(&gateway).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(reply.unwrap().code, 201);
    assert!(begun.elapsed() >= READ_LEASE / 2, "its reads could still be old");
    assert!(!lease(&gateway).await, "it is doubted");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_there_are_two_gateways_none_has_a_lease_and_none_is_behind() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let (a, b) = (cluster.gateway.clone(), cluster.connect(Identity::Gateway).await);
    leased(&a).await;
    let until = now_ms() + READ_LEASE.as_millis() as u64;
    // The first word that b hears waits until reads at a are not served without asking any more.
    let create = config_map("c");
    let write = b.call(&create);
    let head = b.lease(Instant::now() + LONG);
    let (reply, head) = tokio::join!(write, head);
    let (reply, head) = (reply.unwrap(), head.unwrap());
    assert!(!head.lease);
    assert!(now_ms() + 5 >= until, "a could still read without asking");
    assert!(a.head(Instant::now() + LONG).await.unwrap().revision >= reply.revision);
    assert!(!lease(&a).await && !lease(&b).await);
    cluster.stop().await;
}
