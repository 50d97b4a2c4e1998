//! One connection to a cluster: HTTP/1.1 over TLS, as the administrator, on behalf of any user.

use std::sync::Arc;

use anyhow::{Context, Result};
use cox_tests::Cluster;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use kube::client::ConfigExt;
use kube::config::{Config, Kubeconfig};
use serde_json::Value;
use tokio::net::{TcpSocket, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Where to connect to.
#[derive(Clone)]
pub(crate) struct Dial {
    host: String,
    port: u16,
    tls: TlsConnector,
}

/// A connection.
pub(crate) struct Line {
    sender: SendRequest<Full<Bytes>>,
    user: String,
}

impl Dial {
    pub(crate) async fn of(cluster: &Cluster) -> Result<Dial> {
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
        let host = config.cluster_url.host().context("a host")?.to_owned();
        let port = config.cluster_url.port_u16().context("a port")?;
        Ok(Dial { host, port, tls: TlsConnector::from(Arc::new(config.rustls_client_config()?)) })
    }

    /// Connects on behalf of a user, or as the administrator; with a small buffer for what comes, if nothing will be read.
    pub(crate) async fn connect(&self, user: &str, buffer: Option<u32>) -> Result<Line> {
        let address = lookup_host((self.host.as_str(), self.port)).await?.next().context("an address")?;
        let socket = TcpSocket::new_v4()?;
        if let Some(size) = buffer {
            socket.set_recv_buffer_size(size)?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from(self.host.clone())?, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Line { sender, user: user.to_owned() })
    }
}

impl Line {
    /// Sends a request and gives the head of its answer.
    pub(crate) async fn begin(&mut self, method: Method, path: &str, body: &Value) -> Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if !self.user.is_empty() {
            request = request.header("impersonate-user", &self.user);
        }
        let bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = request.header("content-type", "application/json").body(Full::new(bytes))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Sends a request and reads its answer: its code, its `Retry-After`, and its body.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(u16, Option<String>, Value)> {
        let answer = self.begin(method, path, body).await?;
        let code = answer.status().as_u16();
        let retry = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = answer.into_body().collect().await?.to_bytes();
        Ok((code, retry, serde_json::from_slice(&text).unwrap_or_default()))
    }
}
