//! Child processes: `ip`, `bridge`, `nft`. Many commands go into one child as a batch on its standard input.

use crate::{Error, Result};
use driver_api::external;
use serde::de::DeserializeOwned;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// How long a child may take; a kernel that holds the network lock for longer is in trouble.
const PATIENCE: Duration = Duration::from_secs(30);

async fn run(program: &'static str, arguments: &[&str], input: &str) -> Result<Vec<u8>> {
    // `nsenter` stands for what it runs.
    let name = if program == "nsenter" { "nft" } else { program };
    external(name, child(program, arguments, input)).await
}

async fn child(program: &str, arguments: &[&str], input: &str) -> Result<Vec<u8>> {
    let what = || format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("LC_ALL", "C")
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io(format!("cannot run {program}")))?;
    let stdin = child.stdin.take();
    let work = async {
        // Written beside reading, or a child that prints much before it has read all would wait for ever.
        let write = async {
            if let Some(mut stdin) = stdin {
                // A child that stops reading has failed and says so on its standard error.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        tokio::join!(child.wait_with_output(), write).0
    };
    let out = tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| Error::Command { program: what(), message: "did not end in time".to_owned() })?
        .map_err(Error::io(what()))?;
    if out.status.success() {
        return Ok(out.stdout);
    }
    let mut message = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    // `Command failed -:3`: name the command as well.
    let failed = message.rsplit_once("-:").and_then(|(_, n)| n.trim().parse::<usize>().ok());
    if let Some(line) = failed.and_then(|n| input.lines().nth(n.checked_sub(1)?)) {
        message = format!("{message}: {line}");
    }
    Err(Error::Command { program: what(), message })
}

/// Runs `ip` in a namespace and reads the JSON it prints.
pub(crate) async fn ip_json<T: DeserializeOwned>(ns: Option<&str>, arguments: &[&str]) -> Result<T> {
    json("ip", ns, arguments).await
}

/// Runs `bridge` in a namespace and reads the JSON it prints.
pub(crate) async fn bridge_json<T: DeserializeOwned>(ns: Option<&str>, arguments: &[&str]) -> Result<T> {
    json("bridge", ns, arguments).await
}

async fn json<T: DeserializeOwned>(program: &'static str, ns: Option<&str>, arguments: &[&str]) -> Result<T> {
    let mut all = vec!["-j"];
    all.extend(ns.iter().flat_map(|ns| ["-n", ns]));
    all.extend(arguments);
    let out = run(program, &all, "").await?;
    // Nothing to list is printed as nothing by some versions.
    let text = if out.trim_ascii().is_empty() { b"[]".as_slice() } else { out.as_slice() };
    serde_json::from_slice(text)
        .map_err(|source| Error::Output { program: format!("{program} {}", all.join(" ")), source })
}

/// Runs many `ip` commands in a namespace; the first that fails ends it.
pub(crate) async fn ip_batch(ns: Option<&str>, lines: &[String]) -> Result<()> {
    batch("ip", ns, lines).await
}

/// Runs many `bridge` commands in a namespace.
pub(crate) async fn bridge_batch(ns: Option<&str>, lines: &[String]) -> Result<()> {
    batch("bridge", ns, lines).await
}

async fn batch(program: &'static str, ns: Option<&str>, lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut arguments: Vec<&str> = ns.iter().flat_map(|ns| ["-n", ns]).collect();
    arguments.extend(["-batch", "-"]);
    run(program, &arguments, &(lines.join("\n") + "\n")).await.map(drop)
}

/// Runs one `ip` command that concerns the machine's list of namespaces.
pub(crate) async fn ip_netns(arguments: &[&str]) -> Result<()> {
    let mut all = vec!["netns"];
    all.extend(arguments);
    run("ip", &all, "").await.map(drop)
}

async fn nft_in(ns: Option<&str>, arguments: &[&str], input: &str) -> Result<Vec<u8>> {
    match ns {
        None => run("nft", arguments, input).await,
        // Not `ip netns exec`: that would mount another /sys.
        Some(ns) => {
            let file = format!("--net=/run/netns/{ns}");
            let mut all = vec![file.as_str(), "nft"];
            all.extend(arguments);
            run("nsenter", &all, input).await
        }
    }
}

/// Applies a script of nftables as one transaction.
pub(crate) async fn nft(ns: Option<&str>, script: &str) -> Result<()> {
    if script.is_empty() {
        return Ok(());
    }
    nft_in(ns, &["-f", "-"], script).await.map(drop)
}

/// What `nft -j` lists, without the elements of sets.
pub(crate) async fn nft_list(ns: Option<&str>, arguments: &[&str]) -> Result<Vec<serde_json::Value>> {
    let mut all = vec!["-j", "-t", "list"];
    all.extend(arguments);
    let out = nft_in(ns, &all, "").await?;
    let mut value: serde_json::Value =
        serde_json::from_slice(&out).map_err(|source| Error::Output { program: "nft list".to_owned(), source })?;
    match value["nftables"].take() {
        serde_json::Value::Array(list) => Ok(list),
        _ => Ok(Vec::new()),
    }
}
