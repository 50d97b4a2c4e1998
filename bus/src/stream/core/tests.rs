//! Two ends joined by a bus that delays, loses and repeats: what arrives is the truth, or the stream says that it broke.

use cox_objects::Status;
use proptest::prelude::*;

use super::*;

const WINDOW: u64 = 1000;

fn core(now: Instant) -> Core {
    let mut core = Core::new(WINDOW, 1, now);
    core.opened(WINDOW);
    core
}

/// Sends a message if there is room.
fn send(core: &mut Core, message: &'static [u8]) -> Option<Frame> {
    let number = core.may_send(message.len()).unwrap()?;
    core.sent(message.len());
    Some(Frame::Data(number, Bytes::from_static(message)))
}

#[test]
fn credit_bounds_what_is_under_way_and_comes_back() {
    let now = Instant::now();
    let (mut a, mut b) = (core(now), core(now));
    let mut frames = Vec::new();
    while let Some(frame) = send(&mut a, &[0; 100]) {
        frames.push(frame);
    }
    assert_eq!(frames.len(), 6, "164 bytes of credit each");
    for frame in frames {
        b.receive(frame, now);
    }
    for _ in 0..3 {
        assert!(matches!(b.take(), Some(Ok(Some(_)))));
    }
    assert!(!b.owes_credit());
    assert!(matches!(b.take(), Some(Ok(Some(_)))));
    assert!(b.owes_credit());
    a.receive(b.state(now), now);
    assert!(!b.owes_credit());
    assert!(send(&mut a, &[0; 100]).is_some());
}

#[test]
fn a_message_larger_than_the_window_goes_alone() {
    let now = Instant::now();
    let (mut a, mut b) = (core(now), core(now));
    let large = send(&mut a, &[0; 5000]).unwrap();
    assert_eq!(send(&mut a, b"x"), None);
    b.receive(large, now);
    assert!(matches!(b.take(), Some(Ok(Some(m))) if m.len() == 5000));
    a.receive(b.state(now), now);
    assert!(send(&mut a, b"x").is_some());
}

#[test]
fn a_peer_that_ignores_its_credit_is_cut_off() {
    let now = Instant::now();
    let mut b = core(now);
    for number in 0..20 {
        b.receive(Frame::Data(number, Bytes::from_static(&[0; 100])), now);
    }
    let end = std::iter::from_fn(|| b.take()).find(Result::is_err);
    assert_eq!(end, Some(Err(StreamError::Protocol("more than its credit"))));
}

#[test]
fn a_lost_frame_breaks_the_stream_after_what_came_before() {
    let now = Instant::now();
    let mut b = core(now);
    b.receive(Frame::Data(0, Bytes::from_static(b"a")), now);
    b.receive(Frame::Data(2, Bytes::from_static(b"c")), now);
    assert_eq!(b.take(), Some(Ok(Some(Bytes::from_static(b"a")))));
    assert_eq!(b.take(), Some(Err(StreamError::Lost)));
    assert_eq!(b.may_send(1), Err(StreamError::Lost));
}

#[test]
fn a_lost_last_frame_shows_in_the_heartbeat() {
    let now = Instant::now();
    let (mut a, mut b) = (core(now), core(now));
    send(&mut a, b"lost");
    b.receive(a.state(now), now);
    assert_eq!(b.take(), Some(Err(StreamError::Lost)));
}

#[test]
fn each_direction_ends_on_its_own() {
    let now = Instant::now();
    let (mut a, mut b) = (core(now), core(now));
    b.receive(Frame::End(a.sendable().unwrap()), now);
    a.ended();
    assert_eq!(b.take(), Some(Ok(None)));
    assert_eq!(b.take(), Some(Ok(None)), "the end stays");
    assert_eq!(a.may_send(1), Err(StreamError::Ended));
    a.receive(send(&mut b, b"still here").unwrap(), now);
    assert!(matches!(a.take(), Some(Ok(Some(_)))));
    let number = b.sendable().unwrap();
    a.receive(Frame::Fail(number, Status::internal("x")), now);
    assert_eq!(a.take(), Some(Err(StreamError::Failed(Status::internal("x")))));
}

#[test]
fn who_reads_no_more_stops_the_other_side_only() {
    let now = Instant::now();
    let (mut a, mut b) = (core(now), core(now));
    b.stop();
    a.receive(Frame::Stop, now);
    assert_eq!(a.may_send(1), Err(StreamError::Stopped));
    assert!(b.may_send(1).unwrap().is_some());
    assert!(a.is_receiving());
}

