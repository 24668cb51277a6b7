//! What cannot be otherwise, as data; the test holds each row against what happens.

/// Fields of which some damage leaves a legal value: nobody can tell.
pub struct Legal {
    /// Why.
    pub why: &'static str,
    /// The kinds of damage.
    pub kinds: &'static [&'static str],
    /// The fields.
    pub fields: &'static [&'static str],
}

/// All of them.
pub const LEGAL: &[Legal] = &[
    Legal {
        why: "Its host says it again whenever it registers or reports.",
        kinds: &["set to NULL", "made garbage", "made negative", "made huge", "emptied", "made oversized"],
        fields: &[
            "inventories.allocation_ratio", "inventories.max_unit", "inventories.min_unit", "inventories.reserved",
            "inventories.step_size", "inventories.total", "provider_traits.trait", "resource_providers.host",
            "resource_providers.node", "servers.power_state", "services.controller", "services.down_reason", "services.driver",
        ],
    },
    Legal {
        why: "The row is written anew when the action that is under way ends.",
        kinds: &["set to NULL", "made garbage", "made negative", "made huge", "emptied", "made oversized", "left out"],
        fields: &[
            "servers.action", "servers.body/image", "servers.body/key", "servers.flavor_id", "servers.generation",
            "servers.image_id", "servers.key_name", "servers.memory_mib", "servers.updated_at", "servers.vcpus",
        ],
    },
    Legal {
        why: "A flow that is under way is written anew as it goes on; of one that ended these are words, or may be absent.",
        kinds: &["made garbage", "made negative", "made huge", "emptied", "made oversized", "left out", "of another type"],
        fields: &[
            "flows.input", "flows.input/alternates", "flows.input/image", "flows.input/was", "flows.journal",
            "flows.lease_until", "flows.message", "flows.owner", "flows.steps/0/detail", "flows.steps/0/finished_at",
            "flows.steps/0/host", "flows.steps/0/result", "flows.updated_at",
        ],
    },
    Legal {
        why: "Begun anew at the start, above every revision there was.",
        kinds: &["made garbage", "made bytes", "made negative", "made huge"],
        fields: &[
            "identity_revision.id", "identity_revision.revision",
        ],
    },
    Legal {
        why: "Compared when a database is opened, and refused there; this one stays open from life to life.",
        kinds: &["made garbage", "made bytes", "made negative", "made huge", "emptied", "made oversized"],
        fields: &[
            "schema_migrations.checksum", "schema_migrations.version",
        ],
    },
    Legal {
        why: "Any value of its type is one.",
        kinds: &["made bytes", "left out", "of another type"],
        fields: &[
            "secrets.value", "servers.body/hints/group", "servers.body/posted_password",
        ],
    },
    Legal {
        why: "May be absent.",
        kinds: &["set to NULL", "left out"],
        fields: &[
            "aggregates.metadata/victim", "aggregates.updated_at", "consumers.kind", "flavors.description",
            "flavors.extra_specs/victim:spec", "identity_app_credentials.body/description",
            "identity_app_credentials.body/expires_at", "identity_catalog.body/region_id", "identity_projects.body/parent_id",
            "identity_roles.body/description", "identity_roles.body/domain_id", "identity_users.body/default_project_id",
            "identity_users.body/password", "images.body/properties/victim", "images.checksum", "images.container_format",
            "images.disk_format", "images.name", "images.owner", "images.virtual_size", "ports.body/device_tag",
            "security_group_rules.body/remote_ip_prefix", "servers.body/admin_pass", "servers.body/description",
            "servers.body/fault", "servers.body/flavor/extra_specs/victim:spec", "servers.body/image_name",
            "servers.body/image_properties/victim", "servers.body/kernel", "servers.body/lock_reason",
            "servers.body/metadata/victim", "servers.body/old_vm_state", "servers.body/ports/0/tag", "servers.body/ramdisk",
            "servers.body/requested_zone", "servers.body/root_device", "servers.body/trusted_certs", "servers.body/user_data",
            "servers.launched_at", "servers.zone", "subnets.body/gateway_ip",
        ],
    },
    Legal {
        why: "Any text is one: a name, an owner, a description, a key to something that is looked up and not found.",
        kinds: &["made garbage", "made negative", "made huge", "emptied", "made oversized"],
        fields: &[
            "consumers.kind", "counters.name", "flavors.description", "host_vteps.host", "identity_revoked_tokens.audit_id",
            "identity_roles.domain_id", "image_properties.value", "image_tags.tag", "images.container_format", "images.name",
            "images.owner", "images.writer", "keypairs.public_key", "ports.name", "schema_migrations.name", "secrets.name",
            "servers.node", "servers.zone", "services.disabled_reason", "subnets.name",
        ],
    },
    Legal {
        why: "A number, or a text of digits, is as good as another.",
        kinds: &["made negative", "made huge"],
        fields: &[
            "aggregates.name", "consumers.project_id", "consumers.user_id", "flavors.id", "flavors.name", "flavors.rxtx_factor",
            "flows.project_id", "flows.request_id", "flows.user_id", "identity_signing_keys.id", "image_members.member",
            "image_properties.name", "images.virtual_size", "keypairs.fingerprint", "keypairs.kind", "keypairs.name",
            "keypairs.user_id", "network_segments.kind", "network_segments.tag", "quotas.hard_limit", "resource_providers.name",
            "server_groups.max_per_host", "server_groups.name", "server_groups.user_id", "servers.name", "servers.user_id",
            "services.host",
        ],
    },
];

/// Damage that is found, but in another thing than the row itself: why, and the fields.
pub const FOUND: &[(&str, &[&str])] = &[
    (
        "Another project or class, as far as anybody can tell: the counts do not fit.",
        &["allocations.class", "server_groups.project_id", "servers.project_id"],
    ),
    ("What is taken and given back while it is damaged makes it a count again, a wrong one.", &["inventories.used"]),
];

/// Fields without which nothing can be served: the start says so. Field and words of the message. None is known.
pub const STOPS: &[(&str, &str)] = &[];

/// Tables without a row here: SQLite has one controller, and never a row in the log between controllers.
pub const EMPTY: &[&str] = &["changes", "controllers"];
