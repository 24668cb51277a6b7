//! `POST /servers`: the body becomes a `BuildRequest`, every name in it resolved, every refusal said before anything is
//! stored. What is not built (volumes, injected files) is refused by name.

use crate::Api;
use crate::ask::Ask;
use crate::fault::{bad, refused};
use crate::outside::{self, Bootable};
use crate::servers::metadata::{fault_of, within_quota};
use crate::servers::name::password;
use crate::table::forbidden;
use api_types::server_view::{CreateAnswer, Named};
use api_types::servers::{Create, Networks, Nic};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use conductor::{BuildRequest, NetworkRequest, NicRequest};
use model::Secret;
use model::flavor::Flavor;
use model::image::Image;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;
use web::{Body, Fault};

/// `zone[:host[:node]]` as given.
#[derive(Debug, Default, PartialEq, Eq)]
struct Place {
    zone: Option<String>,
    host: Option<String>,
    node: Option<String>,
}

impl Place {
    fn read(text: Option<&str>) -> Result<Place, Fault> {
        let Some(text) = text else { return Ok(Place::default()) };
        let some = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            [zone] => Ok(Place { zone: some(zone), ..Place::default() }),
            [zone, host] => Ok(Place { zone: some(zone), host: some(host), node: None }),
            [zone, host, node] => Ok(Place { zone: some(zone), host: some(host), node: some(node) }),
            _ => Err(Fault::bad_request("Invalid input received: Unable to parse availability_zone; its form is zone:host:node.")),
        }
    }
}

/// The handler.
/// # Errors
/// 400, 403, 409, 501, as in Nova.
pub async fn create(State(api): State<Api>, ask: Ask, Body(body): Body<Value>) -> Result<Response, Fault> {
    let wanted = Create::read(&body, ask.mv).map_err(bad)?;
    let answer_groups = wanted.security_groups.clone().unwrap_or_else(|| vec!["default".into()]);
    let reservation = wanted.return_reservation_id;
    let request = resolve(&api, &ask, wanted).await?;
    let pass = request.admin_pass.reveal().clone();
    let servers = api.conductor().build(&ask.caller, request).await.map_err(refused)?;
    let first = servers.first().ok_or_else(|| Fault::internal("a build made no server"))?;
    if reservation {
        let body = Json(json!({ "reservation_id": first.body.reservation_id }));
        return Ok((StatusCode::ACCEPTED, body).into_response());
    }
    let links = ask.base.links("servers", &first.id);
    let server = CreateAnswer {
        id: first.id,
        links,
        disk_config: if first.body.disk_config.is_empty() { "MANUAL" } else { &first.body.disk_config },
        security_groups: answer_groups.iter().map(|name| Named { name }).collect(),
        admin_pass: &pass,
    };
    let location = ask.base.own(format_args!("servers/{}", first.id));
    Ok((StatusCode::ACCEPTED, [("location", location)], Json(json!({ "server": server }))).into_response())
}

