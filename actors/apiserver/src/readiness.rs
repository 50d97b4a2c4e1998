//! What health endpoints and `cox status` ask of the apiserver, on its control subject.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cox_bus::{Bus, Identity};
use cox_kit::Scope;
use cox_kit::supervise::StartError;
use cox_log::Log;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The facts that readiness is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Why the log takes no writes, if it takes none.
    pub not_writable: Option<String>,
    /// Whether what every cluster begins with is there. The apiserver serves nothing before that.
    pub bootstrapped: bool,
    /// The newest durable revision.
    pub head: u64,
    /// For how many seconds the event stream has acknowledged nothing, though there is something to acknowledge.
    #[serde(default)]
    pub unpublished_seconds: u64,
}

/// What is asked on the control subject; the other components answer it with what is wrong with them.
pub const QUESTION: &str = "ready";

/// How often it is looked whether the publisher gets on.
const LOOK: Duration = Duration::from_secs(1);

/// Answers until the scope is cancelled.
pub(crate) async fn serve(bus: Bus, log: Log, published: Arc<AtomicU64>, scope: Scope) -> Result<(), StartError> {
    let subject = bus.subjects().ctl(&Identity::Apiserver, QUESTION);
    let mut questions = bus.listen(subject, None).await?;
    let mut progress = Progress { published: 0, since: Instant::now() };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let heard = tokio::select! {
            heard = scope.hear(&mut questions) => heard?,
            _ = looks.tick() => {
                progress.look(published.load(Ordering::Relaxed), log.head(), Instant::now());
                continue;
            }
        };
        let Some(heard) = heard else { return Ok(()) };
        let not_writable = log.writable().borrow().clone().err();
        let head = log.head();
        let stuck = progress.look(published.load(Ordering::Relaxed), head, Instant::now());
        let unpublished_seconds = stuck.as_secs();
        heard.answer_json(&Readiness { not_writable, bootstrapped: true, head, unpublished_seconds }).await?;
    }
}

/// How the publisher gets on.
struct Progress {
    published: u64,
    /// When it was as far as the log, or got further.
    since: Instant,
}

impl Progress {
    /// Notes how far it is; gives for how long it has been stuck.
    fn look(&mut self, published: u64, head: u64, now: Instant) -> Duration {
        if published >= head || published != self.published {
            *self = Progress { published, since: now };
        }
        now - self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_is_stuck_while_it_has_something_to_do_and_does_not_get_on() {
        let begun = Instant::now();
        let mut progress = Progress { published: 0, since: begun };
        let mut look =
            |at: u64, published, head| progress.look(published, head, begun + Duration::from_secs(at)).as_secs();
        assert_eq!(look(10, 7, 7), 0, "there is nothing to do");
        assert_eq!(look(100, 7, 7), 0);
        assert_eq!(look(101, 7, 8), 1);
        assert_eq!(look(109, 7, 900), 9);
        assert_eq!(look(110, 8, 900), 0, "it gets on");
        assert_eq!(look(112, 8, 901), 2);
    }
}
