//! The one explicit list of drivers.
