//! Signatures by which QEMU or another reader could take bytes for a disk format.

/// Bytes from the beginning that [`of`] looks at.
pub(crate) const PROBED: usize = 512;

/// The format whose signature the head of the data carries. LUKS is not among them: an encrypted volume refers to no
/// file and opens for nobody without its key, and Cinder uploads such volumes as `raw`.
pub(crate) fn of(head: &[u8]) -> Option<&'static str> {
    const AT_START: &[(&[u8], &str)] = &[
        (b"QFI\xfb", "qcow2"),
        (b"QED\0", "qed"),
        (b"KDMV", "vmdk"),
        (b"COWD", "vmdk"),
        (b"conectix", "vhd"),
        (b"vhdxfile", "vhdx"),
        (b"WithoutFreeSpace", "ploop"),
        (b"WithouFreSpacExt", "ploop"),
        (b"Bochs Virtual HD Image", "bochs"),
        (b"#!/bin/sh\n#V2.0 Format\n", "cloop"),
        (b"OOOM", "cow"),
    ];
    if let Some((_, name)) = AT_START.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(name);
    }
    // VirtualBox: 0xbeda107f, little endian, behind 64 bytes of free text.
    if head.get(0x40..0x44) == Some(&[0x7f, 0x10, 0xda, 0xbe]) {
        return Some("vdi");
    }
    vmdk_text(head).then_some("vmdk")
}

/// A VMDK that is nothing but its descriptor, as QEMU's probe sees it: comments and blanks, then `version=`.
/// Stricter than QEMU, which wants one of the versions it knows, and than the probe's line ends.
fn vmdk_text(head: &[u8]) -> bool {
    for line in head.get(..PROBED.min(head.len())).unwrap_or(head).split(|b| *b == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            if line.to_ascii_lowercase().starts_with(b"# disk descriptorfile") {
                return true;
            }
            continue;
        }
        return line.to_ascii_lowercase().starts_with(b"version=");
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_qemu_would_find() {
        assert_eq!(of(b"QFI\xfb\0\0\0\x03"), Some("qcow2"));
        assert_eq!(of(b"# Disk DescriptorFile\nversion=1\n"), Some("vmdk"));
        assert_eq!(of(b"\n# x\n  version=1\r\n"), Some("vmdk"));
        let mut vdi = vec![b'x'; 512];
        vdi[0x40..0x44].copy_from_slice(&0xbeda_107f_u32.to_le_bytes());
        assert_eq!(of(&vdi), Some("vdi"));
        assert_eq!(of(b"#!/bin/sh\necho hello\n"), None);
        assert_eq!(of(b""), None);
        assert_eq!(of(&[0; 512]), None);
    }
}
