//! Bounds of what is done at a time: overload becomes waiting, then 429, never memory.

use std::sync::Arc;
use std::time::Duration;

use cox_objects::Status;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest body that is read: Kubernetes' limit.
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// How long a request waits for its turn.
const TURN: Duration = Duration::from_millis(500);

/// How many requests are answered at a time; watches and conversations count only until they have begun.
#[derive(Clone)]
pub struct InFlight {
    permits: Arc<Semaphore>,
    most: usize,
}

impl InFlight {
    /// At most so many.
    pub fn new(most: usize) -> Self {
        InFlight { permits: Arc::new(Semaphore::new(most)), most }
    }

    /// How many there are.
    pub fn now(&self) -> usize {
        self.most.saturating_sub(self.permits.available_permits())
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// 429 if it does not come soon.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, Status> {
        let turn = tokio::time::timeout(TURN, self.permits.clone().acquire_owned()).await;
        // The semaphore is never closed, so the only failure is the time.
        turn.ok()
            .and_then(Result::ok)
            .ok_or_else(|| Status::too_many_requests("too many requests, please try again later", 1))
    }
}

/// 413 of a body that is too large.
pub fn too_large() -> Status {
    Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {MAX_BODY}"))
}
