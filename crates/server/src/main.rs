//! `kilonova`: a cloud in one binary.
#![allow(clippy::print_stderr)]

use clap::{Parser, Subcommand};
use cli::Target;
use server::owner::Owner;
use server::{clouds_yaml, doctor, documents, up};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  kilonova up                                # a cloud with the drivers found here
  kilonova up --ephemeral --driver fake      # a simulated one that leaves nothing
  eval \"$(kilonova env)\"                    # any OpenStack client works in this shell
  kilonova launch debian.qcow2 --key ~/.ssh/id_ed25519.pub
  kilonova why first";

#[derive(Parser)]
#[command(
    name = "kilonova",
    version,
    about = "OpenStack Nova rebuilt around its best idea, the compute driver",
    after_help = EXAMPLES
)]
struct Program {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a cloud and serve it until a signal.
    Up(up::Options),
    /// Look at this machine: which drivers can be used, what is missing, how to mend it.
    Doctor {
        /// Look at what this configuration file asks for.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Take the entry out of clouds.yaml again (used by `cargo xtask down --purge`).
    #[command(hide = true)]
    Forget {
        /// Name of the entry.
        #[arg(long, default_value = "kilonova")]
        cloud_name: String,
        /// `uid:gid:home` of the user whose clouds.yaml it is.
        #[arg(long)]
        owner: Option<String>,
    },
    #[command(flatten)]
    Client(cli::Command),
    /// Write the generated documents (used by `cargo xtask codegen`).
    #[command(hide = true)]
    Documents {
        /// Root of the checkout.
        #[arg(long)]
        dir: PathBuf,
        /// Only compare.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    // One TLS provider for the whole process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let program = Program::parse();
    let target = program.target;
    let mut code = 1;
    let outcome = match program.command {
        Command::Up(mut o) => {
            o.data_dir = target.data_dir;
            o.json = target.json;
            logging();
            runtime().and_then(|r| r.block_on(up::run(&o)))
        }
        Command::Doctor { config } => {
            let checks = doctor::checks(target.data_dir.as_deref(), config.as_deref());
            cli::doctor(target.json, checks).map_err(|e| e.to_string())
        }
        Command::Forget { cloud_name, owner } => forget(&cloud_name, owner.as_deref()),
        Command::Client(c) => {
            runtime().and_then(|r| {
                r.block_on(cli::run(&target, c)).map_err(|e| {
                    code = e.code();
                    e.to_string()
                })
            })
        }
        Command::Documents { dir, check } => documents::write(&dir, check),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            if target.json {
                eprintln!("{}", serde_json::json!({ "error": message }));
            } else {
                eprintln!("kilonova: {message}");
            }
            ExitCode::from(code)
        }
    }
}

fn forget(cloud_name: &str, owner: Option<&str>) -> Result<(), String> {
    let owner = owner.map_or_else(|| Ok(Owner::current()), Owner::parse)?;
    let path = owner.clouds_yaml();
    clouds_yaml::erase(&path, cloud_name).map_err(|e| format!("{}: {e}", path.display()))?;
    owner.give(&path);
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| format!("no runtime: {e}"))
}

/// Logs go to standard error, so that what is printed stays clean; RUST_LOG chooses how much.
fn logging() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    use std::io::IsTerminal;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr).init();
}
