//! One multiplexed connection: many calls under way, each answered by its serial; events; liveness pings.
//!
//! It never reconnects by itself: whoever holds it sees `closed` and opens another. Streams are not carried here,
//! since a slow reader of one would hold up every call behind it; see [`super::stream`].

use super::address::{Address, Endpoint};
use super::calls;
use super::frame::{self, Header, Kind, Status};
use super::xdr::{Decoder, Encoder};
use super::{Error, Result};
use driver_api::external;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) const PROC_CONNECT_OPEN: i32 = 1;
pub(super) const PROC_CONNECT_CLOSE: i32 = 2;
pub(super) const PROC_CONNECT_SUPPORTS_FEATURE: i32 = 60;
pub(super) const PROC_AUTH_LIST: i32 = 66;
pub(super) const PROC_AUTH_POLKIT: i32 = 70;
const FEATURE_KEEPALIVE: i32 = 10;
const AUTH_NONE: i32 = 0;
const AUTH_POLKIT: i32 = 2;

/// How long a connection may take to be made, authenticated and opened.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an ordinary call may take. A daemon waits at most 30 s for a domain's lock by itself.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long saying goodbye may take, in all.
pub const GOODBYE: Duration = Duration::from_secs(2);
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PINGS_UNANSWERED: u32 = 5;

/// Both directions of a socket, whatever its family.
pub struct Socket {
    /// From the daemon.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// To the daemon.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// Dials `endpoint`.
///
/// # Errors
/// `Connection`, naming the endpoint.
pub async fn dial(endpoint: &Endpoint) -> Result<Socket> {
    match endpoint {
        Endpoint::Unix(path) => {
            let s =
                UnixStream::connect(path).await.map_err(|e| Error::Connection(format!("{}: {e}", path.display())))?;
            let (reader, writer) = s.into_split();
            Ok(Socket { reader: Box::new(reader), writer: Box::new(writer) })
        }
        Endpoint::Tcp { host, port } => {
            let s = TcpStream::connect((host.as_str(), *port))
                .await
                .map_err(|e| Error::Connection(format!("{host}:{port}: {e}")))?;
            let _ = s.set_nodelay(true);
            let (reader, writer) = s.into_split();
            Ok(Socket { reader: Box::new(reader), writer: Box::new(writer) })
        }
    }
}

/// An event as it arrived: number of its procedure and its payload.
#[derive(Debug, Clone)]
pub struct RawEvent {
    /// Procedure.
    pub procedure: i32,
    /// Payload.
    pub payload: Vec<u8>,
}

type Reply = std::result::Result<Vec<u8>, frame::RemoteError>;

/// Calls that the daemon has not answered; `None` for one whose caller went away.
type Pending = BTreeMap<u32, Option<oneshot::Sender<Reply>>>;

struct Shared {
    pending: Mutex<Pending>,
    answered: Notify,
    /// Numbers of the events registered for.
    callbacks: Mutex<Vec<i32>>,
    serial: AtomicU32,
    out: mpsc::Sender<Vec<u8>>,
    closed: CancellationToken,
    unanswered: AtomicU32,
    /// The tasks that hold the socket.
    loops: TaskTracker,
}

impl Shared {
    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn callbacks(&self) -> std::sync::MutexGuard<'_, Vec<i32>> {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn close(&self) {
        self.closed.cancel();
        // Dropping the senders wakes every caller.
        self.pending().clear();
        self.answered.notify_one();
    }
    /// Waits until the daemon is at work on nothing of ours.
    async fn idle(&self) {
        while !self.pending().is_empty() {
            self.answered.notified().await;
        }
    }
}

/// The caller of a call. Gone before its answer, it leaves a note of what the daemon is still at work on.
struct Caller<'a> {
    shared: &'a Shared,
    serial: u32,
    sent: bool,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        let mut pending = self.shared.pending();
        if !self.sent || self.shared.closed.is_cancelled() {
            pending.remove(&self.serial);
        } else if let Some(waiting) = pending.get_mut(&self.serial) {
            *waiting = None;
        }
    }
}

