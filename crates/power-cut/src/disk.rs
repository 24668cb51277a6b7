//! From a log to what a disk could hold. The model is harsher than any one file system: it promises only what
//! fsync, fdatasync and the flush of a directory promise, and takes everything else away by dice.

use crate::log::{directory_of, name_of, rename_in};
use crate::{Entry, Event, FileId, Flush, Log, Result, io};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a device writes as one; a cut may tear even this.
const SECTOR: u64 = 512;

/// Reproducible dice (splitmix64): one seed, one outcome.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }
    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below `end` (0 if there is none).
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }
    /// Heads.
    pub fn coin(&mut self) -> bool {
        self.roll() >> 63 == 1
    }
}

/// Whether a flush does what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Honesty {
    /// It does.
    Honest,
    /// It returns and does nothing: the control, on which a promise must be seen to break.
    Liar,
}

/// A disk with its cache, at one moment of a log.
#[derive(Debug, Clone)]
pub struct Disk<'a> {
    log: &'a Log,
    honesty: Honesty,
    at: usize,
    files: BTreeMap<FileId, Vec<u8>>,
    names: BTreeMap<PathBuf, Entry>,
    /// Changes since the last flush, by their place in the log.
    cached: BTreeMap<FileId, Vec<usize>>,
    cached_names: Vec<usize>,
}

/// How the dice take a file's cached writes away.
#[derive(Clone, Copy)]
enum Loss {
    Everything,
    /// The device wrote in order and stopped at this event, in its middle.
    After(usize),
    Writes,
    Sectors,
    Nothing,
}

impl<'a> Disk<'a> {
    /// The disk before the first event.
    #[must_use]
    pub fn new(log: &'a Log, honesty: Honesty) -> Disk<'a> {
        Disk {
            log,
            honesty,
            at: 0,
            files: log.old_files.clone(),
            names: log.old_names.clone(),
            cached: BTreeMap::new(),
            cached_names: Vec::new(),
        }
    }
    /// Lets the events before `to` happen. Never goes back.
    pub fn advance(&mut self, to: usize) {
        for at in self.at..to.min(self.log.events.len()) {
            match &self.log.events[at] {
                Event::Data { file, .. } | Event::Length { file, .. } => self.cached.entry(*file).or_default().push(at),
                Event::Link { .. } | Event::Unlink { .. } | Event::Rename { .. } => self.cached_names.push(at),
                Event::Flushed { what, before } if self.honesty == Honesty::Honest => self.flush(what, *before),
                Event::Flushed { .. } | Event::Said(_) => {}
            }
            self.at = at + 1;
        }
    }
    fn flush(&mut self, what: &Flush, before: usize) {
        match what {
            Flush::File(file) => {
                let cached = self.cached.remove(file).unwrap_or_default();
                let (kept, later): (Vec<_>, Vec<_>) = cached.into_iter().partition(|at| *at < before);
                let bytes = self.files.entry(*file).or_default();
                kept.iter().for_each(|at| change(bytes, &self.log.events[*at]));
                self.cached.insert(*file, later);
            }
            Flush::Dir(dir) => {
                let covered = |at: &usize| *at < before && directory_of(&self.log.events[*at]) == Some(dir.as_path());
                let (kept, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.cached_names).into_iter().partition(covered);
                self.cached_names = later;
                for at in kept {
                    let event = &self.log.events[at];
                    rename_in(&mut self.names, event);
                    if let Event::Rename { from, .. } = event {
                        // What gave the old name its meaning, in another directory, is over.
                        self.cached_names.retain(|old| *old > at || name_of(&self.log.events[*old]) != Some(from.as_path()));
                    }
                }
            }
        }
    }
    /// What is there if nothing is lost.
    #[must_use]
    pub fn whole(&self) -> Image {
        self.image(|_, _| true, |_| Loss::Nothing, &mut Dice::new(0))
    }
    /// What is there after the power went now; the same seed answers the same.
    #[must_use]
    pub fn cut(&self, seed: u64) -> Image {
        let mut dice = Dice::new(seed);
        let oldest = self.cached.values().flatten().chain(&self.cached_names).min().copied().unwrap_or(self.at);
        let stop = oldest + usize::try_from(dice.below((self.at - oldest + 1) as u64)).unwrap_or(0);
        let losses = [Loss::Everything, Loss::After(stop), Loss::Writes, Loss::Sectors, Loss::Nothing];
        // All files share one fate in half of the cuts, as on a device that simply stopped; else each has its own.
        let shared = dice.coin().then(|| losses[usize::try_from(dice.below(5)).unwrap_or(0)]);
        let names = dice.below(4);
        self.image(
            |at, dice| match names {
                0 => false,
                1 => at < stop,
                2 => true,
                _ => dice.coin(),
            },
            |dice| shared.unwrap_or_else(|| losses[usize::try_from(dice.below(5)).unwrap_or(0)]),
            &mut dice,
        )
    }
    fn image(
        &self,
        mut keeps: impl FnMut(usize, &mut Dice) -> bool,
        mut loss: impl FnMut(&mut Dice) -> Loss,
        dice: &mut Dice,
    ) -> Image {
        let mut names = self.names.clone();
        for at in &self.cached_names {
            if keeps(*at, dice) {
                rename_in(&mut names, &self.log.events[*at]);
            }
        }
        let mut image = Image::default();
        for (path, entry) in &names {
            // A name in a directory that is not there itself is gone with it. Parents sort before children.
            if path.parent().is_some_and(|dir| !dir.as_os_str().is_empty() && !image.dirs.iter().any(|d| d == dir)) {
                continue;
            }
            match entry {
                Entry::Dir => image.dirs.push(path.clone()),
                Entry::File(file) => {
                    let fate = loss(dice);
                    image.files.insert(path.clone(), self.content(*file, fate, dice));
                }
            }
        }
        image
    }
    fn content(&self, file: FileId, loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.files.get(&file).cloned().unwrap_or_default();
        let cached = self.cached.get(&file).map_or(&[][..], Vec::as_slice);
        let mut length = bytes.len();
        for at in cached {
            let event = &self.log.events[*at];
            match loss {
                Loss::Everything => {}
                Loss::Nothing => change(&mut bytes, event),
                Loss::After(stop) if *at < stop => change(&mut bytes, event),
                Loss::After(stop) if *at == stop => torn(&mut bytes, event, dice),
                Loss::After(_) => {}
                Loss::Writes => match dice.below(8) {
                    0 => torn(&mut bytes, event, dice),
                    n if n % 2 == 0 => change(&mut bytes, event),
                    _ => {}
                },
                Loss::Sectors => sectors(&mut bytes, event, dice),
            }
            length = length.max(bytes.len());
            if let Event::Data { at, data, .. } = event {
                length = length.max(end(*at, data));
            }
        }
        // The new length may be on the disk before the bytes are.
        if !matches!(loss, Loss::Nothing) && dice.below(4) == 0 {
            bytes.resize(length.max(bytes.len()), 0);
        }
        bytes
    }
}

fn end(at: u64, data: &[u8]) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX).saturating_add(data.len())
}

