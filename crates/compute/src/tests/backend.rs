//! A backend that goes away, comes back, or never starts; what the host reports.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_host_registers_with_facets_traits_and_nodes() {
    let mut h = house(driver_fake::Options { traits: vec!["HW_CPU_X86_AVX2".to_owned()], ..Default::default() });
    let HostReport::Up(r) = h.state().await else { panic!("not up") };
    assert_eq!((r.driver.name.as_str(), r.networking), ("fake", true));
    assert_eq!(r.facets, ["pause", "suspend", "console", "console_log", "diagnostics", "snapshot"]);
    for wanted in ["HW_CPU_X86_AVX2", "COMPUTE_IMAGE_TYPE_QCOW2", "COMPUTE_GRAPHICS_MODEL_VNC"] {
        assert!(r.traits.iter().any(|t| t == wanted), "{:?}", r.traits);
    }
    assert_eq!(r.nodes[0].name, "host");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_goes_away_is_reported_and_recovers_alone_with_what_changed_meanwhile() {
    let mut h = house(driver_fake::Options::default());
    assert!(matches!(h.state().await, HostReport::Up(_)));
    for n in 1..=2 {
        h.client.spawn(assignment(n, 1), &op(n)).await.unwrap();
        assert_eq!(h.event().await.kind, EventKind::Started);
    }
    h.machine.set_reachable(false);
    let HostReport::Down { reason } = h.state().await else { panic!("not down") };
    assert!(reason.contains("does not answer"), "{reason}");
    let e = h.client.spawn(assignment(3, 1), &op(3)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unreachable);
    h.machine.lose(Uuid::from_u128(2));
    assert_eq!(h.event().await.kind, EventKind::Stopped, "the machine told of it itself");
    h.machine.set_reachable(true);
    assert!(matches!(h.state().await, HostReport::Up(_)));
    h.client.spawn(assignment(3, 1), &op(3)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_changed_unseen_is_told_after_the_reconnection() {
    let machine = Machine::new();
    let deaf = Arc::new(Deaf(Fake::on(Arc::clone(&machine), driver_fake::Options::default()).unwrap()));
    let mut h = house_with(machine, deaf);
    assert!(matches!(h.state().await, HostReport::Up(_)));
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    h.machine.set_reachable(false);
    assert!(matches!(h.state().await, HostReport::Down { .. }), "found by looking, without an event");
    h.machine.crash(Uuid::from_u128(1)).unwrap();
    h.machine.set_reachable(true);
    assert!(matches!(h.state().await, HostReport::Up(_)));
    let event = h.event().await;
    assert_eq!((event.id, event.kind), (Uuid::from_u128(1), EventKind::Crashed));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_cannot_start_leaves_a_host_that_says_why() {
    let machine = Machine::new();
    let driver = Arc::new(Fake::on(Arc::clone(&machine), driver_fake::Options::default()).unwrap());
    let first = house_with(Arc::clone(&machine), driver.clone());
    first.client.list(&op(1)).await.unwrap();
    let mut second = house_with(machine, driver);
    let HostReport::Down { reason } = second.state().await else { panic!("not down") };
    assert!(reason.contains("started before"), "{reason}");
    let e = second.client.list(&op(2)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unreachable);
    second.agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_lets_the_driver_go_and_leaves_the_guests() {
    let h = house(driver_fake::Options::default());
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    h.agent.stop().await;
    assert_eq!(h.client.list(&op(2)).await.unwrap_err().kind, ErrorKind::Unreachable);
    assert_eq!(h.machine.remains()[0].power, PowerState::Running);
}

/// The fake without its events.
struct Deaf(Fake);

#[async_trait]
impl ComputeDriver for Deaf {
    async fn start(&self, context: HostContext) -> Result<()> {
        self.0.start(context).await
    }
    async fn stop(&self) {
        self.0.stop().await;
    }
    fn info(&self) -> DriverInfo {
        self.0.info()
    }
    async fn nodes(&self) -> Result<Vec<Node>> {
        self.0.nodes().await
    }
    async fn list(&self) -> Result<Vec<Observed>> {
        self.0.list().await
    }
    async fn get(&self, instance: Uuid) -> Result<Observed> {
        self.0.get(instance).await
    }
    async fn spawn(&self, spec: &InstanceSpec, op: &Op) -> Result<Observed> {
        self.0.spawn(spec, op).await
    }
    async fn destroy(&self, instance: Uuid, mode: DestroyMode, op: &Op) -> Result<()> {
        self.0.destroy(instance, mode, op).await
    }
    async fn power(&self, spec: &InstanceSpec, to: Power, op: &Op) -> Result<Observed> {
        self.0.power(spec, to, op).await
    }
    async fn reboot(&self, spec: &InstanceSpec, kind: RebootKind, op: &Op) -> Result<Observed> {
        self.0.reboot(spec, kind, op).await
    }
    fn events(&self) -> Option<EventStream> {
        None
    }
}
