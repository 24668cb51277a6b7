//! The sockets of a DHCP server and its loop.

use super::answer::{Lease, answer, client};
use super::frame::frame;
use crate::names::ENDPOINT;
use crate::plan::Mac;
use crate::{Error, MetadataSource, Result};
use dhcproto::v4::Message;
use dhcproto::{Decodable as _, Decoder, Encodable as _};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, bind, send, socket};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::UdpSocket;
use uuid::Uuid;

/// Smallest message that old clients take (RFC 1542).
const SMALLEST: usize = 300;

/// Leases by hardware address, replaced while the server runs.
pub(crate) type Leases = Arc<RwLock<BTreeMap<Mac, Lease>>>;

/// Sockets of one namespace.
pub(crate) struct Sockets {
    requests: std::net::UdpSocket,
    /// For whole frames, bound to the interface.
    frames: OwnedFd,
    mac: Mac,
}

/// Opens the sockets; must run inside the namespace.
pub(crate) fn open() -> Result<Sockets> {
    let requests = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))
        .and_then(|socket| {
            socket.set_reuse_address(true)?;
            socket.bind_device(Some(ENDPOINT.as_bytes()))?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 67)).into())?;
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        })
        .map_err(Error::io("cannot open the DHCP server's socket"))?;
    let system = |what: &'static str| move |e: nix::Error| Error::io(what)(e.into());
    let address = nix::ifaddrs::getifaddrs()
        .map_err(system("cannot list interfaces"))?
        .filter(|i| i.interface_name == ENDPOINT)
        .find_map(|i| i.address?.as_link_addr().copied())
        .ok_or_else(|| Error::io("the namespace has no endpoint")(std::io::ErrorKind::NotFound.into()))?;
    let mac = Mac(address.addr().unwrap_or_default());
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let what = "cannot open a socket for frames";
    let frames = socket(AddressFamily::Packet, SockType::Raw, flags, None).map_err(system(what))?;
    bind(frames.as_raw_fd(), &address).map_err(system(what))?;
    Ok(Sockets { requests, frames, mac })
}

/// Answers until its task is dropped.
pub(crate) async fn serve(
    sockets: Sockets,
    network: Uuid,
    leases: Leases,
    source: Arc<dyn MetadataSource>,
) -> Result<()> {
    let requests = UdpSocket::from_std(sockets.requests).map_err(Error::io("cannot use the DHCP server's socket"))?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = match requests.recv_from(&mut buffer).await {
            Ok((length, _)) => length,
            // An interface that goes down for a moment is told here once.
            Err(error) => {
                tracing::warn!(%network, %error, "the DHCP server's socket reports an error");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(request) = Message::decode(&mut Decoder::new(&buffer[..length])) else {
            continue;
        };
        let Some(mac) = client(&request) else {
            continue;
        };
        let lease = leases.read().unwrap_or_else(PoisonError::into_inner).get(&mac).cloned();
        let Some(lease) = lease else {
            tracing::debug!(%network, %mac, "a DHCP request of an unknown port");
            continue;
        };
        let guest = source.guest_by_ip(network, IpAddr::V4(lease.ip)).await;
        let (host, domain) = guest.as_ref().map_or(("", ""), |g| (g.hostname.as_str(), g.dhcp_domain.as_str()));
        let Some(answer) = answer(&request, &lease, host, domain) else {
            continue;
        };
        let Ok(mut payload) = answer.message.to_vec() else {
            continue;
        };
        if payload.len() < SMALLEST {
            payload.resize(SMALLEST, 0);
        }
        tracing::debug!(%network, %mac, ip = %lease.ip, kind = ?answer.message.opts().msg_type(), "DHCP");
        let Some(bytes) = frame(sockets.mac, mac, answer.from, answer.to, &payload) else {
            continue;
        };
        if let Err(error) = send(sockets.frames.as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT) {
            // The client asks again.
            tracing::debug!(%network, %mac, %error, "a DHCP answer was not sent");
        }
    }
}
