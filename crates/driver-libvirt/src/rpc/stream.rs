//! A guest's serial console as a byte stream, on a connection of its own.
//!
//! A stream has no window: the daemon sends what the guest writes and waits for the socket. On the shared connection a
//! reader that is slow would stop every other call; on its own it only stops itself.

use super::address::Address;
use super::calls::{Domain, OPEN_CONSOLE};
use super::client::{self, Socket};
use super::frame::{self, Header, Kind, Status};
use super::xdr::{Decoder, Encoder};
use super::{Error, Result};
use std::future::Future;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;

const CONSOLE_SERIAL: u32 = 4;
const CLOSE_SERIAL: u32 = 5;
/// The newest caller gets the console: the one before may hang in a browser nobody looks at.
const CONSOLE_FORCE: u32 = 1;
const BUFFER: usize = 65_536;

/// An open serial console.
pub struct Line {
    /// What the guest writes and reads.
    pub user: DuplexStream,
    socket: Socket,
    ours: DuplexStream,
}

/// Opens the first serial console of a running domain.
///
/// # Errors
/// Any of [`Error`].
pub async fn open_console(address: &Address, domain: &Domain) -> Result<Line> {
    let work = async {
        let mut socket = client::dial(&address.endpoint).await?;
        let auth = call(&mut socket, client::PROC_AUTH_LIST, 1, Encoder::new()).await?;
        let kinds = Decoder::new(&auth).list(20, |d| d.i32())?;
        if !kinds.is_empty() && !kinds.contains(&0) {
            call(&mut socket, client::PROC_AUTH_POLKIT, 2, Encoder::new()).await?;
        }
        let mut e = Encoder::new();
        e.optional_string(Some(&address.open)).u32(0);
        call(&mut socket, client::PROC_CONNECT_OPEN, 3, e).await?;
        let mut e = Encoder::new();
        domain.encode(&mut e);
        e.optional_string(None).u32(CONSOLE_FORCE);
        call(&mut socket, OPEN_CONSOLE, CONSOLE_SERIAL, e).await?;
        Ok::<Socket, Error>(socket)
    };
    let limit = client::CONNECT_TIMEOUT;
    let socket = tokio::time::timeout(limit, work).await.unwrap_or(Err(Error::TimedOut(limit.as_secs())))?;
    let (ours, user) = tokio::io::duplex(BUFFER);
    Ok(Line { user, socket, ours })
}

impl Line {
    /// The user's end, and the work that carries bytes to and fro until either side closes or `stop` fires. It then ends
    /// the stream and the connection in the daemon's order, within [`client::GOODBYE`].
    pub fn split(self, stop: &CancellationToken) -> (DuplexStream, impl Future<Output = ()> + Send + 'static) {
        let Line { user, socket, ours } = self;
        let (from_user, to_user) = tokio::io::split(ours);
        let ended = stop.child_token();
        let carry = async move {
            let overdue = async {
                ended.cancelled().await;
                tokio::time::sleep(client::GOODBYE).await;
            };
            let both = async {
                tokio::join!(
                    guest_to_user(socket.reader, to_user, &ended),
                    user_to_guest(from_user, socket.writer, &ended),
                )
            };
            tokio::select! {
                biased;
                _ = both => {}
                () = overdue => tracing::debug!("libvirt did not answer the goodbye of a console in time"),
            }
        };
        (user, carry)
    }
}

async fn call(socket: &mut Socket, procedure: i32, serial: u32, args: Encoder) -> Result<Vec<u8>> {
    let header = Header { program: frame::REMOTE_PROGRAM, procedure, kind: Kind::Call, serial, status: Status::Ok };
    let lost = |e: std::io::Error| Error::Connection(e.to_string());
    socket.writer.write_all(&header.message(&args.into_bytes())).await.map_err(lost)?;
    loop {
        let body = client::read_message(&mut *socket.reader).await?;
        let (h, payload) = Header::decode(&body)?;
        if h.kind == Kind::Reply && h.serial == serial {
            return match h.status {
                Status::Error => Err(Error::Remote(frame::decode_error(payload))),
                Status::Ok | Status::Continue => Ok(payload.to_vec()),
            };
        }
    }
}

/// Ends at the daemon's answer to our goodbye, or with the connection.
async fn guest_to_user(
    mut reader: Box<dyn AsyncRead + Send + Unpin>,
    mut user: impl AsyncWrite + Unpin,
    ended: &CancellationToken,
) {
    while let Ok(body) = client::read_message(&mut *reader).await {
        let Ok((header, payload)) = Header::decode(&body) else { break };
        match (header.kind, header.serial) {
            (Kind::Reply, CLOSE_SERIAL) => break,
            // An empty packet, or any status but "continue", is the end.
            (Kind::Stream, CONSOLE_SERIAL) if header.status != Status::Continue || payload.is_empty() => {
                ended.cancel();
                let _ = user.shutdown().await;
            }
            (Kind::Stream, CONSOLE_SERIAL) if !ended.is_cancelled() => {
                let written = tokio::select! {
                    biased;
                    () = ended.cancelled() => continue,
                    written = user.write_all(payload) => written,
                };
                if written.is_err() {
                    ended.cancel();
                }
            }
            _ => {}
        }
    }
    ended.cancel();
    let _ = user.shutdown().await;
}

/// Carries until the end, then finishes the stream and closes the connection. A message is never cut in the middle.
async fn user_to_guest(
    mut user: impl AsyncRead + Unpin,
    mut writer: Box<dyn AsyncWrite + Send + Unpin>,
    ended: &CancellationToken,
) {
    let mut header = Header {
        program: frame::REMOTE_PROGRAM,
        procedure: OPEN_CONSOLE,
        kind: Kind::Stream,
        serial: CONSOLE_SERIAL,
        status: Status::Continue,
    };
    let mut buffer = vec![0u8; 16_384.min(frame::STREAM_CHUNK)];
    loop {
        let read = tokio::select! {
            biased;
            () = ended.cancelled() => break,
            read = user.read(&mut buffer) => read,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(n) if writer.write_all(&header.message(&buffer[..n])).await.is_err() => return ended.cancel(),
            Ok(_) => {}
        }
    }
    ended.cancel();
    header.status = Status::Ok;
    let close = Header { procedure: client::PROC_CONNECT_CLOSE, kind: Kind::Call, serial: CLOSE_SERIAL, ..header };
    // To a stream that the daemon ended by itself this is one word more, which it drops.
    let _ = writer.write_all(&header.message(&[])).await;
    let _ = writer.write_all(&close.message(&[])).await;
}
