//! Power cuts without a power switch, for tests. [`record`] runs a real program under ptrace and notes, in order,
//! every change it makes below one directory, every flush, and what it said to its caller. [`Disk`] plays that
//! log up to any moment and answers what a disk could hold had the power gone then: what was flushed is there;
//! of what was not, any part may be missing, in any order, down to a sector torn in its middle; names, lengths and
//! directories are no more durable than bytes.
//!
//! The program is not changed, not slowed into another order and not told: SQLite uses its own file layer. What
//! the recorder does not understand it cannot miss silently: [`record`] ends by comparing its log with the files.
//! It never runs in what ships.

mod disk;
mod log;
mod trace;

pub use disk::{Disk, Dice, Honesty, Image};
pub use log::{Entry, Event, FileId, Flush, Log};
pub use trace::record;

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refuses to trace a process that we started.
    #[error("cannot trace a process of ours ({0}): the test needs ptrace; in a container allow the capability SYS_PTRACE")]
    NoTrace(nix::Error),
    /// A call of the kernel failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The log and the files differ: the program changed a file in a way that the recorder does not know.
    #[error("the recorder missed something: {0}")]
    Missed(String),
    /// The program ended in another way than it should.
    #[error("the recorded program {0}")]
    Ended(String),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { doing, source }
}
