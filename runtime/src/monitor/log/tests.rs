//! Tests of the log's form and rotation.

use proptest::prelude::*;

use super::*;

const T: &str = "1970-01-01T00:00:00.000000000Z";

fn entries(chunks: &[&[u8]]) -> String {
    let (mut lines, mut out) = (Lines::new(Stream::Stdout), Vec::new());
    chunks.iter().for_each(|chunk| lines.feed(0, chunk, &mut out));
    lines.finish(0, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_line_is_an_entry_however_it_was_cut() {
    let expected = format!("{T} stdout F one\n{T} stdout F \n{T} stdout F two\n");
    assert_eq!(entries(&[b"one\n\ntwo\n"]), expected);
    assert_eq!(entries(&[b"o", b"ne", b"\n", b"\ntw", b"o\n"]), expected);
    assert_eq!(entries(&[b"no end"]), format!("{T} stdout P no end\n"));
    assert_eq!(entries(&[]), "");
}

proptest! {
    #[test]
    fn entries_put_together_are_the_stream(
        text in prop::collection::vec(prop_oneof![9 => Just(b'x'), 1 => Just(b'\n')], 0..60_000),
        cut in 1_usize..40_000,
        long in any::<bool>(),
    ) {
        let text: Vec<u8> = if long { text.iter().map(|_| b'y').collect() } else { text };
        let chunks: Vec<&[u8]> = text.chunks(cut).collect();
        let mut joined = Vec::new();
        for entry in entries(&chunks).split_inclusive('\n') {
            let content = &entry.as_bytes()[T.len() + " stdout F ".len()..entry.len() - 1];
            prop_assert!(content.len() <= LINE);
            joined.extend_from_slice(content);
            if entry.contains(" stdout F ") {
                joined.push(b'\n');
            }
        }
        prop_assert_eq!(joined, text);
    }
}

#[test]
fn rotation_keeps_the_newest_files_within_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c/0.log");
    let mut log = LogFile::open(&path, 100, 3).unwrap();
    for i in 0..10_u8 {
        log.write(i64::from(i) * 1_000_000_000, &[b'0' + i; 60]);
    }
    let old = crate::logs::rotated(&path).unwrap();
    let heads: Vec<u8> = old.iter().map(|p| fs::read(p).unwrap()[0]).collect();
    assert_eq!(heads, [b'7', b'8']);
    assert_eq!(fs::read(&path).unwrap(), [b'9'; 60]);
}

#[test]
fn reopening_follows_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.log");
    let mut log = LogFile::open(&path, 1_000, 3).unwrap();
    log.write(0, b"a\n");
    fs::rename(&path, folder.path().join("moved")).unwrap();
    log.reopen().unwrap();
    log.write(0, b"b\n");
    assert_eq!(fs::read(&path).unwrap(), b"b\n");
}
