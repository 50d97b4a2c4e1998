//! Every transaction is taken by nft as a whole, from any state to any other.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

fn network() -> Network {
    Network { table: "cox_test".into(), pod_cidr: "10.244.0.0/16".into() }
}

fn forward(name: &str, targets: u8, affinity: Option<u32>) -> Forward {
    let targets: BTreeSet<Target> =
        (1..=targets).map(|i| Target { address: Ipv4Addr::new(10, 244, 0, i), port: 3000 }).collect();
    Forward {
        name: format!("default/{name}:"),
        protocol: Protocol::Tcp,
        port: 3050,
        addresses: [Ipv4Addr::new(10, 96, 0, name.len() as u8)].into(),
        node_port: Some(31000 + name.len() as u16),
        internal: targets.clone(),
        external: targets,
        keeps_source: false,
        affinity,
    }
}

/// Runs transactions one after the other in a network namespace of its own, and returns what stands there in the end.
fn run(transactions: &[String]) -> Result<String, String> {
    let script = "for f in \"$@\"; do nft -f \"$f\" || { cat \"$f\" >&2; exit 1; }; done; nft list ruleset";
    let dir = tempfile_dir();
    let files: Vec<String> = transactions
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let path = format!("{dir}/{i}.nft");
            std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
            path
        })
        .collect();
    let out = Command::new("unshare")
        .args(["--net", "sh", "-c", script, "sh"])
        .args(&files)
        .stdin(Stdio::null())
        .output()
        .expect("unshare and nft are installed");
    std::fs::remove_dir_all(&dir).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if out.status.success() { Ok(text(out.stdout)) } else { Err(text(out.stderr)) }
}

fn tempfile_dir() -> String {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let dir = std::env::temp_dir().join(format!("cox-proxy-{}-{count}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir.to_str().unwrap().to_owned()
}

#[test]
fn the_rules_of_one_service_read_as_meant() {
    insta::assert_snapshot!(Ruleset::new(&[forward("web", 2, None)]).transaction(None, &network()));
}

#[test]
fn nft_takes_the_first_and_every_later_transaction() {
    let first = Ruleset::new(&[forward("web", 3, None), forward("sticky", 2, Some(60)), forward("empty", 0, None)]);
    let second = Ruleset::new(&[forward("web", 1, Some(10)), forward("sticky", 1, Some(90))]);
    let third = Ruleset::new(&[]);
    let net = network();
    let steps =
        [first.transaction(None, &net), second.transaction(Some(&first), &net), third.transaction(Some(&second), &net)];
    let before_last = run(&steps[..2]).unwrap();
    assert!(before_last.contains("timeout 1m30s") && !before_last.contains("in_default_empty"), "{before_last}");
    let last = run(&steps).unwrap();
    assert!(!last.contains("default_web") && last.contains("chain loopback_guard"), "{last}");
    let gone = run(&[steps[0].clone(), removal(&net.table)]).unwrap();
    assert_eq!(gone.trim(), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// From any rules to any others, through any third.
    #[test]
    fn any_sequence_of_states_is_taken(states in prop::collection::vec(prop::collection::vec((1usize..6, 0u8..4, prop::option::of(5u32..9)), 0..5), 1..4)) {
        let net = network();
        let mut before: Option<Ruleset> = None;
        let mut steps = Vec::new();
        for state in states {
            let mut names = BTreeSet::new();
            let forwards: Vec<Forward> = state.iter().filter(|(n, ..)| names.insert(*n))
                .map(|(n, targets, affinity)| forward(&"x".repeat(*n), *targets, *affinity)).collect();
            let rules = Ruleset::new(&forwards);
            steps.push(rules.transaction(before.as_ref(), &net));
            before = Some(rules);
        }
        if let Err(error) = run(&steps) { prop_assert!(false, "{error}"); }
    }
}
