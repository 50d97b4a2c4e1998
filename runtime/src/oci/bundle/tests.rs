//! Tests of the configuration: what a container's fields become.

use serde_json::Value;

use super::*;
use crate::port::container::{Security, Stdio, UserSpec};
use crate::port::sandbox::SandboxId;

fn spec() -> ContainerSpec {
    ContainerSpec {
        sandbox: SandboxId("s".into()),
        target: None,
        name: "c".into(),
        attempt: 0,
        labels: BTreeMap::new(),
        image: "i".into(),
        command: Vec::new(),
        args: Vec::new(),
        env: vec![("A".into(), "2".into()), ("PATH".into(), "/p".into())],
        working_dir: None,
        user: UserSpec::default(),
        mounts: Vec::new(),
        devices: Vec::new(),
        security: Security::default(),
        resources: Resources::default(),
        stdio: Stdio::default(),
        log_path: "c/0.log".into(),
        stop_signal: None,
    }
}

fn image() -> ImageConfig {
    ImageConfig {
        entrypoint: vec!["/e".into()],
        cmd: vec!["x".into()],
        env: vec!["A=1".into(), "B=1".into()],
        working_dir: "/w".into(),
        ..ImageConfig::default()
    }
}

fn built(spec: &ContainerSpec) -> Result<Value, (&'static str, String)> {
    let user = User { uid: 5, gid: 6, supplemental_groups: vec![6, 7] };
    let inputs = Inputs {
        spec,
        image: &image(),
        user: &user,
        home: "/home/u",
        hostname: "web-1",
        host: HostNamespaces::default(),
        images: &BTreeMap::new(),
        namespaces: BTreeMap::from([("network", PathBuf::from("/ns/net"))]),
        shm: Path::new("/shm"),
        cgroup: "/cox/p/c",
        unified_cgroups: false,
        devices: Vec::new(),
        seccomp_file: None,
        capabilities: u64::MAX,
        least_oom_score_adj: -500,
        apparmor: false,
    };
    build(&inputs).map(|spec| serde_json::to_value(spec).unwrap())
}

#[test]
fn the_command_line_follows_the_rules_of_images() {
    let mut s = spec();
    assert_eq!(command_line(&s, &image()), ["/e", "x"]);
    s.args = vec!["y".into()];
    assert_eq!(command_line(&s, &image()), ["/e", "y"]);
    s.command = vec!["/c".into()];
    assert_eq!(command_line(&s, &image()), ["/c", "y"]);
    s.args.clear();
    assert_eq!(command_line(&s, &image()), ["/c"], "the image's cmd belongs to its entrypoint");
}

#[test]
fn the_environment_merges_with_the_callers_winning() {
    let process = &built(&spec()).unwrap()["process"];
    assert_eq!(process["env"], json!(["PATH=/p", "HOSTNAME=web-1", "HOME=/home/u", "A=2", "B=1"]));
    assert_eq!(process["cwd"], "/w");
    assert_eq!(process["user"], json!({"uid": 5, "gid": 6, "additionalGids": [6, 7]}));
}

#[test]
fn namespaces_are_joined_made_or_left() {
    let mut namespaces: Vec<String> = built(&spec()).unwrap()["linux"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| format!("{}:{}", n["type"].as_str().unwrap(), n["path"].as_str().unwrap_or("new")))
        .collect();
    namespaces.sort();
    assert_eq!(namespaces, ["mount:new", "network:/ns/net", "pid:new"]);
}

#[test]
fn own_mounts_replace_defaults_and_go_outer_first() {
    let bind = |target: &str, read_only| Mount {
        target: target.into(),
        source: MountSource::Bind {
            path: "/src".into(),
            propagation: Propagation::HostToContainer,
            recursive_read_only: false,
        },
        read_only,
    };
    let tmpfs = MountSource::Tmpfs { size: Some(4096), mode: 0o1777 };
    let s = ContainerSpec {
        mounts: vec![
            bind("/a/b", true),
            bind("/a", false),
            Mount { target: "/dev/shm".into(), source: tmpfs, read_only: false },
        ],
        ..spec()
    };
    let config = built(&s).unwrap();
    let mounts = config["mounts"].as_array().unwrap();
    let at = |target: &str| mounts.iter().position(|m| m["destination"] == target).unwrap();
    assert!(at("/a") < at("/a/b"));
    assert_eq!(mounts.iter().filter(|m| m["destination"] == "/dev/shm").count(), 1);
    assert_eq!(mounts[at("/dev/shm")]["options"], json!(["nosuid", "nodev", "rw", "mode=1777", "size=4096"]));
    assert_eq!(mounts[at("/a/b")]["options"], json!(["rbind", "rslave", "ro"]));
    assert_eq!(config["linux"]["rootfsPropagation"], "rslave");
}

#[test]
fn privileges_are_what_was_asked_for() {
    let plain = built(&spec()).unwrap();
    assert_eq!(plain["process"]["capabilities"]["bounding"].as_array().unwrap().len(), 14);
    assert!(!plain["linux"]["maskedPaths"].as_array().unwrap().is_empty());
    assert_eq!(plain["linux"]["resources"]["devices"][0]["allow"], false);
    assert!(plain["linux"].get("seccomp").is_none());

    let s = ContainerSpec {
        security: Security { seccomp: SeccompProfile::RuntimeDefault, ..Security::default() },
        resources: Resources { oom_score_adj: Some(-998), memory_limit: Some(1 << 20), ..Resources::default() },
        ..spec()
    };
    let confined = built(&s).unwrap();
    assert_eq!(confined["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(confined["process"]["oomScoreAdj"], -500, "the least that we may set");
    assert_eq!(confined["linux"]["resources"]["memory"]["limit"], 1 << 20);

    let s = ContainerSpec { security: Security { privileged: true, ..s.security }, ..s };
    let privileged = built(&s).unwrap();
    assert!(privileged["linux"].get("seccomp").is_none() && privileged["linux"].get("maskedPaths").is_none());
    assert_eq!(privileged["process"]["capabilities"]["bounding"].as_array().unwrap().len(), 41);
    assert_eq!(privileged["linux"]["resources"]["devices"][0]["allow"], true);
}

#[test]
fn mistakes_are_named() {
    let relative = ContainerSpec { working_dir: Some("tmp".into()), ..spec() };
    assert_eq!(built(&relative).unwrap_err().0, "working_dir");
    let unknown = Security {
        capabilities: crate::port::container::Capabilities { add: vec!["FLY".into()], drop: vec![] },
        ..Security::default()
    };
    assert_eq!(built(&ContainerSpec { security: unknown, ..spec() }).unwrap_err().0, "capabilities");
}

#[test]
fn a_terminal_brings_its_environment() {
    let s = ContainerSpec { stdio: Stdio { tty: true, ..Stdio::default() }, ..spec() };
    let config = built(&s).unwrap();
    assert_eq!(config["process"]["terminal"], true);
    assert!(config["process"]["env"].as_array().unwrap().contains(&json!("TERM=xterm")));
}
