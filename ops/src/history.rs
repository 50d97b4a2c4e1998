//! `cox log`: what happened to objects, why, and what each change changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cox_bus::replay::{Range, ReadError};
use cox_bus::{Bus, Skipped, StreamError};
use cox_objects::{Change, Event, Key, Kind, Object, Position, Resource, Revision, kinds};
use tokio::time::Instant;

use crate::cli::History;
use crate::{named, operator, output, since};

mod diff;
mod show;

use show::{Before, Printer};

/// How long the apiserver may take to say where the head is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many events are shown if nothing says which ones.
const LAST: u64 = 100;
/// How many revisions are read at a time. A read holds one of the apiserver's few turns, so none stays open while people read what is printed.
const PAGE: Revision = 2_000;

/// Prints the history that is asked for.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: History) -> Result<()> {
    let scope = Scope::of(&options)?;
    let bus = operator::connect(&options.data_dir).await?;
    tokio::select! {
        done = print(&bus, &options, &scope) => done,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Whose history.
#[derive(Debug, PartialEq)]
enum Scope {
    Object(Key),
    Kind { resource: Resource, namespace: String },
    All { namespace: String },
}

impl Scope {
    fn of(options: &History) -> Result<Scope> {
        let given = options.namespace.clone();
        let Some(what) = &options.what else { return Ok(Scope::All { namespace: given.unwrap_or_default() }) };
        let (kind, name): (Arc<Kind>, _) = named::object(&kinds::builtin(), what)?;
        let namespace = match (kind.namespaced, options.all_namespaces) {
            (true, false) => given.unwrap_or_else(|| "default".to_owned()),
            _ => String::new(),
        };
        let resource = kind.resource.clone();
        match name {
            Some(_) if options.all_namespaces => bail!("an object is named in one namespace: -A goes without a name"),
            Some(name) => Ok(Scope::Object(Key::new(resource, &namespace, name))),
            None => Ok(Scope::Kind { resource, namespace }),
        }
    }

    fn covers(&self, key: &Key) -> bool {
        match self {
            Scope::Object(_) => true,
            Scope::Kind { namespace, .. } | Scope::All { namespace } => {
                namespace.is_empty() || key.namespace() == namespace
            }
        }
    }
}

async fn print(bus: &Bus, options: &History, scope: &Scope) -> Result<()> {
    let head = bus.head(Instant::now() + PATIENCE).await.context("the apiserver does not answer; see `cox status`")?;
    let from = start(bus, options, scope, head.revision).await?;
    let out = Printer {
        json: options.json,
        secrets: options.show_secrets,
        colours: !options.json && output::colours(&std::io::stdout()),
    };
    let mut versions = Versions { bus: bus.clone(), known: HashMap::new() };
    let mut next = from;
    let mut printed = false;
    let mut size = PAGE;
    let mut told = Told::default();
    while next <= head.revision {
        let last = match scope {
            Scope::Object(_) => head.revision,
            _ => head.revision.min(next.saturating_add(size - 1)),
        };
        let (events, skipped) = page(bus, scope, next, last).await.map_err(explain)?;
        told.tell(&skipped);
        // Between two epochs, and where little is kept, many revisions hold nothing.
        size = if events.is_empty() { size.saturating_mul(2) } else { PAGE };
        for event in events {
            if scope.covers(&event.key) {
                let before = if options.diff { Some(versions.before(&event).await.map_err(explain)?) } else { None };
                output::print(&out.event(&event, before.as_ref()))?;
                printed = true;
            }
        }
        next = last + 1;
    }
    match scope {
        Scope::Object(key) if !printed && options.since.is_none() => bail!("nothing of {key} is in the log"),
        _ if !printed => eprintln!("cox: nothing of that is in the log"),
        _ => {}
    }
    Ok(())
}

/// The first revision to show.
async fn start(bus: &Bus, options: &History, scope: &Scope, head: Revision) -> Result<Revision> {
    let since = match options.since {
        Some(since) => match since::first(bus, since, head).await? {
            Some(first) => return Ok(first),
            None => Some(()),
        },
        None => None,
    };
    match (scope, since) {
        (Scope::All { .. }, None) => Ok(head.saturating_sub(LAST) + 1),
        _ => Ok(1),
    }
}

async fn page(bus: &Bus, scope: &Scope, from: Revision, to: Revision) -> Result<(Vec<Event>, Vec<Skipped>), ReadError> {
    let mut range: Range = match scope {
        Scope::Object(key) => cox_bus::history(bus, key, from, to).await?,
        Scope::Kind { resource, .. } => cox_bus::what_is_kept(bus, Some(resource), from, to).await?,
        Scope::All { .. } => cox_bus::what_is_kept(bus, None, from, to).await?,
    };
    let mut events = Vec::new();
    while let Some(chunk) = range.next().await? {
        events.extend(chunk);
    }
    Ok((events, range.skipped().to_vec()))
}

/// What was said of events that are missing: once of each resource.
#[derive(Default)]
struct Told(HashSet<Option<Resource>>);

impl Told {
    /// To standard error, so that lines stay events.
    fn tell(&mut self, skipped: &[Skipped]) {
        for Skipped { resource, to, .. } in skipped {
            if self.0.insert(resource.clone()) {
                let whose = resource.as_ref().map_or_else(|| "objects".to_owned(), Resource::to_string);
                eprintln!("cox: of {whose} only the newest events up to revision {to} are kept");
            }
        }
    }
}

fn explain(error: ReadError) -> anyhow::Error {
    match error {
        ReadError::Stream(StreamError::Refused(status)) => anyhow::anyhow!("{}", status.message),
        error => error.into(),
    }
}

/// The version of each object before the event that comes next.
struct Versions {
    bus: Bus,
    known: HashMap<Key, Object>,
}

impl Versions {
    /// The version before an event; the one that it made is the next one's.
    async fn before(&mut self, event: &Event) -> Result<Before, ReadError> {
        let known = match event.change {
            Change::Deleted => self.known.remove(&event.key),
            _ => self.known.insert(event.key.clone(), event.object.clone()),
        };
        match (event.change, known) {
            (Change::Added, _) => Ok(Before::Nothing),
            (_, Some(object)) => Ok(Before::Version(object)),
            (_, None) => self.read(event).await,
        }
    }

    async fn read(&self, event: &Event) -> Result<Before, ReadError> {
        let at = Position { revision: event.revision() - 1, ..event.position };
        match cox_bus::past_object(&self.bus, at, &event.key).await {
            Ok(Some(object)) => Ok(Before::Version(object)),
            Ok(None) => Ok(Before::Unknown),
            Err(ReadError::Stream(StreamError::Refused(status))) if status.code == 410 => Ok(Before::Unknown),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn scope(arguments: &[&str]) -> Result<Scope> {
        match Cli::try_parse_from(["cox", "log"].iter().chain(arguments))?.command {
            Command::Log(options) => Scope::of(&options),
            _ => bail!("not log"),
        }
    }

    #[test]
    fn an_object_a_kind_or_everything_is_meant() {
        let key = |namespace, name| Scope::Object(Key::new(Resource::CONFIGMAPS, namespace, name));
        assert_eq!(scope(&["cm/a"]).unwrap(), key("default", "a"));
        assert_eq!(scope(&["cm/a", "-n", "team"]).unwrap(), key("team", "a"));
        let of = |namespace: &str| Scope::Kind { resource: Resource::CONFIGMAPS, namespace: namespace.to_owned() };
        assert_eq!(scope(&["configmap"]).unwrap(), of("default"));
        assert_eq!(scope(&["configmap", "-A"]).unwrap(), of(""));
        let node = Scope::Object(Key::new(Resource::NODES, "", "n"));
        assert_eq!(scope(&["no/n"]).unwrap(), node);
        assert_eq!(scope(&[]).unwrap(), Scope::All { namespace: String::new() });
        assert_eq!(scope(&["--since", "1h", "-n", "x"]).unwrap(), Scope::All { namespace: "x".to_owned() });
        for wrong in [&["nothing/x"][..], &["cm/a", "-A"], &["--since", "yesterday"], &["-A", "-n", "x"]] {
            assert!(scope(wrong).is_err(), "{wrong:?}");
        }
    }
}
