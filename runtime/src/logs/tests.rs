//! Tests of reading logs: form, tail, since, rotation, following.

use std::io::Write;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;

fn line(second: u32, text: &str) -> String {
    format!("1970-01-01T00:00:{second:02}.000000000Z stdout F {text}\n")
}

fn append(path: &Path, text: &str) {
    fs::File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

async fn all(path: &Path, options: LogOptions) -> Vec<String> {
    let mut reader = LogReader::open(path, options).unwrap();
    let mut texts = Vec::new();
    while let Some(entry) = reader.next().await.unwrap() {
        texts.push(String::from_utf8(entry.content).unwrap());
    }
    texts
}

#[test]
fn entries_are_parsed() {
    let entry = LogEntry::parse(b"1970-01-01T00:00:01.5Z stderr P:tag a b ").unwrap();
    assert_eq!((entry.at, entry.stream, entry.whole), (1_500_000_000, LogStream::Stderr, false));
    assert_eq!(entry.content, b"a b ");
    assert_eq!(entry.timestamp(), "1970-01-01T00:00:01.500000000Z");
    for bad in [&b""[..], b"x stdout F y", b"1970-01-01T00:00:01Z stdin F y", b"1970-01-01T00:00:01Z stdout Q y"] {
        assert_eq!(LogEntry::parse(bad), None);
    }
}

#[tokio::test]
async fn tail_and_since_go_back_into_rotated_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.log");
    append(&folder.path().join("0.log.19700101-000001.000000000"), &(line(1, "a") + &line(2, "b")));
    append(&path, &(line(3, "c") + &line(4, "d")));
    append(&folder.path().join("0.log.note"), "not a log\n");

    assert_eq!(all(&path, LogOptions::default()).await, ["a", "b", "c", "d"]);
    for (lines, expected) in
        [(0, &[][..]), (1, &["d"]), (2, &["c", "d"]), (3, &["b", "c", "d"]), (9, &["a", "b", "c", "d"])]
    {
        let options = LogOptions { tail: Some(lines), ..LogOptions::default() };
        assert_eq!(all(&path, options).await, expected, "tail {lines}");
    }
    let since = LogOptions { since: Some(2_000_000_000), ..LogOptions::default() };
    assert_eq!(all(&path, since).await, ["b", "c", "d"]);
    assert!(LogReader::open(&folder.path().join("none"), LogOptions::default()).is_err());
}

#[tokio::test]
async fn following_waits_goes_over_rotation_and_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.log");
    let stop = CancellationToken::new();
    let options = LogOptions { follow: Some(stop.clone()), ..LogOptions::default() };
    let mut reader = LogReader::open(&path, options).unwrap();
    let (seen, mut texts) = tokio::sync::mpsc::channel(16);
    let reading = tokio::spawn(async move {
        while let Some(entry) = reader.next().await.unwrap() {
            seen.send(String::from_utf8(entry.content).unwrap()).await.unwrap();
        }
    });
    let mut next = async || tokio::time::timeout(Duration::from_secs(10), texts.recv()).await.unwrap();

    append(&path, &line(1, "a"));
    assert_eq!(next().await.as_deref(), Some("a"));
    append(&path, "1970-01-01T00:00:02.000000000Z stdout F ha");
    append(&path, "lf\n");
    assert_eq!(next().await.as_deref(), Some("half"));
    append(&path, &line(3, "last of the old"));
    fs::rename(&path, folder.path().join("0.log.19700101-000003.000000000")).unwrap();
    append(&path, &line(4, "first of the new"));
    assert_eq!(next().await.as_deref(), Some("last of the old"));
    assert_eq!(next().await.as_deref(), Some("first of the new"));
    append(&path, &line(5, "before the end"));
    stop.cancel();
    assert_eq!(next().await.as_deref(), Some("before the end"));
    assert_eq!(next().await, None);
    reading.await.unwrap();
}
