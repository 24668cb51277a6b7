//! Who the driver is, and what it says of guests that are not there.

use crate::bench::{Bench, Verdict, ensure, refused, said};
use driver_api::{ConsoleKind, ErrorKind, Power, RebootKind, facets_of, traits_of};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) async fn says_who_it_is(b: &Bench<'_>) -> Verdict {
    let before = b.driver().info();
    ensure(!before.name.is_empty() && !before.version.is_empty(), || format!("{before:?} is incomplete"))?;
    let images = before.owns.images || !before.image_formats.is_empty();
    ensure(images, || "it boots no image format and keeps no images itself".to_owned())?;
    b.reopen(true).await?;
    let after = b.driver().info();
    ensure(before == after, || format!("it called itself {before:?} and then {after:?}"))
}

pub(super) async fn nodes_are_sane(b: &Bench<'_>) -> Verdict {
    let nodes = said("nodes", b.driver().nodes().await)?;
    ensure(!nodes.is_empty(), || "a started driver offers no node".to_owned())?;
    let mut names = BTreeSet::new();
    for node in &nodes {
        ensure(!node.name.is_empty() && names.insert(&node.name), || format!("node name {:?} is not unique", node.name))?;
        let ratios = [node.cpu_ratio, node.memory_ratio, node.disk_ratio];
        ensure(ratios.iter().all(|r| r.is_finite() && *r > 0.0), || format!("ratios {ratios:?} must be above 0"))?;
        ensure(node.cpu_info.is_object(), || "cpu_info is not a JSON object".to_owned())?;
        let custom = node.custom_inventory.keys().all(|class| class.starts_with("CUSTOM_"));
        ensure(custom, || "a resource class of the driver's own does not begin with CUSTOM_".to_owned())?;
        let offers = node.vcpus > 0 && node.memory_mib > 0 || !node.custom_inventory.is_empty();
        ensure(offers, || format!("node {} offers nothing", node.name))?;
    }
    Ok(())
}

pub(super) async fn facets_do_not_change(b: &Bench<'_>) -> Verdict {
    let of = || {
        let driver = b.driver();
        (facets_of(&*driver), traits_of(&*driver))
    };
    let before = of();
    b.reopen(true).await?;
    let after = of();
    ensure(before == after, || format!("facets were {before:?} and then {after:?}"))
}

pub(super) async fn the_absent_is_not_found(b: &Bench<'_>) -> Verdict {
    const KINDS: &[ErrorKind] = &[ErrorKind::NotFound];
    let spec = b.spec().await?;
    let (driver, id) = (b.driver(), spec.id);
    refused("get", driver.get(id).await, KINDS)?;
    refused("power on", driver.power(&spec, Power::On, &b.op()).await, KINDS)?;
    let off = Power::Off { grace: Duration::ZERO };
    refused("power off", driver.power(&spec, off, &b.op()).await, KINDS)?;
    refused("reboot", driver.reboot(&spec, RebootKind::Hard, &b.op()).await, KINDS)?;
    if let Some(facet) = driver.as_pause() {
        refused("pause", facet.pause(id, &b.op()).await, KINDS)?;
        refused("unpause", facet.unpause(id, &b.op()).await, KINDS)?;
    }
    if let Some(facet) = driver.as_suspend() {
        refused("suspend", facet.suspend(id, &b.op()).await, KINDS)?;
        refused("resume", facet.resume(&spec, &b.op()).await, KINDS)?;
    }
    if let Some(facet) = driver.as_console() {
        let opened = facet.open_console(id, ConsoleKind::Serial).await.map(|_| "a console");
        refused("console", opened, &[ErrorKind::NotFound, ErrorKind::UnsupportedSpec])?;
    }
    if let Some(facet) = driver.as_console_log() {
        refused("console log", facet.console_log(id, None).await, KINDS)?;
    }
    if let Some(facet) = driver.as_diagnostics() {
        refused("diagnostics", facet.diagnostics(id).await, KINDS)?;
    }
    if let Some(facet) = driver.as_snapshot() {
        let before = b.shelf.uploads();
        refused("snapshot", facet.snapshot(&spec, b.fresh(), &b.op()).await, KINDS)?;
        ensure(b.shelf.uploads() == before, || "a snapshot of nothing was uploaded".to_owned())?;
    }
    Ok(())
}
