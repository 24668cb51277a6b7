//! Every figure of `docs/performance.md`: starts a real `kilonova`, asks it as a client does, judges what it answers.
//!
//! It measures and reports; it changes nothing but what lies below its scratch directory. `cargo xtask bench` builds what
//! it needs and starts it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cloud;
mod create;
mod http;
mod inside;
mod libvirt;
mod machine;
mod postgres;
mod report;

use clap::Parser;
use cloud::{Cloud, Plan};
use machine::{Machine, at};
use report::{Better, Report, Row};
use serde_json::{Map, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(name = "kilonova-bench", about = "Measures a kilonova as a client sees it")]
struct Options {
    /// The program to measure.
    #[arg(long)]
    program: PathBuf,
    /// Scratch directory, on the disk to be measured; everything below it goes.
    #[arg(long)]
    dir: PathBuf,
    /// Where the JSON goes.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fewer servers and repetitions: to see that it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Only these parts: inside, idle, cloud, postgres, libvirt.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Servers of the part `cloud`, instead of 100,000.
    #[arg(long)]
    servers: Option<usize>,
    /// Hosts of the part `cloud`, instead of 10,000.
    #[arg(long)]
    hosts: Option<usize>,
    /// A PostgreSQL server: URL of a user who may make databases.
    #[arg(long)]
    postgres: Option<String>,
    /// Socket of a libvirt daemon.
    #[arg(long)]
    libvirt: Option<String>,
    /// Image (qcow2) of its guests.
    #[arg(long)]
    image: Option<PathBuf>,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|p| p == part)
    }
}

/// A run in the making.
struct Bench {
    o: Options,
    report: Report,
}