/// The last of a connection's clones closes its socket, if nobody said goodbye.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl std::ops::Deref for Handle {
    type Target = Arc<Shared>;
    fn deref(&self) -> &Arc<Shared> {
        &self.0
    }
}

/// An open connection. Cheap to clone; closes when `close` is called, the last clone is dropped or the daemon goes away.
#[derive(Clone)]
pub struct Client(Arc<Handle>);

impl Client {
    /// Connects, authenticates and opens `address`. Events arrive in `events`; when nobody takes them there, the
    /// connection closes, so that a lost event is seen as a lost connection.
    ///
    /// # Errors
    /// `Connection`, `Auth`, `TimedOut`.
    pub async fn connect(address: &Address, events: mpsc::Sender<RawEvent>) -> Result<Client> {
        let whole = async {
            let socket = dial(&address.endpoint).await?;
            let client = Client::over(socket, events);
            client.authenticate().await?;
            let mut e = Encoder::new();
            e.optional_string(Some(&address.open)).u32(0);
            client.call(PROC_CONNECT_OPEN, e).await?;
            client.keep_alive().await?;
            Ok(client)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, whole).await.unwrap_or(Err(Error::TimedOut(CONNECT_TIMEOUT.as_secs())))
    }

    /// Starts the tasks of a connection over `socket`, without any call made.
    pub fn over(socket: Socket, events: mpsc::Sender<RawEvent>) -> Client {
        let (out, outbox) = mpsc::channel(64);
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            answered: Notify::new(),
            callbacks: Mutex::default(),
            serial: AtomicU32::new(1),
            out,
            closed: CancellationToken::new(),
            unanswered: AtomicU32::new(0),
            loops: TaskTracker::new(),
        });
        shared.loops.spawn(write_loop(shared.clone(), socket.writer, outbox));
        shared.loops.spawn(read_loop(shared.clone(), socket.reader, events));
        shared.loops.close();
        Client(Arc::new(Handle(shared)))
    }

    async fn authenticate(&self) -> Result<()> {
        let reply = self.call(PROC_AUTH_LIST, Encoder::new()).await?;
        let kinds = Decoder::new(&reply).list(20, |d| d.i32())?;
        if kinds.is_empty() || kinds.contains(&AUTH_NONE) {
            return Ok(());
        }
        if kinds.contains(&AUTH_POLKIT) {
            return match self.call(PROC_AUTH_POLKIT, Encoder::new()).await {
                Ok(_) => Ok(()),
                Err(Error::Remote(e)) => Err(Error::Auth(format!("polkit: {}", e.message))),
                Err(e) => Err(e),
            };
        }
        Err(Error::Auth("the daemon wants SASL, which is not spoken here; use its unix socket".into()))
    }

    async fn keep_alive(&self) -> Result<()> {
        let mut e = Encoder::new();
        e.i32(FEATURE_KEEPALIVE);
        // Asking is what makes the daemon answer pings.
        let reply = self.call(PROC_CONNECT_SUPPORTS_FEATURE, e).await?;
        if Decoder::new(&reply).i32()? != 0 {
            self.0.loops.spawn(ping_loop(Arc::clone(&self.0)));
        }
        Ok(())
    }

    /// Fires when the connection is gone.
    pub fn closed(&self) -> &CancellationToken {
        &self.0.closed
    }

    /// Remembers a registration, for `close`.
    pub(super) fn registered(&self, callback: i32) {
        self.0.callbacks().push(callback);
    }

    /// Says goodbye in the daemon's order: its work for us ends, events are deregistered, the connection is closed there,
    /// and only then the socket here. A daemon that is cut off while it sends an event may fall over it (libvirt 9.0).
    /// Takes at most [`GOODBYE`], and returns when the socket is closed.
    pub async fn close(&self) {
        let bye = async {
            // What takes longer goes on there without us.
            let _ = tokio::time::timeout(GOODBYE / 2, self.0.idle()).await;
            let callbacks = std::mem::take(&mut *self.0.callbacks());
            for callback in callbacks {
                self.deregister_events(callback).await?;
            }
            self.call(PROC_CONNECT_CLOSE, Encoder::new()).await
        };
        match tokio::time::timeout(GOODBYE, bye).await {
            Ok(Ok(_)) => {}
            Ok(Err(e)) => tracing::debug!(error = %e, "libvirt did not take our goodbye"),
            Err(_) => tracing::debug!("libvirt did not answer our goodbye in time"),
        }
        self.0.close();
        self.0.loops.wait().await;
    }

    /// Calls `procedure` and waits at most [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn call(&self, procedure: i32, args: Encoder) -> Result<Vec<u8>> {
        self.call_within(procedure, args, CALL_TIMEOUT).await
    }

    /// Calls `procedure` and waits at most `limit`.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn call_within(&self, procedure: i32, args: Encoder, limit: Duration) -> Result<Vec<u8>> {
        let gone = || Error::Connection("the connection is closed".into());
        let serial = self.0.serial.fetch_add(1, Ordering::Relaxed);
        let header = Header { program: frame::REMOTE_PROGRAM, procedure, kind: Kind::Call, serial, status: Status::Ok };
        let (tx, rx) = oneshot::channel();
        self.0.pending().insert(serial, Some(tx));
        let mut caller = Caller { shared: &self.0, serial, sent: false };
        if self.0.closed.is_cancelled() {
            return Err(gone());
        }
        let work = async {
            let permit = self.0.out.reserve().await.map_err(|_| gone())?;
            permit.send(header.message(&args.into_bytes()));
            caller.sent = true;
            rx.await.map_err(|_| gone())?.map_err(Error::Remote)
        };
        let bounded = tokio::time::timeout(limit, work);
        external(calls::name(procedure), bounded).await.unwrap_or(Err(Error::TimedOut(limit.as_secs())))
    }
}

