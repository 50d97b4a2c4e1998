//! A node in trouble: its agent killed, cut off from the bus, with a container runtime that hangs. Pods run on, what is told afterwards is
//! right, nothing is started twice, and nothing is left.
//!
//! `COX_FAULTS=long` cuts the node off for five minutes and kills its agent ninety times.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cox_tests::faults::{long, rounds};
use cox_tests::process::{Process, binary};
use cox_tests::wait::{Look, until};
use cox_tests::{Cluster, Node, image, machine};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use relay::Relay;

#[path = "faults_node/relay.rs"]
mod relay;

const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster whose kubelet is a process of its own, and sees the bus through a relay.
struct Rig {
    cluster: Cluster,
    relay: Relay,
    arguments: Vec<String>,
    kubelet: Option<Process>,
    /// The containers run `sleep` for so many seconds, by which they are known on the machine.
    seconds: &'static str,
}

impl Rig {
    fn start(node: Node, seconds: &'static str) -> Result<Rig> {
        let name = format!("node-{}", node.slot);
        let cluster = Cluster::with_node(node, &["--without", "kubelet"])?;
        let credentials = cluster.credentials(&format!("node:{name}"));
        let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&credentials)?)?;
        let url = file.get("url").and_then(serde_json::Value::as_str).context("no url")?;
        let relay = Relay::start(url.trim_start_matches("nats://"))?;
        let arguments = vec![
            "component".to_owned(),
            "kubelet".to_owned(),
            format!("--nats-url=nats://127.0.0.1:{}", relay.port()),
            format!("--creds={}", credentials.display()),
            format!("--data-dir={}", cluster.data().display()),
            format!("--log-dir={}", cluster.scratch().join("log").display()),
            format!("--node-name={name}"),
            format!("--pod-cidr=10.244.{}.0/24", node.slot),
            format!("--service-cidr=10.97.{}.0/24", node.slot),
        ];
        let mut rig = Rig { cluster, relay, arguments, kubelet: None, seconds };
        rig.start_kubelet()?;
        Ok(rig)
    }

    fn start_kubelet(&mut self) -> Result<()> {
        let messages = self.cluster.scratch().join("kubelet.log");
        self.kubelet.insert(Process::start(&self.arguments, &messages)?).ready().map(drop)
    }

    fn kill_kubelet(&mut self) -> Result<()> {
        self.kubelet.take().context("it does not run")?.kill()
    }

    /// Makes a Deployment whose pods are probed once a second, and note that.
    fn deploy(&self, replicas: usize) -> Result<()> {
        let seconds = self.seconds;
        let deployment = format!(
            r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "worker"}},
                "spec": {{"replicas": {replicas}, "selector": {{"matchLabels": {{"app": "worker"}}}},
                  "template": {{"metadata": {{"labels": {{"app": "worker"}}}},
                    "spec": {{"terminationGracePeriodSeconds": 1, "containers": [{{"name": "main", "image": "{}",
                      "command": ["sh", "-c", "exec sleep {seconds}"],
                      "livenessProbe": {{"exec": {{"command": ["sh", "-c", "echo >> /tmp/probed"]}}, "periodSeconds": 1, "timeoutSeconds": 20}}}}]}}}}}}}}"#,
            image::NAME
        );
        self.cluster.kubectl_with(&["apply", "-f", "-"], &deployment).map(drop)
    }

    fn scale(&self, replicas: usize) -> Result<()> {
        self.cluster.kubectl(&["scale", "deployment", "worker", &format!("--replicas={replicas}")]).map(drop)
    }

    fn processes(&self) -> Result<BTreeSet<i32>> {
        Ok(machine::running(&["sleep", self.seconds])?.into_iter().collect())
    }

    /// Waits until so many containers run, and as many pods are told to be ready.
    fn settled(&self, count: usize) -> Result<BTreeSet<i32>> {
        until(&format!("{count} pods are ready"), PATIENCE, || {
            let ready =
                self.cluster.kubectl(&["get", "deployment", "worker", "-o", "jsonpath={.status.readyReplicas}"])?;
            let pods = self.pods(".metadata.name")?.len();
            let found = self.processes()?;
            let whole = found.len() == count && pods == count && ready == count.to_string();
            Ok(if whole {
                Look::Done(found)
            } else {
                Look::NotYet(format!("{ready:?} of {pods} ready, {found:?} run"))
            })
        })
    }

    /// A field of each pod.
    fn pods(&self, field: &str) -> Result<Vec<String>> {
        let query = format!("jsonpath={{range .items[*]}}{{{field}}}{{\"\\n\"}}{{end}}");
        Ok(self.cluster.kubectl(&["get", "pods", "-o", &query])?.lines().map(str::to_owned).collect())
    }

    /// Whether the Node is ready, as the API has it.
    fn node_is(&self, status: &str) -> Result<bool> {
        let query = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
        Ok(self.cluster.kubectl(&["get", "nodes", "-o", query])? == status)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let messages = self.cluster.scratch().join("kubelet.log");
            eprintln!("--- what the kubelet said last ---\n{}", cox_tests::process::tail(&messages));
        }
        // Before the cluster, which takes down what the kubelet has.
        self.kubelet = None;
    }
}

