//! libvirt and QEMU, over libvirt's own RPC.
