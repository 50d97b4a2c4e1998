//! Guards, as the writer decides them.

use cox_objects::Draft;
use serde_json::{Value, json};

use super::*;

struct Nothing;
impl Staged for Nothing {
    fn head(&self) -> Revision {
        0
    }
    fn get(&self, _: &Key) -> Option<Object> {
        None
    }
}

struct One(Key, Object);
impl Staged for One {
    fn head(&self) -> Revision {
        1
    }
    fn get(&self, key: &Key) -> Option<Object> {
        (*key == self.0).then(|| self.1.clone())
    }
}

fn sealed(value: &Value) -> Object {
    Draft::encode(value).unwrap().seal(1)
}

fn namespace(name: &str, deleted: bool) -> (Key, Object) {
    let mut object = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}});
    if deleted {
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    (Key::new(Resource::NAMESPACES, "", name), sealed(&object))
}

fn service(name: &str, port: u16) -> (Key, Object) {
    let object = json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": name, "namespace": "a"},
                        "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}});
    (Key::new(Resource::SERVICES, "a", name), sealed(&object))
}

fn with(objects: Vec<(Key, Object)>) -> Indexes {
    let mut indexes = Indexes::new(Arc::new(Shared::default()));
    indexes.reset(&mut objects.into_iter(), 1);
    indexes
}

fn event(key: &Key, change: Change, object: &Object) -> Event {
    Event {
        position: cox_objects::Position { epoch: cox_objects::Epoch(1), revision: object.revision() },
        transaction: (object.revision(), object.revision()),
        time: 0,
        key: key.clone(),
        change,
        object: object.clone(),
        cause: cox_objects::Cause::default(),
    }
}

fn limits(namespace: &str, name: &str, revision: Revision) -> (Key, Object) {
    let object = json!({"kind": "LimitRange", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace}});
    let key = Key::new(Resource::from_static("limitranges"), namespace, name);
    (key, Draft::encode(&object).unwrap().seal(revision))
}

#[test]
fn what_is_looked_through_for_each_pod_is_in_memory_as_it_is_durable() {
    let mut indexes =
        with(vec![limits("a", "z", 1), limits("a-b", "y", 1), limits("a", "b", 1), namespace("a", false)]);
    let shared = indexes.shared.clone();
    let of = Resource::from_static("limitranges");
    let list = |namespace: &str| {
        let found = shared.list(&of, namespace).unwrap();
        found.iter().map(|(key, object)| format!("{}@{}", key.path(), object.revision())).collect::<Vec<_>>()
    };
    indexes.durable(1);
    assert_eq!(list("a"), ["a/b@1", "a/z@1"]);
    assert_eq!(list(""), ["a-b/y@1", "a/b@1", "a/z@1"], "in the order of lists");
    assert!(list("b").is_empty());
    assert!(shared.list(&Resource::PODS, "a").is_none(), "of pods there may be many");

    let (changed, gone) = (limits("a", "b", 2), limits("a", "z", 3));
    indexes.apply(&event(&changed.0, Change::Modified, &changed.1), None);
    indexes.apply(&event(&gone.0, Change::Deleted, &gone.1), None);
    assert_eq!(list("a"), ["a/b@1", "a/z@1"], "not before it is durable");
    indexes.durable(3);
    assert_eq!(list("a"), ["a/b@2"]);
    indexes.apply(&event(&changed.0, Change::Deleted, &changed.1), None);
    indexes.reset(&mut vec![limits("a", "c", 4)].into_iter(), 4);
    assert_eq!(list("a"), ["a/c@4"], "a batch that failed is forgotten");
}

#[test]
fn a_namespace_that_goes_takes_nothing_new() {
    let mut indexes = with(vec![namespace("a", false), namespace("b", true)]);
    let live = |name: &str| Guard::NamespaceLive(name.to_owned());
    assert!(indexes.check(&live("a"), &Nothing).is_ok());
    assert!(indexes.check(&live("b"), &Nothing).is_err());
    let refusal = indexes.check(&live("c"), &Nothing).unwrap_err();
    assert!(refusal.retry, "the request is decided again, and then says what is wrong in its own words");
}

#[test]
fn a_node_port_is_one_services() {
    let (key, object) = service("s", 30001);
    let mut indexes = with(vec![(key.clone(), object)]);
    let free =
        |port: u16, owner: &Key| Guard::Free { pool: POOL.into(), value: port.to_string(), owner: owner.clone() };
    let other = Key::new(Resource::SERVICES, "a", "t");
    assert!(indexes.check(&free(30001, &key), &Nothing).is_ok());
    assert!(indexes.check(&free(30001, &other), &Nothing).is_err());
    assert!(indexes.check(&free(30002, &other), &Nothing).is_ok());
}

#[test]
fn a_reset_forgets_ports_that_are_not_there_any_more() {
    let mut indexes = with(vec![service("s", 30001)]);
    indexes.reset(&mut std::iter::empty(), 2);
    assert_eq!(indexes.shared.port_owner(30001), None);
}

#[test]
fn a_lease_is_held_by_uid_holder_and_transitions() {
    let key = Key::new(Resource::LEASES, "kube-system", "l");
    let lease = json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": "l", "uid": "u"},
                       "spec": {"holderIdentity": "h", "leaseTransitions": 2}});
    let staged = One(key.clone(), sealed(&lease));
    let held = LeaseHeld { key, uid: "u".into(), holder: "h".into(), transitions: 2 };
    let mut indexes = with(Vec::new());
    assert!(indexes.check(&Guard::Lease(held.clone()), &staged).is_ok());
    for other in [
        LeaseHeld { uid: "v".into(), ..held.clone() },
        LeaseHeld { holder: "i".into(), ..held.clone() },
        LeaseHeld { transitions: 3, ..held.clone() },
    ] {
        let refusal = indexes.check(&Guard::Lease(other), &staged).unwrap_err();
        assert!(!refusal.retry && refusal.status.code == 409);
    }
    assert!(indexes.check(&Guard::Lease(held), &Nothing).is_err());
}
