//! Compute calls (`/compute/v2.1`, microversion 2.96).

use crate::{Cloud, Error};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A server.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// Identity.
    pub id: Uuid,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Status.
    #[serde(default)]
    pub status: String,
    /// Task.
    #[serde(rename = "OS-EXT-STS:task_state", default)]
    pub task_state: Option<String>,
    /// Host, for administrators.
    #[serde(rename = "OS-EXT-SRV-ATTR:host", default)]
    pub host: Option<String>,
    /// Percent.
    #[serde(default)]
    pub progress: Option<u8>,
    /// Network name → addresses.
    #[serde(default)]
    pub addresses: BTreeMap<String, Vec<Address>>,
    /// Why it is in ERROR.
    #[serde(default)]
    pub fault: Option<ServerFault>,
    /// Owner.
    #[serde(default)]
    pub tenant_id: String,
    /// Made at.
    #[serde(default)]
    pub created: String,
}

/// One address.
#[derive(Debug, Clone, Deserialize)]
pub struct Address {
    /// The address.
    pub addr: String,
}

/// Why a server is in ERROR.
#[derive(Debug, Clone, Deserialize)]
pub struct ServerFault {
    /// One sentence.
    pub message: String,
    /// More, for administrators.
    #[serde(default)]
    pub details: Option<String>,
    /// Code.
    #[serde(default)]
    pub code: u16,
}

/// A flavor.
#[derive(Debug, Clone, Deserialize)]
pub struct Flavor {
    /// Identity.
    pub id: String,
    /// Name.
    pub name: String,
    /// Memory, MiB.
    #[serde(default)]
    pub ram: u64,
    /// CPUs.
    #[serde(default)]
    pub vcpus: u64,
    /// Disk, GiB.
    #[serde(default)]
    pub disk: u64,
}

/// A host's hypervisor.
#[derive(Debug, Clone, Deserialize)]
pub struct Hypervisor {
    /// Name.
    pub hypervisor_hostname: String,
    /// Kind.
    #[serde(default)]
    pub hypervisor_type: String,
    /// `up` or `down`.
    #[serde(default)]
    pub state: String,
    /// `enabled` or `disabled`.
    #[serde(default)]
    pub status: String,
}

/// A compute service.
#[derive(Debug, Clone, Deserialize)]
pub struct ServiceRow {
    /// Host.
    pub host: String,
    /// Binary.
    pub binary: String,
    /// `up` or `down`.
    pub state: String,
    /// `enabled` or `disabled`.
    pub status: String,
    /// Why disabled.
    #[serde(default)]
    pub disabled_reason: Option<String>,
}

/// What happened to a server.
#[derive(Debug, Clone, Deserialize)]
pub struct Action {
    /// Verb.
    pub action: String,
    /// Request.
    pub request_id: String,
    /// Began.
    pub start_time: String,
    /// Message, such as `Error`.
    #[serde(default)]
    pub message: Option<String>,
    /// Steps (only where one action is shown).
    #[serde(default)]
    pub events: Vec<ActionEvent>,
}

/// One step of it.
#[derive(Debug, Clone, Deserialize)]
pub struct ActionEvent {
    /// Word.
    pub event: String,
    /// `Success` or `Error`.
    #[serde(default)]
    pub result: Option<String>,
    /// Host.
    #[serde(default)]
    pub host: Option<String>,
    /// Details.
    #[serde(default)]
    pub details: Option<String>,
}

/// What to boot.
#[derive(Debug, Clone, Default)]
pub struct NewServer {
    /// Name.
    pub name: String,
    /// Flavor's id.
    pub flavor: String,
    /// Image.
    pub image: Option<Uuid>,
    /// Networks; `None` leaves it to the cloud.
    pub networks: Option<Vec<Uuid>>,
    /// Keypair's name.
    pub key_name: Option<String>,
    /// User data, not encoded.
    pub user_data: Option<String>,
    /// Config drive.
    pub config_drive: bool,
}

/// Servers asked for at a time (what Nova gives at the most).
const PAGE: usize = 1000;

