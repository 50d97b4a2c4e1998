//! Links stay on the proxy.

use proptest::prelude::*;

use super::*;

const PREFIX: &str = "/api/v1/namespaces/n/pods/p/proxy";

fn rewritten(page: &str) -> String {
    String::from_utf8(Links::new(PREFIX, "h:1").rewritten(page.as_bytes())).unwrap()
}

#[test]
fn paths_of_the_other_side_get_the_prefix() {
    let links = Links::new(PREFIX, "h:1");
    for (link, moved) in [
        ("/a?b=c#d", Some("/a?b=c#d")),
        ("https://h:1/a", Some("/a")),
        ("//h:1/a", Some("/a")),
        ("a", None),
        ("", None),
        ("https://elsewhere/a", None),
        ("//elsewhere/a", None),
        ("/api/v1/namespaces/n/pods/p/proxy/a", None),
    ] {
        assert_eq!(links.moved(link), moved.map(|path| format!("{PREFIX}{path}")), "{link}");
    }
}

#[test]
fn links_of_pages_are_moved_and_nothing_else() {
    for (page, expected) in [
        ("<a href=\"/rewriteme\">test</a>", "<a href=\"@/rewriteme\">test</a>"),
        ("<IMG alt='/x' SRC = '/i.png' />", "<IMG alt='/x' SRC = '@/i.png' />"),
        ("<form action=/go method=post>", "<form action=@/go method=post>"),
        ("<a href=\"/a>b\" title=\"/t\">", "<a href=\"@/a>b\" title=\"/t\">"),
        ("href=\"/text\" <b>1 < 2</b>", "href=\"/text\" <b>1 < 2</b>"),
        ("<!-- <a href=\"/x\"> --><a href=\"r\">", "<!-- <a href=\"/x\"> --><a href=\"r\">"),
        ("<a href=\"/open", "<a href=\"/open"),
    ] {
        assert_eq!(rewritten(page), expected.replace('@', PREFIX));
    }
}

proptest! {
    #[test]
    fn a_page_without_links_stays_as_it_is(page in "[a-z<>\"'=/! -]{0,80}") {
        // No attribute that holds links can be made of a page without these letters.
        let page = page.replace(['r', 'd', 'i'], "x");
        prop_assert_eq!(rewritten(&page), page);
    }

    #[test]
    fn any_bytes_are_a_page(page in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Links::new("", "h").rewritten(&page).len() >= page.len());
    }
}
