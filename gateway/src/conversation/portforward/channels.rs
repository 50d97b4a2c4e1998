//! Port forwarding as channels of a WebSocket, as the Python client and kube-rs speak it: one connection for each port that the request
//! names.
//!
//! Each message is a channel byte and its data. Port number `i` (from 0) has the channels `2i` for data and `2i + 1` for what went wrong; the
//! first message of each is the port, as two bytes with the lower one first. The protocol has no end of one direction: the session is over when the client
//! closes it, or the node has closed all connections.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use cox_bus::node::{PortForwardRequest, Target as NodeTarget, subject};
use cox_objects::Status;
use futures::future::join_all;
use tokio::sync::mpsc;

use super::{CHUNK, QUEUE, failure};
use crate::backend::Conversation;
use crate::conversation::websocket::{Reader, Writer, part};
use crate::conversation::{open, status_of};
use crate::gateway::Gateway;
use crate::query::Query;

/// The subprotocol.
pub(super) const PROTOCOL: &str = "v4.channel.k8s.io";
/// How many ports a session may have: channels are numbered by a byte.
const MAX_PORTS: usize = 127;

/// The ports that a request names.
///
/// # Errors
/// 400 if there is none, or something that is none.
pub(super) fn ports(query: &Query) -> Result<Vec<u16>, Status> {
    let ports: Vec<u16> =
        query.all("ports").map(|port| parse(port).map_err(Status::bad_request)).collect::<Result<_, _>>()?;
    match ports.len() {
        0 => Err(Status::bad_request("query parameter \"port\" is required")),
        1..=MAX_PORTS => Ok(ports),
        _ => Err(Status::bad_request(format!("at most {MAX_PORTS} ports can be forwarded at a time"))),
    }
}

fn parse(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) => Err(format!("port {text:?} must be > 0")),
        Ok(port) => Ok(port),
        Err(_) => Err(format!("unable to parse {text:?} as a port")),
    }
}

/// A session with a client.
pub(super) struct Session {
    pub(super) gateway: Arc<Gateway>,
    pub(super) node: String,
    pub(super) target: NodeTarget,
    pub(super) ports: Vec<u16>,
}

impl Session {
    /// Copies in both directions until one side is done.
    pub(super) async fn run(self, mut writer: Writer, mut reader: Reader) {
        let (messages, mut outgoing) = mpsc::channel(QUEUE);
        let (senders, links): (Vec<_>, Vec<_>) =
            self.ports.iter().zip(0..).map(|(port, index)| self.link(*port, index, messages.clone())).unzip();
        drop(messages);
        let to_client = async {
            while let Some(message) = outgoing.recv().await {
                if writer.send(message).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = dispatch(&mut reader, senders) => {}
            (_, ()) = async { tokio::join!(join_all(links), to_client) } => {}
            () = self.gateway.closing.cancelled() => {}
        }
        part(writer, reader).await;
    }

    /// The connection of a port: where its client's data goes, and what carries it.
    fn link(
        &self,
        port: u16,
        index: u8,
        messages: mpsc::Sender<Bytes>,
    ) -> (mpsc::Sender<Bytes>, impl Future<Output = ()>) {
        let (sender, pieces) = mpsc::channel(QUEUE);
        let (data, error) = (2 * index, 2 * index + 1);
        let hello = PortForwardRequest { target: self.target.clone(), port };
        let carried = async move {
            // A client that is gone ends the whole session, so nobody is left to be told here.
            for channel in [data, error] {
                let _ = messages.send(message(channel, &port.to_le_bytes())).await;
            }
            let ended = match open(&self.gateway, &self.node, subject::PORT_FORWARD, &hello).await {
                Ok(conversation) => copy(conversation, pieces, data, &messages, &self.node).await,
                Err(status) => Err(status),
            };
            if let Err(status) = ended {
                let _ = messages.send(message(error, failure(&hello, &status).as_bytes())).await;
            }
        };
        (sender, carried)
    }
}

/// Brings the client's messages to their connections, until it is gone.
async fn dispatch(reader: &mut Reader, connections: Vec<mpsc::Sender<Bytes>>) {
    while let Some(message) = reader.recv().await {
        let Some((channel, data)) = message.split_first() else { continue };
        let connection = connections.get(usize::from(channel / 2)).filter(|_| channel % 2 == 0);
        // What is sent to a connection that has ended is lost, as it is on any network.
        if let Some(connection) = connection.filter(|_| !data.is_empty()) {
            let _ = connection.send(message.slice_ref(data)).await;
        }
    }
}

/// Copies both ways until the node has closed the connection.
async fn copy(
    conversation: Conversation,
    mut pieces: mpsc::Receiver<Bytes>,
    channel: u8,
    messages: &mpsc::Sender<Bytes>,
    node: &str,
) -> Result<(), Status> {
    let Conversation { mut sink, mut source } = conversation;
    let to_node = async {
        while let Some(bytes) = pieces.recv().await {
            if let Err(error) = sink.send(bytes).await {
                return Err(status_of(node, error));
            }
        }
        std::future::pending().await
    };
    let to_client = async {
        while let Some(bytes) = source.recv().await.map_err(|error| status_of(node, error))? {
            for chunk in bytes.chunks(CHUNK) {
                if messages.send(message(channel, chunk)).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = to_node => ended,
        ended = to_client => ended,
    }
}

fn message(channel: u8, data: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(data.len() + 1);
    message.put_u8(channel);
    message.put_slice(data);
    message.freeze()
}
