//! Batches of 500 over sixteen connections: rates, bytes on disk, the share of block sealing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::Setup;
use crate::events::{Maker, Payload, Wire};
use crate::load::{Load, Source, drive};
use crate::report::{Report, Row, grouped};
use crate::server::Server;
use crate::storage::Weight;

/// Events of a request.
pub const BATCH: u64 = 500;
const CONNECTIONS: usize = 16;
/// Events made ahead of the clock at a time: about 150 MB.
const ROUND: u64 = 200_000;
/// Longest that one round may take.
const ROUND_LIMIT: Duration = Duration::from_secs(120);
/// The block interval that the server has by itself.
const DEFAULT_INTERVAL_SECONDS: f64 = 5.0;

/// Makes batches of events; the same numbers give the same events.
pub trait Batches: Sync {
    /// A whole request with `count` events from `first`, and what they weigh.
    ///
    /// # Errors
    /// When an event is beyond its limits.
    fn batch(&self, first: u64, count: u64) -> Result<Made>;
}

/// What filling a ledger took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filled {
    /// Events recorded.
    pub events: u64,
    /// Seconds in which they were sent and answered; making them is not counted.
    pub seconds: f64,
    /// CPU seconds of the server.
    pub cpu_seconds: f64,
    /// What the ledger must keep of them.
    pub payload: Payload,
}

impl Filled {
    /// Events a second.
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    /// Adds what followed.
    pub fn add(&mut self, next: &Self) {
        self.events += next.events;
        self.seconds += next.seconds;
        self.cpu_seconds += next.cpu_seconds;
        self.payload.add(&next.payload);
    }

    /// CPU of the server for one event, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.events as f64
    }
}

/// How events are sent.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Connections, each with one request in flight.
    pub connections: usize,
    /// Events of a request.
    pub batch: u64,
}

/// Sends events `first` to `first + count` in batches of 500 over sixteen connections.
///
/// # Errors
/// When the server fails, or did not record every one of them.
pub fn fill(server: &Server, maker: &dyn Batches, first: u64, count: u64) -> Result<Filled> {
    fill_in(server, maker, Manner { connections: CONNECTIONS, batch: BATCH }, first, count)
}

/// Sends events `first` to `first + count` in rounds: made, then sent while the clock runs.
///
/// # Errors
/// When the server fails, or did not record every one of them.
pub fn fill_in(
    server: &Server,
    maker: &dyn Batches,
    manner: Manner,
    first: u64,
    count: u64,
) -> Result<Filled> {
    let before = server.recorded()?;
    let mut filled = Filled::default();
    while filled.events < count {
        let events = ROUND.min(count - filled.events);
        let (requests, payload) = make(maker, manner.batch, first + filled.events, events)?;
        let requests = Arc::new(requests);
        let source: Source = {
            let requests = Arc::clone(&requests);
            Arc::new(move |n, out: &mut Vec<u8>| {
                let request = usize::try_from(n).ok().and_then(|n| requests.get(n));
                out.extend_from_slice(request.map_or(&[][..], Vec::as_slice));
                request.is_some()
            })
        };
        let connections = manner.connections;
        let load = Load { connections, duration: ROUND_LIMIT, rate: None, in_a_row: 1 };
        let outcome = drive(server.target()?, load, 0, &source)?;
        filled.events += events;
        filled.seconds += outcome.seconds;
        filled.cpu_seconds += outcome.cpu_seconds;
        filled.payload.add(&payload);
    }
    server.await_recorded(before, filled.events)?;
    Ok(filled)
}

/// A request and what it weighs.
pub type Made = (Vec<u8>, Payload);

/// The requests of a round, made on all processors.
///
/// # Errors
/// When an event is beyond its limits.
pub fn make(
    maker: &dyn Batches,
    size: u64,
    first: u64,
    count: u64,
) -> Result<(Vec<Vec<u8>>, Payload)> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let starts: Vec<u64> = (0..count).step_by(usize::try_from(size)?).collect();
    let share = starts.len().div_ceil(usize::try_from(threads)?).max(1);
    let parts: Vec<Result<Vec<Made>>> = std::thread::scope(|scope| {
        let work = |part: Vec<u64>| {
            let batch = |at: u64| maker.batch(first + at, size.min(count - at));
            part.into_iter().map(batch).collect()
        };
        let running: Vec<_> =
            starts.chunks(share).map(|part| scope.spawn(move || work(part.to_vec()))).collect();
        running.into_iter().map(|one| one.join().expect("a maker does not panic")).collect()
    });
    let (mut requests, mut payload) = (Vec::new(), Payload::default());
    for part in parts {
        for (request, one) in part? {
            payload.add(&one);
            requests.push(request);
        }
    }
    Ok((requests, payload))
}

/// One form of a batch and what is asked of it.
struct Case {
    name: &'static str,
    wire: Wire,
    with_personal: bool,
    target: Option<f64>,
}

