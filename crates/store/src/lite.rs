//! SQLite: one writer thread that serves everybody who waits with one flush, readers beside it on snapshots
//! of their own, or the whole thing inline on the caller's thread for simulations.
//!
//! WAL with `synchronous=FULL`: a COMMIT that returned is on the disk. A unit is answered only after that.
//! Nothing here is retried: there is one writer, so there is no race to lose.

use crate::store::{Counters, Job};
use crate::tx::{Engine, Failure};
use crate::unit::{self, Unit};
use crate::{Error, Result, Row, Tx, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The most units that share one flush: bounds how long the first of them waits for the others.
const BATCH: usize = 256;
/// How long a statement waits for another process that holds the file's lock.
const BUSY: Duration = Duration::from_secs(10);
/// Statements kept prepared per connection.
const STATEMENTS: usize = 512;

/// A connection.
pub(crate) struct Lite {
    conn: Connection,
    /// Statements as they came, with what SQLite is told. Only looked up, never walked.
    known: HashMap<String, Arc<Known>>,
}

/// What is the same every time a statement runs.
struct Known {
    /// With SQLite's kind of parameters.
    sql: String,
    /// Names of the answer's columns.
    columns: OnceLock<Arc<[String]>>,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
}

type Done<T> = std::result::Result<T, (Failure, Error)>;

/// Opens a connection; `durable` is false only for databases that die with the process anyway.
pub(crate) fn open(path: &Path, role: Role, durable: bool) -> Result<Tx> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(plain)?;
    conn.busy_timeout(BUSY).map_err(plain)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    let pragma = |name: &str, value: &str| {
        conn.pragma_update_and_check(None, name, value, |_| Ok(())).or_else(|e| match e {
            rusqlite::Error::QueryReturnedNoRows => Ok(()),
            other => Err(plain(other)),
        })
    };
    let journal = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)).map_err(plain)?;
    if journal != "wal" && path != Path::new(":memory:") {
        return Err(Error::Unavailable(format!("the file system of the database has no shared memory (journal {journal})")));
    }
    pragma("synchronous", if durable { "FULL" } else { "OFF" })?;
    pragma("foreign_keys", "ON")?;
    pragma("temp_store", "MEMORY")?;
    // The writer comes by the same inner pages again and again; a reader's pages are in the kernel's cache anyway.
    pragma("cache_size", if role == Role::Writer { "-16384" } else { "-4096" })?;
    pragma("journal_size_limit", "67108864")?;
    // A checkpoint costs flushes of its own, and writes each page once however often it changed since the last.
    pragma("wal_autocheckpoint", "8192")?;
    if role == Role::Reader {
        pragma("query_only", "ON")?;
    }
    Ok(Tx::new(Engine::Lite(Lite { conn, known: HashMap::new() })))
}

/// Everything that is in `from`, in a database of its own in memory.
pub(crate) fn copy(from: &Tx) -> Result<Tx> {
    let mut to = open(Path::new(":memory:"), Role::Writer, false)?;
    if let (Engine::Lite(from), Engine::Lite(to)) = (&from.engine, &mut to.engine) {
        let backup = rusqlite::backup::Backup::new(&from.conn, &mut to.conn).map_err(plain)?;
        // All pages in one step.
        backup.step(-1).map_err(plain)?;
    }
    Ok(to)
}

impl Lite {
    fn known(&mut self, sql: &str) -> Arc<Known> {
        if let Some(known) = self.known.get(sql) {
            return known.clone();
        }
        if self.known.len() >= STATEMENTS {
            self.known.clear();
        }
        let known = Arc::new(Known { sql: numbered(sql), columns: OnceLock::new() });
        self.known.insert(sql.to_owned(), known.clone());
        known
    }

    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Done<u64> {
        let known = self.known(sql);
        let mut statement = self.conn.prepare_cached(&known.sql).map_err(refused)?;
        let rows = statement.execute(rusqlite::params_from_iter(params)).map_err(refused)?;
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    }

    pub(crate) fn query(&mut self, sql: &str, params: &[Value]) -> Done<Vec<Row>> {
        let known = self.known(sql);
        let mut statement = self.conn.prepare_cached(&known.sql).map_err(refused)?;
        let columns = known.columns.get_or_init(|| statement.column_names().into_iter().map(str::to_owned).collect());
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(refused)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(refused)? {
            let mut values = Vec::with_capacity(columns.len());
            for (at, name) in columns.iter().enumerate() {
                let field = row.get_ref(at).map_err(refused)?;
                values.push(read(name, field).map_err(|e| (Failure::Statement(e.to_string()), e))?);
            }
            all.push(Row::new(columns.clone(), values));
        }
        Ok(all)
    }