/// Everything that names something becomes that thing.
async fn resolve(api: &Api, ask: &Ask, w: Create) -> Result<BuildRequest, Fault> {
    let min = w.min_count.unwrap_or(1);
    let max = w.max_count.unwrap_or(min);
    if min > max {
        return Err(Fault::bad_request("min_count must be <= max_count"));
    }
    if !w.personality.is_empty() {
        return Err(Fault::not_built("File injection (personality); use user_data. It"));
    }
    if max > 1 && w.hostname.is_some() {
        return Err(Fault::bad_request("Unable to allocate a single hostname to multiple instances"));
    }
    let place = place(api, ask, &w)?;
    let image = image_id(&w)?;
    let networks = networks(&w, max)?;
    let (flavor, found) = look_up(api, ask, &w.flavor, image).await?;
    let boot = boot(api, ask, &flavor, image.zip(found)).await?;
    let key = key(api, ask, w.key_name.as_deref()).await?;
    let user_data = w.user_data.as_deref().map(decode).transpose()?;
    quota(api, ask, w.metadata.len()).await?;
    let name = w.name.trim().to_owned();
    let groups: BTreeSet<String> = w.security_groups.unwrap_or_default().into_iter().collect();
    Ok(BuildRequest {
        // Before 2.19 the original keeps the name as description.
        description: if ask.at_least(19) { w.description } else { Some(name.clone()) },
        name,
        min_count: min,
        max_count: max,
        flavor,
        image: boot.as_ref().map(|b| b.image.clone()),
        kernel: boot.as_ref().and_then(|b| b.kernel.clone()),
        ramdisk: boot.and_then(|b| b.ramdisk),
        key,
        metadata: w.metadata,
        tags: w.tags,
        hostname: w.hostname,
        config_drive: w.config_drive,
        zone: place.zone,
        forced_host: place.host,
        forced_node: place.node.or(w.hypervisor_hostname.filter(|_| w.host.is_none())),
        requested_host: w.host,
        user_data,
        admin_pass: Secret::new(w.admin_pass.unwrap_or_else(|| password(&api.env().random))),
        access_ipv4: w.access_ipv4.unwrap_or_default(),
        access_ipv6: w.access_ipv6.unwrap_or_default(),
        security_groups: groups.into_iter().collect(),
        networks,
        hints: w.hints,
        disk_config: w.disk_config.unwrap_or_else(|| "MANUAL".into()),
        trusted_certs: w.trusted_certs,
    })
}

/// Zone and host: only administrators may name a host; a zone must be one.
fn place(api: &Api, ask: &Ask, w: &Create) -> Result<Place, Fault> {
    let place = Place::read(w.availability_zone.as_deref())?;
    let forced = place.host.is_some() || place.node.is_some();
    if forced && !ask.is_admin() {
        return Err(forbidden("os_compute_api:servers:create:forced_host"));
    }
    if w.host.is_some() || w.hypervisor_hostname.is_some() {
        if !ask.is_admin() {
            return Err(forbidden("compute:servers:create:requested_destination"));
        }
        if forced {
            return Err(Fault::bad_request(
                "One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node are mutually exclusive.",
            ));
        }
        if let Some(host) = w.host.as_deref().filter(|h| api.conductor().host(h).is_none()) {
            return Err(Fault::bad_request(format!("Compute host {host} could not be found.")));
        }
    }
    match &place.zone {
        Some(zone) if !forced && !api.placement().zones().contains(zone) => {
            Err(Fault::bad_request("The requested availability zone is not available"))
        }
        _ => Ok(place),
    }
}

/// The image to boot from: `imageRef`, or a block device that says the same in other words.
fn image_id(w: &Create) -> Result<Option<Uuid>, Fault> {
    let volumes = |what: &str| Fault::not_built(&format!("Booting with volumes ({what}): there is no volume service. It"));
    if w.block_device_mapping > 0 {
        return Err(volumes("block_device_mapping"));
    }
    let mut image = w.image;
    for device in &w.block_device_mapping_v2 {
        let source = device.source_type.as_deref();
        let local_boot = source == Some("image")
            && device.destination_type.as_deref() == Some("local")
            && device.boot_index == Some(0);
        let id = device.uuid.as_deref().and_then(|u| Uuid::try_parse(u).ok());
        match (local_boot, id) {
            (true, Some(id)) if image.is_none_or(|i| i == id) => image = Some(id),
            (true, _) => return Err(Fault::bad_request("Block Device Mapping is Invalid: its image and imageRef must be the same.")),
            (false, _) => {
                let text = format!("block_device_mapping_v2 with source_type {}", source.unwrap_or("none"));
                return Err(volumes(&text));
            }
        }
    }
    if image.is_none() {
        return Err(Fault::bad_request("Missing imageRef attribute"));
    }
    Ok(image)
}

