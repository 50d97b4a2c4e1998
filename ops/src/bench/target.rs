//! The server that is measured, and one connection to it: HTTP/1.1 over TLS, kept alive, a request at a time.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// Where the server is, and as whom it is asked.
pub(super) struct Target {
    server: String,
    host: String,
    port: u16,
    prefix: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    authorization: Option<HeaderValue>,
}

impl Target {
    /// The cluster of the current context.
    ///
    /// # Errors
    /// If the file cannot be read, or has a way of authentication that is not a certificate or a token.
    pub(super) async fn from_kubeconfig(file: &Path) -> Result<Self> {
        let read = Kubeconfig::read_from(file);
        let read =
            read.with_context(|| format!("{} cannot be used; give another with --kubeconfig", file.display()))?;
        let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        let config =
            config.with_context(|| format!("{} cannot be used; give another with --kubeconfig", file.display()))?;
        if config.auth_info.exec.is_some() || config.auth_info.auth_provider.is_some() {
            bail!("{} runs a program to authenticate; give one with a certificate or a token", file.display());
        }
        let url = &config.cluster_url;
        let host = url.host().context("the kubeconfig's server has no host")?.trim_matches(['[', ']']).to_owned();
        let https = url.scheme_str() != Some("http");
        let tls = if https {
            let name = config.tls_server_name.clone().unwrap_or_else(|| host.clone());
            let connector = TlsConnector::from(Arc::new(config.rustls_client_config()?));
            Some((
                connector,
                ServerName::try_from(name)
                    .context("the kubeconfig's server has no name that a certificate could have")?,
            ))
        } else {
            None
        };
        Ok(Target {
            server: url.to_string(),
            host,
            port: url.port_u16().unwrap_or(if https { 443 } else { 80 }),
            prefix: url.path().trim_end_matches('/').to_owned(),
            tls,
            authorization: token(&config.auth_info)?
                .map(|token| HeaderValue::try_from(format!("Bearer {token}")))
                .transpose()?,
        })
    }

    /// Its address, for people.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// A new connection.
    ///
    /// # Errors
    /// If there is none to be had.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let refused = || format!("no connection to {}; is the cluster running?", self.server);
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.with_context(refused)?;
        stream.set_nodelay(true)?;
        let (sender, task) = match &self.tls {
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await.with_context(refused)?;
                drive(http1::handshake(TokioIo::new(stream)).await?)
            }
            None => drive(http1::handshake(TokioIo::new(stream)).await?),
        };
        let host = HeaderValue::try_from(format!("{}:{}", self.host, self.port))?;
        Ok(Connection {
            sender,
            _task: task,
            host,
            prefix: self.prefix.clone(),
            authorization: self.authorization.clone(),
        })
    }
}

fn token(auth: &kube::config::AuthInfo) -> Result<Option<String>> {
    if let Some(file) = &auth.token_file {
        return Ok(Some(
            std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?.trim().to_owned(),
        ));
    }
    // The token is wrapped so that it is not printed by chance; its form in the file is the way to it.
    let auth = serde_json::to_value(auth)?;
    Ok(auth.get("token").and_then(Value::as_str).map(str::to_owned))
}

type Sender = SendRequest<Full<Bytes>>;

fn drive<T>((sender, connection): (Sender, http1::Connection<T, Full<Bytes>>)) -> (Sender, AbortOnDropHandle<()>)
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let task = tokio::spawn(async move {
        // Its errors come out of the requests too.
        let _ = connection.await;
    });
    (sender, AbortOnDropHandle::new(task))
}

/// One connection.
pub(super) struct Connection {
    sender: Sender,
    _task: AbortOnDropHandle<()>,
    host: HeaderValue,
    prefix: String,
    authorization: Option<HeaderValue>,
}

impl Connection {
    /// Sends a request and gives the answer once its head is there.
    ///
    /// # Errors
    /// If the connection broke.
    pub(super) async fn begin(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Response<Incoming>> {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.prefix)).header(HOST, self.host.clone());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(Full::new(body.unwrap_or_default()))?).await?)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// If the connection broke.
    pub(super) async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<(StatusCode, Bytes)> {
        let answer = self.begin(method, path, body).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    /// Sends an object (none if it is null), which must succeed.
    ///
    /// # Errors
    /// If it does not.
    pub(super) async fn send(&mut self, method: Method, path: &str, object: &Value) -> Result<Value> {
        let body = if object.is_null() { None } else { Some(serde_json::to_vec(object)?.into()) };
        let (status, answer) = self.request(method, path, body).await?;
        succeeded(status, &answer)?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// If it cannot be had.
    pub(super) async fn get(&mut self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, &Value::Null).await
    }
}

/// Whether an answer is a success; if not, what the server says.
///
/// # Errors
/// If it is not.
pub(super) fn succeeded(status: StatusCode, answer: &[u8]) -> Result<()> {
    if status.is_success() {
        return Ok(());
    }
    let said: Value = serde_json::from_slice(answer).unwrap_or_default();
    bail!("{}: {}", status.as_u16(), said.get("message").and_then(Value::as_str).unwrap_or("no reason is given"))
}
