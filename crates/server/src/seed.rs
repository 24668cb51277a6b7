//! What a fresh cloud has: the customary flavors and one network. Written once; what the operator changes stays.

use crate::cloud::Error;
use crate::config::Config;
use model::Env;
use model::flavor::Flavor;
use network::Network;
use std::collections::BTreeMap;
use store::Store;

/// Customary flavors (those of DevStack): name, MiB, GiB, CPUs.
const FLAVORS: &[(&str, &str, u64, u64, u32)] = &[
    ("1", "m1.tiny", 512, 1, 1),
    ("2", "m1.small", 2048, 20, 1),
    ("3", "m1.medium", 4096, 40, 2),
    ("4", "m1.large", 8192, 80, 4),
    ("5", "m1.xlarge", 16384, 160, 8),
    ("c1", "kilonova.micro", 128, 1, 1),
];

/// Writes them if this cloud has none yet.
pub(crate) async fn run(store: &Store, env: &Env, network: &Network, project: &str, config: &Config) -> Result<(), Error> {
    let now = env.now();
    let done = store.read(|tx| Ok(!store::flavors::list(tx)?.is_empty())).await?;
    if !done {
        store
            .write(move |tx| {
                for (id, name, memory_mib, root_gib, vcpus) in FLAVORS {
                    store::flavors::insert(tx, &Flavor {
                        id: (*id).into(),
                        name: (*name).into(),
                        vcpus: *vcpus,
                        memory_mib: *memory_mib,
                        root_gib: *root_gib,
                        ephemeral_gib: 0,
                        swap_mib: 0,
                        rxtx_factor: 1.0,
                        is_public: true,
                        access: Vec::new(),
                        disabled: false,
                        description: None,
                        extra_specs: BTreeMap::new(),
                        created_at: now,
                    })?;
                }
                Ok(())
            })
            .await?;
    }
    if !config.network.cidr.is_empty() && !done {
        let cidr = config.network.cidr.parse().map_err(|e| Error::Service {
            service: "network",
            reason: format!("[network] cidr {:?}: {e}", config.network.cidr),
        })?;
        network
            .seed(&network::Seed {
                project_id: project.to_owned(),
                name: config.network.name.clone(),
                cidr,
                dns: config.network.dns.clone(),
            })
            .await
            .map_err(|e| Error::Service { service: "network", reason: e.to_string() })?;
    }
    Ok(())
}
