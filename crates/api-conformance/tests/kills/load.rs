//! Concurrent clients, and the ledger of what they were told: the one witness of what must not be lost.

use client::{Cloud, Error, Method};
use model::Random;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// Clients at once.
const CLIENTS: u64 = 6;
/// Servers a client keeps before it deletes more than it makes.
const KEPT: usize = 5;

/// What is known of a server from the cloud's answers alone.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Statuses that it may have when nothing runs any more.
    pub may_be: Vec<&'static str>,
    /// A deletion was acknowledged.
    pub deleted: bool,
    /// A deletion was asked for and nobody knows what became of it.
    pub deleting: bool,
    /// Whose client.
    pub client: u64,
}

/// What the cloud said.
#[derive(Debug, Default)]
pub struct Ledger {
    pub servers: BTreeMap<String, Known>,
    /// Images of acknowledged snapshots, with their servers.
    pub images: BTreeMap<String, String>,
    pub base_image: Option<String>,
    pub creates: u64,
    pub deletes: u64,
    pub actions: u64,
    pub snapshots: u64,
    pub in_flight: u64,
    /// Answers that the API does not give when all is well.
    pub strange: Vec<String>,
}

type Shared = Arc<Mutex<Ledger>>;

/// What came back.
enum Told {
    /// Done or accepted.
    Yes(Value),
    /// Refused in order.
    No,
    /// Nobody knows: the process was killed.
    Nothing,
}

struct Client {
    cloud: Arc<Cloud>,
    ledger: Shared,
    random: Random,
    number: u64,
    round: u64,
}

/// Starts the clients; each goes on until the cloud does not answer any more.
pub fn begin(cloud: &Arc<Cloud>, ledger: &Shared, random: &Random, round: u64) -> Vec<JoinHandle<()>> {
    (0..CLIENTS)
        .map(|number| {
            let random = Random::seeded(random.u64());
            let client = Client { cloud: cloud.clone(), ledger: ledger.clone(), random, number, round };
            tokio::spawn(async move { client.run().await })
        })
        .collect()
}

impl Client {
    fn with<T>(&self, f: impl FnOnce(&mut Ledger) -> T) -> T {
        f(&mut self.ledger.lock().unwrap())
    }

    async fn run(&self) {
        let mut made = 0;
        loop {
            let own: Vec<String> = self.with(|l| {
                let mine = l.servers.iter().filter(|(_, k)| k.client == self.number && !k.deleted && !k.deleting);
                mine.map(|(id, _)| id.clone()).collect()
            });
            let pick = self.random.below(10);
            let goes_on = if own.is_empty() || (pick < 4 && own.len() < KEPT) {
                made += 1;
                self.create(made).await
            } else {
                let id = own[usize::try_from(self.random.below(own.len() as u64)).unwrap()].clone();
                match pick {
                    0..=3 => self.delete(&id).await,
                    4 | 5 => self.act(&id, json!({"os-stop": null}), "SHUTOFF").await,
                    6 => self.act(&id, json!({"os-start": null}), "ACTIVE").await,
                    7 => self.rebuild(&id).await,
                    8 => self.snapshot(&id, made).await,
                    _ => self.delete(&id).await,
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Told {
        match self.cloud.call(method.clone(), "compute", path, body.as_ref()).await {
            Ok(text) => Told::Yes(serde_json::from_str(&text).unwrap_or(Value::Null)),
            Err(Error::Refused { status, message, .. }) => {
                // A conflict with what runs already, or gone meanwhile: in order. All else is not.
                if !matches!(status, 404 | 409) {
                    self.with(|l| l.strange.push(format!("{method} {path}: {status} {message}")));
                }
                Told::No
            }
            Err(_) => {
                self.with(|l| l.in_flight += 1);
                Told::Nothing
            }
        }
    }

    async fn create(&self, made: u64) -> bool {
        let image = self.with(|l| l.base_image.clone()).unwrap();
        let networks = if self.random.below(2) == 0 { "auto" } else { "none" };
        let name = format!("r{}-c{}-{made}", self.round, self.number);
        let body = json!({"server": {"name": name, "flavorRef": "1", "imageRef": image, "networks": networks}});
        match self.call(Method::POST, "/servers", Some(body)).await {
            Told::Yes(answer) => {
                let id = answer["server"]["id"].as_str().unwrap().to_owned();
                self.with(|l| {
                    l.creates += 1;
                    l.servers.insert(id, Known { may_be: vec!["ACTIVE"], client: self.number, ..Known::default() });
                });
                true
            }
            Told::No => true,
            Told::Nothing => false,
        }
    }

    async fn delete(&self, id: &str) -> bool {
        self.with(|l| l.servers.get_mut(id).unwrap().deleting = true);
        match self.call(Method::DELETE, &format!("/servers/{id}"), None).await {
            Told::Yes(_) => {
                self.with(|l| {
                    l.deletes += 1;
                    l.servers.get_mut(id).unwrap().deleted = true;
                });
                true
            }
            Told::No => {
                self.with(|l| l.servers.get_mut(id).unwrap().deleting = false);
                true
            }
            Told::Nothing => false,
        }
    }

    /// An action that leads to `status`. Until it is answered both the old and the new one are possible.
    async fn act(&self, id: &str, body: Value, status: &'static str) -> bool {
        self.with(|l| l.servers.get_mut(id).unwrap().may_be.push(status));
        match self.call(Method::POST, &format!("/servers/{id}/action"), Some(body)).await {
            Told::Yes(_) => {
                self.with(|l| {
                    l.actions += 1;
                    l.servers.get_mut(id).unwrap().may_be = vec![status];
                });
                true
            }
            Told::No => {
                self.with(|l| l.servers.get_mut(id).unwrap().may_be.pop());
                true
            }
            Told::Nothing => false,
        }
    }

    async fn rebuild(&self, id: &str) -> bool {
        let image = self.with(|l| l.base_image.clone()).unwrap();
        let body = json!({"rebuild": {"imageRef": image}});
        // A stopped server stays stopped through a rebuild: what it was, it may be.
        match self.call(Method::POST, &format!("/servers/{id}/action"), Some(body)).await {
            Told::Yes(_) => {
                self.with(|l| l.actions += 1);
                true
            }
            Told::No => true,
            Told::Nothing => false,
        }
    }

    async fn snapshot(&self, id: &str, made: u64) -> bool {
        let name = format!("snap-r{}-c{}-{made}", self.round, self.number);
        let body = json!({"createImage": {"name": name, "metadata": {}}});
        match self.call(Method::POST, &format!("/servers/{id}/action"), Some(body)).await {
            Told::Yes(answer) => {
                let image = answer["image_id"].as_str().unwrap_or_default().to_owned();
                self.with(|l| {
                    l.snapshots += 1;
                    l.images.insert(image, id.to_owned());
                });
                true
            }
            Told::No => true,
            Told::Nothing => false,
        }
    }
}
