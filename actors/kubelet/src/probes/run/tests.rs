//! HTTP probes of servers that close the connection behind their answer, or without one.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that gives each connection the same bytes once it was asked something, and closes it at once.
async fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = [0; 4096];
            assert!(stream.read(&mut question).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    port
}

async fn asked(port: u16) -> Result<(u16, String), String> {
    get("http", "127.0.0.1", port, "/x", &BTreeMap::new()).await.map_err(|e| e.to_string())
}

#[tokio::test]
async fn an_answer_counts_although_the_connection_is_closed_behind_it() {
    let port = server("HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\nno").await;
    for _ in 0..50 {
        assert_eq!(asked(port).await, Ok((404, "no".to_owned())));
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_without_an_answer_is_a_failure() {
    assert_eq!(asked(server("").await).await, Err("EOF".to_owned()));
    assert_eq!(asked(server("HTTP/1.1 200").await).await, Err("EOF".to_owned()));
    assert!(asked(1).await.unwrap_err().ends_with("connection refused"));
}
