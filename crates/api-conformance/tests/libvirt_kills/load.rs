//! Concurrent clients, and the ledger of what they were told: the one witness of what must not be lost.

use client::{Cloud, Error, Method};
use model::Random;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Clients at once.
const CLIENTS: u64 = 3;
/// Servers a client keeps before it deletes more than it makes.
const KEPT: usize = 3;

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
    pub image: Option<String>,
    pub creates: u64,
    pub deletes: u64,
    pub actions: u64,
    pub in_flight: u64,
    /// Answers that the API does not give when all is well.
    pub strange: Vec<String>,
}

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
    ledger: Arc<Mutex<Ledger>>,
    random: Random,
    number: u64,
    round: u64,
}

/// Starts the clients; each goes on until the cloud does not answer any more.
pub fn begin(cloud: &Arc<Cloud>, ledger: &Arc<Mutex<Ledger>>, random: &Random, round: u64) -> Vec<JoinHandle<()>> {
    (0..CLIENTS)
        .map(|number| {
            let random = Random::seeded(random.u64());
            let client = Client { cloud: cloud.clone(), ledger: ledger.clone(), random, number, round };
            tokio::spawn(async move { while client.once().await {} })
        })
        .collect()
}

impl Client {
    fn with<T>(&self, f: impl FnOnce(&mut Ledger) -> T) -> T {
        f(&mut self.ledger.lock().unwrap())
    }

    /// One operation; false when the cloud is gone.
    async fn once(&self) -> bool {
        let own: Vec<String> = self.with(|l| {
            let mine = l.servers.iter().filter(|(_, k)| k.client == self.number && !k.deleted && !k.deleting);
            mine.map(|(id, _)| id.clone()).collect()
        });
        let pick = self.random.below(10);
        if own.is_empty() || (pick < 4 && own.len() < KEPT) {
            return self.create().await;
        }
        let id = &own[usize::try_from(self.random.below(own.len() as u64)).unwrap()];
        match pick {
            4 | 5 => self.act(id, json!({"os-stop": null}), "SHUTOFF").await,
            6 => self.act(id, json!({"os-start": null}), "ACTIVE").await,
            7 => self.act(id, json!({"reboot": {"type": "HARD"}}), "ACTIVE").await,
            _ => self.delete(id).await,
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

    /// Waits, most of the time, until the server's action is over, so that the next meets it in another state.
    async fn look(&self, id: &str) -> bool {
        if self.random.below(4) == 0 {
            return true;
        }
        loop {
            match self.cloud.call(Method::GET, "compute", &format!("/servers/{id}"), None).await {
                Ok(text) => {
                    let shown: Value = serde_json::from_str(&text).unwrap();
                    if shown["server"]["OS-EXT-STS:task_state"].is_null() {
                        return true;
                    }
                }
                Err(Error::Refused { .. }) => return true,
                Err(_) => return false,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn create(&self) -> bool {
        let image = self.with(|l| l.image.clone()).unwrap();
        let name = format!("r{}-c{}", self.round, self.number);
        let body = json!({"server": {"name": name, "flavorRef": "1", "imageRef": image, "networks": "auto"}});
        match self.call(Method::POST, "/servers", Some(body)).await {
            Told::Yes(answer) => {
                let id = answer["server"]["id"].as_str().unwrap().to_owned();
                self.with(|l| {
                    l.creates += 1;
                    l.servers
                        .insert(id.clone(), Known { may_be: vec!["ACTIVE"], client: self.number, ..Known::default() });
                });
                self.look(&id).await
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
                self.look(id).await
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
                self.look(id).await
            }
            Told::No => {
                self.with(|l| l.servers.get_mut(id).unwrap().may_be.pop());
                true
            }
            Told::Nothing => false,
        }
    }
}
