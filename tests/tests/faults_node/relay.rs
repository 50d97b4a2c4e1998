//! A wire between a client and a server that can be cut and mended.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

/// Leads connections on to a server. Its threads end with the test.
pub(crate) struct Relay {
    port: u16,
    wire: Arc<Wire>,
}

#[derive(Default)]
struct Wire {
    cut: AtomicBool,
    ends: Mutex<Vec<TcpStream>>,
}

impl Wire {
    fn hold(&self, stream: &TcpStream) -> io::Result<()> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).push(stream.try_clone()?);
        Ok(())
    }
}

impl Relay {
    /// Listens on a free port of the loopback address.
    pub(crate) fn start(server: &str) -> Result<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (port, wire) = (listener.local_addr()?.port(), Arc::<Wire>::default());
        let (own, server) = (wire.clone(), server.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if own.cut.load(Ordering::SeqCst) {
                    continue;
                }
                // A server that is not there is as good as a cut wire.
                let _ = TcpStream::connect(&server).and_then(|server| join(&own, client, server));
            }
        });
        Ok(Relay { port, wire })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Breaks every connection, and takes no new one.
    pub(crate) fn cut(&self) {
        self.wire.cut.store(true, Ordering::SeqCst);
        for end in self.wire.ends.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may be closed already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub(crate) fn mend(&self) {
        self.wire.cut.store(false, Ordering::SeqCst);
    }
}

fn join(wire: &Arc<Wire>, client: TcpStream, server: TcpStream) -> io::Result<()> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        wire.hold(stream)?;
    }
    for (mut from, mut to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}
