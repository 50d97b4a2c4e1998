//! Port forwarding: SPDY frames inside a WebSocket as kubectl sends them, or [`channels`] as other clients do; a bus stream to the node for each
//! connection.
//!
//! Flow of the first: for each connection the client opens two SPDY streams with the same `requestid`: `error`, on which it is told what went wrong, and
//! `data`. When the data stream comes a bus stream is opened to the node, and both are copied into each other until both directions have ended.
//!
//! Assumptions: all connections of a session share its WebSocket, so one whose pod does not read holds up the others once its queue is full.

mod channels;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cox_bus::node::{PortForwardRequest, Target as NodeTarget, subject};
use cox_objects::Status;
use hyper::upgrade::OnUpgrade;
use tokio::sync::mpsc;

use super::pod::Pod;
use super::spdy::{Broken, Frame, Session};
use super::websocket::{Reader, Switch, Writer, connected, part};
use super::{open, status_of};
use crate::answer::Answer;
use crate::backend::{Conversation, Sink, Source};
use crate::gateway::Gateway;
use crate::read;
use crate::request::Request;
use crate::route::Target;

/// SPDY frames as the messages of a WebSocket; and channels.
const PROTOCOLS: [&str; 2] = ["SPDY/3.1+portforward.k8s.io", channels::PROTOCOL];
/// How many pieces of a connection wait for its node.
const QUEUE: usize = 64;
/// How many connections a session may have.
const MAX_CONNECTIONS: usize = 256;
/// `REFUSED_STREAM`
const REFUSED: u32 = 3;
/// The most that goes into one data frame.
const CHUNK: usize = 256 * 1024;

/// Answers a request for port forwarding.
///
/// # Errors
/// Whatever the client is to be told before the protocol is switched.
pub(super) async fn forward(
    gateway: &Arc<Gateway>,
    request: &Request,
    target: &Target,
    upgrade: OnUpgrade,
) -> Result<Answer, Status> {
    let object = read::object(gateway, request, target).await?;
    for port in request.query.all("ports") {
        if !port.bytes().all(|b| b.is_ascii_digit()) || port.is_empty() {
            let text = format!("cannot convert to []int32: strconv.ParseUint: parsing {port:?}: invalid syntax");
            return Err(Status::bad_request(text));
        }
    }
    let pod = Pod::read(&object)?;
    let node = pod.host()?.to_owned();
    let switch = Switch::read(&request.headers, &PROTOCOLS)?;
    let (counted, gateway) = (gateway.metrics.conversation(target), gateway.clone());
    let target = pod.target("");
    if switch.protocol == channels::PROTOCOL {
        let ports = channels::ports(&request.query)?;
        gateway.clone().tasks.spawn("portforward", async move {
            let _counted = counted;
            match connected(upgrade).await {
                Ok((writer, reader)) => channels::Session { gateway, node, target, ports }.run(writer, reader).await,
                Err(error) => tracing::debug!(%error, "the client left before the switch"),
            }
        });
        return Ok(switch.answer());
    }
    gateway.clone().tasks.spawn("portforward", async move {
        let _counted = counted;
        match (connected(upgrade).await, Session::new()) {
            (Ok((writer, reader)), Ok(session)) => {
                let (frames, outgoing) = mpsc::channel(QUEUE);
                let tunnel =
                    Tunnel { gateway, node, target, frames, errors: HashMap::new(), connections: HashMap::new() };
                tunnel.run(session, writer, reader, outgoing).await;
            }
            (Err(error), _) => tracing::debug!(%error, "the client left before the switch"),
            (_, Err(error)) => tracing::error!(%error, "no SPDY session"),
        }
    });
    Ok(switch.answer())
}

/// A session with a client.
struct Tunnel {
    gateway: Arc<Gateway>,
    node: String,
    target: NodeTarget,
    /// Frames of all connections for the client.
    frames: mpsc::Sender<Frame>,
    /// Error streams by request id, until their connection begins.
    errors: HashMap<String, u32>,
    /// What goes to the nodes, by data stream; none ends that direction.
    connections: HashMap<u32, mpsc::Sender<Option<Bytes>>>,
}

