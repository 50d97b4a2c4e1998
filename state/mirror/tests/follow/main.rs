//! Mirrors of a real log over a real nats-server: what they end up with is the log, whatever happens in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

mod cluster;
mod feed;
mod past;

use std::collections::BTreeMap;
use std::time::Duration;

use cox_bus::Identity;
use cox_mirror::{Batch, Mirror, Selected, Start, WatchError, WatchQuery};
use cox_objects::{Key, Object, Resource, Source};
use tokio_util::sync::CancellationToken;

use cluster::{Cluster, LONG, delete, key, put, within};

/// All objects of a mirror.
fn all(mirror: &Mirror) -> Vec<(Key, Object)> {
    let resources = [Resource::CONFIGMAPS, Resource::PODS, Resource::SECRETS];
    resources.iter().flat_map(|resource| Source::list(mirror, resource, "")).collect()
}

async fn caught_up(mirror: &Mirror, cluster: &Cluster) {
    let head = cluster.log.head();
    mirror.wait_for(head, tokio::time::Instant::now() + LONG).await.unwrap();
    // The log tells them in the order in which they were written.
    let objects: BTreeMap<Key, Object> = cluster.log.snapshot().unwrap().map(Result::unwrap).collect();
    assert_eq!(cluster.log.head(), head, "nobody writes any more");
    assert!(objects.into_iter().eq(all(mirror)), "the mirror differs from the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_equals_the_log_though_the_server_is_killed() {
    let cluster = Cluster::start().await;
    for n in 0..200 {
        cluster.commit(vec![put(&key(Resource::CONFIGMAPS, &format!("old-{n}")), "0")]).await;
    }
    let bus = cluster.bus(Identity::Mirror).await;
    let mirror = Mirror::new(cox_mirror::Limits::default());
    let cancel = CancellationToken::new();
    let following = tokio::spawn({
        let (mirror, bus, cancel) = (mirror.clone(), bus.clone(), cancel.clone());
        async move { mirror.follow(&bus, cancel).await }
    });
    caught_up(&mirror, &cluster).await;

    let query = WatchQuery {
        what: Selected::all(Resource::SECRETS),
        start: Start::Initial { marked: false },
        bookmarks: false,
    };
    let mut watch = mirror.watch(query).unwrap();
    let mut changes = mirror.changes(&[Resource::CONFIGMAPS, Resource::PODS, Resource::SECRETS]);
    for round in 0..6 {
        for n in 0..150 {
            let (a, b) =
                (key(Resource::PODS, &format!("p-{}", n % 20)), key(Resource::SECRETS, &format!("s-{}", n % 9)));
            let value = format!("{round}-{n}");
            let remove = cluster.log.get(&a).unwrap().is_some() && n % 3 == 0;
            cluster.commit(vec![if remove { delete(&a) } else { put(&a, &value) }, put(&b, &value)]).await;
        }
        if round % 2 == 1 {
            cluster.kill();
        }
    }
    caught_up(&mirror, &cluster).await;

    // Who followed all the time has seen every change once.
    let head = cluster.log.head();
    let mut fold: BTreeMap<Key, Object> = BTreeMap::new();
    let mut last = 0;
    while last < head {
        for change in within(changes.next()).await.expect("the reader was fast enough") {
            assert_eq!(fold.get(&change.key).filter(|_| change.old.is_some()), change.old.as_ref());
            match change.new {
                Some(new) => drop(fold.insert(change.key, new)),
                None => drop(fold.remove(&change.key)),
            }
            if change.position.revision > 200 {
                assert_eq!(change.position.revision, (last + 1).max(201), "in order, without a gap");
            }
            last = change.position.revision;
        }
    }
    assert!(fold.into_iter().eq(all(&mirror)));
    let (mut seen, mut last) = (0, 0);
    while last < head {
        let Batch::Changes(segment) = within(watch.next()).await.unwrap() else { panic!("not changes") };
        seen += segment.events().len();
        last = segment.through();
    }
    assert_eq!(seen, 6 * 150, "a secret in each transaction");
    cancel.cancel();
    within(following).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_from_before_the_mirror_is_joined_from_the_log() {
    let cluster = Cluster::start().await;
    let name = key(Resource::CONFIGMAPS, "a");
    for n in 0..5 {
        cluster.commit(vec![put(&name, &n.to_string()), put(&key(Resource::SECRETS, "s"), &n.to_string())]).await;
    }
    let bus = cluster.bus(Identity::Mirror).await;
    let mirror = Mirror::new(cox_mirror::Limits::default());
    let cancel = CancellationToken::new();
    let following = tokio::spawn({
        let (mirror, bus, cancel) = (mirror.clone(), bus.clone(), cancel.clone());
        async move { mirror.follow(&bus, cancel).await }
    });
    caught_up(&mirror, &cluster).await;
    let query = WatchQuery { what: Selected::all(Resource::CONFIGMAPS), start: Start::At(3), bookmarks: false };
    assert!(matches!(mirror.watch(query.clone()), Err(WatchError::Expired { revision: 3, oldest: 10 })));
    let mut watch = within(mirror.watch_joined(&bus, query)).await.unwrap();
    cluster.commit(vec![delete(&name)]).await;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let Batch::Changes(segment) = within(watch.next()).await.unwrap() else { panic!("not changes") };
        seen.extend(segment.events().iter().map(|event| (event.kind.as_str(), event.object().revision())));
    }
    assert_eq!(seen, [("MODIFIED", 5), ("MODIFIED", 7), ("MODIFIED", 9), ("DELETED", 11)]);
    cancel.cancel();
    within(following).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_lags_says_so() {
    let cluster = Cluster::start().await;
    let mirror = Mirror::new(cox_mirror::Limits::default());
    let soon = tokio::time::Instant::now() + Duration::from_millis(30);
    cluster.commit(vec![put(&key(Resource::PODS, "a"), "1")]).await;
    let lagging = mirror.wait_for(1, soon).await.unwrap_err();
    assert_eq!((lagging.wanted, lagging.current), (1, 0));
}
