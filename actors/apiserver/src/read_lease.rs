//! The read lease: which gateway may answer reads without asking, and what others are not told meanwhile.
//!
//! While a gateway has the lease, nobody else is told of a revision that its mirror is not known to have: an answer waits until the gateway
//! says that it is there, or the lease has ended. So a read at that gateway sees every write that was answered before, wherever. A
//! gateway that does not say so in time gets no lease for a while and is waited for once.
//!
//! Caveats: leases are kept in memory. An apiserver that starts where an older gateway may have one waits for one lease's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use cox_bus::head::{READ_LEASE, Reached};
use cox_bus::{Bus, Head, Identity};
use cox_log::Log;
use cox_objects::{Position, Revision};
use parking_lot::Mutex;
use tokio::time::Instant;

mod holder;

use holder::Holder;

/// How long a gateway may take to say that its mirror is there before it is doubted.
const PROMPT: Duration = Duration::from_millis(100);

/// Grants the lease and waits for its holder. Clones share it.
#[derive(Clone)]
pub(crate) struct ReadLease {
    bus: Bus,
    log: Log,
    shared: Arc<Shared>,
}

struct Shared {
    holder: Mutex<Holder>,
    /// Whether there may be a lease: nobody waits while there is none.
    granted: AtomicBool,
    /// Held by who asks the holder; the others wait for the answer.
    asking: tokio::sync::Mutex<()>,
}

impl ReadLease {
    /// No lease, unless an apiserver before this one may have granted one.
    pub(crate) fn new(bus: Bus, log: Log, perhaps_granted: bool) -> Self {
        let until = perhaps_granted.then(|| Instant::now() + READ_LEASE);
        let shared = Shared {
            holder: Mutex::new(Holder::new(until)),
            granted: AtomicBool::new(perhaps_granted),
            asking: tokio::sync::Mutex::default(),
        };
        ReadLease { bus, log, shared: Arc::new(shared) }
    }

    /// The answer to a question for the head.
    pub(crate) async fn head(&self, from: &Identity, connection: Option<&str>, wanted: bool) -> Head {
        let lease = gateway(from, connection).is_some_and(|gateway| {
            let mut holder = self.shared.holder.lock();
            let lease = holder.heard(gateway, wanted, Instant::now());
            if lease {
                self.shared.granted.store(true, Ordering::Relaxed);
            }
            lease
        });
        // A write that found no lease was in the log before this: its revision is in the head.
        fence(Ordering::SeqCst);
        let revision = self.log.head();
        self.settle(from, connection, revision).await;
        Head { position: Position { epoch: self.log.epoch(), revision }, lease }
    }

    /// Waits until who has the lease, other than the asker, has this revision or has the lease no more.
    pub(crate) async fn settle(&self, from: &Identity, connection: Option<&str>, revision: Revision) {
        fence(Ordering::SeqCst);
        if !self.shared.granted.load(Ordering::Relaxed) {
            return;
        }
        let asker = gateway(from, connection);
        while self.awaited(asker, revision).is_some() {
            let _turn = self.shared.asking.lock().await;
            // Whoever asked before may have heard of this revision, too.
            let Some((connection, until)) = self.awaited(asker, revision) else { return };
            let deadline = until.min(Instant::now() + PROMPT);
            match self.ask(&connection, deadline).await {
                Some(reached) => self.shared.holder.lock().reached(&connection, reached),
                None => {
                    let renewed = self.shared.holder.lock().doubt(&connection, Instant::now());
                    tokio::time::sleep_until(renewed.unwrap_or(until)).await;
                }
            }
        }
    }

    fn awaited(&self, asker: Option<&str>, revision: Revision) -> Option<(String, Instant)> {
        let mut holder = self.shared.holder.lock();
        let awaited = holder.awaited(asker, revision, Instant::now());
        if !holder.is_held() {
            self.shared.granted.store(false, Ordering::Relaxed);
        }
        awaited
    }

    /// How far the holder's mirror is, once that is at the head of now; none if it does not say in time.
    async fn ask(&self, connection: &str, deadline: Instant) -> Option<Revision> {
        let question = Reached { revision: self.log.head() };
        let subject = self.bus.subjects().lease(connection);
        let answer: Reached = self.bus.request_json(&subject, &question, deadline).await.ok()?;
        Some(answer.revision)
    }
}

/// The connection of an asker that is a gateway: nobody else can have the lease, whatever connection it names.
fn gateway<'a>(from: &Identity, connection: Option<&'a str>) -> Option<&'a str> {
    connection.filter(|_| *from == Identity::Gateway)
}
