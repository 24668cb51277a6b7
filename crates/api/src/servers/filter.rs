//! What `GET /servers` may be asked (`nova/api/openstack/compute/servers.py`, `_get_servers`): the query string becomes
//! a [`Search`], of which the store answers what an index can and [`Search::admits`] the rest. Pure.

use crate::ask::Ask;
use crate::query::{known, wrong};
use crate::table::forbidden;
use api_types::Microversion;
use api_types::check::truth_word;
use model::server::{LockedBy, Server, VmState};
use model::{Timestamp, time};
use regex::Regex;
use std::collections::BTreeSet;
use store::servers::{Deleted, Filter};
use uuid::Uuid;
use web::{Fault, Query};

/// Keys that every microversion's schema knows.
const KEYS: &[&str] = &[
    "user_id", "project_id", "tenant_id", "launch_index", "image_ref", "image", "kernel_id", "ramdisk_id", "hostname", "key_name",
    "power_state", "vm_state", "task_state", "host", "node", "flavor", "reservation_id", "launched_at", "terminated_at",
    "availability_zone", "name", "display_name", "description", "display_description", "locked_by", "uuid", "root_device_name",
    "config_drive", "access_ip_v4", "access_ip_v6", "auto_disk_config", "progress", "sort_key", "sort_dir", "all_tenants",
    "soft_deleted", "deleted", "status", "changes-since", "ip", "ip6", "created_at", "limit", "marker", "tags", "tags-any",
    "not-tags", "not-tags-any", "changes-before", "locked", "block_device_mapping", "services", "metadata", "system_metadata",
    "info_cache", "security_groups", "pci_devices",
];

/// Keys that are read as patterns.
const PATTERNS: &[&str] = &[
    "kernel_id", "ramdisk_id", "hostname", "key_name", "node", "flavor", "reservation_id", "launched_at", "terminated_at",
    "availability_zone", "name", "display_name", "description", "display_description", "locked_by", "root_device_name",
    "access_ip_v4", "access_ip_v6", "ip", "ip6", "created_at", "tags", "tags-any", "not-tags", "not-tags-any",
];

/// Joined tables of the original, which it refuses by name.
const JOINED: &[&str] =
    &["block_device_mapping", "services", "metadata", "system_metadata", "info_cache", "security_groups", "pci_devices"];

/// Nova's map of states and tasks to statuses, without what falls to the state alone.
const TASKS: &[(VmState, &str, &str)] = &[
    (VmState::Active, "rebooting", "REBOOT"),
    (VmState::Active, "reboot_pending", "REBOOT"),
    (VmState::Active, "reboot_started", "REBOOT"),
    (VmState::Active, "rebooting_hard", "HARD_REBOOT"),
    (VmState::Active, "reboot_pending_hard", "HARD_REBOOT"),
    (VmState::Active, "reboot_started_hard", "HARD_REBOOT"),
    (VmState::Active, "updating_password", "PASSWORD"),
    (VmState::Active, "rebuilding", "REBUILD"),
    (VmState::Active, "rebuild_block_device_mapping", "REBUILD"),
    (VmState::Active, "rebuild_spawning", "REBUILD"),
    (VmState::Active, "migrating", "MIGRATING"),
    (VmState::Active, "resize_prep", "RESIZE"),
    (VmState::Active, "resize_migrating", "RESIZE"),
    (VmState::Active, "resize_migrated", "RESIZE"),
    (VmState::Active, "resize_finish", "RESIZE"),
    (VmState::Stopped, "resize_prep", "RESIZE"),
    (VmState::Stopped, "resize_migrating", "RESIZE"),
    (VmState::Stopped, "resize_migrated", "RESIZE"),
    (VmState::Stopped, "resize_finish", "RESIZE"),
    (VmState::Stopped, "rebuilding", "REBUILD"),
    (VmState::Stopped, "rebuild_block_device_mapping", "REBUILD"),
    (VmState::Stopped, "rebuild_spawning", "REBUILD"),
    (VmState::Resized, "resize_reverting", "REVERT_RESIZE"),
    (VmState::Paused, "migrating", "MIGRATING"),
    (VmState::Error, "rebuilding", "REBUILD"),
    (VmState::Error, "rebuild_block_device_mapping", "REBUILD"),
    (VmState::Error, "rebuild_spawning", "REBUILD"),
];

