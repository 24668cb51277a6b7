//! `cargo xtask codegen`: documents that are derived, written by the program they describe.

use crate::command::execute;
use crate::root;
use std::process::Command;

/// The binary prints each document; a test of the server compares the same text, so CI needs no second build.
pub fn run(check: bool) -> Result<(), String> {
    let mut c = Command::new("cargo");
    c.args(["run", "--quiet", "--package", "server", "--bin", "kilonova", "--", "documents", "--dir"]).arg(root());
    if check {
        c.arg("--check");
    }
    execute(c.current_dir(root()))
}
