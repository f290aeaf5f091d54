//! Single events over keep-alive connections, beside the empty handler of the same server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::Setup;
use crate::events::{LIFE, Maker, Wire};
use crate::http::HEALTH;
use crate::load::{Load, Outcome, Source, drive};
use crate::report::{Report, Row, grouped};
use crate::server::Server;
use crate::storage::Fsync;

const WARM_UP: Duration = Duration::from_secs(1);
const CPU_TARGET_US: f64 = 30.0;

/// All rows about single events.
///
/// # Errors
/// When a server fails or an event is not recorded.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let server = setup.server(&[])?;
    let maker = Arc::new(Maker::new(&server, Wire::Json, false)?);
    let mut next = 0;
    for in_flight in [64, 1000] {
        let before = Fsync::measure(&setup.parent)?;
        let empty = empty_handler(setup, &server, in_flight)?;
        let single = single_events(setup, &server, &maker, in_flight, None, &mut next)?;
        let after = Fsync::measure(&setup.parent)?;
        let fsync = before.with(&after);
        report.add([
            fsync_row(in_flight, &before, &after),
            empty_row(in_flight, &empty),
            rate_row("", in_flight, &single, &empty, &fsync),
            cpu_row("", in_flight, &single, &empty),
        ]);
        let half = Some(single.rate() / 2.0);
        let before = Fsync::measure(&setup.parent)?;
        let paced = single_events(setup, &server, &maker, in_flight, half, &mut next)?;
        let fsync = before.with(&Fsync::measure(&setup.parent)?);
        report.add(ack_rows(in_flight, &paced, &fsync));
    }
    drop(server);
    let server = setup.server(&[])?;
    let maker = Arc::new(Maker::new(&server, Wire::Json, true)?);
    let before = Fsync::measure(&setup.parent)?;
    let empty = empty_handler(setup, &server, 64)?;
    let single = single_events(setup, &server, &maker, 64, None, &mut 0)?;
    let fsync = before.with(&Fsync::measure(&setup.parent)?);
    let what = " with personal record";
    report.add([rate_row(what, 64, &single, &empty, &fsync), cpu_row(what, 64, &single, &empty)]);
    Ok(())
}

fn empty_handler(setup: &Setup, server: &Server, in_flight: usize) -> Result<Outcome> {
    let source: Source = Arc::new(|_, out| {
        out.extend_from_slice(HEALTH);
        true
    });
    let load = |duration| Load { connections: in_flight, duration, rate: None, in_a_row: 1 };
    drive(server.target()?, load(WARM_UP.min(setup.duration)), 0, &source)?;
    drive(server.target()?, load(setup.duration), 0, &source)
}

fn single_events(
    setup: &Setup,
    server: &Server,
    maker: &Arc<Maker>,
    in_flight: usize,
    rate: Option<f64>,
    next: &mut u64,
) -> Result<Outcome> {
    let maker = Arc::clone(maker);
    let source: Source = Arc::new(move |n, out| {
        maker.single(n, out);
        true
    });
    let load = |duration| Load { connections: in_flight, duration, rate, in_a_row: LIFE };
    let begun = server.recorded()?;
    let warm = drive(server.target()?, load(WARM_UP.min(setup.duration)), *next, &source)?;
    // Each connection leaves the rest of a life behind.
    let after =
        |first: u64, done: u64| (first + done).next_multiple_of(LIFE) + in_flight as u64 * LIFE;
    *next = after(*next, warm.done);
    let outcome = drive(server.target()?, load(setup.duration), *next, &source)?;
    *next = after(*next, outcome.done);
    server.await_recorded(begun, warm.done + outcome.done)?;
    Ok(outcome)
}

fn fsync_row(in_flight: usize, before: &Fsync, after: &Fsync) -> Row {
    let text =
        |one: &Fsync| format!("p50 {:.2} ms, p99 {:.2} ms", one.p50_us() / 1e3, one.p99_us() / 1e3);
    Row::new(
        format!("disk around the {in_flight} in flight: 32 KiB append and fdatasync"),
        format!("before {}", text(before)),
    )
    .reference(format!("after {}", text(after)), None)
}

fn empty_row(in_flight: usize, empty: &Outcome) -> Row {
    let cpu = empty.cpu_us(empty.done);
    let ours = format!("{} requests/s, {cpu:.1} µs server CPU", grouped(empty.rate()));
    Row::new(format!("empty handler, {in_flight} in flight"), ours)
}

fn rate_row(what: &str, in_flight: usize, single: &Outcome, empty: &Outcome, fsync: &Fsync) -> Row {
    let by_disk = in_flight as f64 / (1.5 * fsync.p50_us() / 1e6);
    let bound = empty.rate().min(by_disk);
    let name = if by_disk < empty.rate() { "in flight / 1.5 fsync" } else { "empty handler" };
    let ratio = single.rate() / bound;
    Row::new(
        format!("single events{what}, {in_flight} in flight"),
        format!("{} events/s", grouped(single.rate())),
    )
    .reference(format!("{}/s ({name})", grouped(bound)), Some(ratio))
    .target("ratio ≥ 0.5", ratio >= 0.5)
}

fn cpu_row(what: &str, in_flight: usize, single: &Outcome, empty: &Outcome) -> Row {
    let (ours, reference) = (single.cpu_us(single.done), empty.cpu_us(empty.done));
    Row::new(
        format!("server CPU of a single event{what}, {in_flight} in flight"),
        format!("{ours:.1} µs"),
    )
    .reference(format!("{reference:.1} µs (empty handler)"), Some(ours / reference))
    .target(format!("≤ {CPU_TARGET_US:.0} µs"), ours <= CPU_TARGET_US)
}

fn ack_rows(in_flight: usize, paced: &Outcome, fsync: &Fsync) -> [Row; 2] {
    let row = |name: &str, share: f64, fsync_us: f64, extra_ms: f64| {
        let ours = paced.quantile_us(share) / 1e3;
        let bound = 2.0 * fsync_us / 1e3 + extra_ms;
        Row::new(
            format!(
                "ack {name} at half load ({}/s), {in_flight} connections",
                grouped(paced.rate())
            ),
            format!("{ours:.2} ms, {:.1} µs server CPU", paced.cpu_us(paced.done)),
        )
        .reference(format!("fsync {name} {:.2} ms", fsync_us / 1e3), Some(ours * 1e3 / fsync_us))
        .target(format!("≤ 2 × fsync + {extra_ms:.0} ms = {bound:.2} ms"), ours <= bound)
    };
    [row("p50", 0.5, fsync.p50_us(), 1.0), row("p99", 0.99, fsync.p99_us(), 5.0)]
}
