//! Typed HTTP clients of the OpenStack APIs.
