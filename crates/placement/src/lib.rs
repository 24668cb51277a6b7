//! Resource providers, claims, filters and weighers.
