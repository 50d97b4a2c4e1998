//! What a mirror does not remember comes from the log: a mirror that began late answers as one that was there all the time.

use std::sync::Arc;
use std::time::Duration;

use cox_bus::replay::ReadError;
use cox_bus::{Bus, Identity, StreamError};
use cox_log::{Keep, Options, Retention};
use cox_mirror::{Batch, Limits, ListQuery, Listing, Mirror, PastError, Selected, Start, Watch, WatchQuery};
use cox_objects::selector::Selector;
use cox_objects::{Kind, Resource, Revision, kinds};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, LONG, delete, key, put, within, write};

/// A mirror that follows the log from now on.
async fn mirror(cluster: &Cluster, bus: &Bus, tasks: &mut JoinSet<()>) -> Mirror {
    let mirror = Mirror::new(Limits::default());
    let (follower, bus) = (mirror.clone(), bus.clone());
    tasks.spawn(async move { follower.follow(&bus, CancellationToken::new()).await });
    // An empty log has nothing to wait for, but its epoch shows that the mirror is there.
    while mirror.position().epoch != cluster.log.epoch() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    mirror.wait_for(cluster.log.head(), Instant::now() + LONG).await.unwrap();
    mirror
}

/// Transactions of one to three random changes of few objects, whose label is one of two.
async fn churn(cluster: &Cluster, random: &mut StdRng, transactions: usize) {
    for _ in 0..transactions {
        let mut names: Vec<usize> = (0..12).collect();
        let changes = (0..random.random_range(1..=3)).map(|_| {
            let n = names.swap_remove(random.random_range(0..names.len()));
            let resource = [Resource::CONFIGMAPS, Resource::SECRETS, Resource::PODS][n % 3].clone();
            let place = key(resource, &format!("o-{n}"));
            if cluster.log.get(&place).unwrap().is_some() && random.random_bool(0.3) {
                return delete(&place);
            }
            let labels = json!({"l": random.random_range(0..2).to_string()});
            let object = json!({"kind": "X", "apiVersion": "v1", "metadata": {"name": place.name(), "labels": labels},
                                "data": random.random::<u64>()});
            write(&place, &object)
        });
        cluster.commit(changes.collect()).await;
    }
}

fn kind(plural: &str) -> Arc<Kind> {
    kinds::builtin().at("", "v1", plural).unwrap().clone()
}

fn selections() -> Vec<Selected> {
    let by = |plural: &str, labels: &str, fields: &str| Selector::parse(&kind(plural), labels, fields).unwrap();
    vec![
        Selected::all(Resource::CONFIGMAPS),
        Selected::within(Resource::SECRETS, "default"),
        Selected::within(Resource::SECRETS, "elsewhere"),
        Selected::all(Resource::CONFIGMAPS).by(by("configmaps", "l=1", "")),
        Selected::within(Resource::SECRETS, "default").by(by("secrets", "l!=1", "")),
        Selected::all(Resource::PODS).by(by("pods", "", "metadata.name=o-2")),
    ]
}

