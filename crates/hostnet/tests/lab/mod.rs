//! A laboratory of real network namespaces: hosts, guests behind veth pairs, raw frames. Needs root.
#![allow(clippy::unwrap_used, dead_code)]

use async_trait::async_trait;
use driver_api::{Direction, EtherType, FixedIp, NetworkSegment, NicSpec, SecurityRule, SubnetSpec};
use guestdata::{Guest, Secret};
use hostnet::{HostNet, HostNetOptions, MetadataSource, PasswordRefused, tap_name};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

static COUNTER: AtomicU32 = AtomicU32::new(1);

/// A number of this process that no other test has.
pub fn number() -> u32 {
    COUNTER.fetch_add(1, Ordering::Relaxed)
}

/// An id that no other test has, neither in another process: names of interfaces are made of its first digits.
pub fn id() -> Uuid {
    let mix = (u128::from(std::process::id()) << 16 | u128::from(number()))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Uuid::from_u128(mix)
}

pub fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program} is needed: {e}"))
}

pub fn ok(program: &str, arguments: &[&str]) -> String {
    let out = run(program, arguments);
    assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Runs a line of `ip`, words apart by spaces.
pub fn ip(line: &str) -> String {
    ok("ip", &line.split_whitespace().collect::<Vec<_>>())
}

/// A namespace that goes with its value.
pub struct Ns(pub String);

impl Ns {
    pub fn new(kind: &str) -> Ns {
        let name = format!("kt{}{kind}{}", std::process::id(), number());
        ip(&format!("netns add {name}"));
        ip(&format!("-n {name} link set lo up"));
        Ns(name)
    }
    pub fn ip(&self, line: &str) -> String {
        ip(&format!("-n {} {line}", self.0))
    }
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let net = format!("--net=/run/netns/{}", self.0);
        let mut all = vec![net.as_str(), program];
        all.extend(arguments);
        run("nsenter", &all)
    }
    pub fn ok(&self, program: &str, arguments: &[&str]) -> String {
        let out = self.run(program, arguments);
        assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
    /// Does something in the namespace.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(format!("/run/netns/{}", self.0)).unwrap();
        std::thread::scope(|scope| {
            scope
                .spawn(move || {
                    setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                    work()
                })
                .join()
                .unwrap()
        })
    }
    pub fn ping(&self, to: &str) -> bool {
        self.run("ping", &["-c", "2", "-i", "0.2", "-W", "1", to]).status.success()
    }
}

impl Drop for Ns {
    fn drop(&mut self) {
        run("ip", &["netns", "del", &self.0]);
    }
}

/// Guests by network and address.
#[derive(Default)]
pub struct Known {
    pub guests: Mutex<BTreeMap<(Uuid, IpAddr), Arc<Guest>>>,
    pub passwords: Mutex<Vec<(Uuid, Vec<u8>)>>,
}

#[async_trait]
impl MetadataSource for Known {
    async fn guest_by_ip(&self, network: Uuid, ip: IpAddr) -> Option<Arc<Guest>> {
        self.guests.lock().unwrap().get(&(network, ip)).cloned()
    }
    async fn set_password(&self, guest: Uuid, password: Secret) -> Result<(), PasswordRefused> {
        let mut passwords = self.passwords.lock().unwrap();
        if passwords.iter().any(|(id, _)| *id == guest) {
            return Err(PasswordRefused::AlreadySet);
        }
        passwords.push((guest, password.expose().to_vec()));
        Ok(())
    }
}

/// A host in a namespace of its own.
pub struct Host {
    pub net: HostNet,
    pub ns: Ns,
    pub known: Arc<Known>,
    leftovers: Leftovers,
}

/// Removes the namespaces of a host whose test failed.
struct Leftovers(String);

impl Drop for Leftovers {
    fn drop(&mut self) {
        let prefix = hostnet::names::namespace_prefix("lab", Some(&self.0));
        for entry in std::fs::read_dir("/run/netns").unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with(&prefix) {
                run("ip", &["netns", "del", &name]);
            }
        }
    }
}

impl Host {
    pub async fn new() -> Host {
        Host::with(None, BTreeMap::new()).await
    }
    pub async fn with(vtep: Option<IpAddr>, physical_networks: BTreeMap<String, String>) -> Host {
        let ns = Ns::new("h");
        let known = Arc::new(Known::default());
        let net = open(&ns, vtep, physical_networks, &known).await;
        let leftovers = Leftovers(ns.0.clone());
        Host { net, ns, known, leftovers }
    }
    /// Ends the agent but not its wiring, and starts another.
    pub async fn restart(self) -> Host {
        self.net.close(true).await.unwrap();
        let Host { net, ns, known, leftovers } = self;
        drop(net);
        let net = open(&ns, None, BTreeMap::new(), &known).await;
        Host { net, ns, known, leftovers }
    }
    /// Everything goes, and nothing is left.
    pub async fn end(self) {
        self.net.close(false).await.unwrap();
        assert_eq!(self.net.audit().await.unwrap(), Vec::<String>::new());
    }
}

