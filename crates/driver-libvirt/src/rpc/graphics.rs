//! A guest's display as a connected socket, handed over by the daemon (`virDomainOpenGraphicsFD`).
//!
//! The display listens nowhere: no TCP port, no socket file that another user could open, nothing to look up. The
//! descriptor comes as ancillary data on a unix socket, so this conversation has a connection and a thread of its own.

use super::address::{Address, Endpoint};
use super::calls::{Domain, OPEN_GRAPHICS_FD};
use super::client;
use super::frame::{self, Header, Kind, Status};
use super::xdr::{Decoder, Encoder};
use super::{Error, Result};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// The one-time password of a display is not asked for: whoever may call this may see it.
const SKIP_AUTH: u32 = 1;

/// Connects to the first display of a running domain. Blocks; call it on a blocking thread.
///
/// # Errors
/// Any of [`Error`]; `Connection` where the daemon is not on this machine.
pub fn open_display(address: &Address, domain: &Domain) -> Result<UnixStream> {
    let Endpoint::Unix(path) = &address.endpoint else {
        return Err(Error::Connection("displays are handed over on unix sockets only".into()));
    };
    let lost = |e: std::io::Error| Error::Connection(e.to_string());
    let mut socket = UnixStream::connect(path).map_err(lost)?;
    let limit = Some(client::CONNECT_TIMEOUT);
    socket.set_read_timeout(limit).and_then(|()| socket.set_write_timeout(limit)).map_err(lost)?;
    let (auth, _) = call(&mut socket, 66, 1, Encoder::new())?;
    let kinds = Decoder::new(&auth).list(20, |d| d.i32())?;
    if !kinds.is_empty() && !kinds.contains(&0) {
        call(&mut socket, 70, 2, Encoder::new())?;
    }
    let mut e = Encoder::new();
    e.optional_string(Some(&address.open)).u32(0);
    call(&mut socket, 1, 3, e)?;
    let mut e = Encoder::new();
    domain.encode(&mut e);
    e.u32(0).u32(SKIP_AUTH);
    let opened = call(&mut socket, OPEN_GRAPHICS_FD, 4, e);
    // The display stays when the connection it came by is closed; a goodbye unheard changes nothing.
    if let Err(e) = call(&mut socket, client::PROC_CONNECT_CLOSE, 5, Encoder::new()) {
        tracing::debug!(error = %e, "libvirt did not take the goodbye of a display's connection");
    }
    let (_, fd) = opened?;
    let fd = fd.ok_or_else(|| Error::Connection("the daemon sent no descriptor".into()))?;
    let display = UnixStream::from(fd);
    display.set_nonblocking(true).map_err(lost)?;
    Ok(display)
}

fn call(socket: &mut UnixStream, procedure: i32, serial: u32, args: Encoder) -> Result<(Vec<u8>, Option<OwnedFd>)> {
    let header = Header { program: frame::REMOTE_PROGRAM, procedure, kind: Kind::Call, serial, status: Status::Ok };
    let lost = |e: std::io::Error| Error::Connection(e.to_string());
    socket.write_all(&header.message(&args.into_bytes())).map_err(lost)?;
    loop {
        let mut word = [0u8; 4];
        socket.read_exact(&mut word).map_err(lost)?;
        let len = frame::body_len(word)?;
        let mut body = Vec::new();
        let got = socket.take(len as u64).read_to_end(&mut body).map_err(lost)?;
        if got < len {
            return Err(Error::Connection("the daemon hung up within a message".into()));
        }
        let (h, payload) = Header::decode(&body)?;
        if h.serial != serial || !matches!(h.kind, Kind::Reply | Kind::ReplyWithFds) {
            continue;
        }
        // With descriptors the payload begins with their number, and each follows the message with one byte of data.
        let (payload, fd) = if h.kind == Kind::ReplyWithFds {
            let mut d = Decoder::new(payload);
            let count = d.u32()?;
            let rest = d.rest().to_vec();
            let mut first = None;
            for _ in 0..count.min(32) {
                let fd = receive(socket)?;
                first.get_or_insert(fd);
            }
            (rest, first)
        } else {
            (payload.to_vec(), None)
        };
        return match h.status {
            Status::Error => Err(Error::Remote(frame::decode_error(&payload))),
            Status::Ok | Status::Continue => Ok((payload, fd)),
        };
    }
}

fn receive(socket: &UnixStream) -> Result<OwnedFd> {
    let mut byte = [0u8; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .map_err(|e| Error::Connection(e.to_string()))?;
    if got.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Error::Connection("the daemon's descriptor was cut off".into()));
    }
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message
            && let Some(fd) = fds.next()
        {
            return Ok(fd);
        }
    }
    Err(Error::Connection("a descriptor was announced and did not come".into()))
}
