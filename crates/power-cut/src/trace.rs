//! Runs a program under ptrace and notes what it does below the log's directory. Follows its threads and its
//! children. Knows Linux on x86-64 and AArch64.

use crate::log::{files_below, ignored};
use crate::{Disk, Entry, Error, Event, FileId, Flush, Honesty, Log, Result, io};
use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A call that began and matters if it succeeds.
enum Call {
    Open { cuts: bool },
    Data { file: FileId, at: u64, data: Vec<u8> },
    Length { file: FileId, length: u64, grows: bool },
    Name(Event),
    Flush { what: Flush, before: usize },
}

struct Tracer<'a> {
    log: &'a mut Log,
    calls: BTreeMap<Pid, Call>,
    root: Pid,
    /// Whether this line of the program's is its last.
    last: &'a mut dyn FnMut(&str) -> bool,
    dying: bool,
}

/// Runs `program` with `args` and `env` and adds to the log what it does. If `last` says so of a line of its standard
/// output, the program is killed (SIGKILL) there; else it has to end by itself, and well.
/// # Errors
/// What [`Error`] names.
pub fn record(
    log: &mut Log,
    program: &Path,
    args: &[&str],
    env: &[(&str, &str)],
    last: &mut (dyn FnMut(&str) -> bool + Send),
) -> Result<()> {
    // A thread of its own: ptrace knows one tracing thread, and waits for that thread's children alone.
    std::thread::scope(|scope| {
        let recorder = scope.spawn(|| run(log, program, args, env, last));
        recorder.join().unwrap_or_else(|_| Err(Error::Missed("the recorder panicked".into())))
    })?;
    compare(log)
}

fn run(
    log: &mut Log,
    program: &Path,
    args: &[&str],
    env: &[(&str, &str)],
    last: &mut (dyn FnMut(&str) -> bool + Send),
) -> Result<()> {
    // The shell waits until it is traced and then becomes the program.
    let mut child = Command::new("/bin/sh")
        .args(["-c", "read -r _ && exec \"$0\" \"$@\" </dev/null"])
        .arg(program)
        .args(args)
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(io("starting the program"))?;
    let root = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    let traced = ptrace::seize(root, options).and_then(|()| ptrace::interrupt(root));
    if let Err(e) = traced {
        let _gone = child.kill().and_then(|()| child.wait().map(drop));
        return Err(Error::NoTrace(e));
    }
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(b"go\n").map_err(io("starting the program"))?;
    }
    Tracer { log, calls: BTreeMap::new(), root, last, dying: false }.follow()
}

