//! Bounds of what requests hold: the size of a body, and of all large bodies together.

use std::sync::Arc;
use std::time::Duration;

use cox_objects::Status;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest body that is read: Kubernetes' limit.
pub const MAX_BODY: usize = 3 * 1024 * 1024;
/// A body up to this size takes no room: what is held of these is bounded by the seats for requests.
const SMALL: usize = 64 * 1024;
/// The room for all larger ones. On its way into the log a body is held several times over.
const ROOM: usize = 32 * 1024 * 1024;
/// Room is counted in pieces of this size.
const PIECE: usize = 1024;
/// How long a request waits for room.
const TURN: Duration = Duration::from_secs(5);

/// Room for large bodies; clones share it.
#[derive(Clone)]
pub struct Bodies(Arc<Semaphore>);

/// The room of one body; others may have it when this is dropped.
pub struct Room(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Default for Bodies {
    fn default() -> Self {
        Bodies(Arc::new(Semaphore::new(ROOM / PIECE)))
    }
}

impl Bodies {
    /// Waits for room for a body of a size; of an unknown one it may become as large as any.
    ///
    /// # Errors
    /// 429 if there is none soon.
    pub async fn room(&self, size: Option<u64>) -> Result<Option<Room>, Status> {
        let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(MAX_BODY).min(MAX_BODY);
        if size <= SMALL {
            return Ok(None);
        }
        let pieces = u32::try_from(size.div_ceil(PIECE)).unwrap_or(u32::MAX);
        let turn = tokio::time::timeout(TURN, self.0.clone().acquire_many_owned(pieces)).await;
        // The semaphore is never closed, so the only failure is the time.
        turn.ok()
            .and_then(Result::ok)
            .map(|permit| Some(Room(permit)))
            .ok_or_else(|| Status::too_many_requests("Too many requests, please try again later.", 1))
    }
}

/// 413 of a body that is too large.
pub fn too_large() -> Status {
    Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {MAX_BODY}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_room() {
        let bodies = Bodies::default();
        let mut held = Vec::new();
        while let Ok(Some(room)) = bodies.room(None).await {
            held.push(room);
        }
        assert_eq!(held.len(), ROOM / MAX_BODY);
        assert!(bodies.room(Some(SMALL as u64)).await.unwrap().is_none(), "small ones need none");
        let refused = bodies.room(Some(MAX_BODY as u64)).await.err().unwrap();
        assert_eq!((refused.code, refused.retry_after), (429, Some(1)));
        held.pop();
        assert!(bodies.room(Some(u64::MAX)).await.unwrap().is_some());
    }
}
