//! The operator's and the user's command line.
