//! A ledger of many events: memory, restarts, verification.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Setup;
use crate::bulk::{Filled, fill};
use crate::events::{Maker, Wire};
use crate::report::{Report, Row, grouped};
use crate::server::Server;
use crate::storage::{Weight, sha256_seconds};
use crate::verification::Verification;

/// What the targets for memory and restarts are about.
const TARGET_EVENTS: u64 = 10_000_000;
const MIB: f64 = (1 << 20) as f64;
/// When the process is killed even if intake is slow.
const KILL_LIMIT: Duration = Duration::from_secs(60);

/// All rows about a ledger of `setup.events` events.
///
/// # Errors
/// When a server fails or an event is not recorded.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let mut server = setup.server(&[])?;
    let maker = Maker::new(&server, Wire::AvroHmac, false)?;
    let empty = server.memory_bytes("VmRSS")?;
    let filled = fill(&server, &maker, 0, setup.events)?;
    let name = format!("{} events, token by token", grouped(setup.events as f64));
    report.add([
        Row::new(
            format!("intake of {name}, Avro, HMAC, batches of 500"),
            format!("{} events/s", grouped(filled.rate())),
        )
        .reference(format!("{:.2} µs server CPU an event", filled.cpu_us()), None),
        memory_row(setup, &name, &server, empty)?,
    ]);
    server.stop()?;
    report.add([verify_row(setup, &server, &filled)?]);
    let clean = server.start()?;
    report.add([restart_row(setup, &name, "a clean shutdown", clean, 1.0)]);
    report.add([killed_row(setup, &mut server, &maker, &name)?]);
    Ok(())
}

/// Whether the figure is taken at the size that the target names.
fn is_full(setup: &Setup) -> bool {
    setup.events >= TARGET_EVENTS
}

fn memory_row(setup: &Setup, name: &str, server: &Server, empty: u64) -> Result<Row> {
    let now = server.memory_bytes("VmRSS")? as f64 / MIB;
    let most = server.memory_bytes("VmHWM")? as f64 / MIB;
    let empty = empty as f64 / MIB;
    Ok(Row::new(
        format!("resident memory after {name}"),
        format!("{now:.0} MiB, at most {most:.0} MiB"),
    )
    .reference(format!("{empty:.0} MiB (empty ledger)"), Some(now / empty))
    .target_if(is_full(setup), "≤ 300 MB at 10 M events", most * MIB <= 300e6))
}

fn restart_row(setup: &Setup, name: &str, after: &str, took: Duration, limit: f64) -> Row {
    let seconds = took.as_secs_f64();
    Row::new(format!("restart after {after}, {name}"), format!("{seconds:.2} s")).target_if(
        is_full(setup),
        format!("≤ {limit:.0} s at 10 M events"),
        seconds <= limit,
    )
}

/// Kills the server in the middle of intake and starts it again.
fn killed_row(setup: &Setup, server: &mut Server, maker: &Maker, name: &str) -> Result<Row> {
    let loading: &Server = server;
    let before = loading.recorded()?;
    std::thread::scope(|scope| {
        // What is sent when the process dies is lost to the sender, which is the point.
        scope.spawn(|| drop(fill(loading, maker, setup.events, setup.batch_events)));
        let begun = Instant::now();
        while loading.recorded()? < before + setup.batch_events / 3 && begun.elapsed() < KILL_LIMIT
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        loading.kill_nine()
    })?;
    server.reap()?;
    let took = server.start()?;
    Ok(restart_row(setup, name, "kill -9 during intake", took, 3.0))
}

/// Times `ledgerline verify --data` beside the bare hashing of as many bytes.
fn verify_row(setup: &Setup, server: &Server, filled: &Filled) -> Result<Row> {
    let verified = Verification::of(&setup.binary, &server.data(), &[])?;
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let journal = Weight::of(&server.data())?.journal;
    let message = usize::try_from(journal / filled.events)?;
    let bound = filled.events as f64 / sha256_seconds(filled.events, message, threads);
    let rate = filled.events as f64 / verified.seconds;
    Ok(Row::new(
        format!("verify of {} events", grouped(filled.events as f64)),
        format!("{} events/s ({:.2} s)", grouped(rate), verified.seconds),
    )
    .reference(
        format!("{}/s: SHA-256 of the journal, {threads} threads", grouped(bound)),
        Some(rate / bound),
    )
    .target("≥ 1,000,000 events/s", rate >= 1e6))
}
