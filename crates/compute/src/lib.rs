//! The host agent: one queue per instance, one driver.
