//! The worker that writes what a component noted.

use std::time::Duration;

use cox_objects::{Key, Resource, Status};
use jiff::Timestamp;
use serde_json::Value;

use super::{GATHER, Write};
use crate::supervise::{Child, worker};
use crate::why::Why;
use crate::{Api, Command};

/// How often due notes are looked for while there are any: those of one turn travel together.
const TURN: Duration = Duration::from_millis(200);

/// A child that writes an api's notes as Events. What it cannot write is dropped with a line in the log: Events are no state.
/// A restart loses nothing but the write under way.
pub fn recorder(api: Api) -> Child {
    worker("recorder", move |scope| {
        let api = api.clone();
        async move {
            let mut ending = false;
            while !ending {
                let Some(notes) = api.notes() else { return Err("the api has no recorder".into()) };
                let waits = notes.lock().next_due().is_none();
                tokio::select! {
                    () = scope.cancelled().cancelled() => ending = true,
                    () = api.noted(), if waits => continue,
                    () = tokio::time::sleep(TURN), if !waits => {}
                }
                let now = crate::clock::now();
                // The last turn writes also what would have been gathered a little longer.
                let until: Timestamp = if ending { now + GATHER } else { now };
                let due = notes.lock().take_due(until);
                write_all(&api, due).await;
            }
            Ok(())
        }
    })
}

async fn write_all(api: &Api, due: Vec<(Write, Why)>) {
    let (commands, instead): (Vec<(Command, Why)>, Vec<Option<Value>>) =
        due.into_iter().map(|(write, why)| command(write, why)).unzip();
    let mut again = Vec::new();
    let results = api.run_each(&commands).await;
    for ((result, instead), (_, why)) in results.into_iter().zip(instead).zip(&commands) {
        match (result, instead) {
            (Ok(_), _) => {}
            (Err(status), Some(whole)) if status.code == 404 => again.push((Command::Create(whole), why.clone())),
            (Err(status), _) => dropped(&status),
        }
    }
    api.run_each(&again).await.iter().filter_map(|result| result.as_ref().err()).for_each(dropped);
}

/// The command of a write; with the whole Event for the case that the one to be changed is not there any more.
fn command(write: Write, why: Why) -> ((Command, Why), Option<Value>) {
    match write {
        Write::Create(event) => ((Command::Create(event), why), None),
        Write::Repeat { namespace, name, patch, instead } => {
            let key = Key::new(Resource::EVENTS, &namespace, &name);
            ((Command::Patch { key, subresource: "", patch }, why), Some(instead))
        }
    }
}

fn dropped(status: &Status) {
    match status.code {
        // What the note is about goes away with its namespace.
        403 | 404 => tracing::debug!(%status, "an Event has no place any more"),
        _ => tracing::warn!(%status, "an Event was not written"),
    }
}