async fn open(
    ns: &Ns,
    vtep: Option<IpAddr>,
    physical_networks: BTreeMap<String, String>,
    known: &Arc<Known>,
) -> HostNet {
    HostNet::open(HostNetOptions {
        host: "lab".to_owned(),
        netns: Some(ns.0.clone()),
        vtep,
        physical_networks,
        metadata: Arc::clone(known) as Arc<dyn MetadataSource>,
    })
    .await
    .unwrap()
}

pub fn rule(direction: Direction, ethertype: EtherType, protocol: Option<u8>, port: Option<u16>) -> SecurityRule {
    SecurityRule {
        direction,
        ethertype,
        protocol,
        port_min: port,
        port_max: port,
        remote: Vec::new(),
        remote_none: false,
    }
}

/// What every default group has: all may be sent.
pub fn egress() -> Vec<SecurityRule> {
    [EtherType::V4, EtherType::V6].map(|e| rule(Direction::Egress, e, None, None)).to_vec()
}

pub fn ingress(protocol: u8, port: Option<u16>) -> SecurityRule {
    rule(Direction::Ingress, EtherType::V4, Some(protocol), port)
}

/// A network 10.20.0.0/24 with gateway .1 and DHCP at .2.
pub fn subnet() -> SubnetSpec {
    SubnetSpec {
        id: Uuid::from_u128(1),
        cidr: "10.20.0.0/24".parse().unwrap(),
        gateway: Some("10.20.0.1".parse().unwrap()),
        dns: vec!["10.20.0.9".parse().unwrap()],
        routes: Vec::new(),
        dhcp: true,
        dhcp_ip: Some("10.20.0.2".parse().unwrap()),
    }
}

/// A port of a network, holding the address that ends in `last`.
pub fn nic(network: Uuid, last: u8) -> NicSpec {
    let port_id = id();
    NicSpec {
        port_id,
        network_id: network,
        network_name: "net".to_owned(),
        mac: format!("fa:16:3e:00:00:{last:02x}"),
        mtu: 1400,
        device: tap_name(port_id),
        model: None,
        fixed_ips: vec![FixedIp { subnet_id: Uuid::from_u128(1), ip: IpAddr::from([10, 20, 0, last]) }],
        allowed_pairs: Vec::new(),
        subnets: vec![subnet()],
        segment: NetworkSegment::Vxlan { vni: 77, peers: Vec::new(), host_gateway: false },
        port_security: true,
        rules: egress(),
        admin_up: true,
    }
}

/// A machine of a guest: a namespace whose `eth0` is the other end of the port's device.
pub struct Machine {
    pub ns: Ns,
    pub nic: NicSpec,
    pub ip: Ipv4Addr,
    pub mac: [u8; 6],
}

impl Machine {
    /// Connects a machine to the device of a port, and plugs it.
    pub async fn plug(host: &Host, nic: NicSpec) -> Machine {
        let machine = Machine::wire(host, nic);
        host.net.plug(std::slice::from_ref(&machine.nic)).await.unwrap();
        machine.connected(host);
        machine
    }
    /// Waits until frames pass: the kernel drops them until it has noticed that both ends are up.
    pub fn connected(&self, host: &Host) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let up = || self.ns.ip("-j link show eth0").contains(r#""operstate":"UP""#);
        let forwarding = || {
            let port = host.ns.ip(&format!("-j -d link show {}", self.nic.device));
            port.contains(r#""state":"forwarding""#)
        };
        while !(up() && forwarding()) {
            assert!(Instant::now() < deadline, "no carrier");
            std::thread::yield_now();
        }
    }
    pub fn wire(host: &Host, nic: NicSpec) -> Machine {
        let ns = Ns::new("g");
        let (device, mac, mtu) = (&nic.device, &nic.mac, nic.mtu);
        host.ns.ip(&format!("link add {device} type veth peer name eth0 address {mac} mtu {mtu} netns {}", ns.0));
        // Its IPv6 address is valid at once, without asking for doubles first.
        ns.within(|| std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0").unwrap());
        ns.ip("link set eth0 up");
        let IpAddr::V4(ip) = nic.fixed_ips[0].ip else { panic!("the laboratory speaks IPv4") };
        let mut mac = [0; 6];
        for (byte, text) in mac.iter_mut().zip(nic.mac.split(':')) {
            *byte = u8::from_str_radix(text, 16).unwrap();
        }
        Machine { ns, nic, ip, mac }
    }
    /// Gives it its address without DHCP.
    pub fn address(&self) -> &Machine {
        self.ns.ip(&format!("addr add {}/24 dev eth0", self.ip));
        self
    }
    pub fn knows(&self, host: &Host, name: &str) -> Uuid {
        let guest =
            Guest { id: id(), name: name.into(), hostname: name.into(), dhcp_domain: "lab".into(), ..Guest::default() };
        let uuid = guest.id;
        host.known.guests.lock().unwrap().insert((self.nic.network_id, self.ip.into()), Arc::new(guest));
        uuid
    }
    /// Asks by DHCP with busybox's client and configures what it is told. Returns what that was.
    pub fn dhcp(&self) -> BTreeMap<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        let out = dir.path().join("lease");
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip addr flush dev eth0\nip addr add $ip/$mask dev eth0\nip link set eth0 mtu $mtu\n\
             set -- $staticroutes\nwhile [ -n \"$2\" ]; do ip route replace $1 via $2 dev eth0; shift 2; done\nenv > {0}.new; mv {0}.new {0}\n",
            out.display()
        );
        std::fs::write(&script, text).unwrap();
        ok("chmod", &["+x", script.to_str().unwrap()]);
        let arguments = "udhcpc -i eth0 -f -q -n -t 10 -T 1 -O staticroutes -O mtu -O hostname -O domain -s";
        let mut arguments: Vec<&str> = arguments.split(' ').collect();
        arguments.push(script.to_str().unwrap());
        self.ns.ok("busybox", &arguments);
        let lease = std::fs::read_to_string(out).unwrap();
        lease.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
    /// Body and status of a request to the metadata service.
    pub fn curl(&self, arguments: &[&str], path: &str) -> (String, u16) {
        let url = format!("http://169.254.169.254{path}");
        let mut all = vec!["-s", "-m", "5", "-w", "\n%{http_code}"];
        all.extend(arguments);
        all.push(&url);
        let out = self.ns.run("curl", &all);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (body.to_owned(), status.parse().unwrap())
    }
    pub fn tap(&self) -> Tap {
        self.ns.within(Tap::open)
    }
    /// Listens on TCP and answers every connection with `hello`; ends with the namespace.
    pub fn serve(&self, port: u16) {
        let listener = self.ns.within(|| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = std::io::Write::write_all(&mut stream.unwrap(), b"hello");
            }
        });
    }
    /// What a TCP connection says; `None` if it does not come about.
    pub fn connect(&self, to: Ipv4Addr, port: u16) -> Option<String> {
        connect(&self.ns, to, port)
    }
}