fn plain_status(state: VmState) -> &'static str {
    match state {
        VmState::Active => "ACTIVE",
        VmState::Building => "BUILD",
        VmState::Stopped => "SHUTOFF",
        VmState::Resized => "VERIFY_RESIZE",
        VmState::Paused => "PAUSED",
        VmState::Suspended => "SUSPENDED",
        VmState::Rescued => "RESCUE",
        VmState::Error => "ERROR",
        VmState::Deleted => "DELETED",
        VmState::SoftDeleted => "SOFT_DELETED",
        VmState::Shelved => "SHELVED",
        VmState::ShelvedOffloaded => "SHELVED_OFFLOADED",
    }
}

/// States and tasks that show as one of `statuses`; tasks are `None` where a state alone may.
fn of_status(statuses: &[String]) -> (Vec<VmState>, Option<Vec<String>>) {
    let wanted = |s: &str| statuses.iter().any(|w| w.eq_ignore_ascii_case(s));
    let mut states: Vec<VmState> = VmState::ALL.into_iter().filter(|s| wanted(plain_status(*s))).collect();
    let alone = !states.is_empty();
    let mut tasks = Vec::new();
    for (state, task, status) in TASKS {
        if wanted(status) {
            tasks.push((*task).to_owned());
            if !states.contains(state) {
                states.push(*state);
            }
        }
    }
    tasks.sort();
    tasks.dedup();
    (states, (!alone).then_some(tasks))
}

/// A condition that no index answers.
#[derive(Debug)]
enum Test {
    Pattern(Field, Regex),
    Tasks(Vec<String>),
    Power(i64),
    LaunchIndex(u32),
    ConfigDrive(bool),
    AutoDiskConfig(bool),
    LockedBy(LockedBy),
    Progress(i64),
    AllTags(Vec<String>),
    AnyTag(Vec<String>),
    NotAllTags(Vec<String>),
    NotAnyTag(Vec<String>),
    Never,
}

/// A text of a server that is matched by a pattern.
#[derive(Debug, Clone, Copy)]
enum Field {
    Name,
    Description,
    Hostname,
    KeyName,
    Node,
    Zone,
    Reservation,
    CreatedAt,
    LaunchedAt,
    TerminatedAt,
    Kernel,
    Ramdisk,
    RootDevice,
    AccessV4,
    AccessV6,
    Ip4,
    Ip6,
}

/// A question.
#[derive(Debug, Default)]
pub struct Search {
    /// What the store answers.
    pub filter: Filter,
    tests: Vec<Test>,
}

impl Search {
    /// Whether `s` passes what the store could not answer; `task` is its finer `task_state`.
    pub fn admits(&self, s: &Server, task: Option<&str>) -> bool {
        self.tests.iter().all(|t| t.admits(s, task))
    }
    /// Only what the store answers is asked.
    pub fn is_plain(&self) -> bool {
        self.tests.is_empty()
    }
}

impl Test {
    fn admits(&self, s: &Server, task: Option<&str>) -> bool {
        let has = |t: &String| s.body.tags.contains(t);
        match self {
            Test::Pattern(field, pattern) => field.matches(s, pattern),
            Test::Tasks(list) => task.is_some_and(|t| list.iter().any(|w| w == t)),
            Test::Power(code) => s.power_state.code() == *code,
            Test::LaunchIndex(i) => s.body.launch_index == *i,
            Test::ConfigDrive(b) => s.body.config_drive == *b,
            Test::AutoDiskConfig(b) => (s.body.disk_config == "AUTO") == *b,
            Test::LockedBy(by) => s.locked_by == Some(*by),
            Test::Progress(n) => *n == 0,
            Test::AllTags(t) => t.iter().all(has),
            Test::AnyTag(t) => t.iter().any(has),
            Test::NotAllTags(t) => !t.iter().all(has),
            Test::NotAnyTag(t) => !t.iter().any(has),
            Test::Never => false,
        }
    }
}

