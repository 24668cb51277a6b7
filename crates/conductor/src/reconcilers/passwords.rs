//! What a guest posts as its encrypted password is kept once, until its owner clears it.
//! Source: `nova/api/metadata/password.py`, `handle_password`.

use crate::Conductor;
use guestdata::{MAX_PASSWORD, Secret};
use uuid::Uuid;

impl Conductor {
    /// Keeps it if there is none, then tells the host what is kept: that is its answer.
    pub(super) async fn keep_password(&self, host: &str, id: Uuid, password: &Secret) {
        if password.is_empty() || password.expose().len() > MAX_PASSWORD {
            return;
        }
        let (name, now) = (host.to_owned(), self.env.now());
        let posted = model::Secret::new(password.expose().to_vec());
        let outcome = self
            .store
            .write(move |tx| {
                let server = store::servers::lock(tx, id)?;
                // A host may speak for its own guests only, and a guest once.
                if server.host.as_deref() == Some(&name) && server.body.posted_password.is_none() {
                    store::servers::change(tx, id, now, |s| {
                        s.body.posted_password = Some(posted.clone());
                        Ok(())
                    })?;
                }
                Ok(())
            })
            .await;
        match outcome {
            Ok(()) => self.changed(id),
            // The guest hears "try again later".
            Err(error) => tracing::error!(server = %id, host, %error, "the password that a guest posted cannot be kept"),
        }
    }
}
