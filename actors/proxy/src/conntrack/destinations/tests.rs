//! Only flows of Services that go astray are stale.

use super::*;

fn forward(protocol: Protocol, targets: &[&str]) -> Forward {
    let targets: BTreeSet<Target> = targets.iter().map(|a| Target { address: a.parse().unwrap(), port: 53 }).collect();
    Forward {
        name: "default/dns:".to_owned(),
        protocol,
        port: 5353,
        addresses: BTreeSet::from(["10.96.0.9".parse().unwrap()]),
        node_port: Some(30053),
        internal: targets.clone(),
        external: targets,
        keeps_source: false,
        affinity: None,
    }
}

fn flow(to: &str, from: &str) -> Flow {
    Flow { destination: to.parse().unwrap(), answers_from: from.parse().unwrap(), identity: Vec::new() }
}

#[test]
fn flows_to_what_is_no_target_are_stale() {
    let now = Destinations::of(&[forward(Protocol::Udp, &["10.244.0.2"])]);
    for (to, from, stale) in [
        ("10.96.0.9:5353", "10.244.0.2:53", false),
        ("10.96.0.9:5353", "10.244.0.1:53", true),
        ("10.96.0.9:5353", "10.244.0.2:54", true),
        // Sent before there was a rule, and so not translated.
        ("10.96.0.9:5353", "10.96.0.9:5353", true),
        ("10.96.0.9:53", "10.244.0.1:53", false),
        ("10.96.0.8:5353", "10.244.0.1:53", false),
        ("192.0.2.1:30053", "10.244.0.2:53", false),
        ("192.0.2.1:30053", "10.244.0.1:53", true),
        ("198.51.100.1:30053", "198.51.100.1:30053", false),
    ] {
        assert_eq!(now.are_left_by(&flow(to, from)), stale, "{to} answered from {from}");
    }
}

#[test]
fn flows_of_a_service_that_is_gone_are_stale() {
    let before = Destinations::of(&[forward(Protocol::Udp, &["10.244.0.2"])]);
    let (now, to_service) = (Destinations::of(&[]), flow("10.96.0.9:5353", "10.244.0.2:53"));
    assert!(!now.are_left_by(&to_service), "of what was never a Service nothing is known");
    assert!(now.after(&before).are_left_by(&to_service));
    assert!(now.after(&before).are_left_by(&flow("127.0.0.1:30053", "10.244.0.2:53")));
    let back = Destinations::of(&[forward(Protocol::Udp, &["10.244.0.2"])]);
    assert!(!back.after(&now.after(&before)).are_left_by(&to_service));
}

#[test]
fn tcp_ends_by_itself() {
    assert_eq!(Destinations::of(&[forward(Protocol::Tcp, &["10.244.0.2"])]), Destinations::default());
}
