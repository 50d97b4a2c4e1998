//! The side that opens a stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use super::duplex::Duplex;
use super::frame::Hello;
use super::{Shared, StreamError, WINDOW};
use crate::{Bus, codec};

/// How long a service may take to accept: a node unpacks nothing and starts nothing before it does.
const ACCEPT: Duration = Duration::from_secs(10);
/// How long to ask again where nobody listens, which happens just after the bus was restarted.
const NOBODY: Duration = Duration::from_secs(1);
const ASK_AGAIN: Duration = Duration::from_millis(20);

impl Bus {
    /// Opens a stream on a service's subject, saying `hello` to it.
    ///
    /// # Errors
    /// If nobody serves it, it refuses, or does not answer in 10 seconds.
    pub async fn open(&self, subject: String, hello: Bytes) -> Result<Duplex, StreamError> {
        let begun = Instant::now();
        let payload = codec::encode(&Hello { window: WINDOW, hello })
            .map_err(|_| StreamError::Protocol("the hello has no form"))?;
        let payload = Bytes::from(payload);
        if payload.len() > self.max_payload() {
            return Err(StreamError::TooLarge(payload.len()));
        }
        let Some(peer) = self.subjects().served_by(&subject) else {
            return Err(StreamError::NobodyServes(subject));
        };
        loop {
            match self.try_open(&subject, &peer, payload.clone(), begun + ACCEPT).await {
                Err(StreamError::NobodyServes(_)) if begun.elapsed() < NOBODY => sleep(ASK_AGAIN).await,
                Err(StreamError::NobodyServes(_)) => return Err(StreamError::NobodyServes(subject)),
                other => return other,
            }
        }
    }

    async fn try_open(
        &self,
        subject: &str,
        peer: &str,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<Duplex, StreamError> {
        let shared = self.link.streams.register(&self.link, peer, None);
        let stream = Duplex::new(self.clone(), shared.clone());
        let send = self.link.client.publish_with_reply(subject.to_owned(), shared.own.clone(), payload);
        match timeout_at(deadline, send).await {
            Ok(sent) => sent.map_err(|_| StreamError::Closed)?,
            Err(_) => return Err(StreamError::Silent),
        }
        match timeout_at(deadline, accepted(&shared)).await {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StreamError::Silent),
        }
    }
}

async fn accepted(shared: &Arc<Shared>) -> Result<(), StreamError> {
    loop {
        {
            let core = shared.core.lock();
            // Opened first: a short answer may have come, ended and stopped us before we look.
            if core.is_open() {
                return Ok(());
            }
            core.sendable()?;
        }
        shared.writable.notified().await;
    }
}
