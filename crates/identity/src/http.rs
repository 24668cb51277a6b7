//! The Keystone v3 router: one file per resource. Reads memory, plans changes, renders JSON; what may be done by whom is
//! decided here, by the original's defaults, and never in the directory.

mod app_credentials;
mod assignments;
mod catalog;
mod domains;
mod fields;
mod grants;
mod groups;
mod not_built;
mod projects;
mod roles;
mod tokens;
mod users;
mod versions;

pub use not_built::NOT_BUILT;

use crate::{Error, Identity, Standing};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use model::{Context, Scope};
use serde_json::{Value, json};
use web::{Caller, Fault, FaultShape, Origin, Page, Query, Route, RouteInfo};

/// Every route of the service.
pub fn routes() -> Vec<Route<Identity>> {
    let mut all = versions::routes();
    all.extend(tokens::routes());
    all.extend(domains::routes());
    all.extend(projects::routes());
    all.extend(users::routes());
    all.extend(groups::routes());
    all.extend(roles::routes());
    all.extend(grants::routes());
    all.extend(assignments::routes());
    all.extend(app_credentials::routes());
    all.extend(catalog::routes());
    all.extend(not_built::routes());
    all
}

/// What the routes are, for generated documents.
pub fn route_infos() -> Vec<RouteInfo> {
    routes().into_iter().map(|r| r.info).collect()
}

/// The router, to be mounted at the service's prefix inside the authentication layer.
pub fn router(identity: Identity) -> axum::Router {
    web::router(FaultShape::Identity, routes(), identity)
}

/// Most rows of a page (Keystone's `max_db_limit`).
const MAX_PAGE: usize = 1000;

/// Where a client found this service: for links.
pub(crate) struct Place {
    /// Scheme and authority.
    pub(crate) origin: String,
    /// The service's root.
    pub(crate) root: String,
    /// This request below the root, with its query.
    pub(crate) request: String,
}

impl FromRequestParts<Identity> for Place {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, identity: &Identity) -> Result<Place, Fault> {
        let options = identity.options();
        let origin = match &options.public_origin {
            Some(fixed) => fixed.trim_end_matches('/').to_owned(),
            None => {
                let Ok(origin) = Origin::from_request_parts(parts, identity).await;
                origin.0
            }
        };
        let root = format!("{origin}{}", options.public_prefix);
        let request = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        Ok(Place { origin, root, request })
    }
}

/// One authenticated request: what every handler needs.
pub(crate) struct Call {
    pub(crate) identity: Identity,
    pub(crate) caller: Context,
    pub(crate) query: Query,
    pub(crate) place: Place,
    token: String,
}

impl FromRequestParts<Identity> for Call {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, identity: &Identity) -> Result<Call, Fault> {
        let Caller(caller) = Caller::from_request_parts(parts, identity).await?;
        let query = Query::from_request_parts(parts, identity).await?;
        let place = Place::from_request_parts(parts, identity).await?;
        let token = parts.headers.get("x-auth-token").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        Ok(Call { identity: identity.clone(), caller, query, place, token })
    }
}

impl Call {
    /// The caller's own token, read once more: the context does not carry how it was made.
    pub(crate) fn standing(&self) -> Result<Standing, Error> {
        self.identity.admit(&self.token).map_err(|_| Error::Unauthorized)
    }
    /// Link to a thing below `/v3`.
    pub(crate) fn link(&self, path: &str) -> Value {
        json!({"self": format!("{}/v3/{path}", self.place.root)})
    }
    /// Link to this very request.
    pub(crate) fn here(&self) -> String {
        format!("{}{}", self.place.root, self.place.request)
    }

