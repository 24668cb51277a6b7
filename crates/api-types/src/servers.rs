//! Bodies of `POST /servers`, `PUT /servers/{id}` and the action `rebuild`, as each microversion has them
//! (`nova/api/openstack/compute/schemas/servers.py`).

use crate::Microversion;
use crate::check::{self, At, Fields, Invalid, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

/// One wished interface.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Nic {
    /// Wished address.
    pub fixed_ip: Option<IpAddr>,
    /// A port that is there.
    pub port: Option<Uuid>,
    /// A network, as given (its form is checked by schema only from 2.37).
    pub network: Option<String>,
    /// Device tag.
    pub tag: Option<String>,
}

/// The field `networks`.
#[derive(Debug, Clone, PartialEq)]
pub enum Networks {
    /// `"auto"` (2.37).
    Auto,
    /// `"none"` (2.37).
    None,
    /// A list.
    List(Vec<Nic>),
}

/// One block device asked for; only what decides whether we can serve it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BlockDevice {
    /// `image`, `volume`, `snapshot`, `blank`.
    pub source_type: Option<String>,
    /// `local` or `volume`.
    pub destination_type: Option<String>,
    /// The source.
    pub uuid: Option<String>,
    /// Order of boot; negative or null means never.
    pub boot_index: Option<i64>,
    /// Size, GiB.
    pub volume_size: Option<i64>,
    /// `swap` or a file system.
    pub guest_format: Option<String>,
    /// It goes with the server.
    pub delete_on_termination: Option<bool>,
}

/// `POST /servers`.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// Name.
    pub name: String,
    /// Image; empty means none.
    pub image: Option<Uuid>,
    /// Flavor, as given: an id or a link to it.
    pub flavor: String,
    /// Administrator password.
    pub admin_pass: Option<String>,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Interfaces.
    pub networks: Option<Networks>,
    /// `OS-DCF:diskConfig`.
    pub disk_config: Option<String>,
    /// `accessIPv4`.
    pub access_ipv4: Option<String>,
    /// `accessIPv6`.
    pub access_ipv6: Option<String>,
    /// Files to inject were given (before 2.57): paths and contents.
    pub personality: Vec<(String, String)>,
    /// `zone` or `zone:host:node`.
    pub availability_zone: Option<String>,
    /// Block devices of the first kind.
    pub block_device_mapping: usize,
    /// Block devices.
    pub block_device_mapping_v2: Vec<BlockDevice>,
    /// Config drive.
    pub config_drive: bool,
    /// Keypair.
    pub key_name: Option<String>,
    /// At least so many.
    pub min_count: Option<u32>,
    /// At most so many.
    pub max_count: Option<u32>,
    /// Answer the reservation instead of the server.
    pub return_reservation_id: bool,
    /// Security groups; `None` if not said.
    pub security_groups: Option<Vec<String>>,
    /// User data, base64 as given.
    pub user_data: Option<String>,
    /// Description (2.19).
    pub description: Option<String>,
    /// Tags (2.52).
    pub tags: Vec<String>,
    /// Certificates (2.63).
    pub trusted_certs: Option<Vec<String>>,
    /// Host wished (2.74).
    pub host: Option<String>,
    /// Node wished (2.74).
    pub hypervisor_hostname: Option<String>,
    /// Host name (2.90).
    pub hostname: Option<String>,
    /// Scheduler hints.
    pub hints: BTreeMap<String, Value>,
}

/// Nova's limit of tags on a server.
pub const MAX_TAGS: usize = 50;
/// Longest user data, base64 characters.
pub const MAX_USER_DATA: usize = 65_535;

fn access(f: &mut Fields<'_>) -> Result<(Option<String>, Option<String>)> {
    Ok((f.optional("accessIPv4", check::ipv4)?, f.optional("accessIPv6", check::ipv6)?))
}

