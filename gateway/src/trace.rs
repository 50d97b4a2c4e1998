//! W3C trace context: what a client sends is gone on with; else a trace begins here.

use uuid::Uuid;

/// The `traceparent` of what is done for a request: the client's trace, or a new one, with a span of this request's.
pub(crate) fn next(received: &str, id: Uuid) -> String {
    let span = id.as_u128() as u64;
    match parse(received) {
        Some((trace, flags)) => format!("00-{trace}-{span:016x}-{flags}"),
        None => format!("00-{:032x}-{span:016x}-01", id.as_u128()),
    }
}

/// Trace id and flags of a header; none if it is malformed.
fn parse(header: &str) -> Option<(&str, &str)> {
    let mut parts = header.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    let valid = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    (valid && !zero(trace) && !zero(parent)).then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_or_begins() {
        let id = Uuid::from_u128(0x0123_4567_89ab_7cde_8f01_2345_6789_abcd);
        let theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert_eq!(next(theirs, id), "00-4bf92f3577b34da6a3ce929d0e0e4736-8f0123456789abcd-00");
        let ours = "00-0123456789ab7cde8f0123456789abcd-8f0123456789abcd-01";
        for bad in ["", "nonsense", "00-0-0-0", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            assert_eq!(next(bad, id), ours, "{bad}");
        }
    }
}