#[test]
fn silence_is_broken_by_heartbeats_and_breaks_the_stream_without() {
    let now = Instant::now();
    let mut a = core(now);
    assert_eq!(a.tick(now, 1), Tick::Nothing);
    assert_eq!(a.tick(now + HEARTBEAT, 1), Tick::State);
    a.state(now + HEARTBEAT);
    assert_eq!(a.tick(now + HEARTBEAT, 1), Tick::Nothing);
    assert_eq!(a.tick(now + HEARTBEAT, 2), Tick::State, "after a reconnect at once");
    assert_eq!(a.tick(now + SILENCE, 2), Tick::Broken);
    assert_eq!(a.take(), Some(Err(StreamError::Silent)));
    assert_eq!(a.tick(now + SILENCE, 2), Tick::Nothing);
}

#[test]
fn a_peer_that_is_not_there_twice_is_gone_and_one_that_comes_back_is_not() {
    let now = Instant::now();
    let mut a = core(now);
    a.receive(Frame::Nobody, now);
    a.receive(Frame::State { sent: 0, consumed: 0 }, now);
    a.receive(Frame::Nobody, now);
    assert_eq!(a.take(), None);
    a.receive(Frame::Nobody, now);
    assert_eq!(a.take(), Some(Err(StreamError::Lost)));
    let mut opening = Core::new(WINDOW, 1, now);
    opening.receive(Frame::Nobody, now);
    assert!(matches!(opening.sendable(), Err(StreamError::NobodyServes(_))));
}

#[derive(Clone, Debug)]
enum Act {
    Send(u16),
    Deliver,
    Lose,
    Repeat,
    Read,
    State,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..400u16).prop_map(Act::Send),
        6 => Just(Act::Deliver),
        4 => Just(Act::Read),
        3 => Just(Act::State),
        1 => Just(Act::Repeat),
        1 => Just(Act::Lose),
    ]
}

proptest! {
    #[test]
    fn what_is_read_is_a_prefix_of_what_was_sent(acts in proptest::collection::vec(act(), 0..200)) {
        let now = Instant::now();
        let (mut a, mut b) = (core(now), core(now));
        let mut wire: VecDeque<Frame> = VecDeque::new();
        let (mut sent, mut read, mut lost) = (Vec::new(), Vec::new(), false);
        for act in acts {
            match act {
                Act::Send(length) => {
                    let message = Bytes::from(vec![(sent.len() % 251) as u8; length as usize]);
                    if let Ok(Some(number)) = a.may_send(message.len()) {
                        a.sent(message.len());
                        wire.push_back(Frame::Data(number, message.clone()));
                        sent.push(message);
                    }
                }
                Act::Deliver => if let Some(frame) = wire.pop_front() { b.receive(frame, now) },
                Act::Lose => lost |= wire.pop_front().is_some(),
                Act::Repeat => if let Some(frame) = wire.front().cloned() { b.receive(frame, now) },
                Act::Read => match b.take() {
                    Some(Ok(Some(message))) => read.push(message),
                    Some(Ok(None)) => prop_assert!(false, "an end that was not sent"),
                    Some(Err(error)) => { prop_assert_eq!(error, StreamError::Lost); prop_assert!(lost); }
                    None => {}
                },
                Act::State => {
                    let frame = b.state(now);
                    a.receive(frame, now);
                }
            }
            let buffered: u64 = b.buffer.iter().map(|m| cost(m.len())).sum();
            prop_assert!(buffered <= WINDOW);
        }
        prop_assert_eq!(&read[..], &sent[..read.len()]);
        // Without a loss everything arrives in the end.
        while !lost && let Some(frame) = wire.pop_front() {
            b.receive(frame, now);
        }
        while let Some(Ok(Some(message))) = b.take() {
            read.push(message);
        }
        prop_assert!(lost || read == sent);
    }

    #[test]
    fn frames_come_back(number: u64, consumed: u64, message: Vec<u8>, address: String) {
        let message = Bytes::from(message);
        for frame in [
            Frame::Data(number, message.clone()), Frame::End(number), Frame::Fail(number, Status::internal(&address)),
            Frame::State { sent: number, consumed }, Frame::Stop, Frame::Gone, Frame::Refuse(Status::unauthorized()),
            Frame::Accept { address, window: number },
        ] {
            prop_assert_eq!(Frame::decode(&frame.encode().into()), Some(frame));
        }
        // Anything may arrive.
        let _ = Frame::decode(&message);
    }
}
