//! How components talk: subjects, envelopes, request and reply, streams, the event stream, and the nats-server that carries them.

pub mod codec;
mod connection;
pub mod credentials;
pub mod envelope;
mod event;
pub mod follower;
pub mod head;
mod identity;
pub mod integrator;
mod jetstream;
pub mod node;
pub mod publisher;
pub mod replay;
mod request;
mod router;
pub mod seal;
mod serve;
pub mod server;
pub mod source;
mod stream;
pub mod subject;
mod task;
pub mod trace;

pub use connection::{Bus, Connect, ConnectError, LinkState, MIN_PAYLOAD};
pub use credentials::{Credentials, CredentialsError, Secret};
pub use envelope::{ApiReply, ApiRequest, LeaseGuard, PatchType, Verb, WriteOptions};
pub use follower::{Followed, Follower, follow};
pub use head::Head;
pub use identity::{CONTROLLERS, Identity, UnknownIdentity};
pub use publisher::Publisher;
pub use replay::{
    PastQuery, history, past, past_object, position_at, range, range_of, serve_reads, snapshot, what_is_kept,
};
pub use request::{CallError, Why, now_ms};
pub use seal::SealingKey;
pub use serve::{ApiServer, Heard, Incoming, Listener, Reply, Responder};
pub use source::{EventSource, Skipped};
pub use stream::{Acceptor, Duplex, Offer, SinkHalf, SourceHalf, StreamError};
pub use subject::Subjects;
