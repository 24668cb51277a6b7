//! The domain's description, and what we write into it to find our guests again. Pure.

use crate::disks::{Layout, Role};
use crate::hardware::{Bus, Hardware, vif_model};
use crate::options::{CpuMode, Options, VirtType};
use driver_api::{InstanceSpec, Result};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Namespace of our metadata element.
pub(crate) const NAMESPACE: &str = "urn:kilonova:instance:1";

/// Names of our domains begin with this.
pub(crate) const NAME_PREFIX: &str = "instance-";

/// What we know of a guest from its description alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Compute host it belongs to: several may share one daemon.
    pub(crate) host: String,
    /// Generation of the specification it was last defined from.
    pub(crate) generation: u64,
    /// Owner.
    pub(crate) project: String,
    /// Root device in the guest.
    pub(crate) root_device: Option<String>,
}

/// Text made safe for element content and attributes. Characters that XML 1.0 has no place for become `?`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c if (c < ' ') || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

fn path_text(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

/// The metadata element.
fn meta_xml(host: &str, spec: &InstanceSpec, root_device: &str) -> String {
    format!(
        "<kilonova:instance xmlns:kilonova='{NAMESPACE}' host='{}' generation='{}' project='{}' user='{}' flavor='{}' \
         root_device='{}'><kilonova:name>{}</kilonova:name></kilonova:instance>",
        escape(host),
        spec.generation,
        escape(&spec.project_id),
        escape(&spec.user_id),
        escape(&spec.flavor_name),
        escape(root_device),
        escape(&spec.name),
    )
}

/// Reads the metadata element as libvirt gives it back (by itself, with or without its prefix).
pub(crate) fn parse_meta(xml: &str) -> Option<Meta> {
    let document = roxmltree::Document::parse(xml).ok()?;
    let e = document.descendants().find(|n| n.is_element() && n.tag_name().name() == "instance")?;
    Some(Meta {
        host: e.attribute("host")?.to_owned(),
        generation: e.attribute("generation")?.parse().ok()?,
        project: e.attribute("project").unwrap_or_default().to_owned(),
        root_device: e.attribute("root_device").map(str::to_owned),
    })
}

/// Names devices in order: `vda`, `vdb`, …, each prefix counted by itself.
#[derive(Default)]
struct Letters(BTreeMap<&'static str, u8>);

impl Letters {
    fn next(&mut self, bus: Bus) -> String {
        let n = self.0.entry(bus.prefix()).or_insert(0);
        let name = format!("{}{}", bus.prefix(), char::from(b'a' + (*n).min(25)));
        *n += 1;
        name
    }
}

/// All that a description is made of.
pub(crate) struct Request<'a> {
    pub(crate) name: &'a str,
    pub(crate) host: &'a str,
    pub(crate) spec: &'a InstanceSpec,
    pub(crate) hardware: &'a Hardware,
    pub(crate) options: &'a Options,
    pub(crate) layout: &'a Layout,
    pub(crate) dir: &'a Path,
    /// `none` where the file system takes direct I/O, else `writeback`.
    pub(crate) cache: &'a str,
}

/// Writes the description of a guest.
///
/// # Errors
/// `UnsupportedSpec` for a card model we do not know.
pub(crate) fn describe(r: &Request<'_>) -> Result<String> {
    let (spec, hw) = (r.spec, r.hardware);
    let mut x = String::new();
    let id = spec.id;
    let _ = write!(
        x,
        "<domain type='{}'><name>{}</name><uuid>{id}</uuid><metadata>{}</metadata><memory unit='MiB'>{}</memory>\
         <vcpu>{}</vcpu>",
        r.options.virt_type.as_str(),
        escape(r.name),
        meta_xml(r.host, spec, &hw.root_device()),
        spec.memory_mib,
        spec.vcpus,
    );
    let _ = write!(
        x,
        "<sysinfo type='smbios'><system><entry name='manufacturer'>OpenStack Foundation</entry>\
         <entry name='product'>OpenStack Nova</entry><entry name='version'>Kilonova</entry>\
         <entry name='serial'>{id}</entry><entry name='uuid'>{id}</entry><entry name='family'>Virtual Machine</entry>\
         </system></sysinfo>",
    );
    os(&mut x, r);
    x.push_str("<features><acpi/><apic/>");
    if r.options.virt_type == VirtType::Qemu {
        let _ = write!(x, "<tcg><tb-cache unit='MiB'>{}</tb-cache></tcg>", r.options.tb_cache_mib);
    }
    x.push_str("</features>");
    x.push_str(&cpu(r.options));
    let _ = write!(
        x,
        "<clock offset='{}'><timer name='pit' tickpolicy='delay'/><timer name='rtc' tickpolicy='catchup'/>\
         <timer name='hpet' present='no'/></clock>\
         <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash><devices>",
        if hw.local_clock { "localtime" } else { "utc" },
    );
    disks(&mut x, r);
    nics(&mut x, r)?;
    peripherals(&mut x, r);
    x.push_str("</devices></domain>");
    Ok(x)
}

fn os(x: &mut String, r: &Request<'_>) {
    let _ = write!(x, "<os><type arch='x86_64' machine='{}'>hvm</type>", escape(&r.hardware.machine));
    if r.layout.kernel {
        let _ = write!(x, "<kernel>{}</kernel>", path_text(&r.dir.join("kernel")));
        if r.layout.ramdisk {
            let _ = write!(x, "<initrd>{}</initrd>", path_text(&r.dir.join("ramdisk")));
        }
        let _ = write!(x, "<cmdline>{}</cmdline>", escape(&cmdline(r.hardware, r.options.virt_type)));
    } else {
        x.push_str("<boot dev='hd'/>");
    }
    x.push_str("<smbios mode='sysinfo'/></os>");
}

/// Kernel command line. Under emulation a busy host delays the timer so much that Linux believes it broken and panics;
/// `no_timer_check` skips that belief, as Nova does.
pub(crate) fn cmdline(hw: &Hardware, virt_type: VirtType) -> String {
    let mut line =
        hw.cmdline.clone().unwrap_or_else(|| format!("root={} console=tty0 console=ttyS0", hw.root_device()));
    if virt_type == VirtType::Qemu && !line.split_ascii_whitespace().any(|w| w == "no_timer_check") {
        line.push_str(" no_timer_check");
    }
    line
}

fn cpu(options: &Options) -> String {
    let mode = match (options.cpu_mode, options.virt_type) {
        (CpuMode::Default, VirtType::Qemu) => return String::new(),
        (CpuMode::Default, VirtType::Kvm) | (CpuMode::HostModel, _) => "host-model",
        (CpuMode::HostPassthrough, _) => "host-passthrough",
        (CpuMode::Maximum, _) => "maximum",
        (CpuMode::Custom, _) => {
            let model = escape(options.cpu_model.as_deref().unwrap_or("qemu64"));
            return format!("<cpu mode='custom' match='exact'><model fallback='forbid'>{model}</model></cpu>");
        }
    };
    format!("<cpu mode='{mode}'/>")
}

fn disks(x: &mut String, r: &Request<'_>) {
    let mut letters = Letters::default();
    let buses = [r.hardware.disk_bus, r.hardware.cdrom_bus];
    if buses.contains(&Bus::Scsi) {
        x.push_str("<controller type='scsi' index='0' model='virtio-scsi'/>");
    }
    for disk in &r.layout.disks {
        let source = path_text(&r.dir.join(disk.role.file()));
        // A CD-ROM drive cannot sit on virtio; there the ISO is a read-only disk.
        let (device, bus, read_only) = match disk.role {
            Role::Config if r.hardware.cdrom_bus == Bus::Virtio => ("disk", Bus::Virtio, true),
            Role::Config => ("cdrom", r.hardware.cdrom_bus, true),
            _ => ("disk", r.hardware.disk_bus, false),
        };
        let discard = if read_only { "" } else { " discard='unmap'" };
        let _ = write!(
            x,
            "<disk type='file' device='{device}'><driver name='qemu' type='{}' cache='{}'{discard}/>\
             <source file='{source}'/><target dev='{}' bus='{}'/>{}</disk>",
            disk.format.as_str(),
            r.cache,
            letters.next(bus),
            bus.as_str(),
            if read_only { "<readonly/>" } else { "" },
        );
    }
}

fn nics(x: &mut String, r: &Request<'_>) -> Result<()> {
    for nic in r.spec.nics.iter().filter(|n| !n.device.is_empty()) {
        let model = match &nic.model {
            Some(m) => vif_model(Some(m))?,
            None => r.hardware.vif_model,
        };
        // managed='no': the host agent made the device, wired and filtered it; libvirt must neither make nor remove it.
        let _ = write!(
            x,
            "<interface type='ethernet'><mac address='{}'/><target dev='{}' managed='no'/><model type='{model}'/>\
             <mtu size='{}'/><link state='{}'/></interface>",
            escape(&nic.mac),
            escape(&nic.device),
            nic.mtu,
            if nic.admin_up { "up" } else { "down" },
        );
    }
    Ok(())
}

fn peripherals(x: &mut String, r: &Request<'_>) {
    // Appended: a guest that comes back from disk keeps what it wrote; virtlogd bounds the file.
    let _ = write!(
        x,
        "<serial type='pty'><log file='{}' append='on'/><target type='isa-serial' port='0'/></serial>",
        path_text(&r.dir.join("console.log")),
    );
    if r.options.vnc {
        // Listens nowhere: the daemon hands over a connected socket on request.
        x.push_str("<graphics type='vnc'><listen type='none'/></graphics><input type='tablet' bus='usb'/>");
    }
    let _ = write!(x, "<video><model type='{}'/></video>", r.hardware.video);
    if r.hardware.guest_agent {
        x.push_str("<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>");
    }
    x.push_str(
        "<memballoon model='virtio'><stats period='10'/></memballoon>\
         <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
    );
}

/// Device name of a disk in libvirt's terms (`vda`), for the root disk of `hw`.
pub(crate) fn root_target(hw: &Hardware) -> String {
    format!("{}a", hw.disk_bus.prefix())
}

/// MAC address of each host-side device of a description.
pub(crate) fn interface_macs(xml: &str) -> BTreeMap<String, String> {
    let Ok(document) = roxmltree::Document::parse(xml) else { return BTreeMap::new() };
    let child = |n: roxmltree::Node<'_, '_>, tag: &str, attribute: &str| {
        n.children().find(|c| c.has_tag_name(tag)).and_then(|c| c.attribute(attribute)).map(str::to_owned)
    };
    document
        .descendants()
        .filter(|n| n.has_tag_name("interface"))
        .filter_map(|n| Some((child(n, "target", "dev")?, child(n, "mac", "address")?)))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::disks::{Disk, Format};
    use crate::testing::spec;
    use proptest::prelude::*;

    fn layout(kernel: bool) -> Layout {
        let disk = |role, format| Disk { role, format, base: None };
        Layout {
            image: None,
            disks: vec![
                disk(Role::Root, Format::Qcow2),
                disk(Role::Swap, Format::Raw),
                disk(Role::Config, Format::Raw),
            ],
            kernel,
            ramdisk: kernel,
        }
    }

    fn xml(spec: &InstanceSpec, options: &Options, kernel: bool) -> String {
        let hardware = Hardware::of(spec, options).unwrap();
        describe(&Request {
            name: "instance-00000000",
            host: "h'1",
            spec,
            hardware: &hardware,
            options,
            layout: &layout(kernel),
            dir: Path::new("/a & b/i"),
            cache: "none",
        })
        .unwrap()
    }

    #[test]
    fn a_description_is_well_formed_and_its_metadata_comes_back() {
        let s = spec();
        let x = xml(&s, &Options::new(VirtType::Qemu), false);
        let d = roxmltree::Document::parse(&x).unwrap();
        assert_eq!(d.descendants().filter(|n| n.has_tag_name("disk")).count(), 3);
        let targets: Vec<_> = d
            .descendants()
            .filter(|n| n.has_tag_name("target"))
            .filter_map(|n| n.attribute("bus").zip(n.attribute("dev")))
            .collect();
        assert_eq!(targets, [("virtio", "vda"), ("virtio", "vdb"), ("scsi", "sda")]);
        let meta = parse_meta(&x).unwrap();
        assert_eq!(
            meta,
            Meta { host: "h'1".into(), generation: 3, project: "p".into(), root_device: Some("/dev/vda".into()) }
        );
        let name =
            d.descendants().find(|n| n.tag_name().namespace() == Some(NAMESPACE) && n.tag_name().name() == "name");
        assert_eq!(name.unwrap().text().unwrap(), s.name);
        assert!(x.contains("<tcg>") && x.contains("<listen type='none'/>") && x.contains("managed='no'"));
        assert_eq!(interface_macs(&x).get("tap00000000-00").unwrap(), "fa:16:3e:00:00:01");
    }

    #[test]
    fn emulation_adds_no_timer_check_once_and_kvm_does_not() {
        let mut s = spec();
        let qemu = Options::new(VirtType::Qemu);
        assert!(xml(&s, &qemu, true).contains("root=/dev/vda console=tty0 console=ttyS0 no_timer_check</cmdline>"));
        s.image.as_mut().unwrap().properties.insert("os_command_line".into(), "a=<b> no_timer_check".into());
        assert!(xml(&s, &qemu, true).contains("<cmdline>a=&lt;b&gt; no_timer_check</cmdline>"));
        let kvm = xml(&spec(), &Options::new(VirtType::Kvm), true);
        assert!(!kvm.contains("no_timer_check") && !kvm.contains("<tcg>") && kvm.contains("host-model"));
    }

    #[test]
    fn a_port_without_device_is_none_and_a_cdrom_on_virtio_is_a_disk() {
        let mut s = spec();
        s.nics[0].device.clear();
        s.image.as_mut().unwrap().properties.insert("hw_cdrom_bus".into(), "virtio".into());
        let mut options = Options::new(VirtType::Qemu);
        options.vnc = false;
        let x = xml(&s, &options, false);
        assert!(
            !x.contains("<interface") && !x.contains("cdrom") && x.contains("<readonly/>") && !x.contains("<graphics")
        );
    }

    proptest! {
        #[test]
        fn no_text_of_a_tenant_breaks_out(name in any::<String>(), flavor in any::<String>(), line in any::<String>()) {
            let mut s = spec();
            s.name = name;
            s.flavor_name = flavor;
            s.image.as_mut().unwrap().properties.insert("os_command_line".into(), line);
            let x = xml(&s, &Options::new(VirtType::Qemu), true);
            let d = roxmltree::Document::parse(&x).unwrap();
            prop_assert_eq!(d.descendants().filter(|n| n.is_element()).count(), elements());
        }
    }

    fn elements() -> usize {
        let x = xml(&spec(), &Options::new(VirtType::Qemu), true);
        roxmltree::Document::parse(&x).unwrap().descendants().filter(|n| n.is_element()).count()
    }
}
