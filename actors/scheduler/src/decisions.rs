//! The actor that answers why: the kept decisions, on the scheduler's control subject.

use std::sync::Arc;

use cox_bus::{Bus, Identity};
use cox_kit::supervise::{Child, worker};
use parking_lot::Mutex;

use crate::journal::{Journal, Question};

/// The control subject's last part.
pub const DECISIONS: &str = "decisions";

/// A child that answers a [`Question`] with the records that match it. A restart loses nothing.
pub(crate) fn server(bus: Bus, journal: Arc<Mutex<Journal>>) -> Child {
    worker("decisions", move |scope| {
        let (bus, journal) = (bus.clone(), journal.clone());
        async move {
            let mut questions = bus.listen(bus.subjects().ctl(&Identity::Scheduler, DECISIONS), None).await?;
            while let Some(heard) = scope.hear(&mut questions).await? {
                // An empty question asks for all.
                let question = if heard.payload.is_empty() { Ok(Question::default()) } else { heard.json() };
                match question {
                    Ok(question) => {
                        let answer = journal.lock().answer(&question);
                        heard.answer_json(&answer).await?;
                    }
                    Err(error) => tracing::debug!(%error, "a question about decisions was not understood"),
                }
            }
            Ok(())
        }
    })
}