fn flavor_ref(at: At<'_>) -> Result<String> {
    match at.value {
        Value::Number(n) if n.is_i64() || n.is_u64() => Ok(n.to_string()),
        _ => at.bounded(1, usize::MAX).map(|t| {
            // A link is taken by its last part.
            let path = t.split(['?', '#']).next().unwrap_or(t);
            path.rsplit('/').next().unwrap_or(path).to_owned()
        }),
    }
}

fn image_or_empty(at: At<'_>) -> Result<Option<Uuid>> {
    if at.value.as_str() == Some("") { Ok(None) } else { check::uuid(at).map(Some) }
}

fn user_data(at: At<'_>) -> Result<String> {
    at.bounded(0, MAX_USER_DATA).map(str::to_owned)
}

fn nic(mv: Microversion) -> impl Fn(At<'_>) -> Result<Nic> {
    move |at| {
        let mut f = at.object()?;
        let tag = (mv >= Microversion(2, 32) && !mv.at_least(37)) || mv.at_least(42);
        let nic = Nic {
            fixed_ip: f.optional("fixed_ip", check::ip)?,
            port: f.optional("port", check::uuid_or_none)?.flatten(),
            network: if mv.at_least(37) {
                f.optional("uuid", check::uuid)?.map(|u| u.to_string())
            } else {
                f.optional("uuid", check::text)?
            },
            tag: f.since(tag, "tag", check::tag)?,
        };
        f.finish()?;
        Ok(nic)
    }
}

fn networks(mv: Microversion) -> impl Fn(At<'_>) -> Result<Networks> {
    move |at| match at.value {
        Value::String(word) if mv.at_least(37) => match word.as_str() {
            "auto" => Ok(Networks::Auto),
            "none" => Ok(Networks::None),
            _ => Err(at.refuse(format!("'{word}' is not valid under any of the given schemas"))),
        },
        _ => at.each(nic(mv)).map(Networks::List),
    }
}

fn size(at: At<'_>) -> Result<i64> {
    at.integer(1, i64::from(i32::MAX))
}

fn boot_index(at: At<'_>) -> Result<Option<i64>> {
    if at.is_null() { Ok(None) } else { at.integer(i64::from(i32::MIN), i64::from(i32::MAX)).map(Some) }
}

fn device_text(at: At<'_>) -> Result<String> {
    at.bounded(0, 255).map(str::to_owned)
}

fn legacy_device<'a>(f: &mut Fields<'a>) -> Result<BlockDevice> {
    let device_name = |at: At<'a>| {
        let ok = |t: &str| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b));
        at.pattern(1, 255, "^[a-zA-Z0-9._/-]*$", ok).map(|_| ())
    };
    f.optional("virtual_name", device_text)?;
    let volume = f.optional("volume_id", check::uuid)?;
    let snapshot = f.optional("snapshot_id", check::uuid)?;
    let volume_size = f.optional("volume_size", size)?;
    f.optional("device_name", device_name)?;
    let delete_on_termination = f.optional("delete_on_termination", check::boolean)?;
    f.optional("no_device", check::anything)?;
    f.optional("connection_info", check::text)?;
    let source_type = volume.map(|_| "volume".to_owned()).or(snapshot.map(|_| "snapshot".to_owned()));
    Ok(BlockDevice {
        source_type,
        uuid: volume.or(snapshot).map(|u| u.to_string()),
        volume_size,
        delete_on_termination,
        ..BlockDevice::default()
    })
}