fn networks(w: &Create, max: u32) -> Result<NetworkRequest, Fault> {
    let list = match &w.networks {
        None | Some(Networks::Auto) => return Ok(NetworkRequest::Auto),
        Some(Networks::None) => return Ok(NetworkRequest::None),
        Some(Networks::List(list)) if list.is_empty() => return Ok(NetworkRequest::Auto),
        Some(Networks::List(list)) => list,
    };
    let mut ports = BTreeSet::new();
    let nics: Result<Vec<NicRequest>, Fault> = list.iter().map(|n| nic(n, max, &mut ports)).collect();
    nics.map(NetworkRequest::Nics)
}

fn nic(n: &Nic, max: u32, ports: &mut BTreeSet<Uuid>) -> Result<NicRequest, Fault> {
    let Some(port) = n.port else {
        let text = n.network.as_deref().ok_or_else(|| Fault::bad_request("Bad network format: missing 'uuid'"))?;
        let id = Uuid::try_parse(text).map_err(|_| {
            Fault::bad_request(format!("Bad networks format: network uuid is not in proper format ({text})"))
        })?;
        if max > 1 && n.fixed_ip.is_some() {
            return Err(Fault::bad_request("Failed to launch instances: a fixed IP address cannot be given to several servers at once"));
        }
        return Ok(NicRequest::Network { id, fixed_ip: n.fixed_ip, tag: n.tag.clone() });
    };
    if !ports.insert(port) {
        return Err(Fault::bad_request(format!(
            "Port ID '{port}' was specified twice: you cannot attach a port multiple times."
        )));
    }
    if let Some(ip) = n.fixed_ip {
        return Err(Fault::bad_request(format!(
            "Specified Fixed IP '{ip}' cannot be used with port '{port}': the two cannot be specified together."
        )));
    }
    if max > 1 {
        return Err(Fault::bad_request(
            "Unable to launch multiple instances with a single configured port ID. Please launch your instance one by one with different ports.",
        ));
    }
    Ok(NicRequest::Port { id: port, tag: n.tag.clone() })
}

/// The flavor and the image, in one look at the database.
async fn look_up(api: &Api, ask: &Ask, flavor: &str, image: Option<Uuid>) -> Result<(Flavor, Option<image::Result<Image>>), Fault> {
    let missing = Fault::bad_request(format!("Flavor {flavor} could not be found."));
    let (key, caller) = (flavor.to_owned(), ask.caller.0.clone());
    let looked = api.store().read(move |tx| {
        let flavor = match store::flavors::get(tx, &key) {
            Err(store::Error::NotFound { .. }) => None,
            found => Some(found?),
        };
        let image = image.map(|id| image::Images::find_in(tx, &caller, id)).transpose()?;
        Ok((flavor, image))
    });
    match looked.await? {
        (Some(f), image) if f.usable_by(ask.caller.project_id(), ask.is_admin()) => Ok((f, image)),
        _ => Err(missing),
    }
}

async fn boot(
    api: &Api,
    ask: &Ask,
    flavor: &Flavor,
    image: Option<(Uuid, image::Result<Image>)>,
) -> Result<Option<Bootable>, Fault> {
    let Some((id, found)) = image else { return Ok(None) };
    let boot = outside::bootable_image(api, &ask.caller, id, found, "Can not find requested image").await?;
    if flavor.root_gib == 0 && !ask.is_admin() {
        return Err(Fault::forbidden("Only volume-backed servers are allowed for flavors with zero disk."));
    }
    outside::fits(flavor.memory_mib, flavor.root_gib, &boot)?;
    Ok(Some(boot))
}

/// The caller's keypair, by name.
/// # Errors
/// 400.
pub async fn key(api: &Api, ask: &Ask, name: Option<&str>) -> Result<Option<(String, String)>, Fault> {
    let Some(name) = name else { return Ok(None) };
    let (user, name) = (ask.caller.user_id.clone(), name.to_owned());
    match api.store().read(move |tx| store::keypairs::get(tx, &user, &name)).await {
        Ok(k) => Ok(Some((k.name, k.public_key))),
        Err(store::Error::NotFound { .. }) => Err(Fault::bad_request("Invalid key_name provided.")),
        Err(e) => Err(e.into()),
    }
}

