//! The fake passes the kit that the real drivers pass.

use driver_api::{Clock, ComputeDriver, DiskFormat, Timestamp};
use driver_conformance::{BootImage, Bytes, Ground, Lab, run};
use driver_fake::{Fake, Machine, Options};
use futures_util::future::BoxFuture;
use std::sync::Arc;

struct Simulated(Arc<Machine>);

#[async_trait::async_trait]
impl Ground for Simulated {
    fn image(&self) -> BootImage {
        BootImage { format: DiskFormat::Raw, bytes: Bytes::Memory(Arc::new(vec![1; 100_000])) }
    }
    async fn leftovers(&self, id: uuid::Uuid) -> Vec<String> {
        self.0.remains().iter().filter(|g| g.id == id).map(|g| format!("{g:?}")).collect()
    }
    fn can_disconnect(&self) -> bool {
        true
    }
    async fn set_reachable(&self, reachable: bool) {
        self.0.set_reachable(reachable);
    }
}

#[tokio::test(start_paused = true)]
async fn conformance() {
    let machine = Machine::new();
    let ground = Arc::new(Simulated(Arc::clone(&machine)));
    let factory = || -> BoxFuture<'static, Box<dyn ComputeDriver>> {
        let options = Options { fetch_images: true, default_latency_ms: 20, ..Options::default() };
        let driver = Fake::on(Arc::clone(&machine), options).expect("the options are right");
        Box::pin(async move { Box::new(driver) as Box<dyn ComputeDriver> })
    };
    let report = run(&factory, Lab::new("host", "/nonexistent".into(), Clock::virtual_from(Timestamp(0)), ground, 1)).await;
    assert!(report.passed(), "{report}");
}
