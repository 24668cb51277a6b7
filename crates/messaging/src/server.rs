//! The host's end, and the pair of ends.

use crate::{Call, ComputeClient, HostReport, Outcome};
use driver_api::{Op, Result};
use tokio::sync::{mpsc, oneshot};

/// One call on its way.
pub struct Envelope {
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
}

/// Reports of one host, at the control plane's end.
pub type Reports = mpsc::Receiver<HostReport>;

/// Both ends of an in-process transport for `host`.
pub fn in_process(host: &str) -> (ComputeClient, Reports, ComputeServer) {
    // Deep enough for a burst of builds; a full queue makes callers wait, it loses nothing.
    let (calls_out, calls) = mpsc::channel(1024);
    let (reports, reports_in) = mpsc::channel(1024);
    (ComputeClient::new(host, calls_out), reports_in, ComputeServer { host: host.to_owned(), calls, reports })
}
