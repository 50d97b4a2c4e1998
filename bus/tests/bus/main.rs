//! The bus with a real nats-server: requests, permissions, streams, events, and the server's own life.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod events;
mod harness;
mod outside;
mod requests;
mod server;
mod strangers;
mod streams;