async fn write_loop(
    shared: Arc<Shared>,
    mut writer: Box<dyn AsyncWrite + Send + Unpin>,
    mut outbox: mpsc::Receiver<Vec<u8>>,
) {
    loop {
        let message = tokio::select! {
            biased;
            () = shared.closed.cancelled() => break,
            m = outbox.recv() => m,
        };
        let Some(message) = message else { break };
        let written = tokio::select! {
            biased;
            // A daemon that reads nothing holds nobody up.
            () = shared.closed.cancelled() => break,
            written = writer.write_all(&message) => written,
        };
        if let Err(e) = written {
            tracing::debug!(error = %e, "writing to libvirt failed");
            break;
        }
    }
    let _ = writer.shutdown().await;
    shared.close();
}

/// Reads one message after its length word; shared with the streams.
///
/// # Errors
/// `Connection` at its end, `Decode` where the length is out of range.
pub async fn read_message(reader: &mut (dyn AsyncRead + Send + Unpin)) -> Result<Vec<u8>> {
    let lost = |e: std::io::Error| Error::Connection(e.to_string());
    let mut word = [0u8; 4];
    reader.read_exact(&mut word).await.map_err(lost)?;
    let len = frame::body_len(word)?;
    // Grows with what arrives: a length word alone cannot make us allocate 32 MiB.
    let mut body = Vec::with_capacity(len.min(65_536));
    let got = reader.take(len as u64).read_to_end(&mut body).await.map_err(lost)?;
    if got < len {
        return Err(Error::Connection("the daemon hung up within a message".into()));
    }
    Ok(body)
}

async fn read_loop(shared: Arc<Shared>, mut reader: Box<dyn AsyncRead + Send + Unpin>, events: mpsc::Sender<RawEvent>) {
    loop {
        let body = tokio::select! {
            biased;
            () = shared.closed.cancelled() => break,
            b = read_message(&mut *reader) => b,
        };
        let done = match body {
            Ok(body) => match Header::decode(&body) {
                Ok((header, payload)) => handle(&shared, &header, payload, &events).await,
                Err(e) => Err(e.into()),
            },
            Err(e) => Err(e),
        };
        if let Err(e) = done {
            tracing::debug!(error = %e, "connection to libvirt ends");
            break;
        }
    }
    shared.close();
}

