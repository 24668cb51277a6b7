//! Rankings over hosts made here, and the laws that hold for any hosts.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::columns::{Facts, Loaded};
use driver_api::Timestamp;
use model::aggregate::Aggregate;
use model::placement::{Inventory, Provider, Resources};
use proptest::prelude::*;
use std::collections::BTreeMap;

struct Host {
    name: String,
    cpu: i64,
    ram: i64,
    disk: i64,
    traits: Vec<&'static str>,
    kind: (&'static str, &'static str),
}

fn host(n: usize) -> Host {
    let traits = vec!["COMPUTE_IMAGE_TYPE_RAW", "COMPUTE_IMAGE_TYPE_QCOW2"];
    Host { name: format!("h{n}"), cpu: 8, ram: 8192, disk: 100, traits, kind: ("libvirt", "QEMU") }
}

fn id(n: usize) -> Uuid {
    Uuid::from_u128(n as u128 + 1)
}

fn columns(hosts: &[Host]) -> Columns {
    let mut c = Columns::new();
    for (n, h) in hosts.iter().enumerate() {
        let t = Timestamp(0);
        let provider = Provider {
            id: id(n),
            name: h.name.clone(),
            generation: 0,
            parent: None,
            root: id(n),
            host: Some(h.name.clone()),
            node: Some(h.name.clone()),
            created_at: t,
            updated_at: t,
        };
        let inventories =
            vec![Inventory::new(VCPU, h.cpu), Inventory::new(MEMORY_MB, h.ram), Inventory::new(DISK_GB, h.disk)];
        let traits = h.traits.iter().map(|t| (*t).to_owned()).collect();
        c.upsert(&Loaded { provider, inventories, traits, aggregates: vec![], consumers: 0 });
        let (driver, hv) = h.kind;
        c.set_facts(id(n), &Facts { driver: driver.into(), hypervisor_type: hv.into(), enabled: true });
        c.flag_host(&h.name, UP, true);
    }
    c
}

fn need(cpu: i64, ram: i64, disk: i64) -> RequestSpec {
    let all = [(VCPU, cpu), (MEMORY_MB, ram), (DISK_GB, disk)];
    RequestSpec::new(all.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Resources>())
}

fn names(r: &Ranked) -> Vec<&str> {
    r.candidates.iter().map(|c| c.host.as_str()).collect()
}

#[test]
fn says_per_filter_how_many_fell_and_why() {
    let hosts: Vec<Host> = vec![Host { cpu: 4, ..host(0) }, Host { cpu: 2, ..host(1) }, host(2)];
    let mut c = columns(&hosts);
    c.flag_host("h2", UP, false);
    let r = rank(&c, &need(8, 1024, 1), 1);
    assert_eq!(names(&r), Vec::<&str>::new());
    assert_eq!(
        r.no_valid_host(),
        "No valid host was found. 3 hosts: 1 fell at ComputeFilter (1 down, 0 disabled), \
         2 fell at VcpuFilter (need 8, most free 4)."
    );
    let none = rank(&Columns::new(), &need(1, 1, 1), 1).no_valid_host();
    assert_eq!(none, "No valid host was found. No compute host has registered yet.");
}

#[test]
fn the_freest_host_comes_first_and_failures_outweigh_all() {
    let mut c = columns(&[Host { ram: 4096, ..host(0) }, host(1), Host { ram: 6000, ..host(2) }]);
    let r = rank(&c, &need(1, 512, 1), 7);
    assert_eq!(names(&r), ["h1", "h2", "h0"]);
    c.failed_builds[1] = 1;
    assert_eq!(names(&rank(&c, &need(1, 512, 1), 7)), ["h2", "h0", "h1"]);
    c.note(id(2), &need(4, 4096, 50).resources, 1);
    assert_eq!(names(&rank(&c, &need(1, 512, 1), 7)), ["h0", "h2", "h1"]);
}

#[test]
fn ties_follow_the_number_given_and_nothing_else() {
    let hosts: Vec<Host> = (0..20).map(host).collect();
    let c = columns(&hosts);
    let first = |tie| rank(&c, &need(1, 1, 1), tie).candidates[0].host.clone();
    assert_eq!(first(3), first(3));
    let different: BTreeSet<String> = (0..50).map(first).collect();
    assert!(different.len() > 5, "{different:?}");
}

