//! The frames of a stream as bytes: a kind, numbers in big-endian order, and what they carry.

use bytes::Bytes;
use cox_objects::Status;
use serde::{Deserialize, Serialize};

use crate::codec;

/// One frame.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Frame {
    /// The stream stands; its server reads here and lets the opener send this many bytes ahead.
    Accept { address: String, window: u64 },
    /// There will be no stream.
    Refuse(Status),
    /// A message, with its number.
    Data(u64, Bytes),
    /// No more messages, with the number that the next one would have.
    End(u64),
    /// No more messages because of an error, with that number.
    Fail(u64, Status),
    /// How many frames were numbered so far, and how many bytes of the other side's were consumed.
    State { sent: u64, consumed: u64 },
    /// The sender reads no more.
    Stop,
    /// The sender does not know the stream.
    Gone,
    /// The server's word that nobody serves the subject; never sent by us.
    Nobody,
}

/// The payload of the message that opens a stream.
#[derive(Serialize, Deserialize)]
pub(super) struct Hello {
    /// How many bytes the opener lets the server send ahead.
    pub(super) window: u64,
    /// What the opener says to the service.
    pub(super) hello: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Accepted {
    address: String,
    window: u64,
}

const ACCEPT: u8 = 1;
const REFUSE: u8 = 2;
const DATA: u8 = 3;
const END: u8 = 4;
const FAIL: u8 = 5;
const STATE: u8 = 6;
const STOP: u8 = 7;
const GONE: u8 = 8;

impl Frame {
    /// The frame's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Frame::Accept { address, window } => {
                packed(ACCEPT, &[], &Accepted { address: address.clone(), window: *window })
            }
            Frame::Refuse(status) => packed(REFUSE, &[], status),
            Frame::Data(number, message) => numbered(DATA, &[*number], message),
            Frame::End(number) => numbered(END, &[*number], &[]),
            Frame::Fail(number, status) => packed(FAIL, &[*number], status),
            Frame::State { sent, consumed } => numbered(STATE, &[*sent, *consumed], &[]),
            Frame::Stop => vec![STOP],
            Frame::Gone | Frame::Nobody => vec![GONE],
        }
    }

    /// The frame in these bytes; none if it is of a kind that we do not know, or malformed. Messages share the bytes.
    pub(super) fn decode(bytes: &Bytes) -> Option<Frame> {
        let (&kind, rest) = bytes.split_first()?;
        Some(match kind {
            ACCEPT => {
                let Accepted { address, window } = codec::decode(rest).ok()?;
                Frame::Accept { address, window }
            }
            REFUSE => Frame::Refuse(codec::decode(rest).ok()?),
            DATA => Frame::Data(number(rest)?.0, bytes.slice(9..)),
            END => Frame::End(number(rest)?.0),
            FAIL => {
                let (number, rest) = number(rest)?;
                Frame::Fail(number, codec::decode(rest).ok()?)
            }
            STATE => {
                let (sent, rest) = number(rest)?;
                Frame::State { sent, consumed: number(rest)?.0 }
            }
            STOP => Frame::Stop,
            GONE => Frame::Gone,
            _ => return None,
        })
    }
}

fn numbered(kind: u8, numbers: &[u64], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + 8 * numbers.len() + body.len());
    bytes.push(kind);
    for number in numbers {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

fn packed<T: Serialize>(kind: u8, numbers: &[u64], body: &T) -> Vec<u8> {
    // A body without a form would be a bug; the other side then says that it does not understand the frame.
    numbered(kind, numbers, &codec::encode(body).unwrap_or_default())
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*digits), rest))
}
