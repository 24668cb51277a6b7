//! The routes that are built. Microversions, rules and policy names come from the table of the original's routes, so a
//! row here is a method, a path and a handler.

use crate::negotiate::Spoken;
use crate::{
    Api, actions, aggregates, diagnostics, extensions, flavors, hypervisors, instance_actions, interfaces, keypairs, limits,
    server_groups, server_password, servers, services, table, usage, zones,
};
use api_types::Microversion;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use model::policy::Rule;
use std::collections::BTreeSet;
use std::pin::Pin;
use web::{Route, route};

/// A handler that is there in some microversions only.
#[derive(Clone)]
struct Ranged<H> {
    since: Microversion,
    until: Option<Microversion>,
    inner: H,
}

impl<H, T, S> Handler<T, S> for Ranged<H>
where
    H: Handler<T, S>,
    S: Send + 'static,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;
    fn call(self, request: Request, state: S) -> Self::Future {
        let mv = request.extensions().get::<Spoken>().map_or(Microversion::MIN, |s| s.mv);
        if mv < self.since || self.until.is_some_and(|u| mv >= u) {
            return Box::pin(async { table::not_here().into_response() });
        }
        Box::pin(self.inner.call(request, state))
    }
}

/// Rows as they are collected.
#[derive(Default)]
struct Rows {
    routes: Vec<Route<Api>>,
    built: BTreeSet<(Method, &'static str)>,
}

impl Rows {
    /// A route whose row is in the table.
    fn add<H, T>(&mut self, method: Method, path: &'static str, handler: H)
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        let row = table::row(&method, path).expect("a route of the original");
        let inner = Ranged { since: row.since, until: row.until, inner: handler };
        self.built.insert((method.clone(), path));
        self.routes.push(route(method, path, row.policy, row.rule, inner));
    }
    fn get<H: Handler<T, Api>, T: 'static>(&mut self, path: &'static str, handler: H) {
        self.add(Method::GET, path, handler);
    }
    fn post<H: Handler<T, Api>, T: 'static>(&mut self, path: &'static str, handler: H) {
        self.add(Method::POST, path, handler);
    }
    fn put<H: Handler<T, Api>, T: 'static>(&mut self, path: &'static str, handler: H) {
        self.add(Method::PUT, path, handler);
    }
    fn delete<H: Handler<T, Api>, T: 'static>(&mut self, path: &'static str, handler: H) {
        self.add(Method::DELETE, path, handler);
    }
    /// The route of the actions of a resource; each action has its own row, which the handler looks up.
    fn actions<H: Handler<T, Api>, T: 'static>(&mut self, path: &'static str, rule: Rule, policy: &'static str, handler: H) {
        self.built.insert((Method::POST, path));
        self.routes.push(route(Method::POST, path, policy, rule, handler));
    }
}

fn collect() -> Rows {
    let mut r = Rows::default();
    of_servers(&mut r);
    of_flavors(&mut r);
    of_operators(&mut r);
    r.get("/extensions", extensions::list);
    r.get("/extensions/{id}", extensions::show);
    r.get("/os-keypairs", keypairs::list::list);
    r.post("/os-keypairs", keypairs::create::create);
    r.get("/os-keypairs/{id}", keypairs::list::show);
    r.delete("/os-keypairs/{id}", keypairs::list::delete);
    r.get("/os-server-groups", server_groups::list::list);
    r.post("/os-server-groups", server_groups::create::create);
    r.get("/os-server-groups/{id}", server_groups::list::show);
    r.delete("/os-server-groups/{id}", server_groups::delete::delete);
    r.get("/limits", limits::limits);
    r.get("/os-quota-sets/{id}", limits::show);
    r.put("/os-quota-sets/{id}", limits::update);
    r.delete("/os-quota-sets/{id}", limits::delete);
    r.get("/os-quota-sets/{id}/detail", limits::detail);
    r.get("/os-quota-sets/{id}/defaults", limits::defaults);
    r.get("/os-quota-class-sets/{id}", limits::class);
    r.get("/os-simple-tenant-usage", usage::list);
    r.get("/os-simple-tenant-usage/{id}", usage::show);
    r
}

fn of_servers(r: &mut Rows) {
    r.get("/servers", servers::list::brief);
    r.post("/servers", servers::create::create);
    r.get("/servers/detail", servers::list::detail);
    r.get("/servers/{id}", servers::show::show);
    r.put("/servers/{id}", servers::update::update);
    r.delete("/servers/{id}", servers::delete::delete);
    r.actions(actions::PATH, Rule::Authenticated, "os_compute_api:servers", actions::act);
    r.get("/servers/{server_id}/ips", servers::ips::list);
    r.get("/servers/{server_id}/ips/{id}", servers::ips::show);
    r.get("/servers/{server_id}/metadata", servers::metadata::list);
    r.post("/servers/{server_id}/metadata", servers::metadata::create);
    r.put("/servers/{server_id}/metadata", servers::metadata::replace);
    r.get("/servers/{server_id}/metadata/{id}", servers::metadata::show);
    r.put("/servers/{server_id}/metadata/{id}", servers::metadata::update);
    r.delete("/servers/{server_id}/metadata/{id}", servers::metadata::delete);
    r.get("/servers/{server_id}/tags", servers::tags::list);
    r.put("/servers/{server_id}/tags", servers::tags::replace);
    r.delete("/servers/{server_id}/tags", servers::tags::clear);
    r.get("/servers/{server_id}/tags/{id}", servers::tags::show);
    r.put("/servers/{server_id}/tags/{id}", servers::tags::add);
    r.delete("/servers/{server_id}/tags/{id}", servers::tags::delete);
    r.get("/servers/{server_id}/diagnostics", diagnostics::show);
    r.get("/servers/{server_id}/os-server-password", server_password::show);
    r.delete("/servers/{server_id}/os-server-password", server_password::clear);
    r.get("/servers/{server_id}/os-instance-actions", instance_actions::list);
    r.get("/servers/{server_id}/os-instance-actions/{id}", instance_actions::show);
    r.get("/servers/{server_id}/os-interface", interfaces::list);
    r.get("/servers/{server_id}/os-interface/{id}", interfaces::show);
    r.get("/servers/{server_id}/os-security-groups", interfaces::groups);
    r.post("/servers/{server_id}/remote-consoles", actions::console::create);
}

