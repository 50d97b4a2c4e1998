//! `/version`: the Kubernetes version whose API this is, and ours.

use cox_objects::Status;
use serde_json::{Value, json};

use crate::answer::{self, Answer};
use crate::negotiate::{self, accepts, unavailable};
use crate::request::Request;

/// The version of Kubernetes whose behaviour this server has.
const KUBERNETES: &str = "v1.36.2";

/// The document.
pub fn document() -> Value {
    json!({
        "major": "1", "minor": "36",
        "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": format!("{KUBERNETES}+cox.{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

/// Answers `/version`, which comes in JSON only.
///
/// # Errors
/// 406.
pub(crate) fn answer(request: &Request) -> Result<Answer, Status> {
    if !accepts(&request.headers, "application/json") {
        return Err(unavailable("application/json"));
    }
    let form = negotiate::of_error(&request.headers, &request.query);
    Ok(answer::value(200, &document(), &negotiate::Form { encoding: negotiate::Encoding::Json, ..form }))
}

/// The architecture as Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
