//! The checker: what writers were told and followers saw, against what the log holds. Pure; it reads nothing by itself.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use cox_objects::Change;

use super::history::{Act, Operation, Outcome, Seen};
use super::linear;

/// All there is to know of a run.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The log's events after the revision at which the followers stood, to the end.
    pub log: Vec<Seen>,
    /// Everything that was asked, and the answers.
    pub operations: Vec<Operation>,
    /// What the followers saw.
    pub records: Vec<Record>,
    /// The objects of the load that are there at the end, as the API lists them: the value of each, and its version.
    pub listed: BTreeMap<String, (String, u64)>,
}

/// What a follower saw, in the order in which it saw it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which follower.
    pub follower: String,
    /// What it follows: all objects of this beginning of a key.
    pub of: String,
    /// What it saw after the revision at which the followers stood.
    pub seen: Vec<Seen>,
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events of the log.
    pub events: usize,
    /// Acknowledged writes: each is there exactly once.
    pub acknowledged: usize,
    /// Writes of which nobody said whether they were done.
    pub perhaps: usize,
    /// How many of these are there.
    pub perhaps_done: usize,
    /// Requests that were surely not done.
    pub never: usize,
    /// Reads whose answers fit.
    pub reads: usize,
    /// Objects whose history is linearizable.
    pub objects: usize,
}

/// Checks a run.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(evidence: &Evidence) -> Result<Summary> {
    let Evidence { log, operations, records, listed } = evidence;
    dense(log)?;
    for record in records {
        follows(record, log).with_context(|| format!("follower {}", record.follower))?;
    }
    let written = written(log)?;
    let mut summary = Summary { events: log.len(), ..Summary::default() };
    for operation in operations {
        settle(operation, &written, &mut summary).with_context(|| format!("{operation:?}"))?;
    }
    let asked: BTreeMap<&str, &Operation> =
        operations.iter().filter_map(|operation| Some((operation.act.value()?, operation))).collect();
    for (value, seen) in &written {
        ensure!(asked.contains_key(value), "nobody wrote {seen:?}");
    }
    in_time(operations)?;
    stands(log, listed)?;
    let mut objects: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        objects.entry(&operation.key).or_default().push(operation);
    }
    for (key, operations) in &objects {
        linear::check(operations).with_context(|| (*key).to_owned())?;
    }
    summary.objects = objects.len();
    Ok(summary)
}

/// Revisions have no hole.
fn dense(log: &[Seen]) -> Result<()> {
    for (before, after) in log.iter().zip(log.iter().skip(1)) {
        ensure!(after.revision == before.revision + 1, "after revision {} comes {after:?}", before.revision);
    }
    Ok(())
}

/// A follower saw what the log has, in its order, each once.
fn follows(record: &Record, log: &[Seen]) -> Result<()> {
    let mut should = log.iter().filter(|seen| seen.key.starts_with(&record.of));
    for (place, seen) in record.seen.iter().enumerate() {
        let Some(expected) = should.next() else { bail!("it saw {seen:?}, which is not in the log") };
        ensure!(seen == expected, "change {place} is {seen:?}; in the log it is {expected:?}");
    }
    match should.next() {
        None => Ok(()),
        Some(missing) => bail!("it never saw {missing:?}, and {} more", should.count()),
    }
}

/// The writes of the load by their value. None is there twice.
fn written(log: &[Seen]) -> Result<BTreeMap<&str, &Seen>> {
    let mut written: BTreeMap<&str, &Seen> = BTreeMap::new();
    // What a controller changes in a Service keeps the load's value: only a change of the value is a write of the load's. Nobody else writes ConfigMaps.
    let mut holds: BTreeMap<&str, &str> = BTreeMap::new();
    for seen in log {
        let Some(value) = seen.value.as_deref() else { continue };
        if seen.change == Change::Deleted {
            holds.remove(seen.key.as_str());
            continue;
        }
        if holds.insert(&seen.key, value) == Some(value) && !seen.key.starts_with("configmaps/") {
            continue;
        }
        if let Some(before) = written.insert(value, seen) {
            bail!("the same write is there twice: {before:?}, {seen:?}");
        }
    }
    Ok(written)
}

/// What one request was told fits what is there.
fn settle(operation: &Operation, written: &BTreeMap<&str, &Seen>, summary: &mut Summary) -> Result<()> {
    let there = operation.act.value().and_then(|value| written.get(value));
    if let Some(there) = there {
        ensure!(there.key == operation.key, "its value is at {there:?}");
    }
    match &operation.outcome {
        Outcome::Wrong(answer) => bail!("an answer that there is no reason for: {answer}"),
        Outcome::Done { .. } if operation.act == Act::Get => summary.reads += 1,
        Outcome::Done { revision, .. } => {
            summary.acknowledged += 1;
            if operation.act.value().is_some() {
                let there = there.context("an acknowledged write is lost")?;
                let told = revision.context("an acknowledged write without a revision")?;
                ensure!(there.revision == told, "it was acknowledged at {told}; in the log: {there:?}");
            }
        }
        Outcome::Refused => ensure!(there.is_none(), "a refused write is there: {there:?}"),
        Outcome::Never => {
            summary.never += 1;
            ensure!(there.is_none(), "what was surely not done is there: {there:?}");
        }
        Outcome::Perhaps => {
            summary.perhaps += 1;
            summary.perhaps_done += usize::from(there.is_some());
        }
    }
    Ok(())
}

/// A write that was sent after the answer to another has a later revision, whoever sent them.
fn in_time(operations: &[Operation]) -> Result<()> {
    let revision = |operation: &Operation| match operation.outcome {
        Outcome::Done { revision: Some(revision), .. } if operation.act != Act::Get => Some(revision),
        _ => None,
    };
    // Starts and ends in the order of time; of two at the same moment nobody knows the order.
    let mut moments: Vec<(u64, bool, u64, &Operation)> = Vec::new();
    for operation in operations {
        if let Some(revision) = revision(operation) {
            moments.push((operation.invoked, false, revision, operation));
            moments.push((operation.returned, true, revision, operation));
        }
    }
    moments.sort_by_key(|(time, end, ..)| (*time, *end));
    let mut newest: Option<(u64, &Operation)> = None;
    for (_, end, revision, operation) in moments {
        match newest {
            Some((before, earlier)) if !end && revision <= before => {
                bail!("{operation:?} was sent after the answer to {earlier:?}")
            }
            Some((before, _)) if end && revision > before => newest = Some((revision, operation)),
            None if end => newest = Some((revision, operation)),
            _ => {}
        }
    }
    Ok(())
}

/// What is listed at the end is what the log's events come to.
fn stands(log: &[Seen], listed: &BTreeMap<String, (String, u64)>) -> Result<()> {
    let mut holds: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
    for seen in log {
        match (seen.change, seen.value.as_deref()) {
            (Change::Deleted, _) => holds.remove(seen.key.as_str()),
            (_, Some(value)) => holds.insert(&seen.key, (value, seen.revision)),
            (_, None) => None,
        };
    }
    for (key, (value, revision)) in listed {
        let held = holds.remove(key.as_str());
        ensure!(
            held == Some((value.as_str(), *revision)),
            "{key} is listed as {value} at {revision}, and is {held:?} in the log"
        );
    }
    match holds.first_key_value() {
        None => Ok(()),
        Some((key, (value, revision))) => {
            bail!("{key} with {value} at {revision} is not listed, and {} more", holds.len() - 1)
        }
    }
}

#[cfg(test)]
mod tests;
