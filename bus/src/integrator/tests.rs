//! Filters mean the same in a subject, in the log, and on paper.

use cox_objects::{Key, Resource};
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_filter_comes_back(resource in "\\*|[a-z]{1,9}(\\.[a-z]{1,4}){0,2}", namespace in "\\*|_|[a-z]{1,5}", name in "\\*|[a-z.]{1,5}") {
        for text in [format!("{resource}/{namespace}/{name}"), format!("{resource}/{namespace}"), resource.clone()] {
            let filter: Filter = text.parse().unwrap();
            prop_assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
        }
    }
}

#[test]
fn it_passes_what_it_names() {
    let pod = Key::new(Resource::PODS, "default", "web");
    let node = Key::new(Resource::NODES, "", "n1");
    for (text, passes) in [
        ("*", (true, true)),
        ("pods", (true, false)),
        ("*/default", (true, false)),
        ("*/_", (false, true)),
        ("pods/default/web", (true, false)),
        ("pods/other", (false, false)),
        ("nodes/*/n1", (false, true)),
        ("pods.other", (false, false)),
    ] {
        let filter: Filter = text.parse().unwrap();
        assert_eq!((filter.passes(&pod), filter.passes(&node)), passes, "{text}");
    }
    for wrong in ["", "/default", "pods/a/b/c", "pods//web", "a b"] {
        assert!(wrong.parse::<Filter>().is_err(), "{wrong:?}");
    }
}

#[test]
fn its_subject_is_the_streams() {
    let subjects = Subjects::new("c");
    let subject = |text: &str| subjects.events_matching(&text.parse().unwrap());
    assert_eq!(subject("*"), "cox.c.events.*.*.*.*");
    assert_eq!(subject("pods"), "cox.c.events.core.pods.*.*");
    assert_eq!(subject("deployments.apps/default"), "cox.c.events.apps.deployments.default.*");
    assert_eq!(subject("nodes/_/n1"), subjects.event(&Key::new(Resource::NODES, "", "n1")));
    assert_eq!(subject("configmaps/a/b.c"), subjects.event(&Key::new(Resource::CONFIGMAPS, "a", "b.c")));
}

#[test]
fn filters_that_share_an_event_overlap() {
    let overlap = |a: &str, b: &str| a.parse::<Filter>().unwrap().overlaps(&b.parse().unwrap());
    assert!(overlap("*", "pods") && overlap("pods", "pods/default") && overlap("*/default", "pods"));
    assert!(!overlap("pods", "nodes") && !overlap("pods/a", "pods/b") && !overlap("*/a", "pods/b"));
}
