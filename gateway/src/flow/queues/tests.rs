//! The promises of the queues, for any order of what happens to them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { all: 8, flow: 5 };

fn filled(flows: &[(u64, usize)]) -> Queues<(u64, usize)> {
    let mut queues = Queues::new(Bounds { all: 100, flow: 100 });
    for (flow, count) in flows {
        for n in 0..*count {
            queues.join(*flow, (*flow, n)).unwrap();
        }
    }
    queues
}

#[test]
fn flows_take_turns_however_much_one_asks() {
    let mut queues = filled(&[(1, 50), (2, 2), (3, 1)]);
    let served: Vec<(u64, usize)> = std::iter::from_fn(|| queues.turn()).take(6).collect();
    assert_eq!(served, [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (1, 2)]);
}

#[test]
fn whoever_asks_most_makes_room() {
    let mut queues = Queues::new(BOUNDS);
    for n in 0..BOUNDS.flow {
        assert_eq!(queues.join(1, (1, n)).unwrap().1, None);
    }
    assert_eq!(queues.join(1, (1, 9)), Err((1, 9)), "one flow has its own bound");
    for n in 0..3 {
        queues.join(2, (2, n)).unwrap();
    }
    assert_eq!(queues.join(3, (3, 0)).unwrap().1, Some((1, 4)), "the newest of the longest");
    assert_eq!(queues.join(2, (2, 9)), Err((2, 9)), "it would have as many as the longest");
    assert_eq!(queues.len(), BOUNDS.all);
}

#[derive(Clone, Debug)]
enum Step {
    Join(u64),
    Next,
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u64..5).prop_map(Step::Join),
        2 => Just(Step::Next),
        1 => (0usize..40).prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn nobody_is_lost_doubled_overtaken_or_left_to_starve(steps in steps()) {
        let mut queues = Queues::new(BOUNDS);
        // What must be there, by flow; and how often others were served since each flow was.
        let mut model: BTreeMap<u64, VecDeque<usize>> = BTreeMap::new();
        let mut passed: BTreeMap<u64, BTreeMap<u64, usize>> = BTreeMap::new();
        let mut tickets: Vec<(Ticket, u64, usize)> = Vec::new();
        for (id, step) in steps.into_iter().enumerate() {
            match step {
                Step::Join(flow) => {
                    let total: usize = model.values().map(VecDeque::len).sum();
                    let own = model.get(&flow).map_or(0, VecDeque::len);
                    let most = model.values().map(VecDeque::len).max().unwrap_or(0);
                    match queues.join(flow, (flow, id)) {
                        Ok((ticket, out)) => {
                            if let Some((loser, lost)) = out {
                                prop_assert!(total == BOUNDS.all && loser != flow);
                                let theirs = model.get_mut(&loser).unwrap();
                                prop_assert_eq!(theirs.len(), most);
                                prop_assert_eq!(theirs.pop_back(), Some(lost));
                            }
                            tickets.push((ticket, flow, id));
                            model.entry(flow).or_default().push_back(id);
                        }
                        Err(_) => prop_assert!(own == BOUNDS.flow || (total == BOUNDS.all && most <= own + 1)),
                    }
                }
                Step::Next => match queues.turn() {
                    // Whoever waits is served if anyone can be.
                    None => prop_assert!(model.values().all(VecDeque::is_empty)),
                    Some((flow, item)) => {
                        prop_assert_eq!(model.get_mut(&flow).and_then(VecDeque::pop_front), Some(item));
                        for (other, _) in model.iter().filter(|(other, left)| **other != flow && !left.is_empty()) {
                            let times = passed.entry(*other).or_default().entry(flow).or_default();
                            *times += 1;
                            prop_assert!(*times <= 1, "{} was served twice while {} waited", flow, other);
                        }
                        passed.remove(&flow);
                    }
                },
                Step::Leave(n) => {
                    let Some((ticket, flow, id)) = tickets.get(n).copied() else { continue };
                    let there = model.get(&flow).is_some_and(|waiting| waiting.contains(&id));
                    prop_assert_eq!(queues.leave(ticket), there);
                    model.entry(flow).or_default().retain(|other| *other != id);
                }
            }
            passed.retain(|flow, _| model.get(flow).is_some_and(|waiting| !waiting.is_empty()));
            prop_assert_eq!(queues.len(), model.values().map(VecDeque::len).sum::<usize>());
            prop_assert!(queues.len() <= BOUNDS.all && model.values().all(|waiting| waiting.len() <= BOUNDS.flow));
        }
    }
}
