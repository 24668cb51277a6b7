//! The inside of a unit: statements, and nothing else. Beginning and ending the transaction belongs to the
//! engine's thread, so no caller can forget it.

use crate::changes::{self, News, Topic};
use crate::lite::Lite;
use crate::pg::Pg;
use crate::{Error, Result, Row, Value};

/// The two engines, for the rare statement that needs a twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

pub(crate) enum Engine {
    Lite(Lite),
    Pg(Box<Pg>),
}

/// Why the transaction cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A statement was refused; the unit is doomed.
    Statement(String),
    /// The transaction lost a race; run the unit again.
    Lost,
    /// The connection is gone; run the unit again on another.
    Broken(String),
}

/// An open transaction.
pub struct Tx {
    pub(crate) engine: Engine,
    failed: Option<Failure>,
    changed: bool,
    writing: bool,
    depth: u32,
    /// For the log of changes.
    noted: News,
    logged: bool,
    /// What the engine means to do for each statement, noted for tests that ask for it.
    plans: Option<Vec<(String, String)>>,
    /// Damaged rows that were told already.
    pub(crate) told: std::collections::BTreeSet<(&'static str, String)>,
}

impl Tx {
    pub(crate) fn new(engine: Engine) -> Tx {
        Tx {
            engine,
            failed: None,
            changed: false,
            writing: false,
            depth: 0,
            noted: News::new(),
            logged: false,
            plans: None,
            told: std::collections::BTreeSet::new(),
        }
    }
    pub(crate) fn start_unit(&mut self) {
        self.failed = None;
        self.changed = false;
        self.depth = 0;
        self.noted.clear();
        self.logged = false;
    }
    /// Says to the other controllers that this unit changed something; nothing where there are none (SQLite).
    pub fn note(&mut self, topic: Topic, key: impl std::fmt::Display) {
        if self.dialect() == Dialect::Postgres {
            self.noted.insert((topic, key.to_string()));
        }
    }
    /// Writes what was noted into the log.
    pub(crate) fn write_noted(&mut self) -> Result<()> {
        if self.noted.is_empty() {
            return Ok(());
        }
        let noted = std::mem::take(&mut self.noted);
        self.logged = true;
        changes::write(self, &noted)
    }
    /// Whether the unit wrote into the log.
    pub(crate) fn logged(&self) -> bool {
        self.logged
    }
    /// Whether the unit changed rows.
    pub(crate) fn changed(&self) -> bool {
        self.changed
    }
    pub(crate) fn failed(&self) -> Option<&Failure> {
        self.failed.as_ref()
    }
    /// The error of a unit in which a statement failed.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failed.as_ref().map(|failed| match failed {
            Failure::Statement(text) => Error::Sql(format!("an earlier statement of the unit failed: {text}")),
            Failure::Lost => Error::Busy,
            Failure::Broken(text) => Error::Unavailable(text.clone()),
        })
    }

    /// Which engine runs this.
    pub fn dialect(&self) -> Dialect {
        match self.engine {
            Engine::Lite(_) => Dialect::Sqlite,
            Engine::Pg(_) => Dialect::Postgres,
        }
    }
    /// What the SELECT of a record ends with, so that a writing unit holds the row until it ends and nothing
    /// read in it is out of date when it is written back. Empty where that is so anyway: in SQLite's one
    /// writer, and in a read.
    pub fn for_update(&self) -> &'static str {
        match self.dialect() {
            Dialect::Postgres if self.writing => " FOR UPDATE",
            _ => "",
        }
    }
    pub(crate) fn set_writing(&mut self, writing: bool) {
        self.writing = writing;
    }
    /// Runs a statement; how many rows it inserted, changed (matched) or deleted.
    pub fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.ready()?;
        self.note_plan(sql, params)?;
        let done = match &mut self.engine {
            Engine::Lite(lite) => lite.execute(sql, params),
            Engine::Pg(pg) => pg.execute(sql, params),
        };
        let rows = self.seen(done)?;
        self.changed |= rows > 0;
        Ok(rows)
    }
    /// All rows of a query (or of a statement with RETURNING).
    pub fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        self.ready()?;
        self.note_plan(sql, params)?;
        let done = match &mut self.engine {
            Engine::Lite(lite) => lite.query(sql, params),
            Engine::Pg(pg) => pg.query(sql, params),
        };
        let rows = self.seen(done)?;
        self.changed |= !rows.is_empty() && writes(sql);
        Ok(rows)
    }
    /// The only row, or none; more than one is a bug of the statement.
    pub fn query_one(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        let mut rows = self.query(sql, params)?.into_iter();
        match (rows.next(), rows.next()) {
            (row, None) => Ok(row),
            (_, Some(_)) => Err(Error::Sql("one row expected, more found".into())),
        }
    }
    /// A part that may fail alone: if `part` fails, what it did is taken back and the unit goes on. Costs two
    /// statements; prefer a guarded update whose row count is looked at.
    pub fn attempt<T>(&mut self, part: impl FnOnce(&mut Tx) -> Result<T>) -> Result<T> {
        self.ready()?;
        let (name, before) = (format!("attempt_{}", self.depth), self.changed);
        self.batch(&format!("SAVEPOINT {name}"))?;
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        let result = match (result, self.failure()) {
            (Ok(_), Some(failed)) => Err(failed),
            (result, _) => result,
        };
        if result.is_ok() {
            self.batch(&format!("RELEASE SAVEPOINT {name}"))?;
        } else if !matches!(self.failed, Some(Failure::Lost | Failure::Broken(_))) {
            self.failed = None;
            self.changed = before;
            self.batch(&format!("ROLLBACK TO SAVEPOINT {name}"))?;
            self.batch(&format!("RELEASE SAVEPOINT {name}"))?;
        }
        result
    }

    /// Runs `work` and tells, for each of its statements, how the engine goes about it.
    pub(crate) fn planned(&mut self, work: impl FnOnce(&mut Tx) -> Result<()>) -> Result<Vec<(String, String)>> {
        self.plans = Some(Vec::new());
        let done = work(self);
        let plans = self.plans.take().unwrap_or_default();
        done.map(|()| plans)
    }
    fn note_plan(&mut self, sql: &str, params: &[Value]) -> Result<()> {
        let Some(mut plans) = self.plans.take() else { return Ok(()) };
        let (explain, column) = match self.dialect() {
            Dialect::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
            Dialect::Postgres => ("EXPLAIN", "QUERY PLAN"),
        };
        let rows = self.query(&format!("{explain} {sql}"), params)?;
        let lines = rows.iter().map(|row| row.get::<String>(column)).collect::<Result<Vec<_>>>()?;
        plans.push((sql.to_owned(), lines.join("\n")));
        self.plans = Some(plans);
        Ok(())
    }
    /// Statements without parameters or answer: the engine's own (BEGIN, SAVEPOINT) and migrations.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<()> {
        let done = match &mut self.engine {
            Engine::Lite(lite) => lite.batch(sql),
            Engine::Pg(pg) => pg.batch(sql),
        };
        self.seen(done)
    }
    fn ready(&self) -> Result<()> {
        self.failure().map_or(Ok(()), Err)
    }
    pub(crate) fn seen<T>(&mut self, done: std::result::Result<T, (Failure, Error)>) -> Result<T> {
        done.map_err(|(failure, error)| {
            self.failed = Some(failure);
            error
        })
    }
}

/// Whether a statement that answers rows is one that changes them.
fn writes(sql: &str) -> bool {
    let mut words = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let changing = |word: &str| ["INSERT", "UPDATE", "DELETE"].iter().any(|w| word.eq_ignore_ascii_case(w));
    match words.next() {
        Some(first) if first.eq_ignore_ascii_case("WITH") => words.any(changing),
        Some(first) => changing(first),
        None => false,
    }
}
