//! What is the fake's own: virtual time, the fault plan, restarts, consoles. The contract is the kit's business.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use driver_api::*;
use driver_fake::{Fake, FaultRule, Machine, Operation, Options, When};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

/// Keeps what is uploaded; has no image to open.
#[derive(Default)]
struct Shelf(Mutex<BTreeMap<Uuid, Vec<u8>>>);

#[async_trait]
impl ImageSource for Shelf {
    async fn open(&self, image: Uuid) -> Result<ImageStream> {
        Err(Error::new(ErrorKind::NotFound, format!("image {image} does not exist")))
    }
    async fn upload(&self, image: Uuid, mut sink: ImageSink) -> Result<u64> {
        let mut bytes = Vec::new();
        sink.reader.read_to_end(&mut bytes).await.map_err(|e| Error::internal("upload broke", e))?;
        let size = bytes.len() as u64;
        self.0.lock().unwrap().insert(image, bytes);
        Ok(size)
    }
}

struct Nothing;

#[async_trait]
impl GuestDocuments for Nothing {
    async fn config_drive(&self, id: Uuid) -> Result<Vec<u8>> {
        Err(Error::no_instance(id))
    }
}

#[async_trait]
impl Ledger for Nothing {
    async fn get(&self, _: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
    async fn put(&self, _: &str, _: Vec<u8>) -> Result<()> {
        Ok(())
    }
    async fn delete(&self, _: &str) -> Result<()> {
        Ok(())
    }
    async fn keys(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

fn context(dir: &Path, images: Arc<Shelf>) -> HostContext {
    HostContext {
        host: "host".to_owned(),
        data_dir: dir.to_owned(),
        netns: None,
        clock: Clock::virtual_from(Timestamp(0)),
        images,
        documents: Arc::new(Nothing),
        ledger: Arc::new(Nothing),
    }
}

async fn started(options: Options) -> Fake {
    let fake = Fake::new(options).unwrap();
    fake.start(context(Path::new("/nonexistent"), Arc::default())).await.unwrap();
    fake
}

fn spec(n: u128) -> InstanceSpec {
    InstanceSpec {
        id: Uuid::from_u128(n),
        generation: 1,
        name: "one".to_owned(),
        hostname: "one".to_owned(),
        project_id: "p".to_owned(),
        user_id: "u".to_owned(),
        node: "host".to_owned(),
        flavor_name: "m1".to_owned(),
        vcpus: 1,
        memory_mib: 64,
        root_gib: 1,
        ephemeral_gib: 0,
        swap_mib: 0,
        extra_specs: BTreeMap::new(),
        image: None,
        kernel: None,
        ramdisk: None,
        config_drive: false,
        nics: Vec::new(),
        metadata: BTreeMap::new(),
    }
}

fn op(n: u128) -> Op {
    Op::new(Uuid::from_u128(n))
}

fn with_fault(when: When) -> Options {
    let faults = vec![FaultRule::nth(Operation::Spawn, 1, when, ErrorKind::Internal)];
    Options { faults, ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn latency_is_virtual_and_a_cancelled_spawn_leaves_nothing() {
    let options = Options { latency_ms: [(Operation::Spawn, 3_600_000)].into(), ..Options::default() };
    let fake = started(options).await;
    let op1 = op(1);
    let cancel = op1.cancel.clone();
    let (spawned, ()) = tokio::join!(async { fake.spawn(&spec(1), &op1).await }, async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        cancel.cancel();
    });
    assert_eq!(spawned.unwrap_err().kind, ErrorKind::Cancelled);
    assert!(fake.machine().remains().is_empty());
    assert_eq!(fake.spawn(&spec(1), &op(2)).await.unwrap().power, PowerState::Running);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_hanging_operation() {
    let fake = started(with_fault(When::Hang)).await;
    let late = Op { deadline: Some(Timestamp(5_000_000)), ..op(1) };
    assert_eq!(fake.spawn(&spec(1), &late).await.unwrap_err().kind, ErrorKind::TimedOut);
    assert!(fake.machine().remains().is_empty());
}

#[tokio::test]
async fn faults_strike_where_the_plan_says() {
    for (when, left) in [(When::BeforeEffect, 0), (When::AfterEffect, 0), (When::LostReply, 1)] {
        let fake = started(with_fault(when)).await;
        assert_eq!(fake.spawn(&spec(1), &op(1)).await.unwrap_err().kind, ErrorKind::Internal, "{when:?}");
        assert_eq!(fake.list().await.unwrap().len(), left, "{when:?}");
        fake.spawn(&spec(1), &op(1)).await.unwrap();
        assert_eq!(fake.list().await.unwrap().len(), 1, "{when:?}");
    }
}

#[tokio::test]
async fn guests_survive_a_new_process_only_where_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    for (persist, left) in [(true, 1), (false, 0)] {
        let options = Options { persist, ..Options::default() };
        let first = Fake::new(options.clone()).unwrap();
        first.start(context(dir.path(), Arc::default())).await.unwrap();
        first.spawn(&spec(1), &op(1)).await.unwrap();
        first.spawn(&spec(2), &op(2)).await.unwrap();
        first.destroy(Uuid::from_u128(2), DestroyMode::Everything, &op(3)).await.unwrap();
        let second = Fake::new(options).unwrap();
        second.start(context(dir.path(), Arc::default())).await.unwrap();
        let found = second.list().await.unwrap();
        assert_eq!(found.len(), left);
        assert!(found.iter().all(|o| o.power == PowerState::Running && o.id == Uuid::from_u128(1)));
    }
}

#[tokio::test]
async fn a_machine_outlives_its_driver_and_can_be_silent() {
    let machine = Machine::new();
    let first = Fake::on(Arc::clone(&machine), Options::default()).unwrap();
    first.start(context(Path::new("/nonexistent"), Arc::default())).await.unwrap();
    first.spawn(&spec(1), &op(1)).await.unwrap();
    drop(first);
    machine.set_reachable(false);
    let second = Fake::on(Arc::clone(&machine), Options::default()).unwrap();
    second.start(context(Path::new("/nonexistent"), Arc::default())).await.unwrap();
    assert_eq!(second.list().await.unwrap_err().kind, ErrorKind::Unreachable);
    let mut events = second.events().unwrap();
    assert!(second.events().is_none());
    assert!(events.try_recv().is_err());
    machine.set_reachable(true);
    assert_eq!(events.recv().await.unwrap().kind, EventKind::Connected);
    machine.crash(Uuid::from_u128(1)).unwrap();
    assert_eq!(events.recv().await.unwrap().kind, EventKind::Crashed);
    assert_eq!(second.get(Uuid::from_u128(1)).await.unwrap().power, PowerState::Crashed);
    second.stop().await;
    assert!(events.recv().await.is_none(), "the stream ends when the driver stops");
}

#[tokio::test]
async fn vnc_speaks_rfb_and_shows_the_key_that_was_pressed() {
    let fake = started(Options::default()).await;
    fake.spawn(&spec(1), &op(1)).await.unwrap();
    let mut vnc = fake.open_console(Uuid::from_u128(1), ConsoleKind::Vnc).await.unwrap();
    let mut version = [0; 12];
    vnc.reader.read_exact(&mut version).await.unwrap();
    assert_eq!(&version, b"RFB 003.008\n");
    vnc.writer.write_all(b"RFB 003.008\n").await.unwrap();
    let mut types = [0; 2];
    vnc.reader.read_exact(&mut types).await.unwrap();
    assert_eq!(types, [1, 1]);
    vnc.writer.write_all(&[1]).await.unwrap();
    assert_eq!(vnc.reader.read_u32().await.unwrap(), 0);
    vnc.writer.write_all(&[1]).await.unwrap();
    let (width, height) = (vnc.reader.read_u16().await.unwrap(), vnc.reader.read_u16().await.unwrap());
    let mut rest = [0; 20];
    vnc.reader.read_exact(&mut rest).await.unwrap();
    assert_eq!(rest[19], 3);
    let mut name = [0; 3];
    vnc.reader.read_exact(&mut name).await.unwrap();
    assert_eq!(&name, b"one");
    let mut pictures = Vec::new();
    for message in [&[3_u8, 0, 0, 0, 0, 0, 0, 160, 0, 120][..], &[3, 1, 0, 0, 0, 0, 0, 160, 0, 120, 4, 1, 0, 0, 0, 0, 0, 65]]
    {
        vnc.writer.write_all(message).await.unwrap();
        let mut picture = vec![0; 16 + usize::from(width) * usize::from(height) * 4];
        vnc.reader.read_exact(&mut picture).await.unwrap();
        pictures.push(picture);
    }
    assert_ne!(pictures[0], pictures[1], "the key changes the picture");
}

#[tokio::test]
async fn the_serial_console_is_a_shell_and_closes_with_its_guest() {
    let fake = started(Options::default()).await;
    let id = Uuid::from_u128(1);
    fake.spawn(&spec(1), &op(1)).await.unwrap();
    let mut serial = fake.open_console(id, ConsoleKind::Serial).await.unwrap();
    serial.writer.write_all(b"echo hello\rpoweroff\r").await.unwrap();
    let mut said = String::new();
    serial.reader.read_to_string(&mut said).await.unwrap();
    assert!(said.contains("\r\nhello\r\n"), "{said}");
    assert_eq!(fake.get(id).await.unwrap().power, PowerState::Shutdown);
    let log = String::from_utf8(fake.console_log(id, Some(1)).await.unwrap()).unwrap();
    assert_eq!(log, "reboot: Power down\n");
    assert!(fake.open_console(id, ConsoleKind::Serial).await.is_err());
}

#[tokio::test]
async fn a_reboot_repeated_with_the_same_operation_boots_once() {
    let fake = started(Options::default()).await;
    fake.spawn(&spec(1), &op(1)).await.unwrap();
    fake.reboot(&spec(1), RebootKind::Soft, &op(2)).await.unwrap();
    fake.reboot(&spec(1), RebootKind::Soft, &op(2)).await.unwrap();
    assert_eq!(fake.machine().remains()[0].boots, 2);
    fake.reboot(&spec(1), RebootKind::Hard, &op(3)).await.unwrap();
    assert_eq!(fake.machine().remains()[0].boots, 3);
}

#[test]
fn options_refuse_what_cannot_be_meant() {
    assert!(serde_json::from_str::<Options>(r#"{"vpcus": 3}"#).is_err());
    assert!(Fake::new(Options { nodes: 0, ..Options::default() }).is_err());
    let wrong = Options { facets: Some(vec!["fly".to_owned()]), ..Options::default() };
    let text = Fake::new(wrong).err().unwrap().to_string();
    assert!(text.contains("fly") && text.contains("snapshot"), "{text}");
    let bare = Fake::new(Options { facets: Some(Vec::new()), ..Options::default() }).unwrap();
    assert!(facets_of(&bare).is_empty());
}
