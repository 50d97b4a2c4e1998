//! The port to what the gateway forwards to: the apiserver for writes and the head, nodes for conversations.

mod lease;

use bytes::Bytes;
use cox_bus::{ApiReply, ApiRequest, Bus, CallError, Head, SinkHalf, SourceHalf, StreamError};
use cox_mirror::{ListQuery, Listing, Mirror, PastError, Watch, WatchError, WatchQuery};
use cox_objects::{Key, Object, Revision};
use futures::future::BoxFuture;
use tokio::time::Instant;

/// What stands behind the gateway. The bus, or something in memory in tests.
pub trait Backend: Send + Sync + 'static {
    /// Sends a write and waits for its answer, until its deadline.
    fn call<'a>(&'a self, request: &'a ApiRequest) -> BoxFuture<'a, Result<ApiReply, CallError>>;

    /// The newest committed position, with a read lease if one is wanted and to be had.
    fn head(&self, lease: bool, deadline: Instant) -> BoxFuture<'_, Result<Head, CallError>>;

    /// Tells the apiserver, whenever it asks, how far a mirror is; `stands` hears once it can ask.
    fn reached<'a>(
        &'a self,
        mirror: &'a Mirror,
        stands: &'a (dyn Fn(bool) + Sync),
    ) -> BoxFuture<'a, Result<(), CallError>>;

    /// Starts a watch on a mirror; one that starts before the mirror's memory may be joined from the log.
    fn watch<'a>(&'a self, mirror: &'a Mirror, query: WatchQuery) -> BoxFuture<'a, Result<Watch, WatchError>> {
        Box::pin(async move { mirror.watch(query) })
    }

    /// Answers a list as it was at a revision that the mirror does not remember, where something else does.
    fn list_past<'a>(
        &'a self,
        _mirror: &'a Mirror,
        _query: &'a ListQuery,
        revision: Revision,
    ) -> BoxFuture<'a, Result<Listing, PastError>> {
        Box::pin(async move { Err(PastError::Expired(format!("revision {revision} is not remembered"))) })
    }

    /// Answers an object as it was at a revision.
    fn get_past<'a>(
        &'a self,
        _mirror: &'a Mirror,
        _key: &'a Key,
        revision: Revision,
    ) -> BoxFuture<'a, Result<Option<Object>, PastError>> {
        Box::pin(async move { Err(PastError::Expired(format!("revision {revision} is not remembered"))) })
    }

    /// The revision that there was at a time, in milliseconds since the Unix epoch.
    fn revision_at<'a>(&'a self, _mirror: &'a Mirror, time: u64) -> BoxFuture<'a, Result<Revision, PastError>> {
        Box::pin(async move { Err(PastError::Expired(format!("{time} is not remembered"))) })
    }

    /// Opens a conversation with a node; `what` is one of [`cox_bus::node::subject`].
    fn open<'a>(
        &'a self,
        node: &'a str,
        what: &'a str,
        hello: Bytes,
    ) -> BoxFuture<'a, Result<Conversation, StreamError>>;
}

/// Both halves of a conversation with a node.
pub struct Conversation {
    /// Towards the node.
    pub sink: Box<dyn Sink>,
    /// From the node.
    pub source: Box<dyn Source>,
}

/// The half towards the node.
pub trait Sink: Send {
    /// Sends a message; waits while the node reads slowly.
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<(), StreamError>>;
    /// Says that nothing more comes.
    fn close(&mut self) -> BoxFuture<'_, Result<(), StreamError>>;
}

/// The half from the node.
pub trait Source: Send {
    /// The next message; none at the end.
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, StreamError>>;
}

impl Backend for Bus {
    fn call<'a>(&'a self, request: &'a ApiRequest) -> BoxFuture<'a, Result<ApiReply, CallError>> {
        Box::pin(Bus::call(self, request))
    }

    fn head(&self, lease: bool, deadline: Instant) -> BoxFuture<'_, Result<Head, CallError>> {
        Box::pin(async move {
            match lease {
                true => Bus::lease(self, deadline).await,
                false => Bus::head(self, deadline).await.map(|position| Head { position, lease }),
            }
        })
    }

    fn reached<'a>(
        &'a self,
        mirror: &'a Mirror,
        stands: &'a (dyn Fn(bool) + Sync),
    ) -> BoxFuture<'a, Result<(), CallError>> {
        Box::pin(lease::answer(self, mirror, stands))
    }

    fn watch<'a>(&'a self, mirror: &'a Mirror, query: WatchQuery) -> BoxFuture<'a, Result<Watch, WatchError>> {
        Box::pin(mirror.watch_joined(self, query))
    }

    fn list_past<'a>(
        &'a self,
        mirror: &'a Mirror,
        query: &'a ListQuery,
        revision: Revision,
    ) -> BoxFuture<'a, Result<Listing, PastError>> {
        Box::pin(mirror.list_past(self, query, revision))
    }

    fn get_past<'a>(
        &'a self,
        mirror: &'a Mirror,
        key: &'a Key,
        revision: Revision,
    ) -> BoxFuture<'a, Result<Option<Object>, PastError>> {
        Box::pin(mirror.get_past(self, key, revision))
    }

    fn revision_at<'a>(&'a self, mirror: &'a Mirror, time: u64) -> BoxFuture<'a, Result<Revision, PastError>> {
        Box::pin(mirror.revision_at(self, time))
    }

    fn open<'a>(
        &'a self,
        node: &'a str,
        what: &'a str,
        hello: Bytes,
    ) -> BoxFuture<'a, Result<Conversation, StreamError>> {
        Box::pin(async move {
            let (sink, source) = Bus::open(self, self.subjects().node(node, what), hello).await?.split();
            Ok(Conversation { sink: Box::new(sink), source: Box::new(source) })
        })
    }
}

impl Sink for SinkHalf {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<(), StreamError>> {
        Box::pin(SinkHalf::send(self, message))
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), StreamError>> {
        Box::pin(SinkHalf::close(self))
    }
}

impl Source for SourceHalf {
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, StreamError>> {
        Box::pin(SourceHalf::recv(self))
    }
}
