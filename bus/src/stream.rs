//! The one stream protocol: two directions of messages in order, with byte credits, heartbeats, and an explicit end or error.
//!
//! ## Flow
//! The opener publishes *open* (its window and a hello) on the subject of a service, with its own inbox as the reply
//! address. The server answers *accept* (its inbox and window) or *refuse* (a `Status`). From then on each side sends
//! *data*, *end* and *fail* frames, numbered from 0, and *state* frames (how far it has sent and consumed) when half a
//! window was consumed, after a reconnect, and as a heartbeat.
//!
//! ## Guarantees
//! Messages arrive whole, once and in order, or the stream ends with [`StreamError::Lost`]; a clean end is never
//! inferred from silence. A sender never has more than the receiver's window in flight, so memory is bounded.
//!
//! ## Assumptions
//! The bus keeps the order of one sender's frames, and may lose some when it restarts.
//!
//! ## Caveats
//! Lost frames are not sent again: what must survive a restart of the bus (a mirror) opens a new stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use cox_objects::Status;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::connection::{Link, LinkState};

mod accept;
mod core;
mod duplex;
mod frame;
mod open;

pub use accept::{Acceptor, Offer};
pub use duplex::{Duplex, SinkHalf, SourceHalf};

use self::core::{Core, Tick};
use self::frame::Frame;

/// How many bytes a side lets the other send ahead.
pub(crate) const WINDOW: u64 = 1 << 20;

/// At most this many frames wait to be sent on behalf of nobody; more are not needed to make peers notice.
const OWED: usize = 4096;

/// Why a stream did not begin, or ended without its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StreamError {
    /// The server refused to open it.
    #[error("refused: {0}")]
    Refused(Status),
    /// The other side ended it with an error.
    #[error("{0}")]
    Failed(Status),
    /// Nobody serves this subject.
    #[error("nobody serves {0}")]
    NobodyServes(String),
    /// A frame was lost, when the bus restarted or a reader lagged.
    #[error("a part of the stream was lost")]
    Lost,
    /// Nothing was heard of the other side for too long.
    #[error("the other side is silent")]
    Silent,
    /// The other side reads no more.
    #[error("the other side reads no more")]
    Stopped,
    /// The other side does not keep to the protocol.
    #[error("the other side breaks the stream protocol: {0}")]
    Protocol(&'static str),
    /// The message is larger than the bus carries.
    #[error("a message of {0} bytes is too large for the bus")]
    TooLarge(usize),
    /// The connection to the bus was closed.
    #[error("the bus is closed")]
    Closed,
    /// This direction was ended before.
    #[error("the stream was ended before")]
    Ended,
}

/// One end of a stream, shared by its halves and the router.
pub(crate) struct Shared {
    number: u64,
    /// Where this side reads.
    own: String,
    core: Mutex<Core>,
    /// Where the other side reads; none while opening.
    peer: Mutex<Option<String>>,
    readable: Notify,
    writable: Notify,
}

impl Shared {
    fn wake(&self) {
        self.readable.notify_one();
        self.writable.notify_one();
    }

    /// How far this side is, as a message to the other; none while opening.
    fn state(&self, now: Instant) -> Option<Owed> {
        let to = self.peer.lock().clone()?;
        let frame = self.core.lock().state(now).encode().into();
        Some(Owed { to, reply: Some(self.own.clone()), frame })
    }
}

/// A frame that is to be sent.
pub(crate) struct Owed {
    pub(crate) to: String,
    /// Where its sender reads: state frames say so, so that a side which no longer knows the stream can tell.
    pub(crate) reply: Option<String>,
    pub(crate) frame: Bytes,
}

impl Owed {
    pub(crate) async fn send(self, link: &Link) -> Result<(), StreamError> {
        let sent = match self.reply {
            Some(reply) => link.client.publish_with_reply(self.to, reply, self.frame).await,
            None => link.client.publish(self.to, self.frame).await,
        };
        sent.map_err(|_| StreamError::Closed)
    }
}

/// The streams of a connection.
#[derive(Default)]
pub(crate) struct Streams {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Shared>>>,
    owed: Mutex<Vec<Owed>>,
    pub(crate) wake: Arc<Notify>,
}

impl Streams {
    /// A new end of a stream with a peer of this identity (a token), which receives from now on; an accepted one knows
    /// where its peer reads, and the peer's window.
    fn register(&self, link: &Link, token: &str, peer: Option<(String, u64)>) -> Arc<Shared> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut core = Core::new(WINDOW, link.state.borrow().generation, Instant::now());
        let peer = peer.map(|(address, window)| {
            core.opened(window);
            address
        });
        let shared = Arc::new(Shared {
            number,
            own: link.address(token, &format!("{}{number:x}", crate::router::STREAM)),
            core: Mutex::new(core),
            peer: Mutex::new(peer),
            readable: Notify::new(),
            writable: Notify::new(),
        });
        self.open.lock().insert(number, shared.clone());
        shared
    }

    fn forget(&self, shared: &Shared) {
        self.open.lock().remove(&shared.number);
    }

    /// Has a frame sent when nobody can wait for that.
    fn owe(&self, to: String, frame: &Frame) {
        let mut owed = self.owed.lock();
        if owed.len() < OWED {
            owed.push(Owed { to, reply: None, frame: frame.encode().into() });
            self.wake.notify_one();
        }
    }

    /// A frame for stream `number`; `nobody` if it is the server's word that no one serves what was to be opened.
    pub(crate) fn receive(&self, number: u64, nobody: bool, reply: Option<&str>, payload: &Bytes) {
        let frame = if nobody { Some(Frame::Nobody) } else { Frame::decode(payload) };
        let Some(shared) = self.open.lock().get(&number).cloned() else {
            if let (Some(Frame::State { .. }), Some(reply)) = (frame, reply) {
                self.owe(reply.to_owned(), &Frame::Gone);
            }
            return;
        };
        match frame {
            Some(Frame::Accept { address, window }) => {
                *shared.peer.lock() = Some(address);
                shared.core.lock().opened(window);
            }
            Some(frame) => shared.core.lock().receive(frame, Instant::now()),
            None => shared.core.lock().break_off(StreamError::Protocol("an unknown frame")),
        }
        shared.wake();
    }

    /// What is to be sent now: answers of streams that are gone, heartbeats, and after a reconnect everyone's state.
    pub(crate) fn owed(&self, link: LinkState) -> Vec<Owed> {
        let mut frames = std::mem::take(&mut *self.owed.lock());
        let streams: Vec<_> = self.open.lock().values().cloned().collect();
        let now = Instant::now();
        for shared in streams {
            let tick = shared.core.lock().tick(now, link.generation);
            match tick {
                Tick::Nothing => {}
                Tick::Broken => shared.wake(),
                Tick::State if link.up => frames.extend(shared.state(now)),
                Tick::State => {}
            }
        }
        frames
    }
}
