//! Users under overload, as they and their dashboards see it.

use cox_objects::rbac::MASTERS;
use http::Method;

use super::*;
use crate::query::Query;

fn user(name: &str, group: &str) -> User {
    User { name: name.to_owned(), groups: vec![group.to_owned()], ..User::default() }
}

fn of(method: Method, path: &str) -> Info {
    Info::read(&method, path, &Query::parse(""))
}

fn create() -> Info {
    of(Method::POST, "/api/v1/namespaces/default/configmaps")
}

/// All seats of the level for users without a role in the cluster, taken by one of them.
async fn flooded<'a>(flows: &'a Flows, hog: &User) -> Vec<Seat<'a>> {
    let level = LEVELS.iter().find(|level| level.name == "global-default").unwrap();
    let mut seats = Vec::new();
    for _ in 0..level.seats {
        seats.push(flows.enter(hog, &create()).await.unwrap());
    }
    seats
}

#[tokio::test]
async fn a_user_who_floods_waits_for_its_own_requests() {
    let flows = Flows::new(&Registry::default());
    let (hog, jane) = (user("hog", "system:authenticated"), user("jane", "system:authenticated"));
    let mut seats = flooded(&flows, &hog).await;
    let create = create();
    let mut queued: Vec<_> = (0..BOUNDS.flow).map(|_| Box::pin(flows.enter(&hog, &create))).collect();
    for request in &mut queued {
        assert!(futures::poll!(request).is_pending());
    }
    let refused = flows.enter(&hog, &create).await.err().unwrap();
    assert_eq!(refused.retry_after, Some(1));
    let told = refused.to_value();
    for (pointer, value) in [
        ("/code", serde_json::json!(429)),
        ("/reason", serde_json::json!("TooManyRequests")),
        ("/message", serde_json::json!("Too many requests, please try again later.")),
        ("/details/retryAfterSeconds", serde_json::json!(1)),
    ] {
        assert_eq!(told.pointer(pointer), Some(&value), "{told}");
    }
    // Somebody else waits for one of the hog's requests, not for all.
    let mut other = Box::pin(flows.enter(&jane, &create));
    assert!(futures::poll!(&mut other).is_pending());
    seats.pop();
    assert!(futures::poll!(&mut queued[0]).is_ready());
    seats.pop();
    assert!(futures::poll!(&mut other).is_ready());
    // Nor do other levels, probes and conversations wait at all.
    let account = user("system:serviceaccount:a:b", "system:serviceaccounts");
    for (who, what) in [
        (&account, create.clone()),
        (&user("admin", MASTERS), create.clone()),
        (&hog, of(Method::GET, "/livez")),
        (&hog, of(Method::GET, "/api/v1/namespaces/a/pods/b/exec")),
    ] {
        drop(flows.enter(who, &what).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_measured() {
    let registry = Registry::default();
    let flows = Flows::new(&registry);
    let hog = user("hog", "system:authenticated");
    let seats = flooded(&flows, &hog).await;
    let (create, get) = (create(), of(Method::GET, "/api/v1/namespaces/default/configmaps/c"));
    let mut leaves = Box::pin(flows.enter(&hog, &create));
    assert!(futures::poll!(&mut leaves).is_pending());
    let labels = "{flow_schema=\"global-default\",priority_level=\"global-default\"";
    let assert = |line: &str| {
        let text = registry.text();
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    };
    assert(&format!("apiserver_flowcontrol_current_inqueue_requests{labels}}} 1"));
    drop(leaves);
    assert!(flows.enter(&hog, &create).await.is_err(), "nobody gets up");
    let sitting = seats.len();
    assert(&format!("apiserver_current_inflight_requests{{request_kind=\"mutating\"}} {sitting}"));
    assert(&format!("apiserver_flowcontrol_current_executing_seats{labels}}} {sitting}"));
    assert(&format!("apiserver_flowcontrol_nominal_limit_seats{{priority_level=\"global-default\"}} {sitting}"));
    drop(seats);
    let reading = flows.enter(&hog, &get).await.unwrap();
    for line in [
        format!("apiserver_flowcontrol_current_inqueue_requests{labels}}} 0"),
        format!("apiserver_flowcontrol_current_executing_requests{labels}}} 1"),
        format!("apiserver_flowcontrol_dispatched_requests_total{labels}}} {}", sitting + 1),
        format!("apiserver_flowcontrol_rejected_requests_total{labels},reason=\"cancelled\"}} 1"),
        format!("apiserver_flowcontrol_rejected_requests_total{labels},reason=\"time-out\"}} 1"),
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1".to_owned(),
        "apiserver_current_inflight_requests{request_kind=\"mutating\"} 0".to_owned(),
    ] {
        assert(&line);
    }
    drop(reading);
}
