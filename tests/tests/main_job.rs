//! The main job, as a new user runs it: `ops/run --once` installs, builds, starts the demo, checks its answers and leaves nothing behind.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

/// How long it may take, in seconds; most of it is the build, when nothing is built yet.
const PATIENCE: &str = "690";

/// How the names of the variables begin by which a test is told about itself.
const TOLD: [&str; 5] = ["CARGO_MANIFEST", "CARGO_PKG", "CARGO_BIN_EXE", "NEXTEST", "LD_LIBRARY_PATH"];

#[test]
fn the_demo_runs_and_leaves_nothing() -> Result<()> {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/run");
    let target = std::env::current_exe()?.ancestors().nth(3).map(Path::to_owned).unwrap_or_default();
    let mut command = Command::new("timeout");
    command.args(["-k", "30", PATIENCE]).arg(run).arg("--once");
    // What cargo and nextest tell a test about itself would look like a changed environment to build scripts, and half of it were built again.
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().is_some_and(|name| TOLD.iter().any(|prefix| name.starts_with(prefix)));
        if told {
            command.env_remove(name);
        }
    }
    // What the tests are built with is built already.
    match std::env::var_os("COX_BIN") {
        Some(given) => command.env("COX", given),
        None => command.env("COX_PROFILE", "dev").env("CARGO_TARGET_DIR", target),
    };
    let output = command.output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{printed}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(())
}
