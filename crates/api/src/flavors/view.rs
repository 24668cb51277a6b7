//! How a flavor is shown in each microversion.

use crate::ask::Ask;
use api_types::flavors::{Detail, Swap, View};
use model::flavor::Flavor;

/// A flavor, with or without details.
pub fn view<'a>(ask: &'a Ask, f: &'a Flavor, detail: bool) -> View<'a> {
    View {
        id: &f.id,
        name: &f.name,
        links: ask.base.links("flavors", &f.id),
        description: ask.at_least(55).then_some(f.description.as_deref()),
        detail: detail.then(|| Detail {
            ram: f.memory_mib,
            disk: f.root_gib,
            swap: Swap { mib: f.swap_mib, number: ask.at_least(75) },
            ephemeral: f.ephemeral_gib,
            disabled: (!ask.at_least(102)).then_some(f.disabled),
            vcpus: f.vcpus,
            is_public: f.is_public,
            rxtx_factor: (!ask.at_least(102)).then_some(f.rxtx_factor),
            // Policy shows extra specs to readers of a project, which everybody with a role in one is.
            extra_specs: ask.at_least(61).then_some(&f.extra_specs),
        }),
    }
}