    pub(crate) fn batch(&mut self, sql: &str) -> Done<()> {
        self.conn.execute_batch(sql).map_err(refused)
    }

    /// The same for one statement that comes again and again (the frame of a unit): prepared once.
    fn frame(&mut self, sql: &str) -> Done<()> {
        let mut statement = self.conn.prepare_cached(sql).map_err(refused)?;
        statement.raw_execute().map(|_| ()).map_err(refused)
    }

    /// Whether no transaction is open: SQLite ends one by itself when the disk is full or fails.
    fn idle(&self) -> bool {
        self.conn.is_autocommit()
    }
}

/// SQLite numbers `$1` by first appearance; `?1` means what PostgreSQL means. Quoted text is left alone.
fn numbered(sql: &str) -> String {
    let mut quote = None;
    let mut chars = sql.chars().peekable();
    let mut out = String::with_capacity(sql.len());
    while let Some(c) = chars.next() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        let parameter = c == '$' && quote.is_none() && chars.peek().is_some_and(char::is_ascii_digit);
        out.push(if parameter { '?' } else { c });
    }
    out
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(v) => ValueRef::Integer(*v),
            Value::Real(v) => ValueRef::Real(*v),
            Value::Text(v) => ValueRef::Text(v.as_bytes()),
            Value::Blob(v) => ValueRef::Blob(v),
        }))
    }
}

fn read(column: &str, field: ValueRef<'_>) -> Result<Value> {
    Ok(match field {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(v) => Value::Int(v),
        ValueRef::Real(v) => Value::Real(v),
        ValueRef::Text(v) => match std::str::from_utf8(v) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(e) => return Err(Error::corrupt(format!("column {column}"), e)),
        },
        ValueRef::Blob(v) => Value::Blob(v.to_vec()),
    })
}

fn refused(e: rusqlite::Error) -> (Failure, Error) {
    let error = plain(e);
    (Failure::Statement(error.to_string()), error)
}

fn plain(e: rusqlite::Error) -> Error {
    use rusqlite::ffi;
    let rusqlite::Error::SqliteFailure(code, message) = &e else {
        return Error::Sql(e.to_string());
    };
    let text = message.clone().unwrap_or_else(|| code.to_string());
    match code.code {
        ErrorCode::ConstraintViolation if code.extended_code == ffi::SQLITE_CONSTRAINT_NOTNULL => Error::Sql(text),
        ErrorCode::ConstraintViolation if code.extended_code == ffi::SQLITE_CONSTRAINT_DATATYPE => Error::Sql(text),
        ErrorCode::ConstraintViolation => Error::Conflict(text),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::corrupt("database file", text),
        ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly => {
            Error::Unavailable(text)
        }
        _ => Error::Sql(text),
    }
}

/// Runs one writing unit in a transaction of its own on the caller's thread.
pub(crate) fn inline<T>(
    tx: &mut Tx,
    write: bool,
    counters: &Counters,
    mut work: impl FnMut(&mut Tx) -> Result<T>,
) -> Result<T> {
    if !write {
        return snapshot(tx, work);
    }
    tx.start_unit();
    frame(tx, "BEGIN IMMEDIATE")?;
    let result = unit::run(tx, &mut work);
    if result.is_ok() {
        let changed = tx.changed();
        if let Err(e) = frame(tx, "COMMIT") {
            undo_all(tx);
            return Err(e);
        }
        counters.flushed(changed.into());
    } else {
        undo_all(tx);
    }
    result
}

/// Runs one reading unit on the caller's thread.
fn snapshot<T>(tx: &mut Tx, mut work: impl FnMut(&mut Tx) -> Result<T>) -> Result<T> {
    tx.start_unit();
    frame(tx, "BEGIN DEFERRED")?;
    let result = unit::run(tx, &mut work);
    let changed = tx.changed();
    undo_all(tx);
    if changed {
        // A reader's connection refuses by itself; the inline one can only take it back.
        return Err(Error::Sql("a read tried to change rows".into()));
    }
    result
}

/// A unit that was run in a batch: what it said, and whether it changed rows.
type Ran = (Box<dyn Unit>, Result<()>, bool);

