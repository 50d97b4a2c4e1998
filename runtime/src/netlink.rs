//! The kernel's interfaces, addresses and routes over rtnetlink: what connecting a sandbox takes, each call answered.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use ipnet::Ipv4Net;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{self, MsgFlags, SockFlag, SockProtocol, SockType};

/// The kernel answers a request in far less.
const ANSWER: usize = 16 * 1024;

/// A MAC address.
pub(crate) type Mac = [u8; 6];

/// A conversation with one network namespace.
pub(crate) struct Netlink {
    socket: OwnedFd,
    asked: u32,
}

/// The two ends of a virtual cable, one of them on a bridge of this namespace.
pub(crate) struct Veth<'a> {
    /// Name of the end here.
    pub(crate) name: &'a str,
    /// Index of the bridge.
    pub(crate) bridge: u32,
    /// The namespace of the other end.
    pub(crate) peer_namespace: BorrowedFd<'a>,
    /// Name of the other end.
    pub(crate) peer_name: &'a str,
    /// Address of the other end.
    pub(crate) peer_mac: Mac,
    /// Largest packet; the kernel's default if none.
    pub(crate) mtu: Option<u32>,
}

impl Netlink {
    /// Opens one with the network namespace of the calling thread; it stays with that wherever the thread goes.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = socket::socket(
            socket::AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        Ok(Self { socket, asked: 0 })
    }

    /// Makes a bridge with an address of its own choice of MAC, which does not change with its ports. Fine if it is there.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn bridge(&mut self, name: &str, mac: Mac, mtu: Option<u32>) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Address(mac.to_vec()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
        ];
        link.attributes.extend(mtu.map(LinkAttribute::Mtu));
        present(self.ask(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL))
    }

    /// Makes a virtual cable. The end here is up, on its bridge, and takes back what it sent itself (hairpin).
    ///
    /// # Errors
    /// The kernel's; `AlreadyExists` when there is an interface of one of the names.
    pub(crate) fn veth(&mut self, veth: &Veth<'_>) -> io::Result<()> {
        let mut peer = LinkMessage::default();
        peer.attributes = vec![
            LinkAttribute::IfName(veth.peer_name.to_owned()),
            LinkAttribute::Address(veth.peer_mac.to_vec()),
            LinkAttribute::NetNsFd(veth.peer_namespace.as_raw_fd()),
        ];
        peer.attributes.extend(veth.mtu.map(LinkAttribute::Mtu));
        let mut link = LinkMessage::default();
        (link.header.flags, link.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
        link.attributes = vec![LinkAttribute::IfName(veth.name.to_owned()), LinkAttribute::Controller(veth.bridge)];
        link.attributes.extend(veth.mtu.map(LinkAttribute::Mtu));
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.ask(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)?;

        // What a port does can only be said of one that is there.
        let mut port = LinkMessage::default();
        port.header.index = if_nametoindex(veth.name)?;
        port.attributes = vec![LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(true)])),
        ])];
        self.ask(RouteNetlinkMessage::NewLink(port), 0)
    }

    /// Brings an interface up.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn up(&mut self, index: u32) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        (link.header.flags, link.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
        self.ask(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Gives an interface an address within its network. Fine if it has it.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn address(&mut self, index: u32, address: Ipv4Net) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = address.prefix_len();
        message.header.index = index;
        message.attributes = vec![
            AddressAttribute::Local(address.addr().into()),
            AddressAttribute::Address(address.addr().into()),
            AddressAttribute::Broadcast(address.broadcast()),
        ];
        present(self.ask(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL))
    }

    /// Sends what has no other way to a gateway. Fine if it goes there.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut route = RouteMessage::default();
        route.header = RouteHeader {
            address_family: AddressFamily::Inet,
            table: RouteHeader::RT_TABLE_MAIN,
            protocol: RouteProtocol::Boot,
            scope: RouteScope::Universe,
            kind: RouteType::Unicast,
            ..RouteHeader::default()
        };
        route.attributes = vec![RouteAttribute::Gateway(RouteAddress::Inet(gateway))];
        present(self.ask(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_EXCL))
    }

    /// Removes an interface, with its other end if it is a cable. Fine if there is none.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn delete(&mut self, name: &str) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        match self.ask(RouteNetlinkMessage::DelLink(link), 0) {
            Err(e) if e.raw_os_error() == Some(nix::libc::ENODEV) => Ok(()),
            other => other,
        }
    }

    /// Asks for one change and waits for the kernel's answer.
    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.asked += 1;
        let mut header = NetlinkHeader::default();
        (header.sequence_number, header.flags) = (self.asked, NLM_F_REQUEST | NLM_F_ACK | flags);
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0_u8; request.buffer_len()];
        request.serialize(&mut bytes);
        socket::send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let mut answer = [0_u8; ANSWER];
        loop {
            let length = socket::recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(answer.get(..length).unwrap_or_default())
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
            match answer.payload {
                NetlinkPayload::Error(e) if answer.header.sequence_number == self.asked => {
                    return if e.code.is_none() { Ok(()) } else { Err(e.to_io()) };
                }
                _ => {}
            }
        }
    }
}

/// What is there already need not be made.
fn present(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
