//! The south contract: what a compute driver is.
//!
//! A driver implements [`ComputeDriver`], eleven operations, and as many facets as its backend can:
//! small traits that are all or nothing. The presence of a facet's implementation *is* the capability,
//! so nobody has to catch "not implemented". [`FACETS`] is the one list of them.
//!
//! This crate never does I/O of its own and depends on nothing else in the workspace: control plane,
//! host agent and driver meet here and nowhere else. Protocol 0: it may change until the drivers for
//! vSphere, XenServer and Hyper-V have landed; from 1 on it changes only by addition.
//!
//! Source of the semantics: `nova/virt/driver.py` (`ComputeDriver`).

mod clock;
mod context;
mod driver;
mod error;
mod external;
mod facets;
mod node;
mod observed;
mod op;
mod spec;

pub use clock::{Clock, Timestamp};
pub use context::{GuestDocuments, HostContext, ImageSink, ImageSource, ImageStream, Ledger};
pub use driver::{ComputeDriver, DestroyMode, DriverInfo, Owns, Power, RebootKind};
pub use error::{Advice, Error, ErrorKind, Result};
pub use external::{EXTERNAL, ExternalTime, external, metered};
pub use facets::{
    Console, ConsoleKind, ConsoleLog, ConsoleStream, DiagnosticDisk, DiagnosticNic, Diagnostics, DiagnosticsReport,
    FACETS, Facet, Pause, Snapshot, SnapshotResult, Suspend, facets_of, traits_of,
};
pub use node::Node;
pub use observed::{DriverEvent, EventKind, EventStream, Observed, PowerState};
pub use op::{Op, Phase, Progress};
pub use spec::{
    Direction, DiskFormat, EtherType, FixedIp, ImageRef, InstanceSpec, NetworkSegment, NicSpec, PeerHost, Route,
    SecurityRule, SubnetSpec,
};

/// Version of this contract that the crate speaks.
pub const PROTOCOL: u32 = 0;
