//! A collector of OpenTelemetry spans: what an endpoint of OTLP over HTTP does, and no more.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, server};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1;
use prost::Message;
use tokio::net::{TcpListener, TcpStream};

/// A span that was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace, in hexadecimal.
    pub trace: String,
    /// The span, in hexadecimal.
    pub id: String,
    /// The span above it; empty if it is the first.
    pub parent: String,
    /// What it is of.
    pub name: String,
    /// Its attributes that are texts.
    pub attributes: HashMap<String, String>,
}

impl Span {
    /// A text among its attributes; empty if it has none of this name.
    pub fn text(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// The collector. It listens as long as the runtime lives that it was started on.
#[derive(Clone)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// Starts to listen.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn start() -> Result<Collector> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let collector = Collector { address: listener.local_addr()?, spans: Arc::default() };
        let spans = collector.spans.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, spans.clone()));
            }
        });
        Ok(collector)
    }

    /// Where spans are sent.
    pub fn endpoint(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// All spans that have come.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn converse(stream: TcpStream, spans: Arc<Mutex<Vec<Span>>>) {
    let service = service_fn(|request: Request<Incoming>| async {
        let status = match taken(request).await {
            Ok(new) => {
                spans.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
                StatusCode::OK
            }
            Err(_) => StatusCode::BAD_REQUEST,
        };
        let mut answer = Response::new(Empty::<Bytes>::new());
        *answer.status_mut() = status;
        Ok::<_, Infallible>(answer)
    });
    // A client that goes away has sent what it wanted to.
    let _ = server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn taken(request: Request<Incoming>) -> Result<Vec<Span>> {
    anyhow::ensure!(request.method() == Method::POST && request.uri().path() == "/v1/traces", "{request:?}");
    let body = request.into_body().collect().await?.to_bytes();
    let export = ExportTraceServiceRequest::decode(body).context("no export of spans")?;
    let scopes = export.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    Ok(scopes.flat_map(|scope| scope.spans).map(span).collect())
}

fn span(span: v1::Span) -> Span {
    let text = |pair: KeyValue| match pair.value?.value? {
        Value::StringValue(text) => Some((pair.key, text)),
        _ => None,
    };
    Span {
        trace: hex::encode(span.trace_id),
        id: hex::encode(span.span_id),
        parent: hex::encode(span.parent_span_id),
        name: span.name,
        attributes: span.attributes.into_iter().filter_map(text).collect(),
    }
}