async fn handle(shared: &Shared, header: &Header, payload: &[u8], events: &mpsc::Sender<RawEvent>) -> Result<()> {
    match (header.program, header.kind) {
        (frame::KEEPALIVE_PROGRAM, Kind::Message) if header.procedure == frame::KEEPALIVE_PING => {
            let pong = Header { procedure: frame::KEEPALIVE_PONG, ..*header };
            shared.out.send(pong.message(&[])).await.map_err(|_| Error::Connection("writer is gone".into()))
        }
        (frame::KEEPALIVE_PROGRAM, Kind::Message) => {
            shared.unanswered.store(0, Ordering::Relaxed);
            Ok(())
        }
        (frame::REMOTE_PROGRAM, Kind::Reply) => {
            shared.unanswered.store(0, Ordering::Relaxed);
            let waiting = shared.pending().remove(&header.serial);
            shared.answered.notify_one();
            if let Some(Some(waiting)) = waiting {
                let reply = match header.status {
                    Status::Error => Err(frame::decode_error(payload)),
                    Status::Ok | Status::Continue => Ok(payload.to_vec()),
                };
                let _ = waiting.send(reply);
            }
            Ok(())
        }
        (frame::REMOTE_PROGRAM, Kind::Message) => {
            let event = RawEvent { procedure: header.procedure, payload: payload.to_vec() };
            events.try_send(event).map_err(|_| Error::Connection("events are not taken".into()))
        }
        _ => Ok(()),
    }
}