impl Tunnel {
    async fn run(
        mut self,
        mut session: Session,
        mut writer: Writer,
        mut reader: Reader,
        mut outgoing: mpsc::Receiver<Frame>,
    ) {
        let closing = self.gateway.closing.clone();
        let ended = loop {
            tokio::select! {
                message = reader.recv() => {
                    let Some(message) = message else { break Ok(()) };
                    session.receive(&message);
                    if let Err(error) = self.take(&mut session, &mut writer).await {
                        break Err(error);
                    }
                }
                Some(frame) = outgoing.recv() => {
                    let bytes = match session.encode(&frame) {
                        Ok(bytes) => bytes,
                        Err(error) => break Err(error),
                    };
                    if writer.send(bytes).await.is_err() {
                        break Ok(());
                    }
                }
                () = closing.cancelled() => break Ok(()),
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a port-forward session broke");
        }
        part(writer, reader).await;
    }

    /// Reacts to all frames that are there.
    async fn take(&mut self, session: &mut Session, writer: &mut Writer) -> Result<(), Broken> {
        while let Some(frame) = session.next()? {
            let reply = match frame {
                Frame::SynStream { stream, headers, fin } => Some(self.begin(stream, &headers, fin)),
                Frame::Data { stream, data, fin } => {
                    self.bring(stream, data, fin).await;
                    None
                }
                Frame::Reset { stream, .. } => {
                    self.connections.remove(&stream);
                    None
                }
                Frame::Ping(id) => Some(Frame::Ping(id)),
                Frame::SynReply { .. } | Frame::GoAway { .. } | Frame::Other => None,
            };
            if let Some(reply) = reply {
                let bytes = session.encode(&reply)?;
                // A client that is gone shows when it is read from.
                let _ = writer.send(bytes).await;
            }
        }
        Ok(())
    }

    fn begin(&mut self, stream: u32, headers: &[(String, String)], fin: bool) -> Frame {
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());
        let id = header("requestid").to_owned();
        let taken = Frame::SynReply { stream, headers: Vec::new(), fin: false };
        self.connections.retain(|_, pieces| !pieces.is_closed());
        match (header("streamtype"), header("port").parse::<u16>()) {
            ("error", Ok(_)) if self.errors.len() < MAX_CONNECTIONS => {
                self.errors.insert(id, stream);
                taken
            }
            ("data", Ok(port)) if port > 0 && self.connections.len() < MAX_CONNECTIONS => {
                let (sender, pieces) = mpsc::channel(QUEUE);
                if !fin {
                    self.connections.insert(stream, sender);
                }
                let link = Link { data: stream, error: self.errors.remove(&id), frames: self.frames.clone() };
                let (gateway, node) = (self.gateway.clone(), self.node.clone());
                let hello = PortForwardRequest { target: self.target.clone(), port };
                self.gateway.tasks.spawn("portforward connection", async move {
                    let outcome = match open(&gateway, &node, subject::PORT_FORWARD, &hello).await {
                        Ok(conversation) => link.copy(conversation, pieces, &node).await,
                        Err(status) => Err(status),
                    };
                    link.end(&hello, outcome).await;
                });
                taken
            }
            _ => Frame::Reset { stream, status: REFUSED },
        }
    }

    async fn bring(&mut self, stream: u32, data: Bytes, fin: bool) {
        let Some(pieces) = self.connections.get(&stream) else { return };
        // A connection that has ended takes nothing; its client learns of it by its own frames.
        if !data.is_empty() {
            let _ = pieces.send(Some(data)).await;
        }
        if fin {
            let _ = pieces.send(None).await;
            self.connections.remove(&stream);
        }
    }
}

/// One connection, as the client sees it.
struct Link {
    data: u32,
    error: Option<u32>,
    frames: mpsc::Sender<Frame>,
}

impl Link {
    /// Copies both ways until both have ended.
    async fn copy(
        &self,
        conversation: Conversation,
        pieces: mpsc::Receiver<Option<Bytes>>,
        node: &str,
    ) -> Result<(), Status> {
        let Conversation { sink, source } = conversation;
        let (from, to) = tokio::join!(self.to_client(source, node), to_node(sink, pieces, node, &self.frames));
        from.and(to)
    }

    async fn to_client(&self, mut source: Box<dyn Source>, node: &str) -> Result<(), Status> {
        while let Some(bytes) = source.recv().await.map_err(|error| status_of(node, error))? {
            for at in (0..bytes.len()).step_by(CHUNK) {
                let data = bytes.slice(at..bytes.len().min(at + CHUNK));
                let frame = Frame::Data { stream: self.data, data, fin: false };
                if self.frames.send(frame).await.is_err() {
                    return Ok(());
                }
            }
        }
        // The session may be over: then there is nobody to tell.
        let _ = self.frames.send(Frame::Data { stream: self.data, data: Bytes::new(), fin: true }).await;
        Ok(())
    }

    /// Tells the client how it ended: a text on the error stream if it went wrong, and the ends of both streams.
    async fn end(&self, hello: &PortForwardRequest, outcome: Result<(), Status>) {
        let failed = outcome.is_err();
        let text = outcome.err().map(|status| failure(hello, &status));
        let error = self.error.map(|stream| Frame::Data { stream, data: text.unwrap_or_default().into(), fin: true });
        let data = failed.then(|| Frame::Data { stream: self.data, data: Bytes::new(), fin: true });
        for frame in error.into_iter().chain(data) {
            // As above.
            let _ = self.frames.send(frame).await;
        }
    }
}

/// What a client is told of a connection that went wrong.
fn failure(hello: &PortForwardRequest, status: &Status) -> String {
    let NodeTarget { pod, uid, .. } = &hello.target;
    format!("error forwarding port {} to pod {pod}, uid {uid}: {}", hello.port, status.message)
}

/// Brings the client's bytes to the node, until the client ends this direction or the whole session.
async fn to_node(
    mut sink: Box<dyn Sink>,
    mut pieces: mpsc::Receiver<Option<Bytes>>,
    node: &str,
    session: &mpsc::Sender<Frame>,
) -> Result<(), Status> {
    loop {
        tokio::select! {
            piece = pieces.recv() => match piece.flatten() {
                Some(bytes) => sink.send(bytes).await.map_err(|error| status_of(node, error))?,
                None => return sink.close().await.map_err(|error| status_of(node, error)),
            },
            () = session.closed() => return Ok(()),
        }
    }
}
