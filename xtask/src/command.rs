//! Child processes, with the command named where it fails.

use std::path::Path;
use std::process::{Command, Stdio};

/// The process runs as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| {
        use std::os::unix::fs::MetadataExt;
        m.uid() == 0
    })
}

/// A command, through sudo where it needs root and we are not.
pub fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut c = Command::new("sudo");
    c.arg("--").arg(program);
    c
}

/// The same for a command in words.
pub fn as_root_words(words: &[std::ffi::OsString]) -> Command {
    let mut c = if is_root() { Command::new("env") } else { Command::new("sudo") };
    c.arg("--").args(words);
    c
}

fn words(c: &Command) -> String {
    let args = c.get_args().map(|a| a.to_string_lossy().into_owned());
    std::iter::once(c.get_program().to_string_lossy().into_owned()).chain(args).collect::<Vec<_>>().join(" ")
}

/// Runs it, output to the terminal.
pub fn execute(c: &mut Command) -> Result<(), String> {
    let status = c.status().map_err(|e| format!("{}: {e}", words(c)))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", words(c))) }
}

/// Runs it and gives what it printed.
pub fn output(c: &mut Command) -> Result<String, String> {
    let out = c.stderr(Stdio::inherit()).output().map_err(|e| format!("{}: {e}", words(c)))?;
    if !out.status.success() {
        return Err(format!("{} ended with {}", words(c), out.status));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Lines `NAME=value` of a file, as our lab scripts write them.
pub fn read_env(file: &Path) -> Result<Vec<(String, String)>, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(text
        .lines()
        .filter_map(|l| l.trim().trim_start_matches("export ").split_once('='))
        .map(|(k, v)| (k.to_owned(), v.trim_matches(|c| c == '\'' || c == '"').to_owned()))
        .collect())
}

/// PID 1 is systemd.
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}
