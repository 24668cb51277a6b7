//! The image service as hosts see it: bytes out for boots, bytes in for snapshots. Never asks who calls: what a host may
//! read was decided when its command was made.

use crate::Images;
use async_trait::async_trait;
use driver_api::{ImageSink, ImageSource, ImageStream};
use uuid::Uuid;

/// The image service as a host sees it.
#[derive(Clone)]
pub struct Source(Images);

impl Source {
    pub(crate) fn new(images: Images) -> Source {
        Source(images)
    }
}

#[async_trait]
impl ImageSource for Source {
    async fn open(&self, image: Uuid) -> driver_api::Result<ImageStream> {
        Ok(self.0.open(image).await?)
    }
    async fn upload(&self, image: Uuid, sink: ImageSink) -> driver_api::Result<u64> {
        Ok(self.0.write(image, sink.format, sink.reader).await?.size)
    }
}
