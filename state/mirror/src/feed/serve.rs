//! The server of node feeds, beside a mirror.
//!
//! Flow: one reader of the mirror's changes routes each to the feeds that it concerns ([`Router`]); each feed has a short queue, from which it
//! sends what there is as one message. Guarantees: a change costs what its feeds cost, however many others there are. A node that does not
//! take its messages is cut off and begins anew. Caveats: how far the log is in which nothing concerns them, idle feeds are told in turns.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use cox_bus::{Bus, CallError, Duplex, Offer, StreamError, codec};
use cox_objects::{Position, Resource, Source, Status};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::router::{FeedId, ROUTED, Router};
use super::{Hello, Interest, Message, WirePut};
use crate::state::Put;
use crate::{Change, Changes, Mirror};

/// About how many bytes go in one message.
const PART: usize = 256 << 10;
/// How often nodes are told how far their feed is, if nothing else does.
const PROGRESS: Duration = Duration::from_millis(250);
/// How many of them at a time: with more nodes it takes more turns until each has been told.
const TOLD_AT_A_TIME: usize = 16;
/// How much waits for a node that is slow to take it, in messages; past it the node begins anew.
const QUEUE: usize = 256;

/// Serves the feeds of all nodes until it is cancelled. A node may open its own only: the server's permissions see to that.
///
/// # Errors
/// If the bus is not there.
pub async fn serve(mirror: &Mirror, bus: &Bus, cancel: CancellationToken) -> Result<(), CallError> {
    let mut offers = bus.serve_streams(bus.subjects().node_wildcard("feed")).await?;
    let (mut accepting, mut sending) = (FuturesUnordered::new(), FuturesUnordered::new());
    let mut feeds = Feeds::start(mirror);
    let mut progress = tokio::time::interval(PROGRESS);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            offer = offers.next() => match offer {
                Some(offer) => accepting.push(accept(bus, offer)),
                None => return Ok(()),
            },
            Some(accepted) = accepting.next() => {
                if let Some((interest, stream)) = accepted {
                    let (id, queue) = feeds.join(interest);
                    sending.push(async move { (id, Sender { stream, number: 0 }.run(queue).await) });
                }
            }
            Some((id, ended)) = sending.next() => feeds.leave(id, ended),
            changes = feeds.changes.next() => match changes {
                Some(changes) => feeds.route(&changes),
                // The mirror has begun anew, or was faster: so do all nodes, whose queues end here.
                None => feeds = Feeds { next: feeds.next, ..Feeds::start(mirror) },
            },
            _ = progress.tick() => feeds.tell_some(),
        }
    }
}

async fn accept(bus: &Bus, offer: Offer) -> Option<(Interest, Duplex)> {
    let Some((node, _)) = bus.subjects().parse_node(&offer.subject) else {
        offer.refuse(Status::bad_request("not a node's feed"));
        return None;
    };
    match codec::decode::<Hello>(&offer.hello) {
        Ok(hello) => Some((Interest::new(&node, hello.scope), offer.accept().await.ok()?)),
        Err(error) => {
            offer.refuse(Status::bad_request(error.to_string()));
            None
        }
    }
}

/// What waits to be sent to a node.
struct Waiting {
    position: Position,
    /// All that concerns the node, not only what has changed.
    whole: bool,
    puts: Vec<Put>,
}

/// All feeds, as far as changes have been read.
struct Feeds<'a> {
    mirror: &'a Mirror,
    changes: Changes,
    /// Everything up to here is routed.
    through: Position,
    router: Router,
    queues: BTreeMap<FeedId, Queue>,
    /// Whose turn it is to be told how far their feed is.
    turns: VecDeque<FeedId>,
    next: FeedId,
}

struct Queue {
    sender: mpsc::Sender<Waiting>,
    /// Up to where the node has been told.
    told: Position,
}

impl<'a> Feeds<'a> {
    fn start(mirror: &'a Mirror) -> Self {
        let (through, pods) = mirror.with(|state| (state.position(), Source::list(state, &Resource::PODS, "")));
        let changes = mirror.changes_after(&ROUTED, through.revision);
        let (queues, turns) = (BTreeMap::new(), VecDeque::new());
        Feeds { mirror, changes, through, router: Router::new(pods), queues, turns, next: 0 }
    }

