//! Subjects lead back to what they were built from, whatever the names.

use proptest::prelude::*;

use super::*;

fn subjects() -> Subjects {
    Subjects::new("test")
}

#[test]
fn events_are_where_the_documentation_says() {
    let s = subjects();
    let pod = Key::new(Resource::PODS, "default", "web-1");
    assert_eq!(s.event(&pod), "cox.test.events.core.pods.default.web-1");
    let node = Key::new(Resource::NODES, "", "n1.example.com");
    assert_eq!(s.event(&node), "cox.test.events.core.nodes._.n1%2Eexample%2Ecom");
    let deployment = Key::new(Resource::DEPLOYMENTS, "default", "web");
    assert_eq!(s.event(&deployment), "cox.test.events.apps.deployments.default.web");
    assert_eq!(s.events_of(&Resource::PODS), "cox.test.events.core.pods.>");
}

#[test]
fn a_subject_says_who_serves_it() {
    let s = subjects();
    let served = |subject: String| s.served_by(&subject).unwrap();
    assert_eq!(served(s.api(&Identity::Gateway, Verb::Create, "", "pods/status")), "apiserver");
    assert_eq!(served(s.read(&Identity::Mirror, "snapshot")), "apiserver");
    assert_eq!(served(s.node("a.b", "exec")), "node:a%2Eb");
    assert_eq!(served(s.node("a.b", "feed")), "feed");
    assert_eq!(served(s.ctl(&Identity::Scheduler, "tree")), "scheduler");
    assert_eq!(s.served_by("other.subject"), None);
}

#[test]
fn answers_go_to_who_asked_only() {
    let s = subjects();
    let (apiserver, scheduler) = (Identity::Apiserver, Identity::Scheduler);
    let node = |name: &str| Identity::Node(name.to_owned());
    let to = |asker: &Identity, answerer: &Identity| s.inbox(asker, &answerer.token(), "x", "r1");
    let head = s.api_head(&scheduler);
    assert!(s.may_answer(&apiserver, &head, &to(&scheduler, &apiserver)));
    for foreign in [
        to(&Identity::Gateway, &apiserver),
        to(&scheduler, &Identity::Gateway),
        "cox.test.events.core.pods.default.x".to_owned(),
        s.head(),
        format!("$JS.API.STREAM.PURGE.{}", s.stream()),
        "cox.other.inbox.scheduler.apiserver.x.r1".to_owned(),
        "inbox".to_owned(),
    ] {
        assert!(!s.may_answer(&apiserver, &head, &foreign), "{foreign}");
    }
    let controller = Identity::Controller("deployment-controller".to_owned());
    let write = s.api(&controller, Verb::Create, "", "pods");
    assert!(s.may_answer(&apiserver, &write, &to(&Identity::Controllers, &apiserver)));
    let feed = s.node("a.b", "feed");
    for asker in [node("a.b"), Identity::Proxy("a.b".to_owned())] {
        assert!(s.may_answer(&Identity::Feed, &feed, &to(&asker, &Identity::Feed)), "{asker}");
    }
    assert!(!s.may_answer(&Identity::Feed, &feed, &to(&node("c"), &Identity::Feed)));
    assert!(s.may_answer(&node("a.b"), &s.node("a.b", "exec"), &to(&Identity::Gateway, &node("a.b"))));
    assert!(!s.may_answer(&node("a.b"), &s.node("a.b", "exec"), &to(&node("c"), &node("a.b"))));
    let hollow = Identity::Hollow(2);
    for (name, own) in [("hollow-1", true), ("hollow-2", true), ("hollow-3", false), ("hollow-01", false), ("n", false)]
    {
        let (feed, exec) = (s.node(name, "feed"), s.node(name, "exec"));
        let write = s.api(&node(name), Verb::Patch, "", "pods/status");
        assert_eq!(s.may_answer(&Identity::Feed, &feed, &to(&hollow, &Identity::Feed)), own, "{name}");
        assert_eq!(s.may_answer(&apiserver, &write, &to(&hollow, &apiserver)), own, "{name}");
        assert_eq!(s.may_answer(&hollow, &exec, &to(&Identity::Gateway, &node(name))), own, "{name}");
    }
    let tree = s.ctl(&scheduler, "tree");
    assert!(s.may_answer(&scheduler, &tree, &to(&Identity::Ops, &scheduler)));
    assert!(!s.may_answer(&scheduler, &tree, &to(&Identity::Gateway, &scheduler)));
    let shop = Identity::Integrator("shop".to_owned());
    assert!(s.may_answer(&apiserver, &s.integrator(&shop, "read"), &to(&shop, &apiserver)));
    let lease = s.lease("c1");
    assert!(s.may_answer(&Identity::Gateway, &lease, &to(&apiserver, &Identity::Gateway)));
    assert!(!s.may_answer(&Identity::Gateway, &lease, &to(&scheduler, &Identity::Gateway)));
}

