//! One unit of work on its way to a database thread, and its answer back. The closure's panic ends here: a
//! bug in one request must not take the writer, and with it every other request, down.

use crate::{Error, Result, Tx};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::oneshot;

/// A unit whose result type is forgotten.
pub(crate) trait Unit: Send {
    /// Runs the closure once more and keeps its result. The transaction around it is the engine's.
    fn run(&mut self, tx: &mut Tx) -> Result<()>;
    /// Tells the caller: its result if the unit is durable now, else why not.
    fn answer(self: Box<Self>, outcome: Result<()>);
}

struct Typed<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

/// A unit for the queue and where its answer will arrive.
pub(crate) fn unit<T, F>(work: F) -> (Box<dyn Unit>, oneshot::Receiver<Result<T>>)
where
    T: Send + 'static,
    F: FnMut(&mut Tx) -> Result<T> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Typed { work, result: None, reply }), answer)
}

/// Runs `work` as one unit: its panic is an error, and a statement that failed inside fails it even if the
/// closure looked away.
pub(crate) fn run<T>(tx: &mut Tx, work: &mut impl FnMut(&mut Tx) -> Result<T>) -> Result<T> {
    tx.start_unit();
    // Whatever the closure had half done is discarded by the rollback that follows an error.
    let result = match catch_unwind(AssertUnwindSafe(|| work(tx))) {
        Ok(result) => result,
        Err(panic) => Err(Error::abort(format!("a unit of work panicked: {}", text_of(panic.as_ref())))),
    };
    match (result, tx.failure()) {
        (Ok(_), Some(failed)) => Err(failed),
        (result, _) => result,
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

impl<T, F> Unit for Typed<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Tx) -> Result<T> + Send + 'static,
{
    fn run(&mut self, tx: &mut Tx) -> Result<()> {
        self.result = None;
        self.result = Some(run(tx, &mut self.work)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let answer = match (outcome, self.result) {
            (Ok(()), Some(result)) => Ok(result),
            (Ok(()), None) => Err(Error::Unavailable("the unit was never run".into())),
            (Err(error), _) => Err(error),
        };
        // A caller that went away (its request was dropped) does not take the unit back.
        let _gone = self.reply.send(answer);
    }
}
