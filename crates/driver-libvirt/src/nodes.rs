//! `nodes`: the machine as libvirt and the file system describe it.

use crate::error::{from_rpc, io};
use crate::hardware::VIF_MODELS;
use crate::host::Host;
use crate::options::VirtType;
use crate::rpc::calls::NodeInfo;
use driver_api::{Error, Node, Result};
use serde_json::json;

const GIB: u64 = 1 << 30;

/// The one node of this host.
pub(crate) async fn nodes(host: &Host) -> Result<Vec<Node>> {
    let client = host.client()?;
    let info = client.node_info().await.map_err(from_rpc)?;
    let version = client.hypervisor_version().await.map_err(from_rpc)?;
    let capabilities = client.capabilities().await.map_err(from_rpc)?;
    let dir = host.dir.clone();
    let room = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&dir))
        .await
        .map_err(|e| Error::internal("the disk was not measured", e))?
        .map_err(|e| io("measuring the disk", &e.into()))?;
    let uptime = if host.is_local() { tokio::fs::read_to_string("/proc/uptime").await.ok() } else { None };
    let o = &host.options;
    Ok(vec![Node {
        name: host.context.host.clone(),
        hypervisor_type: match o.virt_type {
            VirtType::Qemu => "QEMU".into(),
            VirtType::Kvm => "KVM".into(),
        },
        hypervisor_version: version,
        host_ip: o.my_ip.clone(),
        vcpus: u64::from(info.cpus),
        memory_mib: info.memory_kib / 1024,
        disk_gib: room.f_frsize.saturating_mul(room.f_blocks) / GIB,
        cpu_ratio: o.cpu_allocation_ratio,
        memory_ratio: o.ram_allocation_ratio,
        disk_ratio: o.disk_allocation_ratio,
        reserved_vcpus: o.reserved_host_cpus,
        reserved_memory_mib: o.reserved_host_memory_mib,
        reserved_disk_gib: o.reserved_host_disk_gib,
        custom_inventory: std::collections::BTreeMap::new(),
        traits: traits(),
        cpu_info: cpu_info(&capabilities, &info),
        uptime_seconds: uptime.and_then(|t| t.split('.').next().and_then(|s| s.parse().ok())),
    }])
}

fn traits() -> Vec<String> {
    let buses = ["VIRTIO", "SCSI", "SATA", "IDE", "USB"].map(|b| format!("COMPUTE_STORAGE_BUS_{b}"));
    let mut out: Vec<String> = VIF_MODELS.iter().map(|(_, t)| (*t).to_owned()).chain(buses).collect();
    out.push("HW_ARCH_X86_64".into());
    out.sort();
    out
}

/// `cpu_info` as Nova shows it: arch, model, vendor, topology, features.
fn cpu_info(capabilities: &str, info: &NodeInfo) -> serde_json::Value {
    let topology = json!({"cells": info.cells, "sockets": info.sockets, "cores": info.cores, "threads": info.threads});
    let Ok(document) = roxmltree::Document::parse(capabilities) else {
        return json!({"arch": info.model, "topology": topology});
    };
    let cpu = document
        .descendants()
        .find(|n| n.has_tag_name("host"))
        .and_then(|h| h.children().find(|n| n.has_tag_name("cpu")));
    let text = |tag: &str| {
        cpu.and_then(|c| c.children().find(|n| n.has_tag_name(tag))).and_then(|n| n.text()).map(str::to_owned)
    };
    let mut features: Vec<&str> = cpu
        .iter()
        .flat_map(|c| c.children())
        .filter(|n| n.has_tag_name("feature"))
        .filter_map(|n| n.attribute("name"))
        .collect();
    features.sort_unstable();
    json!({
        "arch": text("arch").unwrap_or_else(|| info.model.clone()),
        "model": text("model"),
        "vendor": text("vendor"),
        "topology": topology,
        "features": features,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_info_is_read_from_capabilities() {
        let info =
            NodeInfo { model: "x86_64".into(), memory_kib: 1, cpus: 2, cells: 1, sockets: 1, cores: 2, threads: 1 };
        let xml = "<capabilities><host><cpu><arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor>\
                   <feature name='vme'/><feature name='aes'/></cpu></host></capabilities>";
        let v = cpu_info(xml, &info);
        assert_eq!(v["model"], "EPYC");
        assert_eq!(v["features"], json!(["aes", "vme"]));
        assert_eq!(v["topology"]["cores"], 2);
        assert_eq!(cpu_info("<broken", &info)["arch"], "x86_64");
    }
}
