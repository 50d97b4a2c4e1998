//! What the kernel remembers of UDP: flows to a target that is no longer one are forgotten, so that their next packet is translated anew.
//!
//! A UDP flow has no end. The kernel translates its packets as it did the first one for as long as they keep coming, whatever the rules have
//! become: a client that keeps its port (a resolver, a game) would talk to a pod that is gone for ever. TCP ends by itself.
//!
//! Caveats: the other direction of a forgotten flow is forgotten with it; an answer under way is lost, as any datagram may be.

mod destinations;
mod message;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket};
use nix::sys::time::TimeVal;

pub use destinations::Destinations;
use message::Message;

/// The kernel fills up to 32 KiB at a time.
const BUFFER: usize = 64 * 1024;
/// The kernel answers at once; without an answer something is wrong.
const PATIENCE: TimeVal = TimeVal::new(2, 0);

/// Forgets the flows that the destinations know to be stale, in this thread's network namespace. Returns how many there were.
///
/// # Errors
/// The kernel's: without the right to, or without connection tracking.
pub fn forget(destinations: &Destinations) -> io::Result<usize> {
    let kernel = Kernel::open()?;
    let stale: Vec<_> = kernel.flows()?.into_iter().filter(|flow| destinations.are_left_by(flow)).collect();
    for flow in &stale {
        kernel.ask(&message::deletion(flow))?;
        match kernel.next()?.first() {
            // One that has ended meanwhile is forgotten, too.
            Some(Message::Refused(code)) if *code != nix::libc::ENOENT => {
                return Err(io::Error::from_raw_os_error(*code));
            }
            _ => {}
        }
    }
    Ok(stale.len())
}

/// The kernel's connection tracking, over netlink.
struct Kernel(OwnedFd);

impl Kernel {
    fn open() -> io::Result<Self> {
        let protocol = SockProtocol::NetlinkNetFilter;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&fd, ReceiveTimeout, &PATIENCE)?;
        Ok(Kernel(fd))
    }

    fn ask(&self, message: &[u8]) -> io::Result<()> {
        send(self.0.as_raw_fd(), message, MsgFlags::empty())?;
        Ok(())
    }

    /// The next messages; there is at least one.
    fn next(&self) -> io::Result<Vec<Message>> {
        let mut buffer = vec![0; BUFFER];
        let read = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        message::read(buffer.get(..read).unwrap_or_default())
            .filter(|messages| !messages.is_empty())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an answer of netfilter is malformed"))
    }

    /// All UDP flows over IPv4.
    fn flows(&self) -> io::Result<Vec<message::Flow>> {
        self.ask(&message::listing())?;
        let mut flows = Vec::new();
        loop {
            for message in self.next()? {
                match message {
                    Message::Flow(flow) => flows.push(flow),
                    Message::Other => {}
                    Message::Done => return Ok(flows),
                    Message::Refused(code) => return Err(io::Error::from_raw_os_error(code)),
                }
            }
        }
    }
}
