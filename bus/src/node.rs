//! Conversations with a node: what a gateway says first when it asks for exec, attach, logs or a port, and the frames that follow.
//!
//! Flow: a gateway opens a stream on `cox.<cluster>.node.<node>.{exec,attach,logs,portforward}` with one of the requests here as
//! its hello (MessagePack, [`crate::codec`]). The kubelet accepts it, or refuses it with the `Status` that the client is to see.
//! - **exec, attach**: both sides send [`Frame`]s. The node ends with one [`Frame::Exit`] and then finishes the stream.
//! - **logs**: the node sends the text as it is, any number of bytes in a message, and finishes at its end. The gateway sends nothing.
//! - **portforward**: raw bytes both ways, one stream for each connection; finishing a half closes that direction.
//!
//! Guarantees: the pod is meant by its uid, so that a pod of the same name that took its place is never reached (the kubelet
//! answers 404). Authorization is done before the stream is opened.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// The last token of the subject that each conversation has.
pub mod subject {
    /// Run a command.
    pub const EXEC: &str = "exec";
    /// Join a container's own streams.
    pub const ATTACH: &str = "attach";
    /// Read a container's log.
    pub const LOGS: &str = "logs";
    /// Connect to a port of a pod.
    pub const PORT_FORWARD: &str = "portforward";
}

/// A container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// The container (an init or ephemeral one, too); empty where a whole pod is meant.
    pub container: String,
}

/// Which streams are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Feed standard input.
    pub stdin: bool,
    /// Read standard output.
    pub stdout: bool,
    /// Read standard error; never together with `tty`.
    pub stderr: bool,
    /// With a terminal.
    pub tty: bool,
}

/// The hello of `exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Where.
    pub target: Target,
    /// The command line, not empty.
    pub command: Vec<String>,
    /// With which streams.
    pub streams: Streams,
}

/// The hello of `attach`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// Where.
    pub target: Target,
    /// With which streams.
    pub streams: Streams,
}

/// The hello of `portforward`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortForwardRequest {
    /// Which pod.
    pub target: Target,
    /// The port in the pod's network, 1 to 65535.
    pub port: u16,
}

/// The hello of `logs`; the options are those of Kubernetes' `PodLogOptions`, already validated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// Where.
    pub target: Target,
    /// Go on until the container ends.
    pub follow: bool,
    /// The container before the last restart.
    pub previous: bool,
    /// Begin each line with the time it was written.
    pub timestamps: bool,
    /// Only lines of the last seconds, more than 0.
    pub since_seconds: Option<i64>,
    /// Only lines after this time (RFC 3339).
    pub since_time: Option<String>,
    /// Only so many lines from the end.
    pub tail_lines: Option<i64>,
    /// No more than so many bytes, more than 0.
    pub limit_bytes: Option<i64>,
    /// `stdout` or `stderr`; both if none.
    pub stream: Option<String>,
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Columns.
    #[serde(rename = "Width")]
    pub width: u16,
    /// Rows.
    #[serde(rename = "Height")]
    pub height: u16,
}

/// How an exec or attach ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exit {
    /// The command (or container) ended with this code, 0 to 255.
    Code(i32),
    /// It could not be run, or was broken off; the text is for people.
    Failed(String),
}

/// One message of an exec or attach: a tag byte, and what belongs to it. Tags 0 to 4 and 255 are the channels of Kubernetes'
/// `v5.channel.k8s.io`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// 0: bytes for standard input.
    Stdin(Bytes),
    /// 1: bytes from standard output.
    Stdout(Bytes),
    /// 2: bytes from standard error.
    Stderr(Bytes),
    /// 3: the end, from the node, as JSON.
    Exit(Exit),
    /// 4: the terminal has this size now, as JSON.
    Resize(TerminalSize),
    /// 255: nothing more comes for standard input.
    CloseStdin,
}

/// A message that is no frame.
#[derive(Debug, thiserror::Error)]
pub enum BadFrame {
    /// It has no byte at all.
    #[error("an empty message is no frame")]
    Empty,
    /// A tag that means nothing.
    #[error("no frame has the tag {0}")]
    Tag(u8),
    /// Its JSON does not fit its tag.
    #[error("what a frame with the tag {0} holds cannot be read")]
    Content(u8, #[source] serde_json::Error),
}

impl Frame {
    /// The message of a frame.
    pub fn encode(&self) -> Bytes {
        let tagged = |tag: u8, data: &[u8]| {
            let mut bytes = BytesMut::with_capacity(data.len() + 1);
            bytes.put_u8(tag);
            bytes.put_slice(data);
            bytes.freeze()
        };
        match self {
            Frame::Stdin(data) => tagged(0, data),
            Frame::Stdout(data) => tagged(1, data),
            Frame::Stderr(data) => tagged(2, data),
            Frame::Exit(Exit::Code(code)) => tagged(3, serde_json::json!({ "code": code }).to_string().as_bytes()),
            Frame::Exit(Exit::Failed(why)) => tagged(3, serde_json::json!({ "failed": why }).to_string().as_bytes()),
            Frame::Resize(TerminalSize { width, height }) => {
                tagged(4, serde_json::json!({ "Width": width, "Height": height }).to_string().as_bytes())
            }
            Frame::CloseStdin => tagged(255, &[0]),
        }
    }

    /// The frame of a message; its data is shared, not copied.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(message: &Bytes) -> Result<Self, BadFrame> {
        let tag = *message.first().ok_or(BadFrame::Empty)?;
        let data = message.slice(1..);
        let content = |e| BadFrame::Content(tag, e);
        match tag {
            0 => Ok(Frame::Stdin(data)),
            1 => Ok(Frame::Stdout(data)),
            2 => Ok(Frame::Stderr(data)),
            3 => serde_json::from_slice(&data).map(Frame::Exit).map_err(content),
            4 => serde_json::from_slice(&data).map(Frame::Resize).map_err(content),
            255 => Ok(Frame::CloseStdin),
            other => Err(BadFrame::Tag(other)),
        }
    }
}

#[cfg(test)]
mod tests;
