//! Single events at low, fixed rates: what one costs when few share a commit and a wake, and on
//! which thread.

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
use crate::threads::Threads;

/// Events a second that are offered.
pub const RATES: [f64; 2] = [500.0, 2000.0];
/// Connections of each.
pub const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(1);

/// What a rate came to.
pub struct Paced {
    /// Answers and times; its CPU is `threads`, which counts finer.
    pub outcome: Outcome,
    /// CPU of the server meanwhile.
    pub threads: Threads,
}

impl Paced {
    /// CPU of the server for one request, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.threads.seconds() * 1e6 / self.outcome.done.max(1) as f64
    }

    /// Times and CPU as a row says them.
    pub fn text(&self) -> String {
        let ms = |share| self.outcome.quantile_us(share) / 1e3;
        format!("p50 {:.2} ms, p99 {:.2} ms, {:.1} µs server CPU", ms(0.5), ms(0.99), self.cpu_us())
    }
}

/// All rows.
///
/// # Errors
/// When a server fails or an event is not recorded.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let server = setup.server(&[])?;
    let maker = Arc::new(Maker::new(&server, Wire::Json, false)?);
    let mut next = 0;
    for rate in RATES {
        let empty = empty_handler(setup, &server, rate)?;
        let before = Fsync::measure(&setup.parent)?;
        let paced = single_events(setup, &server, &maker, rate, &mut next)?;
        let fsync = before.with(&Fsync::measure(&setup.parent)?);
        let what = name(rate);
        let ratio = paced.cpu_us() / empty.cpu_us();
        report.add([
            Row::new(what.clone(), paced.text())
                .reference(format!("{} (empty handler at that rate)", empty.text()), Some(ratio)),
            Row::new(format!("{what}: µs of an event by thread"), by_thread(&paced)).reference(
                format!(
                    "empty handler: {}; 32 KiB append and fdatasync p50 {:.2} ms, p99 {:.2} ms",
                    by_thread(&empty),
                    fsync.p50_us() / 1e3,
                    fsync.p99_us() / 1e3
                ),
                None,
            ),
        ]);
    }
    Ok(())
}

/// What the rows of a rate are about.
pub fn name(rate: f64) -> String {
    format!("single events, {}/s offered, {CONNECTIONS} connections", grouped(rate))
}

fn by_thread(paced: &Paced) -> String {
    paced.threads.text(paced.outcome.done)
}

fn empty_handler(setup: &Setup, server: &Server, rate: f64) -> Result<Paced> {
    let source: Source = Arc::new(|_, out| {
        out.extend_from_slice(HEALTH);
        true
    });
    at_rate(server, &source, 0, rate, WARM_UP.min(setup.duration))?;
    at_rate(server, &source, 0, rate, setup.duration)
}

/// Offers single events after a warm-up; `next` is the first one's number, and afterwards the first
/// that is free.
///
/// # Errors
/// When the server fails or an event is not recorded.
pub fn single_events(
    setup: &Setup,
    server: &Server,
    maker: &Arc<Maker>,
    rate: f64,
    next: &mut u64,
) -> Result<Paced> {
    let maker = Arc::clone(maker);
    let source: Source = Arc::new(move |n, out| {
        maker.single(n, out);
        true
    });
    let begun = server.recorded()?;
    // Each connection leaves the rest of a life behind.
    let after =
        |first: u64, done: u64| (first + done).next_multiple_of(LIFE) + CONNECTIONS as u64 * LIFE;
    let warm = at_rate(server, &source, *next, rate, WARM_UP.min(setup.duration))?;
    *next = after(*next, warm.outcome.done);
    let paced = at_rate(server, &source, *next, rate, setup.duration)?;
    *next = after(*next, paced.outcome.done);
    server.await_recorded(begun, warm.outcome.done + paced.outcome.done)?;
    Ok(paced)
}

fn at_rate(
    server: &Server,
    source: &Source,
    first: u64,
    rate: f64,
    duration: Duration,
) -> Result<Paced> {
    let target = server.target()?;
    let load = Load { connections: CONNECTIONS, duration, rate: Some(rate), in_a_row: LIFE };
    let before = Threads::of(target.process)?;
    let outcome = drive(target, load, first, source)?;
    Ok(Paced { outcome, threads: Threads::of(target.process)?.since(&before) })
}
