//! One typed function a procedure that the driver uses.

use super::client::{self, Client};
use super::xdr::{Decoder, Encoder, TypedParam, XdrError};
use super::{Error, Result, code};
use std::time::Duration;
use uuid::Uuid;

const GET_VERSION: i32 = 4;
const NODE_GET_INFO: i32 = 6;
const GET_CAPABILITIES: i32 = 7;
const GET_XML_DESC: i32 = 14;
const LOOKUP_BY_NAME: i32 = 23;
const LOOKUP_BY_UUID: i32 = 24;
const REBOOT: i32 = 27;
const RESUME: i32 = 28;
const SUSPEND: i32 = 34;
const GET_LIB_VERSION: i32 = 157;
const MANAGED_SAVE: i32 = 182;
const HAS_MANAGED_SAVE: i32 = 183;
const MANAGED_SAVE_REMOVE: i32 = 184;
const CREATE_WITH_FLAGS: i32 = 196;
/// Needs a stream, so it is called by [`super::stream`].
pub(super) const OPEN_CONSOLE: i32 = 201;
const GET_STATE: i32 = 212;
const UNDEFINE_FLAGS: i32 = 231;
const DESTROY_FLAGS: i32 = 234;
const BLOCK_JOB_ABORT: i32 = 237;
const GET_BLOCK_JOB_INFO: i32 = 238;
const SHUTDOWN_FLAGS: i32 = 258;
const GET_METADATA: i32 = 265;
const LIST_ALL_DOMAINS: i32 = 273;
const EVENT_REGISTER: i32 = 316;
const EVENT_DEREGISTER: i32 = 317;
/// Answers with a descriptor, so it is called by [`super::graphics`].
pub(super) const OPEN_GRAPHICS_FD: i32 = 343;
const GET_ALL_DOMAIN_STATS: i32 = 344;
const BLOCK_COPY: i32 = 345;
const DEFINE_XML_FLAGS: i32 = 350;

/// Lifecycle events arrive as this procedure.
pub const EVENT_LIFECYCLE: i32 = 318;
/// Reboot events arrive as this procedure.
pub const EVENT_REBOOT: i32 = 319;
/// Identity of lifecycle events at registration.
pub const EVENT_ID_LIFECYCLE: i32 = 0;
/// Identity of reboot events at registration.
pub const EVENT_ID_REBOOT: i32 = 1;

/// What a procedure is called in traces.
pub(super) fn name(procedure: i32) -> &'static str {
    match procedure {
        client::PROC_CONNECT_OPEN => "libvirt.open",
        client::PROC_CONNECT_CLOSE => "libvirt.close",
        client::PROC_CONNECT_SUPPORTS_FEATURE => "libvirt.feature",
        client::PROC_AUTH_LIST | client::PROC_AUTH_POLKIT => "libvirt.auth",
        GET_VERSION | GET_LIB_VERSION => "libvirt.version",
        NODE_GET_INFO => "libvirt.node_info",
        GET_CAPABILITIES => "libvirt.capabilities",
        GET_XML_DESC => "libvirt.xml",
        LOOKUP_BY_NAME => "libvirt.lookup_name",
        LOOKUP_BY_UUID => "libvirt.lookup",
        REBOOT => "libvirt.reboot",
        RESUME => "libvirt.resume",
        SUSPEND => "libvirt.suspend",
        MANAGED_SAVE => "libvirt.managed_save",
        HAS_MANAGED_SAVE => "libvirt.has_managed_save",
        MANAGED_SAVE_REMOVE => "libvirt.managed_save_remove",
        CREATE_WITH_FLAGS => "libvirt.create",
        OPEN_CONSOLE => "libvirt.open_console",
        GET_STATE => "libvirt.state",
        UNDEFINE_FLAGS => "libvirt.undefine",
        DESTROY_FLAGS => "libvirt.destroy",
        BLOCK_JOB_ABORT => "libvirt.block_job_abort",
        GET_BLOCK_JOB_INFO => "libvirt.block_job",
        SHUTDOWN_FLAGS => "libvirt.shutdown",
        GET_METADATA => "libvirt.metadata",
        LIST_ALL_DOMAINS => "libvirt.list",
        EVENT_REGISTER => "libvirt.register_events",
        EVENT_DEREGISTER => "libvirt.deregister_events",
        OPEN_GRAPHICS_FD => "libvirt.open_graphics",
        GET_ALL_DOMAIN_STATS => "libvirt.stats",
        BLOCK_COPY => "libvirt.block_copy",
        DEFINE_XML_FLAGS => "libvirt.define",
        _ => "libvirt",
    }
}

