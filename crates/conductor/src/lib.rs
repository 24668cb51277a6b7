//! Flows and reconcilers.
