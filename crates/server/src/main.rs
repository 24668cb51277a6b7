//! `kilonova`: a cloud in one binary.
#![allow(clippy::print_stderr)]

use clap::{Parser, Subcommand};
use cli::Target;
use server::{doctor, documents, up};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "kilonova", version, about = "OpenStack Nova rebuilt around its best idea, the compute driver")]
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
    Doctor,
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
    let outcome = match program.command {
        Command::Up(mut o) => {
            o.data_dir = target.data_dir;
            o.json = target.json;
            logging();
            runtime().and_then(|r| r.block_on(up::run(&o)))
        }
        Command::Doctor => cli::doctor(target.json, doctor::checks(target.data_dir.as_deref())).map_err(|e| e.to_string()),
        Command::Client(c) => {
            runtime().and_then(|r| r.block_on(cli::run(&target, c)).map_err(|e| e.to_string()))
        }
        Command::Documents { dir, check } => documents::write(&dir, check),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("kilonova: {message}");
            ExitCode::FAILURE
        }
    }
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