const DOMAINS_MAX: usize = 16_384;
const STATS_MAX: usize = 4_096;
/// Moving a guest's memory to disk and back takes as long as the memory is large.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(3_600);

/// A domain as libvirt names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Name.
    pub name: String,
    /// Identity.
    pub uuid: Uuid,
    /// Number while it runs, -1 otherwise.
    pub id: i32,
}

impl Domain {
    pub(super) fn encode(&self, e: &mut Encoder) {
        e.string(&self.name).uuid(self.uuid).i32(self.id);
    }
    fn args(&self) -> Encoder {
        let mut e = Encoder::new();
        self.encode(&mut e);
        e
    }
    fn args_flags(&self, flags: u32) -> Encoder {
        let mut e = self.args();
        e.u32(flags);
        e
    }
    fn decode(d: &mut Decoder<'_>) -> std::result::Result<Domain, XdrError> {
        Ok(Domain { name: d.string()?, uuid: d.uuid()?, id: d.i32()? })
    }
}

/// State of a domain (`virDomainState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// 0, and numbers unknown to us.
    None,
    /// 1, and 2 (blocked).
    Running,
    /// 3.
    Paused,
    /// 4: on its way down.
    ShuttingDown,
    /// 5.
    Off,
    /// 6.
    Crashed,
    /// 7: asleep by the guest's own wish.
    Asleep,
}

impl State {
    /// The state of libvirt's number.
    pub fn from_code(n: i64) -> State {
        match n {
            1 | 2 => State::Running,
            3 => State::Paused,
            4 => State::ShuttingDown,
            5 => State::Off,
            6 => State::Crashed,
            7 => State::Asleep,
            _ => State::None,
        }
    }
}

/// Facts of the machine.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// CPU model.
    pub model: String,
    /// Memory, KiB.
    pub memory_kib: u64,
    /// CPUs.
    pub cpus: u32,
    /// NUMA cells.
    pub cells: u32,
    /// Sockets a cell.
    pub sockets: u32,
    /// Cores a socket.
    pub cores: u32,
    /// Threads a core.
    pub threads: u32,
}

/// A block job's progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockJob {
    /// Done, bytes.
    pub cur: u64,
    /// In all, bytes.
    pub end: u64,
}

fn small(v: i32) -> u32 {
    u32::try_from(v).unwrap_or(0)
}

