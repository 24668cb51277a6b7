//! The north kit and the test cluster.
