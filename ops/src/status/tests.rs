//! What a person and a script read in the report.

use cox_bus::Identity;
use cox_kit::supervise::{Node, State};
use cox_objects::{Epoch, Position};

use super::{Answer, Keeps, Report, render};
use crate::control::Told;

fn node(state: State, restarts: u64, error: Option<&str>) -> Node {
    Node { state, restarts, last_error: error.map(str::to_owned), ..Node::default() }
}

fn report() -> Report {
    let running = || node(State::Running, 0, None);
    let tree = [
        ("controllers", running()),
        ("controllers/a", running()),
        ("controllers/a-b", running()),
        ("controllers/a/worker", node(State::Restarting, 3, Some("the bus\nis gone"))),
    ];
    let tree = tree.into_iter().map(|(path, node)| (path.to_owned(), node)).collect();
    let told = Told { component: "controllers".into(), pid: 7, tree, revision: Some(90) };
    Report {
        cluster: "c1".into(),
        head: Ok(Position { epoch: Epoch(10), revision: 100 }),
        faults: Vec::new(),
        log: None,
        answers: vec![
            Answer { identity: Identity::Controllers, told: Ok(told) },
            Answer { identity: Identity::Scheduler, told: Err("is not running".into()) },
        ],
    }
}

#[test]
fn a_tree_is_drawn_with_restarts_errors_and_lag() {
    let text = render::text(&report(), false);
    let wanted = "cluster c1: revision 100 of epoch 000000000000000a\n\
                  \n\
                  ● controllers pid 7, mirror at 90, 10 behind\n  \
                    ├─ ● a\n  \
                    │  └─ ◐ worker  restarting, restarted 3×, last error: the bus is gone\n  \
                    └─ ● a-b\n\
                  \n\
                  ✗ scheduler is not running\n";
    assert_eq!(text, wanted);
    assert!(render::text(&report(), true).contains("\x1b[31m"));
}

#[test]
fn what_is_kept_of_the_log_is_said() {
    let log = Keeps {
        head: Position { epoch: Epoch(10), revision: 100 },
        dense_from: 80,
        readable_from: 30,
        readable_since: Some(1_800_000_000_000),
        floors: [("events".to_owned(), 79), ("secrets".to_owned(), 0)].into(),
        keep: vec!["7d".into(), "events=newest".into(), "secrets=forever".into()],
        disk: 3 << 29,
        max_disk: Some(2 << 30),
        daily: Some(86_400),
    };
    let report = Report { log: Some(log), ..report() };
    let wanted = "log 1.5 GiB of 2.0 GiB, about 86400 events a day; readable from revision 30 (2027-01-15T08:00:00.000Z) on, \
                  events from 79, secrets from 0; no event missing from 80; keeps 7d, events=newest, secrets=forever\n";
    assert!(render::text(&report, false).contains(wanted), "{}", render::text(&report, false));
    let json = report.json();
    assert_eq!((&json["log"]["disk"], &json["log"]["floors"]["events"]), (&(3u64 << 29).into(), &79.into()));
}

#[test]
fn what_is_not_well_is_named() {
    assert_eq!(report().sick(), ["controllers/a/worker has failed", "scheduler is not running"]);
}

#[test]
fn a_cluster_without_a_node_is_well() {
    let mut report = report();
    report.answers = vec![Answer { identity: Identity::Node("n".into()), told: Err("is not running".into()) }];
    assert!(report.sick().is_empty());
    assert!(render::text(&report, false).contains("○ node:n is not running"));
}

#[test]
fn a_key_that_is_left_alone_is_shown_and_makes_the_cluster_unwell() {
    let mut report = report();
    let told = report.answers[0].told.as_mut().unwrap();
    told.tree.get_mut("controllers/a").unwrap().parked = vec!["apps/deployments/default/web".into()];
    assert!(render::text(&report, false).contains("● a  parked: apps/deployments/default/web\n"));
    let sick = report.sick();
    for wanted in [
        "controllers/a/worker has failed",
        "controllers/a panics over apps/deployments/default/web and leaves it alone",
    ] {
        assert!(sick.iter().any(|said| said == wanted), "{sick:?}");
    }
}

#[test]
fn json_has_what_the_text_has() {
    let json = report().json();
    assert_eq!(json["revision"], 100);
    assert_eq!(json["components"][0]["lag"], 10);
    assert_eq!(json["components"][0]["tree"]["controllers/a/worker"]["restarts"], 3);
    assert_eq!(json["components"][1]["answers"], false);
}

#[test]
fn without_a_head_there_is_no_lag() {
    let report = Report { head: Err("the apiserver does not answer".into()), ..report() };
    assert!(report.json()["components"][0]["lag"].is_null());
    assert!(render::text(&report, false).contains("lag not known"));
}

#[test]
fn what_is_wrong_with_the_log_is_said_first() {
    let fault = cox_gateway::Check::new("log-store", Some("the log takes no writes: disk full".into()));
    let report = Report { faults: vec![fault], ..report() };
    let said = "log-store: the log takes no writes: disk full";
    assert!(render::text(&report, false).lines().nth(1).is_some_and(|line| line == format!("✗ {said}")));
    assert_eq!(report.sick().first().map(String::as_str), Some(said));
    assert_eq!(report.json()["faults"][0], said);
}
