//! The bus with a real nats-server: requests, permissions, streams, events, and the server's own life.

mod events;
mod harness;
mod requests;
mod server;
mod streams;
