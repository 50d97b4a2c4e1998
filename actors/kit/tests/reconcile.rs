//! The reconcile shell with a real apiserver, log and nats-server: nothing is decided on what is older than its own last write, a write of
//! which nobody answered is done once, and who leads no longer writes no more.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cox_bus::{ApiRequest, Identity, LeaseGuard, Verb};
use cox_kit::feed::{Change, Changes, Feed};
use cox_kit::reconcile::controller;
use cox_kit::{Api, Command, Decision, Reconciler, Registry, Running, Scope, View, Why};
use cox_mirror::Mirror;
use cox_objects::{Key, Object, Resource, Revision, Source, kinds};
use cox_test_support::{Core, deadline, request};
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use tokio::sync::watch;

/// How far a number is counted.
const GOAL: u64 = 60;
/// How long what is read is behind what is told.
const LATE: Duration = Duration::from_millis(40);

fn maps() -> Resource {
    Resource::new("", "configmaps")
}

fn number(object: &Object) -> Option<u64> {
    object.value().pointer("/data/n")?.as_str()?.parse().ok()
}

/// A feed that tells of changes at once, and shows them only later: what is looked at because of one is often the state before it.
#[derive(Clone)]
struct Late {
    mirror: Mirror,
    shown: Arc<RwLock<(Revision, BTreeMap<Key, Object>)>>,
    reached: watch::Receiver<Revision>,
}

impl Late {
    fn new(mirror: Mirror) -> Late {
        let (sender, reached) = watch::channel(0);
        let late = Late { mirror: mirror.clone(), shown: Arc::default(), reached };
        let shown = late.shown.clone();
        tokio::spawn(async move {
            let mut changes = mirror.changes(&[maps()]);
            while let Some(batch) = changes.next().await {
                tokio::time::sleep(LATE).await;
                let mut shown = shown.write();
                for change in batch {
                    shown.0 = shown.0.max(change.position.revision);
                    match change.new {
                        Some(object) => shown.1.insert(change.key, object),
                        None => shown.1.remove(&change.key),
                    };
                }
                sender.send_replace(shown.0);
            }
        });
        late
    }
}

impl Source for Late {
    fn revision(&self) -> Revision {
        self.shown.read().0
    }

    fn get(&self, key: &Key) -> Option<Object> {
        self.shown.read().1.get(key).cloned()
    }

    fn list(&self, _: &Resource, _: &str) -> Vec<(Key, Object)> {
        self.shown.read().1.iter().map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    fn owned(&self, _: &Resource, _: &str) -> Vec<(Key, Object)> {
        Vec::new()
    }
}

impl Feed for Late {
    fn changes(&self, resources: &[Resource]) -> Changes {
        self.mirror.changes(resources)
    }

    async fn wait_for(&self, revision: Revision, timeout: Duration) -> bool {
        let mut reached = self.reached.clone();
        tokio::time::timeout(timeout, reached.wait_for(|at| *at >= revision)).await.is_ok()
    }
}

/// Counts the number of each map up to the goal, by writes that nothing makes conditional: one that is decided on an old state is done.
struct Counter {
    seen: Arc<Mutex<BTreeMap<Key, Vec<u64>>>>,
}

impl Reconciler for Counter {
    const NAME: &'static str = "counter";

    fn watches(&self) -> Vec<Resource> {
        vec![maps()]
    }

