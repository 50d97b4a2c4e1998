//! The REST gateway: HTTP and TLS on one side, the bus and a mirror on the other. It knows nothing of what objects mean.
//!
//! A request goes through [`service`]: a turn, authentication, impersonation, [`route`], then a handler: reads and watches are answered from the
//! mirror and authorized on it, writes become api requests on the bus, conversations with nodes become bus streams.

pub mod answer;
pub mod auth;
pub mod authorize;
pub mod backend;
pub mod body;
mod conversation;
pub mod discovery;
mod documents;
pub mod fence;
pub mod flow;
pub mod gateway;
pub mod health;
mod json;
pub mod limits;
pub mod metrics;
pub mod negotiate;
mod openid;
mod options;
pub mod pki;
pub mod query;
mod read;
pub mod request;
pub mod route;
mod server;
pub mod service;
mod shape;
mod start;
pub mod tasks;
mod version;
mod watch;
mod write;
pub mod yaml;

pub use backend::Backend;
pub use health::{Check, Readiness};
pub use pki::{Pki, ServerNames};
pub use start::{Deps, Serving, StartError, start};
pub use version::document as version;
