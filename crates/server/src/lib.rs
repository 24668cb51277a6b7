//! One binary: every role.
