//! An Ethernet frame with a UDP datagram from the DHCP server's port to the client's; pure.

use crate::plan::Mac;
use std::net::Ipv4Addr;

/// The internet checksum (RFC 1071) of bytes.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    // Every part but the last has an even length.
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// The frame from port 67 to port 68; `None` if the payload is too long for a datagram.
pub(crate) fn frame(source: Mac, destination: Mac, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Option<Vec<u8>> {
    let udp_length = u16::try_from(payload.len() + 8).ok()?;
    let total = udp_length.checked_add(20)?;

    let mut ip = vec![0x45, 0xc0];
    ip.extend(total.to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    ip.extend(from.octets());
    ip.extend(to.octets());
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());

    let mut udp = Vec::with_capacity(8);
    udp.extend(67_u16.to_be_bytes());
    udp.extend(68_u16.to_be_bytes());
    udp.extend(udp_length.to_be_bytes());
    udp.extend([0, 0]);
    let [high, low] = udp_length.to_be_bytes();
    let sum = checksum(&[&from.octets(), &to.octets(), &[0, 17, high, low], &udp, payload]);
    // Zero would say that there is none.
    let sum = if sum == 0 { 0xffff } else { sum };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());

    let mut out = Vec::with_capacity(14 + usize::from(total));
    out.extend(destination.0);
    out.extend(source.0);
    out.extend([0x08, 0x00]);
    out.extend(ip);
    out.extend(udp);
    out.extend(payload);
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{checksum, frame};
    use crate::plan::Mac;

    #[test]
    fn checksums_add_up_to_zero() {
        let payload = b"odd";
        let out = frame(Mac([2; 6]), Mac([4; 6]), [10, 0, 0, 2].into(), [10, 0, 0, 5].into(), payload).unwrap();
        assert_eq!(out.len(), 14 + 20 + 8 + 3);
        assert_eq!(checksum(&[&out[14..34]]), 0, "header");
        let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
        assert_eq!(checksum(&[&out[26..34], &[0, 17, length[0], length[1]], &out[34..]]), 0, "datagram");
        // Computed by hand: RFC 1071's own example.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
    }
}