    fn keys(&mut self, _: View<'_>, change: &Change) -> Vec<Key> {
        if change.key.name().starts_with("count") { vec![change.key.clone()] } else { vec![] }
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, _: Timestamp) -> Decision {
        let Some(n) = view.raw(key).as_ref().and_then(number).filter(|n| *n < GOAL) else { return Decision::none() };
        self.seen.lock().entry(key.clone()).or_default().push(n);
        let patch = json!({"data": {"n": (n + 1).to_string()}});
        Decision::of(vec![Command::Patch { key: key.clone(), subresource: "", patch }])
    }
}

async fn start(core: &Core, feed: impl Feed) -> (Arc<Mutex<BTreeMap<Key, Vec<u64>>>>, Running) {
    let api = Api::new(core.connect(Identity::Ops).await, Arc::new(kinds::builtin()));
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let counts = seen.clone();
    let make = move || Counter { seen: counts.clone() };
    let child = controller(make, feed, api, None, Arc::default(), Registry::default());
    let running = Running::start(Scope::root("test"), vec![child]).await.unwrap();
    (seen, running)
}

async fn create(core: &Core, name: &str) {
    core.create("configmaps", "default", &json!({"metadata": {"name": name}, "data": {"n": "0"}})).await;
}

/// Changes something else of an object, so that its key comes back again and again.
async fn touch(core: &Core, name: &str, round: u64) {
    let patch = json!({"metadata": {"annotations": {"touched": round.to_string()}}});
    core.call(&ApiRequest { namespace: "default".into(), ..request(Verb::Patch, "configmaps", name, &patch) }).await;
}

/// Each step of the numbers that the log has: none is left out, and none done twice.
fn check(steps: &[(Key, u64, u64)], names: usize) {
    for (key, old, new) in steps {
        assert!(*new == *old || *new == old + 1, "{key} went from {old} to {new}");
    }
    let done = steps.iter().filter(|(_, old, new)| old != new).count();
    assert_eq!(done as u64, names as u64 * GOAL, "each number once");
}

/// Notes the steps of all numbers as they happen.
fn steps(mirror: &Mirror) -> Arc<Mutex<Vec<(Key, u64, u64)>>> {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let (mut changes, noted) = (mirror.changes(&[maps()]), steps.clone());
    tokio::spawn(async move {
        while let Some(batch) = changes.next().await {
            for change in batch {
                if let (Some(old), Some(new)) =
                    (change.old.as_ref().and_then(number), change.new.as_ref().and_then(number))
                {
                    noted.lock().push((change.key, old, new));
                }
            }
        }
    });
    steps
}

fn all_counted(mirror: &Mirror, names: &[&str]) -> bool {
    let reached = |name: &&str| Source::get(mirror, &Key::new(maps(), "default", name)).as_ref().and_then(number);
    names.iter().all(|name| reached(name) == Some(GOAL))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_waits_until_its_own_write_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let core = Core::start(dir.path(), &[]).await;
    let steps = steps(&core.mirror);
    let (seen, running) = start(&core, Late::new(core.mirror.clone())).await;
    let names = ["count-a", "count-b"];
    for name in names {
        create(&core, name).await;
    }
    for round in 0.. {
        if all_counted(&core.mirror, &names) {
            break;
        }
        assert!(round < 100_000, "it does not get to its end");
        for name in names {
            touch(&core, name, round).await;
        }
    }
    for (key, seen) in &*seen.lock() {
        assert!(seen.is_sorted_by(|a, b| a < b), "{key} was looked at before its last write was seen: {seen:?}");
    }
    core.until("all steps are noted", |_| steps.lock().iter().filter(|(_, old, new)| old != new).count() >= 2 * 60)
        .await;
    check(&steps.lock(), names.len());
    running.stop().await;
    core.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_is_done_once() {
    let dir = tempfile::tempdir().unwrap();
    let core = Core::start(dir.path(), &[]).await;
    let steps = steps(&core.mirror);
    let (seen, running) = start(&core, core.mirror.clone()).await;
    let names = ["count-a", "count-b", "count-c"];
    for name in names {
        create(&core, name).await;
    }
    // The server dies again and again while writes and their answers are on the way.
    for share in 1..6 {
        let so_far = || steps.lock().iter().filter(|(_, old, new)| old != new).count() as u64;
        core.until("numbers go on", |_| so_far() >= share * 30).await;
        let pid = core.nats.pid();
        kill(Pid::from_raw(pid.unwrap()), Signal::SIGKILL).unwrap();
        core.until("the server is back", |_| core.nats.pid().is_some_and(|now| Some(now) != pid)).await;
    }
    core.until("all is counted", |mirror| all_counted(mirror, &names)).await;
    for (key, seen) in &*seen.lock() {
        assert!(seen.is_sorted_by(|a, b| a < b), "{key} was written again without knowing of the first: {seen:?}");
    }
    core.until("all steps are noted", |_| steps.lock().iter().filter(|(_, old, new)| old != new).count() >= 3 * 60)
        .await;
    check(&steps.lock(), names.len());
    running.stop().await;
    core.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_no_longer_leads_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let core = Core::start(dir.path(), &[]).await;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "namespace": "default"},
        "spec": {"holderIdentity": "a", "leaseTransitions": 1, "leaseDurationSeconds": 15}});
    let plain = Api::new(core.connect(Identity::Ops).await, Arc::new(kinds::builtin()));
    let why = Why::timer("test", 0);
    let made = plain.run(&[Command::Create(lease)], &why).await.unwrap();
    let made: Value = serde_json::from_slice(&made.objects[0]).unwrap();
    let key = Key::new(Resource::LEASES, "default", "l");
    let guard = LeaseGuard {
        key: key.clone(),
        uid: made["metadata"]["uid"].as_str().unwrap().to_owned(),
        holder: "a".to_owned(),
        transitions: 1,
    };
    let (leads, told) = watch::channel(Some(guard));
    let leader = plain.clone().led_by(told);
    let write = |name: &str| {
        let meta = json!({"name": name, "namespace": "default"});
        [Command::Create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}))]
    };
    leader.run(&write("while-it-leads"), &why).await.unwrap();

    // Another takes the Lease, comes back, and is followed by the first again: each is another term. The first has not heard of it.
    for (holder, transitions) in [("b", 2), ("a", 3)] {
        let patch = json!({"spec": {"holderIdentity": holder, "leaseTransitions": transitions}});
        plain.run(&[Command::Patch { key: key.clone(), subresource: "", patch }], &why).await.unwrap();
        let failed = leader.run(&write(&format!("after-{holder}")), &why).await.unwrap_err();
        assert!(failed.status.code >= 400 && failed.revision == 0, "{failed}");
    }
    leads.send_replace(None);
    let failed = leader.run(&write("without"), &why).await.unwrap_err();
    assert_eq!((failed.status.code, failed.status.message.as_str()), (503, "not the leader"));
    plain.run(&write("last"), &why).await.unwrap();
    core.mirror.wait_for(core.head().await, deadline()).await.unwrap();
    let there: Vec<String> = Source::list(&core.mirror, &maps(), "default")
        .into_iter()
        .map(|(key, _)| key.name().to_owned())
        .filter(|name| name != "kube-root-ca.crt")
        .collect();
    assert_eq!(there, ["last", "while-it-leads"]);
    core.stop().await;
}
