//! What cannot be otherwise, as data; the test holds each row against what happens.

/// Fields of which some damage is a legal value: nobody can tell. Field and why.
pub const LEGAL: &[(&str, &str)] = &[];

/// Fields whose damage is found, but in another thing than the row itself. Field and why.
pub const FOUND: &[(&str, &str)] = &[];

/// Fields without which nothing can be served: the start says so. Field and words of the message.
pub const STOPS: &[(&str, &str)] = &[];

/// Tables without a row here: SQLite has one controller, and never a row in the log between controllers.
pub const EMPTY: &[&str] = &["changes", "controllers"];
