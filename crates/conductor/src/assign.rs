//! What a host is told about a guest: built at send time from the rows as they are now, never stored.

use crate::Conductor;
use driver_api::{Error, ErrorKind, ImageRef, InstanceSpec, NicSpec};
use guestdata::{Ec2Ids, Guest, PublicKey};
use messaging::Assignment;
use model::server::Server;
use uuid::Uuid;

/// Rows beside the server's own.
struct Beside {
    nics: Vec<NicSpec>,
    image: Option<ImageRef>,
    kernel: Option<ImageRef>,
    ramdisk: Option<ImageRef>,
}

fn beside(tx: &mut store::Tx, server: &Server) -> Result<Beside, store::Error> {
    // An image may be deleted while its servers live: their disks are made, nobody needs it any more.
    let mut image = |id: Option<Uuid>| -> Result<Option<ImageRef>, store::Error> {
        match id {
            Some(id) => Ok(store::image::find(tx, id)?.as_ref().and_then(model::image::Image::reference)),
            None => Ok(None),
        }
    };
    let (root, kernel, ramdisk) = (image(server.body.image)?, image(server.body.kernel)?, image(server.body.ramdisk)?);
    let nics = if server.body.ports.is_empty() { Vec::new() } else { network::nic_specs(tx, server.id)? };
    Ok(Beside { nics, image: root, kernel, ramdisk })
}

/// The living servers of a host.
pub(crate) fn on_host(tx: &mut store::Tx, host: &str) -> Result<Vec<Server>, store::Error> {
    let filter = store::servers::Filter { host: Some(host.to_owned()), ..Default::default() };
    store::servers::list(tx, &filter, &store::servers::Page::default(), |_| true)
}

impl Conductor {
    /// The assignment of one server.
    pub(crate) async fn assignment(&self, server: &Server) -> Result<Assignment, Error> {
        let plain = server.body.ports.is_empty() && server.body.image.is_none();
        let beside = if plain {
            Beside { nics: Vec::new(), image: None, kernel: None, ramdisk: None }
        } else {
            let s = server.clone();
            self.store
                .read(move |tx| beside(tx, &s))
                .await
                .map_err(|e| Error::new(ErrorKind::Busy, "the server's records cannot be read now").detail(e))?
        };
        Ok(self.compose(server, beside))
    }

    /// The assignments of every server of `host`; one that cannot be read is left out and named in the log.
    pub(crate) async fn assignments_of(&self, host: &str) -> Result<Vec<Assignment>, store::Error> {
        let name = host.to_owned();
        let pairs = self
            .store
            .read(move |tx| {
                let mut out = Vec::new();
                for server in on_host(tx, &name)? {
                    match beside(tx, &server) {
                        Ok(b) => out.push((server, b)),
                        Err(e @ (store::Error::Corrupt { .. } | store::Error::NotFound { .. })) => {
                            tracing::error!(server = %server.id, error = %e, "this server's records are damaged");
                        }
                        Err(e) => return Err(e),
                    }
                }
                Ok(out)
            })
            .await?;
        Ok(pairs.into_iter().map(|(s, b)| self.compose(&s, b)).collect())
    }

    fn compose(&self, server: &Server, beside: Beside) -> Assignment {
        let body = &server.body;
        let mut image = beside.image;
        if let Some(i) = &mut image {
            // The properties are those of the image when the server was made, whatever happened to the image since.
            i.properties.clone_from(&body.image_properties);
        }
        let spec = InstanceSpec {
            id: server.id,
            generation: server.generation.unsigned_abs(),
            name: server.name.clone(),
            hostname: body.hostname.clone(),
            project_id: server.project_id.clone(),
            user_id: server.user_id.clone(),
            node: server.node.clone().unwrap_or_default(),
            flavor_name: body.flavor.name.clone(),
            vcpus: body.flavor.vcpus,
            memory_mib: body.flavor.memory_mib,
            root_gib: body.flavor.root_gib,
            ephemeral_gib: body.flavor.ephemeral_gib,
            swap_mib: body.flavor.swap_mib,
            extra_specs: body.flavor.extra_specs.clone(),
            image,
            kernel: beside.kernel,
            ramdisk: beside.ramdisk,
            config_drive: body.config_drive,
            nics: beside.nics,
            metadata: body.metadata.clone(),
        };
        Assignment { guest: self.guest(server, &spec.nics), spec }
    }

    fn guest(&self, server: &Server, nics: &[NicSpec]) -> Guest {
        let body = &server.body;
        let mut seed = vec![0; 512];
        self.env.random.fill(&mut seed);
        let key = body.key.iter().map(|(name, data)| PublicKey { name: name.clone(), kind: "ssh".into(), data: data.clone() });
        Guest {
            id: server.id,
            name: server.name.clone(),
            hostname: body.hostname.clone(),
            dhcp_domain: "novalocal".into(),
            project_id: server.project_id.clone(),
            availability_zone: server.zone.clone().unwrap_or_else(|| model::aggregate::DEFAULT_ZONE.into()),
            launch_index: body.launch_index,
            reservation_id: body.reservation_id.clone(),
            public_keys: key.collect(),
            user_data: body.user_data.as_ref().map(|u| guestdata::Secret::new(u.reveal().clone())),
            admin_pass: body.admin_pass.as_ref().map(|p| guestdata::Secret::new(p.reveal().clone())),
            password: body.posted_password.as_ref().map(|p| guestdata::Secret::new(p.reveal().clone())),
            metadata: body.metadata.clone(),
            instance_type: body.flavor.name.clone(),
            nics: nics.to_vec(),
            created: server.created_at,
            random_seed: guestdata::Secret::new(seed),
            ec2: Ec2Ids::from_uuids(server.id, body.image, body.kernel, body.ramdisk),
            security_groups: body.security_groups.clone(),
            root_device: body.root_device.clone(),
            ..Guest::default()
        }
    }
}
