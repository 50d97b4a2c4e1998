//! The gRPC health protocol (`grpc.health.v1.Health/Check`), as much of it as a probe needs.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::run::{Answer, bracketed};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 4096;
/// `grpc-status` of a server without the method.
const UNIMPLEMENTED: &str = "12";

/// Asks a server for the health of one of its services (its own if the name is empty).
pub(super) async fn check(host: &str, port: u16, service: &str, timeout: Duration) -> Answer {
    let address = format!("{}:{port}", bracketed(host));
    let connected = tokio::time::timeout(timeout, TcpStream::connect((host, port))).await;
    let Ok(Ok(stream)) = connected else {
        return (
            false,
            format!(
                "timeout: failed to connect service {address:?} within {}s: context deadline exceeded",
                timeout.as_secs()
            ),
        );
    };
    match tokio::time::timeout(timeout, exchange(stream, &address, service)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => (false, format!("error: health rpc probe failed: {error}")),
        Err(_) => (false, format!("timeout: health rpc did not complete within {}s", timeout.as_secs())),
    }
}

async fn exchange(
    stream: TcpStream,
    address: &str,
    service: &str,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let request = hyper::Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.36")
        .body(Full::new(Bytes::from(question(service))))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let early = response.headers().get("grpc-status").cloned();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await?;
        let status = early.or_else(|| body.trailers().and_then(|t| t.get("grpc-status").cloned()));
        let status = status.and_then(|s| s.to_str().map(str::to_owned).ok()).unwrap_or_else(|| "0".to_owned());
        Ok(verdict(&status, &body.to_bytes()))
    };
    tokio::select! {
        answer = answer => answer,
        result = connection => { result?; Err("the connection was closed".into()) }
    }
}

/// A gRPC message with `HealthCheckRequest{service = 1}`. Names are short: the API bounds them to 253 characters, of which each length
/// fits into two bytes.
fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap_or(0));
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    frame.extend_from_slice(&message);
    frame
}

/// What a `grpc-status` and a message with `HealthCheckResponse{status = 1}` mean.
fn verdict(status: &str, body: &[u8]) -> Answer {
    match status {
        "0" => {}
        UNIMPLEMENTED => {
            return (
                false,
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned(),
            );
        }
        other => return (false, format!("error: health rpc probe failed: status {other}")),
    }
    // A field that has its default is left out of the message.
    let state = match body.get(5..) {
        Some([0x08, state, ..]) => *state,
        _ => 0,
    };
    let name = match state {
        1 => return (true, "service healthy".to_owned()),
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    };
    (false, format!("service unhealthy (responded with {name:?})"))
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use hyper::service::service_fn;

    use super::*;

    /// A server whose service `good` serves, and whose others do not.
    async fn server() -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(async |request: hyper::Request<hyper::body::Incoming>| {
                    let asked = request.into_body().collect().await?.to_bytes();
                    let state = if asked.ends_with(b"good") { 1 } else { 2 };
                    let mut trailers = hyper::HeaderMap::new();
                    trailers.insert("grpc-status", hyper::header::HeaderValue::from_static("0"));
                    let frames = [Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, state])), Frame::trailers(trailers)];
                    let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, hyper::Error>)));
                    Ok::<_, hyper::Error>(hyper::Response::new(body))
                });
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = connection.serve_connection(TokioIo::new(stream), service).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn services_are_asked_by_name() {
        let port = server().await;
        let second = Duration::from_secs(5);
        assert_eq!(check("127.0.0.1", port, "good", second).await, (true, "service healthy".to_owned()));
        let text = "service unhealthy (responded with \"NOT_SERVING\")".to_owned();
        assert_eq!(check("127.0.0.1", port, "", second).await, (false, text));
        let (good, text) = check("127.0.0.1", 1, "", second).await;
        assert!(!good && text.starts_with("timeout: failed to connect service \"127.0.0.1:1\""), "{text}");
    }

    #[test]
    fn answers_are_understood() {
        assert!(verdict("12", b"").1.contains("does not implement"));
        assert_eq!(
            verdict("0", &[0, 0, 0, 0, 0]),
            (false, "service unhealthy (responded with \"UNKNOWN\")".to_owned())
        );
        assert_eq!(question(&"a".repeat(200))[5..8], [0x0a, 0xc8, 0x01]);
    }
}
