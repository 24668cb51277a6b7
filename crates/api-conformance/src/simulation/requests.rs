//! What is asked: every action, good and bad, of members and of the administrator.

use super::oracle::Asked;
use super::{Stage, body};
use crate::{Answer, Client};
use axum::http::Method;
use serde_json::{Value, json};
use std::sync::Arc;

/// One request, ready to be sent.
pub(crate) struct Request {
    pub(crate) owner: usize,
    pub(crate) asked: Asked,
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Request {
    fn new(owner: usize, asked: Asked, method: Method, path: impl Into<String>, body: Option<Value>) -> Request {
        Request { owner, asked, method, path: path.into(), body }
    }
    fn action(owner: usize, asked: Asked, id: &str, body: Value) -> Request {
        Request::new(owner, asked, Method::POST, format!("/compute/v2.1/servers/{id}/action"), Some(body))
    }

    /// A request of the kind that the dice choose.
    pub(crate) fn drawn(stage: &Stage, number: u64) -> Request {
        let owner = usize::try_from(stage.below(2)).unwrap_or(0);
        let living = stage.oracle(|o| o.living(owner));
        if living.is_empty() || stage.below(100) < 22 {
            return Request::create(stage, owner, &format!("s{number}"));
        }
        let id = living[usize::try_from(stage.below(living.len() as u64)).unwrap_or(0)].clone();
        if stage.below(100) < 12 {
            return Request::bad(stage, owner, &id);
        }
        Request::good(stage, owner, &id, number)
    }

    fn create(stage: &Stage, owner: usize, name: &str) -> Request {
        let made = body(stage, name, stage.below(3) == 0);
        Request::new(owner, Asked::Create(name.to_owned()), Method::POST, "/compute/v2.1/servers", Some(made))
    }

    fn good(stage: &Stage, owner: usize, id: &str, number: u64) -> Request {
        let act = |word: &'static str, body: Value| Request::action(owner, Asked::Act(id.to_owned(), word), id, body);
        let path = format!("/compute/v2.1/servers/{id}");
        match stage.below(22) {
            0 | 1 => act("os-stop", json!({"os-stop": null})),
            2..=4 => act("os-start", json!({"os-start": null})),
            5 => act("pause", json!({"pause": null})),
            6 => act("unpause", json!({"unpause": null})),
            7 => act("suspend", json!({"suspend": null})),
            8 => act("resume", json!({"resume": null})),
            9 => act("reboot", json!({"reboot": {"type": "SOFT"}})),
            10 | 11 => act("reboot", json!({"reboot": {"type": "HARD"}})),
            12 | 13 => act("rebuild", json!({"rebuild": {"imageRef": stage.image}})),
            14 | 15 => Request::action(owner, Asked::Snapshot(id.to_owned()), id, json!({"createImage": {"name": format!("i{number}")}})),
            16 => {
                let metadata = json!({"n": number.to_string()});
                let asked = Asked::Metadata(id.to_owned(), metadata.clone());
                Request::new(owner, asked, Method::PUT, format!("{path}/metadata"), Some(json!({"metadata": metadata})))
            }
            17 => Request::action(owner, Asked::Lock(id.to_owned(), true), id, json!({"lock": null})),
            18 | 19 => Request::action(owner, Asked::Lock(id.to_owned(), false), id, json!({"unlock": null})),
            20 => Request::action(owner, Asked::Delete(id.to_owned()), id, json!({"forceDelete": null})),
            _ => Request::new(owner, Asked::Delete(id.to_owned()), Method::DELETE, path, None),
        }
    }

    /// A request that changes nothing that lasts, most of them because they must be refused.
    fn bad(stage: &Stage, owner: usize, id: &str) -> Request {
        let servers = "/compute/v2.1/servers";
        let nothing = |method, path: String, body| Request::new(owner, Asked::Nothing, method, path, body);
        match stage.below(9) {
            0 => nothing(Method::GET, format!("{servers}/detail"), None),
            1 => nothing(Method::GET, format!("{servers}/{id}"), None),
            2 => nothing(Method::POST, servers.into(), Some(json!({"server": {"name": "no flavor"}}))),
            3 => {
                let mut made = body(stage, "unknown flavor", false);
                made["server"]["flavorRef"] = "no such".into();
                nothing(Method::POST, servers.into(), Some(made))
            }
            4 => nothing(Method::POST, format!("{servers}/{id}/action"), Some(json!({"explode": null}))),
            5 => nothing(Method::POST, format!("{servers}/{id}/action"), Some(json!({"reboot": {"type": "GENTLY"}}))),
            // Another project's server is not there.
            6 => Request { owner: 1 - owner, ..nothing(Method::DELETE, format!("{servers}/{id}"), None) },
            7 => nothing(Method::DELETE, format!("{servers}/00000000-0000-4000-8000-000000000000"), None),
            _ => nothing(Method::POST, format!("{servers}/{id}/action"), Some(json!({"createImage": {"name": ""}}))),
        }
    }

    /// Sends it, and has the oracle know of it whatever becomes of the process meanwhile.
    pub(crate) async fn send(self, stage: &Arc<Stage>, who: &Client) -> Answer {
        let mut asking = Asking { stage: stage.clone(), asked: self.asked, answered: false };
        let reads = self.method == Method::GET;
        let answer = who.send(self.method, &self.path, self.body).await;
        asking.answered = true;
        assert!(answer.status < 500 || answer.status == 503, "{}: {} {}", answer.asked, answer.status, answer.text());
        let accepted = matches!(answer.status, 200..=204);
        tracing::info!(asked = ?asking.asked, status = answer.status, "answered");
        assert!(
            !accepted || asking.asked != Asked::Nothing || reads,
            "{}: a bad request was answered with {}", answer.asked, answer.status
        );
        if accepted {
            stage.oracle(|o| o.acknowledged(&asking.asked, self.owner, &answer));
        }
        stage.report(|r| {
            r.requests += 1;
            r.accepted += u64::from(accepted);
            r.servers += u64::from(accepted && matches!(asking.asked, Asked::Create(_)));
        });
        answer
    }
}

/// A request under way: dropped before its answer, its outcome is not known.
struct Asking {
    stage: Arc<Stage>,
    asked: Asked,
    answered: bool,
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.answered {
            self.stage.oracle(|o| o.unanswered(&self.asked));
        }
    }
}
