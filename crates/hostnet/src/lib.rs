//! One host's networking, always inside a named namespace.
