//! The north contract: bodies of the Compute API.
