//! `cox events`: what the log says, and what it goes on to say.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use cox_bus::replay::ReadError;
use cox_bus::{Bus, Followed, StreamError, what_is_kept};
use cox_objects::{Event, Revision};
use tokio::time::Instant;

use crate::cli::Events;
use crate::{operator, output, since};

pub mod line;

/// How long the apiserver may take to say where the head is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many events are shown without `--since` or `-f`.
const LAST: u64 = 100;

/// Prints events.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Events) -> Result<()> {
    let bus = operator::connect(&options.data_dir).await?;
    let out = Printer { json: options.json, colours: !options.json && output::colours(&std::io::stdout()) };
    tokio::select! {
        done = print(&bus, &options, &out) => done,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn print(bus: &Bus, options: &Events, out: &Printer) -> Result<()> {
    // The subscription stands before the head is asked for, so that nothing falls between the two.
    let following = if options.follow { Some(cox_bus::follow(bus).await?) } else { None };
    let head = bus.head(Instant::now() + PATIENCE).await.context("the apiserver does not answer; see `cox status`")?;
    let from = match options.since {
        Some(since) => since::first(bus, since, head.revision).await?.unwrap_or(1),
        None if options.follow => head.revision + 1,
        // A new epoch begins with nothing before it.
        None => head.revision.saturating_sub(LAST) + 1,
    };
    read(bus, from, head.revision, out).await.map_err(|error| explain(error, from))?;
    let Some(following) = following else { return Ok(()) };
    let mut follower = following.from(head);
    let (mut link, mut up) = (bus.state(), true);
    loop {
        let next = tokio::select! {
            changed = link.changed() => {
                let before = std::mem::replace(&mut up, link.borrow_and_update().up);
                match changed {
                    Ok(()) if up != before => out.say(if up { "the bus is back" } else { "the bus is gone; waiting for it" }),
                    Ok(()) => {}
                    Err(_) => bail!("the connection to the bus was closed"),
                }
                continue;
            }
            next = follower.next() => next,
        };
        match next {
            Some(Followed::Event(event)) => out.event(&event)?,
            Some(Followed::Gap { from, to }) => {
                if let Err(error) = read(bus, from, to, out).await {
                    if error.downcast_ref::<ReadError>().is_none() {
                        return Err(error);
                    }
                    out.say(&format!(
                        "revisions {from} to {to} were missed and cannot be read: {:#}",
                        explain(error, from)
                    ));
                }
            }
            Some(Followed::Sealed(position, key)) => out.sealed(position.revision, &key)?,
            Some(Followed::Head(_)) => {}
            Some(Followed::EpochChanged(epoch)) => {
                bail!("the log has a new epoch, {epoch}: it was restored; start again to see it from there")
            }
            None => bail!("the connection to the bus was closed"),
        }
    }
}

/// Reads a range of the log, both ends included.
async fn read(bus: &Bus, from: Revision, to: Revision, out: &Printer) -> Result<()> {
    if from > to {
        return Ok(());
    }
    let mut range = what_is_kept(bus, None, from, to).await?;
    range.skipped().iter().for_each(|skipped| out.say(&skipped.to_string()));
    while let Some(events) = range.next().await? {
        for event in &events {
            out.event(event)?;
        }
    }
    Ok(())
}

fn explain(error: anyhow::Error, from: Revision) -> anyhow::Error {
    match error.downcast_ref::<ReadError>() {
        Some(ReadError::Stream(StreamError::Refused(status))) => anyhow::anyhow!("{}", status.message),
        Some(_) => error.context(format!("reading the log from revision {from}")),
        None => error,
    }
}

struct Printer {
    json: bool,
    colours: bool,
}

impl Printer {
    fn event(&self, event: &Event) -> Result<()> {
        let text = if self.json { line::json(event) } else { line::text(event, self.colours) };
        output::line(&text)
    }

    fn sealed(&self, revision: Revision, key: &cox_objects::Key) -> Result<()> {
        let text = if self.json { line::sealed_json(revision, key) } else { line::sealed_text(revision, key) };
        output::line(&text)
    }

    /// What is no event goes to standard error, so that lines stay events.
    fn say(&self, text: &str) {
        eprintln!("cox: {text}");
    }
}
