//! Messages of nfnetlink's connection tracking (`linux/netfilter/nfnetlink_conntrack.h`), as bytes. Pure.
//!
//! A message is a header (length, type, flags, number, port), the family, and attributes: length, type, value, padded to four bytes. Headers
//! are in the machine's byte order, addresses and ports in the network's.

use std::net::{Ipv4Addr, SocketAddrV4};

const HEADER: usize = 16;
/// Family, version, resource: follows the header.
const FAMILY: [u8; 4] = [2, 0, 0, 0];
/// Connection tracking is nfnetlink's subsystem 1; new 0 (and what a listing answers), get 1, delete 2.
const NEW: u16 = 0x100;
const GET: u16 = 0x101;
const DELETE: u16 = 0x102;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;

/// The attribute's bits that are not its type: nested, network byte order.
const FLAGS: u16 = 0xc000;
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
/// Of a tuple.
const ADDRESSES: u16 = 1;
const TRANSPORT: u16 = 2;
/// Of its addresses and of its transport.
const SOURCE: u16 = 1;
const DESTINATION: u16 = 2;
const PROTOCOL: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;
const UDP: u8 = 17;

/// A UDP flow that the kernel remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// What its client sends to.
    pub(super) destination: SocketAddrV4,
    /// Who answers.
    pub(super) answers_from: SocketAddrV4,
    /// The attributes that name it, as they came.
    pub(super) identity: Vec<u8>,
}

/// What the kernel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A UDP flow.
    Flow(Flow),
    /// A flow of another protocol, or an acknowledgement.
    Other,
    /// A listing is at its end.
    Done,
    /// A request failed with this error number.
    Refused(i32),
}

/// Asks for all flows over IPv4.
pub(super) fn listing() -> Vec<u8> {
    message(GET, REQUEST | DUMP, &[])
}

/// Asks to forget a flow.
pub(super) fn deletion(flow: &Flow) -> Vec<u8> {
    message(DELETE, REQUEST | ACKNOWLEDGE, &flow.identity)
}

fn message(kind: u16, flags: u16, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + FAMILY.len() + attributes.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Number and port: the answers are told apart by their order.
    bytes.extend([0; 8]);
    bytes.extend(FAMILY);
    bytes.extend(attributes);
    bytes
}

/// The messages of one answer; none if it is malformed.
pub(super) fn read(mut bytes: &[u8]) -> Option<Vec<Message>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(u32::from_ne_bytes(array(bytes, 0)?)).ok()?;
        let kind = u16::from_ne_bytes(array(bytes, 4)?);
        let body = bytes.get(HEADER..length)?;
        messages.push(match kind {
            NEW => flow(body.get(FAMILY.len()..)?).map_or(Message::Other, Message::Flow),
            DONE => Message::Done,
            ERROR => match i32::from_ne_bytes(array(body, 0)?) {
                0 => Message::Other,
                code => Message::Refused(code.saturating_neg()),
            },
            _ => Message::Other,
        });
        bytes = bytes.get(padded(length)..).unwrap_or_default();
    }
    Some(messages)
}

/// A flow's attributes; none if it is not one of UDP.
fn flow(bytes: &[u8]) -> Option<Flow> {
    let (mut destination, mut answers_from, mut identity) = (None, None, Vec::new());
    for attribute in Attributes(bytes) {
        match attribute.kind {
            ORIGINAL => destination = end(attribute.value, DESTINATION, DESTINATION_PORT),
            REPLY => answers_from = end(attribute.value, SOURCE, SOURCE_PORT),
            _ => {}
        }
        if matches!(attribute.kind, ORIGINAL | ID | ZONE) {
            identity.extend(attribute.whole);
        }
    }
    Some(Flow { destination: destination?, answers_from: answers_from?, identity })
}

/// One end of a tuple of UDP.
fn end(tuple: &[u8], address: u16, port: u16) -> Option<SocketAddrV4> {
    let transport = find(tuple, TRANSPORT)?;
    if find(transport, PROTOCOL)? != [UDP] {
        return None;
    }
    let address: [u8; 4] = find(find(tuple, ADDRESSES)?, address)?.try_into().ok()?;
    let port: [u8; 2] = find(transport, port)?.try_into().ok()?;
    Some(SocketAddrV4::new(Ipv4Addr::from(address), u16::from_be_bytes(port)))
}

fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    Attributes(bytes).find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
}

struct Attribute<'a> {
    kind: u16,
    value: &'a [u8],
    /// With its header and padding.
    whole: &'a [u8],
}

/// Attributes one after the other, up to the first that is malformed.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let length = usize::from(u16::from_ne_bytes(array(self.0, 0)?));
        let kind = u16::from_ne_bytes(array(self.0, 2)?) & !FLAGS;
        let value = self.0.get(4..length)?;
        let (whole, rest) = self.0.split_at_checked(padded(length)).unwrap_or((self.0, &[]));
        self.0 = rest;
        Some(Attribute { kind, value, whole })
    }
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests;