#[test]
fn every_filter_lets_the_right_hosts_through() {
    let mut c = columns(&[
        host(0),
        Host { kind: ("fake", "fake"), traits: vec!["COMPUTE_IMAGE_TYPE_RAW", "CUSTOM_GPU"], ..host(1) },
        host(2),
    ]);
    let aggregate = |n: i64, host: &str, key: &str, value: &str| Aggregate {
        id: n,
        uuid: id(100),
        name: format!("a{n}"),
        hosts: vec![host.to_owned()],
        metadata: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        created_at: Timestamp(0),
        updated_at: None,
    };
    c.set_aggregates(&[aggregate(1, "h2", "availability_zone", "east"), aggregate(2, "h0", "ssd", "true, fast")]);
    let base = need(1, 1, 1);
    let find = |change: &dyn Fn(&mut RequestSpec)| {
        let mut s = base.clone();
        change(&mut s);
        let r = rank(&c, &s, 1);
        let mut n: Vec<String> = r.candidates.iter().map(|c| c.host.clone()).collect();
        n.sort();
        (n.join(","), r.refusals.into_iter().map(|f| f.filter).collect::<Vec<_>>().join(","))
    };
    let some = |v: &str| Some(v.to_owned());
    type Case<'a> = (&'a dyn Fn(&mut RequestSpec), &'a str, &'a str);
    let cases: [Case<'_>; 15] = [
        (&|s| s.zone = some("east"), "h2", "AvailabilityZoneFilter"),
        (&|s| s.zone = some("nova"), "h0,h1", "AvailabilityZoneFilter"),
        (&|s| s.zone = some("moon"), "", "AvailabilityZoneFilter"),
        (&|s| s.kinds = vec!["fake".into()], "h1", "DriverKindFilter"),
        (&|s| s.kinds = vec!["kvm".into()], "h0,h2", "DriverKindFilter"),
        (&|s| s.kinds = vec!["<or> QEMU <or> fake".into()], "h0,h1,h2", ""),
        (&|s| s.image_format = some("qcow2"), "h0,h2", "ImageFormatFilter"),
        (&|s| s.required_traits = ["CUSTOM_GPU".to_owned()].into(), "h1", "TraitsFilter"),
        (&|s| s.forbidden_traits = ["CUSTOM_GPU".to_owned()].into(), "h0,h2", "TraitsFilter"),
        (&|s| s.forced_host = some("h1"), "h1", "ForcedHost"),
        (&|s| s.exclude_hosts = vec!["h1".into()], "h0,h2", "RetryFilter"),
        (&|s| s.same_host = Some(vec![]), "", "SameHostFilter"),
        (&|s| s.same_host = Some(vec!["h2".into()]), "h2", "SameHostFilter"),
        (&|s| s.different_host = vec!["h2".into()], "h0,h1", "DifferentHostFilter"),
        (
            &|s| s.aggregate_extra_specs = BTreeMap::from([("ssd".to_owned(), "true".to_owned())]),
            "h0",
            "AggregateInstanceExtraSpecsFilter",
        ),
    ];
    for (n, (change, hosts, filters)) in cases.into_iter().enumerate() {
        assert_eq!(find(change), (hosts.to_owned(), filters.to_owned()), "case {n}");
    }
    let gold = find(&|s| {
        s.resources.insert("CUSTOM_GOLD".into(), 1);
    });
    assert_eq!(gold, (String::new(), "ResourceFilter[CUSTOM_GOLD]".into()));
}

#[test]
fn rows_of_removed_providers_are_reused_clean() {
    let mut c = columns(&[host(0), host(1)]);
    c.io_ops[0] = 3;
    c.remove(id(0));
    assert_eq!(names(&rank(&c, &need(1, 1, 1), 1)), ["h1"]);
    let fresh = columns(&[host(5)]);
    let provider = (*fresh.provider[0].clone().unwrap()).clone();
    let provider = Provider { id: id(9), ..provider };
    c.upsert(&Loaded { provider, inventories: vec![], traits: vec![], aggregates: vec![], consumers: 0 });
    assert_eq!((c.len(), c.slots(), c.io_ops[0], c.state[0]), (2, 2, 0, LIVE));
    assert_eq!(c.traits_of(0).count(), 0);
}

