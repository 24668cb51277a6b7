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
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

const PROC_CONNECT_OPEN: i32 = 1;
const PROC_AUTH_LIST: i32 = 66;
const PROC_AUTH_POLKIT: i32 = 70;
const CONSOLE_SERIAL: u32 = 4;
/// The newest caller gets the console: the one before may hang in a browser nobody looks at.
const CONSOLE_FORCE: u32 = 1;
const BUFFER: usize = 65_536;

/// Opens the first serial console of a running domain.
///
/// # Errors
/// Any of [`Error`].
pub async fn open_console(address: &Address, domain: &Domain) -> Result<DuplexStream> {
    let work = async {
        let mut socket = client::dial(&address.endpoint).await?;
        let auth = call(&mut socket, PROC_AUTH_LIST, 1, Encoder::new()).await?;
        let kinds = Decoder::new(&auth).list(20, |d| d.i32())?;
        if !kinds.is_empty() && !kinds.contains(&0) {
            call(&mut socket, PROC_AUTH_POLKIT, 2, Encoder::new()).await?;
        }
        let mut e = Encoder::new();
        e.optional_string(Some(&address.open)).u32(0);
        call(&mut socket, PROC_CONNECT_OPEN, 3, e).await?;
        let mut e = Encoder::new();
        domain.encode(&mut e);
        e.optional_string(None).u32(CONSOLE_FORCE);
        call(&mut socket, OPEN_CONSOLE, CONSOLE_SERIAL, e).await?;
        Ok::<Socket, Error>(socket)
    };
    let limit = client::CONNECT_TIMEOUT;
    let socket = tokio::time::timeout(limit, work).await.unwrap_or(Err(Error::TimedOut(limit.as_secs())))?;
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let (from_user, to_user) = tokio::io::split(ours);
    tokio::spawn(async move {
        // Either end closing ends both, and with them the connection, which frees the console.
        tokio::select! {
            biased;
            () = guest_to_user(socket.reader, to_user) => {}
            () = user_to_guest(from_user, socket.writer) => {}
        }
    });
    Ok(theirs)
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

async fn guest_to_user(mut reader: Box<dyn AsyncRead + Send + Unpin>, mut user: impl AsyncWrite + Unpin) {
    while let Ok(body) = client::read_message(&mut *reader).await {
        let Ok((header, payload)) = Header::decode(&body) else { break };
        if header.kind != Kind::Stream || header.serial != CONSOLE_SERIAL {
            continue;
        }
        // An empty packet, or any status but "continue", is the end.
        if header.status != Status::Continue || payload.is_empty() || user.write_all(payload).await.is_err() {
            break;
        }
    }
    let _ = user.shutdown().await;
}

async fn user_to_guest(mut user: impl AsyncRead + Unpin, mut writer: Box<dyn AsyncWrite + Send + Unpin>) {
    let mut header = Header {
        program: frame::REMOTE_PROGRAM,
        procedure: OPEN_CONSOLE,
        kind: Kind::Stream,
        serial: CONSOLE_SERIAL,
        status: Status::Continue,
    };
    let mut buffer = vec![0u8; 16_384.min(frame::STREAM_CHUNK)];
    while let Ok(n) = user.read(&mut buffer).await {
        if n == 0 || writer.write_all(&header.message(&buffer[..n])).await.is_err() {
            break;
        }
    }
    header.status = Status::Ok;
    let _ = writer.write_all(&header.message(&[])).await;
}
