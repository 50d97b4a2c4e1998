//! The listener: so many TLS connections, HTTP/1.1 and HTTP/2 on each, closed in order at shutdown.

mod pace;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::certificate;
use crate::gateway::Gateway;
use crate::service::{Peer, serve};

use pace::Paced;
pub(crate) use pace::Use;

/// How long a client may take for the TLS handshake, and for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long open requests may take to end at shutdown.
const DRAIN: Duration = Duration::from_secs(5);
/// Streams on one HTTP/2 connection: a client with many informers has a watch for each.
const STREAMS: u32 = 1000;
/// What an HTTP/2 client may send ahead.
const WINDOW: u32 = 1 << 20;

/// Accepts connections until the gateway is closing, then lets open requests end.
///
/// # Errors
/// If the listener breaks.
pub(crate) async fn run(
    gateway: Arc<Gateway>,
    listener: Arc<TcpListener>,
    tls: Arc<ServerConfig>,
    cancelled: CancellationToken,
) -> std::io::Result<()> {
    let acceptor = TlsAcceptor::from(tls);
    let graceful = Arc::new(GracefulShutdown::new());
    let connections = TaskTracker::new();
    loop {
        let room = tokio::select! {
            room = room(&gateway.connections) => room,
            () = gateway.closing.cancelled() => break,
            () = cancelled.cancelled() => break,
        };
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Out of file descriptors, or the client was gone already: neither is the end of the listener.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            () = gateway.closing.cancelled() => break,
            () = cancelled.cancelled() => break,
        };
        let connection =
            Connection { gateway: gateway.clone(), acceptor: acceptor.clone(), graceful: graceful.watcher(), address };
        connections.spawn(async move {
            connection.run(stream).await;
            drop(room);
        });
    }
    connections.close();
    if let Some(graceful) = Arc::into_inner(graceful) {
        // Who has not ended by then is cut off.
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    }
    Ok(())
}

/// Waits until there may be another connection. Who comes meanwhile waits in the kernel's queue, which is bounded.
async fn room(connections: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(room) = connections.clone().try_acquire_owned() {
        return Some(room);
    }
    tracing::warn!("there are as many connections as there may be: new ones wait until others end");
    // It is never closed.
    connections.clone().acquire_owned().await.ok()
}

struct Connection {
    gateway: Arc<Gateway>,
    acceptor: TlsAcceptor,
    graceful: hyper_util::server::graceful::Watcher,
    address: std::net::SocketAddr,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        // Small answers must not wait for more; if the socket is broken, reading from it says so.
        let _ = stream.set_nodelay(true);
        let of = Use::default();
        let stream = Paced::new(stream, of.clone());
        let stream = match tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(peer = %self.address, %error, "no TLS"),
            Err(_) => return tracing::debug!(peer = %self.address, "the TLS handshake took too long"),
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let user = shown.and_then(|der| certificate::user_of(der)).map(Arc::new);
        let peer = Arc::new(Peer { address: self.address, user, of });
        let gateway = self.gateway;
        let service = service_fn(move |request| {
            let (gateway, peer) = (gateway.clone(), peer.clone());
            async move { Ok::<_, Infallible>(serve(gateway, peer, request).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE * 12);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .keep_alive_interval(Duration::from_secs(30));
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        if let Err(error) = self.graceful.watch(connection).await {
            tracing::debug!(peer = %self.address, error, "a connection broke");
        }
    }
}