fn seen(listing: &Listing) -> (Revision, Vec<(String, String)>, bool, Option<u64>) {
    let text = |item: &Arc<cox_mirror::Item>| {
        (item.key().to_string(), String::from_utf8_lossy(item.object().bytes()).into_owned())
    };
    (listing.revision, listing.items.iter().map(text).collect(), listing.more, listing.remaining)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_at_any_revision_is_what_was_there() {
    let (cluster, mut tasks, mut random) = (Cluster::start().await, JoinSet::new(), StdRng::seed_from_u64(1));
    let bus = cluster.bus(Identity::Mirror).await;
    let always = mirror(&cluster, &bus, &mut tasks).await;
    churn(&cluster, &mut random, 60).await;
    let late = mirror(&cluster, &bus, &mut tasks).await;
    churn(&cluster, &mut random, 20).await;
    always.wait_for(cluster.log.head(), Instant::now() + LONG).await.unwrap();
    for what in selections() {
        for at in (0..cluster.log.head()).step_by(7) {
            for (limit, after) in [(0, None), (2, None), (1, Some("default/o-2".to_owned()))] {
                let query = ListQuery { what: what.clone(), limit, after, at: Some(at) };
                let then = always.list(&query).unwrap();
                let past = within(late.list_past(&bus, &query, at)).await.unwrap();
                assert_eq!(seen(&past), seen(&then), "at {at}: {query:?}");
            }
        }
    }
}

/// What a watch tells up to a revision.
async fn told(watch: &mut Watch, through: Revision) -> Vec<(&'static str, String, String)> {
    let mut told = Vec::new();
    loop {
        match within(watch.next()).await.unwrap() {
            Batch::Changes(segment) => told.extend(segment.events().iter().map(|event| {
                let object = String::from_utf8_lossy(event.object().bytes()).into_owned();
                (event.kind.as_str(), event.entry.key().to_string(), object)
            })),
            other => panic!("not changes: {other:?}"),
        }
        if watch.progress() >= through {
            return told;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joined_watch_tells_what_one_told_that_was_there() {
    let (cluster, mut tasks, mut random) = (Cluster::start().await, JoinSet::new(), StdRng::seed_from_u64(2));
    let bus = cluster.bus(Identity::Mirror).await;
    let always = mirror(&cluster, &bus, &mut tasks).await;
    churn(&cluster, &mut random, 60).await;
    let late = mirror(&cluster, &bus, &mut tasks).await;
    let joined = late.position().revision;
    let mut watches = Vec::new();
    for what in selections() {
        for start in (0..=joined).step_by(11).chain([joined]) {
            let query = WatchQuery { what: what.clone(), start: Start::At(start), bookmarks: true };
            let one = within(late.watch_joined(&bus, query.clone())).await.unwrap();
            watches.push((start, what.clone(), one, always.watch(query).unwrap()));
        }
    }
    // What comes after the join, and something for each selection to end on.
    churn(&cluster, &mut random, 20).await;
    let last = ["o-1", "o-2", "o-0"].map(|name| {
        let resource = [Resource::CONFIGMAPS, Resource::SECRETS, Resource::PODS];
        resource.map(|resource| key(resource, name))
    });
    let labelled = |key: &cox_objects::Key, label: &str| {
        write(key, &json!({"kind": "X", "apiVersion": "v1", "metadata": {"name": key.name(), "labels": {"l": label}}}))
    };
    for label in ["0", "1", "0"] {
        cluster.commit(last.iter().flatten().map(|key| labelled(key, label)).collect()).await;
    }
    let head = cluster.log.head();
    for mirror in [&always, &late] {
        mirror.wait_for(head, Instant::now() + LONG).await.unwrap();
    }
    for (start, what, mut one, mut other) in watches {
        if what.namespace == "elsewhere" {
            assert!(one.take_segment().unwrap().is_none() && one.progress() == head);
            continue;
        }
        assert_eq!(told(&mut one, head).await, told(&mut other, head).await, "from {start}: {what:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_another_life_of_the_log_is_gone() {
    let (cluster, mut tasks) = (Cluster::start().await, JoinSet::new());
    cluster.commit(vec![put(&key(Resource::PODS, "a"), "1")]).await;
    let bus = cluster.bus(Identity::Mirror).await;
    let late = mirror(&cluster, &bus, &mut tasks).await;
    let query = ListQuery { what: Selected::all(Resource::PODS), limit: 0, after: None, at: Some(1) };
    assert_eq!(within(late.list_past(&bus, &query, 1)).await.unwrap().items.len(), 1);
    let ahead = within(late.list_past(&bus, &query, 2)).await.unwrap_err();
    assert!(matches!(ahead, PastError::Read(_)), "a revision that is not there yet is no state: {ahead}");
    tasks.shutdown().await;
    let position = late.position();
    late.update(|state| state.reset(cox_objects::Position { epoch: cox_objects::Epoch(1), ..position }, []));
    assert!(matches!(within(late.list_past(&bus, &query, 1)).await, Err(PastError::Expired(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_and_histories_are_read_as_they_were() {
    let cluster = Cluster::start().await;
    let mut random = StdRng::seed_from_u64(7);
    churn(&cluster, &mut random, 150).await;
    let bus = cluster.bus(Identity::Gateway).await;
    let mut tasks = JoinSet::new();
    let mirror = mirror(&cluster, &bus, &mut tasks).await;
    let head = cluster.log.head();
    let (configs, secrets) = (key(Resource::CONFIGMAPS, "o-0"), key(Resource::SECRETS, "o-1"));
    for place in [&configs, &secrets] {
        for revision in (1..=head).step_by(7) {
            let then = cluster.log.get_at(place, revision).unwrap();
            assert_eq!(mirror.get_past(&bus, place, revision).await.unwrap(), then, "{place} at {revision}");
        }
        let (from, to) = (head / 4, head - head / 4);
        let mut read = cox_bus::history(&bus, place, from, to).await.unwrap();
        let mut revisions = Vec::new();
        while let Some(events) = read.next().await.unwrap() {
            assert!(events.iter().all(|event| event.key == *place));
            revisions.extend(events.iter().map(|event| event.revision()));
        }
        let all = cluster.log.history(place).unwrap();
        assert!(all.len() > revisions.len() && !revisions.is_empty());
        assert_eq!(revisions, all.into_iter().filter(|r| (from..=to).contains(r)).collect::<Vec<_>>());
    }
    let middle = cluster.log.event(head / 2).unwrap().unwrap();
    let at = mirror.revision_at(&bus, middle.time).await.unwrap();
    assert!(at >= middle.revision());
    let next = cluster.log.event(at + 1).unwrap();
    assert!(next.is_none_or(|next| next.time > middle.time));
    assert!(matches!(mirror.revision_at(&bus, 1).await, Err(PastError::Expired(_))));
}

async fn revisions(mut range: cox_bus::replay::Range) -> Vec<Revision> {
    let mut revisions = Vec::new();
    while let Some(events) = within(range.next()).await.unwrap() {
        revisions.extend(events.iter().map(|event| event.revision()));
    }
    revisions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_a_floor_nothing_is_told_and_above_it_everything() {
    // What is remembered in memory is not asked of the disk.
    let cluster = Cluster::with(Options { recent_events: 0, ..Options::default() }).await;
    let (map, lease) = (key(Resource::CONFIGMAPS, "a"), key(Resource::LEASES, "l"));
    // The ConfigMap has the odd revisions, the Lease the even ones; the time is the revision's.
    for revision in 1..=40 {
        let place = if revision % 2 == 1 { &map } else { &lease };
        cluster.commit_at(revision, vec![put(place, &revision.to_string())]).await;
    }
    let keep = |age| Keep::For(Duration::from_millis(age));
    let policy =
        Retention { keep: keep(30), window: Duration::from_millis(10), window_revisions: 0, ..Retention::default() };
    cluster.log.retain(&policy, 40).unwrap();
    while !cluster.log.sweep(3).unwrap().done {}
    let floors = cluster.log.floors();
    assert_eq!((floors.dense_from, floors.kept.all, floors.kept.of(&Resource::LEASES)), (31, 10, 30));

    let (bus, mut tasks) = (cluster.bus(Identity::Mirror).await, JoinSet::new());
    let late = mirror(&cluster, &bus, &mut tasks).await;
    let gone =
        |error: ReadError| matches!(error, ReadError::Stream(StreamError::Refused(status)) if status.code == 410);
    assert!(within(cox_bus::range(&bus, 30, 40)).await.err().is_some_and(gone), "a mirror may not miss one");
    assert_eq!(revisions(within(cox_bus::range(&bus, 31, 40)).await.unwrap()).await, (31..=40).collect::<Vec<_>>());
    let of = async |resource: &Resource, from| within(cox_bus::range_of(&bus, resource, from, 40)).await;
    assert!(
        of(&Resource::CONFIGMAPS, 10).await.err().is_some_and(gone)
            && of(&Resource::LEASES, 30).await.err().is_some_and(gone)
    );
    assert_eq!(revisions(of(&Resource::CONFIGMAPS, 11).await.unwrap()).await, (11..40).step_by(2).collect::<Vec<_>>());
    let kept = within(cox_bus::what_is_kept(&bus, None, 1, 35)).await.unwrap();
    let skipped: Vec<String> = kept.skipped().iter().map(ToString::to_string).collect();
    let all = "of objects only the newest events are kept in revisions 1 to 10";
    let leases = "of leases.coordination.k8s.io only the newest events are kept in revisions 1 to 30";
    assert!(
        skipped.len() == 3 && skipped.contains(&all.to_owned()) && skipped.contains(&leases.to_owned()),
        "{skipped:?}"
    );
    assert_eq!(revisions(kept).await[..4], [9, 11, 13, 15]);
    let kept = within(cox_bus::what_is_kept(&bus, Some(&Resource::LEASES), 12, 40)).await.unwrap();
    assert_eq!((kept.skipped().len(), kept.skipped()[0].from, kept.skipped()[0].to), (1, 12, 30));
    assert_eq!(revisions(kept).await, [30, 32, 34, 36, 38, 40]);

    for revision in [5, 9, 10, 11, 30, 40] {
        let then = late.get_past(&bus, &map, revision).await;
        match revision {
            10.. => assert_eq!(then.unwrap().unwrap().revision(), (revision - 1) | 1, "at {revision}"),
            _ => assert!(matches!(then, Err(PastError::Expired(_))), "at {revision}"),
        }
    }
    assert_eq!(late.revision_at(&bus, 20).await.unwrap(), 19, "the Lease's event at 20 was dropped");
    let joined = |revision| WatchQuery {
        what: Selected::all(Resource::CONFIGMAPS),
        start: Start::At(revision),
        bookmarks: false,
    };
    assert!(within(late.watch_joined(&bus, joined(9))).await.is_err());
    let mut watch = within(late.watch_joined(&bus, joined(10))).await.unwrap();
    let mut told = 0;
    while told < 15 {
        let Batch::Changes(segment) = within(watch.next()).await.unwrap() else { continue };
        told += segment.events().len();
    }
    assert_eq!(told, 15, "11, 13, … 39");
}