    /// Objects may be newer than the position that the whole set is said to have: their changes are then no news any more.
    fn join(&mut self, interest: Interest) -> (FeedId, mpsc::Receiver<Waiting>) {
        self.next += 1;
        let id = self.next;
        self.catch_up();
        let position = self.through;
        let puts = self.mirror.with(|state| self.router.join(id, interest, state));
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.queues.insert(id, Queue { sender, told: position });
        self.turns.push_back(id);
        self.put(id, Waiting { position, whole: true, puts });
        (id, receiver)
    }

    fn leave(&mut self, id: FeedId, ended: Result<(), StreamError>) {
        if let Err(error) = ended {
            tracing::debug!(%error, "a node's feed has ended");
        }
        self.cut_off(id);
    }

    fn cut_off(&mut self, id: FeedId) {
        self.router.leave(id);
        self.queues.remove(&id);
    }

    fn route(&mut self, changes: &[Change]) {
        let Some(position) = changes.last().map(|change| change.position) else { return };
        let mut all: HashMap<FeedId, Vec<Put>> = HashMap::new();
        for change in changes {
            for (id, puts) in self.router.take(change, self.mirror) {
                all.entry(id).or_default().extend(puts);
            }
        }
        self.through = position;
        for (id, puts) in all {
            self.put(id, Waiting { position, whole: false, puts });
        }
    }

    /// Nothing that concerns a feed has happened up to where the mirror is.
    fn catch_up(&mut self) {
        // Taken before the changes are looked at: what comes up to here is then in them.
        let position = self.mirror.position();
        if position != self.through && self.changes.is_drained_to(position.revision) {
            self.through = position;
        }
    }

    fn tell_some(&mut self) {
        self.catch_up();
        let position = self.through;
        for _ in 0..TOLD_AT_A_TIME.min(self.turns.len()) {
            let Some(id) = self.turns.pop_front() else { return };
            let Some(queue) = self.queues.get(&id) else { continue };
            self.turns.push_back(id);
            if queue.told != position {
                self.put(id, Waiting { position, whole: false, puts: Vec::new() });
            }
        }
    }

    fn put(&mut self, id: FeedId, waiting: Waiting) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.told = waiting.position;
        if queue.sender.try_send(waiting).is_err() {
            self.cut_off(id);
        }
    }
}

/// The side of a feed that sends.
struct Sender {
    stream: Duplex,
    number: u64,
}

impl Sender {
    /// Sends what waits until one side ends.
    async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) -> Result<(), StreamError> {
        loop {
            tokio::select! {
                waiting = queue.recv() => {
                    let Some(mut waiting) = waiting else {
                        self.stream.fail(Status::expired("the feed fell behind the mirror")).await;
                        return Ok(());
                    };
                    if waiting.whole {
                        self.whole(waiting).await?;
                        continue;
                    }
                    while let Ok(more) = queue.try_recv() {
                        waiting.puts.extend(more.puts);
                        waiting.position = more.position;
                    }
                    let Waiting { position, puts, .. } = waiting;
                    let puts = puts.into_iter().map(WirePut::from).collect();
                    self.send(|number| Message::Changes { number, position, puts }).await?;
                }
                said = self.stream.recv() => match said? {
                    // A node has nothing to say after its hello.
                    Some(_) => {}
                    None => return Ok(()),
                },
            }
        }
    }

    async fn whole(&mut self, Waiting { position, puts, .. }: Waiting) -> Result<(), StreamError> {
        self.send(|number| Message::Begin { number, position }).await?;
        for puts in parts(puts) {
            self.send(|number| Message::Part { number, puts }).await?;
        }
        self.send(|number| Message::Whole { number }).await
    }

    async fn send(&mut self, message: impl FnOnce(u64) -> Message) -> Result<(), StreamError> {
        let message = message(self.number);
        self.number += 1;
        let bytes = codec::encode(&message).map_err(|_| StreamError::Protocol("a message that cannot be encoded"))?;
        self.stream.send(Bytes::from(bytes)).await
    }
}

/// Splits a whole set into messages.
fn parts(puts: Vec<Put>) -> Vec<Vec<WirePut>> {
    let mut parts = vec![Vec::new()];
    let mut size = 0;
    for put in puts.into_iter().map(WirePut::from) {
        size += put.weight();
        if size > PART {
            size = put.weight();
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(put);
        }
    }
    parts
}
