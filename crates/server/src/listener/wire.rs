//! A socket that holds its place in the crowd, does not wait for ever for a client to take its answer, and lets the
//! client read our last words before it closes.

use super::crowd::{Phase, Seat};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How long a client that still sends is listened to after our last words, and how much of it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 1 << 20;

/// The socket of one connection, also after it became something else than HTTP.
pub(super) struct Wire {
    /// Taken at the end only.
    stream: Option<TcpStream>,
    seat: Arc<Seat>,
    /// Longest time in which nothing can be written.
    patience: Duration,
    stall: Option<(Phase, Pin<Box<Sleep>>)>,
    ended: bool,
}

fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Wire {
    pub(super) fn new(stream: TcpStream, seat: Arc<Seat>, patience: Duration) -> Wire {
        let _ = stream.set_nodelay(true);
        // A peer that is gone without a word is found, whoever waits for it.
        let alive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(6);
        let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&alive);
        Wire { stream: Some(stream), seat, patience, stall: None, ended: false }
    }
    /// Looks at what came without taking it.
    pub(super) async fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.as_ref().ok_or_else(closed)?.peek(into).await
    }
    fn inner(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(closed)
    }
    /// Time runs while nothing can be written.
    fn timed<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if let Some((before, _)) = self.stall.take()
                && self.seat.phase() == Phase::Answer
            {
                self.seat.waits(before, Duration::ZERO);
            }
            return outcome;
        }
        let (seat, patience) = (&self.seat, self.patience);
        let (_, sleep) = self.stall.get_or_insert_with(|| {
            let before = seat.phase();
            seat.waits(Phase::Answer, Duration::ZERO);
            (before, Box::pin(tokio::time::sleep_until(Instant::now() + patience)))
        });
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = ready!(self.inner()?.poll_read(cx, buf));
        self.ended = outcome.is_err() || buf.filled().len() == before;
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = self.inner()?.poll_write(cx, bytes);
        self.timed(cx, outcome)
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outcome = self.inner()?.poll_write_vectored(cx, bytes);
        self.timed(cx, outcome)
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = self.inner()?.poll_flush(cx);
        self.timed(cx, outcome)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        if self.ended || !self.seat.unread() || self.seat.leave().is_cancelled() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(linger(stream, self.seat.clone()));
        }
    }
}

/// Reads away what still comes. Closing on unread bytes would reset the connection, and the client would see that
/// instead of the answer.
async fn linger(mut stream: TcpStream, seat: Arc<Seat>) {
    seat.waits(Phase::Idle, Duration::ZERO);
    let _ = stream.shutdown().await;
    let (leave, mut rest, mut nowhere) = (seat.leave().clone(), stream.take(LINGER_BYTES), tokio::io::sink());
    tokio::select! {
        biased;
        () = leave.cancelled() => {}
        _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut nowhere)) => {}
    }
}
