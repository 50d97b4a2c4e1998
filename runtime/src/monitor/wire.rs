//! The frames on a monitor's socket: one byte kind, four bytes length (big endian), payload.

/// Longest payload.
pub(crate) const MAX_PAYLOAD: usize = 64 * 1024;
/// Bytes before the payload.
pub(crate) const HEADER: usize = 5;

/// What a frame is. The first group goes to the monitor, the second comes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Join the streams; payload: one byte of [`STDIN`], [`STDOUT`], [`STDERR`]. Answered by `Ok` or `Error`.
    Attach = 1,
    /// Bytes for standard input.
    Stdin = 2,
    /// Standard input ends here.
    StdinEnd = 3,
    /// Terminal size; payload: width and height as u16, big endian.
    Resize = 4,
    /// Open the log file again. Answered by `Ok` or `Error`.
    ReopenLog = 5,
    /// Done, or joined.
    Ok = 16,
    /// Refused; payload: why.
    Error = 17,
    /// Bytes from standard output.
    Stdout = 18,
    /// Bytes from standard error.
    Stderr = 19,
    /// The container has ended; its state is stored.
    Exit = 20,
}

/// Flags of an attach.
pub(crate) const STDIN: u8 = 1;
/// Flags of an attach.
pub(crate) const STDOUT: u8 = 2;
/// Flags of an attach.
pub(crate) const STDERR: u8 = 4;

impl Kind {
    /// The kind of a number.
    pub(crate) fn of(number: u8) -> Option<Self> {
        [
            Self::Attach,
            Self::Stdin,
            Self::StdinEnd,
            Self::Resize,
            Self::ReopenLog,
            Self::Ok,
            Self::Error,
            Self::Stdout,
            Self::Stderr,
            Self::Exit,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }
}

/// A broken frame: the connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed frame on the monitor's socket")]
pub(crate) struct Malformed;

/// Appends a frame. A payload longer than [`MAX_PAYLOAD`] becomes several frames.
pub(crate) fn encode(kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    let mut rest = payload;
    loop {
        let (part, more) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        out.push(kind as u8);
        out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(part);
        rest = more;
        if rest.is_empty() {
            return;
        }
    }
}

/// A frame's kind and payload, and how many bytes it takes in all.
pub(crate) type Frame<'a> = (Kind, &'a [u8], usize);

/// The first frame of `bytes` and how many bytes it takes; none while it is incomplete.
///
/// # Errors
/// An unknown kind or a length above [`MAX_PAYLOAD`].
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Frame<'_>>, Malformed> {
    let Some(([number, length @ ..], rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let kind = Kind::of(*number).ok_or(Malformed)?;
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_PAYLOAD {
        return Err(Malformed);
    }
    Ok(rest.get(..length).map(|payload| (kind, payload, HEADER + length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_payload_arrives_whole_in_frames_within_the_bound(payload in prop::collection::vec(any::<u8>(), 0..200_000)) {
            let mut bytes = Vec::new();
            encode(Kind::Stdout, &payload, &mut bytes);
            let (mut at, mut received) = (0, Vec::new());
            while let Some((kind, part, taken)) = decode(&bytes[at..]).unwrap() {
                prop_assert_eq!(kind, Kind::Stdout);
                received.extend_from_slice(part);
                at += taken;
            }
            prop_assert_eq!(at, bytes.len());
            prop_assert_eq!(received, payload);
        }
    }

    #[test]
    fn incomplete_is_waited_for_and_nonsense_refused() {
        let mut bytes = Vec::new();
        encode(Kind::Resize, &[0, 80, 0, 24], &mut bytes);
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Ok(None));
        }
        assert_eq!(decode(&[99, 0, 0, 0, 0]), Err(Malformed));
        assert_eq!(decode(&[2, 255, 0, 0, 0]), Err(Malformed));
    }
}
