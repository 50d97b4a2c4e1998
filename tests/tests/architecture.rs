//! Holds the line: which crate may depend on which, what each file opens with, and how long it may be.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the project fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const MAX_LINES: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What each crate may use of ours; `ops` composes all, and nothing may use `gateway` or another actor's crate.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let actor: &[&str] = &["cox-objects", "cox-bus", "cox-mirror", "cox-kit"];
    let with = |more: &[&'static str]| actor.iter().chain(more).copied().collect::<BTreeSet<_>>();
    BTreeMap::from([
        ("cox-objects", BTreeSet::new()),
        ("cox-log", ["cox-objects"].into()),
        ("cox-bus", ["cox-objects"].into()),
        ("cox-mirror", ["cox-objects", "cox-bus"].into()),
        ("cox-kit", ["cox-objects", "cox-bus", "cox-mirror"].into()),
        ("cox-apiserver", with(&["cox-log"])),
        ("cox-scheduler", with(&[])),
        ("cox-controllers", with(&[])),
        ("cox-kubelet", with(&["cox-runtime"])),
        ("cox-proxy", with(&[])),
        ("cox-runtime", BTreeSet::new()),
        ("cox-gateway", with(&[])),
    ])
}

#[test]
fn dependencies_point_one_way() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed = allowed();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(may) = allowed.get(name) else { continue };
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            let ours = used.starts_with("cox-") && dependency["kind"].is_null();
            if ours && !may.contains(used) {
                wrong.push(format!("{name} must not depend on {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn sources() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "*.rs"]).current_dir(root()).output().unwrap();
    assert!(output.status.success());
    let files: Vec<PathBuf> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| root().join(line))
        .filter(|f| f.exists())
        .collect();
    assert!(files.len() > 50);
    files
}

#[test]
fn every_file_says_first_what_lives_there() {
    let mute: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            !text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 8)
        })
        .collect();
    assert!(mute.is_empty(), "{mute:#?}");
}

#[test]
fn files_stay_small() {
    let mut long = Vec::new();
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        let excused = text.lines().take(12).any(|line| line.starts_with("//!") && line.contains("Longer than"));
        if lines > MAX_LINES && !excused {
            long.push(format!("{} has {lines} lines", file.display()));
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}
