//! PostgreSQL: a pool of threads, each with a session of its own. READ COMMITTED with guarded updates; a
//! transaction that lost a race or its connection is run again. Reads see one snapshot (REPEATABLE READ).
//!
//! When the connection dies during COMMIT nobody knows whether it happened; the transaction's id is asked
//! for afterwards, so that a unit is never run twice and never reported wrongly.

use crate::store::{Counters, Job, spawn};
use crate::tx::{Engine, Failure};
use crate::{Error, Result, Row, Tx, Value, migrations};
use postgres::error::SqlState;
use postgres::{Client, SimpleQueryMessage, Statement};
use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) mod news;
mod tls;
mod wire;

use tls::Target;

/// How often a unit that lost a race is run.
const RACES: u32 = 10;
/// How often a unit whose connection died is run.
const CONNECTIONS: u32 = 3;
/// Statements kept prepared per session; beyond that all are forgotten at once.
const STATEMENTS: usize = 512;
/// What every session is told first. Durability is never less than a flush here; a server set to more
/// (remote_apply) is left alone.
const SESSION: &str = "SET lock_timeout = '10s'; SET application_name = 'kilonova'; \
    SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// A session.
pub(crate) struct Pg {
    target: Target,
    client: Option<Client>,
    statements: HashMap<String, Statement>,
}

type Done<T> = std::result::Result<T, (Failure, Error)>;

/// Migrates, then starts the threads.
pub(crate) fn start(
    url: &str,
    connections: usize,
    queue: Receiver<Job>,
    counters: &Arc<Counters>,
) -> Result<Vec<JoinHandle<()>>> {
    let target = Target::read(url)?;
    let first = target.clone();
    // The client runs a small runtime inside, which must not be entered from an async thread.
    let opened = spawn_with("store-migrate", move || {
        let mut tx = Tx::new(Engine::Pg(Pg::new(first)));
        migrations::run(&mut tx)?;
        warn_if_not_durable(&mut tx)
    })?;
    opened.join().map_err(|_| Error::Unavailable("migrating PostgreSQL panicked".into()))??;
    let queue = Arc::new(Mutex::new(queue));
    (0..connections)
        .map(|index| {
            let pg = Pg::new(target.clone());
            let (queue, counters) = (queue.clone(), counters.clone());
            spawn("store-postgres", move || work_loop(pg, index, &queue, &counters))
        })
        .collect()
}

fn spawn_with<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map_err(|e| Error::Unavailable(format!("no thread for the database: {e}")))
}

fn warn_if_not_durable(tx: &mut Tx) -> Result<()> {
    tx.start_unit();
    let row = tx.query_one("SELECT current_setting('fsync') AS fsync", &[])?;
    if row.is_some_and(|row| row.text("fsync").is_ok_and(|fsync| fsync != "on")) {
        tracing::warn!("this PostgreSQL server runs with fsync off: a power cut will lose acknowledged writes");
    }
    Ok(())
}

impl Pg {
    fn new(target: Target) -> Box<Pg> {
        Box::new(Pg { target, client: None, statements: HashMap::new() })
    }

    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Done<u64> {
        let statement = self.prepare(sql)?;
        let refs = references(params);
        let done = self.client()?.execute(&statement, &refs);
        done.map_err(|e| self.refused(&e))
    }

    pub(crate) fn query(&mut self, sql: &str, params: &[Value]) -> Done<Vec<Row>> {
        let statement = self.prepare(sql)?;
        let refs = references(params);
        let rows = self.client()?.query(&statement, &refs).map_err(|e| self.refused(&e))?;
        let columns: Arc<[String]> = statement.columns().iter().map(|c| c.name().to_owned()).collect();
        rows.iter()
            .map(|row| {
                let values = (0..columns.len()).map(|at| row.try_get::<_, Value>(at)).collect::<std::result::Result<_, _>>();
                values.map(|values| Row::new(columns.clone(), values)).map_err(|e| self.refused(&e))
            })
            .collect()
    }

