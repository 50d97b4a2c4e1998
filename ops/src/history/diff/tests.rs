//! Diffs say what a person would: what changed, and nothing else.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn lines(before: &Value, after: &Value) -> Vec<String> {
    let side = |value: Option<Value>| value.map_or("nothing".to_owned(), |value| value.to_string());
    diff(Some(before), Some(after))
        .into_iter()
        .map(|edit| format!("{}: {} → {}", edit.path, side(edit.before), side(edit.after)))
        .collect()
}

#[test]
fn fields_are_named_by_their_paths() {
    let before = json!({"spec": {"replicas": 2, "paused": true}, "metadata": {"annotations": {"a.b/c": "x"}}});
    let after = json!({"spec": {"replicas": 4, "strategy": {"type": "Recreate", "more": {}}}, "metadata": {"annotations": {"a.b/c": "y"}}});
    assert_eq!(
        lines(&before, &after),
        [
            r#"metadata.annotations["a.b/c"]: "x" → "y""#,
            "spec.paused: true → nothing",
            "spec.replicas: 2 → 4",
            "spec.strategy.more: nothing → {}",
            r#"spec.strategy.type: nothing → "Recreate""#,
        ]
    );
}

#[test]
fn elements_of_lists_are_known_by_their_names() {
    let before = json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}], "args": ["1", "2"]});
    let after = json!({"containers": [{"name": "b", "image": "y"}, {"name": "c"}], "args": ["1", "3", "4"]});
    assert_eq!(
        lines(&before, &after),
        [
            r#"args[1]: "2" → "3""#,
            r#"args[2]: nothing → "4""#,
            r#"containers[name=a].image: "x" → nothing"#,
            r#"containers[name=a].name: "a" → nothing"#,
            r#"containers[name=b].image: "x" → "y""#,
            r#"containers[name=c].name: nothing → "c""#,
        ]
    );
}

#[test]
fn elements_that_change_places_are_seen() {
    let (before, after) = (json!({"l": [{"name": "a"}, {"name": "b"}]}), json!({"l": [{"name": "b"}, {"name": "a"}]}));
    assert_eq!(lines(&before, &after), [r#"l[0].name: "a" → "b""#, r#"l[1].name: "b" → "a""#]);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_u8).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let member = prop_oneof![Just("name"), Just("a"), Just("b.c")].prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(member, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The value at a path.
fn at<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.0.iter().try_fold(value, |value, step| match step {
        Step::Member(name) => value.get(name),
        Step::Index(index) => value.get(index),
        Step::Named(by, name) => value.as_array()?.iter().find(|element| element[*by] == name.as_str()),
    })
}

proptest! {
    #[test]
    fn equal_values_and_only_they_have_no_edits(before in value(), after in value()) {
        prop_assert!(diff(Some(&before), Some(&before)).is_empty());
        prop_assert_eq!(diff(Some(&before), Some(&after)).is_empty(), before == after);
    }

    #[test]
    fn each_edit_says_what_is_there(before in value(), after in value()) {
        for edit in diff(Some(&before), Some(&after)) {
            prop_assert_eq!(at(&before, &edit.path), edit.before.as_ref(), "{}", edit.path);
            prop_assert_eq!(at(&after, &edit.path), edit.after.as_ref(), "{}", edit.path);
        }
    }

    #[test]
    fn the_way_back_is_the_same_way(before in value(), after in value()) {
        let key = |edit: &Edit| edit.path.to_string();
        let mut there = diff(Some(&before), Some(&after));
        let mut back: Vec<Edit> = diff(Some(&after), Some(&before))
            .into_iter()
            .map(|edit| Edit { path: edit.path, before: edit.after, after: edit.before })
            .collect();
        there.sort_by_key(key);
        back.sort_by_key(key);
        prop_assert_eq!(there, back);
    }

    #[test]
    fn what_was_not_there_is_all_new(value in value()) {
        let edits = diff(None, Some(&value));
        prop_assert!(!edits.is_empty() && edits.iter().all(|edit| edit.before.is_none() && edit.after.is_some()));
    }
}
