//! `Diagnostics`: the daemon's counters in Nova's standard shape.

use crate::error::from_rpc;
use crate::rpc::calls::stats;
use crate::rpc::xdr::TypedParam;
use crate::{Libvirt, disks, domain_xml, list};
use async_trait::async_trait;
use driver_api::{DiagnosticDisk, DiagnosticNic, Diagnostics, DiagnosticsReport, PowerState, Result};
use std::collections::BTreeMap;
use uuid::Uuid;

#[async_trait]
impl Diagnostics for Libvirt {
    async fn diagnostics(&self, instance: Uuid) -> Result<DiagnosticsReport> {
        let host = self.host()?;
        let client = host.client()?;
        let (domain, _) = host.must_find(&client, instance).await?;
        let power = list::power(&client, &domain).await?;
        let groups = stats::STATE | stats::BALLOON | stats::VCPU | stats::INTERFACE | stats::BLOCK;
        let counters = client.stats(std::slice::from_ref(&domain), groups).await.map_err(from_rpc)?;
        let counters = counters.into_iter().next().map(|(_, c)| c).unwrap_or_default();
        let macs = domain_xml::interface_macs(&client.xml(&domain).await.map_err(from_rpc)?);
        let layout = disks::read_layout(&disks::dir_of(&host, instance)).await?;
        let mut report = shape(&counters, &macs);
        report.state = word(power).into();
        report.hypervisor = host.options.virt_type.as_str().into();
        report.uptime = host.started_at(instance).map(|at| host.context.clock.now().since(at).as_secs());
        report.config_drive = layout.is_some_and(|l| l.has_config_drive());
        Ok(report)
    }
}

fn word(power: PowerState) -> &'static str {
    match power {
        PowerState::Running => "running",
        PowerState::Paused => "paused",
        PowerState::Shutdown => "shutdown",
        PowerState::Crashed => "crashed",
        PowerState::Suspended => "suspended",
        PowerState::NoState => "pending",
    }
}

fn shape(counters: &[TypedParam], macs: &BTreeMap<String, String>) -> DiagnosticsReport {
    let by_name: BTreeMap<&str, &TypedParam> = counters.iter().map(|p| (p.field.as_str(), p)).collect();
    let number = |name: &str| by_name.get(name).and_then(|p| p.value.as_u64());
    let text = |name: &str| by_name.get(name).and_then(|p| p.value.as_str()).map(str::to_owned);
    // A count is the daemon's word; more devices than counters it cannot have.
    let count = |name: &str| number(name).unwrap_or(0).min(counters.len() as u64);
    let vcpus = count("vcpu.maximum");
    let disks = (0..count("block.count"))
        .map(|i| {
            let n = |what: &str| number(&format!("block.{i}.{what}")).unwrap_or(0);
            DiagnosticDisk {
                device: text(&format!("block.{i}.name")).unwrap_or_default(),
                read_bytes: n("rd.bytes"),
                read_requests: n("rd.reqs"),
                write_bytes: n("wr.bytes"),
                write_requests: n("wr.reqs"),
            }
        })
        .collect();
    let nics = (0..count("net.count"))
        .map(|i| {
            // libvirt counts from the host's side of a tap as if it were the guest's.
            let n = |what: &str| number(&format!("net.{i}.{what}")).unwrap_or(0);
            let device = text(&format!("net.{i}.name")).unwrap_or_default();
            DiagnosticNic {
                mac: macs.get(&device).cloned().unwrap_or_default(),
                rx_bytes: n("rx.bytes"),
                rx_packets: n("rx.pkts"),
                rx_drop: n("rx.drop"),
                rx_errors: n("rx.errs"),
                tx_bytes: n("tx.bytes"),
                tx_packets: n("tx.pkts"),
                tx_drop: n("tx.drop"),
                tx_errors: n("tx.errs"),
            }
        })
        .collect();
    let maximum = number("balloon.maximum").unwrap_or(0);
    DiagnosticsReport {
        driver: "libvirt".into(),
        hypervisor_os: "linux".into(),
        cpu_time_ns: (0..vcpus).filter_map(|i| number(&format!("vcpu.{i}.time"))).collect(),
        memory_max_mib: maximum / 1024,
        memory_used_mib: match (number("balloon.available"), number("balloon.unused")) {
            (Some(available), Some(unused)) => Some(available.saturating_sub(unused) / 1024),
            _ => number("balloon.current").map(|kib| kib / 1024),
        },
        disks,
        nics,
        ..DiagnosticsReport::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::xdr::ParamValue;

    #[test]
    fn counters_take_shape() {
        let p = |field: &str, value| TypedParam { field: field.into(), value };
        let counters = [
            p("balloon.maximum", ParamValue::ULLong(131_072)),
            p("balloon.current", ParamValue::ULLong(131_072)),
            p("vcpu.maximum", ParamValue::UInt(1)),
            p("vcpu.0.time", ParamValue::ULLong(5)),
            p("net.count", ParamValue::UInt(1)),
            p("net.0.name", ParamValue::String("tap1".into())),
            p("net.0.rx.bytes", ParamValue::ULLong(7)),
            p("block.count", ParamValue::UInt(1)),
            p("block.0.name", ParamValue::String("vda".into())),
            p("block.0.rd.bytes", ParamValue::ULLong(9)),
        ];
        let macs = BTreeMap::from([("tap1".to_owned(), "fa:16:3e:00:00:01".to_owned())]);
        let r = shape(&counters, &macs);
        assert_eq!((r.memory_max_mib, r.memory_used_mib), (128, Some(128)));
        assert_eq!(r.cpu_time_ns, [5]);
        assert_eq!((r.nics[0].mac.as_str(), r.nics[0].rx_bytes), ("fa:16:3e:00:00:01", 7));
        assert_eq!((r.disks[0].device.as_str(), r.disks[0].read_bytes), ("vda", 9));
    }

    #[test]
    fn an_absurd_count_makes_no_absurd_list() {
        let counters = [TypedParam { field: "block.count".into(), value: ParamValue::ULLong(u64::MAX) }];
        assert!(shape(&counters, &BTreeMap::new()).disks.len() <= 1);
    }
}
