//! Frames come back as they were sent, also cut into pieces, over several header blocks of one compression.

use proptest::prelude::*;

use super::*;

fn headers(kind: &str, id: &str) -> Vec<(String, String)> {
    [("streamtype", kind), ("port", "8080"), ("requestid", id)].map(|(n, v)| (n.to_owned(), v.to_owned())).into()
}

fn frames() -> Vec<Frame> {
    vec![
        Frame::SynStream { stream: 1, headers: headers("error", "0"), fin: false },
        Frame::SynReply { stream: 1, headers: vec![], fin: false },
        Frame::SynStream { stream: 3, headers: headers("data", "0"), fin: true },
        Frame::Data { stream: 3, data: Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n"), fin: false },
        Frame::Data { stream: 3, data: Bytes::new(), fin: true },
        Frame::Ping(7),
        Frame::Reset { stream: 3, status: 5 },
        Frame::GoAway { last: 3, status: 0 },
        Frame::SynStream { stream: 5, headers: headers("data", &"x".repeat(5000)), fin: false },
    ]
}

proptest! {
    #[test]
    fn frames_come_back_however_they_are_cut(step in 1usize..700) {
        let mut sender = Session::new().unwrap();
        let bytes: Vec<u8> = frames().iter().flat_map(|frame| sender.encode(frame).unwrap()).collect();
        let mut receiver = Session::new().unwrap();
        let mut seen = Vec::new();
        for piece in bytes.chunks(step) {
            receiver.receive(piece);
            while let Some(frame) = receiver.next().unwrap() {
                seen.push(frame);
            }
        }
        prop_assert_eq!(seen, frames());
    }
}

#[test]
fn nonsense_ends_the_session() {
    let mut session = Session::new().unwrap();
    session.receive(&[0x80, 2, 0, 1, 0, 0, 0, 0]);
    assert!(matches!(session.next(), Err(Broken::Version(2))));
    let mut session = Session::new().unwrap();
    session.receive(&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff]);
    assert!(matches!(session.next(), Err(Broken::TooLarge(_))));
    let mut session = Session::new().unwrap();
    session.receive(&[0x80, 3, 0, 1, 0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    assert!(matches!(session.next(), Err(Broken::Headers)));
}

#[test]
fn what_needs_no_reaction_is_passed_over() {
    let mut session = Session::new().unwrap();
    session.receive(&[0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0xff, 0xff]);
    assert_eq!(session.next().unwrap(), Some(Frame::Other));
}
