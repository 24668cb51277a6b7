//! The `/openstack` tree.

use crate::lookup::{Document, parts};
use crate::network_data::network_data;
use crate::{Guest, OPENSTACK_VERSIONS, PublicKey, pyjson};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Index of the version that brought the password and the random seed.
pub(crate) const GRIZZLY: usize = 1;
/// … `vendor_data.json`.
pub(crate) const HAVANA: usize = 2;
/// … `network_data.json` and `project_id`.
pub(crate) const LIBERTY: usize = 3;
/// … `devices`.
pub(crate) const NEWTON_ONE: usize = 4;
/// … `vendor_data2.json`.
pub(crate) const NEWTON_TWO: usize = 5;
/// … `dedicated_cpus`.
pub(crate) const VICTORIA: usize = 8;

/// Position of a version, `latest` included, in [`OPENSTACK_VERSIONS`].
pub(crate) fn version_index(version: &str) -> Option<usize> {
    match version {
        "latest" => Some(OPENSTACK_VERSIONS.len() - 1),
        known => OPENSTACK_VERSIONS.iter().position(|v| *v == known),
    }
}

#[derive(Serialize)]
struct FileEntry<'a> {
    path: &'a str,
    content_path: String,
}

/// `meta_data.json` with its fields in Nova's order.
#[derive(Serialize)]
struct MetaData<'a> {
    uuid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "pairs")]
    public_keys: Option<&'a [PublicKey]>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "typed")]
    keys: Option<&'a [PublicKey]>,
    hostname: String,
    name: &'a str,
    launch_index: u32,
    availability_zone: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    random_seed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<&'a str>,
    /// Devices with a tag of the user's; none can be tagged yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<[(); 0]>,
    /// Pinned CPUs; none can be pinned yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    dedicated_cpus: Option<[u32; 0]>,
}

fn pairs<S: Serializer>(keys: &Option<&[PublicKey]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(keys.unwrap_or_default().iter().map(|k| (&k.name, &k.data)))
}

fn typed<S: Serializer>(keys: &Option<&[PublicKey]>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Key<'a> {
        name: &'a str,
        r#type: &'a str,
        data: &'a str,
    }
    serializer.collect_seq(keys.unwrap_or_default().iter().map(|k| Key {
        name: &k.name,
        r#type: &k.kind,
        data: &k.data,
    }))
}

/// `meta_data.json` of a version. On the config drive (`drive`) it also has the password and the files,
/// which are never given over the network.
pub(crate) fn meta_data(guest: &Guest, version: usize, drive: bool) -> Vec<u8> {
    let keys = (!guest.public_keys.is_empty()).then_some(guest.public_keys.as_slice());
    let files = guest
        .files
        .iter()
        .enumerate()
        .filter(|_| drive)
        .map(|(n, f)| FileEntry { path: &f.path, content_path: format!("/content/{n:04}") });
    pyjson::dump(&MetaData {
        uuid: guest.id.to_string(),
        meta: (!guest.metadata.is_empty()).then_some(&guest.metadata),
        files: files.collect(),
        admin_pass: guest
            .admin_pass
            .as_ref()
            .filter(|_| drive)
            .map(|p| String::from_utf8_lossy(p.expose()).into_owned()),
        public_keys: keys,
        keys,
        hostname: guest.fqdn(),
        name: &guest.name,
        launch_index: guest.launch_index,
        availability_zone: &guest.availability_zone,
        random_seed: (version >= GRIZZLY).then(|| STANDARD.encode(guest.random_seed.expose())),
        project_id: (version >= LIBERTY).then_some(guest.project_id.as_str()),
        devices: (version >= NEWTON_ONE).then_some([]),
        dedicated_cpus: (version >= VICTORIA).then_some([]),
    })
}

/// `vendor_data.json`.
pub(crate) fn vendor_data(guest: &Guest) -> Vec<u8> {
    match &guest.vendor_data {
        object @ serde_json::Value::Object(_) => pyjson::dump(object),
        _ => b"{}".to_vec(),
    }
}

/// `vendor_data2.json`: each provider under its name; ours is the static one.
pub(crate) fn vendor_data2(guest: &Guest) -> Vec<u8> {
    let mut out = b"{\"static\": ".to_vec();
    out.extend(vendor_data(guest));
    out.push(b'}');
    out
}

fn listing(guest: &Guest, version: usize) -> String {
    let mut names = vec!["meta_data.json"];
    if guest.user_data.is_some() {
        names.push("user_data");
    }
    let later = [
        (GRIZZLY, "password"),
        (HAVANA, "vendor_data.json"),
        (LIBERTY, "network_data.json"),
        (NEWTON_TWO, "vendor_data2.json"),
    ];
    names.extend(later.into_iter().filter(|(since, _)| version >= *since).map(|(_, name)| name));
    names.join("\n")
}

/// The document at `path`, which begins with `/openstack`; `None` is 404.
pub fn openstack(guest: &Guest, path: &str) -> Option<Document> {
    let parts = parts(path);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let Some(("openstack", rest)) = parts.split_first().map(|(first, rest)| (*first, rest)) else {
        return None;
    };
    let Some((version, file)) = rest.split_first() else {
        let mut versions = OPENSTACK_VERSIONS.to_vec();
        versions.push("latest");
        return Some(Document::text(versions.join("\n")));
    };
    let version = version_index(version)?;
    Some(match file {
        [] => Document::text(listing(guest, version)),
        ["meta_data.json"] => Document::json(meta_data(guest, version, false)),
        ["user_data"] => Document::text(guest.user_data.as_ref()?.expose()),
        ["password"] if version >= GRIZZLY => {
            Document::text(guest.password.as_ref().map(|p| p.expose().to_vec()).unwrap_or_default())
        }
        ["vendor_data.json"] if version >= HAVANA => Document::json(vendor_data(guest)),
        ["vendor_data2.json"] if version >= NEWTON_TWO => Document::json(vendor_data2(guest)),
        // Nova serves it in every version although it lists it only from Liberty on, and labels it as text.
        ["network_data.json"] => Document::text(network_data(&guest.nics)),
        _ => return None,
    })
}
