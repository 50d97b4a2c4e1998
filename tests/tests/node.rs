//! Real containers through real kubectl: pods run, are restarted, outlive `cox`, and go without a trace.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use cox_tests::wait::{Look, until};
use cox_tests::{Cluster, Node, image, machine};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(40);

fn web(name: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "{name}", "labels": {{"component": "web"}}}},
            "spec": {{"terminationGracePeriodSeconds": 1, "containers": [{{"name": "client", "image": "{}"}}]}}}}"#,
        image::NAME
    )
}

/// A Deployment whose containers run `sleep <seconds>`, by which their processes are found on the machine.
fn sleepers(name: &str, replicas: u32, seconds: &str) -> String {
    format!(
        r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "{name}"}},
            "spec": {{"replicas": {replicas}, "selector": {{"matchLabels": {{"app": "{name}"}}}},
              "template": {{"metadata": {{"labels": {{"app": "{name}"}}}},
                "spec": {{"terminationGracePeriodSeconds": 1, "containers": [{{"name": "main", "image": "{}",
                  "command": ["sh", "-c", "echo begun; exec sleep {seconds}"]}}]}}}}}}}}"#,
        image::NAME
    )
}

fn processes(seconds: &str) -> Result<Vec<i32>> {
    machine::running(&["sleep", seconds])
}

/// Waits until exactly so many of them run and the Deployment is as large as it shall be.
fn settled(cluster: &Cluster, name: &str, count: usize, seconds: &str) -> Result<Vec<i32>> {
    let deployment = format!("deployment/{name}");
    cluster.kubectl(&["rollout", "status", &deployment, "--timeout=40s"])?;
    until(&format!("{count} containers run"), PATIENCE, || {
        let found = processes(seconds)?;
        Ok(if found.len() == count { Look::Done(found) } else { Look::NotYet(format!("{found:?}")) })
    })
}

#[test]
fn a_pod_runs_and_is_spoken_with() -> Result<()> {
    let cluster = Cluster::with_node(Node { slot: 101 }, &[])?;
    assert_eq!(cluster.kubectl_with(&["apply", "-f", "-"], &web("client-pod"))?, "pod/client-pod created\n");
    let ready = cluster.kubectl(&["wait", "--for=condition=Ready", "pod/client-pod", "--timeout=40s"])?;
    assert_eq!(ready, "pod/client-pod condition met\n");
    let row = cluster.kubectl(&["get", "pod", "client-pod", "--no-headers"])?;
    assert_eq!(row.split_whitespace().take(4).collect::<Vec<_>>(), ["client-pod", "1/1", "Running", "0"]);
    let wide = cluster.kubectl(&["get", "pod", "client-pod", "-o", "wide", "--no-headers"])?;
    assert!(wide.contains(" 10.244.101.") && wide.contains(" node-101 "), "{wide}");

    assert_eq!(cluster.kubectl(&["exec", "client-pod", "--", "hostname"])?, "client-pod\n");
    assert_eq!(cluster.kubectl_with(&["exec", "-i", "client-pod", "--", "cat"], "there and back")?, "there and back");
    let failed =
        cluster.try_kubectl(&["exec", "client-pod", "--", "sh", "-c", "echo out; echo err >&2; exit 3"], "")?;
    assert_eq!((failed.success, failed.out.as_str()), (false, "out\n"));
    assert_eq!(failed.err, "err\ncommand terminated with exit code 3\n");
    let file = cluster.scratch().join("note.txt");
    std::fs::write(&file, "copied\n")?;
    cluster.kubectl(&["cp", &file.to_string_lossy(), "client-pod:/tmp/note.txt"])?;
    assert_eq!(cluster.kubectl(&["exec", "client-pod", "--", "cat", "/tmp/note.txt"])?, "copied\n");
    // Events of an object are gathered for a second before they are written.
    let parts = ["Successfully assigned default/client-pod to node-101", "Container created", "Container started"];
    until("the pod's events are told", PATIENCE, || {
        let describe = cluster.kubectl(&["describe", "pod", "client-pod"])?;
        Ok(Look::at(parts.iter().all(|part| describe.contains(part)), || describe))
    })?;

    let gone = cluster.kubectl(&["delete", "pod", "client-pod", "--timeout=40s"])?;
    assert_eq!(gone, "pod \"client-pod\" deleted\n");
    assert!(cluster.try_kubectl(&["get", "pod", "client-pod"], "")?.err.contains("pods \"client-pod\" not found"));
    Ok(())
}

#[test]
fn a_killed_container_is_restarted_and_a_deleted_pod_replaced() -> Result<()> {
    let cluster = Cluster::with_node(Node { slot: 102 }, &[])?;
    let seconds = "86402";
    cluster.kubectl_with(&["apply", "-f", "-"], &sleepers("worker", 1, seconds))?;
    let first = settled(&cluster, "worker", 1, seconds)?;
    kill(Pid::from_raw(first.first().copied().unwrap_or_default()), Signal::SIGKILL)?;
    until("the container is restarted and counted", PATIENCE, || {
        let query = "jsonpath={.items[*].status.containerStatuses[0].restartCount} {.items[*].status.containerStatuses[0].lastState.terminated.exitCode}";
        let counted = cluster.kubectl(&["get", "pods", "-o", query])?;
        let now = processes(seconds)?;
        Ok(Look::at(counted == "1 137" && now.len() == 1 && now != first, || format!("{counted}; {now:?}")))
    })?;
    let name = |cluster: &Cluster| cluster.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"]);
    let pod = name(&cluster)?;
    assert_eq!(cluster.kubectl(&["logs", &pod])?, "begun\n");
    assert_eq!(cluster.kubectl(&["logs", &pod, "--previous"])?, "begun\n");

    cluster.kubectl(&["delete", "pod", &pod, "--timeout=40s"])?;
    settled(&cluster, "worker", 1, seconds)?;
    assert_ne!(name(&cluster)?, pod);
    Ok(())
}