/// User data as bytes.
/// # Errors
/// 400.
pub fn decode(text: &str) -> Result<Secret<Vec<u8>>, Fault> {
    // Some clients break base64 into lines.
    let clean: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD
        .decode(clean)
        .map(Secret::new)
        .map_err(|_| Fault::bad_request("Invalid input for field/attribute user_data: User data needs to be valid base 64."))
}

async fn quota(api: &Api, ask: &Ask, items: usize) -> Result<(), Fault> {
    if items == 0 {
        return Ok(());
    }
    let project = ask.caller.project_id().to_owned();
    api.store().read(move |tx| within_quota(tx, &project, items)).await.map_err(fault_of)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use api_types::Microversion;

    fn wanted(extra: Value) -> Create {
        let mut server = json!({"name": "a", "flavorRef": "1", "imageRef": "70a599e0-31e7-49b7-b260-868f441e862b"});
        for (k, v) in extra.as_object().unwrap() {
            server[k] = v.clone();
        }
        Create::read(&json!({ "server": server }), Microversion(2, 36)).unwrap()
    }

    #[test]
    fn places() {
        let read = |t: &str| Place::read(Some(t));
        assert_eq!(read("nova").unwrap().zone.as_deref(), Some("nova"));
        let p = read("nova:h1:n1").unwrap();
        assert_eq!((p.host.as_deref(), p.node.as_deref()), (Some("h1"), Some("n1")));
        assert_eq!(read("nova::n1").unwrap().host, None);
        assert!(read("a:b:c:d").is_err());
    }

    #[test]
    fn a_local_block_device_is_an_image_and_volumes_are_refused_by_name() {
        let device = |extra: Value| {
            let mut d = json!({"uuid": "70a599e0-31e7-49b7-b260-868f441e862b", "source_type": "image",
                "destination_type": "local", "boot_index": 0});
            for (k, v) in extra.as_object().unwrap() {
                d[k] = v.clone();
            }
            wanted(json!({"imageRef": "", "block_device_mapping_v2": [d]}))
        };
        assert!(image_id(&device(json!({}))).unwrap().is_some());
        let e = image_id(&device(json!({"source_type": "volume"}))).unwrap_err();
        assert_eq!(e.status, StatusCode::NOT_IMPLEMENTED);
        assert!(e.message.contains("volume"), "{}", e.message);
        assert_eq!(image_id(&device(json!({"destination_type": "volume"}))).unwrap_err().status, StatusCode::NOT_IMPLEMENTED);
        assert_eq!(image_id(&wanted(json!({"imageRef": ""}))).unwrap_err().message, "Missing imageRef attribute");
    }

    #[test]
    fn interfaces() {
        let id = "70a599e0-31e7-49b7-b260-868f441e862b";
        let text = |v: Value, max| networks(&wanted(json!({"networks": v})), max).map(|_| ()).map_err(|f| f.message);
        assert_eq!(text(json!([{"uuid": id}]), 2), Ok(()));
        assert_eq!(text(json!([]), 1), Ok(()));
        assert!(text(json!([{"uuid": "x"}]), 1).unwrap_err().contains("not in proper format (x)"));
        assert!(text(json!([{}]), 1).unwrap_err().contains("missing 'uuid'"));
        assert!(text(json!([{"port": id}, {"port": id}]), 1).unwrap_err().contains("specified twice"));
        assert!(text(json!([{"port": id, "fixed_ip": "10.0.0.1"}]), 1).unwrap_err().contains("cannot be specified together"));
        assert!(text(json!([{"port": id}]), 2).unwrap_err().contains("multiple instances"));
        assert!(text(json!([{"uuid": id, "fixed_ip": "10.0.0.1"}]), 2).is_err());
    }

    #[test]
    fn user_data_is_base64() {
        assert_eq!(decode("aGVs\nbG8=").unwrap().reveal(), b"hello");
        assert!(decode("###").unwrap_err().message.contains("user_data"));
    }
}
