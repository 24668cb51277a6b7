//! What a guest reads about itself: metadata documents and the config drive; pure.
//!
//! One [`Guest`] holds all the facts; [`lookup`] answers the metadata service's paths from it and
//! [`config_drive`] writes the same documents into an ISO 9660 image. Nothing here does I/O, reads a clock
//! or makes random bytes, so that a document is a function of the guest alone.
//!
//! Names, versions and shapes are those of Nova (`nova/api/metadata/base.py`, `nova/virt/netutils.py`,
//! `nova/virt/configdrive.py`), because agents inside guests parse them.

mod config_drive;
mod ec2;
mod guest;
mod iso9660;
mod lookup;
mod network_data;
mod openstack;
mod pyjson;
mod secret;

pub use config_drive::{config_drive, config_drive_files};
pub use ec2::ec2;
pub use guest::{Ec2Ids, Guest, InjectedFile, PublicKey};
pub use iso9660::{FileEntry, Volume, write_iso};
pub use lookup::{Document, is_password_path, lookup};
pub use openstack::openstack;
pub use secret::Secret;

/// Longest password that a guest may post (`nova/api/metadata/password.py`, `MAX_SIZE`), bytes.
pub const MAX_PASSWORD: usize = 4 * 255;

/// Versions of the OpenStack tree, oldest first (`OPENSTACK_VERSIONS`).
pub const OPENSTACK_VERSIONS: [&str; 10] = [
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
    "2025-04-04",
];

/// Versions of the EC2 tree, oldest first (`VERSIONS`).
pub const EC2_VERSIONS: [&str; 9] = [
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
];
