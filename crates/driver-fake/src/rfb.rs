//! The VNC console: a small true RFB server (RFC 6143: versions 3.3, 3.7 and 3.8, no authentication, Raw encoding).
//!
//! The picture is a plane whose colour changes with each key pressed, so that a client sees its own input arrive.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const WIDTH: u16 = 160;
const HEIGHT: u16 = 120;
/// Longest client text that is read away.
const MAX_TEXT: u32 = 1 << 20;

/// The part of PIXEL_FORMAT that we draw by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PixelFormat {
    bits: u8,
    big_endian: bool,
    max: [u16; 3],
    shift: [u8; 3],
}

impl PixelFormat {
    const OURS: PixelFormat = PixelFormat { bits: 32, big_endian: false, max: [255; 3], shift: [16, 8, 0] };

    fn wire(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[0] = self.bits;
        out[1] = 24;
        out[2] = u8::from(self.big_endian);
        out[3] = 1;
        for (i, max) in self.max.iter().enumerate() {
            out[4 + 2 * i..6 + 2 * i].copy_from_slice(&max.to_be_bytes());
            out[10 + i] = self.shift[i];
        }
        out
    }

    fn parse(wire: &[u8; 16]) -> io::Result<PixelFormat> {
        let max = |i: usize| u16::from_be_bytes([wire[4 + 2 * i], wire[5 + 2 * i]]);
        let format = PixelFormat {
            bits: wire[0],
            big_endian: wire[2] != 0,
            max: [max(0), max(1), max(2)],
            shift: [wire[10], wire[11], wire[12]],
        };
        let sane = matches!(format.bits, 8 | 16 | 32) && format.shift.iter().all(|s| *s < format.bits);
        // A colour map is never offered; a client that asks for one is refused rather than shown wrong colours.
        if sane && wire[3] != 0 { Ok(format) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// One pixel of the colour `rgb`.
    fn pixel(self, rgb: [u8; 3]) -> Vec<u8> {
        let mut value = 0_u32;
        for (i, part) in rgb.iter().enumerate() {
            value |= (u32::from(*part) * u32::from(self.max[i]) / 255) << self.shift[i];
        }
        let bytes = value.to_be_bytes();
        let mut out = bytes[4 - usize::from(self.bits / 8)..].to_vec();
        if !self.big_endian {
            out.reverse();
        }
        out
    }
}

pub(crate) async fn serve(mut pipe: DuplexStream, name: &str) -> io::Result<()> {
    shake_hands(&mut pipe, name).await?;
    let mut format = PixelFormat::OURS;
    let mut keys = 0_u8;
    // What the client has seen, and whether it waits for news.
    let mut seen: Option<u8> = None;
    let mut waiting = false;
    loop {
        match pipe.read_u8().await? {
            0 => {
                skip(&mut pipe, 3).await?;
                let mut wire = [0; 16];
                pipe.read_exact(&mut wire).await?;
                format = PixelFormat::parse(&wire)?;
                seen = None;
            }
            2 => {
                skip(&mut pipe, 1).await?;
                let count = pipe.read_u16().await?;
                skip(&mut pipe, u32::from(count) * 4).await?;
            }
            3 => {
                let incremental = pipe.read_u8().await? != 0;
                skip(&mut pipe, 8).await?;
                if !incremental {
                    seen = None;
                }
                waiting = true;
            }
            4 => {
                let down = pipe.read_u8().await? != 0;
                skip(&mut pipe, 6).await?;
                keys = keys.wrapping_add(u8::from(down));
            }
            5 => skip(&mut pipe, 5).await?,
            6 => {
                skip(&mut pipe, 3).await?;
                let length = pipe.read_u32().await?;
                if length > MAX_TEXT {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                skip(&mut pipe, length).await?;
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        if waiting && seen != Some(keys) {
            update(&mut pipe, format, [keys.wrapping_mul(40), 64, 160]).await?;
            seen = Some(keys);
            waiting = false;
        }
    }
}

async fn shake_hands(pipe: &mut DuplexStream, name: &str) -> io::Result<()> {
    pipe.write_all(b"RFB 003.008\n").await?;
    let mut version = [0; 12];
    pipe.read_exact(&mut version).await?;
    match &version {
        b"RFB 003.008\n" | b"RFB 003.007\n" => {
            pipe.write_all(&[1, 1]).await?;
            if pipe.read_u8().await? != 1 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if version[10] == b'8' {
                pipe.write_u32(0).await?;
            }
        }
        v if v.starts_with(b"RFB 003.") => pipe.write_u32(1).await?,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }
    let _shared = pipe.read_u8().await?;
    pipe.write_u16(WIDTH).await?;
    pipe.write_u16(HEIGHT).await?;
    pipe.write_all(&PixelFormat::OURS.wire()).await?;
    pipe.write_u32(u32::try_from(name.len()).unwrap_or(0)).await?;
    pipe.write_all(name.as_bytes()).await
}

/// The whole picture as one Raw rectangle.
async fn update(pipe: &mut DuplexStream, format: PixelFormat, rgb: [u8; 3]) -> io::Result<()> {
    pipe.write_all(&[0, 0, 0, 1]).await?;
    for part in [0, 0, WIDTH, HEIGHT] {
        pipe.write_u16(part).await?;
    }
    pipe.write_i32(0).await?;
    pipe.write_all(&format.pixel(rgb).repeat(usize::from(WIDTH) * usize::from(HEIGHT))).await
}

async fn skip(pipe: &mut DuplexStream, bytes: u32) -> io::Result<()> {
    let mut rest = (&mut *pipe).take(u64::from(bytes));
    let copied = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    if copied == u64::from(bytes) { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
