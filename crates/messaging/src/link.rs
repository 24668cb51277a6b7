//! The way between the control plane and a host: what becomes of each message on it.
//!
//! A transport may lose, double, delay and reorder. [`Link`] says so for one message at a time, so that a simulation
//! can hold the ends to their promise: a caller asks again under the same number until it is answered, a host does
//! nothing twice for one number, and silence ends as `Unreachable`. In process nothing is ever lost, and no link is asked.

use crate::server::{Envelope, Plugged};
use crate::{Call, HostReport, Outcome};
use driver_api::{Clock, Error, ErrorKind, Op, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// A call, to the host.
    Call,
    /// Word that a call arrived, or its answer, from the host.
    Answer,
    /// What a host says by itself.
    Report,
}

/// Decides what becomes of each message.
pub trait Link: Send + Sync {
    /// One delay for each copy that arrives: none is a loss, one of zero is a plain delivery, two are a doubling.
    fn copies(&self, host: &str, way: Way) -> Vec<Duration>;
}

/// First pause before a call that was not answered is sent again; each next one is twice as long.
const AGAIN: Duration = Duration::from_millis(250);
/// Longest such pause while the host is not heard.
const AGAIN_UNHEARD: Duration = Duration::from_secs(1);
/// Longest such pause while it works: its answer may be lost.
const AGAIN_HEARD: Duration = Duration::from_secs(5);
/// A host that lets nothing be heard about a call for so long is unreachable. Below a flow's lease, so that what
/// follows from it is decided by the flow that asked; long enough for dozens of messages to be lost in a row.
pub const SILENCE: Duration = Duration::from_secs(45);

/// A link with the time that passes on it.
#[derive(Clone)]
pub(crate) struct Weather {
    pub(crate) link: Arc<dyn Link>,
    pub(crate) clock: Clock,
    /// Calls so far: each has its number, which all copies of it share.
    pub(crate) calls: Arc<AtomicU64>,
}

impl std::fmt::Debug for Weather {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Weather").field("calls", &self.calls).finish_non_exhaustive()
    }
}

/// What arrives about a call.
enum Word {
    /// The host has the call.
    Heard,
    /// The host's agent went away with it.
    Gone,
    /// The answer.
    Answer(Box<Result<Outcome>>),
}

impl Weather {
    pub(crate) fn new(link: Arc<dyn Link>, clock: Clock) -> Weather {
        Weather { link, clock, calls: Arc::default() }
    }

    /// One call over the link: sent again under its number until it is answered or nothing was heard for too long.
    pub(crate) async fn call(&self, host: &str, to: &mpsc::Sender<Envelope>, op: &Op, call: Call) -> Result<Outcome> {
        let number = self.calls.fetch_add(1, Relaxed) + 1;
        let silent = || Error::new(ErrorKind::Unreachable, format!("host {host} does not answer"));
        let (words, mut arrived) = mpsc::unbounded_channel();
        // Counted in pauses, not by the clock: a process that stood still has not waited.
        let mut silence = Duration::ZERO;
        let mut pause = AGAIN;
        loop {
            self.send(host, to, number, op, &call, &words);
            silence += pause;
            let mut heard = false;
            let again = self.clock.sleep(pause);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    biased;
                    word = arrived.recv() => match word {
                        Some(Word::Answer(answer)) => return *answer,
                        Some(Word::Heard) => (heard, silence) = (true, Duration::ZERO),
                        Some(Word::Gone) | None => return Err(silent()),
                    },
                    () = &mut again => break,
                }
            }
            if silence >= SILENCE {
                return Err(silent());
            }
            pause = (pause * 2).min(if heard { AGAIN_HEARD } else { AGAIN_UNHEARD });
        }
    }

    /// Sends every copy on its way.
    fn send(&self, host: &str, to: &mpsc::Sender<Envelope>, number: u64, op: &Op, call: &Call, words: &mpsc::UnboundedSender<Word>) {
        for delay in self.link.copies(host, Way::Call) {
            let (me, host, to, op, call, words) = (self.clone(), host.to_owned(), to.clone(), op.clone(), call.clone(), words.clone());
            tokio::spawn(async move {
                me.wait(delay).await;
                let (reply, answer) = oneshot::channel();
                if to.send(Envelope { number, op, call, reply }).await.is_err() {
                    // A closed connection is seen by its end; that needs no message.
                    let _ = words.send(Word::Gone);
                    return;
                }
                me.bring(&host, Word::Heard, &words).await;
                let word = answer.await.map_or(Word::Gone, |a| Word::Answer(Box::new(a)));
                me.bring(&host, word, &words).await;
            });
        }
    }

    /// Brings a word back. A second copy would say the same to a caller that went on after the first.
    async fn bring(&self, host: &str, word: Word, words: &mpsc::UnboundedSender<Word>) {
        if matches!(word, Word::Gone) {
            let _ = words.send(word);
        } else if let Some(delay) = self.link.copies(host, Way::Answer).into_iter().min() {
            self.wait(delay).await;
            let _ = words.send(word);
        }
    }

    async fn wait(&self, delay: Duration) {
        if !delay.is_zero() {
            self.clock.sleep(delay).await;
        }
    }

    /// Carries a host's reports; ends with either end.
    pub(crate) fn carry(&self, host: &str, mut from: mpsc::Receiver<HostReport>, to: mpsc::Sender<HostReport>) {
        let (me, host) = (self.clone(), host.to_owned());
        // What the host said last of its state; what it said before and comes later is not true any more.
        let newest = Arc::new(AtomicU64::new(0));
        tokio::spawn(async move {
            let mut number = 0;
            while let Some(report) = from.recv().await {
                number += 1;
                for delay in me.link.copies(&host, Way::Report) {
                    let (me, report, to, newest) = (me.clone(), report.clone(), to.clone(), newest.clone());
                    let bring = async move {
                        me.wait(delay).await;
                        let stale = newest.fetch_max(number, Relaxed) > number;
                        if !stale || matches!(report, HostReport::Event(_)) {
                            let _ = to.send(report).await;
                        }
                    };
                    // In order where nothing is late.
                    if delay.is_zero() { bring.await } else { drop(tokio::spawn(bring)) }
                }
            }
        });
    }
}

/// Both ends of a transport for `host` over `link`.
pub fn in_process_over(host: &str, link: Arc<dyn Link>, clock: Clock) -> Plugged {
    crate::server::plug(host, Some(Weather::new(link, clock)))
}
