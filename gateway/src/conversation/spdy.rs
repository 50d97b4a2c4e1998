//! SPDY/3.1 as kubectl's port-forward speaks it inside a WebSocket: frames and header blocks, without IO.
//!
//! Source: the SPDY protocol draft 3.1. Streams are opened by the client only. Flow control is not used: Kubernetes' implementation neither
//! counts its window nor opens ours, so that what would exceed it is held back by the WebSocket.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What header blocks are compressed against.
const DICTIONARY: &[u8] = include_bytes!("../../data/spdy3.dictionary");
/// The largest frame that is taken; Kubernetes sends up to 32 KiB of data in one.
const MAX_FRAME: usize = 1 << 20;
/// The largest header block, unpacked.
const MAX_HEADERS: usize = 64 * 1024;

const FIN: u8 = 1;
const VERSION: u16 = 3;
const HEAD: usize = 8;

/// A frame of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A stream begins.
    SynStream { stream: u32, headers: Vec<(String, String)>, fin: bool },
    /// It was taken.
    SynReply { stream: u32, headers: Vec<(String, String)>, fin: bool },
    /// It is broken off.
    Reset { stream: u32, status: u32 },
    /// Are you there?
    Ping(u32),
    /// No more streams.
    GoAway { last: u32, status: u32 },
    /// Bytes of a stream.
    Data { stream: u32, data: Bytes, fin: bool },
    /// Something that needs no reaction (SETTINGS, WINDOW_UPDATE, HEADERS, later inventions).
    Other,
}

/// Bytes that are no SPDY.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("a frame of {0} bytes")]
    TooLarge(usize),
    #[error("version {0}")]
    Version(u16),
    #[error("a frame that is too short")]
    Short,
    #[error("headers that cannot be unpacked")]
    Headers,
}

/// One side of a session: both header compressions and what has come of an unfinished frame.
pub(super) struct Session {
    received: BytesMut,
    inflate: Decompress,
    deflate: Compress,
}

impl Session {
    /// A new session.
    ///
    /// # Errors
    /// If the compression does not take the dictionary.
    pub(super) fn new() -> Result<Self, Broken> {
        let mut deflate = Compress::new(Compression::fast(), true);
        deflate.set_dictionary(DICTIONARY).map_err(|_| Broken::Headers)?;
        Ok(Session { received: BytesMut::new(), inflate: Decompress::new(true), deflate })
    }