fn of_flavors(r: &mut Rows) {
    r.get("/flavors", flavors::list::brief);
    r.post("/flavors", flavors::create::create);
    r.get("/flavors/detail", flavors::list::detail);
    r.get("/flavors/{id}", flavors::list::show);
    r.put("/flavors/{id}", flavors::create::update);
    r.delete("/flavors/{id}", flavors::create::delete);
    r.actions(flavors::access::PATH, Rule::Admin, "os_compute_api:os-flavor-access", flavors::access::act);
    r.get("/flavors/{flavor_id}/os-extra_specs", flavors::specs::list);
    r.post("/flavors/{flavor_id}/os-extra_specs", flavors::specs::create);
    r.get("/flavors/{flavor_id}/os-extra_specs/{id}", flavors::specs::show);
    r.put("/flavors/{flavor_id}/os-extra_specs/{id}", flavors::specs::update);
    r.delete("/flavors/{flavor_id}/os-extra_specs/{id}", flavors::specs::delete);
    r.get("/flavors/{flavor_id}/os-flavor-access", flavors::access::list);
}

fn of_operators(r: &mut Rows) {
    r.get("/os-availability-zone", zones::list);
    r.get("/os-availability-zone/detail", zones::detail);
    r.get("/os-services", services::list);
    r.put("/os-services/{id}", services::update);
    r.get("/os-hypervisors", hypervisors::list);
    r.get("/os-hypervisors/detail", hypervisors::detail);
    r.get("/os-hypervisors/statistics", hypervisors::statistics);
    r.get("/os-hypervisors/{id}", hypervisors::show);
    r.get("/os-hypervisors/{id}/search", hypervisors::search);
    r.get("/os-hypervisors/{id}/servers", hypervisors::servers_of);
    r.get("/os-hypervisors/{id}/uptime", hypervisors::uptime);
    r.get("/os-aggregates", aggregates::list);
    r.post("/os-aggregates", aggregates::create);
    r.get("/os-aggregates/{id}", aggregates::show);
    r.put("/os-aggregates/{id}", aggregates::update);
    r.delete("/os-aggregates/{id}", aggregates::delete);
    r.actions(aggregates::PATH, Rule::Admin, "os_compute_api:os-aggregates", aggregates::act);
}

/// Actions that are built, with their paths.
pub fn built_actions() -> Vec<(&'static str, &'static str)> {
    let mut out: Vec<_> = actions::BUILT.iter().map(|a| (actions::PATH, *a)).collect();
    out.extend(["addTenantAccess", "removeTenantAccess"].map(|a| (flavors::access::PATH, a)));
    out.extend(["add_host", "remove_host", "set_metadata"].map(|a| (aggregates::PATH, a)));
    out
}

/// Every route: those that are built, and those that say they are not.
pub fn routes() -> Vec<Route<Api>> {
    let mut rows = collect();
    let rest = table::remaining(&rows.built);
    rows.routes.extend(rest);
    rows.routes
}

/// Rows of the original that answer 501 here, each by name, in the table's order.
pub fn not_built() -> Vec<String> {
    table::not_built(&collect().built, &built_actions())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn every_row_of_the_original_is_built_or_says_that_it_is_not() {
        let built = collect().built;
        let actions = built_actions();
        let not = not_built();
        for row in table::ROWS.iter() {
            let claimed = match row.action {
                Some(a) => actions.contains(&(row.path, a)),
                None => built.contains(&(row.method.clone(), row.path)),
            };
            let refused = table::refuse(row).status;
            match row.status {
                table::Status::Alive => {
                    assert_ne!(claimed, not.contains(&table::name(row)), "{}", table::name(row));
                    assert_eq!(refused, StatusCode::NOT_IMPLEMENTED);
                }
                table::Status::Gone => assert_eq!((claimed, refused), (false, StatusCode::GONE), "{}", table::name(row)),
                table::Status::Bad => assert_eq!((claimed, refused), (false, StatusCode::BAD_REQUEST)),
            }
        }
        let infos = routes();
        let unique: BTreeSet<_> = infos.iter().map(|r| (r.info.method.clone(), r.info.path)).collect();
        assert_eq!(unique.len(), infos.len(), "a route is there twice");
        assert!(table::ROWS.len() > 250 && not.len() < 130, "{} rows, {} not built", table::ROWS.len(), not.len());
    }
}