impl Field {
    fn matches(self, s: &Server, p: &Regex) -> bool {
        let b = &s.body;
        let opt = |t: Option<&str>| t.is_some_and(|t| p.is_match(t));
        let at = |t: Option<Timestamp>| t.is_some_and(|t| p.is_match(&time::micros(t).replace('T', " ")));
        let ips = |v4: bool| b.ports.iter().flat_map(|n| &n.ips).any(|ip| ip.is_ipv4() == v4 && p.is_match(&ip.to_string()));
        match self {
            Field::Name => p.is_match(&s.name),
            Field::Description => opt(b.description.as_deref()),
            Field::Hostname => p.is_match(&b.hostname),
            Field::KeyName => opt(b.key.as_ref().map(|k| k.0.as_str())),
            Field::Node => opt(s.node.as_deref()),
            Field::Zone => opt(s.zone.as_deref().or(b.requested_zone.as_deref())),
            Field::Reservation => p.is_match(&b.reservation_id),
            Field::CreatedAt => at(Some(s.created_at)),
            Field::LaunchedAt => at(s.launched_at),
            Field::TerminatedAt => at(s.deleted_at),
            Field::Kernel => opt(b.kernel.map(|u| u.to_string()).as_deref()),
            Field::Ramdisk => opt(b.ramdisk.map(|u| u.to_string()).as_deref()),
            Field::RootDevice => opt(b.root_device.as_deref()),
            Field::AccessV4 => p.is_match(&b.access_ipv4),
            Field::AccessV6 => p.is_match(&b.access_ipv6),
            Field::Ip4 => ips(true),
            Field::Ip6 => ips(false),
        }
    }
    fn of(key: &str) -> Option<Field> {
        Some(match key {
            "name" | "display_name" => Field::Name,
            "description" | "display_description" => Field::Description,
            "hostname" => Field::Hostname,
            "key_name" => Field::KeyName,
            "node" => Field::Node,
            "availability_zone" => Field::Zone,
            "reservation_id" => Field::Reservation,
            "created_at" => Field::CreatedAt,
            "launched_at" => Field::LaunchedAt,
            "terminated_at" => Field::TerminatedAt,
            "kernel_id" => Field::Kernel,
            "ramdisk_id" => Field::Ramdisk,
            "root_device_name" => Field::RootDevice,
            "access_ip_v4" => Field::AccessV4,
            "access_ip_v6" => Field::AccessV6,
            "ip" => Field::Ip4,
            "ip6" => Field::Ip6,
            _ => return None,
        })
    }
}

/// A pattern of bounded size; the engine is linear, so no pattern can be slow.
fn pattern(key: &str, value: &str) -> Result<Regex, Fault> {
    regex::RegexBuilder::new(value)
        .size_limit(1 << 20)
        .build()
        .ok()
        .filter(|_| !value.is_empty())
        .ok_or_else(|| wrong(key, value, format!("'{value}' is not a 'regex'")))
}

/// Filters that users may ask; administrators may ask all.
fn for_users(mv: Microversion) -> BTreeSet<&'static str> {
    let mut keys: BTreeSet<&str> =
        ["reservation_id", "name", "status", "image", "flavor", "ip", "changes-since", "all_tenants"].into();
    let mut from = |minor: u16, more: &[&'static str]| {
        if mv.at_least(minor) {
            keys.extend(more);
        }
    };
    from(5, &["ip6"]);
    from(26, &["tags", "tags-any", "not-tags", "not-tags-any"]);
    from(66, &["changes-before"]);
    from(73, &["locked"]);
    from(83, &[
        "availability_zone", "config_drive", "key_name", "created_at", "launched_at", "terminated_at", "power_state", "task_state",
        "vm_state", "progress", "user_id",
    ]);
    from(90, &["hostname"]);
    keys
}

