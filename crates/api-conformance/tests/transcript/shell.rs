//! One bash for a whole transcript, so that variables and functions live as long as a reader's would.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What a command did.
pub struct Outcome {
    /// Lines it printed, to either output.
    pub lines: Vec<String>,
    /// Its exit status; `None` if it did not end in time.
    pub status: Option<i32>,
}

/// A running shell.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
    commands: u32,
}

/// Between the output of two commands.
const MARK: &str = "\u{1}end of step";

impl Shell {
    /// Starts bash in `dir` with exactly these variables.
    pub fn start(dir: &Path, env: &[(String, String)]) -> Shell {
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .env_clear()
            .envs(env.iter().map(|(k, v)| (k, v)))
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()
            .unwrap();
        let (input, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(out);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                line.clear();
                if send.send(text).is_err() {
                    break;
                }
            }
        });
        Shell { child, input, output, commands: 0 }
    }

    /// Runs one command to its end, or until `within` is over.
    pub fn run(&mut self, command: &str, within: Duration) -> Outcome {
        let deadline = Instant::now() + within;
        self.commands += 1;
        let mark = format!("{MARK} {} ", self.commands);
        // Commands must not read the rest of the script as their input.
        let script = format!("{{\n{command}\n}} </dev/null 2>&1\nprintf '\\n{mark}%s\\n' $?\n");
        if self.input.write_all(script.as_bytes()).and_then(|()| self.input.flush()).is_err() {
            return Outcome { lines: vec!["the shell is gone".into()], status: None };
        }
        let mut lines: Vec<String> = Vec::new();
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.strip_prefix(&mark) {
                    Some(status) => {
                        // The mark begins a line of its own, whether the output ended one or not.
                        lines.pop_if(|l| l.is_empty());
                        return Outcome { lines, status: status.parse().ok() };
                    }
                    None => lines.push(line),
                },
                Err(RecvTimeoutError::Timeout) => return Outcome { lines, status: None },
                Err(RecvTimeoutError::Disconnected) => {
                    lines.push("the shell ended".into());
                    return Outcome { lines, status: None };
                }
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Its group, so that what still waits in the foreground goes too.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}
