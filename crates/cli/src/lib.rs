//! The operator's and the user's command line, over the public APIs only.
//!
//! What can be asked of any cloud is asked through [`client`]; nothing here opens a database or a driver. Every command
//! has `--json`; colour is used on terminals only and never where `NO_COLOR` is set.

mod audit;
mod console;
mod credentials;
mod doctor;
mod down;
mod env;
mod launch;
mod output;
mod status;
mod why;

pub use credentials::{CloudFile, find};
pub use doctor::{Check, Finding};
pub use launch::{LaunchOptions, Wait};
pub use output::{Output, Style};

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Where the cloud is.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Data directory of the cloud on this machine. Without it, OS_* variables or the default directory are used.
    #[arg(long, env = "KILONOVA_DATA_DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// Print JSON for programs.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Commands that talk to a running cloud.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Print `export OS_…` lines: eval "$(kilonova env)" makes any OpenStack client work.
    Env,
    /// Hosts, capacity and servers at a glance.
    Status,
    /// Upload an image file or name one, boot a server from it and wait until it answers.
    Launch(LaunchOptions),
    /// Attach to a server's serial console (leave with Ctrl-]).
    Console {
        /// Name or id.
        server: String,
        /// Print the console log instead.
        #[arg(long)]
        log: bool,
    },
    /// Why a server is where and how it is: its actions, faults and the scheduler's reasons.
    Why {
        /// Name or id.
        server: String,
    },
    /// Compare records, allocations, quota, ports, host networking and each driver's own list. The exit code is 0 when
    /// nothing is found, 1 with findings, 2 when something could not be looked at.
    Audit {
        /// Mend what has one right answer; say what was done, what was left alone and why.
        #[arg(long)]
        repair: bool,
    },
    /// Delete every server of every project and wait until they are gone (used by `cargo xtask down`).
    #[command(hide = true)]
    Down {
        /// Seconds to wait.
        #[arg(long, default_value_t = 300)]
        timeout: u64,
    },
}

/// Why a command failed; printed as one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cloud.
    #[error(transparent)]
    Cloud(#[from] client::Error),
    /// Anything local.
    #[error("{0}")]
    Local(String),
    /// The audit, or the doctor, found something.
    #[error("findings: {0}")]
    Findings(usize),
    /// The audit could not look, or not everywhere.
    #[error("could not look: {0}")]
    Unseen(String),
}

impl Error {
    /// The program's exit code.
    pub fn code(&self) -> u8 {
        if matches!(self, Error::Unseen(_)) { 2 } else { 1 }
    }
}

/// Runs a command.
/// # Errors
/// What went wrong, to be printed with the name of the program.
pub async fn run(target: &Target, command: Command) -> Result<(), Error> {
    let out = Output::new(target.json);
    let dir = target.data_dir.clone().unwrap_or_else(server_default);
    if let Command::Env = command {
        return env::run(&out, &dir);
    }
    // A cloud that does not answer has not been looked at, which is neither clean nor a finding.
    let audits = matches!(command, Command::Audit { .. });
    let unseen = |e: Error| if audits { Error::Unseen(e.to_string()) } else { e };
    let credentials = credentials::find(target.data_dir.as_deref(), &dir).map_err(unseen)?;
    let login = client::Cloud::login(&credentials).await;
    let cloud = login.map_err(|e| unseen(credentials::advise(e, target.data_dir.as_deref(), &dir)))?;
    match command {
        Command::Env => Ok(()),
        Command::Status => status::run(&out, &cloud).await,
        Command::Launch(options) => launch::run(&out, &cloud, &options).await,
        Command::Console { server, log } => console::run(&out, &cloud, &server, log, credentials.ca.as_deref()).await,
        Command::Why { server } => why::run(&out, &cloud, &server).await,
        Command::Audit { repair } => audit::run(&out, &cloud, repair).await,
        Command::Down { timeout } => down::run(&out, &cloud, timeout).await,
    }
}

/// Diagnoses this machine; needs no cloud.
/// # Errors
/// When something is wrong that keeps a cloud from starting.
pub fn doctor(json: bool, checks: Vec<Check>) -> Result<(), Error> {
    doctor::run(&Output::new(json), checks)
}

/// The machine's data directory.
const OF_MACHINE: &str = "/var/lib/kilonova";

/// Where a cloud of this user lives when nothing is said: the machine's directory for root, the user's otherwise.
pub fn own_default() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from(OF_MACHINE);
    }
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    std::env::var_os("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from).join("kilonova")
}

/// Where to look for a cloud when nothing is said: the user's own; the machine's if that is the only one, as after
/// `sudo kilonova up`.
fn server_default() -> PathBuf {
    let own = own_default();
    let machine = PathBuf::from(OF_MACHINE);
    if !own.join("cloud.json").exists() && machine.join("cloud.json").exists() { machine } else { own }
}