#[test]
fn many_traits_keep_their_bits() {
    let mut c = columns(&[host(0)]);
    let traits: Vec<String> = (0..200).map(|n| format!("CUSTOM_T{n:03}")).collect();
    let mut provider = (*c.provider[0].clone().unwrap()).clone();
    provider.id = id(77);
    c.upsert(&Loaded { provider, inventories: vec![], traits: traits.clone(), aggregates: vec![], consumers: 0 });
    let row = c.row(id(77)).unwrap();
    assert_eq!(c.traits_of(row).map(ToString::to_string).collect::<Vec<_>>(), traits);
    assert_eq!(c.traits_of(0).count(), 2);
}

/// A request that asks for more than amounts, or for less.
fn few_of(spec: RequestSpec, asked: usize) -> RequestSpec {
    let mut spec = spec;
    match asked {
        0 => {}
        1 => spec.image_format = Some("qcow2".into()),
        2 => {
            spec.required_traits.insert("COMPUTE_IMAGE_TYPE_RAW".into());
        }
        _ => {
            spec.forbidden_traits.insert("COMPUTE_IMAGE_TYPE_RAW".into());
        }
    }
    spec.resources.retain(|class, _| class != DISK_GB || asked != 2);
    spec
}

proptest! {
    #[test]
    fn who_fits_is_found_and_who_is_found_fits(
        sizes in prop::collection::vec((0i64..16, 0i64..64, 0i64..50, any::<bool>()), 0..40),
        cpu in 1i64..8, ram in 1i64..32, disk in 1i64..20, tie in any::<u64>(), asked in 0usize..4,
    ) {
        let hosts: Vec<Host> = sizes.iter().enumerate()
            .map(|(n, s)| Host { cpu: s.0, ram: s.1, disk: s.2, ..host(n) }).collect();
        let mut c = columns(&hosts);
        for (n, s) in sizes.iter().enumerate() {
            c.flag_host(&format!("h{n}"), UP, s.3);
        }
        let spec = RequestSpec { limit: 1000, ..need(cpu, ram, disk) };
        let r = rank(&c, &spec, tie);
        let mut found: Vec<usize> = r.candidates.iter().map(|c| c.host[1..].parse().unwrap()).collect();
        found.sort_unstable();
        let fits = |s: &(i64, i64, i64, bool)| s.3 && s.0 >= cpu && s.1 >= ram && s.2 >= disk;
        let want: Vec<usize> = sizes.iter().enumerate().filter(|(_, s)| fits(s)).map(|(n, _)| n).collect();
        prop_assert_eq!(found, want);
        let fell: usize = r.refusals.iter().map(|f| f.fell).sum();
        prop_assert_eq!(r.considered, fell + r.candidates.len());
        prop_assert!(r.candidates.windows(2).all(|w| w[0].weight >= w[1].weight));
        let few = rank(&c, &RequestSpec { limit: 3, ..spec.clone() }, tie);
        prop_assert_eq!(&few.candidates[..], &r.candidates[..few.candidates.len()]);
        // The quick way finds the same hosts in the same order, or leaves it to this one to say why there are none.
        let mut spec = few_of(spec, asked);
        for (n, s) in sizes.iter().enumerate() {
            c.io_ops[n] = s.0 % 3;
            c.set_facts(id(n), &Facts { driver: "d".into(), hypervisor_type: "h".into(), enabled: s.1 % 7 != 0 });
        }
        for limit in [1, 5, 1000] {
            spec.limit = limit;
            let slow = rank(&c, &spec, tie);
            let quick = crate::quick::rank(&c, &spec, tie).map(|q| (q.considered, q.candidates));
            prop_assert_eq!(quick, (!slow.candidates.is_empty()).then_some((slow.considered, slow.candidates)));
        }
    }
}
