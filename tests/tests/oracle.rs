//! What a Kubernetes API server answered, replayed against `cox up --no-node`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use cox_tests::Cluster;
use serde_json::Value;

/// How long the whole replay may take, in seconds.
const PATIENCE: &str = "900";

/// The scenarios that are replayed: whole areas.
const SCENARIOS: &[&str] = &[
    "auth/*",
    "content/*",
    "discovery/*",
    "subresources/*",
    "configmaps/*",
    "errors/*",
    "lists/*",
    "listwatch/*",
    "pods/*",
    "services/*",
    "watch/*",
    "workloads/*",
    "patch/*",
    "delete/*",
    "kinds/*",
    "validation/*",
    "admission/*",
];

/// The scenarios that may fail, each with its reason.
fn known(folder: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(folder.join("known.txt"))?;
    let mut known = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (scenario, reason) = line.split_once(": ").with_context(|| format!("no reason: {line}"))?;
        known.insert(scenario.to_owned(), reason.to_owned());
    }
    Ok(known)
}

#[test]
fn answers_as_recorded() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
    let known = known(&folder)?;
    let cluster = Cluster::without_node(&[])?;
    let result = cluster.scratch().join("oracle.json");
    let mut command = Command::new("timeout");
    command.args([PATIENCE, "python3"]).arg(folder.join("replay.py")).arg("--kubeconfig").arg(cluster.kubeconfig());
    command.args(["--managed-fields", "loose", "--jobs", "6"]).arg("--json").arg(&result);
    command.args(SCENARIOS.iter().flat_map(|glob| ["--only", glob])).arg(folder.join("cases"));
    let output = command.stdin(Stdio::null()).output()?;
    let printed: String = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.starts_with("ok "))
        .map(|line| format!("{line}\n"))
        .collect();
    let text = fs::read(&result)
        .with_context(|| format!("{}: {printed}{}", output.status, String::from_utf8_lossy(&output.stderr)))?;
    let report: Value = serde_json::from_slice(&text)?;
    let scenarios = report["scenarios"].as_array().context("no scenarios")?;
    let name =
        |s: &Value| format!("{}/{}", s["area"].as_str().unwrap_or_default(), s["name"].as_str().unwrap_or_default());
    let failed: Vec<String> = scenarios.iter().filter(|s| s["ok"] != true).map(name).collect();
    let surprises: Vec<&String> = failed.iter().filter(|name| !known.contains_key(*name)).collect();
    for name in scenarios.iter().filter(|s| s["ok"] == true).map(name).filter(|name| known.contains_key(name)) {
        eprintln!("{name} passes: take it out of known.txt");
    }
    println!("{} scenarios, {} of them known to fail", scenarios.len(), failed.len() - surprises.len());
    if !surprises.is_empty() {
        bail!("{surprises:#?} differ:\n{printed}");
    }
    Ok(())
}
