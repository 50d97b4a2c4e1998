//! UDP flows on a real kernel, in a network namespace of the test's own (root; nft and ip).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use cox_proxy::conntrack::{Destinations, forget};
use cox_proxy::ruleset::{Network, Ruleset};
use cox_proxy::services::{Forward, Protocol, Target};
use nix::sched::{CloneFlags, unshare};

/// The Service 10.96.0.9:53, served on a port of this host.
fn forward(port: u16) -> Forward {
    let targets = BTreeSet::from([Target { address: "10.0.0.2".parse().unwrap(), port }]);
    Forward {
        name: "default/dns:".to_owned(),
        protocol: Protocol::Udp,
        port: 53,
        addresses: BTreeSet::from(["10.96.0.9".parse().unwrap()]),
        node_port: None,
        internal: targets.clone(),
        external: targets,
        keeps_source: false,
        affinity: None,
    }
}

fn run(program: &str, args: &[&str], input: &str) {
    let mut child = Command::new(program).args(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program} {args:?}: {input}");
}

fn translate_to(port: u16) {
    let network = Network { table: "conntrack_test".to_owned(), pod_cidr: "10.244.0.0/16".to_owned() };
    run("nft", &["-f", "-"], &Ruleset::new(&[forward(port)]).transaction(None, &network));
}

fn hears(server: &UdpSocket) -> bool {
    server.recv(&mut [0; 16]).is_ok()
}

#[test]
fn a_client_that_keeps_its_port_finds_the_new_target() {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root");
    run("ip", &["link", "set", "lo", "up"], "");
    for address in ["10.0.0.1/32", "10.0.0.2/32"] {
        run("ip", &["address", "add", address, "dev", "lo"], "");
    }
    run("ip", &["route", "add", "10.96.0.0/16", "dev", "lo"], "");
    let [first, second] = [(); 2].map(|()| {
        let server = UdpSocket::bind("10.0.0.2:0").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        server
    });
    let [one, two] = [&first, &second].map(|server| server.local_addr().unwrap().port());
    let client = UdpSocket::bind("10.0.0.1:0").unwrap();
    let ask = || client.send_to(b"hi", "10.96.0.9:53").unwrap();

    translate_to(one);
    ask();
    assert!(hears(&first));
    assert_eq!(forget(&Destinations::of(&[forward(one)])).unwrap(), 0, "a flow to a target stays");

    translate_to(two);
    ask();
    assert!(hears(&first) && !hears(&second), "the kernel remembers a flow longer than the rules that made it");
    assert_eq!(forget(&Destinations::of(&[forward(two)])).unwrap(), 1);
    ask();
    assert!(hears(&second) && !hears(&first));

    let gone = Destinations::default().after(&Destinations::of(&[forward(two)]));
    assert_eq!(forget(&gone).unwrap(), 1, "a Service that is gone has no flows");
}