/// The writer: takes what is waiting, runs each unit under a savepoint, flushes once, then answers.
pub(crate) fn write_loop(mut tx: Tx, queue: &Receiver<Job>, counters: &Counters) {
    while let Ok(first) = queue.recv() {
        tx.start_unit();
        if let Err(e) = frame(&mut tx, "BEGIN IMMEDIATE") {
            first.unit.answer(Err(e));
            continue;
        }
        let batch = run_waiting(&mut tx, first.unit, queue);
        if idle(&tx) {
            one_by_one(&mut tx, batch, counters);
        } else {
            commit(&mut tx, batch, counters);
        }
    }
}

/// Runs `first` and who else is waiting, until the batch is full or SQLite ends the transaction.
fn run_waiting(tx: &mut Tx, first: Box<dyn Unit>, queue: &Receiver<Job>) -> Vec<Ran> {
    let mut batch = Vec::new();
    let mut next = Some(first);
    while let Some(mut unit) = next.take() {
        let outcome = under_savepoint(tx, unit.as_mut());
        batch.push((unit, outcome, tx.changed()));
        if !idle(tx) && batch.len() < BATCH {
            next = queue.try_recv().ok().map(|job| job.unit);
        }
    }
    batch
}

fn commit(tx: &mut Tx, batch: Vec<Ran>, counters: &Counters) {
    let lost = frame(tx, "COMMIT").err().map(|e| e.to_string());
    if let Some(why) = &lost {
        // Whether the disk has it is not known; to run the units again could do them twice.
        undo_all(tx);
        tracing::error!(why, units = batch.len(), "a batch of writes was not committed");
    }
    let durable = batch.iter().filter(|(_, outcome, changed)| lost.is_none() && outcome.is_ok() && *changed);
    counters.flushed(durable.count().try_into().unwrap_or(u64::MAX));
    for (unit, outcome, _) in batch {
        unit.answer(match (outcome, &lost) {
            (Ok(()), Some(why)) => Err(Error::Unavailable(why.clone())),
            (outcome, _) => outcome,
        });
    }
}

/// SQLite took the whole transaction back because of one unit (a full disk does that). Nothing of it is
/// stored, so the others run again, each on its own.
fn one_by_one(tx: &mut Tx, batch: Vec<Ran>, counters: &Counters) {
    tracing::warn!(units = batch.len(), "the database took a batch of writes back; running them one by one");
    for (mut unit, outcome, _) in batch {
        let outcome = outcome.and_then(|()| inline(tx, true, counters, |tx| unit.run(tx)));
        unit.answer(outcome);
    }
}

fn under_savepoint(tx: &mut Tx, unit: &mut dyn Unit) -> Result<()> {
    tx.start_unit();
    frame(tx, "SAVEPOINT unit")?;
    let outcome = unit.run(tx);
    if outcome.is_ok() {
        return frame(tx, "RELEASE SAVEPOINT unit");
    }
    if !idle(tx) {
        tx.start_unit();
        tx.batch("ROLLBACK TO SAVEPOINT unit")?;
        frame(tx, "RELEASE SAVEPOINT unit")?;
    }
    outcome
}

/// A reader: each unit sees one snapshot. Several share the queue.
pub(crate) fn read_loop(mut tx: Tx, queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = job else { return };
        let outcome = snapshot(&mut tx, |tx| job.unit.run(tx));
        job.unit.answer(outcome);
    }
}

fn frame(tx: &mut Tx, sql: &str) -> Result<()> {
    let Engine::Lite(lite) = &mut tx.engine else { return tx.batch(sql) };
    let done = lite.frame(sql);
    tx.seen(done)
}

fn idle(tx: &Tx) -> bool {
    matches!(&tx.engine, Engine::Lite(lite) if lite.idle())
}

fn undo_all(tx: &mut Tx) {
    tx.start_unit();
    if !idle(tx)
        && let Err(e) = frame(tx, "ROLLBACK")
    {
        tracing::error!(error = %e, "rollback failed");
    }
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn parameters_are_numbered_and_quotes_are_left_alone() {
        assert_eq!(
            numbered("SELECT '$1 it''s $2', \"$3\" FROM t WHERE a = $2 AND b = $10"),
            "SELECT '$1 it''s $2', \"$3\" FROM t WHERE a = ?2 AND b = ?10"
        );
    }
}
