//! Images, their members and the ids that may never come back.
//!
//! Only rows: never a byte of an image, never a rule of who may do what. Every change of state is a compare-and-set
//! whose answer says whether it happened, so that two uploads, or an upload and a delete, cannot both win.

mod list;
mod members;
mod rows;
mod upload;

pub use list::list;
pub use members::{add_member, count_members, get_member, members, remove_member, set_member_status};
pub use rows::{Stored, all, delete, find, get, insert, is_member, purge_tombstones, remove, save, used_bytes};
pub(crate) use members::check as check_member;
pub(crate) use rows::check;
pub use upload::{abort_upload, activate, begin_upload, change_status, release_interrupted};
