//! Messages as the kernel writes them.

use proptest::prelude::*;

use super::*;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(padded(bytes.len()), 0);
    bytes
}

fn tuple(kind: u16, protocol: u8, from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
    let addresses = [attribute(1, &from.ip().octets()), attribute(2, &to.ip().octets())].concat();
    let ports = [attribute(2, &from.port().to_be_bytes()), attribute(3, &to.port().to_be_bytes())].concat();
    let transport = [attribute(1, &[protocol]), ports].concat();
    attribute(kind | 0x8000, &[attribute(0x8001, &addresses), attribute(0x8002, &transport)].concat())
}

fn entry(protocol: u8) -> Vec<u8> {
    let [client, service, target] =
        ["10.244.0.7:40000", "10.96.0.9:53", "10.244.0.2:5353"].map(|end| end.parse().unwrap());
    let status = attribute(3, &[0, 0, 0, 8]);
    let id = attribute(12, &[1, 2, 3, 4]);
    let attributes = [tuple(1, protocol, client, service), tuple(2, protocol, target, client), status, id].concat();
    message(NEW, 2, &attributes)
}

#[test]
fn flows_of_udp_are_read_and_named_for_deletion() {
    let answer = [entry(17), entry(6), message(DONE, 2, &[])].concat();
    let messages = read(&answer).unwrap();
    let [Message::Flow(flow), Message::Other, Message::Done] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(
        (flow.destination.to_string(), flow.answers_from.to_string()),
        ("10.96.0.9:53".into(), "10.244.0.2:5353".into())
    );
    let client = "10.244.0.7:40000".parse().unwrap();
    let named = [tuple(1, 17, client, flow.destination), attribute(12, &[1, 2, 3, 4])].concat();
    assert_eq!(deletion(flow).get(HEADER + FAMILY.len()..), Some(named.as_slice()));
}

#[test]
fn refusals_carry_their_number() {
    let refusal = |code: i32| {
        let mut bytes = message(ERROR, 0, &[]);
        bytes.truncate(HEADER);
        bytes.extend(code.to_ne_bytes());
        bytes[..4].copy_from_slice(&20_u32.to_ne_bytes());
        bytes
    };
    assert_eq!(read(&refusal(-1)), Some(vec![Message::Refused(1)]));
    assert_eq!(read(&refusal(0)), Some(vec![Message::Other]));
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
        let _ = read(&bytes);
        let whole = entry(17);
        let part = whole.get(..cut.min(whole.len())).unwrap();
        prop_assert!(part.is_empty() || part.len() == whole.len() || read(part).is_none());
    }
}
