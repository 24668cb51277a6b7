//! What was acknowledged, and so must be true at the end. It guesses nothing: what was cut off unanswered may be either.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Whether something that was asked for happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It did not.
    No,
    /// It did: it was acknowledged.
    Yes,
    /// Asked, and the process died before the answer.
    Perhaps,
}

/// A server, as far as it was acknowledged.
#[derive(Debug, Clone)]
pub struct Ours {
    /// Index of its project.
    pub owner: usize,
    /// Its delete.
    pub deleted: Known,
    /// Status it must come to; `None` where that was not foreseen.
    pub status: Option<&'static str>,
    /// Status before it was suspended.
    pub before: Option<&'static str>,
    /// Its metadata; `None` where that is not known.
    pub metadata: Option<Value>,
    /// Locked; `None` where that is not known.
    pub locked: Option<bool>,
}

/// The memory.
pub struct Oracle {
    strict: bool,
    /// Servers by id.
    pub servers: BTreeMap<String, Ours>,
    /// Names of creates that were cut off unanswered.
    pub perhaps: BTreeSet<String>,
    /// Images of accepted snapshots, by id, with their server.
    pub images: BTreeMap<String, String>,
    /// Images whose record the user sees, perhaps only because their createImage was cut off.
    pub names: u64,
}

/// A request, as far as it changes what must be true.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// POST /servers of this name.
    Create(String),
    /// DELETE.
    Delete(String),
    /// An action that leads to this status.
    Act(String, &'static str),
    /// createImage.
    Snapshot(String),
    /// PUT metadata.
    Metadata(String, Value),
    /// lock or unlock.
    Lock(String, bool),
    /// Nothing that lasts, or something that must be refused.
    Nothing,
}

impl Oracle {
    /// With nothing to remember. `strict`: every accepted action must come to its good end.
    pub fn new(strict: bool) -> Oracle {
        Oracle { strict, servers: BTreeMap::new(), perhaps: BTreeSet::new(), images: BTreeMap::new(), names: 0 }
    }

    /// A request was acknowledged.
    pub fn acknowledged(&mut self, asked: &Asked, owner: usize, answer: &crate::Answer) {
        let strict = self.strict;
        match asked {
            Asked::Create(name) => {
                self.perhaps.remove(name);
                let id = answer.json["server"]["id"].as_str().unwrap_or_default().to_owned();
                let status = strict.then_some("ACTIVE");
                let fresh = Ours { owner, deleted: Known::No, status, before: None, metadata: None, locked: Some(false) };
                self.servers.insert(id, fresh);
            }
            Asked::Delete(id) => self.with(id, |s| s.deleted = Known::Yes),
            Asked::Act(id, word) => self.with(id, |s| s.status = s.status.and_then(|now| s.after(now, word))),
            Asked::Snapshot(id) => {
                if let Some(image) = answer.json["image_id"].as_str() {
                    self.images.insert(image.to_owned(), id.clone());
                }
            }
            Asked::Metadata(id, value) => self.with(id, |s| s.metadata = Some(value.clone())),
            Asked::Lock(id, locked) => self.with(id, |s| s.locked = Some(*locked)),
            Asked::Nothing => {}
        }
    }

    /// A request was cut off before its answer.
    pub fn unanswered(&mut self, asked: &Asked) {
        match asked {
            Asked::Create(name) => {
                self.perhaps.insert(name.clone());
            }
            Asked::Delete(id) => self.with(id, |s| {
                if s.deleted == Known::No {
                    s.deleted = Known::Perhaps;
                }
            }),
            Asked::Act(id, _) => self.with(id, |s| s.status = None),
            Asked::Metadata(id, _) => self.with(id, |s| s.metadata = None),
            Asked::Lock(id, _) => self.with(id, |s| s.locked = None),
            Asked::Snapshot(_) | Asked::Nothing => {}
        }
    }

    fn with(&mut self, id: &str, f: impl FnOnce(&mut Ours)) {
        if let Some(server) = self.servers.get_mut(id) {
            f(server);
        }
    }

    /// Servers of a project that were not acknowledged as deleted.
    pub fn living(&self, owner: usize) -> Vec<String> {
        self.servers.iter().filter(|(_, s)| s.owner == owner && s.deleted != Known::Yes).map(|(id, _)| id.clone()).collect()
    }

    /// Servers whose delete was acknowledged.
    pub fn deleted(&self) -> Vec<(usize, String)> {
        self.servers.iter().filter(|(_, s)| s.deleted == Known::Yes).map(|(id, s)| (s.owner, id.clone())).collect()
    }

    /// What a project's list lacks or should not have, and servers whose state is not what was acknowledged.
    pub fn judge(&self, owner: usize, list: &[Value]) -> Vec<String> {
        let mut out = Vec::new();
        let word = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
        let shown: BTreeMap<String, &Value> = list.iter().map(|v| (word(v, "id"), v)).collect();
        for (id, ours) in self.servers.iter().filter(|(_, s)| s.owner == owner) {
            match (ours.deleted, shown.get(id)) {
                // A delete that the host refused ends as the original's does: in ERROR, to be asked for again.
                (Known::Yes, Some(v)) if !self.strict && word(v, "status") == "ERROR" => {}
                (Known::Yes, Some(v)) => out.push(format!("{id}: its delete was acknowledged and it is {}", word(v, "status"))),
                (Known::No, None) => out.push(format!("{id}: its create was acknowledged and it is not there")),
                (_, Some(v)) => ours.judge(id, v, &mut out),
                _ => {}
            }
        }
        for (id, v) in &shown {
            if !self.servers.contains_key(id) && !self.perhaps.contains(&word(v, "name")) {
                out.push(format!("{id} ({}): nobody was told of it", word(v, "name")));
            }
        }
        out
    }
}

impl Ours {
    /// The status after an accepted action that went well.
    fn after(&mut self, now: &'static str, word: &'static str) -> Option<&'static str> {
        Some(match word {
            "os-stop" => "SHUTOFF",
            "os-start" | "unpause" | "reboot" => "ACTIVE",
            "pause" => "PAUSED",
            "suspend" => {
                self.before = Some(now);
                "SUSPENDED"
            }
            "resume" => self.before.take()?,
            "rebuild" if now == "SHUTOFF" => "SHUTOFF",
            "rebuild" => "ACTIVE",
            _ => return None,
        })
    }

    fn judge(&self, id: &str, shown: &Value, out: &mut Vec<String>) {
        let status = shown["status"].as_str().unwrap_or_default();
        if let Some(expected) = self.status
            && status != expected
        {
            out.push(format!("{id}: is {status} and was to become {expected}: {}", shown["fault"]));
        }
        if !shown["OS-EXT-STS:task_state"].is_null() {
            out.push(format!("{id}: is still {}", shown["OS-EXT-STS:task_state"]));
        }
        if let Some(metadata) = &self.metadata
            && shown["metadata"] != *metadata
        {
            out.push(format!("{id}: metadata {} were acknowledged, {} are there", metadata, shown["metadata"]));
        }
        if let Some(locked) = self.locked
            && shown["locked"] != locked
        {
            out.push(format!("{id}: locked is {} and was acknowledged as {locked}", shown["locked"]));
        }
    }
}