fn device(mv: Microversion) -> impl Fn(At<'_>) -> Result<BlockDevice> {
    move |at| {
        let mut f = at.object()?;
        let mut out = legacy_device(&mut f)?;
        let source = f.optional("source_type", |at| {
            at.one_of(&["volume", "image", "snapshot", "blank"]).map(str::to_owned)
        })?;
        let source_uuid = f.optional("uuid", |at| {
            let ok = |t: &str| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            at.pattern(1, 255, "^[a-zA-Z0-9._-]*$", ok).map(str::to_owned)
        })?;
        let image = f.optional("image_id", check::uuid)?;
        out.destination_type = f.optional("destination_type", |at| at.one_of(&["local", "volume"]).map(str::to_owned))?;
        out.guest_format = f.optional("guest_format", device_text)?;
        f.optional("device_type", device_text)?;
        f.optional("disk_bus", device_text)?;
        out.boot_index = f.optional("boot_index", boot_index)?.flatten();
        f.since(mv == Microversion(2, 32) || mv.at_least(42), "tag", check::tag)?;
        f.since(mv.at_least(67), "volume_type", |at| if at.is_null() { Ok(()) } else { at.bounded(0, 255).map(|_| ()) })?;
        f.finish()?;
        out.source_type = source.or(image.map(|_| "image".to_owned())).or(out.source_type);
        out.uuid = source_uuid.or(image.map(|u| u.to_string())).or(out.uuid);
        Ok(out)
    }
}

fn personality(at: At<'_>) -> Result<(String, String)> {
    let mut f = at.object()?;
    let path = f.optional("path", check::text)?.unwrap_or_default();
    let contents = f.optional("contents", check::text)?.unwrap_or_default();
    f.finish()?;
    Ok((path, contents))
}

fn group_name(at: At<'_>) -> Result<Option<String>> {
    let mut f = at.object()?;
    let name = f.optional("name", check::name)?;
    f.finish()?;
    Ok(name)
}

fn uuid_or_uuids(at: At<'_>) -> Result<()> {
    if at.value.is_array() { at.each(check::uuid).map(|_| ()) } else { check::uuid(at).map(|_| ()) }
}

