//! The switch to WebSocket: what a client must send, what it gets, and the two directions of the connection.

use std::time::Duration;

use bytes::Bytes;
use cox_objects::Status;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::upgrade_required;
use crate::answer::Answer;
use crate::body::Body;
use crate::negotiate::header;

/// How long a client may take to hear that a conversation is over.
const GOODBYE: Duration = Duration::from_secs(2);
/// The largest message that is taken from a client.
const MAX_MESSAGE: usize = 16 << 20;

/// A switch that can be made.
#[derive(Debug)]
pub(super) struct Switch {
    accept: String,
    /// The subprotocol that both sides speak.
    pub(super) protocol: &'static str,
}

impl Switch {
    /// What a request asks for, of the subprotocols that are served (best first).
    ///
    /// # Errors
    /// 400 for no WebSocket upgrade, or one without a subprotocol that is served.
    pub(super) fn read(headers: &HeaderMap, served: &[&'static str]) -> Result<Self, Status> {
        let has =
            |name, token: &str| header(headers, name).split(',').any(|part| part.trim().eq_ignore_ascii_case(token));
        if !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
            return Err(upgrade_required());
        }
        let key = header(headers, SEC_WEBSOCKET_KEY);
        if key.is_empty() || header(headers, SEC_WEBSOCKET_VERSION) != "13" {
            return Err(Status::bad_request("the WebSocket handshake is incomplete"));
        }
        let offered: Vec<&str> = headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let protocol = served.iter().copied().find(|protocol| offered.contains(protocol)).ok_or_else(|| {
            Status::bad_request(format!(
                "unable to negotiate a subprotocol: client sent {offered:?}, server supports {served:?}"
            ))
        })?;
        Ok(Switch { accept: derive_accept_key(key.as_bytes()), protocol })
    }

    /// The answer that switches.
    pub(super) fn answer(&self) -> Answer {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(self.protocol));
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        answer
    }
}

/// Towards the client.
pub(super) struct Writer(SplitSink<WebSocketStream<TokioIo<Upgraded>>, Message>);
/// From the client.
pub(super) struct Reader(SplitStream<WebSocketStream<TokioIo<Upgraded>>>);

/// The connection, once the answer has gone out.
///
/// # Errors
/// If the client has gone away.
pub(super) async fn connected(upgrade: OnUpgrade) -> Result<(Writer, Reader), hyper::Error> {
    let io = TokioIo::new(upgrade.await?);
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let (writer, reader) = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await.split();
    Ok((Writer(writer), Reader(reader)))
}

impl Writer {
    /// Sends a binary message.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) async fn send(&mut self, message: Bytes) -> Result<(), Error> {
        self.0.send(Message::Binary(message)).await
    }

    async fn close(&mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        // Who is gone already needs no goodbye.
        let _ = self.0.send(Message::Close(Some(frame))).await;
        let _ = self.0.close().await;
    }
}

/// Ends a conversation: says goodbye, and takes what the client still sends until it has heard. A connection that is closed over unread bytes
/// is reset, and its client may lose what it was told last.
pub(super) async fn part(mut writer: Writer, mut reader: Reader) {
    writer.close().await;
    let heard = async { while reader.recv().await.is_some() {} };
    // Who does not hear in time is cut off.
    let _ = timeout(GOODBYE, heard).await;
}

impl Reader {
    /// The next message; none when the client has closed or is gone.
    pub(super) async fn recv(&mut self) -> Option<Bytes> {
        loop {
            match self.0.next().await? {
                Ok(Message::Binary(message)) => return Some(message),
                Ok(Message::Text(message)) => return Some(message.into()),
                Ok(Message::Close(_)) => return None,
                // Pings are answered below this.
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a WebSocket broke");
                    return None;
                }
            }
        }
    }
}