#[test]
fn pods_outlive_cox_and_nothing_starts_twice() -> Result<()> {
    let mut cluster = Cluster::with_node(Node { slot: 103 }, &[])?;
    let seconds = "86403";
    cluster.kubectl_with(&["apply", "-f", "-"], &sleepers("worker", 3, seconds))?;
    let before = settled(&cluster, "worker", 3, seconds)?;
    for round in 0..2 {
        cluster.kill()?;
        assert_eq!(processes(seconds)?, before, "they run without cox");
        cluster.up()?;
        assert_eq!(settled(&cluster, "worker", 3, seconds)?, before, "round {round}");
    }
    cluster.stop()?;
    assert_eq!(processes(seconds)?, before, "they run after an orderly stop");
    cluster.up()?;
    assert_eq!(settled(&cluster, "worker", 3, seconds)?, before);
    // Killed while pods start: each of them runs once in the end.
    for replicas in [5, 6] {
        cluster.kubectl(&["scale", "deployment", "worker", &format!("--replicas={replicas}")])?;
        until("a new one starts", PATIENCE, || Ok(Look::at(processes(seconds)?.len() > 3, || "none".to_owned())))?;
        cluster.kill()?;
        cluster.up()?;
        let now: BTreeSet<i32> = settled(&cluster, "worker", replicas, seconds)?.into_iter().collect();
        ensure!(before.iter().all(|pid| now.contains(pid)), "{before:?} became {now:?}");
    }
    let restarts =
        cluster.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}"])?;
    assert_eq!(restarts, "0 0 0 0 0 0");
    let pod = cluster.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"])?;
    assert_eq!(cluster.kubectl(&["logs", &pod])?, "begun\n");
    assert_eq!(cluster.kubectl(&["exec", &pod, "--", "echo", "here"])?, "here\n");
    Ok(())
}

#[test]
fn a_node_that_lost_the_bus_keeps_its_pods_and_comes_back() -> Result<()> {
    let cluster = Cluster::with_node(Node { slot: 105 }, &[])?;
    let seconds = "86405";
    cluster.kubectl_with(&["apply", "-f", "-"], &sleepers("worker", 2, seconds))?;
    let before = settled(&cluster, "worker", 2, seconds)?;
    for replicas in [3, 4] {
        let server = cluster.nats_pid()?;
        kill(Pid::from_raw(server), Signal::SIGKILL)?;
        // The write comes while the bus is away, and is done when it is back.
        cluster.kubectl(&["scale", "deployment", "worker", &format!("--replicas={replicas}")])?;
        let now = settled(&cluster, "worker", replicas, seconds)?;
        ensure!(before.iter().all(|pid| now.contains(pid)), "{before:?} became {now:?}");
        assert_ne!(cluster.nats_pid()?, server, "it was started again");
    }
    let pod = cluster.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"])?;
    assert_eq!(cluster.kubectl(&["exec", &pod, "--", "echo", "here"])?, "here\n");
    Ok(())
}

#[test]
fn services_answer_and_down_leaves_nothing() -> Result<()> {
    let mut cluster = Cluster::with_node(Node { slot: 104 }, &[])?;
    let service = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front"}, "spec": {"type": "NodePort",
        "clusterIP": "10.97.104.50", "selector": {"component": "web"}, "ports": [{"port": 3050, "targetPort": 3000, "nodePort": 31604}]}}"#;
    let names = ["one", "two", "three"];
    for name in names {
        cluster.kubectl_with(&["apply", "-f", "-"], &web(name))?;
    }
    cluster.kubectl_with(&["apply", "-f", "-"], service)?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod", "--all", "--timeout=40s"])?;
    for url in ["http://127.0.0.1:31604", "http://10.97.104.50:3050"] {
        answers(url, &names, || {
            let curl = std::process::Command::new("curl").args(["-s", "-m", "2", url]).output()?;
            Ok(String::from_utf8_lossy(&curl.stdout).trim().to_owned())
        })?;
    }
    answers("the Service from a pod", &names, || {
        let ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 10.97.104.50 3050";
        let answer = cluster.try_kubectl(&["exec", "one", "--", "sh", "-c", ask], "")?;
        Ok(answer.out.lines().last().unwrap_or_default().to_owned())
    })?;

    let id = cluster.id()?;
    let data = cluster.data();
    ensure!(!machine::traces(&id, &data)?.is_empty(), "a running node leaves traces");
    cluster.stop()?;
    cluster.cox(&["down"])?;
    assert_eq!(machine::traces(&id, &data)?, Vec::<String>::new());
    Ok(())
}

/// Asks until each of `names` has answered; an answer that is none of them is a failure once the first has come.
fn answers(what: &str, names: &[&str], mut ask: impl FnMut() -> Result<String>) -> Result<()> {
    let mut heard = BTreeSet::new();
    until(&format!("{what} is answered by all pods"), PATIENCE, || {
        let answer = ask()?;
        if names.contains(&answer.as_str()) {
            heard.insert(answer);
        }
        Ok(Look::at(heard.len() == names.len(), || format!("{heard:?}")))
    })
}