impl Cloud {
    /// Servers with details; of all projects if `all`.
    /// # Errors
    /// The call's.
    pub async fn servers(&self, all: bool) -> Result<Vec<Server>, Error> {
        let mut servers: Vec<Server> = Vec::new();
        loop {
            let mut path = format!("/servers/detail?limit={PAGE}");
            if all {
                path.push_str("&all_tenants=1");
            }
            if let Some(last) = servers.last() {
                path.push_str(&format!("&marker={}", last.id));
            }
            let page: Vec<Server> = match self.get("compute", &path, "servers").await {
                // The marker was deleted meanwhile: what is listed so far no longer fits together.
                Err(Error::Refused { status: 400, .. }) if !servers.is_empty() => {
                    servers.clear();
                    continue;
                }
                page => page?,
            };
            if page.is_empty() {
                return Ok(servers);
            }
            let full = page.len() >= PAGE;
            servers.extend(page);
            if !full {
                return Ok(servers);
            }
        }
    }
    /// One server.
    /// # Errors
    /// The call's.
    pub async fn server(&self, id: Uuid) -> Result<Server, Error> {
        self.get("compute", &format!("/servers/{id}"), "server").await
    }
    /// The server of that name or id: the project's own first, then, for administrators, anybody's.
    /// # Errors
    /// The call's; [`Error::Name`] if there is none, or if there are several.
    pub async fn find_server(&self, name: &str) -> Result<Server, Error> {
        if let Ok(id) = Uuid::try_parse(name) {
            return self.server(id).await;
        }
        let called = |list: Vec<Server>| list.into_iter().filter(|s| s.name == name).collect::<Vec<_>>();
        let mut found = called(self.servers(false).await?);
        if found.is_empty() {
            found = match self.servers(true).await {
                Err(Error::Refused { status: 403, .. }) => Vec::new(),
                all => called(all?),
            };
        }
        match found.len() {
            0 => Err(Error::Name(format!("no server is called {name:?}; `kilonova status` lists them"))),
            1 => self.server(found.remove(0).id).await,
            _ => {
                let ids: Vec<String> = found.iter().take(5).map(|s| s.id.to_string()).collect();
                Err(Error::Name(format!("{} servers are called {name:?}; give an id: {}", found.len(), ids.join(", "))))
            }
        }
    }
    /// Boots a server.
    /// # Errors
    /// The call's.
    pub async fn create_server(&self, new: &NewServer) -> Result<Uuid, Error> {
        use serde_json::Map;
        let mut body = Map::new();
        body.insert("name".into(), json!(new.name));
        body.insert("flavorRef".into(), json!(new.flavor));
        if let Some(i) = new.image {
            body.insert("imageRef".into(), json!(i));
        }
        let networks = match &new.networks {
            None => json!("auto"),
            Some(list) => list.iter().map(|n| json!({"uuid": n})).collect::<Vec<_>>().into(),
        };
        body.insert("networks".into(), networks);
        if let Some(k) = &new.key_name {
            body.insert("key_name".into(), json!(k));
        }
        if let Some(u) = &new.user_data {
            body.insert("user_data".into(), json!(STANDARD.encode(u)));
        }
        if new.config_drive {
            body.insert("config_drive".into(), json!(true));
        }
        let made: Server = self.post("compute", "/servers", &json!({"server": body}), "server").await?;
        Ok(made.id)
    }
    /// Deletes a server.
    /// # Errors
    /// The call's.
    pub async fn delete_server(&self, id: Uuid) -> Result<(), Error> {
        self.call(Method::DELETE, "compute", &format!("/servers/{id}"), None).await.map(|_| ())
    }
    /// Acts on a server.
    /// # Errors
    /// The call's.
    pub async fn act(&self, id: Uuid, body: &Value) -> Result<String, Error> {
        self.call(Method::POST, "compute", &format!("/servers/{id}/action"), Some(body)).await
    }
    /// Flavors.
    /// # Errors
    /// The call's.
    pub async fn flavors(&self) -> Result<Vec<Flavor>, Error> {
        self.get("compute", "/flavors/detail", "flavors").await
    }
    /// Hypervisors.
    /// # Errors
    /// The call's.
    pub async fn hypervisors(&self) -> Result<Vec<Hypervisor>, Error> {
        self.get("compute", "/os-hypervisors/detail", "hypervisors").await
    }
    /// Compute services.
    /// # Errors
    /// The call's.
    pub async fn services(&self) -> Result<Vec<ServiceRow>, Error> {
        self.get("compute", "/os-services", "services").await
    }
    /// What happened to a server, newest first.
    /// # Errors
    /// The call's.
    pub async fn actions(&self, id: Uuid) -> Result<Vec<Action>, Error> {
        self.get("compute", &format!("/servers/{id}/os-instance-actions"), "instanceActions").await
    }
    /// One of them with its steps.
    /// # Errors
    /// The call's.
    pub async fn action(&self, id: Uuid, request: &str) -> Result<Action, Error> {
        self.get("compute", &format!("/servers/{id}/os-instance-actions/{request}"), "instanceAction").await
    }
    /// Imports a public key; the same key of that name may be there already.
    /// # Errors
    /// The call's; [`Error::Name`] if another key has that name.
    pub async fn import_keypair(&self, name: &str, public_key: &str) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct There {
            public_key: String,
        }
        // The comment behind a key is no part of it.
        let words = |key: &str| key.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
        let body = json!({"keypair": {"name": name, "public_key": public_key, "type": "ssh"}});
        match self.call(Method::POST, "compute", "/os-keypairs", Some(&body)).await {
            Ok(_) => Ok(()),
            Err(Error::Refused { status: 409, .. }) => {
                let there: There = self.get("compute", &format!("/os-keypairs/{name}"), "keypair").await?;
                if words(&there.public_key) == words(public_key) {
                    return Ok(());
                }
                Err(Error::Name(format!("the cloud has another key called {name:?}; delete that keypair, or choose another name")))
            }
            Err(e) => Err(e),
        }
    }
    /// Address of an interactive console.
    /// # Errors
    /// The call's.
    pub async fn remote_console(&self, id: Uuid, protocol: &str, kind: &str) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Remote {
            url: String,
        }
        let body = json!({"remote_console": {"protocol": protocol, "type": kind}});
        let r: Remote = self.post("compute", &format!("/servers/{id}/remote-consoles"), &body, "remote_console").await?;
        Ok(r.url)
    }
}
