//! One connection to a monitor's socket: frames in, frames out, within bounds.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::wire::{self, HEADER, Kind, MAX_PAYLOAD};

/// A client with more than this still to read holds the container's output back, for a while.
const BACKLOG: usize = 256 * 1024;

/// A frame that a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) payload: Vec<u8>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    socket: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// What it has joined: flags of [`wire`].
    pub(super) joined: u8,
    /// The connection is over.
    pub(super) gone: bool,
}

impl Client {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, input: Vec::new(), output: Vec::new(), joined: 0, gone: false })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn wants_to_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Whether the container's output has to wait for this client.
    pub(super) fn is_behind(&self) -> bool {
        self.output.len() > BACKLOG
    }

    pub(super) fn send(&mut self, kind: Kind, payload: &[u8]) {
        wire::encode(kind, payload, &mut self.output);
    }

    /// Reads what is there and gives the frames that are complete.
    pub(super) fn receive(&mut self) -> Vec<Request> {
        let mut chunk = [0_u8; 8 * 1024];
        while self.input.len() < HEADER + MAX_PAYLOAD {
            match self.socket.read(&mut chunk) {
                Ok(0) => {
                    self.gone = true;
                    break;
                }
                Ok(n) => self.input.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        let mut requests = Vec::new();
        let mut at = 0;
        loop {
            match wire::decode(self.input.get(at..).unwrap_or_default()) {
                Ok(Some((kind, payload, taken))) => {
                    requests.push(Request { kind, payload: payload.to_vec() });
                    at += taken;
                }
                Ok(None) => break,
                Err(wire::Malformed) => {
                    self.gone = true;
                    break;
                }
            }
        }
        self.input.drain(..at);
        requests
    }

    /// Writes as much as the socket takes now.
    pub(super) fn flush(&mut self) {
        let mut written = 0;
        while let Some(rest) = self.output.get(written..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(n) if n > 0 => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                _ => {
                    self.gone = true;
                    written = self.output.len();
                }
            }
        }
        self.output.drain(..written);
        if self.output.is_empty() && self.output.capacity() > BACKLOG {
            self.output = Vec::new();
        }
    }
}
