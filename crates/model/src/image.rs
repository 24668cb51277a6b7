//! An image, its members and the questions a list may ask.
//!
//! Pure: what Glance's rules say about states and visibility as functions of the record. The bytes are the image
//! service's business and the rows the store's.

use crate::Context;
use driver_api::{DiskFormat, ImageRef, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Where an image stands. Glance's other words (`uploading`, `importing`, `pending_delete`, `killed`, `deleted`)
/// belong to its import and its scrubber, which are not here; a deleted image has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Known, without bytes.
    Queued,
    /// Bytes are coming in.
    Saving,
    /// Usable.
    Active,
    /// There, but its bytes are withheld from all but administrators.
    Deactivated,
}

impl Status {
    /// Glance's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Saving => "saving",
            Status::Active => "active",
            Status::Deactivated => "deactivated",
        }
    }
    /// Status of the word.
    pub fn parse(word: &str) -> Option<Status> {
        [Status::Queued, Status::Saving, Status::Active, Status::Deactivated].into_iter().find(|s| s.as_str() == word)
    }
    /// Bytes are recorded: format and container may not change any more.
    pub fn has_data(self) -> bool {
        matches!(self, Status::Active | Status::Deactivated)
    }
}

/// Who sees an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody, in everybody's list.
    Public,
    /// Everybody who asks for it; listed only where asked for.
    Community,
    /// The owner and the members it is shared with. Glance's default.
    Shared,
    /// The owner.
    Private,
}

impl Visibility {
    /// Glance's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Visibility::Public => "public",
            Visibility::Community => "community",
            Visibility::Shared => "shared",
            Visibility::Private => "private",
        }
    }
    /// Visibility of the word.
    pub fn parse(word: &str) -> Option<Visibility> {
        [Visibility::Public, Visibility::Community, Visibility::Shared, Visibility::Private]
            .into_iter()
            .find(|v| v.as_str() == word)
    }
}

/// Container formats that Glance knows (`glance/common/config.py`, `container_formats`).
pub const CONTAINER_FORMATS: &[&str] = &["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"];

/// Disk formats that images may declare, in the order of [`driver_api::DiskFormat`].
pub const DISK_FORMATS: &[DiskFormat] = &[
    DiskFormat::Ami,
    DiskFormat::Ari,
    DiskFormat::Aki,
    DiskFormat::Vhd,
    DiskFormat::Vhdx,
    DiskFormat::Vmdk,
    DiskFormat::Raw,
    DiskFormat::Qcow2,
    DiskFormat::Vdi,
    DiskFormat::Iso,
    DiskFormat::Ploop,
];

/// One image (table `images`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Identity.
    pub id: Uuid,
    /// Name; need not be unique.
    pub name: Option<String>,
    /// Project that owns it; `None` only where an administrator said so, and then everybody may read it.
    pub owner: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Who sees it.
    pub visibility: Visibility,
    /// One of [`CONTAINER_FORMATS`].
    pub container_format: Option<String>,
    /// Declared at creation, verified at upload, fixed from then on.
    pub disk_format: Option<DiskFormat>,
    /// Least root disk, GiB.
    pub min_disk: u64,
    /// Least memory, MiB.
    pub min_ram: u64,
    /// May not be deleted.
    pub protected: bool,
    /// Not listed unless asked for.
    pub os_hidden: bool,
    /// Bytes stored.
    pub size: Option<u64>,
    /// Bytes of the disk inside, as the inspector found.
    pub virtual_size: Option<u64>,
    /// MD5 of the bytes, hex.
    pub checksum: Option<String>,
    /// Algorithm of `os_hash_value` (`sha512`).
    pub os_hash_algo: Option<String>,
    /// Digest of the bytes, hex.
    pub os_hash_value: Option<String>,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Further properties, `hw_*` and `os_*` among them.
    pub properties: BTreeMap<String, String>,
    /// Who gives it its bytes: `upload:<uuid>` while a client does, `flow:<uuid>` from birth for a snapshot.
    /// Nobody else may then.
    pub writer: Option<String>,
    /// Grows with every change; a change that was thought out on an older one is refused.
    pub revision: u64,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}

