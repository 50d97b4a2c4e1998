//! How components talk: subjects, envelopes, request and reply, streams, the event stream, and the nats-server that carries them.

pub mod codec;
mod connection;
pub mod credentials;
pub mod envelope;
mod identity;
mod request;
mod router;
pub mod seal;
mod serve;
pub mod server;
mod stream;
pub mod subject;
mod task;

pub use connection::{Bus, Connect, ConnectError, LinkState, MIN_PAYLOAD};
pub use credentials::{Credentials, CredentialsError, Secret};
pub use envelope::{ApiReply, ApiRequest, LeaseGuard, PatchType, Verb, WriteOptions};
pub use identity::{CONTROLLERS, Identity, UnknownIdentity};
pub use request::{CallError, Why, now_ms};
pub use serve::{ApiServer, Heard, Incoming, Listener, Reply, Responder};
pub use stream::{Acceptor, Duplex, Offer, SinkHalf, SourceHalf, StreamError};
pub use subject::Subjects;
