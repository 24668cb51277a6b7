//! The reference driver: simulated hosts with a fault plan.
