//! The latest decisions are found again, and memory is bounded.

use serde_json::json;

use cox_kit::Reason;

use super::*;
use crate::commands::SCHEDULER;
use crate::intake::Fact;
use crate::planner::Planner;
use crate::testing::*;

fn attempts(nodes: usize, pods: usize) -> Vec<Attempt> {
    let mut planner = Planner::new(SCHEDULER);
    let (timer, now) = (Reason::timer("test"), std::time::Duration::ZERO);
    for i in 0..nodes {
        planner.take_in(Fact::Node(Box::new(node(&format!("n{i}"), json!({})))), &timer, now);
    }
    for i in 0..pods {
        planner.take_in(Fact::Pod(Box::new(pod(&format!("p{i}"), json!({})))), &timer, now);
    }
    std::iter::from_fn(|| planner.next(now, 0)).collect()
}

#[test]
fn questions_narrow_and_the_newest_comes_first() {
    let mut journal = Journal::default();
    for attempt in attempts(2, 3) {
        journal.keep(&attempt, 7, Timestamp::UNIX_EPOCH);
    }
    let names = |question: &Question| -> Vec<String> {
        journal.answer(question).into_iter().map(|record| record.name).collect()
    };
    assert_eq!(names(&Question::default()), ["p2", "p1", "p0"]);
    assert_eq!(names(&Question { limit: Some(1), ..Question::default() }), ["p2"]);
    assert_eq!(names(&Question { name: Some("p1".into()), ..Question::default() }), ["p1"]);
    assert!(names(&Question { namespace: Some("other".into()), ..Question::default() }).is_empty());
    let told = serde_json::to_value(journal.latest(&key("p1")).unwrap()).unwrap();
    assert!(told["nodes"][0][1]["fits"]["NodeResourcesFit"].is_i64(), "{told}");
    assert!(told["outcome"]["node"].is_string());
}

#[test]
fn verdicts_over_all_decisions_are_bounded() {
    let mut journal = Journal::default();
    for attempt in attempts(300, 100) {
        journal.keep(&attempt, 7, Timestamp::UNIX_EPOCH);
    }
    let kept: usize = journal.records.iter().map(|record| record.decision.nodes.len()).sum();
    assert!(kept <= VERDICTS && kept == journal.verdicts, "{kept}");
}
