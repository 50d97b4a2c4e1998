//! `cox status`: the live supervision trees, the head of the log, and how far each mirror is behind it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use cox_apiserver::compaction::{self, Keeps};
use cox_apiserver::readiness::QUESTION;
use cox_bus::{Bus, CallError, Identity, Why};
use cox_gateway::Check;
use cox_objects::Position;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::Status;
use crate::control::{TREE, Told};
use crate::{control, operator, output, ready};

mod kept;
mod render;

/// How long a component may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of one component.
struct Answer {
    identity: Identity,
    told: Result<Told, String>,
}

/// What is shown.
struct Report {
    cluster: String,
    head: Result<Position, String>,
    /// What the apiserver says that is wrong with the log and its stream.
    faults: Vec<Check>,
    /// What is kept of the log; none if the apiserver does not say.
    log: Option<Keeps>,
    answers: Vec<Answer>,
}

/// Prints the trees.
///
/// # Errors
/// One line that says what to do; also if a component does not answer or an actor has failed, so that scripts can tell.
pub async fn run(options: Status) -> Result<()> {
    let bus = operator::connect(&options.data_dir).await?;
    let report = ask(&bus, &options.data_dir).await?;
    if options.json {
        output::line(&serde_json::to_string_pretty(&report.json())?)?;
    } else {
        output::print(&render::text(&report, output::colours(&std::io::stdout())))?;
    }
    let sick = report.sick();
    anyhow::ensure!(sick.is_empty(), "not well: {}", sick.join(", "));
    Ok(())
}

async fn ask(bus: &Bus, dir: &Path) -> Result<Report> {
    let deadline = Instant::now() + PATIENCE;
    // The head first: whoever answers after it is at least that far, or lags.
    let head = bus.head(deadline).await.map_err(|error| format!("the apiserver {}", why(&error)));
    let deadline = Instant::now() + PATIENCE;
    let subject = bus.subjects().ctl(&Identity::Apiserver, QUESTION);
    let told = bus.request_json::<_, cox_apiserver::Readiness>(&subject, &(), deadline).await;
    // Whether it answers at all shows below.
    let mut faults = told.as_ref().map(ready::of_apiserver).unwrap_or_default();
    faults.retain(|check| check.fault.is_some());
    let subject = bus.subjects().ctl(&Identity::Apiserver, compaction::QUESTION);
    let log = async { bus.request_json::<_, compaction::Answer>(&subject, &(), deadline).await.ok()?.ok() };
    let asked = components(dir)?.into_iter().map(|identity| async move {
        let subject = bus.subjects().ctl(&identity, TREE);
        let told = bus.request_json::<_, Told>(&subject, &(), deadline).await;
        Answer { identity, told: told.map_err(|error| why(&error)) }
    });
    let (log, answers) = futures::future::join(log, futures::future::join_all(asked)).await;
    Ok(Report { cluster: bus.subjects().cluster().to_owned(), head, faults, log, answers })
}

/// A question changes nothing, so whether it was carried out is of no interest.
fn why(error: &CallError) -> String {
    match error {
        CallError::SurelyNotDone(Why::NobodyServes(_)) => "is not running".to_owned(),
        CallError::SurelyNotDone(why) | CallError::PerhapsDone(why) => format!("does not answer: {why}"),
    }
}

/// The components that this cluster has credentials for and that answer on control subjects, the pillars first.
fn components(dir: &Path) -> Result<Vec<Identity>> {
    let folder = dir.join("bus").join("creds");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut all: Vec<Identity> = names
        .filter_map(|name| Identity::from_token(name.strip_suffix(".json")?).ok())
        .filter(|identity| !matches!(identity, Identity::Mirror | Identity::Ops | Identity::Integrator(_)))
        .collect();
    all.sort();
    Ok(all)
}

/// A failed check in words.
fn told(check: &Check) -> String {
    format!("{}: {}", check.name, check.fault.as_deref().unwrap_or("ok"))
}

impl Report {
    /// How many revisions a component's mirror is behind the head; none if it reads no mirror, or the head is not known.
    fn lag(&self, told: &Told) -> Option<u64> {
        let head = self.head.as_ref().ok()?;
        Some(head.revision.saturating_sub(told.revision?))
    }

    /// What a person should look at.
    fn sick(&self) -> Vec<String> {
        let mut sick: Vec<String> = self.head.as_ref().err().cloned().into_iter().collect();
        sick.extend(self.faults.iter().map(told));
        for Answer { identity, told } in &self.answers {
            match told {
                // A cluster without a node has the credentials of one; a node that is missed shows in the API.
                Err(_) if matches!(identity, Identity::Node(_) | Identity::Proxy(_)) => {}
                // The question for the head has said so already.
                Err(_) if *identity == Identity::Apiserver && self.head.is_err() => {}
                Err(error) => sick.push(format!("{identity} {error}")),
                Ok(told) => sick.extend(control::wrong(&told.tree)),
            }
        }
        sick
    }

    fn json(&self) -> Value {
        let components: Vec<Value> = self
            .answers
            .iter()
            .map(|Answer { identity, told }| match told {
                Ok(told) => json!({
                    "component": identity.to_string(), "answers": true, "pid": told.pid,
                    "revision": told.revision, "lag": self.lag(told), "tree": told.tree,
                }),
                Err(error) => json!({"component": identity.to_string(), "answers": false, "error": error}),
            })
            .collect();
        let head = self.head.as_ref();
        json!({
            "cluster": self.cluster,
            "epoch": head.ok().map(|head| head.epoch.to_string()),
            "revision": head.ok().map(|head| head.revision),
            "error": head.err(),
            "faults": self.faults.iter().map(told).collect::<Vec<_>>(),
            "log": self.log,
            "components": components,
        })
    }
}

#[cfg(test)]
mod tests;
