//! `cox bench`: what it prints, and what it leaves behind.

use anyhow::{Context, Result, ensure};
use cox_tests::Cluster;
use serde_json::Value;

const SMALL: [&str; 13] = [
    "bench",
    "--connections",
    "2",
    "--watchers",
    "2",
    "--listed",
    "10",
    "--count",
    "20",
    "--time",
    "20s",
    "--objects",
    "40,20",
];

/// The names of the namespaces that a measurement made.
fn made(cluster: &Cluster) -> Result<Vec<String>> {
    let names = cluster.cox(&["get", "ns", "-o", "name"])?;
    Ok(names.lines().filter(|name| name.contains("cox-bench")).map(str::to_owned).collect())
}

#[test]
fn each_size_has_all_figures_and_nothing_is_left_unless_it_is_kept() -> Result<()> {
    let mut cluster = Cluster::without_node(&[])?;
    let report: Value = serde_json::from_str(&cluster.cox(&[&SMALL[..], &["--json"]].concat())?)?;
    let sizes = report["sizes"].as_array().context("no sizes")?;
    ensure!(sizes.iter().map(|size| &size["objects"]).eq([20, 40]), "the smallest is first: {report}");
    for size in sizes {
        let results = size["results"].as_array().context("no results")?;
        let operations: Vec<&str> = results.iter().filter_map(|result| result["operation"].as_str()).collect();
        ensure!(operations == ["create", "get", "update", "list", "watch"], "{operations:?}");
        for result in results {
            ensure!(result["count"].as_u64() > Some(0) && result["failures"] == 0, "{result}");
        }
        ensure!(size["resident_bytes"].as_f64() > Some(1e6), "{size}");
    }
    ensure!(made(&cluster)?.is_empty(), "what was made is removed");

    let table = cluster.cox(&[&SMALL[..], &["--keep", "--operations", "get"]].concat())?;
    ensure!(table.contains("20 objects: made ") && table.contains("\n40 objects: made "), "{table}");
    ensure!(table.lines().filter(|line| line.starts_with("get ")).count() == 2, "{table}");
    ensure!(made(&cluster)?.len() == 1, "what was made is kept");
    cluster.stop()
}
