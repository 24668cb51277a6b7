//! What many at once must not break: quota and server groups, on one controller and on several that share a database.
#![allow(clippy::unwrap_used)]

mod groups;
mod pair;
mod quota;
mod support;
mod two;
