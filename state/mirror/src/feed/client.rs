//! The node's side of its feed: a mirror of what concerns the node.

use std::time::Duration;

use cox_bus::{Bus, Duplex, StreamError, codec};
use cox_objects::{Key, Object, Position};
use tokio_util::sync::CancellationToken;

use super::{Hello, Message, Scope};
use crate::Mirror;
use crate::state::Put;

/// How long to wait before the first further try, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Why a feed ended; it is opened again.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the stream broke: {0}")]
    Stream(#[from] StreamError),
    #[error("the server closed it")]
    Closed,
    #[error("a message cannot be read: {0}")]
    Malformed(#[from] codec::Malformed),
    #[error("an object cannot be read: {0}")]
    Object(#[from] cox_objects::object::ObjectError),
    #[error("message {found} came where {expected} was due")]
    Number { expected: u64, found: u64 },
    #[error("a message came out of turn")]
    Turn,
}

impl Mirror {
    /// Fills this mirror from a node's feed until it is cancelled: it then holds what concerns the node, and reads, changes and
    /// [`Mirror::wait_for`] work as on a full one. What it has stays while the bus is away.
    pub async fn follow_feed(&self, bus: &Bus, node: &str, scope: Scope, cancel: CancellationToken) {
        let mut wait = BACKOFF.0;
        while !cancel.is_cancelled() {
            let before = self.position();
            let broken = tokio::select! {
                () = cancel.cancelled() => return,
                broken = feed(self, bus, node, scope) => broken,
            };
            if let Err(broken) = broken {
                tracing::warn!(node, %broken, "the node's feed has ended and is opened again");
            }
            wait = if self.position() == before { (wait * 2).min(BACKOFF.1) } else { BACKOFF.0 };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

async fn feed(mirror: &Mirror, bus: &Bus, node: &str, scope: Scope) -> Result<(), Broken> {
    let hello = codec::encode(&Hello { scope }).map_err(|_| Broken::Turn)?;
    let mut reader = Reader { stream: bus.open(bus.subjects().node(node, "feed"), hello.into()).await?, expected: 0 };
    let Message::Begin { position, .. } = reader.next().await? else { return Err(Broken::Turn) };
    let objects = whole(&mut reader).await?;
    mirror.update(|state| state.replace(position, objects));
    mirror.announce(position);
    loop {
        let Message::Changes { position, puts, .. } = reader.next().await? else { return Err(Broken::Turn) };
        let puts: Vec<Put> = puts.into_iter().map(Put::try_from).collect::<Result<_, _>>()?;
        advance(mirror, position, puts);
    }
}

fn advance(mirror: &Mirror, position: Position, puts: Vec<Put>) {
    mirror.update(|state| state.put_all(position, puts));
    mirror.announce(position);
}

async fn whole(reader: &mut Reader) -> Result<Vec<(Key, Object)>, Broken> {
    let mut objects = Vec::new();
    loop {
        match reader.next().await? {
            Message::Part { puts, .. } => {
                for put in puts {
                    let Put { key, object, .. } = put.try_into()?;
                    objects.extend(object.map(|object| (key, object)));
                }
            }
            Message::Whole { .. } => return Ok(objects),
            _ => return Err(Broken::Turn),
        }
    }
}

struct Reader {
    stream: Duplex,
    expected: u64,
}

impl Reader {
    async fn next(&mut self) -> Result<Message, Broken> {
        let bytes = self.stream.recv().await?.ok_or(Broken::Closed)?;
        let message: Message = codec::decode(&bytes)?;
        let (expected, found) = (self.expected, message.number());
        if found != expected {
            return Err(Broken::Number { expected, found });
        }
        self.expected += 1;
        Ok(message)
    }
}
