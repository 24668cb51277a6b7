//! What happens to each request before any router sees it: a place among those in flight, a body that must keep
//! coming, and the refusal in the shape of the service that was asked.

use super::crowd::{Crowd, Phase, Seat};
use super::Limits;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tower::ServiceExt;
use web::{Fault, FaultShape};

/// The door of one connection.
#[derive(Clone)]
pub(super) struct Door {
    pub router: Router,
    pub crowd: Arc<Crowd>,
    pub seat: Arc<Seat>,
    pub limits: Limits,
}

/// The service whose errors a client of this path understands. Pure.
fn shape(path: &str) -> FaultShape {
    match path.split('/').nth(1).unwrap_or_default() {
        "identity" => FaultShape::Identity,
        "image" => FaultShape::Image,
        "network" => FaultShape::Network,
        "placement" => FaultShape::Placement,
        _ => FaultShape::Compute,
    }
}

impl Door {
    /// Answers one request.
    pub(super) async fn answer(self, request: hyper::Request<Incoming>) -> Response {
        self.seat.waits(Phase::Work, Duration::ZERO);
        self.seat.set_unread(false);
        let shape = shape(request.uri().path());
        let Some(place) = self.crowd.request().await else {
            self.seat.set_unread(!request.body().is_end_stream());
            let fault = Fault::unavailable("The server has as many requests in hand as it takes; try again.");
            return self.leaving(fault.render(shape, ""), None);
        };
        let verdict = Arc::new(AtomicU8::new(IN_TIME));
        let (mut parts, incoming) = request.into_parts();
        parts.extensions.insert(web::Peer(self.seat.peer()));
        let body = if incoming.is_end_stream() {
            Body::empty()
        } else {
            Body::new(Arriving::new(incoming, self.seat.clone(), &self.limits, verdict.clone()))
        };
        let Ok(mut response) = self.router.clone().oneshot(Request::from_parts(parts, body)).await;
        // Whatever a handler made of a body that did not come: this is why it did not.
        let failed = response.status().as_u16() >= 400;
        if let Some(fault) = late(verdict.load(Relaxed), &self.limits).filter(|_| failed) {
            let id = response.headers().get("x-openstack-request-id").and_then(|v| v.to_str().ok()).unwrap_or_default();
            response = fault.render(shape, id);
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.leaving(response, Some(place))
    }

    /// The answer, which holds the request's place until it is out.
    fn leaving(self, response: Response, place: Option<OwnedSemaphorePermit>) -> Response {
        // From now on it is no HTTP, and has no client that owes us a request.
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if upgraded {
            return response;
        }
        let seat = self.seat;
        response.map(|body| Body::new(Leaving { body, _end: End { seat, _place: place } }))
    }
}

const IN_TIME: u8 = 0;
const TOO_SLOW: u8 = 1;
const DISMISSED: u8 = 2;

/// What is to be said about a body that did not come. Pure.
fn late(verdict: u8, limits: &Limits) -> Option<Fault> {
    match verdict {
        TOO_SLOW => Some(Fault::new(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "The request body came too slowly: fewer than {} bytes in {} seconds.",
                limits.body_bytes,
                limits.body_time.as_secs_f32()
            ),
        )),
        DISMISSED => Some(Fault::unavailable("The request body came slowly, and its place was needed for another; try again.")),
        _ => None,
    }
}

/// A body on its way in. Time runs only while it is waited for, and begins anew with each `body_bytes`: an upload may
/// take days, but not stand still.
struct Arriving {
    incoming: Incoming,
    seat: Arc<Seat>,
    time: Duration,
    bytes: u64,
    came: u64,
    waited: Duration,
    since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    leave: Pin<Box<WaitForCancellationFutureOwned>>,
    verdict: Arc<AtomicU8>,
    done: bool,
}

impl Arriving {
    fn new(incoming: Incoming, seat: Arc<Seat>, limits: &Limits, verdict: Arc<AtomicU8>) -> Arriving {
        Arriving {
            incoming,
            time: limits.body_time,
            bytes: limits.body_bytes,
            came: 0,
            waited: Duration::ZERO,
            since: None,
            timer: Box::pin(tokio::time::sleep(limits.body_time)),
            leave: Box::pin(seat.leave().clone().cancelled_owned()),
            seat,
            verdict,
            done: false,
        }
    }
    fn came(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
        self.came += bytes as u64;
        if self.came >= self.bytes {
            (self.came, self.waited) = (0, Duration::ZERO);
        }
        self.seat.waits(Phase::Work, Duration::ZERO);
    }
    /// Why it is not waited for any longer.
    fn end(&mut self, cx: &mut Context<'_>) -> Option<u8> {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            let left = self.time.saturating_sub(self.waited);
            self.timer.as_mut().reset(Instant::now() + left);
            self.seat.waits(Phase::Body, self.waited);
        }
        if self.leave.as_mut().poll(cx).is_ready() {
            return Some(DISMISSED);
        }
        self.timer.as_mut().poll(cx).is_ready().then_some(TOO_SLOW)
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::BoxError;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                let bytes = frame.as_ref().and_then(|f| f.as_ref().ok()).and_then(Frame::data_ref).map_or(0, Bytes::len);
                self.came(bytes);
                self.done = !matches!(frame, Some(Ok(_))) || self.incoming.is_end_stream();
                Poll::Ready(frame.map(|f| f.map_err(Into::into)))
            }
            Poll::Pending => match self.end(cx) {
                None => Poll::Pending,
                Some(why) => {
                    self.verdict.store(why, Relaxed);
                    self.seat.waits(Phase::Work, Duration::ZERO);
                    Poll::Ready(Some(Err("the body did not come in time".into())))
                }
            },
        }
    }
    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.done {
            self.seat.set_unread(true);
        }
    }
}

/// A body on its way out.
struct Leaving {
    body: Body,
    _end: End,
}

/// The end of a request: the connection waits for the next.
struct End {
    seat: Arc<Seat>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.seat.waits(Phase::Idle, Duration::ZERO);
    }
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
