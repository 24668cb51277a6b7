//! Which devices a guest gets: image properties and options in, a checked choice out. Pure.
//!
//! Every word that reaches the domain's description comes from a list here, so that no text of a tenant does.

use crate::options::Options;
use driver_api::{DiskFormat, Error, ErrorKind, InstanceSpec, Result};

/// Bus of a disk or CD-ROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bus {
    Virtio,
    Scsi,
    Sata,
    Ide,
    Usb,
}

impl Bus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Bus::Virtio => "virtio",
            Bus::Scsi => "scsi",
            Bus::Sata => "sata",
            Bus::Ide => "ide",
            Bus::Usb => "usb",
        }
    }
    /// First two letters of a device on this bus in the guest.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Bus::Virtio => "vd",
            Bus::Scsi | Bus::Sata | Bus::Usb => "sd",
            Bus::Ide => "hd",
        }
    }
    fn parse(word: &str) -> Option<Bus> {
        Some(match word {
            "virtio" => Bus::Virtio,
            "scsi" => Bus::Scsi,
            "sata" => Bus::Sata,
            "ide" => Bus::Ide,
            "usb" => Bus::Usb,
            _ => return None,
        })
    }
}

/// Network card models with their traits.
pub(crate) const VIF_MODELS: &[(&str, &str)] = &[
    ("virtio", "COMPUTE_NET_VIF_MODEL_VIRTIO"),
    ("e1000", "COMPUTE_NET_VIF_MODEL_E1000"),
    ("e1000e", "COMPUTE_NET_VIF_MODEL_E1000E"),
    ("rtl8139", "COMPUTE_NET_VIF_MODEL_RTL8139"),
    ("ne2k_pci", "COMPUTE_NET_VIF_MODEL_NE2K_PCI"),
    ("pcnet", "COMPUTE_NET_VIF_MODEL_PCNET"),
];

/// Display models.
const VIDEO_MODELS: &[&str] = &["virtio", "vga", "cirrus", "bochs", "none"];

/// What a guest is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hardware {
    pub(crate) machine: String,
    pub(crate) disk_bus: Bus,
    pub(crate) cdrom_bus: Bus,
    /// Model for ports that name none.
    pub(crate) vif_model: &'static str,
    pub(crate) video: &'static str,
    pub(crate) guest_agent: bool,
    pub(crate) local_clock: bool,
    /// Kernel command line, as given; escaped where it is written.
    pub(crate) cmdline: Option<String>,
}

/// Whether `word` is a machine type we know how to furnish.
pub(crate) fn is_machine(word: &str) -> bool {
    word == "q35"
        || word == "pc"
        || (crate::options::is_word(word) && (word.starts_with("pc-q35-") || word.starts_with("pc-i440fx-")))
}

fn is_q35(machine: &str) -> bool {
    machine == "q35" || machine.starts_with("pc-q35-")
}

fn unsupported(property: &str, value: &str) -> Error {
    // The value is the tenant's own text; it is cut, since it comes back in a fault.
    let shown: String = value.chars().take(60).collect();
    Error::new(ErrorKind::UnsupportedSpec, format!("image property {property} = '{shown}' is not offered by this host"))
}

impl Hardware {
    /// Chooses for `spec`.
    ///
    /// # Errors
    /// `UnsupportedSpec`, naming the property.
    pub(crate) fn of(spec: &InstanceSpec, options: &Options) -> Result<Hardware> {
        let property = |name: &str| spec.image.as_ref().and_then(|i| i.properties.get(name)).map(String::as_str);
        let machine = match property("hw_machine_type") {
            Some(m) if is_machine(m) => m.to_owned(),
            Some(m) => return Err(unsupported("hw_machine_type", m)),
            None => options.machine.clone(),
        };
        let bus = |name: &str, default: Bus| match property(name) {
            Some(word) => Bus::parse(word).ok_or_else(|| unsupported(name, word)),
            None => Ok(default),
        };
        let disk_bus = bus("hw_disk_bus", Bus::Virtio)?;
        // Cloud kernels have no AHCI driver: on q35 a SATA CD-ROM would not be seen.
        let cdrom_bus = bus("hw_cdrom_bus", if is_q35(&machine) { Bus::Scsi } else { Bus::Ide })?;
        for (name, chosen) in [("hw_disk_bus", disk_bus), ("hw_cdrom_bus", cdrom_bus)] {
            if chosen == Bus::Ide && is_q35(&machine) {
                return Err(unsupported(name, "ide on q35"));
            }
        }
        let vif_model = vif_model(property("hw_vif_model"))?;
        let video = match property("hw_video_model") {
            Some(v) => *VIDEO_MODELS.iter().find(|m| **m == v).ok_or_else(|| unsupported("hw_video_model", v))?,
            None => "virtio",
        };
        match property("hw_firmware_type") {
            None | Some("bios") => {}
            Some(other) => return Err(unsupported("hw_firmware_type", other)),
        }
        match property("hw_architecture") {
            None | Some("x86_64") => {}
            Some(other) => return Err(unsupported("hw_architecture", other)),
        }
        let yes =
            |v: Option<&str>| v.is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "yes" | "true" | "1" | "on"));
        Ok(Hardware {
            machine,
            disk_bus,
            cdrom_bus,
            vif_model,
            video: if options.vnc { video } else { "none" },
            guest_agent: yes(property("hw_qemu_guest_agent")),
            local_clock: property("os_type").is_some_and(|t| t.eq_ignore_ascii_case("windows")),
            cmdline: property("os_command_line").map(str::to_owned),
        })
    }

    /// Root device in the guest.
    pub(crate) fn root_device(&self) -> String {
        format!("/dev/{}a", self.disk_bus.prefix())
    }
}