    pub(crate) fn batch(&mut self, sql: &str) -> Done<()> {
        let done = self.client()?.batch_execute(sql);
        done.map_err(|e| self.refused(&e))
    }

    fn prepare(&mut self, sql: &str) -> Done<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client()?.prepare(sql).map_err(|e| self.refused(&e))?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// The session, made if there is none.
    fn client(&mut self) -> Done<&mut Client> {
        if self.client.is_none() {
            let made = self.target.connect().and_then(|mut client| {
                client.batch_execute(SESSION)?;
                Ok(client)
            });
            let client = made.map_err(|e| broken(&e))?;
            self.statements.clear();
            self.client = Some(client);
        }
        self.client.as_mut().ok_or_else(|| {
            let text = "no session with PostgreSQL".to_owned();
            (Failure::Broken(text.clone()), Error::Unavailable(text))
        })
    }

    fn refused(&mut self, e: &postgres::Error) -> (Failure, Error) {
        let closed = self.client.as_ref().is_none_or(Client::is_closed);
        let Some(db) = e.as_db_error() else {
            return if closed || e.is_closed() { broken(e) } else { statement(Error::Sql(e.to_string())) };
        };
        let (code, text) = (db.code().clone(), db.message().to_owned());
        let named = || match (db.table(), db.constraint()) {
            (Some(table), Some(constraint)) => format!("{text} ({table}, {constraint})"),
            _ => text.clone(),
        };
        match code {
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => (Failure::Lost, Error::Busy),
            SqlState::LOCK_NOT_AVAILABLE => statement(Error::Busy),
            SqlState::UNIQUE_VIOLATION
            | SqlState::FOREIGN_KEY_VIOLATION
            | SqlState::CHECK_VIOLATION
            | SqlState::EXCLUSION_VIOLATION => statement(Error::Conflict(named())),
            SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY | SqlState::READ_ONLY_SQL_TRANSACTION => {
                statement(Error::Unavailable(text))
            }
            SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => broken(e),
            SqlState::FEATURE_NOT_SUPPORTED => {
                // "cached plan must not change result type": somebody migrated while we ran.
                self.statements.clear();
                statement(Error::Sql(text))
            }
            _ if closed || code.code().starts_with("08") => broken(e),
            _ => statement(Error::Sql(text)),
        }
    }
}

fn references(params: &[Value]) -> Vec<&(dyn postgres::types::ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn postgres::types::ToSql + Sync)).collect()
}

fn statement(error: Error) -> (Failure, Error) {
    (Failure::Statement(error.to_string()), error)
}

fn broken(e: &postgres::Error) -> (Failure, Error) {
    let cause = std::error::Error::source(e).map(|cause| format!(": {cause}")).unwrap_or_default();
    let text = format!("{e}{cause}");
    (Failure::Broken(text.clone()), Error::Unavailable(text))
}

fn work_loop(pg: Box<Pg>, index: usize, queue: &Mutex<Receiver<Job>>, counters: &Counters) {
    let mut tx = Tx::new(Engine::Pg(pg));
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = job else { return };
        let (outcome, changed) = run(&mut tx, &mut job, index);
        if outcome.is_ok() && job.write {
            counters.flushed(changed.into());
            if tx.logged() {
                counters.poke();
            }
        }
        job.unit.answer(outcome);
    }
}

/// How one run of a unit ended.
enum Ended {
    Done(Result<()>),
    /// Lost a race: run it again, unless that went on too long.
    Lost,
    /// Lost the connection before COMMIT was sent, or after it is known not to have happened.
    Broken(String),
}