/// How often a container was probed.
fn probes(pid: i32) -> usize {
    std::fs::read(format!("/proc/{pid}/root/tmp/probed")).map_or(0, |text| text.len())
}

#[test]
fn a_node_that_is_cut_off_keeps_its_pods_and_tells_afterwards() -> Result<()> {
    let rig = Rig::start(Node { slot: 111 }, "86411")?;
    rig.deploy(3)?;
    let before = rig.settled(3)?;
    until("the node is ready", PATIENCE, || Ok(Look::at(rig.node_is("True")?, || "it is not".to_owned())))?;

    rig.relay.cut();
    let cut = Instant::now();
    let probed: Vec<(i32, usize)> = before.iter().map(|pid| (*pid, probes(*pid))).collect();
    let killed = *before.first().context("nothing runs")?;
    kill(Pid::from_raw(killed), Signal::SIGKILL)?;
    let now = until("the killed container runs again without the bus", PATIENCE, || {
        let now = rig.processes()?;
        Ok(if now.len() == 3 && !now.contains(&killed) { Look::Done(now) } else { Look::NotYet(format!("{now:?}")) })
    })?;
    until("the others are probed without the bus", PATIENCE, || {
        let mut others = probed.iter().filter(|(pid, _)| *pid != killed);
        Ok(Look::at(others.all(|(pid, then)| probes(*pid) >= then + 3), || format!("{probed:?}")))
    })?;
    assert_eq!(rig.pods(".status.containerStatuses[0].restartCount")?, ["0"; 3], "nobody could tell of it");
    if long() {
        let gone = Duration::from_secs(300);
        until("the node is given up", gone, || Ok(Look::at(rig.node_is("Unknown")?, || "it is not".to_owned())))?;
        until("five minutes have passed", gone * 2, || Ok(Look::at(cut.elapsed() >= gone, String::new)))?;
        assert_eq!(rig.processes()?, now, "the pods run on all the time");
    }
    let away = cut.elapsed().as_secs();
    rig.relay.mend();

    until("the node is back", PATIENCE, || Ok(Look::at(rig.node_is("True")?, || "it is not".to_owned())))?;
    until("the restart is told", PATIENCE, || {
        let mut counts = rig.pods(".status.containerStatuses[0].restartCount")?;
        counts.sort();
        Ok(Look::at(counts == ["0", "0", "1"], || format!("{counts:?}")))
    })?;
    let ends = rig.pods(".status.containerStatuses[0].lastState.terminated.exitCode")?;
    assert_eq!(ends.iter().filter(|code| !code.is_empty()).collect::<Vec<_>>(), ["137"]);
    assert_eq!(rig.settled(3)?, now, "nothing was started when the bus came back");
    let ready = rig.pods(".status.conditions[?(@.type==\"Ready\")].status")?;
    assert_eq!(ready, ["True"; 3]);
    rig.scale(4)?;
    ensure!(rig.settled(4)?.is_superset(&now), "and new pods are started");
    println!(
        "{away} seconds without the bus: 3 pods ran on and were probed, one that was killed ran again, all of it was told afterwards"
    );
    Ok(())
}