const CASES: [Case; 5] = [
    Case { name: "Avro, HMAC", wire: Wire::AvroHmac, with_personal: false, target: Some(200e3) },
    Case { name: "JSON", wire: Wire::Json, with_personal: false, target: Some(120e3) },
    Case {
        name: "Avro, Ed25519",
        wire: Wire::AvroEd25519,
        with_personal: false,
        target: Some(70e3),
    },
    Case {
        name: "Avro, HMAC, with personal record",
        wire: Wire::AvroHmac,
        with_personal: true,
        target: None,
    },
    Case {
        name: "JSON, with personal record",
        wire: Wire::Json,
        with_personal: true,
        target: None,
    },
];

/// All rows about batches.
///
/// # Errors
/// When a server fails or an event is not recorded.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let mut plain_overhead = None;
    for case in &CASES {
        let mut server = setup.server(&[])?;
        let maker = Maker::new(&server, case.wire, case.with_personal)?;
        let filled = fill(&server, &maker, 0, setup.batch_events)?;
        server.stop()?;
        let weight = Weight::of(&server.data())?;
        report.add([rate_row(case, &filled)]);
        if case.wire == Wire::AvroHmac {
            report.add(weight_rows(case, &filled, weight, &mut plain_overhead));
        }
    }
    Ok(())
}

fn rate_row(case: &Case, filled: &Filled) -> Row {
    let row = Row::new(
        format!("batches of 500 over HTTP, {}", case.name),
        format!("{} events/s", grouped(filled.rate())),
    );
    let cpu = format!("{:.2} µs server CPU an event", filled.cpu_us());
    match case.target {
        None => row.reference(cpu, None),
        Some(target) => row
            .reference(cpu, Some(filled.rate() / target))
            .target(format!("≥ {} events/s", grouped(target)), filled.rate() >= target),
    }
}

fn weight_rows(
    case: &Case,
    filled: &Filled,
    weight: Weight,
    plain_overhead: &mut Option<f64>,
) -> Vec<Row> {
    let per_event = |bytes: u64| bytes as f64 / filled.events as f64;
    let payload = per_event(filled.payload.bytes());
    let overhead = per_event(weight.journal + weight.tree) - payload;
    let what = format!("disk of an event beyond its payload, {}", case.name);
    let row = Row::new(what, format!("{overhead:.0} B"));
    let reference = format!("payload {payload:.0} B (statement, signature, personal record)");
    let row = row.reference(reference, Some(overhead / payload));
    let row = match *plain_overhead {
        None => row.target("≤ 150 B", overhead <= 150.0),
        Some(plain) => {
            let more = overhead - plain;
            let text = format!("≤ 220 B more than without one: {more:.0} B more");
            row.target(text, more <= 220.0)
        }
    };
    plain_overhead.get_or_insert(overhead);
    let index = per_event(weight.index);
    let apart = format!(
        "journal {:.0} B, tree {:.0} B, vault {:.0} B",
        per_event(weight.journal),
        per_event(weight.tree),
        per_event(weight.vault)
    );
    vec![
        row,
        Row::new(format!("index of an event, {}", case.name), format!("{index:.0} B"))
            .reference(apart, None),
    ]
}

/// What block sealing costs: the same intake with a block every 100 ms and with one a minute. Not
/// judged when the difference is lost in the noise.
///
/// # Errors
/// When a server fails or an event is not recorded.
pub fn blocks(setup: &Setup, report: &mut Report) -> Result<()> {
    let run = |interval: &str| -> Result<(Filled, u64)> {
        let server = setup.server(&["--block-interval-ms", interval])?;
        let maker = Maker::new(&server, Wire::AvroHmac, false)?;
        let before = server.size()?;
        let filled = fill(&server, &maker, 0, setup.batch_events)?;
        Ok((filled, server.size()? - before - filled.events))
    };
    let (rare, few) = run("60000")?;
    let (often, many) = run("100")?;
    let sealed = many.saturating_sub(few).max(1);
    let block_ms = (often.cpu_seconds - rare.cpu_seconds) * 1e3 / sealed as f64;
    let interval_cpu_ms = rare.cpu_seconds / rare.seconds * DEFAULT_INTERVAL_SECONDS * 1e3;
    let share = block_ms / interval_cpu_ms;
    // Fifty times as many blocks as usual, and yet the rest of the machine may matter more.
    let ours = if share > 0.0 {
        format!("{:.2} %", share * 100.0)
    } else {
        "below what this run can tell".to_owned()
    };
    report.add([Row::new("block sealing, share of intake CPU at the usual interval of 5 s", ours)
    .reference(
        format!(
            "{:.2} µs an event with {many} blocks, {:.2} µs with {few}: {block_ms:.2} ms a block",
            often.cpu_us(),
            rare.cpu_us()
        ),
        Some(often.cpu_us() / rare.cpu_us()),
    )
    .target_if(share > 0.0, "≤ 2 %", share <= 0.02)]);
    Ok(())
}
