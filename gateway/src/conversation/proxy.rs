//! The `proxy` subresources: HTTP through the API server to a port of a pod, of a Service's pod, or to a node.
//!
//! Flow: the place is found in the mirror, a port of its pod is opened over the bus as for port-forward, and HTTP/1.1 is spoken over it. The
//! pod's answer goes to the client as it comes; only links and redirects to paths of its own get the proxy's prefix, so that browsers stay
//! on it. A request that switches protocols is switched on both sides, and the bytes are copied.
//!
//! Caveats: TLS to pods (`https:NAME:PORT`) is not spoken.

mod links;
mod place;

use std::sync::Arc;

use bytes::Bytes;
use cox_bus::node::{PortForwardRequest, subject};
use cox_objects::Status;
use futures::{Stream, StreamExt};
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, LOCATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, BodyStream, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::answer::Answer;
use crate::backend::Conversation;
use crate::body::Body;
use crate::gateway::Gateway;
use crate::negotiate::header;
use crate::read;
use crate::request::Request;
use crate::route::Target;
use links::Links;
use place::Place;

/// How many bytes are on their way between HTTP and the bus.
const PIPE: usize = 64 * 1024;
/// The largest page whose links are rewritten; larger ones go out as they are refused: 503.
const MAX_PAGE: usize = 16 << 20;

/// Answers a request through the proxy.
///
/// # Errors
/// Whatever the client is to be told before the other side has answered.
pub(super) async fn proxy(
    gateway: &Arc<Gateway>,
    request: &Request,
    target: &Target,
    upgrade: OnUpgrade,
    body: Option<Incoming>,
) -> Result<Answer, Status> {
    read::permitted(gateway, request).await?;
    let place = Place::find(&gateway.mirror, target)?;
    let Some((prefix, path)) = split(&request.raw_path, target) else {
        return Err(Status::internal("the path has no proxy in it"));
    };
    if path.is_empty() && matches!(request.method, Method::GET | Method::HEAD) {
        return Ok(with_slash(request));
    }
    let hello = PortForwardRequest { target: place.target, port: place.port };
    let conversation = super::open(gateway, &place.node, subject::PORT_FORWARD, &hello).await.map_err(unreachable)?;
    let io = pipe(gateway, target, conversation);
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(unreachable)?;
    gateway.tasks.spawn("proxy connection", async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a proxied connection broke");
        }
    });
    let outgoing = outgoing(request, path, prefix, body)?;
    let response = sender.send_request(outgoing).await.map_err(unreachable)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(switch(gateway, response, upgrade));
    }
    answer(gateway, response, &Links::new(prefix, &request.host)).await
}

/// The path of a request as it came, before and after its `proxy`; the second is empty if it ends there.
fn split<'a>(raw: &'a str, target: &Target) -> Option<(&'a str, &'a str)> {
    // /api/v1/nodes/NAME/proxy, /api/v1/namespaces/NAMESPACE/pods/NAME/proxy
    let segments = if target.kind.namespaced { 7 } else { 5 };
    let mut slashes = raw.match_indices('/').map(|(at, _)| at).skip(segments);
    let at = slashes.next().unwrap_or(raw.len());
    raw.split_at_checked(at)
}

/// Relative links only work below a path that ends in a slash.
fn with_slash(request: &Request) -> Answer {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let location = match request.raw_query.as_str() {
        "" => format!("{}/", request.raw_path),
        query => format!("{}/?{query}", request.raw_path),
    };
    if let Ok(location) = HeaderValue::from_str(&location) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

fn unreachable(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("error trying to reach service: {error}"))
}

/// A conversation with a port as a stream of bytes.
fn pipe(gateway: &Gateway, target: &Target, conversation: Conversation) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let Conversation { mut sink, mut source } = conversation;
    let (counted, closing) = (gateway.metrics.conversation(target), gateway.closing.clone());
    gateway.tasks.spawn("proxy", async move {
        let _counted = counted;
        let (mut reader, mut writer) = tokio::io::split(theirs);
        let to_node = async {
            let mut buffer = bytes::BytesMut::with_capacity(PIPE);
            while matches!(reader.read_buf(&mut buffer).await, Ok(count) if count > 0) {
                if sink.send(buffer.split().freeze()).await.is_err() {
                    return;
                }
                buffer.reserve(PIPE);
            }
            // A node that is gone needs not be told.
            let _ = sink.close().await;
        };
        let from_node = async {
            while let Ok(Some(bytes)) = source.recv().await {
                if writer.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            let _ = writer.shutdown().await;
        };
        tokio::select! {
            ((), ()) = async { tokio::join!(to_node, from_node) } => {}
            () = closing.cancelled() => {}
        }
    });
    ours
}

