//! `/healthz`, `/livez`, `/readyz`: what is checked, and how it is said.

use futures::future::BoxFuture;

use crate::answer::{self, Answer};
use crate::query::Query;
use crate::route::Health;

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, a path segment or more.
    pub name: String,
    /// Why it is not well; none if it is.
    pub fault: Option<String>,
}

impl Check {
    /// A check with its outcome.
    pub fn new(name: &str, fault: Option<String>) -> Self {
        Check { name: name.to_owned(), fault }
    }
}

/// Where the server's condition is learned: the composition knows what runs in this process.
pub trait Readiness: Send + Sync + 'static {
    /// Whether it could work at all; `/livez` and `/healthz`.
    fn live(&self) -> BoxFuture<'_, Vec<Check>>;
    /// Whether it can take requests now; `/readyz`.
    fn ready(&self) -> BoxFuture<'_, Vec<Check>>;
}

/// The name under which clients of Kubernetes ask for the store.
const STORE_ALIAS: &str = "etcd";
/// Our name of it.
const STORE: &str = "log-store";

/// What is asked at an endpoint: all checks, or one.
pub fn answer(endpoint: Health, single: Option<&str>, query: &Query, checks: Vec<Check>) -> Answer {
    let mut checks: Vec<Check> = [Check::new("ping", None)].into_iter().chain(checks).collect();
    if let Some(name) = single {
        let name = if name == STORE_ALIAS { STORE } else { name };
        return match checks.into_iter().find(|check| check.name == name) {
            None => answer::unknown_path(),
            Some(Check { fault: None, .. }) => answer::text(200, "ok"),
            Some(Check { fault: Some(fault), .. }) => answer::text(500, format!("internal server error: {fault}\n")),
        };
    }
    checks.retain(|check| !query.all("exclude").any(|name| name == check.name));
    let well = checks.iter().all(|check| check.fault.is_none());
    if well && !query.has("verbose") {
        return answer::text(200, "ok");
    }
    let mut text = String::new();
    for check in &checks {
        match check.fault {
            None => text.push_str(&format!("[+]{} ok\n", check.name)),
            // Why it is not well is for the log and the check's own path, not for everyone.
            Some(_) => text.push_str(&format!("[-]{} failed: reason withheld\n", check.name)),
        }
    }
    let verdict = if well { "passed" } else { "failed" };
    text.push_str(&format!("{} check {verdict}\n", endpoint.as_str()));
    answer::text(if well { 200 } else { 500 }, text)
}

#[cfg(test)]
mod tests;
