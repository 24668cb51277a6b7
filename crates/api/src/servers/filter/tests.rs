#![allow(clippy::unwrap_used)]
use super::*;
use crate::ask::Base;
use crate::servers::testing::server;
use model::{Context, Scope};
use std::sync::Arc;
use web::Caller;

fn ask(minor: u16, admin: bool) -> Ask {
    let role = if admin { "admin" } else { "member" };
    let context = Context {
        user_id: "u1".into(),
        user_name: "u".into(),
        user_domain_id: "default".into(),
        scope: Scope::Project { id: "p1".into(), name: "p".into(), domain_id: "default".into() },
        roles: [role, "reader"].map(String::from).into(),
        request_id: "req-1".into(),
        global_request_id: None,
    };
    let base = Base { origin: String::new(), own: String::new(), bookmark: String::new() };
    Ask { caller: Caller(context), mv: Microversion(2, minor), base: Arc::new(base) }
}

fn read(minor: u16, admin: bool, pairs: &[(&str, &str)]) -> Result<Search, Fault> {
    let query = Query(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
    Search::read(&ask(minor, admin), &query, "policy")
}

fn finds(minor: u16, admin: bool, pairs: &[(&str, &str)]) -> bool {
    read(minor, admin, pairs).unwrap().admits(&server(), None)
}

#[test]
fn users_see_their_project_and_administrators_all_if_they_say_so() {
    let project = |admin, pairs: &[(&str, &str)]| read(1, admin, pairs).unwrap().filter.project_id;
    assert_eq!(project(false, &[]).as_deref(), Some("p1"));
    assert_eq!(project(false, &[("project_id", "p2")]).as_deref(), Some("p1"));
    assert_eq!(project(true, &[("project_id", "p2")]).as_deref(), Some("p1"));
    assert_eq!(project(true, &[("all_tenants", "1")]), None);
    assert_eq!(project(true, &[("all_tenants", "")]), None);
    assert_eq!(project(true, &[("all_tenants", "1"), ("project_id", "p2")]).as_deref(), Some("p2"));
    assert_eq!(read(1, false, &[("all_tenants", "1")]).unwrap_err().status, 403);
    assert_eq!(project(false, &[("all_tenants", "0")]).as_deref(), Some("p1"));
    assert_eq!(read(1, true, &[("all_tenants", "maybe")]).unwrap_err().status, 400);
}

#[test]
fn filters_that_users_may_not_ask_are_ignored() {
    assert_eq!(read(1, false, &[("host", "h9")]).unwrap().filter.host, None);
    assert_eq!(read(1, true, &[("host", "h9")]).unwrap().filter.host.as_deref(), Some("h9"));
    assert!(read(82, false, &[("vm_state", "error")]).unwrap().filter.vm_states.is_none());
    assert_eq!(read(83, false, &[("vm_state", "error")]).unwrap().filter.vm_states, Some(vec![VmState::Error]));
    assert!(finds(82, false, &[("key_name", "other")]) && !finds(83, false, &[("key_name", "other")]));
    assert!(finds(74, false, &[("unknown", "x")]));
    assert_eq!(read(75, false, &[("unknown", "x")]).unwrap_err().status, 400);
}

#[test]
fn texts_are_patterns_and_bad_ones_are_refused() {
    assert!(finds(1, false, &[("name", "Web")]) && finds(1, false, &[("name", "^Web.One$")]));
    assert!(!finds(1, false, &[("name", "^One")]));
    assert!(finds(1, false, &[("ip", "10.0")]) && !finds(1, false, &[("ip", "192")]));
    assert!(finds(5, false, &[("ip6", "fd00")]));
    for bad in ["*", "(", ""] {
        let e = read(1, false, &[("name", bad)]).unwrap_err();
        assert!(e.status == 400 && e.message.contains("name"), "{}", e.message);
    }
    assert!(finds(1, true, &[("config_drive", "True")]) && !finds(1, true, &[("config_drive", "False")]));
    assert!(finds(1, true, &[("power_state", "1")]) && !finds(1, true, &[("power_state", "x")]));
}

#[test]
fn statuses_become_states_and_tasks() {
    let states = |v: &str| read(1, false, &[("status", v)]).unwrap().filter.vm_states.unwrap();
    assert_eq!(states("ACTIVE"), [VmState::Active]);
    assert_eq!(states("shutoff"), [VmState::Stopped]);
    let reboot = read(1, false, &[("status", "REBOOT")]).unwrap();
    assert_eq!(reboot.filter.vm_states, Some(vec![VmState::Active]));
    assert!(reboot.admits(&server(), Some("reboot_started")) && !reboot.admits(&server(), None));
    assert!(!finds(37, false, &[("status", "NONSENSE")]), "nothing, before 2.38");
    assert_eq!(read(38, false, &[("status", "NONSENSE")]).unwrap_err().message, "Invalid status value");
    assert_eq!(read(1, false, &[("status", "DELETED")]).unwrap_err().status, 403);
    assert_eq!(read(1, true, &[("status", "DELETED")]).unwrap().filter.deleted, Deleted::Only);
    let two = read(1, false, &[("status", "ACTIVE"), ("status", "ERROR")]).unwrap();
    assert_eq!(two.filter.vm_states, Some(vec![VmState::Active, VmState::Error]));
}

#[test]
fn changes_show_what_is_gone() {
    let s = read(1, false, &[("changes-since", "2020-01-01T00:00:00Z")]).unwrap();
    assert_eq!(s.filter.deleted, Deleted::Any);
    assert_eq!(read(1, false, &[("changes-since", "yesterday")]).unwrap_err().status, 400);
    assert!(read(65, false, &[("changes-before", "yesterday")]).unwrap().filter.changed_before.is_none());
    let both = [("changes-since", "2021-01-01T00:00:00Z"), ("changes-before", "2020-01-01T00:00:00Z")];
    assert_eq!(read(66, false, &both).unwrap_err().status, 400);
    assert_eq!(read(1, false, &[("deleted", "true")]).unwrap().filter.deleted, Deleted::No, "for administrators only");
}

#[test]
fn tags() {
    let t = |k: &str, v: &str| finds(26, false, &[(k, v)]);
    assert!(t("tags", "red,blue") && !t("tags", "red,green"));
    assert!(t("tags-any", "red,green") && !t("tags-any", "green"));
    assert!(!t("not-tags", "red,blue") && t("not-tags", "red,green"));
    assert!(!t("not-tags-any", "red,green") && t("not-tags-any", "green"));
    assert!(finds(25, false, &[("tags", "green")]), "unknown before 2.26");
}

#[test]
fn joined_tables_are_refused_by_name() {
    let e = read(1, true, &[("info_cache", "x")]).unwrap_err();
    assert_eq!((e.status.as_u16(), e.message.as_str()), (400, "Invalid filter field: info_cache."));
    assert_eq!(read(1, true, &[("_x", "y")]).unwrap_err().status, 400);
    assert!(finds(1, false, &[("_x", "y")]));
}