fn put(bytes: &mut Vec<u8>, at: u64, data: &[u8]) {
    let (from, to) = (usize::try_from(at).unwrap_or(usize::MAX), end(at, data));
    if bytes.len() < to {
        bytes.resize(to, 0);
    }
    bytes[from..to].copy_from_slice(data);
}

fn change(bytes: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Data { at, data, .. } => put(bytes, *at, data),
        Event::Length { length, .. } => bytes.resize(usize::try_from(*length).unwrap_or(usize::MAX), 0),
        _ => {}
    }
}

/// The device stopped in the middle of a write, at any byte.
fn torn(bytes: &mut Vec<u8>, event: &Event, dice: &mut Dice) {
    match event {
        Event::Data { at, data, .. } => {
            let cut = usize::try_from(dice.below(data.len() as u64)).unwrap_or(0);
            if dice.coin() {
                put(bytes, *at, &data[..cut]);
            } else {
                put(bytes, at + cut as u64, &data[cut..]);
            }
        }
        other => change(bytes, other),
    }
}

/// Each sector of a write by itself, one of them torn now and then.
fn sectors(bytes: &mut Vec<u8>, event: &Event, dice: &mut Dice) {
    let Event::Data { at, data, file } = event else {
        if dice.coin() {
            change(bytes, event);
        }
        return;
    };
    let mut from = 0;
    while from < data.len() {
        let offset = at + from as u64;
        let room = usize::try_from(SECTOR - offset % SECTOR).unwrap_or(1);
        let to = data.len().min(from + room);
        match dice.below(16) {
            0 => torn(bytes, &Event::Data { file: *file, at: offset, data: data[from..to].to_vec() }, dice),
            n if n % 2 == 0 => put(bytes, offset, &data[from..to]),
            _ => {}
        }
        from = to;
    }
}

/// What a disk holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Directories, parents first.
    pub dirs: Vec<PathBuf>,
    /// Files.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Image {
    /// Writes it below `dir`, which is there and empty.
    /// # Errors
    /// I/O.
    pub fn write(&self, dir: &Path) -> Result<()> {
        for path in &self.dirs {
            std::fs::create_dir(dir.join(path)).map_err(io("making a directory"))?;
        }
        for (path, bytes) in &self.files {
            std::fs::write(dir.join(path), bytes).map_err(io("writing a file"))?;
        }
        Ok(())
    }
}