pub fn connect(ns: &Ns, to: Ipv4Addr, port: u16) -> Option<String> {
    ns.within(move || {
        let mut stream = std::net::TcpStream::connect_timeout(&(to, port).into(), Duration::from_secs(2)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).ok()?;
        Some(text)
    })
}

/// Raw frames of an `eth0`.
pub struct Tap(OwnedFd);

impl Tap {
    fn open() -> Tap {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap();
        Tap(fd)
    }
    /// Whether a frame with these bytes in it comes before one with the bytes of `marker`.
    /// Frames of one sender keep their order, so the marker says that the others would have come.
    pub fn sees(&self, needle: &[u8], marker: &[u8]) -> bool {
        let contains = |frame: &[u8], part: &[u8]| frame.windows(part.len()).any(|w| w == part);
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut seen = false;
        let mut buffer = [0; 4096];
        loop {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => {
                    seen |= contains(&buffer[..length], needle);
                    if contains(&buffer[..length], marker) {
                        return seen;
                    }
                }
                Err(_) => {
                    assert!(Instant::now() < deadline, "the marker did not come");
                    std::thread::yield_now();
                }
            }
        }
    }
}

/// Sends whole frames out of the machine's `eth0`.
pub fn send_frames(ns: &Ns, frames: &[Vec<u8>]) {
    ns.within(|| {
        let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let address = nix::ifaddrs::getifaddrs()
            .unwrap()
            .filter(|i| i.interface_name == "eth0")
            .find_map(|i| i.address?.as_link_addr().copied())
            .unwrap();
        bind(fd.as_raw_fd(), &address).unwrap();
        for frame in frames {
            send(fd.as_raw_fd(), frame, MsgFlags::empty()).unwrap();
        }
    });
}

pub fn ethernet(to: [u8; 6], from: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = [to, from].concat();
    out.extend(kind.to_be_bytes());
    out.extend(payload);
    out.resize(out.len().max(60), 0);
    out
}

pub fn udp(from: Ipv4Addr, to: Ipv4Addr, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(28 + payload.len()).unwrap();
    let mut out = vec![0x45, 0];
    out.extend(length.to_be_bytes());
    out.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    out.extend(from.octets());
    out.extend(to.octets());
    let sum = out.chunks(2).fold(0_u32, |sum, w| sum + u32::from(u16::from_be_bytes([w[0], w[1]])));
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    out[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend(ports.0.to_be_bytes());
    out.extend(ports.1.to_be_bytes());
    out.extend((length - 20).to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    out
}

pub fn arp(operation: u16, mac: [u8; 6], ip: Ipv4Addr, target: Ipv4Addr, tail: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 1, 8, 0, 6, 4];
    out.extend(operation.to_be_bytes());
    out.extend(mac);
    out.extend(ip.octets());
    out.extend([0; 6]);
    out.extend(target.octets());
    out.extend(tail);
    out
}

/// An IPv6 packet with `next` as its payload's kind.
pub fn ipv6(from: std::net::Ipv6Addr, to: std::net::Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    out.extend([next, 255]);
    out.extend(from.octets());
    out.extend(to.octets());
    out.extend(payload);
    out
}