/// Headers that are of one connection only.
const HOPS: [HeaderName; 7] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The headers without those of the connection, also those that `Connection` names.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<String> = header(&headers, CONNECTION).split(',').map(|name| name.trim().to_owned()).collect();
    for name in named.iter().filter(|name| !name.is_empty()) {
        headers.remove(name.as_str());
    }
    for name in HOPS {
        headers.remove(name);
    }
    headers
}

/// The request as the other side gets it: without what says who the client is to the API.
fn outgoing(
    request: &Request,
    path: &str,
    prefix: &str,
    body: Option<Incoming>,
) -> Result<http::Request<http_body_util::combinators::BoxBody<Bytes, hyper::Error>>, Status> {
    let upgrade = request.headers.get(UPGRADE).cloned();
    let mut headers = end_to_end(request.headers.clone());
    headers.remove(AUTHORIZATION);
    let impersonated: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    for name in impersonated {
        headers.remove(name);
    }
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Status::bad_request("the host is malformed"));
    headers.insert(HOST, value(&request.host)?);
    headers.insert(HeaderName::from_static("x-forwarded-uri"), value(&format!("{prefix}{path}"))?);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    let path = if path.is_empty() { "/" } else { path };
    let uri = match request.raw_query.as_str() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    let body = match body {
        Some(body) => body.boxed(),
        None => http_body_util::Empty::new().map_err(|never| match never {}).boxed(),
    };
    let mut outgoing = http::Request::builder().method(request.method.clone()).uri(uri).body(body);
    if let Ok(outgoing) = &mut outgoing {
        *outgoing.headers_mut() = headers;
    }
    outgoing.map_err(|error| Status::bad_request(error.to_string()))
}

/// The other side's answer: pages and redirects with the proxy's prefix, all else as it is.
async fn answer(gateway: &Gateway, response: Response<Incoming>, links: &Links<'_>) -> Result<Answer, Status> {
    let (mut head, body) = response.into_parts();
    head.headers = end_to_end(head.headers);
    if let Some(moved) = links.moved(header(&head.headers, LOCATION))
        && let Ok(location) = HeaderValue::from_str(&moved)
    {
        head.headers.insert(LOCATION, location);
    }
    let is_page = header(&head.headers, CONTENT_TYPE).starts_with("text/html")
        && matches!(header(&head.headers, CONTENT_ENCODING), "" | "identity");
    let body = if is_page {
        let page = Limited::new(body, MAX_PAGE).collect().await.map_err(unreachable)?.to_bytes();
        head.headers.remove(CONTENT_LENGTH);
        Body::full(links.rewritten(&page))
    } else {
        Body::stream(pieces(body, gateway.closing.clone()))
    };
    Ok(Response::from_parts(head, body))
}

/// The data of a body, until it ends, breaks off or the gateway closes.
fn pieces(body: Incoming, closing: tokio_util::sync::CancellationToken) -> impl Stream<Item = Bytes> + Send {
    BodyStream::new(body)
        .map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()))
        .take_while(|frame| std::future::ready(frame.is_ok()))
        .filter_map(|frame| std::future::ready(frame.ok()))
        .take_until(closing.cancelled_owned())
}

/// Lets both sides go on in the protocol that they have agreed on.
fn switch(gateway: &Gateway, response: Response<Incoming>, client: OnUpgrade) -> Answer {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    let closing = gateway.closing.clone();
    gateway.tasks.spawn("proxied upgrade", async move {
        let (Ok(client), Ok(server)) = tokio::join!(client, hyper::upgrade::on(response)) else {
            return tracing::debug!("one side left before the switch");
        };
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        tokio::select! {
            // How it ends is between the two.
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            () = closing.cancelled() => {}
        }
    });
    answer
}

#[cfg(test)]
mod tests;