/// The card model of a word, `virtio` if there is none.
pub(crate) fn vif_model(word: Option<&str>) -> Result<&'static str> {
    match word {
        None => Ok("virtio"),
        Some(w) => {
            VIF_MODELS.iter().find(|(m, _)| *m == w).map(|(m, _)| *m).ok_or_else(|| unsupported("hw_vif_model", w))
        }
    }
}

/// Refuses what no disk can be made of, before anything is fetched.
///
/// # Errors
/// `InvalidSpec`, `UnsupportedSpec`.
pub(crate) fn check(spec: &InstanceSpec) -> Result<()> {
    let Some(image) = &spec.image else {
        return Err(Error::new(ErrorKind::UnsupportedSpec, "this host boots from images only, and no image is given"));
    };
    if matches!(image.disk_format, DiskFormat::Aki | DiskFormat::Ari) {
        return Err(Error::new(ErrorKind::InvalidSpec, "the image is a kernel or a ramdisk and no disk"));
    }
    crate::image_cache::stored_as(image.disk_format)?;
    if image.disk_format == DiskFormat::Ami && spec.kernel.is_none() {
        return Err(Error::new(ErrorKind::InvalidSpec, "an ami image has no boot loader: it needs kernel_id"));
    }
    if spec.ramdisk.is_some() && spec.kernel.is_none() {
        return Err(Error::new(ErrorKind::InvalidSpec, "a ramdisk needs a kernel"));
    }
    if spec.vcpus == 0 || spec.memory_mib == 0 {
        return Err(Error::new(ErrorKind::InvalidSpec, "a guest needs at least one CPU and 1 MiB of memory"));
    }
    if let Some(size) = image.virtual_size {
        fits(size, spec.root_gib)?;
    }
    for nic in &spec.nics {
        if !is_mac(&nic.mac) {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                format!("port {}: the MAC address is not one", nic.port_id),
            ));
        }
        if !nic.device.is_empty() && (nic.device.len() > 15 || !crate::options::is_word(&nic.device)) {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                format!("port {}: the device name is not one", nic.port_id),
            ));
        }
        vif_model(nic.model.as_deref())?;
    }
    Ok(())
}

/// Refuses a disk image larger than the flavor's root disk (CVE-2013-2096).
///
/// # Errors
/// `InvalidSpec`, naming both.
pub(crate) fn fits(virtual_size: u64, root_gib: u64) -> Result<()> {
    if root_gib > 0 && virtual_size > root_gib.saturating_mul(1 << 30) {
        let message =
            format!("the image's disk of {virtual_size} bytes is larger than the flavor's root disk of {root_gib} GiB");
        return Err(Error::new(ErrorKind::InvalidSpec, message));
    }
    Ok(())
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 6 && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::options::VirtType;
    use crate::testing::spec;

    #[test]
    fn properties_choose_and_unknown_words_are_refused() {
        let options = Options::new(VirtType::Qemu);
        let mut s = spec();
        let h = Hardware::of(&s, &options).unwrap();
        assert_eq!((h.machine.as_str(), h.disk_bus, h.cdrom_bus, h.video), ("q35", Bus::Virtio, Bus::Scsi, "virtio"));
        for (name, good, bad) in [
            ("hw_disk_bus", "scsi", "xen"),
            ("hw_cdrom_bus", "sata", "'/>"),
            ("hw_machine_type", "pc", "s390"),
            ("hw_vif_model", "e1000", "<x/>"),
            ("hw_video_model", "vga", "qxl'"),
            ("hw_firmware_type", "bios", "uefi"),
            ("hw_architecture", "x86_64", "aarch64"),
        ] {
            let image = s.image.as_mut().unwrap();
            image.properties.insert(name.into(), bad.into());
            let e = Hardware::of(&s, &options).unwrap_err();
            assert_eq!(e.kind, ErrorKind::UnsupportedSpec, "{name}");
            assert!(e.message.contains(name), "{}", e.message);
            s.image.as_mut().unwrap().properties.insert(name.into(), good.into());
        }
        let h = Hardware::of(&s, &options).unwrap();
        assert_eq!((h.machine.as_str(), h.disk_bus, h.vif_model), ("pc", Bus::Scsi, "e1000"));
        assert_eq!(h.root_device(), "/dev/sda");
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_fetched() {
        let kind = |f: &dyn Fn(&mut InstanceSpec)| {
            let mut s = spec();
            f(&mut s);
            check(&s).unwrap_err().kind
        };
        assert_eq!(kind(&|s| s.image = None), ErrorKind::UnsupportedSpec);
        assert_eq!(kind(&|s| s.image.as_mut().unwrap().disk_format = DiskFormat::Iso), ErrorKind::UnsupportedSpec);
        assert_eq!(kind(&|s| s.image.as_mut().unwrap().disk_format = DiskFormat::Ami), ErrorKind::InvalidSpec);
        assert_eq!(kind(&|s| s.vcpus = 0), ErrorKind::InvalidSpec);
        assert_eq!(kind(&|s| s.nics[0].mac = "x".into()), ErrorKind::InvalidSpec);
        assert_eq!(kind(&|s| s.nics[0].device = "tap'/>".into()), ErrorKind::InvalidSpec);
        assert_eq!(kind(&|s| s.nics[0].model = Some("zz".into())), ErrorKind::UnsupportedSpec);
        check(&spec()).unwrap();
    }

    #[test]
    fn a_disk_larger_than_the_flavor_names_both() {
        let e = fits(5 << 30, 1).unwrap_err();
        assert!(e.message.contains("5368709120 bytes") && e.message.contains("1 GiB"), "{}", e.message);
        fits(5 << 30, 0).unwrap();
        fits(1 << 30, 1).unwrap();
    }
}
