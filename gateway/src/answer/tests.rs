//! Answers as clients see them.

use std::io::Read;

use super::*;
use serde_json::json;

fn body(answer: Answer) -> Vec<u8> {
    answer.into_body().into_pieces().ok().unwrap().into_iter().flatten().collect()
}

#[test]
fn an_error_says_when_to_come_again() {
    let answer = error(&Status::too_many_requests("later", 3), &Form::default());
    assert_eq!((answer.status().as_u16(), answer.headers()[RETRY_AFTER].to_str().unwrap()), (429, "3"));
    let value: Value = serde_json::from_slice(&body(answer)).unwrap();
    assert_eq!(value["details"]["retryAfterSeconds"], 3);
}

#[test]
fn errors_come_in_yaml_too() {
    let status = Status::not_found(&cox_objects::Resource::CONFIGMAPS, "none");
    let answer = error(&status, &Form { encoding: Encoding::Yaml, ..Form::default() });
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/yaml");
    assert_eq!(
        String::from_utf8(body(answer)).unwrap(),
        "apiVersion: v1\ncode: 404\ndetails:\n  kind: configmaps\n  name: none\nkind: Status\nmessage: configmaps \"none\" not \
         found\nmetadata: {}\nreason: NotFound\nstatus: Failure\n"
    );
}

#[test]
fn warnings_are_quoted() {
    let mut answer = value(200, &json!({}), &Form::default());
    warn(&mut answer, &["unknown field \"date\"".to_owned(), "bad\ntext".to_owned()]);
    let all: Vec<_> = answer.headers().get_all(WARNING).iter().collect();
    assert_eq!(all, [r#"299 - "unknown field \"date\"""#]);
}

#[test]
fn a_deprecation_comes_before_other_warnings() {
    let mut answer = value(200, &json!({}), &Form::default());
    warn(&mut answer, &["second".to_owned(), "third".to_owned()]);
    warn_first(&mut answer, "");
    warn_first(&mut answer, "first");
    let all: Vec<_> = answer.headers().get_all(WARNING).iter().collect();
    assert_eq!(all, [r#"299 - "first""#, r#"299 - "second""#, r#"299 - "third""#]);
}

#[tokio::test]
async fn only_large_answers_are_packed_and_unpack_to_the_same() {
    let small = compress(bytes(200, "application/json", vec![b'a'; 1000])).await;
    assert!(!small.headers().contains_key(CONTENT_ENCODING));
    let pieces = [Bytes::from(vec![b'a'; 100_000]), Bytes::from(vec![b'b'; 100_000])];
    let large = compress(of_body(200, "application/json", Body::pieces(pieces))).await;
    assert_eq!(large.headers()[CONTENT_ENCODING], "gzip");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(body(large).as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!((unpacked.len(), unpacked[99_999], unpacked[100_000]), (200_000, b'a', b'b'));
}
