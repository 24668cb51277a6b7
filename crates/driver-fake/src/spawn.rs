//! `spawn`: a guest from an image. Its effect is one instant, so a failed or cancelled spawn has nothing to undo.

use crate::driver::Fake;
use crate::guest::Guest;
use crate::machine::State;
use crate::operation::Operation;
use driver_api::{
    Error, ErrorKind, EventKind, HostContext, ImageRef, InstanceSpec, Observed, Op, Phase, PowerState, Result,
};
use tokio::io::AsyncReadExt;

impl Fake {
    pub(crate) async fn do_spawn(&self, spec: &InstanceSpec, op: &Op) -> Result<Observed> {
        let context = self.context()?;
        self.machine.check_reachable()?;
        op.check()?;
        let node = self.validate(spec, &context.host)?;
        if self.options.fetch_images {
            for image in [&spec.image, &spec.kernel, &spec.ramdisk].into_iter().flatten() {
                self.bounded(op, fetch(context, image, op)).await?;
            }
        } else {
            op.report(Phase::BlockDevices { done: 0, total: 0 });
        }
        let config_drive = match spec.config_drive {
            true => Some(context.documents.config_drive(spec.id).await?.len() as u64),
            false => None,
        };
        op.report(Phase::Spawning);
        let effect = |state: &mut State| Ok(make(state, spec, node, config_drive, op));
        let undo = |state: &mut State| {
            state.guests.remove(&spec.id);
            state.hang_up(spec.id);
        };
        self.change(Operation::Spawn, spec.id, op, effect, undo).await
    }

    /// What no repetition would mend; the answer is the node to use.
    fn validate(&self, spec: &InstanceSpec, host: &str) -> Result<String> {
        let invalid = |what: &str| Err(Error::new(ErrorKind::InvalidSpec, what.to_owned()));
        if spec.vcpus == 0 {
            return invalid("a guest needs at least one virtual CPU");
        }
        if spec.memory_mib == 0 {
            return invalid("a guest needs memory");
        }
        for image in [&spec.image, &spec.kernel, &spec.ramdisk].into_iter().flatten() {
            if !self.options.image_formats.contains(&image.disk_format) {
                let text = format!("this host does not boot images of format {}", image.disk_format.as_str());
                return Err(Error::new(ErrorKind::UnsupportedSpec, text));
            }
        }
        let mut names = self.node_names(host);
        match names.iter().position(|n| *n == spec.node) {
            Some(index) => Ok(names.swap_remove(index)),
            None if spec.node.is_empty() => Ok(names.swap_remove(0)),
            None => Err(Error::new(ErrorKind::UnsupportedSpec, format!("this host has no node {}", spec.node))),
        }
    }
}

/// The effect: a running guest. One that is there already is brought to running.
fn make(state: &mut State, spec: &InstanceSpec, node: String, config_drive: Option<u64>, op: &Op) -> Observed {
    let now = state.now();
    let guest = state.guests.entry(spec.id).or_insert_with(|| Guest::new(spec, node));
    guest.define(spec);
    guest.defined = true;
    guest.config_drive = config_drive;
    if !guest.did(op.id) {
        guest.remember(op.id);
    }
    let event = match guest.power {
        PowerState::Running => None,
        PowerState::Paused | PowerState::Suspended => {
            guest.power = PowerState::Running;
            Some(EventKind::Resumed)
        }
        _ => Some(guest.boot(now)),
    };
    let observed = guest.observed();
    if let Some(event) = event {
        state.emit(spec.id, event);
    }
    observed
}

/// Reads an image to its end, as a real host would copy it.
async fn fetch(context: &HostContext, image: &ImageRef, op: &Op) -> Result<()> {
    let mut stream = context.images.open(image.id).await?;
    if stream.format != image.disk_format {
        return Err(Error::new(ErrorKind::InvalidSpec, format!("image {} changed its format", image.id)));
    }
    let mut buffer = vec![0; 64 * 1024];
    let mut done = 0_u64;
    loop {
        op.report(Phase::BlockDevices { done, total: stream.size });
        match stream.reader.read(&mut buffer).await {
            Ok(0) => break,
            Ok(n) => done += n as u64,
            Err(e) => return Err(Error::internal(format!("image {} could not be read", image.id), e)),
        }
    }
    if done != stream.size {
        let detail = format!("{done} of {} bytes came", stream.size);
        return Err(Error::internal(format!("image {} arrived incomplete", image.id), detail));
    }
    Ok(())
}
