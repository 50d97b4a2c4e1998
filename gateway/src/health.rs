//! `/healthz`, `/livez`, `/readyz`: what is checked, and how it is said.

use std::collections::BTreeSet;

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
    /// Whether it could work at all; `/livez`.
    fn live(&self) -> BoxFuture<'_, Vec<Check>>;
    /// Whether it can take requests now; `/readyz`.
    fn ready(&self) -> BoxFuture<'_, Vec<Check>>;
    /// Whether all is well, components included that requests do without; `/healthz`.
    fn health(&self) -> BoxFuture<'_, Vec<Check>>;
}

/// The names under which clients of Kubernetes ask for something, and ours.
const ALIASES: [(&str, &str); 4] =
    [("etcd", "log-store"), ("etcd-readiness", "log-store"), ("log", "log-store"), ("informer-sync", "mirror")];

fn own_name(name: &str) -> &str {
    ALIASES.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, own)| own)
}

/// Asks what an endpoint is about.
pub async fn ask(readiness: &dyn Readiness, endpoint: Health) -> Vec<Check> {
    match endpoint {
        Health::Livez => readiness.live().await,
        Health::Readyz => readiness.ready().await,
        Health::Healthz => readiness.health().await,
    }
}

/// What is asked at an endpoint: all checks, or one. Why a check failed is for those who may ask for it by its own path, which `told` says.
pub fn answer(
    endpoint: Health,
    single: Option<&str>,
    query: &Query,
    checks: Vec<Check>,
    told: impl Fn(&str) -> bool,
) -> Answer {
    let checks: Vec<Check> = [Check::new("ping", None)].into_iter().chain(checks).collect();
    if let Some(name) = single {
        return match checks.into_iter().find(|check| check.name == own_name(name)) {
            None => answer::unknown_path(),
            Some(Check { fault: None, .. }) => answer::text(200, "ok"),
            Some(Check { fault: Some(fault), .. }) => answer::text(500, format!("internal server error: {fault}\n")),
        };
    }
    let mut excluded: BTreeSet<&str> = query.all("exclude").collect();
    let (mut text, mut well) = (String::new(), true);
    for Check { name, fault } in &checks {
        let before = excluded.len();
        excluded.retain(|excluded| own_name(excluded) != name);
        let line = match fault {
            _ if excluded.len() < before => format!("[+]{name} excluded: ok\n"),
            None => format!("[+]{name} ok\n"),
            Some(fault) => {
                well = false;
                let reason = if told(name) { fault.replace('\n', " ") } else { "reason withheld".to_owned() };
                format!("[-]{name} failed: {reason}\n")
            }
        };
        text.push_str(&line);
    }
    if !excluded.is_empty() {
        let names: Vec<String> = excluded.iter().map(|name| format!("{name:?}")).collect();
        let names = names.join(", ");
        text.push_str(&format!("warn: some health checks cannot be excluded: no matches for {names}\n"));
    }
    if well && !query.has("verbose") {
        return answer::text(200, "ok");
    }
    let verdict = if well { "passed" } else { "failed" };
    text.push_str(&format!("{} check {verdict}\n", endpoint.as_str()));
    answer::text(if well { 200 } else { 500 }, text)
}

#[cfg(test)]
mod tests;
