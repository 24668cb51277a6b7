//! What a server needs of a host: the request that filters are held against. Typed, and made from what the
//! platform knows; a user's hints reach it only through the fields that are hints.

use model::placement::{DISK_GB, MEMORY_MB, Resources, VCPU};
use model::server::FlavorSnapshot;
use model::server_group::ServerGroup;
use std::collections::{BTreeMap, BTreeSet};

/// How many candidates a ranking keeps: the chosen host and its alternates.
pub const CANDIDATES: usize = 10;

/// The request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSpec {
    /// Amounts by class.
    pub resources: Resources,
    /// Traits that the host must have.
    pub required_traits: BTreeSet<String>,
    /// Traits that it must not have.
    pub forbidden_traits: BTreeSet<String>,
    /// Disk format of the image, Glance's word.
    pub image_format: Option<String>,
    /// Availability zone asked for.
    pub zone: Option<String>,
    /// Words (with extra-spec operators) each of which the driver's name or the hypervisor type must meet.
    pub kinds: Vec<String>,
    /// `aggregate_instance_extra_specs:` of the flavor, without the prefix.
    pub aggregate_extra_specs: BTreeMap<String, String>,
    /// Hint `same_host`, resolved to the hosts of those servers; empty: none of them is anywhere.
    pub same_host: Option<Vec<String>>,
    /// Hint `different_host`, resolved to the hosts of those servers.
    pub different_host: Vec<String>,
    /// Only this host (`az:host`, `host` of 2.74).
    pub forced_host: Option<String>,
    /// Only this node (`az:host:node`, `hypervisor_hostname` of 2.74).
    pub forced_node: Option<String>,
    /// Hosts that have failed already.
    pub exclude_hosts: Vec<String>,
    /// The server group it joins.
    pub group: Option<GroupSpec>,
    /// Candidates wanted.
    pub limit: usize,
}

/// A server group, for filters and weighers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpec {
    /// The group.
    pub group: ServerGroup,
    /// How many of its members are on each host.
    pub hosts: BTreeMap<String, i64>,
}

impl GroupSpec {
    /// May one more member go to `host`?
    pub(crate) fn admits(&self, host: &str) -> bool {
        let here = self.hosts.get(host).copied().unwrap_or(0);
        self.group.admits(here, self.hosts.values().sum::<i64>() - here)
    }
}

impl RequestSpec {
    /// A request for amounts alone.
    pub fn new(resources: Resources) -> RequestSpec {
        RequestSpec {
            resources,
            required_traits: BTreeSet::new(),
            forbidden_traits: BTreeSet::new(),
            image_format: None,
            zone: None,
            kinds: Vec::new(),
            aggregate_extra_specs: BTreeMap::new(),
            same_host: None,
            different_host: Vec::new(),
            forced_host: None,
            forced_node: None,
            exclude_hosts: Vec::new(),
            group: None,
            limit: CANDIDATES,
        }
    }
    /// The request of a server of `flavor`, from an image of `disk_format` with `properties`.
    pub fn of(flavor: &FlavorSnapshot, image: Option<(&str, &BTreeMap<String, String>)>) -> RequestSpec {
        let mut spec = RequestSpec::new(flavor_resources(flavor));
        for (key, value) in &flavor.extra_specs {
            spec.flavor_key(key, value);
        }
        if let Some((format, properties)) = image {
            spec.image_format = Some(format.to_owned());
            for (key, value) in properties {
                match key.as_str() {
                    "hypervisor_type" | "img_hv_type" if !value.is_empty() => spec.kinds.push(value.clone()),
                    _ => spec.trait_key(key, value),
                }
            }
        }
        spec
    }

    fn flavor_key(&mut self, key: &str, value: &str) {
        if let Some(name) = key.strip_prefix("aggregate_instance_extra_specs:") {
            self.aggregate_extra_specs.insert(name.to_owned(), value.to_owned());
        } else if key == "kilonova:driver" || key == "capabilities:hypervisor_type" {
            self.kinds.push(value.to_owned());
        } else {
            self.trait_key(key, value);
        }
    }
    fn trait_key(&mut self, key: &str, value: &str) {
        let Some(name) = key.strip_prefix("trait:") else { return };
        match value {
            "required" => self.required_traits.insert(name.to_owned()),
            "forbidden" => self.forbidden_traits.insert(name.to_owned()),
            _ => false,
        };
    }
}

/// Amounts of a flavor: its own numbers, then `resources:CLASS=N` in their place (0 drops the class).
pub fn flavor_resources(flavor: &FlavorSnapshot) -> Resources {
    let amount = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let disk = flavor.root_gib.saturating_add(flavor.ephemeral_gib).saturating_add(flavor.swap_mib.div_ceil(1024));
    let mut out = Resources::from([
        (VCPU.to_owned(), i64::from(flavor.vcpus)),
        (MEMORY_MB.to_owned(), amount(flavor.memory_mib)),
        (DISK_GB.to_owned(), amount(disk)),
    ]);
    for (key, value) in &flavor.extra_specs {
        if let (Some(class), Ok(n)) = (key.strip_prefix("resources:"), value.parse::<i64>())
            && n >= 0
        {
            out.insert(class.to_owned(), n);
        }
    }
    out.retain(|_, n| *n > 0);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn flavor(extra: &[(&str, &str)]) -> FlavorSnapshot {
        FlavorSnapshot {
            id: "1".into(),
            name: "m1.tiny".into(),
            vcpus: 2,
            memory_mib: 512,
            root_gib: 1,
            ephemeral_gib: 2,
            swap_mib: 100,
            extra_specs: extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        }
    }

    #[test]
    fn flavors_and_images_make_requests() {
        let f = flavor(&[
            ("resources:VCPU", "0"),
            ("resources:CUSTOM_GOLD", "1"),
            ("trait:HW_CPU_X86_AVX2", "required"),
            ("trait:CUSTOM_SLOW", "forbidden"),
            ("kilonova:driver", "fake"),
            ("aggregate_instance_extra_specs:ssd", "true"),
            ("hw:mem_page_size", "large"),
        ]);
        let properties = BTreeMap::from([("img_hv_type".to_owned(), "kvm".to_owned())]);
        let s = RequestSpec::of(&f, Some(("qcow2", &properties)));
        let want = [(DISK_GB, 4), (MEMORY_MB, 512), ("CUSTOM_GOLD", 1)];
        assert_eq!(s.resources, want.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
        assert_eq!(s.required_traits.iter().collect::<Vec<_>>(), ["HW_CPU_X86_AVX2"]);
        assert_eq!(s.forbidden_traits.iter().collect::<Vec<_>>(), ["CUSTOM_SLOW"]);
        assert_eq!(s.kinds, ["fake", "kvm"]);
        assert_eq!(s.aggregate_extra_specs["ssd"], "true");
        assert_eq!(s.image_format.as_deref(), Some("qcow2"));
    }
}