#[test]
fn foreign_and_malformed_subjects_are_not_ours() {
    let s = subjects();
    for subject in [
        "cox.other.events.core.pods.default.x",
        "cox.test.events.core.pods.default",
        "cox.test.events.core.pods.default.x.y",
        "cox.test.events.core.pods.default.%zz",
        "cox.test.events.core.pods.default.%41",
        "cox.testx.events.core.pods.default.x",
    ] {
        assert_eq!(s.parse_event(subject), None, "{subject}");
    }
}

#[test]
fn cluster_names_are_checked() {
    assert!(Subjects::check("default-1").is_ok());
    for bad in ["", "a.b", "A", "x y", &"a".repeat(33)] {
        assert!(Subjects::check(bad).is_err(), "{bad:?}");
    }
}

/// Group, plural, namespace and name of a key: a plural has no dot, a namespace and a plural no slash.
fn key() -> impl Strategy<Value = Key> {
    let group = prop_oneof![Just(String::new()), Just("core".to_owned()), "[a-z][a-z.]{0,20}", ".{1,8}"];
    (group, "[^./]{1,12}", "[^/]{0,12}", "[^/]{1,12}")
        .prop_map(|(g, p, ns, n)| Key::new(Resource::new(&g, &p), &ns, &n))
}

proptest! {
    #[test]
    fn any_text_is_one_token_and_comes_back(text in "\\PC*|[ -~]{0,20}|[\\x00-\\x7f]{0,10}") {
        let token = escape(&text);
        prop_assert!(!token.is_empty());
        prop_assert!(token.bytes().all(|b| b > b' ' && b < 0x7f && !b".*>".contains(&b)), "{}", token);
        prop_assert_eq!(unescape(&token), Some(text));
    }

    #[test]
    fn a_token_is_the_only_one_of_its_text(token in "[a-z%0-9A-F_]{1,9}") {
        if let Some(text) = unescape(&token) {
            prop_assert_eq!(escape(&text), token);
        }
    }

    #[test]
    fn any_key_comes_back_from_its_event_subject(key in key()) {
        let subject = subjects().event(&key);
        prop_assert_eq!(subject.split('.').count(), 7);
        prop_assert_eq!(subjects().parse_event(&subject), Some(key));
    }

    #[test]
    fn any_write_comes_back_from_its_api_subject(node in "[^:]{1,20}", group in "[a-z.]{0,12}", resource in "[a-z]{1,9}(/[a-z]{1,9})?") {
        let identity = Identity::Node(node);
        let subject = subjects().api(&identity, Verb::Patch, &group, &resource);
        let write = ApiSubject::Write("patch".into(), group, resource);
        prop_assert_eq!(subjects().parse_api(&subject), Some((identity, write)));
    }

    #[test]
    fn any_node_comes_back(node in ".{1,20}", what in "[a-z]{1,9}") {
        let subject = subjects().node(&node, &what);
        prop_assert_eq!(subjects().parse_node(&subject), Some((node, what)));
    }
}
