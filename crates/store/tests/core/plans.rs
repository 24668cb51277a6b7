//! No statement of a hot path reads a whole table, on either engine: what a cloud of a hundred thousand servers does
//! all the time goes by an index.

use crate::make;
use driver_api::Timestamp;
use model::flow::FlowState;
use store::flows::Progress;
use store::network::{ports, subnets};
use store::placement::{allocations, inventories};
use store::servers::{Filter, Page};
use store::testing::{TestEngine, engines, plans};
use store::{Dialect, Result, Tx, flows, keypairs, quotas, servers, services};

const NOW: Timestamp = Timestamp(500);

/// The line of a plan that reads a whole table, if there is one. An index may be read whole: the one of unfinished
/// flows is short.
fn whole_table(dialect: Dialect, plan: &str) -> Option<&str> {
    plan.lines().find(|line| match dialect {
        Dialect::Sqlite => {
            line.trim_start().starts_with("SCAN ")
                && !["USING", "CONSTANT ROW", "SUBQUERY", "("].iter().any(|word| line.contains(word))
        }
        Dialect::Postgres => line.contains("Seq Scan on"),
    })
}

fn a_request_and_its_flow(tx: &mut Tx) -> Result<()> {
    servers::get_owned(tx, make::id(1), "p")?;
    servers::change(tx, make::id(1), NOW, |s| {
        s.name = "other".into();
        Ok(())
    })?;
    servers::totals(tx, "p")?;
    servers::count(tx, "p")?;
    flows::get(tx, make::id(9))?;
    flows::list_for_server(tx, make::id(1))?;
    flows::find_by_request(tx, make::id(1), "req-9")?;
    flows::unfinished(tx)?;
    flows::any_lapsed(tx, NOW)?;
    flows::renew(tx, "c", &[make::id(9)], NOW)?;
    flows::take_over(tx, "d", Timestamp(1), NOW, 10)?;
    flows::is_cancelled(tx, make::id(9))?;
    flows::journal(tx, make::id(9))?;
    let progress = Progress { state: FlowState::Running, steps: vec![], message: None };
    flows::advance(tx, make::id(9), "c", &progress, NOW)?;
    let instances = &model::quota::COMPUTE[0];
    quotas::claim(tx, "p", &[(instances, 1)])?;
    quotas::release(tx, "p", &[(instances, 1)])?;
    quotas::usages(tx, "p", model::quota::COMPUTE)?;
    keypairs::list(tx, "u", None, Some(10))?;
    services::find_by_host(tx, "h1")?;
    servers::purge(tx, Timestamp(1), 10)?;
    Ok(())
}

fn claims_ports_and_addresses(tx: &mut Tx) -> Result<()> {
    allocations::consumer(tx, make::id(1))?;
    allocations::of_consumer(tx, make::id(1))?;
    allocations::of_provider(tx, make::id(2))?;
    allocations::consumers_of_provider(tx, make::id(2))?;
    allocations::remove_of_consumer(tx, make::id(1))?;
    inventories::of(tx, make::id(2))?;
    inventories::take(tx, make::id(2), "VCPU", 1)?;
    ports::get(tx, make::id(3))?;
    ports::of_server(tx, make::id(1))?;
    ports::mac_taken(tx, make::id(4), "fa:16:3e:00:00:01")?;
    ports::networks_of_host(tx, "h1")?;
    ports::delete(tx, make::id(3))?;
    subnets::taken(tx, make::id(5))?;
    subnets::free_ip(tx, make::id(5), std::net::IpAddr::from([10, 0, 0, 1]), make::id(3))?;
    Ok(())
}

#[tokio::test]
async fn no_hot_statement_reads_a_whole_table() {
    for TestEngine { name, store, .. } in &engines() {
        let seen = store.write(|tx| {
            servers::insert(tx, &make::server(1))?;
            flows::insert(tx, &make::flow(9, 1, "c"))?;
            let mut seen = plans(tx, a_request_and_its_flow)?;
            seen.extend(plans(tx, claims_ports_and_addresses)?);
            Ok((tx.dialect(), seen))
        });
        let (dialect, seen) = seen.await.unwrap();
        assert!(seen.len() > 35, "{name}: only {} statements were seen", seen.len());
        for (sql, plan) in seen {
            assert_eq!(whole_table(dialect, &plan), None, "{name}: {sql}\n{plan}");
        }
    }
}

/// A page costs the same wherever it is: the marker is a place in the index.
#[tokio::test]
async fn a_page_by_marker_begins_in_the_index() {
    for TestEngine { name, store, .. } in &engines() {
        for (project, index) in [(Some("p"), "servers_live_project"), (None, "servers_live")] {
            let seen = store.write(move |tx| {
                for n in 1..=3 {
                    if servers::find(tx, make::id(n))?.is_none() {
                        servers::insert(tx, &make::server(n))?;
                    }
                }
                let filter = Filter { project_id: project.map(str::to_owned), ..Filter::default() };
                let page = Page { marker: Some(make::id(2)), limit: Some(2), ..Page::default() };
                let seen = plans(tx, |tx| servers::list(tx, &filter, &page, |_| true).map(drop))?;
                Ok((tx.dialect(), seen))
            });
            let (dialect, seen) = seen.await.unwrap();
            let (sql, plan) = seen.iter().find(|(sql, _)| sql.contains("ORDER BY")).unwrap();
            assert_eq!(whole_table(dialect, plan), None, "{name}: {sql}\n{plan}");
            let by_index = plan.lines().any(|line| match dialect {
                Dialect::Sqlite => line.contains("SEARCH servers USING INDEX") && line.contains(&format!("INDEX {index} (")),
                Dialect::Postgres => line.contains("using ") && line.contains(&format!("using {index} on")),
            });
            assert!(by_index, "{name}: {sql}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE") || project.is_none(), "{name}: sorted by hand\n{plan}");
        }
    }
}

/// The test can fail.
#[tokio::test]
async fn a_statement_without_an_index_is_seen() {
    for TestEngine { name, store, .. } in &engines() {
        let seen = store.write(|tx| {
            let seen = plans(tx, |tx| tx.query("SELECT id FROM servers WHERE name = $1", store::params!["x"]).map(drop))?;
            Ok((tx.dialect(), seen))
        });
        let (dialect, seen) = seen.await.unwrap();
        assert!(whole_table(dialect, &seen[0].1).is_some(), "{name}: {:?}", seen[0]);
    }
}