#[test]
fn a_kubelet_that_is_killed_at_any_moment_starts_nothing_twice_and_leaves_nothing() -> Result<()> {
    let mut rig = Rig::start(Node { slot: 112 }, "86412")?;
    rig.deploy(2)?;
    rig.settled(2)?;
    // What there is without pods, once everything has been used.
    rig.scale(0)?;
    nobody_runs(&rig)?;
    let (id, data) = (rig.cluster.id()?, rig.cluster.data());
    let empty = until("the last pods are cleared away", PATIENCE, || {
        let traces = traces(&id, &data)?;
        let pods = traces.iter().any(|trace| trace.contains("/containers/") || trace.contains("/sandboxes/"));
        Ok(if pods { Look::NotYet(format!("{traces:#?}")) } else { Look::Done(traces) })
    })?;

    let rounds = rounds(2, 30);
    for round in 0..rounds {
        let (more, wait) = (1 + usize::try_from(round % 4)?, Duration::from_millis(round * 23 % 120));
        rig.scale(more)?;
        // Somewhere on the way.
        std::thread::sleep(wait);
        rig.kill_kubelet()?;
        rig.start_kubelet()?;
        let running = rig.settled(more).with_context(|| format!("round {round}"))?;
        let restarts = rig.pods(".status.containerStatuses[0].restartCount")?;
        ensure!(restarts.iter().all(|count| count == "0"), "round {round}: {restarts:?}");
        // What ends while nobody looks is found.
        let killed = *running.first().context("nothing runs")?;
        rig.kill_kubelet()?;
        kill(Pid::from_raw(killed), Signal::SIGKILL)?;
        rig.start_kubelet()?;
        until("its end is told", PATIENCE, || {
            let counts = rig.pods(".status.containerStatuses[0].restartCount")?;
            Ok(Look::at(counts.iter().filter(|count| *count == "1").count() == 1, || format!("{counts:?}")))
        })?;
        rig.scale(0)?;
        std::thread::sleep(wait);
        rig.kill_kubelet()?;
        rig.start_kubelet()?;
        nobody_runs(&rig)?;
        until("nothing is left", PATIENCE, || {
            let left: BTreeSet<_> = traces(&id, &data)?.difference(&empty).cloned().collect();
            Ok(Look::at(left.is_empty(), || format!("round {round}: {left:#?}")))
        })?;
    }
    println!(
        "{} kills of the kubelet at starts, ends and deletions: nothing was started twice, nothing is left",
        rounds * 3
    );
    Ok(())
}

fn nobody_runs(rig: &Rig) -> Result<BTreeSet<i32>> {
    until("all pods are gone", PATIENCE, || {
        let (pods, running) = (rig.pods(".metadata.name")?, rig.processes()?);
        let none = pods.is_empty() && running.is_empty();
        Ok(if none { Look::Done(running) } else { Look::NotYet(format!("{pods:?}, {running:?} run")) })
    })
}

/// What a cluster has beside its node's containers is what a backup has.
fn put_back(cluster: &Cluster, backup: &Path) -> Result<()> {
    let (data, restored) = (cluster.data(), cluster.scratch().join("restored"));
    let mut restore = Command::new(binary()?);
    let done = restore.arg("restore").arg(backup).arg("--data-dir").arg(&restored).output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for entry in std::fs::read_dir(&data)?.flatten().filter(|entry| entry.file_name() != "node") {
        let path = entry.path();
        if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
    }
    for entry in std::fs::read_dir(&restored)?.flatten() {
        std::fs::rename(entry.path(), data.join(entry.file_name()))?;
    }
    Ok(())
}

/// The node is there all the time. A pod that the backup knows runs on, one that was deleted since is started again, and those that came
/// since end.
#[test]
fn a_node_whose_cluster_is_restored_has_the_pods_of_the_backup() -> Result<()> {
    let mut rig = Rig::start(Node { slot: 114 }, "86414")?;
    rig.deploy(2)?;
    let before = rig.settled(2)?;
    let names = rig.pods(".metadata.name")?;
    let backup = rig.cluster.scratch().join("backup");
    rig.cluster.cox(&["backup", &backup.to_string_lossy()])?;
    rig.scale(3)?;
    rig.settled(3)?;
    rig.cluster.kubectl(&["delete", "pod", names.first().context("no pod")?])?;
    let after = rig.settled(3)?;
    let [kept] = before.intersection(&after).copied().collect::<Vec<_>>()[..] else { bail!("{before:?}, {after:?}") };

    rig.cluster.stop()?;
    put_back(&rig.cluster, &backup)?;
    rig.cluster.up()?;
    // What the API tells is that of the backup at first, so it is the machine that is looked at.
    until("what came after the backup ends, and what was there runs", PATIENCE, || {
        let now = rig.processes()?;
        let right = now.len() == 2 && now.intersection(&after).eq([&kept]);
        Ok(Look::at(right, || format!("{now:?} after {after:?}; {kept} is to be kept")))
    })?;
    let now = rig.settled(2)?;
    ensure!(now.contains(&kept), "{kept} was not left alone: {now:?}");
    ensure!(rig.pods(".metadata.name")? == names, "{names:?} are the pods");
    rig.scale(3)?;
    ensure!(rig.settled(3)?.is_superset(&now), "and the node goes on");
    Ok(())
}

