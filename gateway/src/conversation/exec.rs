//! exec and attach: Kubernetes' channel protocols over WebSocket, between a client and a node.
//!
//! Each message is a channel byte and its data: 0 stdin, 1 stdout, 2 stderr, 3 the outcome as a `Status`, 4 the terminal's size, and in v5
//! 255 with the number of a channel that the client closes.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use cox_bus::node::{AttachRequest, ExecRequest, Exit, Frame, Streams, subject};
use cox_objects::Status;
use hyper::upgrade::OnUpgrade;
use serde_json::{Value, json};

use super::pod::Pod;
use super::websocket::{Reader, Switch, Writer, connected, part};
use super::{open, status_of};
use crate::answer::Answer;
use crate::backend::{Conversation, Sink, Source};
use crate::gateway::Gateway;
use crate::read;
use crate::request::Request;
use crate::route::Target;

/// The subprotocols that are spoken; they differ in the close signal only, which is understood in both.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// The most that goes to a node in one message.
const CHUNK: usize = 256 * 1024;

/// Answers a request for exec or attach.
///
/// # Errors
/// Whatever the client is to be told before the protocol is switched.
pub(super) async fn exec(
    gateway: &Arc<Gateway>,
    request: &Request,
    target: &Target,
    upgrade: OnUpgrade,
) -> Result<Answer, Status> {
    let pod = Pod::read(&read::object(gateway, request, target).await?)?;
    let query = &request.query;
    let container = pod.container(query.text("container"))?;
    let node = pod.host()?.to_owned();
    let tty = query.flag("tty");
    let streams =
        Streams { stdin: query.flag("stdin"), stdout: query.flag("stdout"), stderr: query.flag("stderr") && !tty, tty };
    if !(streams.stdin || streams.stdout || streams.stderr) {
        return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    let switch = Switch::read(&request.headers, &PROTOCOLS)?;
    let counted = gateway.metrics.conversation(target);
    let target = pod.target(&container);
    let opened = if request.info.subresource == "attach" {
        open(gateway, &node, subject::ATTACH, &AttachRequest { target, streams }).await
    } else {
        let command: Vec<String> = query.all("command").map(str::to_owned).collect();
        if command.is_empty() {
            return Err(Status::bad_request("you must specify at least one command for the container"));
        }
        open(gateway, &node, subject::EXEC, &ExecRequest { target, command, streams }).await
    };
    let closing = gateway.closing.clone();
    gateway.tasks.spawn("exec", async move {
        let _counted = counted;
        let (mut writer, mut reader) = match connected(upgrade).await {
            Ok(halves) => halves,
            Err(error) => return tracing::debug!(%error, "the client left before the switch"),
        };
        match opened {
            Ok(Conversation { sink, source }) => tokio::select! {
                () = to_node(&mut reader, sink) => {}
                () = to_client(&mut writer, source, &node) => {}
                () = closing.cancelled() => {}
            },
            // A client that has gone away does not hear it.
            Err(status) => drop(writer.send(not_begun(&status)).await),
        }
        part(writer, reader).await;
    });
    Ok(switch.answer())
}

/// Brings the client's messages to the node, until the client is gone.
async fn to_node(reader: &mut Reader, mut sink: Box<dyn Sink>) {
    while let Some(message) = reader.recv().await {
        for frame in frames(&message) {
            if let Err(error) = sink.send(frame.encode()).await {
                tracing::debug!(%error, "the node takes no more");
                // The other direction knows why, and ends the conversation.
                return std::future::pending().await;
            }
        }
    }
}

/// The frames of a client's message; what it may not send is passed over.
fn frames(message: &Bytes) -> Vec<Frame> {
    let Some((&channel, data)) = message.split_first() else { return Vec::new() };
    let data = message.slice_ref(data);
    match channel {
        0 => {
            (0..data.len()).step_by(CHUNK).map(|at| Frame::Stdin(data.slice(at..data.len().min(at + CHUNK)))).collect()
        }
        4 => Frame::decode(message).ok().into_iter().collect(),
        255 if data.first() == Some(&0) => vec![Frame::CloseStdin],
        _ => Vec::new(),
    }
}

/// Brings what the node says to the client, until it has said how it ended.
async fn to_client(writer: &mut Writer, mut source: Box<dyn Source>, node: &str) {
    loop {
        let (message, last) = match source.recv().await {
            Ok(Some(bytes)) => match Frame::decode(&bytes) {
                Ok(Frame::Exit(exit)) => (outcome(&exit), true),
                Ok(Frame::Stdout(_) | Frame::Stderr(_)) => (bytes, false),
                Ok(_) => continue,
                Err(error) => (failure(&error.to_string()), true),
            },
            Ok(None) => (failure("the node ended the conversation without saying how"), true),
            Err(error) => (failure(&status_of(node, error).message), true),
        };
        if writer.send(message).await.is_err() || last {
            return;
        }
    }
}

/// What is said of a conversation that the node does not begin. The protocol is switched all the same: clients take a refused upgrade for a
/// server without WebSocket, and repeat the request without one.
fn not_begun(status: &Status) -> Bytes {
    let why = status.message.strip_prefix("Internal error occurred: ").unwrap_or(&status.message);
    failure(&format!("unable to upgrade connection: {why}"))
}

fn failure(why: &str) -> Bytes {
    outcome(&Exit::Failed(why.to_owned()))
}

/// The message of channel 3.
fn outcome(exit: &Exit) -> Bytes {
    let status: Value = match exit {
        Exit::Code(0) => json!({"metadata": {}, "status": "Success"}),
        Exit::Code(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Exit::Failed(why) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("Internal error occurred: {why}"), "details": {"causes": [{"message": why}]},
        }),
    };
    let mut message = BytesMut::new();
    message.put_u8(3);
    message.put_slice(status.to_string().as_bytes());
    message.freeze()
}
