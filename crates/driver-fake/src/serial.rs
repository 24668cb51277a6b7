//! The serial console: a tiny shell that echoes, answers a few words and can power its guest off.

use crate::machine::Machine;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use uuid::Uuid;

/// Longest line that is kept.
const LINE: usize = 1024;

pub(crate) async fn serve(mut pipe: DuplexStream, machine: &Machine, id: Uuid, host: &str) -> std::io::Result<()> {
    let prompt = format!("{host}:~# ");
    pipe.write_all(format!("\r\nKilonova fake guest {host}, `help` helps\r\n{prompt}").as_bytes()).await?;
    let mut line: Vec<u8> = Vec::new();
    let mut buffer = [0; 256];
    loop {
        let read = pipe.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        for byte in buffer[..read].iter().copied() {
            match byte {
                b'\r' | b'\n' => {
                    let typed = String::from_utf8_lossy(&line).trim().to_owned();
                    line.clear();
                    let answer = run(&typed, host);
                    note(machine, id, format!("{prompt}{typed}"));
                    pipe.write_all(b"\r\n").await?;
                    if !answer.is_empty() {
                        note(machine, id, answer.clone());
                        pipe.write_all(format!("{answer}\r\n").as_bytes()).await?;
                    }
                    if typed == "poweroff" {
                        // The guest may be gone already; then there is nothing to power off.
                        let _ = machine.guest_shutdown(id);
                        return Ok(());
                    }
                    pipe.write_all(prompt.as_bytes()).await?;
                }
                0x08 | 0x7f if line.pop().is_some() => pipe.write_all(b"\x08 \x08").await?,
                byte if line.len() < LINE && !byte.is_ascii_control() => {
                    line.push(byte);
                    pipe.write_all(&[byte]).await?;
                }
                _ => {}
            }
        }
    }
}

fn note(machine: &Machine, id: Uuid, text: String) {
    if let Ok(guest) = machine.lock().guest(id) {
        guest.log(text);
    }
}

/// What the shell answers to one line.
fn run(line: &str, host: &str) -> String {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "" => String::new(),
        "help" => "echo TEXT, hostname, uname, poweroff".to_owned(),
        "echo" => rest.to_owned(),
        "hostname" => host.to_owned(),
        "uname" => "Kilonova-fake".to_owned(),
        "poweroff" => "reboot: Power down".to_owned(),
        other => format!("sh: {other}: not found"),
    }
}