    /// Takes in what was received.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// If the session cannot go on.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Broken> {
        let Some(head) = self.received.first_chunk::<HEAD>().copied() else { return Ok(None) };
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        if length > MAX_FRAME {
            return Err(Broken::TooLarge(length));
        }
        if self.received.len() < HEAD + length {
            return Ok(None);
        }
        self.received.advance(HEAD);
        let payload = self.received.split_to(length).freeze();
        let (first, flags) = (u32::from_be_bytes([head[0], head[1], head[2], head[3]]), head[4]);
        if first >> 31 == 0 {
            return Ok(Some(Frame::Data { stream: first, data: payload, fin: flags & FIN != 0 }));
        }
        let version = u16::from_be_bytes([head[0] & 0x7f, head[1]]);
        if version != VERSION {
            return Err(Broken::Version(version));
        }
        self.control(u16::from_be_bytes([head[2], head[3]]), flags, payload).map(Some)
    }

    fn control(&mut self, kind: u16, flags: u8, mut payload: Bytes) -> Result<Frame, Broken> {
        let number = |payload: &mut Bytes| match payload.len() {
            0..4 => Err(Broken::Short),
            _ => Ok(payload.get_u32() & 0x7fff_ffff),
        };
        let fin = flags & FIN != 0;
        match kind {
            1 => {
                let stream = number(&mut payload)?;
                number(&mut payload)?;
                if payload.len() < 2 {
                    return Err(Broken::Short);
                }
                payload.advance(2);
                Ok(Frame::SynStream { stream, headers: self.unpack(&payload)?, fin })
            }
            2 => {
                let stream = number(&mut payload)?;
                Ok(Frame::SynReply { stream, headers: self.unpack(&payload)?, fin })
            }
            3 => Ok(Frame::Reset { stream: number(&mut payload)?, status: number(&mut payload)? }),
            6 => Ok(Frame::Ping(if payload.len() < 4 { return Err(Broken::Short) } else { payload.get_u32() })),
            7 => Ok(Frame::GoAway { last: number(&mut payload)?, status: number(&mut payload)? }),
            8 => {
                // The compression goes over all blocks, so this one has to be unpacked, too.
                number(&mut payload)?;
                self.unpack(&payload)?;
                Ok(Frame::Other)
            }
            _ => Ok(Frame::Other),
        }
    }

    /// The bytes of a frame.
    ///
    /// # Errors
    /// If the headers cannot be packed.
    pub(super) fn encode(&mut self, frame: &Frame) -> Result<Bytes, Broken> {
        let mut out = BytesMut::new();
        match frame {
            Frame::Data { stream, data, fin } => {
                out.put_u32(*stream & 0x7fff_ffff);
                put_length(&mut out, *fin, data.len());
                out.put_slice(data);
            }
            Frame::SynStream { stream, headers, fin } => {
                let block = self.pack(headers)?;
                control(&mut out, 1, *fin, block.len() + 10);
                out.put_u32(*stream);
                out.put_u32(0);
                out.put_u16(0);
                out.put_slice(&block);
            }
            Frame::SynReply { stream, headers, fin } => {
                let block = self.pack(headers)?;
                control(&mut out, 2, *fin, block.len() + 4);
                out.put_u32(*stream);
                out.put_slice(&block);
            }
            Frame::Reset { stream, status } => pair(&mut out, 3, *stream, *status),
            Frame::GoAway { last, status } => pair(&mut out, 7, *last, *status),
            Frame::Ping(id) => {
                control(&mut out, 6, false, 4);
                out.put_u32(*id);
            }
            Frame::Other => {}
        }
        Ok(out.freeze())
    }

    fn unpack(&mut self, block: &[u8]) -> Result<Vec<(String, String)>, Broken> {
        let mut plain = Vec::with_capacity(1024);
        let start = self.inflate.total_in();
        loop {
            let done = usize::try_from(self.inflate.total_in() - start).map_err(|_| Broken::Headers)?;
            let rest = block.get(done..).unwrap_or_default();
            let room = plain.len();
            if plain.capacity() - plain.len() < 1024 {
                plain.reserve(4096);
            }
            match self.inflate.decompress_vec(rest, &mut plain, FlushDecompress::Sync) {
                // The first block says that it needs the dictionary.
                Err(error) if error.needs_dictionary().is_some() => {
                    self.inflate.set_dictionary(DICTIONARY).map_err(|_| Broken::Headers)?;
                }
                Err(_) => return Err(Broken::Headers),
                Ok(Status::StreamEnd) => break,
                Ok(_) if plain.len() > MAX_HEADERS => return Err(Broken::Headers),
                Ok(_) if rest.is_empty() && plain.len() == room => break,
                Ok(Status::BufError) if plain.len() == room => break,
                Ok(_) => {}
            }
        }
        read_pairs(&plain).ok_or(Broken::Headers)
    }

    fn pack(&mut self, headers: &[(String, String)]) -> Result<Vec<u8>, Broken> {
        let mut plain = BytesMut::new();
        plain.put_u32(headers.len() as u32);
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(text.len() as u32);
            plain.put_slice(text.as_bytes());
        }
        let mut packed = Vec::with_capacity(plain.len() + 512);
        let start = self.deflate.total_in();
        loop {
            let done = usize::try_from(self.deflate.total_in() - start).map_err(|_| Broken::Headers)?;
            let rest = plain.get(done..).unwrap_or_default();
            self.deflate.compress_vec(rest, &mut packed, FlushCompress::Sync).map_err(|_| Broken::Headers)?;
            // A sync flush is over when it left room in the output.
            if packed.capacity() > packed.len() {
                return Ok(packed);
            }
            packed.reserve(512);
        }
    }
}

fn read_pairs(mut plain: &[u8]) -> Option<Vec<(String, String)>> {
    let count = plain.try_get_u32().ok()?;
    let mut text = || {
        let length = plain.try_get_u32().ok()? as usize;
        let (bytes, rest) = plain.split_at_checked(length)?;
        plain = rest;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    (0..count).map(|_| Some((text()?.to_ascii_lowercase(), text()?))).collect()
}

fn control(out: &mut BytesMut, kind: u16, fin: bool, length: usize) {
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    put_length(out, fin, length);
}

fn put_length(out: &mut BytesMut, fin: bool, length: usize) {
    out.put_u8(if fin { FIN } else { 0 });
    out.put_uint(length as u64, 3);
}

fn pair(out: &mut BytesMut, kind: u16, first: u32, second: u32) {
    control(out, kind, false, 8);
    out.put_u32(first);
    out.put_u32(second);
}

#[cfg(test)]
mod tests;