impl Client {
    /// Version of the hypervisor, major × 1000000 + minor × 1000 + release.
    pub async fn hypervisor_version(&self) -> Result<u64> {
        Ok(Decoder::new(&self.call(GET_VERSION, Encoder::new()).await?).u64()?)
    }
    /// Version of libvirt, encoded likewise.
    pub async fn libvirt_version(&self) -> Result<u64> {
        Ok(Decoder::new(&self.call(GET_LIB_VERSION, Encoder::new()).await?).u64()?)
    }
    /// Facts of the machine.
    pub async fn node_info(&self) -> Result<NodeInfo> {
        let reply = self.call(NODE_GET_INFO, Encoder::new()).await?;
        let mut d = Decoder::new(&reply);
        // A `char[32]` goes out as 32 signed words, one a character.
        let mut model = String::new();
        for _ in 0..32 {
            match u8::try_from(d.i32()? & 0xff).unwrap_or(0) {
                0 => {}
                c => model.push(char::from(c)),
            }
        }
        let memory_kib = d.u64()?;
        let cpus = small(d.i32()?);
        let _mhz = d.i32()?;
        let (cells, sockets, cores, threads) = (small(d.i32()?), small(d.i32()?), small(d.i32()?), small(d.i32()?));
        Ok(NodeInfo { model, memory_kib, cpus, cells, sockets, cores, threads })
    }
    /// What the machine and its emulators can, as XML.
    pub async fn capabilities(&self) -> Result<String> {
        Ok(Decoder::new(&self.call(GET_CAPABILITIES, Encoder::new()).await?).string()?)
    }
    /// The domain of an identity, if there is one.
    pub async fn lookup(&self, uuid: Uuid) -> Result<Option<Domain>> {
        let mut e = Encoder::new();
        e.uuid(uuid);
        absent_is_none(self.call(LOOKUP_BY_UUID, e).await.and_then(|r| Ok(Domain::decode(&mut Decoder::new(&r))?)))
    }
    /// The domain of a name, if there is one.
    pub async fn lookup_name(&self, name: &str) -> Result<Option<Domain>> {
        let mut e = Encoder::new();
        e.string(name);
        absent_is_none(self.call(LOOKUP_BY_NAME, e).await.and_then(|r| Ok(Domain::decode(&mut Decoder::new(&r))?)))
    }
    /// Every domain; with `managed_save` only those that have a saved memory image.
    pub async fn list(&self, managed_save: bool) -> Result<Vec<Domain>> {
        let mut e = Encoder::new();
        e.i32(1).u32(if managed_save { 1 << 8 } else { 0 });
        let reply = self.call(LIST_ALL_DOMAINS, e).await?;
        Ok(Decoder::new(&reply).list(DOMAINS_MAX, Domain::decode)?)
    }
    /// State of a domain.
    pub async fn state(&self, domain: &Domain) -> Result<State> {
        let reply = self.call(GET_STATE, domain.args_flags(0)).await?;
        Ok(State::from_code(i64::from(Decoder::new(&reply).i32()?)))
    }
    /// The metadata element of `namespace`, if the domain has it.
    pub async fn metadata(&self, domain: &Domain, namespace: &str) -> Result<Option<String>> {
        let mut e = domain.args();
        e.i32(2).optional_string(Some(namespace)).u32(0);
        match self.call(GET_METADATA, e).await {
            Ok(reply) => Ok(Some(Decoder::new(&reply).string()?)),
            Err(e) if e.is(code::NO_DOMAIN_METADATA) => Ok(None),
            Err(e) => Err(e),
        }
    }
    /// Description of a domain.
    pub async fn xml(&self, domain: &Domain) -> Result<String> {
        Ok(Decoder::new(&self.call(GET_XML_DESC, domain.args_flags(0)).await?).string()?)
    }
    /// Defines a persistent domain, or replaces the definition of the one with the same identity.
    pub async fn define(&self, xml: &str) -> Result<Domain> {
        let mut e = Encoder::new();
        e.string(xml).u32(0);
        Ok(Domain::decode(&mut Decoder::new(&self.call(DEFINE_XML_FLAGS, e).await?))?)
    }
    /// Starts a defined domain; from its saved memory where there is some.
    pub async fn create(&self, domain: &Domain) -> Result<Domain> {
        let reply = self.call_within(CREATE_WITH_FLAGS, domain.args_flags(0), MEMORY_TIMEOUT).await?;
        Ok(Domain::decode(&mut Decoder::new(&reply))?)
    }
    /// Pulls the plug.
    pub async fn destroy(&self, domain: &Domain) -> Result<()> {
        self.call(DESTROY_FLAGS, domain.args_flags(0)).await.map(drop)
    }
    /// Removes the definition with saved memory, snapshots' and checkpoints' records and variable store.
    pub async fn undefine(&self, domain: &Domain) -> Result<()> {
        self.call(UNDEFINE_FLAGS, domain.args_flags(1 | 2 | 4 | 16)).await.map(drop)
    }
    /// Presses the power button.
    pub async fn shutdown(&self, domain: &Domain) -> Result<()> {
        self.call(SHUTDOWN_FLAGS, domain.args_flags(1)).await.map(drop)
    }
    /// Presses the power button; libvirt resets the machine when the guest has shut down.
    pub async fn reboot(&self, domain: &Domain) -> Result<()> {
        self.call(REBOOT, domain.args_flags(1)).await.map(drop)
    }
    /// Stops the CPUs.
    pub async fn suspend(&self, domain: &Domain) -> Result<()> {
        self.call(SUSPEND, domain.args()).await.map(drop)
    }
    /// Continues the CPUs.
    pub async fn resume(&self, domain: &Domain) -> Result<()> {
        self.call(RESUME, domain.args()).await.map(drop)
    }
    /// Memory to disk; the domain is off afterwards, and runs on at its next start.
    pub async fn managed_save(&self, domain: &Domain) -> Result<()> {
        // SAVE_RUNNING: a paused guest that was suspended comes back running, as Nova's does.
        self.call_within(MANAGED_SAVE, domain.args_flags(2), MEMORY_TIMEOUT).await.map(drop)
    }
    /// Whether there is saved memory.
    pub async fn has_managed_save(&self, domain: &Domain) -> Result<bool> {
        Ok(Decoder::new(&self.call(HAS_MANAGED_SAVE, domain.args_flags(0)).await?).i32()? != 0)
    }
    /// Throws saved memory away.
    pub async fn managed_save_remove(&self, domain: &Domain) -> Result<()> {
        self.call(MANAGED_SAVE_REMOVE, domain.args_flags(0)).await.map(drop)
    }
    /// Registers for events of `event_id`; yields the number to deregister with, which closing does by itself.
    pub async fn register_events(&self, event_id: i32) -> Result<i32> {
        let mut e = Encoder::new();
        e.i32(event_id).u32(0);
        let callback = Decoder::new(&self.call(EVENT_REGISTER, e).await?).i32()?;
        self.registered(callback);
        Ok(callback)
    }
    /// Ends a registration.
    pub async fn deregister_events(&self, callback: i32) -> Result<()> {
        let mut e = Encoder::new();
        e.i32(callback);
        self.call(EVENT_DEREGISTER, e).await.map(drop)
    }
    /// Counters of `domains`, of all if empty; `groups` is an or of [`stats`].
    pub async fn stats(&self, domains: &[Domain], groups: u32) -> Result<Vec<(Domain, Vec<TypedParam>)>> {
        let mut e = Encoder::new();
        e.u32(u32::try_from(domains.len()).unwrap_or(u32::MAX));
        for d in domains {
            d.encode(&mut e);
        }
        e.u32(groups).u32(0);
        let reply = self.call(GET_ALL_DOMAIN_STATS, e).await?;
        Ok(Decoder::new(&reply).list(DOMAINS_MAX, |d| Ok((Domain::decode(d)?, d.params(STATS_MAX)?)))?)
    }
    /// Mirrors disk `target` into the file that `dest` (a disk element) names, which is there already. With `shallow`
    /// only what lies above the backing file.
    pub async fn block_copy(&self, domain: &Domain, target: &str, dest: &str, shallow: bool) -> Result<()> {
        let mut e = domain.args();
        // REUSE_EXT | TRANSIENT_JOB: the latter allows it on a persistent domain, so that ours need not be undefined.
        e.string(target).string(dest).params(&[]).u32(u32::from(shallow) | 2 | 4);
        self.call(BLOCK_COPY, e).await.map(drop)
    }
    /// Progress of the block job on `target`, if there is one.
    pub async fn block_job(&self, domain: &Domain, target: &str) -> Result<Option<BlockJob>> {
        let mut e = domain.args();
        e.string(target).u32(0);
        let reply = self.call(GET_BLOCK_JOB_INFO, e).await?;
        let mut d = Decoder::new(&reply);
        let found = d.i32()? != 0;
        let (_type, _bandwidth) = (d.i32()?, d.u64()?);
        Ok(found.then_some(BlockJob { cur: d.u64()?, end: d.u64()? }))
    }
    /// Ends the block job on `target` and waits until it has ended. The domain goes on with its own file.
    pub async fn block_job_abort(&self, domain: &Domain, target: &str) -> Result<()> {
        let mut e = domain.args();
        e.string(target).u32(0);
        self.call(BLOCK_JOB_ABORT, e).await.map(drop)
    }
}

