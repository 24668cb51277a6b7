//! One message on the wire: length, header, payload (`virnetprotocol.x`).

use super::xdr::{Decoder, Encoder, XdrError};

/// The domain and connection procedures of libvirt.
pub const REMOTE_PROGRAM: u32 = 0x2000_8086;
/// "keep": the liveness pings.
pub const KEEPALIVE_PROGRAM: u32 = 0x6b65_6570;
/// Both programs are at version 1.
pub const VERSION: u32 = 1;
/// Ping of the liveness program.
pub const KEEPALIVE_PING: i32 = 1;
/// Its answer.
pub const KEEPALIVE_PONG: i32 = 2;
/// Bytes of length and header.
pub const HEADER_LEN: usize = 28;
/// Longest message we accept, bytes (`VIR_NET_MESSAGE_MAX` of new releases).
pub const MESSAGE_MAX: usize = 33_554_432;
/// Most stream bytes in one message, as old daemons take.
pub const STREAM_CHUNK: usize = 262_120;

/// Kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From us: a call.
    Call,
    /// To us: its answer.
    Reply,
    /// Either way, unasked: events, pings.
    Message,
    /// Either way: bytes of a stream.
    Stream,
    /// To us: an answer followed by file descriptors.
    ReplyWithFds,
    /// Any other number.
    Other(u32),
}

impl Kind {
    fn code(self) -> u32 {
        match self {
            Kind::Call => 0,
            Kind::Reply => 1,
            Kind::Message => 2,
            Kind::Stream => 3,
            Kind::ReplyWithFds => 5,
            Kind::Other(n) => n,
        }
    }
    fn from_code(code: u32) -> Kind {
        match code {
            0 => Kind::Call,
            1 => Kind::Reply,
            2 => Kind::Message,
            3 => Kind::Stream,
            5 => Kind::ReplyWithFds,
            n => Kind::Other(n),
        }
    }
}

/// Status of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Fine; for streams: the end.
    Ok,
    /// An error structure follows.
    Error,
    /// For streams: bytes follow.
    Continue,
}

/// Header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Program.
    pub program: u32,
    /// Procedure.
    pub procedure: i32,
    /// Kind.
    pub kind: Kind,
    /// Which call it belongs to.
    pub serial: u32,
    /// Status.
    pub status: Status,
}

impl Header {
    /// The whole message: length, this header, `payload`.
    pub fn message(&self, payload: &[u8]) -> Vec<u8> {
        let mut e = Encoder::new();
        e.u32(u32::try_from(HEADER_LEN + payload.len()).unwrap_or(u32::MAX))
            .u32(self.program)
            .u32(VERSION)
            .i32(self.procedure)
            .u32(self.kind.code())
            .u32(self.serial)
            .u32(match self.status {
                Status::Ok => 0,
                Status::Error => 1,
                Status::Continue => 2,
            });
        let mut out = e.into_bytes();
        out.extend_from_slice(payload);
        out
    }
    /// Reads the header that follows the length word; what is left is the payload.
    pub fn decode(body: &[u8]) -> Result<(Header, &[u8]), XdrError> {
        let mut d = Decoder::new(body);
        let program = d.u32()?;
        let _version = d.u32()?;
        let procedure = d.i32()?;
        let kind = Kind::from_code(d.u32()?);
        let serial = d.u32()?;
        let status = match d.u32()? {
            0 => Status::Ok,
            1 => Status::Error,
            2 => Status::Continue,
            _ => return Err(XdrError::Range("a status")),
        };
        Ok((Header { program, procedure, kind, serial, status }, d.rest()))
    }
}

/// Checks the length word of a message and yields how many bytes follow it.
pub fn body_len(word: [u8; 4]) -> Result<usize, XdrError> {
    let len = u32::from_be_bytes(word) as usize;
    if !(HEADER_LEN..=MESSAGE_MAX).contains(&len) {
        return Err(XdrError::Range("a message's length"));
    }
    Ok(len - 4)
}

/// What libvirt says when a call fails (`virterror.h`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteError {
    /// Number of the error.
    pub code: i32,
    /// Text in the daemon's words; may name paths of the host.
    pub message: String,
}

/// Reads the error structure; its first and third field are all we use.
pub fn decode_error(payload: &[u8]) -> RemoteError {
    let mut d = Decoder::new(payload);
    let read = |d: &mut Decoder<'_>| -> Result<RemoteError, XdrError> {
        let code = d.i32()?;
        let _domain = d.i32()?;
        let message = d.optional_string()?.unwrap_or_default();
        Ok(RemoteError { code, message })
    };
    read(&mut d).unwrap_or(RemoteError { code: 0, message: "an error that does not decode".into() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_come_back(procedure in any::<i32>(), serial in any::<u32>(), kind in 0u32..8, status in 0usize..3,
                             payload in proptest::collection::vec(any::<u8>(), 0..50)) {
            let status = [Status::Ok, Status::Error, Status::Continue][status];
            let header = Header { program: REMOTE_PROGRAM, procedure, kind: Kind::from_code(kind), serial, status };
            let raw = header.message(&payload);
            prop_assert_eq!(body_len(raw[..4].try_into().unwrap()).unwrap(), raw.len() - 4);
            let (back, rest) = Header::decode(&raw[4..]).unwrap();
            prop_assert_eq!(back, header);
            prop_assert_eq!(rest, &payload[..]);
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::decode(&bytes);
            let _ = decode_error(&bytes);
        }
    }

    #[test]
    fn lengths_out_of_range_are_refused() {
        assert!(body_len(27u32.to_be_bytes()).is_err());
        assert!(body_len(u32::MAX.to_be_bytes()).is_err());
        assert_eq!(body_len(28u32.to_be_bytes()).unwrap(), 24);
    }
}
