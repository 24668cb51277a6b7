//! The bytes of an image: `PUT` and `GET /v2/images/{image_id}/file`.

use super::image_id;
use crate::{Error, Images};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt};
use tokio_util::io::{ReaderStream, StreamReader};
use web::{Caller, Fault};

/// How long a refused upload is read on, so that its sender gets to read the answer.
const DRAIN: Duration = Duration::from_secs(30);
/// Bytes read ahead for a download.
const READ_AHEAD: usize = 256 << 10;

/// `PUT /v2/images/{image_id}/file`
pub(super) async fn upload(
    State(images): State<Images>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, Fault> {
    let id = image_id(&id)?;
    let kind = text(request.headers(), header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != "application/octet-stream" {
        return Err(Error::ContentType(format!("Invalid content type {kind}; send application/octet-stream")).into());
    }
    let announced = announced(request.headers())?;
    let asks_first = request.headers().contains_key(header::EXPECT);
    let begun = Arc::new(AtomicBool::new(false));
    let seen = begun.clone();
    let stream = request.into_body().into_data_stream().map_err(std::io::Error::other);
    let mut reader = StreamReader::new(stream.inspect_ok(move |_| seen.store(true, Relaxed)));
    // A client that goes away drops this handler: what has to be put right then is a task of its own.
    let work = tokio::spawn(async move {
        let result = images.upload(&caller, id, announced, &mut reader).await;
        let unread = !matches!(result, Ok(()) | Err(Error::Incomplete(_)));
        // Who waits for "100 Continue" and has not got it sends nothing.
        if unread && (begun.load(Relaxed) || !asks_first) {
            drain(reader).await;
        }
        result
    });
    work.await.map_err(Fault::internal)??;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the rest of a refused upload away. A client that is still sending when the connection closes would see a
/// broken pipe instead of the reason.
async fn drain(mut reader: impl AsyncRead + Unpin) {
    let mut nowhere = tokio::io::sink();
    let reading = tokio::io::copy(&mut reader, &mut nowhere);
    match tokio::time::timeout(DRAIN, reading).await {
        Ok(Ok(bytes)) => tracing::debug!(bytes, "read the rest of a refused upload away"),
        Ok(Err(_)) | Err(_) => tracing::debug!("a refused upload did not end in time"),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// How many bytes shall come: the body's length, which Glance's own header must not contradict.
fn announced(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let read = |name: &str| match headers.get(name) {
        None => Ok(None),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|v| v.trim().parse::<u64>().ok())
            .map(Some)
            .ok_or_else(|| Error::Invalid(format!("Invalid or missing image size in request headers ({name})."))),
    };
    match (read("content-length")?, read("x-openstack-image-size")?) {
        (Some(length), Some(size)) if length != size => Err(Error::Invalid(
            "x-openstack-image-size and content-length of the request differ; the image's bytes are the whole body."
                .into(),
        )),
        (length, size) => Ok(length.or(size)),
    }
}

/// `GET /v2/images/{image_id}/file`
pub(super) async fn download(
    State(images): State<Images>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let image = images.downloadable(&caller, image_id(&id)?).await?;
    if !image.status.has_data() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (mut file, size, _) = images.data(image.id).await?;
    let range = match text(&headers, header::RANGE.as_str()) {
        Some(range) => range_of(range, size)?,
        None => None,
    };
    let (start, length) = range.unwrap_or((0, size));
    if start > 0 {
        file.seek(SeekFrom::Start(start)).await.map_err(Fault::internal)?;
    }
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), READ_AHEAD));
    let mut response = Response::new(body);
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(md5) = image.checksum.as_deref().and_then(|c| HeaderValue::from_str(c).ok()) {
        out.insert("content-md5", md5);
    }
    if range.is_some() {
        let shown = format!("bytes {start}-{}/{size}", start + length - 1);
        if let Ok(value) = HeaderValue::from_str(&shown) {
            out.insert(header::CONTENT_RANGE, value);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// A range that begins behind the end of so many bytes.
#[derive(Debug, PartialEq, Eq)]
struct Unsatisfiable(u64);

impl From<Unsatisfiable> for Fault {
    fn from(Unsatisfiable(size): Unsatisfiable) -> Fault {
        Fault::new(StatusCode::RANGE_NOT_SATISFIABLE, format!("Invalid Range: the image has {size} bytes."))
            .header("content-range", &format!("bytes */{size}"))
    }
}

/// Start and length of a `Range`; none where it is not one range of bytes, which is then ignored (RFC 9110).
fn range_of(text: &str, size: u64) -> Result<Option<(u64, u64)>, Unsatisfiable> {
    let Some(spec) = text.trim().strip_prefix("bytes=").filter(|s| !s.contains(',')) else { return Ok(None) };
    let Some((first, last)) = spec.trim().split_once('-') else { return Ok(None) };
    let bounds = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
        (Ok(first), Err(_)) if last.trim().is_empty() => (first, size.saturating_sub(1)),
        (Err(_), Ok(suffix)) if first.trim().is_empty() && suffix > 0 => {
            (size.saturating_sub(suffix), size.saturating_sub(1))
        }
        (Err(_), Ok(0)) if first.trim().is_empty() => (size, size),
        _ => return Ok(None),
    };
    if bounds.0 >= size {
        return Err(Unsatisfiable(size));
    }
    Ok(Some((bounds.0, bounds.1 - bounds.0 + 1)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-0", Some((0, 1))),
            ("bytes=2-", Some((2, 8))),
            ("bytes=2-5", Some((2, 4))),
            ("bytes=8-99", Some((8, 2))),
            ("bytes=-3", Some((7, 3))),
            ("bytes=-30", Some((0, 10))),
            ("bytes=0-1,3-4", None),
            ("bytes=5-2", None),
            ("lines=1-2", None),
            ("bytes=x", None),
        ] {
            assert_eq!(range_of(text, 10).unwrap(), expected, "{text}");
        }
        for bad in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
            assert_eq!(range_of(bad, 10), Err(Unsatisfiable(10)), "{bad}");
        }
        assert!(range_of("bytes=0-", 0).is_err());
    }
}
