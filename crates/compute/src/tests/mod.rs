//! The agent between the typed calls and a simulated host.
#![allow(clippy::unwrap_used)]

mod backend;
mod lanes;
mod verbs;
mod wires;

use crate::{Agent, Assignments, Options, Parts, Wiring};
use async_trait::async_trait;
use driver_api::*;
use driver_fake::{Fake, Machine};
use messaging::{Assignment, ComputeClient, HostReport, Reports, in_process};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// A host under test. Time is paused tokio time.
struct House {
    agent: Agent,
    client: ComputeClient,
    reports: Reports,
    machine: Arc<Machine>,
    wires: Arc<Wires>,
    assignments: Assignments,
    dir: tempfile::TempDir,
}

/// Takes uploads, and panics when asked for bytes: what a driver's bug looks like from outside.
struct Images;

#[async_trait]
impl ImageSource for Images {
    async fn open(&self, _: Uuid) -> Result<ImageStream> {
        panic!("a defect")
    }
    async fn upload(&self, _: Uuid, mut sink: ImageSink) -> Result<u64> {
        tokio::io::copy(&mut sink.reader, &mut tokio::io::sink()).await.map_err(|e| Error::internal("upload", e))
    }
}

/// Wires that only remember, beside the guests that the machine had at that moment.
struct Wires {
    machine: Arc<Machine>,
    /// Ports.
    there: Mutex<BTreeSet<Uuid>>,
    /// How many times from now on nothing can be unplugged.
    stuck: Mutex<u32>,
    log: Mutex<Vec<String>>,
}

impl Wires {
    fn note(&self, what: &str) {
        let guests = self.machine.remains().len();
        self.log.lock().unwrap().push(format!("{what} with {guests} guests"));
    }
    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

#[async_trait]
impl Wiring for Wires {
    async fn plug(&self, nics: &[NicSpec]) -> Result<()> {
        self.note("plug");
        assert!(nics.iter().all(|n| n.device == hostnet::tap_name(n.port_id)));
        self.there.lock().unwrap().extend(nics.iter().map(|n| n.port_id));
        Ok(())
    }
    async fn refresh(&self, nics: &[NicSpec]) -> Result<()> {
        self.note(&format!("refresh of {}", nics.len()));
        Ok(())
    }
    async fn unplug(&self, nics: &[NicSpec]) -> Result<()> {
        self.note("unplug");
        let mut stuck = self.stuck.lock().unwrap();
        if *stuck > 0 {
            *stuck -= 1;
            return Err(Error::internal("the host could not take the wires away", "busy"));
        }
        self.there.lock().unwrap().retain(|p| nics.iter().all(|n| n.port_id != *p));
        Ok(())
    }
    async fn address(&self) -> Option<std::net::IpAddr> {
        Some([192, 0, 2, 9].into())
    }
    async fn sync(&self, desired: &[NicSpec]) -> Result<()> {
        self.note("sync");
        *self.there.lock().unwrap() = desired.iter().map(|n| n.port_id).collect();
        Ok(())
    }
}

fn house(options: driver_fake::Options) -> House {
    let machine = Machine::new();
    let options = driver_fake::Options { owns_network: false, ..options };
    let driver = Fake::on(Arc::clone(&machine), options).unwrap();
    house_with(machine, Arc::new(driver))
}

fn house_with(machine: Arc<Machine>, driver: Arc<dyn ComputeDriver>) -> House {
    let dir = tempfile::tempdir().unwrap();
    let (client, reports, server) = in_process("host");
    let wires = Arc::new(Wires { machine: Arc::clone(&machine), there: Mutex::default(), stuck: Mutex::default(), log: Mutex::default() });
    let assignments = Assignments::default();
    let agent = Agent::start(Parts {
        server,
        driver,
        wiring: Some(wires.clone()),
        assignments: assignments.clone(),
        images: Arc::new(Images),
        clock: Clock::virtual_from(Timestamp(0)),
        data_dir: dir.path().to_owned(),
        netns: None,
        vtep: None,
        options: Options::default(),
        inline_io: true,
    })
    .unwrap();
    House { agent, client, reports, machine, wires, assignments, dir }
}

impl House {
    async fn report(&mut self) -> HostReport {
        tokio::time::timeout(Duration::from_secs(600), self.reports.recv()).await.unwrap().unwrap()
    }
    /// The next report about the host itself.
    async fn state(&mut self) -> HostReport {
        loop {
            match self.report().await {
                HostReport::Event(_) => {}
                other => return other,
            }
        }
    }
    async fn event(&mut self) -> DriverEvent {
        loop {
            if let HostReport::Event(e) = self.report().await {
                return e;
            }
        }
    }
    fn boots(&self, n: u128) -> u32 {
        self.machine.remains().iter().find(|g| g.id == Uuid::from_u128(n)).map_or(0, |g| g.boots)
    }
}

fn port(n: u128) -> Uuid {
    Uuid::from_u128(n << 96 | 7)
}

fn op(n: u128) -> Op {
    Op::new(Uuid::from_u128(0xff00 + n))
}

fn assignment(n: u128, generation: u64) -> Assignment {
    let nic = NicSpec {
        port_id: port(n),
        network_id: Uuid::from_u128(99),
        network_name: "net".to_owned(),
        mac: "fa:16:3e:00:00:01".to_owned(),
        mtu: 1450,
        device: String::new(),
        model: None,
        fixed_ips: vec![FixedIp { subnet_id: Uuid::from_u128(98), ip: [10, 0, 0, u8::try_from(n).unwrap()].into() }],
        allowed_pairs: Vec::new(),
        subnets: Vec::new(),
        segment: NetworkSegment::Vxlan { vni: 1, peers: Vec::new(), host_gateway: false },
        port_security: true,
        rules: Vec::new(),
        admin_up: true,
    };
    let id = Uuid::from_u128(n);
    let spec = InstanceSpec {
        id,
        generation,
        name: format!("server-{n}"),
        hostname: format!("server-{n}"),
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
        config_drive: true,
        nics: vec![nic.clone()],
        metadata: BTreeMap::new(),
    };
    let guest = guestdata::Guest { id, hostname: spec.hostname.clone(), nics: vec![nic], ..guestdata::Guest::default() };
    Assignment { spec, guest }
}

fn with_image(mut a: Assignment) -> Assignment {
    a.spec.image = Some(ImageRef {
        id: Uuid::from_u128(500),
        name: "image".to_owned(),
        disk_format: DiskFormat::Raw,
        container_format: "bare".to_owned(),
        size: 1,
        virtual_size: None,
        hash: None,
        properties: BTreeMap::new(),
    });
    a
}
