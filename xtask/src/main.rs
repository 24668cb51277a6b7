//! All automation of the project: up, down, test, tidy, codegen.
//!
//! It installs, builds, starts and checks; what the product itself does is in `crates/`. Printing is its purpose.
#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod bench;
mod codegen;
mod command;
mod deny;
mod down;
mod packages;
mod service;
mod soak;
mod test;
mod tidy;
mod up;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Automation of Kilonova")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is needed, build, start a cloud with one real VM, and say how to go on.
    Up(up::Options),
    /// Undo `up`: stop the cloud and its guests; with --purge remove its data too.
    Down(down::Options),
    /// Install what the tests need, start the real backends, run the tests.
    Test(test::Options),
    /// Run the long proofs, any number of rounds; a run that was cut off goes on where it was.
    Soak(soak::Options),
    /// Measure: every figure of docs/performance.md, with its floor and its aim.
    Bench(bench::Options),
    /// Hold the tree against the house rules.
    Tidy,
    /// Write the generated documents again; with --check only compare.
    Codegen {
        /// Fail if a checked-in document differs.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Up(o) => up::run(&o),
        Command::Down(o) => down::run(&o),
        Command::Test(o) => test::run(&o),
        Command::Soak(o) => soak::run(&o),
        Command::Bench(o) => bench::run(&o),
        Command::Tidy => tidy::run(),
        Command::Codegen { check } => codegen::run(check),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the checkout: where cargo runs this, for a target directory may serve several checkouts.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or(manifest.clone(), PathBuf::from)
}
