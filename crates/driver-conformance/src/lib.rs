//! The kit that every driver runs.
