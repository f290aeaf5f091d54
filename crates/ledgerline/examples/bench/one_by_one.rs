//! A ledger whose every commit holds one event, as a quiet producer writes it: how fast it is
//! verified, beside the same events in batches.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::Setup;
use crate::bulk::fill;
use crate::events::{Maker, Wire};
use crate::load::{Load, Source, drive};
use crate::report::{Report, Row, grouped};
use crate::server::Server;
use crate::storage::Fsync;
use crate::verification::Verification;

/// Most events: each waits for the disk.
const EVENTS: u64 = 30_000;
/// Longest that writing them may take.
const LIMIT: Duration = Duration::from_secs(600);

/// All rows.
///
/// # Errors
/// When a server fails, an event is not recorded or the ledger does not verify.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let events = setup.events.min(EVENTS);
    let mut single = setup.server(&[])?;
    report.add([write(setup, &single, events)?]);
    single.stop()?;
    let mut batches = setup.server(&[])?;
    let maker = Maker::new(&batches, Wire::Json, false)?;
    fill(&batches, &maker, 0, events)?;
    batches.stop()?;
    for (what, flags) in [("", &[][..]), (" --all-signatures", &["--all-signatures"][..])] {
        let one = Verification::of(&setup.binary, &single.data(), flags)?;
        let other = Verification::of(&setup.binary, &batches.data(), flags)?;
        ensure!(one.commits >= events, "{} commits of {events} events", one.commits);
        let name = format!("verify{what} of {} events, one a commit", grouped(events as f64));
        let row = Row::new(name, text(&one)).reference(
            format!("{}: the same events in batches of 500", text(&other)),
            Some(one.rate() / other.rate()),
        );
        let is_sampled = flags.is_empty();
        report.add([if is_sampled {
            row.target("≥ 300,000 entries/s", one.rate() >= 300e3)
        } else {
            row
        }]);
    }
    Ok(())
}

fn text(verified: &Verification) -> String {
    format!(
        "{} entries/s, {} for each second of a core ({:.2} s, {} signatures of checkpoints)",
        grouped(verified.rate()),
        grouped(verified.rate_of_a_core()),
        verified.seconds,
        grouped(verified.checkpoint_signatures as f64)
    )
}

/// One connection: the next event is sent when the last one was recorded.
fn write(setup: &Setup, server: &Server, events: u64) -> Result<Row> {
    let maker = Maker::new(server, Wire::Json, false)?;
    let source: Source = Arc::new(move |n, out| {
        let is_one = n < events;
        if is_one {
            maker.single(n, out);
        }
        is_one
    });
    let before = server.recorded()?;
    let load = Load { connections: 1, duration: LIMIT, rate: None, in_a_row: 1 };
    let fsync = Fsync::measure(&setup.parent)?;
    let outcome = drive(server.target()?, load, 0, &source)?;
    let fsync = fsync.with(&Fsync::measure(&setup.parent)?);
    ensure!(outcome.done == events, "{} of {events} events in {LIMIT:?}", outcome.done);
    server.await_recorded(before, events)?;
    let ours = format!(
        "{} events/s, p50 {:.2} ms, p99 {:.2} ms, {:.1} µs server CPU",
        grouped(outcome.rate()),
        outcome.quantile_us(0.5) / 1e3,
        outcome.quantile_us(0.99) / 1e3,
        outcome.cpu_us(events)
    );
    Ok(Row::new(format!("{} events, one a commit, 1 connection", grouped(events as f64)), ours)
        .reference(format!("fsync p50 {:.2} ms", fsync.p50_us() / 1e3), None))
}
