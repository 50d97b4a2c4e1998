//! The past, as its users see it: `cox get --at`, `?at=` over REST, `cox log` with diffs and causes.

use std::time::Duration;

use anyhow::{Context, Result};
use cox_objects::at::time_text;
use cox_tests::Cluster;
use cox_tests::wait::{Look, until};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

fn config(colour: &str) -> String {
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{colour: {colour}}}\n")
}

/// Where the newest version of an object stands.
fn revision(cluster: &Cluster, what: &[&str]) -> Result<u64> {
    let arguments = [&["get"], what, &["-o", "jsonpath={.metadata.resourceVersion}"]].concat();
    Ok(cluster.kubectl(&arguments)?.parse()?)
}

fn events(cluster: &Cluster, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = cluster.cox(&[&["log", "--json"], arguments].concat())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[test]
fn objects_are_shown_as_they_were() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    cluster.kubectl_with(&["create", "-f", "-"], &config("blue"))?;
    let blue = revision(&cluster, &["cm", "settings"])?;
    cluster.kubectl_with(&["replace", "-f", "-"], &config("red"))?;
    let red = revision(&cluster, &["cm", "settings"])?;
    cluster.kubectl(&["delete", "cm", "settings"])?;
    cluster.kubectl(&["create", "cm", "later"])?;
    // Others write meanwhile, so the deletion need not be the next revision.
    let later = revision(&cluster, &["cm", "later"])?;

    let at =
        |revision: u64, more: &[&str]| cluster.cox(&[&["get", "cm", "--at", &revision.to_string()], more].concat());
    let names = at(blue, &["-o", "name"])?;
    assert!(names.contains("configmap/settings\n") && !names.contains("configmap/later\n"), "{names}");
    let table = at(blue, &["settings"])?;
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(words, [["NAME", "DATA"], ["settings", "1"]], "{table}");
    for (revision, colour) in [(blue, "blue"), (red, "red")] {
        let object: Value = serde_json::from_str(&at(revision, &["settings", "-o", "json"])?)?;
        assert_eq!(object["data"]["colour"], colour);
        assert_eq!(object["metadata"]["resourceVersion"], revision.to_string());
        assert!(at(revision, &["settings", "-o", "yaml"])?.contains(&format!("colour: {colour}\n")));
    }
    let gone = at(later, &["settings"]).unwrap_err().to_string();
    assert!(gone.contains("configmaps \"settings\" not found"), "{gone}");
    let before = at(blue - 1, &["settings"]).unwrap_err().to_string();
    assert!(before.contains("configmaps \"settings\" not found"), "{before}");
    let ahead = at(red + 1_000_000, &["settings"]).unwrap_err().to_string();
    assert!(ahead.contains("is yet to come"), "{ahead}");

    // What was deleted comes back from the past.
    let yaml = at(red, &["settings", "-o", "yaml"])?;
    let yaml: String = yaml
        .lines()
        .filter(|line| !line.contains("resourceVersion:") && !line.contains("uid:"))
        .map(|line| format!("{line}\n"))
        .collect();
    cluster.kubectl_with(&["create", "-f", "-"], &yaml)?;
    assert_eq!(cluster.kubectl(&["get", "cm", "settings", "-o", "jsonpath={.data.colour}"])?, "red");
    Ok(())
}

