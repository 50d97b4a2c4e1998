//! What a gateway with a read lease owes: to say how far its mirror is, and that it is there.

use std::time::Duration;

use cox_bus::head::{READ_LEASE, Reached};
use cox_bus::{Bus, CallError};
use cox_mirror::Mirror;
use tokio::time::{Instant, MissedTickBehavior};

/// How often a gateway speaks up when nobody reads, so that it counts as there.
const PRESENT: Duration = Duration::from_secs(3);

/// Answers until the connection is closed; `stands` hears once questions arrive.
///
/// # Errors
/// If the bus is not there.
pub(super) async fn answer(bus: &Bus, mirror: &Mirror, stands: &(dyn Fn(bool) + Sync)) -> Result<(), CallError> {
    let mut questions = bus.listen(bus.subjects().lease(bus.connection()), None).await?;
    stands(true);
    let mut present = tokio::time::interval(PRESENT);
    present.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let heard = tokio::select! {
            heard = questions.next() => heard,
            _ = present.tick() => {
                // Whether it was heard shows in what the next question brings.
                let _ = bus.head(Instant::now() + PRESENT).await;
                continue;
            }
        };
        let Some(heard) = heard else { return Ok(()) };
        let Ok(Reached { revision }) = heard.json() else { continue };
        // One that is not answered ends the lease.
        if mirror.waits_for(revision, READ_LEASE).await {
            let reached = Reached { revision: mirror.position().revision };
            if let Err(error) = heard.answer_json(&reached).await {
                tracing::warn!(%error, "a position has no form");
            }
        }
    }
}