fn main() -> ExitCode {
    let o = Options::parse();
    // One thread: the client takes no more than it needs of the processors it shares.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(r) => r,
        Err(e) => {
            eprintln!("no runtime: {e}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(o)) {
        Ok(report) if report.rows.iter().all(|r| r.verdict != "fail") && report.missing.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn run(o: Options) -> Result<Report, String> {
    let started = Instant::now();
    std::fs::create_dir_all(&o.dir).map_err(|e| format!("{}: {e}", o.dir.display()))?;
    let machine = Machine::look(&o.dir)?;
    let report = Report { machine: Some(machine), quick: o.quick, rows: Vec::new(), details: Map::new(), missing: Vec::new() };
    let mut bench = Bench { o, report };
    if bench.o.wants("inside") {
        let part = bench.inside().await;
        bench.note("inside", part);
    }
    if bench.o.wants("idle") {
        let part = bench.idle().await;
        bench.note("idle", part);
    }
    if bench.o.wants("cloud") {
        let part = bench.cloud().await;
        bench.note("cloud", part);
    }
    if bench.o.wants("postgres") {
        let part = bench.postgres().await;
        bench.note("postgres", part);
    }
    if bench.o.wants("libvirt") {
        let part = bench.libvirt().await;
        bench.note("libvirt", part);
    }
    bench.detail("load_at_the_end", json!(machine::load()));
    bench.detail("seconds", json!(started.elapsed().as_secs()));
    println!("\n{}", bench.report.table());
    if let Some(path) = &bench.o.json {
        let text = serde_json::to_string_pretty(&bench.report).map_err(|e| e.to_string())?;
        std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(bench.report)
}

impl Bench {
    /// A part that could not be measured is said, and the others go on.
    fn note(&mut self, part: &str, outcome: Result<(), String>) {
        if let Err(e) = outcome {
            eprintln!("{part}: {e}");
            self.report.missing.push(format!("{part}: {e}"));
        }
    }

    fn row(&mut self, row: Row) {
        println!("{:<62} {:>12.3} {:<9} {}", row.what, row.figure, row.unit, row.verdict);
        self.report.rows.push(row);
    }

    fn detail(&mut self, key: &str, value: serde_json::Value) {
        println!("    {key}: {value}");
        self.report.details.insert(key.to_owned(), value);
    }

    fn plan(&self, name: &str, hosts: usize) -> Result<Plan<'_>, String> {
        let dir = self.o.dir.join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        Ok(Plan { program: &self.o.program, dir, hosts, database: None, more: String::new(), log: "warn" })
    }

    async fn inside(&mut self) -> Result<(), String> {
        let us = "us";
        let rounds = if self.o.quick { 200 } else { 1000 };
        let (rank, both) = inside::schedule(10_000, rounds).await?;
        self.row(Row::new("schedule_10k", "schedule and claim, 10,000 hosts", both, us, Better::Less, (200.0, 50.0)));
        self.detail("rank_10k_us", json!(rank));
        if !self.o.quick {
            let (rank, both) = inside::schedule(100_000, rounds).await?;
            self.row(Row::new("schedule_100k", "schedule and claim, 100,000 hosts", both, us, Better::Less, (2000.0, 500.0)));
            self.detail("rank_100k_us", json!(rank));
        }
        let check = inside::token(rounds * 10).await?;
        self.row(Row::new("token", "token check", check, us, Better::Less, (20.0, 5.0)));
        Ok(())
    }

    /// A cloud as a newcomer starts it: one simulated host.
    async fn idle(&mut self) -> Result<(), String> {
        let plan = self.plan("idle", 1)?;
        let mut firsts = Vec::new();
        let mut resident = 0;
        for round in 0..3 {
            if plan.dir.exists() {
                std::fs::remove_dir_all(&plan.dir).map_err(|e| e.to_string())?;
            }
            let cloud = Cloud::start(&plan).await?;
            firsts.push(cloud.first_answer);
            if round == 2 {
                cloud.hosts_up(1).await?;
                tokio::time::sleep(Duration::from_secs(3)).await;
                resident = cloud.usage().resident_kib;
            }
            cloud.stop();
        }
        let again = Cloud::start(&plan).await?;
        let restart = again.first_answer;
        again.stop();
        firsts.sort();
        #[allow(clippy::cast_precision_loss)]
        let mib = resident as f64 / 1024.0;
        self.row(Row::new("idle_memory", "idle memory of kilonova up", mib, "MiB", Better::Less, (60.0, 30.0)));
        self.row(Row::new("start", "start to first answer, new data directory", firsts[1].as_secs_f64(), "s", Better::Less, (1.0, 0.3)));
        self.detail("start_again_seconds", json!(restart.as_secs_f64()));
        Ok(())
    }

    /// Ten thousand hosts, one hundred thousand servers.
    async fn cloud(&mut self) -> Result<(), String> {
        let hosts = self.o.hosts.unwrap_or(if self.o.quick { 1000 } else { 10_000 });
        let servers = self.o.servers.unwrap_or(if self.o.quick { 5000 } else { 100_000 });
        let plan = self.plan("cloud", hosts)?;
        let mut cloud = Cloud::start(&plan).await?;
        let first = cloud.first_answer.as_secs_f64();
        let up = cloud.hosts_up(hosts).await?;
        cloud.upload_image().await?;
        self.detail("hosts", json!({"hosts": hosts, "first_answer_seconds": first, "all_up_seconds": first + up.as_secs_f64()}));
        let alone = if self.o.quick { 50 } else { 400 };
        let outcome = async {
            self.alone(&cloud, alone).await?;
            self.load(&cloud, servers).await?;
            create::count(&cloud, alone + servers).await?;
            self.pages(&cloud).await
        };
        let outcome = outcome.await;
        let stopped = cloud.stop();
        self.detail("stop_seconds", json!(stopped.as_secs_f64()));
        outcome?;
        let again = Cloud::start(&self.again(&plan_dir(&self.o, "cloud"), hosts)).await?;
        self.detail("start_with_all_stored_seconds", json!(again.first_answer.as_secs_f64()));
        again.stop();
        Ok(())
    }

    /// Commits per second on PostgreSQL, of ours and of `pgbench` with our rows.
    async fn postgres(&mut self) -> Result<(), String> {
        let server = self.o.postgres.clone().ok_or("no server was named")?;
        let database = postgres::Database::make(&server)?;
        let outcome = self.on_postgres(&database).await;
        database.remove();
        outcome
    }

    async fn on_postgres(&mut self, database: &postgres::Database) -> Result<(), String> {
        let (servers, seconds) = if self.o.quick { (1000, 3) } else { (10_000, 10) };
        let mut plan = self.plan("postgres", 1000)?;
        plan.database = Some(database.url.clone());
        let mut cloud = Cloud::start(&plan).await?;
        cloud.hosts_up(1000).await?;
        cloud.upload_image().await?;
        create::load(&cloud, 64, 500).await?;
        let load = create::load(&cloud, 64, servers).await?;
        cloud.stop();
        let mut theirs: f64 = 0.0;
        let mut runs = Vec::new();
        for clients in [8, 64] {
            let rate = database.pgbench(&self.o.dir, clients, seconds, false)?;
            let spread = database.pgbench(&self.o.dir, clients, seconds, true)?;
            runs.push(json!({"clients": clients, "one_project": rate, "a_project_each": spread}));
            theirs = theirs.max(rate);
        }
        let ours = load.active_per_second * 2.0;
        self.detail("postgres", json!({"our_commits_per_second": ours, "pgbench": runs, "load": serde_json::to_value(&load).map_err(|e| e.to_string())?}));
        self.row(Row::new("postgres", "PostgreSQL: our commits against pgbench's", ours / theirs * 100.0, "%", Better::More, (50.0, 80.0)));
        Ok(())
    }

    /// A guest on libvirt: the whole without what the backend's own calls take.
    async fn libvirt(&mut self) -> Result<(), String> {
        let socket = self.o.libvirt.clone().ok_or("no daemon was named")?;
        let image = std::fs::read(self.o.image.as_ref().ok_or("no image was named")?).map_err(|e| format!("image: {e}"))?;
        let mut plan = self.plan("libvirt", 0)?;
        plan.more = libvirt::config(&socket, &self.o.dir.join("instances"));
        plan.log = "warn,external=debug";
        let mut cloud = Cloud::start(&plan).await?;
        cloud.hosts_up(1).await?;
        cloud.upload("qcow2", &image).await?;
        let flush = machine::flush(&self.o.dir, 256)?.p50_ms;
        let mut connection = cloud.connect().await?;
        let (raw, mut extra, mut spawns) = (cloud.create("libvirt"), Vec::new(), Vec::new());
        // The first fills the image's cache.
        for n in 0..if self.o.quick { 3 } else { 9 } {
            let started = Instant::now();
            let answer = connection.send(&raw).await?.expect(202)?;
            let id = create::id_of(&answer.body).ok_or("an answer without an id")?;
            create::until_active(&cloud, &mut connection, &id).await?;
            let whole = started.elapsed().as_secs_f64() * 1e3;
            let log = std::fs::read_to_string(plan.dir.with_extension("log")).map_err(|e| e.to_string())?;
            let spawn = libvirt::spawn(&log, &id).ok_or("the host's log does not tell what the spawn took")?;
            if n > 0 {
                extra.push(whole - spawn.external_ms - 2.0 * flush);
                spawns.push(json!({"whole_ms": whole, "on_the_host": spawn}));
            }
            create::gone(&cloud, &mut connection, &id).await?;
        }
        cloud.stop();
        extra.sort_by(f64::total_cmp);
        self.detail("libvirt", json!({"flush_p50_ms": flush, "spawns": spawns}));
        let what = "libvirt create minus external calls and 2 flushes, p50";
        self.row(Row::new("libvirt", what, at(&extra, 0.5), "ms", Better::Less, (20.0, 5.0)));
        Ok(())
    }

    fn again(&self, dir: &std::path::Path, hosts: usize) -> Plan<'_> {
        Plan { program: &self.o.program, dir: dir.to_owned(), hosts, database: None, more: String::new(), log: "warn" }
    }

    async fn alone(&mut self, cloud: &Cloud, servers: usize) -> Result<(), String> {
        create::alone(cloud, 20).await?;
        let before = machine::flush(&self.o.dir, 256)?;
        let (posts, actives) = create::alone(cloud, servers - 20).await?;
        let after = machine::flush(&self.o.dir, 256)?;
        let flush = (before.p50_ms + after.p50_ms) / 2.0;
        let (post, active) = (at(&posts, 0.5), at(&actives, 0.5));
        self.detail("alone", json!({"flush_p50_ms": flush, "post_p50_ms": post, "post_p99_ms": at(&posts, 0.99),
            "active_p50_ms": active, "active_p99_ms": at(&actives, 0.99)}));
        self.row(Row::new("post_alone", "one client: POST p50 minus 1 flush", post - flush, "ms", Better::Less, (4.0, 1.0)));
        self.row(Row::new("active_alone", "one client: ACTIVE p50 minus 2 flushes", active - 2.0 * flush, "ms", Better::Less, (6.0, 2.0)));
        Ok(())
    }

    async fn load(&mut self, cloud: &Cloud, servers: usize) -> Result<(), String> {
        let before = cloud.usage();
        let load = create::load(cloud, 64, servers).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let after = cloud.usage();
        self.row(Row::new("accepted", "POST /servers accepted, 64 clients", load.accepted_per_second, "/s", Better::More, (2000.0, 5000.0)));
        let what = format!("create to ACTIVE over {servers} servers");
        self.row(Row::new("active", what, load.active_per_second, "/s", Better::More, (1500.0, 4000.0)));
        let (first, last) = (load.tenths.first().copied().unwrap_or(0.0), load.tenths.last().copied().unwrap_or(0.0));
        self.row(Row::new("slope", "last tenth of them against the first", last / first * 100.0, "%", Better::More, (90.0, 100.0)));
        #[allow(clippy::cast_precision_loss)]
        let kib = after.resident_kib.saturating_sub(before.resident_kib) as f64 / servers as f64;
        self.row(Row::new("stored_memory", "memory per stored server", kib, "KiB", Better::Less, (3.0, 1.5)));
        self.detail("resident_kib", json!([before.resident_kib, after.resident_kib]));
        let detail = serde_json::to_value(&load).map_err(|e| e.to_string())?;
        self.detail("load", detail);
        Ok(())
    }

    async fn pages(&mut self, cloud: &Cloud) -> Result<(), String> {
        let markers = create::markers(cloud, 97).await?;
        let times = create::pages(cloud, &markers, if self.o.quick { 30 } else { 200 }).await?;
        self.detail("list_ms", json!({"p50": at(&times, 0.5), "p99": at(&times, 0.99), "max": at(&times, 1.0)}));
        self.row(Row::new("list", "list 1,000 in detail, random marker, p50", at(&times, 0.5), "ms", Better::Less, (20.0, 5.0)));
        Ok(())
    }
}

fn plan_dir(o: &Options, name: &str) -> PathBuf {
    o.dir.join(name)
}
