//! Hands what arrives in a connection's inbox to the call or the stream that it is for, and keeps streams alive.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use futures::StreamExt;
use tokio::time::MissedTickBehavior;

use crate::connection::Link;
use crate::request::Answer;
use crate::serve::is_delivered;
use crate::{CallError, Why};

/// How often streams are looked after: a part of their heartbeat.
const TICK: Duration = Duration::from_secs(1);

/// What stands before the number in the last token of a call's inbox, and of a stream's.
pub(crate) const CALL: char = 'r';
pub(crate) const STREAM: char = 's';

/// Subscribes to the inbox and starts the tasks that serve it.
pub(crate) async fn start(link: &Arc<Link>) -> Result<(), CallError> {
    let inbox = link.address("*", "*");
    let inbox = link.client.subscribe(inbox).await.map_err(|_| CallError::SurelyNotDone(Why::NotConnected))?;
    link.keep("inbox", route(Arc::downgrade(link), inbox));
    link.keep("streams", tend(Arc::downgrade(link)));
    Ok(())
}

async fn route(link: Weak<Link>, mut inbox: Subscriber) {
    while let Some(message) = inbox.next().await {
        let Some(link) = link.upgrade() else { return };
        if !is_delivered(message.reply.as_deref()) {
            deliver(&link, message);
        }
    }
}

fn deliver(link: &Arc<Link>, message: Message) {
    let place = message.subject.rsplit('.').next().unwrap_or_default();
    let nobody = message.status == Some(StatusCode::NO_RESPONDERS);
    if let Some(number) = number(place, CALL) {
        link.calls.answer(number, if nobody { Answer::Nobody } else { Answer::Payload(message.payload) });
    } else if let Some(number) = number(place, STREAM) {
        let own = |reply: &&str| link.subjects.is_answer_of(&link.owner, reply);
        link.streams.receive(number, nobody, message.reply.as_deref().filter(own), &message.payload);
    }
}

fn number(place: &str, kind: char) -> Option<u64> {
    u64::from_str_radix(place.strip_prefix(kind)?, 16).ok()
}

/// Sends what streams owe without anyone waiting for it: heartbeats, the end of abandoned ones.
async fn tend(weak: Weak<Link>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let Some(link) = weak.upgrade() else { return };
    let (wake, mut state) = (link.streams.wake.clone(), link.state.clone());
    drop(link);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = wake.notified() => {}
            // After a reconnect both sides say at once how far they are, so that a loss shows.
            changed = state.changed() => if changed.is_err() { return },
        }
        let Some(link) = weak.upgrade() else { return };
        let up = *state.borrow_and_update();
        for owed in link.streams.owed(up) {
            if owed.send(&link).await.is_err() {
                return;
            }
        }
    }
}