/// Everything of the cluster on this machine but its own processes: mounts, namespaces, cables, tables, cgroups, monitors, addresses.
fn traces(id: &str, data: &Path) -> Result<BTreeSet<String>> {
    let mut traces: BTreeSet<String> = machine::traces(id, data)?.into_iter().collect();
    // Its own processes come and go, and a bridge's line tells whether it has ports.
    traces.retain(|trace| !trace.starts_with("process ") || trace.contains("monitor\0run"));
    traces.retain(|trace| !trace.starts_with("link ") || trace.contains(" master "));
    for folder in std::fs::read_dir(data.join("node/run/addresses")).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(folder.path())?.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.parse::<std::net::Ipv4Addr>().is_ok() {
                traces.insert(format!("address {name}"));
            }
        }
    }
    for kind in ["containers", "sandboxes"] {
        let entries = std::fs::read_dir(data.join("node/run").join(kind)).into_iter().flatten().flatten();
        traces.extend(entries.map(|entry| format!("/{kind}/ {}", entry.file_name().to_string_lossy())));
    }
    Ok(traces)
}

#[test]
fn a_container_runtime_that_hangs_is_told_and_leaves_nothing() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (fake, fault) = (place.path().join("crun"), place.path().join("fault"));
    let real = ["/usr/bin/crun", "/usr/local/bin/crun", "/usr/bin/runc"].map(PathBuf::from);
    let real = real.into_iter().find(|path| path.exists()).context("no OCI runtime is installed")?;
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *\" run \"*) if [ -e {0} ]; then {1} \"$@\"; tail -f {0}; fi;; esac\nexec {1} \"$@\"\n",
        fault.display(),
        real.display()
    );
    std::fs::write(&fake, script)?;
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755))?;
    let runtime = format!("--runtime={}", fake.display());
    let cluster = Cluster::with_node(Node { slot: 113 }, &[&runtime, "--runtime-timeout=2"])?;
    let seconds = "86413";
    let pod = |name: &str| {
        let pod = format!(
            r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "{name}"}}, "spec": {{"terminationGracePeriodSeconds": 1,
                "containers": [{{"name": "c", "image": "{}", "command": ["sleep", "{seconds}"]}}]}}}}"#,
            image::NAME
        );
        cluster.kubectl_with(&["apply", "-f", "-"], &pod)
    };
    std::fs::write(&fault, "")?;
    for name in ["hangs", "goes"] {
        pod(name)?;
        until("it is told", PATIENCE, || {
            let events = cluster.kubectl(&["describe", "pod", name])?;
            Ok(Look::at(events.contains("did not end within 2 s and was killed"), || events))
        })?;
        // The container that it had started before it hung is killed with it. It is tried again, so others may run by then.
        let started = machine::running(&["sleep", seconds])?;
        until("what it had started is killed", PATIENCE, || {
            let running = machine::running(&["sleep", seconds])?;
            let left: Vec<_> = started.iter().filter(|pid| running.contains(pid)).collect();
            Ok(Look::at(left.is_empty(), || format!("{left:?}")))
        })?;
    }
    cluster.kubectl(&["delete", "pod", "goes", "--timeout=60s"])?;
    std::fs::remove_file(&fault)?;
    let ready = ["wait", "--for=condition=Ready", "pod/hangs", "--timeout=60s"];
    cluster.kubectl(&ready)?;
    assert_eq!(machine::running(&["sleep", seconds])?.len(), 1);
    assert_eq!(cluster.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"])?, "hangs");
    cluster.kubectl(&["delete", "pod", "hangs", "--timeout=60s"])?;
    let run = cluster.data().join("node/run");
    let text = run.display().to_string();
    until("nothing is left", PATIENCE, || {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let mut left: Vec<String> = mounts.lines().filter(|line| line.contains(&text)).map(str::to_owned).collect();
        for kind in ["containers", "sandboxes", "oci"] {
            left.extend(std::fs::read_dir(run.join(kind))?.flatten().map(|entry| entry.path().display().to_string()));
        }
        left.extend(machine::mentioning(&fault.display().to_string())?.into_iter().map(|pid| format!("process {pid}")));
        Ok(Look::at(left.is_empty(), || format!("{left:#?}")))
    })?;
    println!("2 pods whose container runtime hung: told, what it had started was killed, nothing is left");
    Ok(())
}
