//! Every frame comes back as it was sent, and nothing else is taken for one.

use super::*;

#[test]
fn frames_come_back() {
    for frame in [
        Frame::Stdin(Bytes::from_static(b"a\0b")),
        Frame::Stdout(Bytes::new()),
        Frame::Stderr(Bytes::from_static(&[255, 3])),
        Frame::Exit(Exit::Code(137)),
        Frame::Exit(Exit::Failed("no such file".into())),
        Frame::Resize(TerminalSize { width: 80, height: 24 }),
        Frame::CloseStdin,
    ] {
        assert_eq!(Frame::decode(&frame.encode()).unwrap(), frame);
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    assert!(matches!(Frame::decode(&Bytes::new()), Err(BadFrame::Empty)));
    assert!(matches!(Frame::decode(&Bytes::from_static(b"\x09x")), Err(BadFrame::Tag(9))));
    assert!(matches!(Frame::decode(&Bytes::from_static(b"\x04nonsense")), Err(BadFrame::Content(4, _))));
}

#[test]
fn a_terminal_size_reads_as_kubectl_writes_it() {
    let message = Bytes::from_static(b"\x04{\"Width\":190,\"Height\":50}");
    assert_eq!(Frame::decode(&message).unwrap(), Frame::Resize(TerminalSize { width: 190, height: 50 }));
}
