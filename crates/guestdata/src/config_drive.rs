//! The config drive: the documents of the metadata service as files (`metadata_for_config_drive`).

use crate::iso9660::{FileEntry, Volume, write_iso};
use crate::network_data::network_data;
use crate::openstack::{HAVANA, LIBERTY, NEWTON_TWO, meta_data, vendor_data, vendor_data2, version_index};
use crate::{Guest, OPENSTACK_VERSIONS, ec2, pyjson};

/// EC2 versions that are written; the older ones are skipped as `[api] config_drive_skip_versions` does by default.
const EC2_ON_DRIVE: [&str; 2] = ["2009-04-04", "latest"];

/// The files of the drive, each with its path below the root.
pub fn config_drive_files(guest: &Guest) -> Vec<FileEntry> {
    let mut files = Vec::new();
    let mut add = |path: String, contents: Vec<u8>| files.push(FileEntry { path, contents });
    for version in EC2_ON_DRIVE {
        if let Some(user_data) = &guest.user_data {
            add(format!("ec2/{version}/user-data"), user_data.expose().to_vec());
        }
        if let Some(tree) = ec2::meta_data(guest, version) {
            add(format!("ec2/{version}/meta-data.json"), pyjson::dump(&tree));
        }
    }
    for version in OPENSTACK_VERSIONS.into_iter().chain(["latest"]) {
        let Some(index) = version_index(version) else {
            continue;
        };
        let path = |name: &str| format!("openstack/{version}/{name}");
        add(path("meta_data.json"), meta_data(guest, index, true));
        if let Some(user_data) = &guest.user_data {
            add(path("user_data"), user_data.expose().to_vec());
        }
        if index >= HAVANA {
            add(path("vendor_data.json"), vendor_data(guest));
        }
        if index >= LIBERTY {
            add(path("network_data.json"), network_data(&guest.nics));
        }
        if index >= NEWTON_TWO {
            add(path("vendor_data2.json"), vendor_data2(guest));
        }
    }
    for (number, file) in guest.files.iter().enumerate() {
        add(format!("openstack/content/{number:04}"), file.contents.expose().to_vec());
    }
    files
}

/// The drive's bytes: an ISO 9660 image labelled `config-2`. The same guest gives the same bytes.
pub fn config_drive(guest: &Guest) -> Vec<u8> {
    write_iso(
        &Volume {
            label: "config-2".to_owned(),
            publisher: format!("Kilonova {}", env!("CARGO_PKG_VERSION")),
            created: guest.created,
        },
        &config_drive_files(guest),
    )
}
