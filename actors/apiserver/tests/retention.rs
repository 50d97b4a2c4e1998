//! The timer that lets go of the past, in a whole apiserver: it raises the floors and drops by itself, and what is dropped is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use cox_apiserver::compaction::{Answer, Keeps, Policy, QUESTION};
use cox_bus::replay::ReadError;
use cox_bus::{Bus, Identity, StreamError, Verb, past_object, range};
use cox_log::{Keep, Retention};
use cox_objects::{Key, Position, Resource};
use cox_test_support::{Core, deadline, request};
use serde_json::{Value, json};

/// How many of the newest revisions are kept.
const KEPT: u64 = 10;

async fn keeps(ops: &Bus) -> Keeps {
    let subject = ops.subjects().ctl(&Identity::Apiserver, QUESTION);
    ops.request_json::<_, Answer>(&subject, &(), deadline()).await.unwrap().unwrap()
}

async fn is_refused<T>(read: impl Future<Output = Result<T, ReadError>>) -> bool {
    matches!(read.await, Err(ReadError::Stream(StreamError::Refused(status))) if status.code == 410)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_let_go_of_while_the_cluster_runs() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention {
        keep: Keep::Newest,
        by_resource: BTreeMap::from([(Resource::SERVICEACCOUNTS, Keep::Forever)]),
        window: Duration::ZERO,
        window_revisions: KEPT,
        max_disk: None,
    };
    let policy = Policy { retention, every: Duration::from_millis(20) };
    let cluster = Core::keeping(dir.path(), &[], policy).await;
    let ops = cluster.connect(Identity::Ops).await;
    let write = async |verb, plural, round: u64| {
        let name = if verb == Verb::Create { "" } else { "a" };
        let body = match plural {
            "configmaps" => json!({"metadata": {"name": "a"}, "data": {"round": round.to_string()}}),
            _ => json!({"metadata": {"name": "a"}}),
        };
        let reply = cluster.call(&request(verb, plural, name, &body)).await;
        assert!(matches!(reply.code, 200 | 201), "{reply:?}");
        reply.revision
    };
    let account = write(Verb::Create, "serviceaccounts", 0).await;
    let first = write(Verb::Create, "configmaps", 0).await;
    let mut last = first;
    for round in 1..=3 * KEPT {
        last = write(Verb::Patch, "configmaps", round).await;
    }

    let end = deadline();
    let kept = loop {
        let kept = keeps(&ops).await;
        if kept.readable_from > last - 2 * KEPT {
            break kept;
        }
        assert!(tokio::time::Instant::now() < end, "the floor does not rise: {kept:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(kept.dense_from > first && kept.dense_from <= kept.head.revision - KEPT + 1, "{kept:?}");
    assert_eq!(kept.floors.get("serviceaccounts"), Some(&0), "{kept:?}");

    let at = |revision| Position { epoch: kept.head.epoch, revision };
    let map = Key::new(Resource::CONFIGMAPS, "default", "a");
    assert!(is_refused(past_object(&ops, at(first), &map)).await);
    assert!(is_refused(range(&ops, first, last)).await);
    // What is kept is whole: the object as it is, all of the newest events, and what has a floor of its own.
    let now = past_object(&ops, at(last), &map).await.unwrap().unwrap();
    let now: Value = serde_json::from_slice(now.bytes()).unwrap();
    assert_eq!(now["data"]["round"], (3 * KEPT).to_string());
    let mut events = range(&ops, last - KEPT + 2, last).await.unwrap();
    let mut revisions = Vec::new();
    while let Some(some) = events.next().await.unwrap() {
        revisions.extend(some.iter().map(|event| event.revision()));
    }
    assert_eq!(revisions, (last - KEPT + 2..=last).collect::<Vec<_>>());
    let accounts = Key::new(Resource::SERVICEACCOUNTS, "default", "a");
    assert!(past_object(&ops, at(account), &accounts).await.unwrap().is_some());
    cluster.stop().await;
}