impl Tracer<'_> {
    fn follow(mut self) -> Result<()> {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(status) => status,
                Err(nix::Error::EINTR) => continue,
                Err(e) => return Err(Error::Io { doing: "waiting for the program", source: e.into() }),
            };
            match status {
                WaitStatus::Exited(pid, code) if pid == self.root => return self.ended(&format!("ended with {code}"), code == 0),
                WaitStatus::Signaled(pid, signal, _) if pid == self.root => {
                    return self.ended(&format!("died of {signal}"), signal == Signal::SIGKILL);
                }
                WaitStatus::PtraceSyscall(pid) => self.stopped(pid)?,
                WaitStatus::PtraceEvent(pid, _, _) => go_on(pid, None),
                WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal)),
                _ => {}
            }
        }
    }
    fn ended(&self, how: &str, well: bool) -> Result<()> {
        if well && self.dying == (how == "died of SIGKILL") { Ok(()) } else { Err(Error::Ended(how.into())) }
    }
    /// A thread stands at the beginning or the end of a call.
    fn stopped(&mut self, pid: Pid) -> Result<()> {
        // A thread that was killed meanwhile cannot be asked any more.
        let (Ok(info), Ok(regs)) = (ptrace::syscall_info(pid), ptrace::getregs(pid)) else { return Ok(()) };
        if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            let (number, args) = arguments(&regs);
            if let Some(call) = self.begun(pid, number, args).map_err(io("reading the program's memory"))? {
                if self.dying {
                    // Stays where it is: nothing may happen any more that nobody sees the end of.
                    return self.die_if_quiet();
                }
                self.calls.insert(pid, call);
            }
        } else if let Some(call) = self.calls.remove(&pid) {
            self.done(pid, call, returned(&regs)).map_err(io("looking at the program's files"))?;
        }
        if self.dying {
            self.die_if_quiet()?;
        }
        go_on(pid, None);
        Ok(())
    }
    fn die_if_quiet(&self) -> Result<()> {
        if self.calls.is_empty() {
            kill(self.root, Signal::SIGKILL).map_err(|e| Error::Io { doing: "killing the program", source: e.into() })?;
        }
        Ok(())
    }
    fn begun(&mut self, pid: Pid, number: c_long, a: [u64; 6]) -> std::io::Result<Option<Call>> {
        let cuts = |flags: u64| flags & flag(libc::O_TRUNC) != 0;
        Ok(match number {
            libc::SYS_openat => Some(Call::Open { cuts: cuts(a[2]) }),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => Some(Call::Open { cuts: cuts(a[1]) }),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat => Some(Call::Open { cuts: true }),
            libc::SYS_write => match self.file(pid, a[0]) {
                Some(file) => Some(Call::Data { file, at: position(pid, a[0])?, data: memory(pid, a[1], a[2])? }),
                None if a[0] == 1 => {
                    self.said(memory(pid, a[1], a[2])?);
                    None
                }
                None => None,
            },
            libc::SYS_pwrite64 => match self.file(pid, a[0]) {
                Some(file) => Some(Call::Data { file, at: a[3], data: memory(pid, a[1], a[2])? }),
                None => None,
            },
            libc::SYS_writev => match self.file(pid, a[0]) {
                Some(file) => Some(Call::Data { file, at: position(pid, a[0])?, data: vectors(pid, a[1], a[2])? }),
                None => None,
            },
            libc::SYS_pwritev | libc::SYS_pwritev2 => match self.file(pid, a[0]) {
                Some(file) => Some(Call::Data { file, at: a[3], data: vectors(pid, a[1], a[2])? }),
                None => None,
            },
            libc::SYS_ftruncate => self.file(pid, a[0]).map(|file| Call::Length { file, length: a[1], grows: false }),
            libc::SYS_fallocate if a[1] == 0 => {
                self.file(pid, a[0]).map(|file| Call::Length { file, length: a[2] + a[3], grows: true })
            }
            libc::SYS_fsync | libc::SYS_fdatasync => {
                self.flushed(pid, a[0]).map(|what| Call::Flush { what, before: self.log.events.len() })
            }
            _ => self.name_call(pid, number, a)?.map(Call::Name),
        })
    }
    fn name_call(&self, pid: Pid, number: c_long, a: [u64; 6]) -> std::io::Result<Option<Event>> {
        let here = flag(libc::AT_FDCWD);
        Ok(match number {
            libc::SYS_unlinkat => self.at(pid, a[0], a[1])?.map(|path| Event::Unlink { path }),
            libc::SYS_mkdirat => self.at(pid, a[0], a[1])?.map(|path| Event::Link { path, entry: Entry::Dir }),
            libc::SYS_renameat | libc::SYS_renameat2 => self.rename(self.at(pid, a[0], a[1])?, self.at(pid, a[2], a[3])?),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_unlink | libc::SYS_rmdir => self.at(pid, here, a[0])?.map(|path| Event::Unlink { path }),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir => self.at(pid, here, a[0])?.map(|path| Event::Link { path, entry: Entry::Dir }),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename => self.rename(self.at(pid, here, a[0])?, self.at(pid, here, a[1])?),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_link => self.link(self.at(pid, here, a[0])?, self.at(pid, here, a[1])?),
            libc::SYS_linkat => self.link(self.at(pid, a[0], a[1])?, self.at(pid, a[2], a[3])?),
            _ => None,
        })
    }
    /// A rename over the border of the directory is found by the comparison at the end.
    fn rename(&self, from: Option<PathBuf>, to: Option<PathBuf>) -> Option<Event> {
        let (from, to) = from.zip(to)?;
        self.log.names.get(&from).map(|entry| Event::Rename { from, to, entry: *entry })
    }
    fn link(&self, from: Option<PathBuf>, to: Option<PathBuf>) -> Option<Event> {
        let (from, path) = from.zip(to)?;
        self.log.file(&from).map(|id| Event::Link { path, entry: Entry::File(id) })
    }
    fn done(&mut self, pid: Pid, call: Call, returned: i64) -> std::io::Result<()> {
        if returned < 0 {
            return Ok(());
        }
        match call {
            Call::Open { cuts } => {
                let Some(path) = self.path(pid, returned.unsigned_abs()) else { return Ok(()) };
                if std::fs::metadata(self.log.root.join(&path))?.is_dir() {
                    return Ok(());
                }
                match self.log.file(&path) {
                    Some(file) if cuts => self.log.push(Event::Length { file, length: 0 }),
                    Some(_) => {}
                    None => {
                        let entry = Entry::File(self.log.new_file());
                        self.log.push(Event::Link { path, entry });
                    }
                }
            }
            Call::Data { file, at, mut data } => {
                data.truncate(usize::try_from(returned).unwrap_or(usize::MAX));
                self.log.push(Event::Data { file, at, data });
            }
            Call::Length { file, length, grows: false } => self.log.push(Event::Length { file, length }),
            // Zeros behind the end: a write of nothing at the new end says it without a length to compare.
            Call::Length { file, length, grows: true } => self.log.push(Event::Data { file, at: length, data: Vec::new() }),
            Call::Name(event) => self.log.push(event),
            Call::Flush { what, before } => self.log.push(Event::Flushed { what, before }),
        }
        Ok(())
    }
    fn said(&mut self, data: Vec<u8>) {
        for line in String::from_utf8_lossy(&data).lines() {
            self.dying |= (self.last)(line);
        }
        self.log.push(Event::Said(data));
    }
    /// What a descriptor stands for, below the directory.
    fn path(&self, pid: Pid, fd: u64) -> Option<PathBuf> {
        let path = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
        self.below(&path)
    }
    fn file(&self, pid: Pid, fd: u64) -> Option<FileId> {
        self.path(pid, fd).and_then(|path| self.log.file(&path))
    }
    fn flushed(&self, pid: Pid, fd: u64) -> Option<Flush> {
        let path = self.path(pid, fd)?;
        match self.log.names.get(&path) {
            Some(Entry::File(file)) => Some(Flush::File(*file)),
            Some(Entry::Dir) => Some(Flush::Dir(path)),
            None => path.as_os_str().is_empty().then_some(Flush::Dir(path)),
        }
    }
    fn below(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.log.root).ok().filter(|path| !ignored(path)).map(Path::to_path_buf)
    }
    /// The path in an argument.
    fn at(&self, pid: Pid, dir: u64, pointer: u64) -> std::io::Result<Option<PathBuf>> {
        use std::os::unix::ffi::OsStringExt;
        let mut bytes = memory(pid, pointer, 4096)?;
        bytes.truncate(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
        let mut path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
        if path.is_relative() {
            let base = if (dir as u32).cast_signed() == libc::AT_FDCWD { "cwd".to_owned() } else { format!("fd/{}", dir as u32) };
            path = std::fs::read_link(format!("/proc/{pid}/{base}"))?.join(path);
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        Ok(parent.canonicalize().ok().and_then(|parent| self.below(&parent.join(name))))
    }
}

fn flag(bits: i32) -> u64 {
    u64::from(bits.cast_unsigned())
}

fn go_on(pid: Pid, signal: Option<Signal>) {
    // A thread that was killed meanwhile is gone: its end is reported by itself.
    let _gone = ptrace::syscall(pid, signal);
}

#[cfg(target_arch = "x86_64")]
fn arguments(regs: &libc::user_regs_struct) -> (c_long, [u64; 6]) {
    (regs.orig_rax.cast_signed(), [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9])
}
#[cfg(target_arch = "x86_64")]
fn returned(regs: &libc::user_regs_struct) -> i64 {
    regs.rax.cast_signed()
}
#[cfg(target_arch = "aarch64")]
fn arguments(regs: &libc::user_regs_struct) -> (c_long, [u64; 6]) {
    let r = &regs.regs;
    (r[8].cast_signed(), [r[0], r[1], r[2], r[3], r[4], r[5]])
}
#[cfg(target_arch = "aarch64")]
fn returned(regs: &libc::user_regs_struct) -> i64 {
    regs.regs[0].cast_signed()
}

/// The program's memory; less than asked where it ends.
fn memory(pid: Pid, address: u64, length: u64) -> std::io::Result<Vec<u8>> {
    let memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let mut filled = 0;
    while filled < bytes.len() {
        match memory.read_at(&mut bytes[filled..], address + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(_) if filled > 0 => break,
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn vectors(pid: Pid, address: u64, count: u64) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for pair in memory(pid, address, count * 16)?.chunks_exact(16) {
        let word = |at: usize| pair[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
        all.extend(memory(pid, word(0), word(8))?);
    }
    Ok(all)
}

/// Where a write without an offset goes.
fn position(pid: Pid, fd: u64) -> std::io::Result<u64> {
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}"))?;
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
    let flags = u64::from_str_radix(field("flags:"), 8).unwrap_or(0);
    if flags & flag(libc::O_APPEND) != 0 {
        return Ok(std::fs::metadata(format!("/proc/{pid}/fd/{fd}"))?.len());
    }
    field("pos:").parse().map_err(std::io::Error::other)
}

/// Everything in the log, applied, must be what lies there now.
fn compare(log: &Log) -> Result<()> {
    let mut disk = Disk::new(log, Honesty::Honest);
    disk.advance(log.events.len());
    let image = disk.whole();
    let mut there = files_below(&log.root)?;
    for path in &image.dirs {
        if there.remove(path) != Some(None) {
            return Err(Error::Missed(format!("no directory {}", path.display())));
        }
    }
    for (path, bytes) in &image.files {
        match there.remove(path) {
            Some(Some(found)) if found == *bytes => {}
            Some(Some(found)) => {
                let at = found.iter().zip(bytes).position(|(a, b)| a != b);
                let (is, was) = (found.len(), bytes.len());
                return Err(Error::Missed(format!("{} differs at {at:?} ({was} bytes noted, {is} there)", path.display())));
            }
            _ => return Err(Error::Missed(format!("no file {}", path.display()))),
        }
    }
    match there.keys().next() {
        Some(path) => Err(Error::Missed(format!("{} was not noted", path.display()))),
        None => Ok(()),
    }
}