    /// May the caller read what this domain owns: admin, reader of the system, reader of that domain.
    pub(crate) fn may_read(&self, domain: Option<&str>) -> bool {
        let c = &self.caller;
        c.is_admin()
            || match &c.scope {
                Scope::System => c.has("reader"),
                Scope::Domain { id } => c.has("reader") && domain == Some(id.as_str()),
                _ => false,
            }
    }
    /// May the caller change what this domain owns: admin, manager of that domain.
    pub(crate) fn may_manage(&self, domain: Option<&str>) -> bool {
        let c = &self.caller;
        c.is_admin() || matches!(&c.scope, Scope::Domain { id } if c.has("manager") && domain == Some(id.as_str()))
    }
    /// Which domain a list is limited to (`None`: not limited). Whoever is scoped to a domain sees that domain.
    /// # Errors
    /// 403 for callers who may list nothing.
    pub(crate) fn listed_domain(&self, action: &str) -> Result<Option<String>, Error> {
        match &self.caller.scope {
            Scope::Domain { id } if self.may_read(Some(id)) => Ok(Some(id.clone())),
            _ => allowed(self.may_read(None), action).map(|()| None),
        }
    }
    /// The domain of a new thing that names none: the token's.
    pub(crate) fn home_domain(&self) -> String {
        match &self.caller.scope {
            Scope::Project { domain_id, .. } => domain_id.clone(),
            Scope::Domain { id } => id.clone(),
            Scope::System | Scope::Unscoped => crate::bootstrap::DEFAULT_DOMAIN.to_owned(),
        }
    }

    /// Is the query's filter on a text field met? Also `name__contains` and its relatives.
    pub(crate) fn keeps(&self, field: &str, value: Option<&str>) -> bool {
        self.query.0.iter().all(|(key, wanted)| match key.strip_prefix(field) {
            None => true,
            Some("") => value == Some(wanted.as_str()),
            Some(how) => {
                let value = value.unwrap_or_default();
                let (low, wanted_low) = (value.to_lowercase(), wanted.to_lowercase());
                match how {
                    "__contains" => value.contains(wanted),
                    "__icontains" => low.contains(&wanted_low),
                    "__startswith" => value.starts_with(wanted),
                    "__istartswith" => low.starts_with(&wanted_low),
                    "__endswith" => value.ends_with(wanted),
                    "__iendswith" => low.ends_with(&wanted_low),
                    "__iexact" => low == wanted_low,
                    _ => true,
                }
            }
        })
    }
    /// Is the query's filter on a boolean field met?
    pub(crate) fn keeps_flag(&self, field: &str, value: bool) -> bool {
        self.query.get(field).is_none_or(|wanted| truth(wanted) == value)
    }
    /// Is the query's flag set? A flag without value is, as the original has it.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|v| v.is_empty() || truth(v))
    }

    /// A list with its links; pages only where the client asks for them.
    pub(crate) fn collection(&self, key: &str, items: Vec<(String, Value)>) -> Result<Value, Fault> {
        let page = Page::from_query(&self.query, MAX_PAGE)?;
        let limit = if self.query.get("limit").is_some() { page.limit.max(1) } else { usize::MAX };
        let mut left = items.into_iter();
        if let Some(marker) = &page.marker
            && !left.by_ref().any(|(id, _)| id == *marker)
        {
            return Err(Fault::bad_request(format!("Marker {marker} could not be found.")));
        }
        let mut shown: Vec<(String, Value)> = left.by_ref().take(limit).collect();
        let next = match (shown.last(), left.next()) {
            (Some((last, _)), Some(_)) => {
                let path = self.place.request.split('?').next().unwrap_or_default();
                json!(format!("{}{path}?limit={limit}&marker={last}", self.place.root))
            }
            _ => Value::Null,
        };
        let values: Vec<Value> = shown.drain(..).map(|(_, v)| v).collect();
        Ok(json!({key: values, "links": {"self": self.here(), "previous": null, "next": next}}))
    }
}

/// The original's `strutils.bool_from_string`, with its default.
fn truth(text: &str) -> bool {
    !matches!(text.to_lowercase().as_str(), "0" | "false" | "f" | "no" | "n" | "off")
}

/// 403 naming the policy.
pub(crate) fn allowed(yes: bool, action: &str) -> Result<(), Error> {
    if yes { Ok(()) } else { Err(Error::Forbidden(action.to_owned())) }
}