/// Scheduler hints: the known ones have a form, others are free.
fn hints(at: At<'_>) -> Result<BTreeMap<String, Value>> {
    let mut f = at.object()?;
    f.optional("group", uuid_or_uuids)?;
    f.optional("different_host", uuid_or_uuids)?;
    f.optional("same_host", |at| {
        if at.value.is_array() { at.each(check::uuid).map(|_| ()) } else { at.text().map(|_| ()) }
    })?;
    f.optional("query", |at| if at.value.is_object() { Ok(()) } else { at.text().map(|_| ()) })?;
    f.optional("target_cell", check::name)?;
    f.optional("build_near_host_ip", check::ip)?;
    f.optional("cidr", |at| {
        let ok = |t: &str| t.strip_prefix('/').is_some_and(|r| !r.is_empty() && r.bytes().all(|b| b.is_ascii_hexdigit() || b".:".contains(&b)));
        at.pattern(1, 255, "^/[0-9a-f.:]+$", ok).map(|_| ())
    })?;
    match at.value {
        Value::Object(map) => Ok(map.clone().into_iter().collect()),
        _ => Ok(BTreeMap::new()),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to i32::MAX
fn count(at: At<'_>) -> Result<u32> {
    at.integer(1, i64::from(i32::MAX)).map(|n| n as u32)
}

fn name_by_version(mv: Microversion) -> impl Fn(At<'_>) -> Result<Option<String>> {
    move |at| if mv.at_least(94) { check::fqdn(at).map(Some) } else { check::hostname(at).map(Some) }
}

impl Create {
    /// Reads the body.
    /// # Errors
    /// Nova's sentence.
    pub fn read(body: &Value, mv: Microversion) -> Result<Create> {
        let mut root = Fields::root(body)?;
        let mut create = root.required("server", |at| Create::server(&at, mv))?;
        let new = root.optional("os:scheduler_hints", hints)?;
        let old = root.optional("OS-SCH-HNT:scheduler_hints", hints)?;
        root.finish()?;
        create.hints = new.or(old).unwrap_or_default();
        Ok(create)
    }

    fn server(at: &At<'_>, mv: Microversion) -> Result<Create> {
        let mut f = at.object()?;
        let (access_ipv4, access_ipv6) = access(&mut f)?;
        let create = Create {
            name: f.required("name", check::name)?,
            image: f.optional("imageRef", image_or_empty)?.flatten(),
            flavor: f.required("flavorRef", flavor_ref)?,
            admin_pass: f.optional("adminPass", check::text)?,
            metadata: f.optional("metadata", check::metadata)?.unwrap_or_default(),
            networks: if mv.at_least(37) {
                Some(f.required("networks", networks(mv))?)
            } else {
                f.optional("networks", networks(mv))?
            },
            disk_config: f.optional("OS-DCF:diskConfig", check::disk_config)?,
            access_ipv4,
            access_ipv6,
            personality: f.since(!mv.at_least(57), "personality", |at| at.each(personality))?.unwrap_or_default(),
            availability_zone: f.optional("availability_zone", check::name)?,
            block_device_mapping: f
                .optional("block_device_mapping", |at| {
                    at.each(|item| {
                        let mut f = item.object()?;
                        legacy_device(&mut f)?;
                        f.finish()
                    })
                })?
                .map_or(0, |l| l.len()),
            block_device_mapping_v2: f
                .optional("block_device_mapping_v2", |at| at.each(device(mv)))?
                .unwrap_or_default(),
            config_drive: f.optional("config_drive", check::boolean)?.unwrap_or(false),
            key_name: f.optional("key_name", check::name)?,
            min_count: f.optional("min_count", count)?,
            max_count: f.optional("max_count", count)?,
            return_reservation_id: f.optional("return_reservation_id", check::boolean)?.unwrap_or(false),
            security_groups: f
                .optional("security_groups", |at| at.each(group_name))?
                .map(|names| names.into_iter().flatten().collect()),
            user_data: f.optional("user_data", user_data)?,
            description: f.since(mv.at_least(19), "description", check::description(255))?.flatten(),
            tags: f.since(mv.at_least(52), "tags", tags)?.unwrap_or_default(),
            trusted_certs: f.since(mv.at_least(63), "trusted_image_certificates", check::trusted_certs)?.flatten(),
            host: f.since(mv.at_least(74), "host", check::fqdn)?,
            hypervisor_hostname: f.since(mv.at_least(74), "hypervisor_hostname", check::fqdn)?,
            hostname: f.since(mv.at_least(90), "hostname", name_by_version(mv))?.flatten(),
            hints: BTreeMap::new(),
        };
        f.finish()?;
        Ok(create)
    }
}

/// A list of tags, no more than [`MAX_TAGS`]; doubles count once.
pub fn tags(at: At<'_>) -> Result<Vec<String>> {
    let list = at.each(check::tag)?;
    if list.len() > MAX_TAGS {
        return Err(at.refuse(format!("the list is too long (at most {MAX_TAGS})")));
    }
    let sorted: std::collections::BTreeSet<String> = list.into_iter().collect();
    Ok(sorted.into_iter().collect())
}

/// `PUT /servers/{id}`: only what is given changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Update {
    /// Name.
    pub name: Option<String>,
    /// `OS-DCF:diskConfig`.
    pub disk_config: Option<String>,
    /// `accessIPv4`.
    pub access_ipv4: Option<String>,
    /// `accessIPv6`.
    pub access_ipv6: Option<String>,
    /// Description; the inner `None` clears it (2.19).
    pub description: Option<Option<String>>,
    /// Host name (2.90).
    pub hostname: Option<String>,
    /// Zone to pin to; the inner `None` unpins (2.104).
    pub pinned_zone: Option<Option<String>>,
}

impl Update {
    /// Reads the body.
    /// # Errors
    /// Nova's sentence.
    pub fn read(body: &Value, mv: Microversion) -> Result<Update> {
        check::only(body, "server", |at| {
            let mut f = at.object()?;
            let (access_ipv4, access_ipv6) = access(&mut f)?;
            let update = Update {
                name: f.optional("name", check::name)?,
                disk_config: f.optional("OS-DCF:diskConfig", check::disk_config)?,
                access_ipv4,
                access_ipv6,
                description: f.since(mv.at_least(19), "description", check::description(255))?,
                hostname: f.since(mv.at_least(90), "hostname", name_by_version(mv))?.flatten(),
                pinned_zone: f.since(mv.at_least(104), "pinned_availability_zone", check::name_or_none)?,
            };
            f.finish()?;
            Ok(update)
        })
    }
}

/// The action `rebuild`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebuild {
    /// The image.
    pub image: Uuid,
    /// Name.
    pub name: Option<String>,
    /// Administrator password.
    pub admin_pass: Option<String>,
    /// Metadata.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Keep the ephemeral disk: only bare metal can.
    pub preserve_ephemeral: bool,
    /// `OS-DCF:diskConfig`.
    pub disk_config: Option<String>,
    /// `accessIPv4`.
    pub access_ipv4: Option<String>,
    /// `accessIPv6`.
    pub access_ipv6: Option<String>,
    /// Files to inject were given (before 2.57).
    pub personality: usize,
    /// Description (2.19).
    pub description: Option<Option<String>>,
    /// Keypair (2.54).
    pub key_name: Option<Option<String>>,
    /// User data, base64 (2.57).
    pub user_data: Option<Option<String>>,
    /// Certificates (2.63).
    pub trusted_certs: Option<Option<Vec<String>>>,
    /// Host name (2.90).
    pub hostname: Option<String>,
}