async fn ping_loop(shared: Arc<Shared>) {
    let ping = Header {
        program: frame::KEEPALIVE_PROGRAM,
        procedure: frame::KEEPALIVE_PING,
        kind: Kind::Message,
        serial: 0,
        status: Status::Ok,
    };
    loop {
        tokio::select! {
            biased;
            () = shared.closed.cancelled() => return,
            () = tokio::time::sleep(PING_INTERVAL) => {}
        }
        if shared.unanswered.fetch_add(1, Ordering::Relaxed) >= PINGS_UNANSWERED {
            tracing::warn!("libvirt answers no pings; the connection is given up");
            shared.close();
            return;
        }
        let _ = shared.out.send(ping.message(&[])).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pair() -> (Client, tokio::io::DuplexStream, mpsc::Receiver<RawEvent>) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (reader, writer) = tokio::io::split(ours);
        let (tx, rx) = mpsc::channel(8);
        (Client::over(Socket { reader: Box::new(reader), writer: Box::new(writer) }, tx), theirs, rx)
    }

    async fn next(theirs: &mut tokio::io::DuplexStream) -> (Header, Vec<u8>) {
        let body = read_message(theirs).await.unwrap();
        let (h, p) = Header::decode(&body).unwrap();
        (h, p.to_vec())
    }

    #[tokio::test]
    async fn answers_find_their_calls_in_any_order() {
        let (client, mut theirs, _events) = pair();
        let (a, b) = (client.clone(), client.clone());
        let first = tokio::spawn(async move { a.call(7, Encoder::new()).await });
        let (h1, _) = next(&mut theirs).await;
        let second = tokio::spawn(async move { b.call(8, Encoder::new()).await });
        let (h2, _) = next(&mut theirs).await;
        for (h, text) in [(h2, b"two!"), (h1, b"one!")] {
            let reply = Header { kind: Kind::Reply, ..h };
            theirs.write_all(&reply.message(text)).await.unwrap();
        }
        assert_eq!(first.await.unwrap().unwrap(), b"one!");
        assert_eq!(second.await.unwrap().unwrap(), b"two!");
    }

    #[tokio::test]
    async fn a_closed_connection_wakes_callers_and_refuses_new_ones() {
        let (client, theirs, _events) = pair();
        let c = client.clone();
        let waiting = tokio::spawn(async move { c.call(7, Encoder::new()).await });
        tokio::task::yield_now().await;
        drop(theirs);
        assert!(matches!(waiting.await.unwrap(), Err(Error::Connection(_))));
        client.closed().cancelled().await;
        assert!(matches!(client.call(7, Encoder::new()).await, Err(Error::Connection(_))));
    }

    #[tokio::test]
    async fn errors_events_and_pings() {
        let (client, mut theirs, mut events) = pair();
        let c = client.clone();
        let waiting = tokio::spawn(async move { c.call(24, Encoder::new()).await });
        let (h, _) = next(&mut theirs).await;
        let mut e = Encoder::new();
        e.i32(42).i32(10).optional_string(Some("Domain not found"));
        let reply = Header { kind: Kind::Reply, status: Status::Error, ..h };
        theirs.write_all(&reply.message(&e.into_bytes())).await.unwrap();
        assert!(waiting.await.unwrap().unwrap_err().is(super::super::code::NO_DOMAIN));
        let event = Header { procedure: 318, kind: Kind::Message, serial: 0, ..h };
        theirs.write_all(&event.message(b"abcd")).await.unwrap();
        assert_eq!(events.recv().await.unwrap().procedure, 318);
        let ping = Header {
            program: frame::KEEPALIVE_PROGRAM,
            procedure: 1,
            kind: Kind::Message,
            serial: 0,
            status: Status::Ok,
        };
        theirs.write_all(&ping.message(&[])).await.unwrap();
        let (pong, _) = next(&mut theirs).await;
        assert_eq!((pong.program, pong.procedure), (frame::KEEPALIVE_PROGRAM, frame::KEEPALIVE_PONG));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_daemon_times_out() {
        let (client, _theirs, _events) = pair();
        assert!(matches!(client.call(7, Encoder::new()).await, Err(Error::TimedOut(_))));
        client.0.close();
        assert!(client.0.pending().is_empty());
    }

    /// Answers the next call and tells its procedure and payload.
    async fn answer(theirs: &mut tokio::io::DuplexStream, payload: &[u8]) -> (i32, Vec<u8>) {
        let (h, args) = next(theirs).await;
        theirs.write_all(&Header { kind: Kind::Reply, ..h }.message(payload)).await.unwrap();
        (h.procedure, args)
    }

    #[tokio::test(start_paused = true)]
    async fn goodbye_waits_for_what_was_left_then_deregisters_then_closes() {
        let (client, mut theirs, _events) = pair();
        let c = client.clone();
        let registered = tokio::spawn(async move { c.register_events(0).await });
        assert_eq!(answer(&mut theirs, &[0, 0, 0, 9]).await.0, 316);
        assert_eq!(registered.await.unwrap().unwrap(), 9);
        // A caller that went away; the daemon is still at its call.
        let _ = tokio::time::timeout(Duration::from_millis(1), client.call(196, Encoder::new())).await;
        let (left, _) = next(&mut theirs).await;
        let c = client.clone();
        let closing = tokio::spawn(async move { c.close().await });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        theirs.write_all(&Header { kind: Kind::Reply, ..left }.message(b"")).await.unwrap();
        assert_eq!(answer(&mut theirs, b"").await, (317, vec![0, 0, 0, 9]));
        assert_eq!(answer(&mut theirs, b"").await.0, PROC_CONNECT_CLOSE);
        closing.await.unwrap();
        assert!(read_message(&mut theirs).await.is_err(), "the socket is closed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_reads_nothing_holds_no_goodbye_up() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let (reader, writer) = tokio::io::split(ours);
        let (tx, _rx) = mpsc::channel(8);
        let client = Client::over(Socket { reader: Box::new(reader), writer: Box::new(writer) }, tx);
        let began = tokio::time::Instant::now();
        client.close().await;
        assert_eq!(began.elapsed(), GOODBYE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_does_not_answer_the_goodbye_is_left_all_the_same() {
        let (client, mut theirs, _events) = pair();
        let began = tokio::time::Instant::now();
        client.close().await;
        assert_eq!(began.elapsed(), GOODBYE);
        assert_eq!(next(&mut theirs).await.0.procedure, PROC_CONNECT_CLOSE);
        assert!(read_message(&mut theirs).await.is_err());
    }
}
