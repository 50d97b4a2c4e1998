//! The worker that writes what a component noted.

use std::time::Duration;

use cox_objects::{Key, Resource};

use super::{GATHER, Write};
use crate::supervise::{Child, worker};
use crate::why::Why;
use crate::{Api, Command};

/// How often due notes are looked for.
const TURN: Duration = Duration::from_millis(200);

/// A child that writes an api's notes as Events. What it cannot write is dropped with a line in the log: Events are no state.
/// A restart loses nothing but the write under way.
pub fn recorder(api: Api) -> Child {
    worker("recorder", move |scope| {
        let api = api.clone();
        async move {
            let mut ending = false;
            while !ending {
                tokio::select! {
                    () = scope.cancelled().cancelled() => ending = true,
                    () = tokio::time::sleep(TURN) => {}
                }
                let Some(notes) = api.notes() else { return Err("the api has no recorder".into()) };
                let now = crate::clock::now();
                // The last turn writes also what would have been gathered a little longer.
                let until = if ending { now + GATHER } else { now };
                let due = notes.lock().take_due(until);
                for (write, why) in due {
                    match run(&api, write, &why).await {
                        Ok(()) => {}
                        // What the note is about goes away with its namespace.
                        Err(failed) if matches!(failed.status.code, 403 | 404) => {
                            tracing::debug!(error = %failed, "an Event has no place any more");
                        }
                        Err(failed) => tracing::warn!(error = %failed, "an Event was not written"),
                    }
                }
            }
            Ok(())
        }
    })
}

async fn run(api: &Api, write: Write, why: &Why) -> Result<(), crate::api::Failed> {
    match write {
        Write::Create(event) => api.run(&[Command::Create(event)], why).await?,
        Write::Repeat { namespace, name, patch, instead } => {
            let key = Key::new(Resource::EVENTS, &namespace, &name);
            match api.run(&[Command::Patch { key, subresource: "", patch }], why).await {
                Err(failed) if failed.status.code == 404 => api.run(&[Command::Create(instead)], why).await?,
                other => other?,
            }
        }
    };
    Ok(())
}
