//! Facets `console` and `console_log`.

use crate::bench::{Bench, Verdict, ensure, said};
use driver_api::{ConsoleKind, Power};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const NONE: &str = "the facet went away";
/// Most bytes of a console's log.
const MOST: usize = 1 << 20;

pub(super) async fn every_kind_of_console_opens(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_console().ok_or(NONE)?;
    let kinds = facet.kinds();
    ensure(!kinds.is_empty(), || "the facet is there and offers no kind of console".to_owned())?;
    for kind in kinds {
        // Again after the first was hung up: a console is no place to get stuck.
        for _ in 0..2 {
            let mut stream = said(&format!("console {kind:?}"), facet.open_console(spec.id, kind).await)?;
            match kind {
                ConsoleKind::Vnc => {
                    let mut hello = [0; 12];
                    let read = b.soon("the first word of a VNC server", stream.reader.read_exact(&mut hello)).await?;
                    read.map_err(|e| format!("the VNC server hung up: {e}"))?;
                    let rfb = hello.starts_with(b"RFB 003.") && hello.ends_with(b"\n");
                    ensure(rfb, || format!("the VNC server said {:?}", String::from_utf8_lossy(&hello)))?;
                }
                ConsoleKind::Serial => {
                    let wrote = b.soon("taking a key", stream.writer.write_all(b"\r")).await?;
                    wrote.map_err(|e| format!("the serial line does not take a key: {e}"))?;
                }
            }
        }
    }
    Ok(())
}

pub(super) async fn console_of_a_stopped_guest_is_refused(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_console().ok_or(NONE)?;
    said("power off", driver.power(&spec, Power::Off { grace: Duration::ZERO }, &b.op()).await)?;
    for kind in facet.kinds() {
        let opened = facet.open_console(spec.id, kind).await.is_ok();
        ensure(!opened, || format!("a {kind:?} console of a stopped guest opened"))?;
    }
    Ok(())
}

pub(super) async fn other_kinds_of_console_are_refused(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_console().ok_or(NONE)?;
    let kinds = facet.kinds();
    for kind in [ConsoleKind::Vnc, ConsoleKind::Serial] {
        if !kinds.contains(&kind) {
            let opened = facet.open_console(spec.id, kind).await.is_ok();
            ensure(!opened, || format!("a {kind:?} console opened though it is not offered"))?;
        }
    }
    Ok(())
}

pub(super) async fn console_log_is_bounded(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_console_log().ok_or(NONE)?;
    let all = said("console log", facet.console_log(spec.id, None).await)?;
    ensure(all.len() <= MOST, || format!("the log has {} bytes, more than {MOST}", all.len()))?;
    for lines in [0, 1, 2] {
        let tail = said("console log", facet.console_log(spec.id, Some(lines)).await)?;
        let body = tail.strip_suffix(b"\n").unwrap_or(&tail);
        let have = if tail.is_empty() { 0 } else { body.split(|c| *c == b'\n').count() };
        let right = u32::try_from(have).is_ok_and(|n| n <= lines);
        ensure(right, || format!("{lines} lines were asked for, {have} came"))?;
    }
    Ok(())
}
