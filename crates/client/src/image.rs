//! Image calls (`/v2/images`).

use crate::cloud::{accepted, chain};
use crate::{Cloud, Error};
use reqwest::{Body, Method};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use uuid::Uuid;

/// An image.
#[derive(Debug, Clone, Deserialize)]
pub struct Image {
    /// Identity.
    pub id: Uuid,
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Status.
    #[serde(default)]
    pub status: String,
}

/// What to upload.
#[derive(Debug, Clone, Default)]
pub struct NewImage {
    /// Name.
    pub name: String,
    /// `qcow2`, `raw`, `aki`, …
    pub disk_format: String,
    /// `bare`, `aki`, …
    pub container_format: String,
    /// Visible to everybody (administrators only).
    pub public: bool,
    /// Further properties.
    pub properties: BTreeMap<String, String>,
}

impl Cloud {
    /// Images.
    /// # Errors
    /// The call's.
    pub async fn images(&self) -> Result<Vec<Image>, Error> {
        self.get("image", "/images?limit=1000", "images").await
    }
    /// Makes an image and sends the bytes of `file`; `sent` hears how many are gone.
    /// # Errors
    /// The file's or the call's. An image without bytes is removed again.
    pub async fn upload(&self, new: &NewImage, file: &Path, sent: impl Fn(u64, u64) + Send + 'static) -> Result<Uuid, Error> {
        let failed = |e: std::io::Error| Error::File { path: file.display().to_string(), reason: e.to_string() };
        let source = tokio::fs::File::open(file).await.map_err(failed)?;
        let size = source.metadata().await.map_err(failed)?.len();
        let mut body = Map::new();
        let mut put = |k: &str, v: &str| body.insert(k.to_owned(), Value::from(v));
        put("name", &new.name);
        put("disk_format", &new.disk_format);
        put("container_format", &new.container_format);
        put("visibility", if new.public { "public" } else { "private" });
        for (k, v) in &new.properties {
            put(k, v);
        }
        let image: Image = self.post("image", "/images", &Value::Object(body), "").await?;
        let (url, request) = self.request(Method::PUT, "image", &format!("/images/{}/file", image.id))?;
        let mut done = 0;
        use futures_util::StreamExt;
        let bytes = tokio_util::io::ReaderStream::with_capacity(source, 1 << 20).inspect(move |chunk| {
            if let Ok(c) = chunk {
                done += c.len() as u64;
                sent(done, size);
            }
        });
        let response = request
            .header("content-type", "application/octet-stream")
            .header("content-length", size)
            .body(Body::wrap_stream(bytes))
            .send()
            .await
            .map_err(|e| Error::Unreachable { url, reason: chain(&e) });
        let outcome = match response {
            Ok(r) => accepted(r).await.map(|_| ()),
            Err(e) => Err(e),
        };
        if let Err(e) = outcome {
            let _ = self.call(Method::DELETE, "image", &format!("/images/{}", image.id), None).await;
            return Err(e);
        }
        Ok(image.id)
    }
}
