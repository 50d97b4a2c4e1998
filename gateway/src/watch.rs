//! Watches: the mirror's watch engine as lines of JSON.
//!
//! Flow: what a watch delivers in one turn becomes one piece of the body, encoded once for all watchers that see the same. A turn is taken
//! at once while changes come one by one. After a turn with more of them the watch rests, the longer the more they were, so that still more go out
//! with the next: that costs less than a turn for each, for us and for the client.
//!
//! Guarantees: every change in order, once; a watcher that is too slow, or older than what is remembered, gets an ERROR event with
//! status 410 and is closed.

mod frame;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cox_mirror::{Batch, Selected, Start, Watch, WatchError, WatchQuery};
use cox_objects::Status;
use futures::Stream;
use rand::Rng;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::{self, Answer};
use crate::body::Body;
use crate::gateway::{Gateway, too_large};
use crate::metrics::Open;
use crate::negotiate::Offer;
use crate::options::{self, Version, WatchOptions};
use crate::request::Request;
use crate::route::Target;
use crate::shape::{self, Include, View};
use frame::Frames;

/// How long a busy watch rests for each change of its last turn, and at most: a client does not notice the latter.
const REST: Duration = Duration::from_millis(1);
const LONGEST_REST: Duration = Duration::from_millis(3);
/// A watch without a timeout of its own ends after a random time from this to twice this, as Kubernetes has it.
const LONGEST_MIN: u64 = 1800;

/// Answers a watch.
///
/// # Errors
/// Whatever the client is to be told before the first event.
pub(crate) async fn watch(gateway: &Arc<Gateway>, request: &Request, target: &Target) -> Result<Answer, Status> {
    let options = options::watch(&target.kind, &request.query, &target.name);
    if let Ok(options) = &options {
        reach(gateway, options).await?;
    }
    gateway.authorizer.check(&request.user, &request.info)?;
    let form = request.form(Offer::Watch)?;
    let options = options?;
    shape::check(&form.shape, &target.kind, false)?;
    let view = View::new(&target.kind);
    let frames = Frames::new(view, form, Include::parse(request.query.text("includeObject"))?);
    let query = WatchQuery {
        what: Selected::within(target.kind.resource.clone(), &target.namespace).by(options.selector.clone()),
        start: start(&options),
        bookmarks: options.bookmarks,
    };
    let started = match gateway.backend.watch(&gateway.mirror, query).await {
        Err(WatchError::Future { revision, current }) => return Err(too_large(revision, current)),
        started => started,
    };
    let seconds = options.timeout.unwrap_or_else(|| rand::rng().random_range(LONGEST_MIN..=2 * LONGEST_MIN));
    let turns = Turns {
        open: gateway.metrics.watch(target),
        over: Box::pin(over(gateway.closing.clone(), Duration::from_secs(seconds))),
        earliest: Instant::now(),
        frames,
        state: started.map_err(Some),
    };
    Ok(answer::of_body(200, "application/json", Body::stream(turns.stream())))
}

async fn reach(gateway: &Gateway, options: &WatchOptions) -> Result<(), Status> {
    match options.version {
        Version::NotOlderThan(revision) | Version::Exact(revision) => gateway.wait_for(revision).await,
        Version::Any => Ok(()),
        Version::Newest => gateway.fence.pass().await.map(drop),
    }
}

fn start(options: &WatchOptions) -> Start {
    match (options.initial, options.version) {
        (Some(true), _) => Start::Initial { marked: true },
        (Some(false), Version::Newest | Version::Any) => Start::Now,
        (None, Version::Newest | Version::Any) => Start::Initial { marked: false },
        (_, Version::NotOlderThan(revision) | Version::Exact(revision)) => Start::At(revision),
    }
}

/// A watch on its way out.
struct Turns {
    open: Open,
    /// Ends when the watch has lasted long enough, or the gateway closes.
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    earliest: Instant,
    frames: Frames,
    /// The watch; or how it ended, until the client was told.
    state: Result<Watch, Option<WatchError>>,
}

impl Turns {
    fn stream(self) -> impl Stream<Item = Bytes> + Send {
        futures::stream::unfold(self, |mut turns| async move { turns.turn().await.map(|bytes| (bytes, turns)) })
    }

    async fn turn(&mut self) -> Option<Bytes> {
        loop {
            let watch = match &mut self.state {
                Ok(watch) => watch,
                Err(error) => return error.take().map(|error| frame::error(&status_of(error))),
            };
            if Instant::now() < self.earliest {
                tokio::time::sleep_until(self.earliest).await;
            }
            let batch = tokio::select! {
                biased;
                () = &mut self.over => return None,
                batch = watch.next() => batch,
            };
            match batch {
                Ok(Batch::Initial(items)) => return Some(self.frames.initial(&items)),
                Ok(Batch::Changes(segment)) => {
                    let events = segment.events().len();
                    self.open.add(events);
                    self.earliest = Instant::now() + rest(events);
                    return Some(self.frames.segment(&segment));
                }
                Ok(Batch::Bookmark { revision, initial_end }) => {
                    return Some(self.frames.bookmark(revision, initial_end));
                }
                Err(error) => {
                    self.open.too_slow();
                    self.state = Err(Some(error));
                }
            }
        }
    }
}

/// How long a watch rests after a turn with so many changes. One alone says that it keeps up.
fn rest(events: usize) -> Duration {
    match u32::try_from(events) {
        Ok(0 | 1) => Duration::ZERO,
        Ok(events) => LONGEST_REST.min(REST * events),
        Err(_) => LONGEST_REST,
    }
}

async fn over(closing: CancellationToken, lasts: Duration) {
    tokio::select! {
        () = closing.cancelled() => {}
        () = tokio::time::sleep(lasts) => {}
    }
}

fn status_of(error: WatchError) -> Status {
    match error {
        WatchError::Expired { .. } => Status::expired(error.to_string()),
        WatchError::Future { revision, current } => too_large(revision, current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_keeps_up_does_not_rest_and_none_rests_long() {
        assert_eq!(rest(1), Duration::ZERO);
        assert_eq!(rest(2), Duration::from_millis(2));
        assert_eq!(rest(500), LONGEST_REST);
        assert_eq!(rest(usize::MAX), LONGEST_REST);
    }
}