#[test]
fn times_are_as_good_as_revisions() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    cluster.kubectl_with(&["create", "-f", "-"], &config("blue"))?;
    let written = events(&cluster, &["cm/settings"])?;
    let time = written[0]["time"].as_str().context("an event has a time")?.to_owned();
    // The next write has another time once the clock has moved on.
    until("the clock has moved on", PATIENCE, || {
        let now = time_text(cox_bus::now_ms());
        Ok(Look::at(now > time, || now.clone()))
    })?;
    cluster.kubectl_with(&["replace", "-f", "-"], &config("red"))?;
    let colour = |at: &str| {
        let path = format!("/api/v1/namespaces/default/configmaps/settings?at={at}");
        Ok::<_, anyhow::Error>(
            serde_json::from_str::<Value>(&cluster.kubectl(&["get", "--raw", &path])?)?["data"]["colour"].clone(),
        )
    };
    assert_eq!(colour(&time)?, "blue");
    assert_eq!(colour("0s")?, "red");
    let list = format!("/api/v1/configmaps?at={time}&fieldSelector=metadata.name=settings");
    let list: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", &list])?)?;
    assert_eq!(list["items"][0]["data"]["colour"], "blue");
    assert_eq!(list["metadata"]["resourceVersion"], written[0]["revision"].to_string());

    let refused = |path: &str, more: &[&str]| -> Result<String> {
        let answer = cluster.try_kubectl(&[&["get", "--raw", path], more].concat(), "")?;
        assert!(!answer.success, "{answer:?}");
        Ok(answer.err)
    };
    let one = "/api/v1/namespaces/default/configmaps/settings?at=";
    for (at, text) in [
        ("yesterday", "neither a revision"),
        ("2999-01-01T00:00:00Z", "is yet to come"),
        ("7&resourceVersion=5", "forbidden together with resourceVersion"),
        ("2001-01-01T00:00:00Z", "too old resource version"),
    ] {
        let said = refused(&format!("{one}{at}"), &[])?;
        assert!(said.contains(text), "{at}: {said}");
        let said = refused(&format!("/api/v1/configmaps?at={at}"), &[])?;
        assert!(said.contains(text), "{at}: {said}");
    }
    assert!(refused("/api/v1/configmaps?watch=true&at=7", &[])?.contains("at: a watch is of what comes"));
    // The past is as closed as the present.
    let forbidden = refused(&format!("{one}{time}"), &["--as=system:serviceaccount:default:default"])?;
    assert!(forbidden.contains("Forbidden"), "{forbidden}");
    Ok(())
}

#[test]
fn the_history_of_a_deployment_says_what_changed_and_why() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    cluster.kubectl(&["create", "deployment", "web", "--image=a", "--replicas=1"])?;
    let created = revision(&cluster, &["deployment", "web"])?;
    cluster.kubectl(&["scale", "deployment", "web", "--replicas=2"])?;
    let text = until("the controller has answered", PATIENCE, || {
        let text = cluster.cox(&["log", "deploy/web", "--diff"])?;
        let seen = text.contains("status.replicas: 1 → 2") || text.contains("+ status.replicas: 2");
        Ok(if seen { Look::Done(text) } else { Look::NotYet(text) })
    })?;
    assert!(text.contains("added") && text.contains("+ kind: \"Deployment\""), "{text}");
    assert!(text.contains("~ spec.replicas: 1 → 2\n"), "{text}");
    assert!(!text.contains("metadata.resourceVersion") && !text.contains('\u{1b}'), "{text}");
    let caused = text.lines().any(|line| line.contains("deployment-controller ← ") && line.contains("  chain "));
    assert!(caused, "{text}");

    // From after its creation on, the version before is read from the log.
    let later = events(&cluster, &["deployments.apps/web", "--diff", "--since", &created.to_string()])?;
    assert!(later.iter().all(|event| event["revision"].as_u64() > Some(created) && event["change"] == "modified"));
    let scaled = later.iter().find(|event| event["user"] == "kubernetes-admin").context("scaled by its user")?;
    let edit = |edit: &&Value| edit["path"] == "spec.replicas";
    let edit = scaled["diff"].as_array().context("a diff")?.iter().find(edit).context("the replicas")?;
    assert_eq!((&edit["before"], &edit["after"]), (&1.into(), &2.into()));
    // A kind's history is that of its objects.
    let kind = events(&cluster, &["deploy"])?;
    assert_eq!(kind.iter().map(|event| &event["name"]).collect::<Vec<_>>(), vec!["web"; kind.len()]);
    assert!(kind.len() > later.len());
    Ok(())
}

#[test]
fn secrets_are_shown_to_those_who_ask() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    cluster.kubectl(&["create", "secret", "generic", "s", "--from-literal=password=hunter2"])?;
    cluster.kubectl(&["patch", "secret", "s", "-p", r#"{"stringData":{"password":"hunter3"}}"#])?;
    for form in [&["--diff"][..], &["--diff", "--json"]] {
        let hidden = cluster.cox(&[&["log", "secret/s"], form].concat())?;
        assert!(hidden.contains("data.password") && !hidden.contains("aHVudGVyM"), "{hidden}");
        let shown = cluster.cox(&[&["log", "secret/s", "--show-secrets"], form].concat())?;
        assert!(shown.contains("aHVudGVyMg==") && shown.contains("aHVudGVyMw=="), "{shown}");
    }
    Ok(())
}
