//! Network calls (`/v2.0`).

use crate::{Cloud, Error};
use serde::Deserialize;
use uuid::Uuid;

/// A network.
#[derive(Debug, Clone, Deserialize)]
pub struct Network {
    /// Identity.
    pub id: Uuid,
    /// Name.
    pub name: String,
    /// Everybody may use it.
    #[serde(default)]
    pub shared: bool,
}

impl Cloud {
    /// Networks.
    /// # Errors
    /// The call's.
    pub async fn networks(&self) -> Result<Vec<Network>, Error> {
        self.get("network", "/networks", "networks").await
    }
}
