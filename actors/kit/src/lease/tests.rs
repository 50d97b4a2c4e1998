//! One leads at a time, and a silent one is followed.

use super::*;

const ID: (&str, &str, &str) = ("kube-system", "kube-scheduler", "me");

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn lease(holder: &str, transitions: i32) -> Lease {
    serde_json::from_value(json!({
        "metadata": {"name": "kube-scheduler", "namespace": "kube-system", "uid": "u", "resourceVersion": "5"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": transitions,
                 "acquireTime": "2023-11-14T22:00:00.000000Z", "renewTime": "2023-11-14T22:13:00.000000Z"},
    }))
    .unwrap()
}

fn written(step: Step) -> Value {
    match step {
        Step::Write(lease) | Step::Create(lease) => lease,
        Step::Wait => panic!("waits"),
    }
}

#[test]
fn a_missing_lease_is_created_and_our_own_renewed() {
    let mut observed = Observed::default();
    let created = written(decide(&mut observed, None, ID, now(), Duration::ZERO));
    assert_eq!(created["spec"]["holderIdentity"], "me");
    let renewed = written(decide(&mut observed, Some(&lease("me", 4)), ID, now(), Duration::ZERO));
    assert_eq!(renewed["spec"]["leaseTransitions"], 4);
    assert_eq!(renewed["spec"]["acquireTime"], "2023-11-14T22:00:00.000000Z");
    assert_eq!(renewed["metadata"]["resourceVersion"], "5");
}

#[test]
fn anothers_lease_is_taken_over_only_after_its_duration_without_a_change() {
    let mut observed = Observed::default();
    let other = lease("other", 4);
    assert_eq!(decide(&mut observed, Some(&other), ID, now(), Duration::from_secs(100)), Step::Wait);
    assert_eq!(decide(&mut observed, Some(&other), ID, now(), Duration::from_secs(114)), Step::Wait);
    let taken = written(decide(&mut observed, Some(&other), ID, now(), Duration::from_secs(115)));
    assert_eq!(
        (taken["spec"]["leaseTransitions"].as_i64(), taken["spec"]["holderIdentity"].as_str()),
        (Some(5), Some("me"))
    );
}

#[test]
fn a_released_lease_is_free_at_once() {
    let mut observed = Observed::default();
    let taken = written(decide(&mut observed, Some(&lease("", 2)), ID, now(), Duration::ZERO));
    assert_eq!(taken["spec"]["leaseTransitions"], 3);
}