/// Groups of counters (`virDomainStatsTypes`).
pub mod stats {
    /// State.
    pub const STATE: u32 = 1;
    /// Memory.
    pub const BALLOON: u32 = 1 << 2;
    /// Virtual CPUs.
    pub const VCPU: u32 = 1 << 3;
    /// Interfaces.
    pub const INTERFACE: u32 = 1 << 4;
    /// Disks.
    pub const BLOCK: u32 = 1 << 5;
}

fn absent_is_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(v) => Ok(Some(v)),
        Err(e) if e.is(code::NO_DOMAIN) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A lifecycle event: domain, what, why.
pub fn decode_lifecycle(payload: &[u8]) -> std::result::Result<(Domain, i32, i32), Error> {
    let mut d = Decoder::new(payload);
    let _callback = d.i32()?;
    Ok((Domain::decode(&mut d)?, d.i32()?, d.i32()?))
}

/// A reboot event.
pub fn decode_reboot(payload: &[u8]) -> std::result::Result<Domain, Error> {
    let mut d = Decoder::new(payload);
    let _callback = d.i32()?;
    Ok(Domain::decode(&mut d)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn events_decode() {
        let dom = Domain { name: "instance-1".into(), uuid: Uuid::from_u128(7), id: 3 };
        let mut e = Encoder::new();
        e.i32(9);
        dom.encode(&mut e);
        e.i32(5).i32(4);
        let raw = e.into_bytes();
        assert_eq!(decode_lifecycle(&raw).unwrap(), (dom.clone(), 5, 4));
        assert_eq!(decode_reboot(&raw).unwrap(), dom);
        assert!(decode_lifecycle(&raw[..raw.len() - 4]).is_err());
    }
}
