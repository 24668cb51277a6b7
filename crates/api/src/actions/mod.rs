//! `POST /servers/{id}/action`: the body's only key is the verb. One file a verb; this one only finds it.

pub mod console;
mod console_log;
mod delete;
mod lock;
mod pause;
mod power;
mod reboot;
mod rebuild;
mod reset_state;
mod snapshot;
mod suspend;

use crate::Api;
use crate::ask::Ask;
use crate::fault::refused;
use crate::servers::get::{Policy, server};
use crate::table::{self, Row, forbidden, refuse_action};
use api_types::server_actions::action_of;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use conductor::ActionRequest;
use model::server::Server;
use serde_json::Value;
use web::{Body, Fault};

/// Path of all actions on servers.
pub const PATH: &str = "/servers/{id}/action";

/// Verbs that are built.
pub const BUILT: &[&str] = &[
    "os-start",
    "os-stop",
    "reboot",
    "pause",
    "unpause",
    "suspend",
    "resume",
    "lock",
    "unlock",
    "createImage",
    "rebuild",
    "forceDelete",
    "os-resetState",
    "os-getConsoleOutput",
    "os-getVNCConsole",
    "os-getSPICEConsole",
    "os-getSerialConsole",
];

/// A verb's request.
struct Call<'a> {
    api: &'a Api,
    ask: &'a Ask,
    id: &'a str,
    body: &'a Value,
    row: &'static Row,
}

impl Call<'_> {
    /// The server, if the caller may do this to it.
    async fn server(&self) -> Result<Server, Fault> {
        server(self.api, self.ask, self.id, Policy(self.row.rule, self.row.policy)).await
    }
    /// Accepts a flow's action.
    async fn act(&self, request: ActionRequest) -> Result<Response, Fault> {
        let s = self.server().await?;
        self.api.conductor().act(&self.ask.caller, s.id, request).await.map_err(refused)?;
        Ok(StatusCode::ACCEPTED.into_response())
    }
}

/// The handler.
/// # Errors
/// 400, 403, 404, 409, 501.
pub async fn act(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Response, Fault> {
    let word = action_of(&body).ok_or_else(|| Fault::bad_request("Malformed request body: too many body keys"))?;
    let Some(row) = table::action(PATH, word).filter(|_| BUILT.contains(&word)) else {
        return Err(refuse_action(&ask, PATH, word));
    };
    if !row.covers(ask.mv) {
        return Err(table::not_here());
    }
    if !row.rule.admits(Some(&ask.caller)) {
        return Err(forbidden(row.policy));
    }
    let call = Call { api: &api, ask: &ask, id: &id, body: &body, row };
    match word {
        "os-start" => power::start(&call).await,
        "os-stop" => power::stop(&call).await,
        "reboot" => reboot::reboot(&call).await,
        "pause" => pause::pause(&call).await,
        "unpause" => pause::unpause(&call).await,
        "suspend" => suspend::suspend(&call).await,
        "resume" => suspend::resume(&call).await,
        "lock" => lock::lock(&call).await,
        "unlock" => lock::unlock(&call).await,
        "createImage" => snapshot::snapshot(&call).await,
        "rebuild" => rebuild::rebuild(&call).await,
        "forceDelete" => delete::force(&call).await,
        "os-resetState" => reset_state::reset(&call).await,
        "os-getConsoleOutput" => console_log::output(&call).await,
        "os-getVNCConsole" => console::old(&call, "os-getVNCConsole").await,
        "os-getSPICEConsole" => console::old(&call, "os-getSPICEConsole").await,
        "os-getSerialConsole" => console::old(&call, "os-getSerialConsole").await,
        other => Err(Fault::bad_request(format!("There is no such action: {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_verbs_are_verbs_of_the_original() {
        for verb in BUILT {
            assert!(table::action(PATH, verb).is_some(), "{verb}");
        }
    }
}
