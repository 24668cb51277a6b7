//! The EC2 tree: `/`, `/latest/meta-data/…`, `/latest/user-data`.

use crate::lookup::{Document, parts};
use crate::{EC2_VERSIONS, Guest};
use driver_api::NicSpec;
use serde::{Serialize, Serializer};
use std::net::IpAddr;

/// A place in the tree. Dictionaries keep Nova's order for the config drive; listings are sorted.
pub(crate) enum Node {
    Null,
    Text(String),
    Number(u32),
    List(Vec<String>),
    Dict(Vec<(&'static str, Node)>),
    /// A dictionary whose names are not known in advance.
    Named(Vec<(String, Node)>),
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => serializer.serialize_none(),
            Node::Text(text) => serializer.serialize_str(text),
            Node::Number(number) => serializer.serialize_u32(*number),
            Node::List(list) => serializer.collect_seq(list),
            Node::Dict(entries) => serializer.collect_map(entries.iter().map(|(k, v)| (k, v))),
            Node::Named(entries) => serializer.collect_map(entries.iter().map(|(k, v)| (k, v))),
        }
    }
}

impl Node {
    fn entries(&self) -> Option<Vec<(&str, &Node)>> {
        match self {
            Node::Dict(entries) => Some(entries.iter().map(|(k, v)| (*k, v)).collect()),
            Node::Named(entries) => Some(entries.iter().map(|(k, v)| (k.as_str(), v)).collect()),
            _ => None,
        }
    }
    fn child(&self, name: &str) -> Option<&Node> {
        self.entries()?.into_iter().find(|(key, _)| *key == name).map(|(_, node)| node)
    }
    /// As `ec2_md_print`: a directory lists its sorted names, those of directories with a slash or, where it
    /// has one, by its `_name`.
    fn print(&self) -> String {
        match self {
            Node::Null => "None".to_owned(),
            Node::Text(text) => text.clone(),
            Node::Number(number) => number.to_string(),
            Node::List(list) => list.join("\n"),
            Node::Dict(_) | Node::Named(_) => {
                let mut entries = self.entries().unwrap_or_default();
                entries.sort_by_key(|(key, _)| *key);
                let lines = entries.iter().filter(|(key, _)| *key != "_name").map(|(key, node)| {
                    match (node.entries().is_some(), node.child("_name")) {
                        (true, Some(name)) => name.print(),
                        (true, None) => format!("{key}/"),
                        (false, _) => (*key).to_owned(),
                    }
                });
                lines.collect::<Vec<_>>().join("\n")
            }
        }
    }
}

fn first_ipv4(nics: &[NicSpec]) -> Option<IpAddr> {
    nics.iter().flat_map(|n| &n.fixed_ips).map(|f| f.ip).find(IpAddr::is_ipv4)
}

fn mapping(guest: &Guest) -> Node {
    let text = |s: &str| Node::Text(s.to_owned());
    match &guest.root_device {
        None => Node::Dict(vec![
            ("ami", text("sda1")),
            ("ephemeral0", text("sda2")),
            ("root", text("/dev/sda1")),
            ("swap", text("sda3")),
        ]),
        Some(root) => {
            let mut entries = vec![
                ("ami".to_owned(), text(root.strip_prefix("/dev/").unwrap_or(root))),
                ("root".to_owned(), text(root)),
            ];
            entries.extend(guest.block_devices.iter().map(|(name, device)| (name.clone(), text(device))));
            Node::Named(entries)
        }
    }
}

/// Position of a version, `latest` included, in [`EC2_VERSIONS`].
fn version_index(version: &str) -> Option<usize> {
    match version {
        "latest" => Some(EC2_VERSIONS.len() - 1),
        known => EC2_VERSIONS.iter().position(|v| *v == known),
    }
}

/// `meta-data` of a version (`get_ec2_metadata`).
pub(crate) fn meta_data(guest: &Guest, version: &str) -> Option<Node> {
    let index = version_index(version)?;
    let since = |v: &str| version_index(v).is_some_and(|required| index >= required);
    let text = |s: &str| Node::Text(s.to_owned());
    let id = |id: &Option<String>| id.as_ref().map_or(Node::Null, |id| Node::Text(id.clone()));
    let mut out = vec![
        ("ami-id", id(&guest.ec2.ami_id)),
        ("ami-launch-index", Node::Number(guest.launch_index)),
        ("ami-manifest-path", text("FIXME")),
        ("instance-id", text(&guest.ec2.instance_id)),
        ("hostname", Node::Text(guest.fqdn())),
        ("local-ipv4", Node::Text(first_ipv4(&guest.nics).map(|ip| ip.to_string()).unwrap_or_default())),
        ("reservation-id", text(&guest.reservation_id)),
        ("security-groups", Node::List(guest.security_groups.clone())),
    ];
    if let Some(key) = guest.public_keys.first() {
        let entry = vec![("_name", Node::Text(format!("0={}", key.name))), ("openssh-key", text(&key.data))];
        out.push(("public-keys", Node::Dict(vec![("0", Node::Dict(entry))])));
    }
    if since("2007-01-19") {
        out.push(("local-hostname", Node::Text(guest.fqdn())));
        out.push(("public-hostname", Node::Text(guest.fqdn())));
        out.push(("public-ipv4", Node::Text(guest.floating_ipv4.map(|ip| ip.to_string()).unwrap_or_default())));
    }
    if since("2007-08-29") {
        out.push(("instance-type", text(&guest.instance_type)));
    }
    if since("2007-12-15") {
        out.push(("block-device-mapping", mapping(guest)));
        if guest.ec2.kernel_id.is_some() {
            out.push(("kernel-id", id(&guest.ec2.kernel_id)));
        }
        if guest.ec2.ramdisk_id.is_some() {
            out.push(("ramdisk-id", id(&guest.ec2.ramdisk_id)));
        }
    }
    if since("2008-02-01") {
        out.push(("placement", Node::Dict(vec![("availability-zone", text(&guest.availability_zone))])));
    }
    if since("2008-09-01") {
        out.push(("instance-action", text("none")));
    }
    Some(Node::Dict(out))
}

/// The document at `path`, with or without a leading `/ec2`; `None` is 404.
pub fn ec2(guest: &Guest, path: &str) -> Option<Document> {
    let parts = parts(path);
    let mut parts = parts.iter().map(String::as_str).peekable();
    parts.next_if_eq(&"ec2");
    let Some(version) = parts.next() else {
        let mut versions = EC2_VERSIONS.to_vec();
        versions.push("latest");
        return Some(Document::text(versions.join("\n")));
    };
    let meta_data = meta_data(guest, version)?;
    match parts.next() {
        None if guest.user_data.is_some() => Some(Document::text("meta-data/\nuser-data")),
        None => Some(Document::text("meta-data/")),
        Some("user-data") if parts.peek().is_none() => Some(Document::text(guest.user_data.as_ref()?.expose())),
        Some("meta-data") => {
            let mut node = &meta_data;
            for part in parts {
                node = node.child(part)?;
            }
            Some(Document::text(node.print()))
        }
        Some(_) => None,
    }
}
