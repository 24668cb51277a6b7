//! All SQL: SQLite and PostgreSQL behind one transaction.