/// Schema: known keys, patterns and instants, before anything is filtered.
fn check_schema(ask: &Ask, query: &Query) -> Result<(), Fault> {
    known(ask, query, 75, KEYS)?;
    for (key, value) in &query.0 {
        let tags = key.contains("tags");
        if PATTERNS.contains(&key.as_str()) && (!tags || ask.at_least(26)) {
            pattern(key, value)?;
        }
        let instant = key == "changes-since" || (key == "changes-before" && ask.at_least(66));
        if instant && time::parse(value).is_none() {
            return Err(wrong(key, value, format!("'{value}' is not a 'date-time'")));
        }
    }
    Ok(())
}

fn truth(key: &str, value: &str) -> Result<bool, Fault> {
    truth_word(value).ok_or_else(|| {
        Fault::bad_request(format!("Invalid input received: Unrecognized value '{value}' for {key}, acceptable values are: true, false."))
    })
}

impl Search {
    /// Reads the query string. `policy` names the policy of listing all projects.
    /// # Errors
    /// 400 and 403, as in Nova.
    pub fn read(ask: &Ask, query: &Query, policy: &'static str) -> Result<Search, Fault> {
        check_schema(ask, query)?;
        let allowed = for_users(ask.mv);
        let admin = ask.is_admin();
        // As the original's dict: of a key that comes again the last value counts.
        let get = |key: &str| query.get(key).filter(|_| admin || allowed.contains(key));
        for (key, _) in &query.0 {
            if (admin || allowed.contains(key.as_str())) && (JOINED.contains(&key.as_str()) || key.starts_with('_')) {
                return Err(Fault::bad_request(format!("Invalid filter field: {key}.")));
            }
        }
        let mut out = Search::default();
        out.owner(ask, query, &get, policy)?;
        out.states(ask, query, &get)?;
        out.changes(&get)?;
        out.columns(&get)?;
        out.texts(&get)?;
        if ask.at_least(26) {
            out.tags(&get);
        }
        Ok(out)
    }

