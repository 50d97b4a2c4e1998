//! Asking once: a command in the container, an HTTP request, a gRPC health check, a TCP connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cox_runtime::{ContainerId, ExecOutcome, Runtime};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

/// How much of an answer is read and told, in bytes.
const MAX_BODY: usize = 10 * 1024;

/// What a probe or a lifecycle hook asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Run a command.
    Exec(Vec<String>),
    /// GET a page.
    Http {
        /// `http` or `https`.
        scheme: String,
        /// Host to connect to; the pod's address if none.
        host: Option<String>,
        /// Port.
        port: u16,
        /// Path with query.
        path: String,
        /// Request headers.
        headers: BTreeMap<String, String>,
    },
    /// Ask a gRPC server for its health.
    Grpc {
        /// Port; always of the pod's own address.
        port: u16,
        /// The service that is asked for; empty for the server itself.
        service: String,
    },
    /// Open a connection.
    Tcp {
        /// Host to connect to; the pod's address if none.
        host: Option<String>,
        /// Port.
        port: u16,
    },
}

/// Why an action cannot be taken from its spec.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ActionError {
    /// A named port that the container does not have, or a number that is none.
    #[error("couldn't find port: {0} in container")]
    Port(String),
    /// No action that this node can take.
    #[error("missing or unsupported probe handler")]
    None,
}

impl Action {
    /// The action of a probe.
    ///
    /// # Errors
    /// As of [`Action::of`].
    pub fn of_probe(container: &Container, probe: &Probe) -> Result<Self, ActionError> {
        if let Some(grpc) = &probe.grpc {
            let port = port(container, &IntOrString::Int(grpc.port))?;
            return Ok(Action::Grpc { port, service: grpc.service.clone().unwrap_or_default() });
        }
        Action::of(container, probe.exec.as_ref(), probe.http_get.as_ref(), probe.tcp_socket.as_ref())
    }

    /// The action of a handler: a probe's, or a hook's.
    ///
    /// # Errors
    /// If a port is not known, or the handler is none of exec, httpGet and tcpSocket.
    pub fn of(
        container: &Container,
        exec: Option<&ExecAction>,
        http: Option<&HTTPGetAction>,
        tcp: Option<&TCPSocketAction>,
    ) -> Result<Self, ActionError> {
        if let Some(exec) = exec {
            return Ok(Action::Exec(exec.command.clone().unwrap_or_default()));
        }
        let own = |host: &Option<String>| host.clone().filter(|h| !h.is_empty());
        if let Some(get) = http {
            let path = get.path.as_deref().unwrap_or("/");
            let headers = get.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect();
            return Ok(Action::Http {
                scheme: get.scheme.as_deref().unwrap_or("HTTP").to_lowercase(),
                host: own(&get.host),
                port: port(container, &get.port)?,
                path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
                headers,
            });
        }
        match tcp {
            Some(tcp) => Ok(Action::Tcp { host: own(&tcp.host), port: port(container, &tcp.port)? }),
            None => Err(ActionError::None),
        }
    }
}

fn port(container: &Container, port: &IntOrString) -> Result<u16, ActionError> {
    let found = match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|p| p.name.as_deref() == Some(name));
            named.and_then(|p| u16::try_from(p.container_port).ok()).or_else(|| name.parse().ok())
        }
    };
    found.filter(|p| *p > 0).ok_or_else(|| {
        ActionError::Port(match port {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(name) => name.clone(),
        })
    })
}

/// The answer of one asking: success, and what there is to tell.
pub type Answer = (bool, String);

/// Asks. `pod_ip` is where http and tcp go unless they name a host.
pub async fn ask(
    runtime: &Arc<dyn Runtime>,
    id: &ContainerId,
    pod_ip: &str,
    action: &Action,
    timeout: Duration,
) -> Answer {
    match action {
        Action::Exec(command) => exec(runtime, id, command, timeout).await,
        Action::Http { scheme, host, port, path, headers } => {
            let host = host.as_deref().unwrap_or(pod_ip);
            let url = format!("{scheme}://{}:{port}{path}", bracketed(host));
            match tokio::time::timeout(timeout, get(scheme, host, *port, path, headers)).await {
                Err(_) => {
                    let text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
                    (false, format!("Get \"{url}\": {text}"))
                }
                Ok(Err(error)) => (false, format!("Get \"{url}\": {error}")),
                Ok(Ok((status, body))) => {
                    let good = (200..400).contains(&status);
                    (good, if good { body } else { format!("HTTP probe failed with statuscode: {status}") })
                }
            }
        }
        Action::Grpc { port, service } => super::grpc::check(pod_ip, *port, service, timeout).await,
        Action::Tcp { host, port } => {
            let address = (host.as_deref().unwrap_or(pod_ip), *port);
            match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
                Ok(Ok(_)) => (true, String::new()),
                Ok(Err(error)) => {
                    (false, format!("dial tcp {}:{port}: connect: {}", bracketed(address.0), plain(&error)))
                }
                Err(_) => (false, format!("dial tcp {}:{port}: i/o timeout", bracketed(address.0))),
            }
        }
    }
}

async fn exec(runtime: &Arc<dyn Runtime>, id: &ContainerId, command: &[String], timeout: Duration) -> Answer {
    match runtime.exec_sync(id, command, timeout).await {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.output).into_owned();
            match output.outcome {
                ExecOutcome::Exited(code) => (code == 0, text),
                ExecOutcome::TimedOut => {
                    let text =
                        format!("command timed out: {:?} timed out after {}s", command.join(" "), timeout.as_secs());
                    (false, text)
                }
                ExecOutcome::Detached => (false, text),
            }
        }
        Err(error) => (false, error.to_string()),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn get(
    scheme: &str,
    host: &str,
    port: u16,
    path: &str,
    headers: &BTreeMap<String, String>,
) -> Result<(u16, String), Failure> {
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|e| Failure::from(format!("dial tcp {}:{port}: connect: {}", bracketed(host), plain(&e))))?;
    if scheme == "https" {
        let tls = super::tls::connector().connect(super::tls::any_name(), stream).await?;
        return exchange(TokioIo::new(tls), host, port, path, headers).await;
    }
    exchange(TokioIo::new(stream), host, port, path, headers).await
}

async fn exchange<S>(
    stream: S,
    host: &str,
    port: u16,
    path: &str,
    headers: &BTreeMap<String, String>,
) -> Result<(u16, String), Failure>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(stream).await?;
    let mut request = hyper::Request::get(path).header("Connection", "close");
    let mut has_host = false;
    let mut has_agent = false;
    for (name, value) in headers {
        has_host |= name.eq_ignore_ascii_case("host");
        has_agent |= name.eq_ignore_ascii_case("user-agent");
        request = request.header(name, value);
    }
    if !has_host {
        request = request.header("Host", format!("{}:{port}", bracketed(host)));
    }
    if !has_agent {
        request = request.header("User-Agent", "kube-probe/1.36").header("Accept", "*/*");
    }
    let request = request.body(Empty::new())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| {
            let closed = error.is_canceled() || error.is_incomplete_message();
            if closed { Failure::from("EOF") } else { Failure::from(error) }
        })?;
        let status = response.status().as_u16();
        // A long body is read as far as it is told; what comes after does not make the probe fail.
        let body =
            Limited::new(response.into_body(), MAX_BODY).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        Ok::<_, Failure>((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // A server may close the connection right behind its answer: what has come is the answer's.
        _ = connection => answer.await,
    }
}

pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
