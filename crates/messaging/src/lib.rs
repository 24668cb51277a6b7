//! Typed calls from the control plane to a host.
