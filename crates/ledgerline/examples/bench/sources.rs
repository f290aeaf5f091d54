//! Three hundred sources at once, each with a credential, a signing key, tokens and a connection of
//! its own, beside one source with as many connections.

use std::sync::Arc;

use anyhow::Result;

use crate::Setup;
use crate::bulk::{Batches, Filled, Made, Manner, fill_in};
use crate::events::{LIFE, Maker};
use crate::load::{Load, Outcome, Source, drive};
use crate::report::{Report, Row, grouped};
use crate::server::Server;

const SOURCES: u64 = 300;
const CONNECTIONS: usize = 300;
/// Events of a batch: what a service has gathered in a moment, not a bulk load.
const BATCH: u64 = 50;
/// Numbers that a connection takes in a row: all of its events.
const OWN: u64 = 1 << 20;

/// All rows.
///
/// # Errors
/// When a server fails or an event is not recorded.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let (many, one) = (run(setup, SOURCES)?, run(setup, 1)?);
    let row = |what: String, ours: String, reference: String, ratio: f64| {
        Row::new(what, ours).reference(format!("{reference}: one source"), Some(ratio))
    };
    let batches = |run: &Run| {
        format!("{} events/s, {:.2} µs server CPU", grouped(run.filled.rate()), run.filled.cpu_us())
    };
    let singles = |run: &Run| {
        let cpu = run.singles.cpu_us(run.singles.done);
        let ms = |share| run.singles.quantile_us(share) / 1e3;
        format!(
            "{} events/s, {cpu:.1} µs server CPU, p50 {:.2} ms, p99 {:.2} ms",
            grouped(run.singles.rate()),
            ms(0.5),
            ms(0.99)
        )
    };
    report.add([
        row(
            format!("{SOURCES} sources, batches of {BATCH}, Avro, HMAC, {CONNECTIONS} connections"),
            batches(&many),
            batches(&one),
            many.filled.rate() / one.filled.rate(),
        ),
        row(
            format!("{SOURCES} sources, single events, JSON, {CONNECTIONS} connections"),
            singles(&many),
            singles(&one),
            many.singles.rate() / one.singles.rate(),
        ),
    ]);
    Ok(())
}

/// What so many sources came to.
struct Run {
    filled: Filled,
    singles: Outcome,
}

fn run(setup: &Setup, sources: u64) -> Result<Run> {
    let server = setup.server(&[])?;
    let all = Arc::new(Sources::register(&server, sources)?);
    let manner = Manner { connections: CONNECTIONS, batch: BATCH };
    let filled = fill_in(&server, &*all, manner, 0, setup.batch_events)?;
    // Each measure begins with nothing left to do behind the head.
    server.await_followers()?;
    let before = server.recorded()?;
    let first = setup.batch_events.next_multiple_of(LIFE);
    let source: Source = Arc::new(move |n, out| {
        all.single(first, n, out);
        true
    });
    let load = |duration| Load { connections: CONNECTIONS, duration, rate: None, in_a_row: OWN };
    let warm = drive(server.target()?, load(setup.duration / 4), 0, &source)?;
    let singles = drive(server.target()?, load(setup.duration), SOURCES * OWN, &source)?;
    server.await_recorded(before, warm.done + singles.done)?;
    Ok(Run { filled, singles })
}

/// Makers of events, one a source.
struct Sources(Vec<Maker>);

impl Sources {
    fn register(server: &Server, count: u64) -> Result<Self> {
        let makers = (0..count).map(|n| Maker::of_source(server, &format!("service-{n}")));
        Ok(Self(makers.collect::<Result<_>>()?))
    }

    fn of(&self, n: u64) -> &Maker {
        let count = self.0.len() as u64;
        &self.0[usize::try_from(n % count).expect("there are as many")]
    }

    /// The event of number `n`, of which each connection takes `OWN` in a row: the lives of its
    /// tokens, by turns with those of the other connections, from event `first`.
    fn single(&self, first: u64, n: u64, out: &mut Vec<u8>) {
        let (row, at) = (n / OWN, n % OWN);
        let (connection, again) = (row % SOURCES, row / SOURCES);
        let own = again * OWN / 2 + at;
        let life = own / LIFE * SOURCES + connection;
        self.of(connection).single(first + life * LIFE + own % LIFE, out);
    }
}

impl Batches for Sources {
    fn batch(&self, first: u64, count: u64) -> Result<Made> {
        self.of(first / BATCH).batch(first, count)
    }
}