impl Rebuild {
    /// Reads the body.
    /// # Errors
    /// Nova's sentence.
    pub fn read(body: &Value, mv: Microversion) -> Result<Rebuild> {
        check::only(body, "rebuild", |at| {
            let mut f = at.object()?;
            let (access_ipv4, access_ipv6) = access(&mut f)?;
            let rebuild = Rebuild {
                image: f.required("imageRef", check::uuid)?,
                name: f.optional("name", check::name)?,
                admin_pass: f.optional("adminPass", check::text)?,
                metadata: f.optional("metadata", check::metadata)?,
                preserve_ephemeral: f.optional("preserve_ephemeral", check::boolean)?.unwrap_or(false),
                disk_config: f.optional("OS-DCF:diskConfig", check::disk_config)?,
                access_ipv4,
                access_ipv6,
                personality: f.since(!mv.at_least(57), "personality", |at| at.each(personality))?.map_or(0, |l| l.len()),
                description: f.since(mv.at_least(19), "description", check::description(255))?,
                key_name: f.since(mv.at_least(54), "key_name", check::name_or_none)?,
                user_data: f.since(mv.at_least(57), "user_data", |at| {
                    if at.is_null() { Ok(None) } else { user_data(at).map(Some) }
                })?,
                trusted_certs: f.since(mv.at_least(63), "trusted_image_certificates", check::trusted_certs)?,
                hostname: f.since(mv.at_least(90), "hostname", name_by_version(mv))?.flatten(),
            };
            f.finish()?;
            Ok(rebuild)
        })
    }
}

/// `{"metadata": {…}}`.
/// # Errors
/// Nova's sentence.
pub fn metadata_body(body: &Value) -> Result<BTreeMap<String, String>> {
    check::only(body, "metadata", check::metadata)
}

/// `{"meta": {key: value}}`: exactly one.
/// # Errors
/// Nova's sentence.
pub fn meta_body(body: &Value) -> Result<(String, String)> {
    check::only(body, "meta", |at| {
        let all = check::metadata(at.clone())?;
        let n = all.len();
        match all.into_iter().next() {
            Some(pair) if n == 1 => Ok(pair),
            Some(_) => Err(at.refuse("has too many properties")),
            None => Err(at.refuse("{} does not have enough properties")),
        }
    })
}

/// `{"tags": […]}`.
/// # Errors
/// Nova's sentence.
pub fn tags_body(body: &Value) -> Result<Vec<String>> {
    check::only(body, "tags", tags)
}

/// A refusal about a field of the server that no schema knows of.
pub fn refuse(why: impl Into<String>) -> Invalid {
    Invalid(why.into())
}

#[cfg(test)]
mod tests;
