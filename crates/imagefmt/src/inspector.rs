//! The stream side: keeps of the bytes only what a format's reader asks for.

use crate::{Refusal, iso, ploop, qcow2, signature, vdi, vhd, vhdx, vmdk};
use driver_api::DiskFormat;

/// What is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest disk inside an image, bytes.
    pub max_virtual_size: u64,
}

impl Default for Limits {
    /// 1 PiB: far above any disk, far below where sizes in other programs overflow.
    fn default() -> Limits {
        Limits { max_virtual_size: 1 << 50 }
    }
}

impl Limits {
    pub(crate) fn check(&self, size: u64) -> Result<(), Refusal> {
        if size > self.max_virtual_size {
            return Err(Refusal::TooLarge { size, limit: self.max_virtual_size });
        }
        Ok(())
    }
}

/// What an image turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspection {
    /// The declared format, now verified.
    pub format: DiskFormat,
    /// Bytes of the disk inside.
    pub virtual_size: u64,
    /// Bytes of the image itself.
    pub size: u64,
}

/// What a reader says about the head of the data.
pub(crate) enum Step {
    /// It wants this many bytes from the beginning.
    Need(usize),
    /// It has seen enough of the head.
    Plan(Plan),
}

/// What remains to be seen after the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Bytes of the disk, `None` where it is the size of the data or comes from further bytes.
    pub(crate) virtual_size: Option<u64>,
    /// Further bytes wanted: offset and at most how many.
    pub(crate) window: Option<(u64, usize)>,
    /// What the end must show.
    pub(crate) end: End,
}

/// What the end must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing.
    Any,
    /// There must be more than this many bytes, or what is named is missing.
    Beyond(u64, &'static str),
    /// A VMDK footer that agrees with the header given.
    VmdkFooter(Vec<u8>),
    /// The footer of a fixed VHD.
    VhdFooter,
    /// The window holds the metadata of a VHDX.
    VhdxMetadata,
}

/// Bytes kept from the end: a VMDK's footer marker, footer and end-of-stream marker.
const TAIL: usize = 1536;

/// Watches an image go by.
///
/// ```
/// # use driver_api::DiskFormat;
/// let mut inspector = imagefmt::Inspector::new(DiskFormat::Raw);
/// inspector.feed(b"some ")?;
/// inspector.feed(b"bytes")?;
/// assert_eq!(inspector.finish()?.virtual_size, 10);
/// # Ok::<(), imagefmt::Refusal>(())
/// ```
#[derive(Debug)]
pub struct Inspector {
    declared: DiskFormat,
    limits: Limits,
    head: Vec<u8>,
    want: usize,
    plan: Option<Plan>,
    window: Vec<u8>,
    tail: Vec<u8>,
    total: u64,
    refused: Option<Refusal>,
}

