//! The frame of every HTTP door: who calls, what policy says, how a fault looks, how a body is read.
//!
//! Five OpenStack services have five shapes of error and one set of habits; the habits are here once. This crate
//! knows HTTP status and JSON, and never a resource: no table, no name of a server or an image. A service builds
//! its router from [`Route`] rows with [`router`], which checks each route's policy before the handler and renders
//! [`Fault`]s in the service's own shape.

mod body;
mod caller;
mod failures;
mod fault;
mod mount;
mod origin;
mod page;
mod route;

pub use body::{Body, read_json, unread};
pub use caller::{AuthState, Authenticate, Caller, MaybeCaller, RequestId, TokenFault, authenticate_layer};
pub use failures::{Failures, Peer, too_many_failures};
pub use fault::{Fault, FaultShape};
pub use mount::mount;
pub use origin::{Origin, Scheme};
pub use page::{Page, Query};
pub use route::{Route, RouteInfo, route, router};