fn run(tx: &mut Tx, job: &mut Job, index: usize) -> (Result<()>, bool) {
    let (mut races, mut connections) = (0, 0);
    loop {
        match once(tx, job) {
            Ended::Done(outcome) => return (outcome, tx.changed()),
            Ended::Lost => {
                races += 1;
                if races >= RACES {
                    return (Err(Error::Busy), false);
                }
                // Different threads wait differently long, so that the same two do not meet again.
                let pause = u64::from(races) * (1 + u64::try_from(index % 16).unwrap_or(0));
                std::thread::sleep(Duration::from_millis(pause));
            }
            Ended::Broken(why) => {
                forget(tx);
                connections += 1;
                if connections >= CONNECTIONS {
                    return (Err(Error::Unavailable(why)), false);
                }
                std::thread::sleep(Duration::from_millis(20 * u64::from(connections * connections)));
            }
        }
    }
}

fn once(tx: &mut Tx, job: &mut Job) -> Ended {
    tx.start_unit();
    tx.set_writing(job.write);
    let xid = match begin(tx, job.write) {
        Ok(xid) => xid,
        Err((Failure::Broken(why), _)) => return Ended::Broken(why),
        Err((_, error)) => return Ended::Done(Err(error)),
    };
    let outcome = job.unit.run(tx);
    match (outcome, tx.failed().cloned()) {
        (_, Some(Failure::Broken(why))) => Ended::Broken(why),
        (_, Some(Failure::Lost)) => rolled_back(tx, Ended::Lost),
        (Err(error), _) => rolled_back(tx, Ended::Done(Err(error))),
        (Ok(()), _) => match log_and_commit(tx, job.write) {
            Ok(()) => Ended::Done(Ok(())),
            Err(error) => match tx.failed() {
                Some(Failure::Lost) => rolled_back(tx, Ended::Lost),
                Some(Failure::Broken(_)) => settle(tx, xid),
                _ => rolled_back(tx, Ended::Done(Err(error))),
            },
        },
    }
}

/// What the unit noted goes into the log of changes, as the last statement of the unit.
fn log_and_commit(tx: &mut Tx, write: bool) -> Result<()> {
    if write {
        tx.write_noted()?;
    }
    tx.batch("COMMIT")
}

/// Opens the transaction; a writing one learns its id in the same round trip.
fn begin(tx: &mut Tx, write: bool) -> Done<Option<String>> {
    let Engine::Pg(pg) = &mut tx.engine else { return Ok(None) };
    let sql = if write {
        "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT txid_current()"
    } else {
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    };
    let answer = pg.client()?.simple_query(sql);
    let answer = answer.map_err(|e| pg.refused(&e))?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

fn rolled_back(tx: &mut Tx, ended: Ended) -> Ended {
    tx.start_unit();
    if tx.batch("ROLLBACK").is_err() {
        // The server rolls back by itself when the session ends.
        forget(tx);
    }
    ended
}

fn forget(tx: &mut Tx) {
    if let Engine::Pg(pg) = &mut tx.engine {
        pg.client = None;
        pg.statements.clear();
    }
}

/// The connection died while COMMIT was on its way: asks what became of the transaction.
fn settle(tx: &mut Tx, xid: Option<String>) -> Ended {
    let Some(xid) = xid else { return Ended::Broken("lost while reading".into()) };
    let unknown = || Ended::Done(Err(Error::Unavailable("lost during COMMIT; the outcome is unknown".into())));
    for round in 0..50_u64 {
        std::thread::sleep(Duration::from_millis(10 + 10 * round));
        forget(tx);
        let Engine::Pg(pg) = &mut tx.engine else { return unknown() };
        let Ok(client) = pg.client() else { continue };
        match client.simple_query(&format!("SELECT txid_status({xid})")) {
            Ok(answer) => match answer.iter().find_map(|m| match m {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            }) {
                Some("committed") => return Ended::Done(Ok(())),
                Some("aborted") => return Ended::Broken("lost during COMMIT".into()),
                Some(_) => {}
                None => return unknown(),
            },
            Err(_) => continue,
        }
    }
    unknown()
}