impl Inspector {
    /// For an image declared to be `declared`, with the usual limits.
    pub fn new(declared: DiskFormat) -> Inspector {
        Inspector::with_limits(declared, Limits::default())
    }
    /// The same with limits.
    pub fn with_limits(declared: DiskFormat, limits: Limits) -> Inspector {
        Inspector {
            declared,
            limits,
            head: Vec::new(),
            want: signature::PROBED,
            plan: None,
            window: Vec::new(),
            tail: Vec::new(),
            total: 0,
            refused: None,
        }
    }
    /// The next bytes. The order and size of the pieces do not matter.
    /// # Errors
    /// As soon as it is clear that the image will be refused; every later call says the same.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        self.keep_tail(bytes);
        while self.plan.is_none() {
            let missing = self.want.saturating_sub(self.head.len());
            let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
            self.head.extend_from_slice(taken);
            self.total = self.total.saturating_add(taken.len() as u64);
            bytes = rest;
            if self.head.len() < self.want {
                return Ok(());
            }
            self.examine(false)?;
        }
        self.keep_window(bytes);
        self.total = self.total.saturating_add(bytes.len() as u64);
        // A raw disk is as large as its bytes: refuse it where it passes the limit, not at its end.
        if self.plan.as_ref().is_some_and(|p| p.virtual_size.is_none() && p.end == End::Any) {
            let checked = self.limits.check(self.total);
            self.note(checked)?;
        }
        Ok(())
    }
    /// The end of the data.
    /// # Errors
    /// Why the image is not taken.
    pub fn finish(mut self) -> Result<Inspection, Refusal> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        while self.plan.is_none() {
            self.examine(true)?;
        }
        let plan = self.plan.ok_or(Refusal::Truncated("the header"))?;
        let found = match &plan.end {
            End::Any => plan.virtual_size,
            End::Beyond(offset, what) => {
                if self.total <= *offset {
                    return Err(Refusal::Truncated(what));
                }
                plan.virtual_size
            }
            End::VmdkFooter(header) => {
                vmdk::footer(header, &self.tail)?;
                plan.virtual_size
            }
            End::VhdFooter => Some(vhd::fixed(&self.tail, self.total)?),
            End::VhdxMetadata => Some(vhdx::metadata(&self.window)?),
        };
        let virtual_size = found.unwrap_or(self.total);
        self.limits.check(virtual_size)?;
        Ok(Inspection { format: self.declared, virtual_size, size: self.total })
    }
    /// Bytes seen so far.
    pub fn seen(&self) -> u64 {
        self.total
    }

    fn note<T>(&mut self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &result {
            self.refused = Some(refusal.clone());
        }
        result
    }
    /// Lets the format's reader look at the head; `at_end`: no more will come.
    fn examine(&mut self, at_end: bool) -> Result<(), Refusal> {
        let step = read_head(self.declared, &self.head, &self.limits);
        match self.note(step)? {
            Step::Need(n) if !at_end && n > self.head.len() => self.want = n,
            Step::Need(_) => return self.note(Err(Refusal::Truncated("the header"))),
            Step::Plan(plan) => {
                self.plan = Some(plan);
                // What the head already holds of the window counts.
                let head = std::mem::take(&mut self.head);
                let at = self.total;
                self.total = 0;
                self.keep_window(&head);
                self.total = at;
            }
        }
        Ok(())
    }
    /// Keeps of `bytes`, which begin at `self.total`, what lies in the window.
    fn keep_window(&mut self, bytes: &[u8]) {
        let Some((start, len)) = self.plan.as_ref().and_then(|p| p.window) else { return };
        let next = start.saturating_add(self.window.len() as u64);
        let Some(skip) = next.checked_sub(self.total).and_then(|n| usize::try_from(n).ok()) else { return };
        let room = len.saturating_sub(self.window.len());
        if let Some(rest) = bytes.get(skip..) {
            self.window.extend_from_slice(&rest[..rest.len().min(room)]);
        }
    }
    fn keep_tail(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL)..];
        let surplus = (self.tail.len() + bytes.len()).saturating_sub(TAIL);
        self.tail.drain(..surplus.min(self.tail.len()));
        self.tail.extend_from_slice(bytes);
    }
}

fn read_head(declared: DiskFormat, head: &[u8], limits: &Limits) -> Result<Step, Refusal> {
    let found = signature::of(head);
    let own = match declared {
        DiskFormat::Qcow2 | DiskFormat::Vmdk | DiskFormat::Vhdx | DiskFormat::Vdi | DiskFormat::Ploop => {
            Some(declared.as_str())
        }
        // A fixed VHD is raw bytes with a footer; only the dynamic one begins with its signature.
        DiskFormat::Vhd => found.filter(|f| *f == "vhd"),
        DiskFormat::Raw | DiskFormat::Iso | DiskFormat::Aki | DiskFormat::Ari | DiskFormat::Ami => None,
    };
    if found != own {
        return Err(Refusal::Mismatch { declared, found });
    }
    match declared {
        DiskFormat::Qcow2 => qcow2::head(head, limits),
        DiskFormat::Vmdk => vmdk::head(head, limits),
        DiskFormat::Vhdx => vhdx::head(head),
        DiskFormat::Vhd => vhd::head(head, limits),
        DiskFormat::Vdi => vdi::head(head, limits),
        DiskFormat::Ploop => ploop::head(head, limits),
        DiskFormat::Iso => iso::head(head),
        DiskFormat::Raw | DiskFormat::Aki | DiskFormat::Ari | DiskFormat::Ami => {
            Ok(Step::Plan(Plan { virtual_size: None, window: None, end: End::Any }))
        }
    }
}

/// Inspects bytes that are all there.
/// # Errors
/// Why the image is not taken.
pub fn inspect(declared: DiskFormat, bytes: &[u8], limits: Limits) -> Result<Inspection, Refusal> {
    let mut inspector = Inspector::with_limits(declared, limits);
    inspector.feed(bytes)?;
    inspector.finish()
}
