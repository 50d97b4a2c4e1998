//! Parameters as Kubernetes takes them (recorded in `content/query-parameters`).

use super::*;

#[test]
fn the_first_of_repeated_parameters_counts() {
    let query = Query::parse("labelSelector=none%3D1&labelSelector=x&command=ls&command=-l+a");
    assert_eq!(query.get("labelSelector"), Some("none=1"));
    assert_eq!(query.all("command").collect::<Vec<_>>(), ["ls", "-l a"]);
}

#[test]
fn broken_escapes_and_other_cases_are_ignored() {
    let query = Query::parse("%zz&a%2=1&LIMIT=1&b=%C3%A9&c;d=1&&e");
    assert_eq!(query, Query(vec![("LIMIT".into(), "1".into()), ("b".into(), "é".into()), ("e".into(), String::new())]));
}

#[test]
fn flags_are_true_unless_they_say_otherwise() {
    let query = Query::parse("a&b=&c=maybe&d=0&e=False");
    for (name, is) in [("a", true), ("b", true), ("c", true), ("d", false), ("e", false), ("f", false)] {
        assert_eq!(query.flag(name), is, "{name}");
    }
}

#[test]
fn numbers_fail_in_the_words_of_go() {
    let query = Query::parse("a=&b=x&c=-1&d=99999999999999999999&e=+7");
    let message = |name| query.number(name).unwrap_err().message;
    assert_eq!(message("a"), "strconv.ParseInt: parsing \"\": invalid syntax");
    assert_eq!(message("b"), "strconv.ParseInt: parsing \"x\": invalid syntax");
    assert_eq!(message("d"), "strconv.ParseInt: parsing \"99999999999999999999\": value out of range");
    assert_eq!(query.number("c").unwrap(), Some(-1));
    assert_eq!(query.number("f").unwrap(), None);
}