    fn owner<'a>(
        &mut self,
        ask: &Ask,
        query: &'a Query,
        get: &impl Fn(&str) -> Option<&'a str>,
        policy: &'static str,
    ) -> Result<(), Fault> {
        let all = match query.get("all_tenants") {
            None => false,
            Some("") => true,
            Some(v) => truth("all_tenants", v)?,
        };
        if all && !ask.is_admin() {
            return Err(forbidden(policy));
        }
        self.filter.user_id = get("user_id").map(str::to_owned);
        if all {
            self.filter.project_id = get("project_id").or_else(|| get("tenant_id")).map(str::to_owned);
        } else if ask.caller.project_id().is_empty() {
            self.filter.user_id = Some(ask.caller.user_id.clone());
        } else {
            self.filter.project_id = Some(ask.caller.project_id().to_owned());
        }
        Ok(())
    }

    fn states<'a>(&mut self, ask: &Ask, query: &'a Query, get: &impl Fn(&str) -> Option<&'a str>) -> Result<(), Fault> {
        let statuses: Vec<String> = query.all("status").map(str::to_owned).collect();
        if !statuses.is_empty() {
            let (states, tasks) = of_status(&statuses);
            if states.is_empty() {
                if ask.at_least(38) {
                    return Err(Fault::bad_request("Invalid status value"));
                }
                self.tests.push(Test::Never);
            }
            if states == [VmState::Deleted] {
                if !ask.is_admin() {
                    return Err(Fault::forbidden("Only administrators may list deleted instances"));
                }
                self.filter.deleted = Deleted::Only;
            }
            self.filter.vm_states = Some(states);
            self.tests.extend(tasks.map(Test::Tasks));
        } else if let Some(word) = get("vm_state") {
            match VmState::parse(word) {
                Some(s) => self.filter.vm_states = Some(vec![s]),
                None => self.tests.push(Test::Never),
            }
        }
        if statuses.is_empty()
            && let Some(task) = get("task_state")
        {
            self.tests.push(Test::Tasks(vec![task.to_owned()]));
        }
        if let Some(v) = get("deleted") {
            // A word that is no truth means living ones, as in the original.
            self.filter.deleted = if truth_word(v) == Some(true) { Deleted::Only } else { Deleted::No };
        }
        if get("soft_deleted").and_then(truth_word) == Some(true) {
            self.filter.vm_states = Some(vec![VmState::SoftDeleted]);
        }
        Ok(())
    }

    fn changes<'a>(&mut self, get: &impl Fn(&str) -> Option<&'a str>) -> Result<(), Fault> {
        self.filter.changed_since = get("changes-since").and_then(time::parse);
        self.filter.changed_before = get("changes-before").and_then(time::parse);
        if let (Some(since), Some(before)) = (self.filter.changed_since, self.filter.changed_before)
            && before < since
        {
            return Err(Fault::bad_request("The value of changes-since must be less than or equal to changes-before."));
        }
        let changes = self.filter.changed_since.is_some() || self.filter.changed_before.is_some();
        if changes && get("deleted").is_none() && self.filter.deleted == Deleted::No {
            self.filter.deleted = Deleted::Any;
        }
        Ok(())
    }

    fn columns<'a>(&mut self, get: &impl Fn(&str) -> Option<&'a str>) -> Result<(), Fault> {
        self.filter.host = get("host").map(str::to_owned);
        self.filter.flavor_id = get("flavor").map(|f| f.rsplit('/').next().unwrap_or(f).to_owned());
        if let Some(image) = get("image").or_else(|| get("image_ref")) {
            match Uuid::try_parse(image.rsplit('/').next().unwrap_or(image)) {
                Ok(id) => self.filter.image_id = Some(id),
                Err(_) => self.tests.push(Test::Never),
            }
        }
        if let Some(id) = get("uuid") {
            match Uuid::try_parse(id) {
                Ok(id) => self.filter.ids = Some(vec![id]),
                Err(_) => self.tests.push(Test::Never),
            }
        }
        if let Some(v) = get("locked") {
            self.filter.locked = Some(truth("locked", v)?);
        }
        Ok(())
    }

    fn texts<'a>(&mut self, get: &impl Fn(&str) -> Option<&'a str>) -> Result<(), Fault> {
        for key in PATTERNS {
            if let (Some(field), Some(value)) = (Field::of(key), get(key)) {
                self.tests.push(Test::Pattern(field, pattern(key, value)?));
            }
        }
        let number = |key: &str| get(key).map(|v| v.parse::<i64>().ok());
        self.tests.extend(number("power_state").map(|n| n.map_or(Test::Never, Test::Power)));
        self.tests.extend(number("progress").map(|n| n.map_or(Test::Never, Test::Progress)));
        let index = number("launch_index").map(|n| n.and_then(|n| u32::try_from(n).ok()));
        self.tests.extend(index.map(|n| n.map_or(Test::Never, Test::LaunchIndex)));
        if let Some(v) = get("config_drive") {
            // The original holds it against "True" or an empty text.
            self.tests.push(Test::ConfigDrive(truth_word(v).unwrap_or(false)));
        }
        if let Some(v) = get("auto_disk_config") {
            self.tests.push(Test::AutoDiskConfig(truth_word(v).unwrap_or(false)));
        }
        self.tests.extend(get("locked_by").map(|by| match by {
            "owner" => Test::LockedBy(LockedBy::Owner),
            "admin" => Test::LockedBy(LockedBy::Admin),
            _ => Test::Never,
        }));
        Ok(())
    }

    fn tags<'a>(&mut self, get: &impl Fn(&str) -> Option<&'a str>) {
        let list = |key: &str| get(key).map(|v| v.split(',').map(str::to_owned).collect::<Vec<_>>());
        self.tests.extend(list("tags").map(Test::AllTags));
        self.tests.extend(list("tags-any").map(Test::AnyTag));
        self.tests.extend(list("not-tags").map(Test::NotAllTags));
        self.tests.extend(list("not-tags-any").map(Test::NotAnyTag));
    }
}

#[cfg(test)]
mod tests;
