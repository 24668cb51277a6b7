//! The host's end, and the pair of ends.

use crate::link::Weather;
use crate::{Call, ComputeClient, HostReport, Outcome};
use driver_api::{Op, Result};
use tokio::sync::{mpsc, oneshot};

/// One call on its way.
pub struct Envelope {
    /// Every copy of one call bears the same number, and later calls of a connection bear higher ones. 0 where the
    /// transport makes no copies.
    pub number: u64,
    /// Identity, deadline, cancellation and progress.
    pub op: Op,
    /// What to do.
    pub call: Call,
    /// Where the answer goes. Dropped unanswered means that the host's agent went away.
    pub reply: oneshot::Sender<Result<Outcome>>,
}

/// The host's end.
pub struct ComputeServer {
    /// Name of the host.
    pub host: String,
    /// Calls in order.
    pub calls: mpsc::Receiver<Envelope>,
    /// Reports to the control plane.
    pub reports: mpsc::Sender<HostReport>,
    /// Messages may be lost: what was not answered is said again.
    pub lossy: bool,
}

/// Reports of one host, at the control plane's end.
pub type Reports = mpsc::Receiver<HostReport>;

/// The ends of a transport: the control plane's two, and the host's.
pub type Plugged = (ComputeClient, Reports, ComputeServer);

/// Both ends of an in-process transport for `host`.
pub fn in_process(host: &str) -> Plugged {
    plug(host, None)
}

pub(crate) fn plug(host: &str, weather: Option<Weather>) -> Plugged {
    // Deep enough for a burst of builds; a full queue makes callers wait, it loses nothing.
    let (calls_out, calls) = mpsc::channel(1024);
    let (reports, mut reports_in) = mpsc::channel(1024);
    if let Some(weather) = &weather {
        let (arriving, arrived) = mpsc::channel(1024);
        weather.carry(host, std::mem::replace(&mut reports_in, arrived), arriving);
    }
    let lossy = weather.is_some();
    let client = ComputeClient::new(host, calls_out, weather);
    (client, reports_in, ComputeServer { host: host.to_owned(), calls, reports, lossy })
}