impl Image {
    /// A queued image without any property.
    pub fn queued(id: Uuid, owner: Option<String>, now: Timestamp) -> Image {
        Image {
            id,
            name: None,
            owner,
            status: Status::Queued,
            visibility: Visibility::Shared,
            container_format: None,
            disk_format: None,
            min_disk: 0,
            min_ram: 0,
            protected: false,
            os_hidden: false,
            size: None,
            virtual_size: None,
            checksum: None,
            os_hash_algo: None,
            os_hash_value: None,
            tags: BTreeSet::new(),
            properties: BTreeMap::new(),
            writer: None,
            revision: 0,
            created_at: now,
            updated_at: now,
        }
    }
    /// A queued snapshot of a server that only the flow `flow` may give its bytes. Private, as Nova makes them.
    pub fn snapshot(id: Uuid, owner: String, name: String, flow: Uuid, now: Timestamp) -> Image {
        let mut image = Image::queued(id, Some(owner), now);
        image.name = Some(name);
        image.visibility = Visibility::Private;
        image.container_format = Some("bare".into());
        image.properties.insert("image_type".into(), "snapshot".into());
        image.writer = Some(format!("flow:{flow}"));
        image
    }
    /// Is it the caller's own?
    pub fn owned_by(&self, caller: &Context) -> bool {
        self.owner.as_deref().is_some_and(|o| !o.is_empty() && o == caller.project_id())
    }
    /// May the caller know of it? `member`: the caller's project is a member, in whatever status
    /// (`glance/db/utils.py`, `is_image_visible`).
    pub fn visible_to(&self, caller: &Context, member: bool) -> bool {
        caller.is_admin()
            || self.owner.is_none()
            || matches!(self.visibility, Visibility::Public | Visibility::Community)
            || self.owned_by(caller)
            || (self.visibility == Visibility::Shared && member)
    }
    /// The image as a driver needs to know it; `None` while its format or size is not recorded.
    pub fn reference(&self) -> Option<ImageRef> {
        Some(ImageRef {
            id: self.id,
            name: self.name.clone().unwrap_or_default(),
            disk_format: self.disk_format?,
            container_format: self.container_format.clone()?,
            size: self.size?,
            virtual_size: self.virtual_size,
            hash: self.os_hash_algo.clone().zip(self.os_hash_value.clone()),
            properties: self.properties.clone(),
        })
    }
}

/// What was found out about bytes while they were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Recorded format.
    pub format: DiskFormat,
    /// Bytes.
    pub size: u64,
    /// Bytes of the disk inside; `None` where the container is not looked into.
    pub virtual_size: Option<u64>,
    /// MD5, hex.
    pub checksum: String,
    /// SHA-512, hex.
    pub sha512: String,
}

/// What a member said to an image shared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    /// Nothing yet.
    Pending,
    /// It shall be in its list.
    Accepted,
    /// It shall not.
    Rejected,
}

impl MemberStatus {
    /// Glance's word.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberStatus::Pending => "pending",
            MemberStatus::Accepted => "accepted",
            MemberStatus::Rejected => "rejected",
        }
    }
    /// Status of the word.
    pub fn parse(word: &str) -> Option<MemberStatus> {
        [MemberStatus::Pending, MemberStatus::Accepted, MemberStatus::Rejected].into_iter().find(|s| s.as_str() == word)
    }
}

/// One project that an image is shared with (table `image_members`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The image.
    pub image_id: Uuid,
    /// The project.
    pub member: String,
    /// What it said.
    pub status: MemberStatus,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
}

/// Text columns that lists filter by; the value list is "one of".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextField {
    /// `id`.
    Id,
    /// `name`.
    Name,
    /// `status`.
    Status,
    /// `owner`.
    Owner,
    /// `container_format`.
    ContainerFormat,
    /// `disk_format`.
    DiskFormat,
    /// `checksum`.
    Checksum,
    /// `os_hash_value`.
    HashValue,
}

/// Number columns that lists filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberField {
    /// `size`.
    Size,
    /// `virtual_size`.
    VirtualSize,
    /// `min_disk`.
    MinDisk,
    /// `min_ram`.
    MinRam,
    /// `created_at`, whole seconds since the epoch.
    CreatedAt,
    /// `updated_at`, whole seconds since the epoch.
    UpdatedAt,
}

/// One condition of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// The column is one of these.
    Text(TextField, Vec<String>),
    /// The column compares so.
    Number(NumberField, Compare, i64),
    /// `protected`.
    Protected(bool),
    /// It has the tag.
    Tag(String),
    /// It has the property with this value.
    Property(String, String),
}

/// Columns that lists sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// `name`.
    Name,
    /// `status`.
    Status,
    /// `container_format`.
    ContainerFormat,
    /// `disk_format`.
    DiskFormat,
    /// `size`.
    Size,
    /// `id`.
    Id,
    /// `created_at`.
    CreatedAt,
    /// `updated_at`.
    UpdatedAt,
}

impl SortKey {
    /// All, in the order Glance names them.
    pub const ALL: &'static [(&'static str, SortKey)] = &[
        ("name", SortKey::Name),
        ("status", SortKey::Status),
        ("container_format", SortKey::ContainerFormat),
        ("disk_format", SortKey::DiskFormat),
        ("size", SortKey::Size),
        ("id", SortKey::Id),
        ("created_at", SortKey::CreatedAt),
        ("updated_at", SortKey::UpdatedAt),
    ];
    /// Key of the word.
    pub fn parse(word: &str) -> Option<SortKey> {
        SortKey::ALL.iter().find(|(name, _)| *name == word).map(|(_, key)| *key)
    }
}

/// Which membership makes a shared image appear in the member's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberFilter {
    /// In this status.
    Status(MemberStatus),
    /// In any.
    All,
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Project whose view it is; `None` sees everything (administrators).
    pub viewer: Option<String>,
    /// The caller's own project, for which its own community images are listed.
    pub project: String,
    /// Only this visibility; `Some(None)` is `all`, `None` leaves other projects' community images out.
    pub visibility: Option<Option<Visibility>>,
    /// Which shared images appear.
    pub member: MemberFilter,
    /// Hidden images (only them), or the others.
    pub hidden: bool,
    /// Further conditions, all of which hold.
    pub filters: Vec<Filter>,
    /// Order: key and whether it descends.
    pub sort: Vec<(SortKey, bool)>,
    /// Last image of the page before.
    pub marker: Option<Uuid>,
    /// Rows at the most.
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Scope;

    fn caller(project: &str, roles: &[&str]) -> Context {
        Context {
            user_id: "u".into(),
            user_name: "u".into(),
            user_domain_id: "default".into(),
            scope: Scope::Project { id: project.into(), name: project.into(), domain_id: "default".into() },
            roles: roles.iter().map(|r| (*r).to_owned()).collect(),
            request_id: "req-1".into(),
            global_request_id: None,
        }
    }

    #[test]
    fn visibility_is_glances() {
        let mut image = Image::queued(Uuid::nil(), Some("p1".into()), Timestamp(0));
        let (own, other) = (caller("p1", &["member"]), caller("p2", &["member"]));
        for (visibility, seen, seen_as_member) in [
            (Visibility::Public, true, true),
            (Visibility::Community, true, true),
            (Visibility::Shared, false, true),
            (Visibility::Private, false, false),
        ] {
            image.visibility = visibility;
            assert!(image.visible_to(&own, false), "{visibility:?}");
            assert!(image.visible_to(&caller("p9", &["admin"]), false), "{visibility:?}");
            assert_eq!(image.visible_to(&other, false), seen, "{visibility:?}");
            assert_eq!(image.visible_to(&other, true), seen_as_member, "{visibility:?}");
        }
    }

    #[test]
    fn a_caller_without_project_owns_nothing() {
        let image = Image::queued(Uuid::nil(), Some(String::new()), Timestamp(0));
        assert!(!image.owned_by(&caller("", &["member"])));
    }

    #[test]
    fn words_read_back() {
        for (name, key) in SortKey::ALL {
            assert_eq!(SortKey::parse(name), Some(*key));
        }
        for f in DISK_FORMATS {
            assert_eq!(DiskFormat::parse(f.as_str()), Some(*f));
        }
        assert_eq!(Status::parse("killed"), None);
    }
}
