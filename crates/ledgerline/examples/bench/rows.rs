//! A population in PostgreSQL: sent by COPY in batches that are one transaction each, as the ledger
//! is sent batches.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use ledgerline_api::time_text::rfc3339;

use crate::bulk::BATCH;
use crate::events::uuid_text;
use crate::population::{ISSUER, Population};
use crate::postgres::Postgres;
use crate::psql::Session;

/// Connections: on two cores as fast as sixteen.
const CONNECTIONS: usize = 8;
/// Tokens that are alive by turns must be a multiple of this: then each connection has tokens of
/// its own, and no two of them chain to the same one at once.
pub const ALIVE_STEP: u64 = CONNECTIONS as u64 * BATCH;
/// Events made ahead of the clock at a time.
const ROUND: u64 = 100_000;
const COLUMNS: &str = "event_id, token, type, outcome, occurred_at, issuer, client, session, \
                       subject, resource, policy, scopes, expires_at";

/// The table, its trigger and its indexes.
pub const TABLE: &str = include_str!("postgres.sql");

/// What loading took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loaded {
    /// Events.
    pub events: u64,
    /// Seconds in which they were sent; making them is not counted.
    pub seconds: f64,
    /// CPU seconds of all of the server's processes.
    pub cpu_seconds: f64,
}

/// Makes the table and loads events `0` to `count`.
///
/// # Errors
/// When the server fails, or did not chain every one of them.
pub fn load(postgres: &Postgres, population: &Population, count: u64) -> Result<Loaded> {
    let mut sessions: Vec<Session> =
        (0..CONNECTIONS).map(|_| postgres.session()).collect::<Result<_>>()?;
    let first = sessions.first_mut().context("a session")?;
    first.run(TABLE)?;
    let mut loaded = Loaded::default();
    while loaded.events < count {
        let events = ROUND.min(count - loaded.events);
        let batches = make(population, loaded.events, events)?;
        let cpu = postgres.cpu_seconds()?;
        let begun = Instant::now();
        send(&mut sessions, &batches)?;
        loaded.seconds += begun.elapsed().as_secs_f64();
        loaded.cpu_seconds += postgres.cpu_seconds()? - cpu;
        loaded.events += events;
    }
    let first = sessions.first_mut().context("a session")?;
    // Statistics, visibility and what is still to be written out: not what questions are to pay.
    first.run("VACUUM (ANALYZE) events; CHECKPOINT;")?;
    let said = first.run(
        "SELECT count(*) || ' ' || count(previous_hash) || ' ' || count(DISTINCT token) \
         FROM events;",
    )?;
    let counts: Vec<u64> = said
        .first()
        .context("counts")?
        .split(' ')
        .map(|one| one.parse().context("a count"))
        .collect::<Result<_>>()?;
    let is_chained =
        matches!(counts[..], [all, linked, chains] if all == count && linked + chains == all);
    ensure!(is_chained, "{count} events sent, counted {counts:?}");
    Ok(loaded)
}

/// The batches of a round, in order.
fn make(population: &Population, first: u64, count: u64) -> Result<Vec<String>> {
    let starts = (0..count).step_by(usize::try_from(BATCH)?);
    starts.map(|at| batch(population, first + at, BATCH.min(count - at))).collect()
}

fn batch(population: &Population, first: u64, count: u64) -> Result<String> {
    let mut text = format!("COPY events ({COLUMNS}) FROM STDIN;\n");
    for n in first..first + count {
        let act = population.act(n);
        let (id, kind) = (uuid_text(&act.event_id(0)), act.kind().symbol());
        let (occurred, expires) = (rfc3339(act.occurred), rfc3339(act.expires));
        write!(text, "{id}\t{}\t{kind}\tALLOW\t{occurred}\t{ISSUER}", act.token)?;
        write!(text, "\t{}\t{}\t", act.client, act.session)?;
        if act.is_first {
            writeln!(text, "{}\t\\N\t{}\tread:finance\t{expires}", act.user, act.policy)?;
        } else {
            writeln!(text, "\\N\t{}\t\\N\t\\N\t\\N", act.resource)?;
        }
    }
    text.push_str("\\.\n");
    Ok(text)
}

/// Each session sends every eighth batch, the next when its last one is committed.
fn send(sessions: &mut [Session], batches: &[String]) -> Result<()> {
    let count = sessions.len();
    std::thread::scope(|scope| {
        let work = |(at, session): (usize, &mut Session)| -> Result<()> {
            let mut own = batches.iter().skip(at).step_by(count);
            own.try_for_each(|batch| session.run(batch).map(drop))
        };
        let running: Vec<_> =
            sessions.iter_mut().enumerate().map(|one| scope.spawn(move || work(one))).collect();
        running.into_iter().try_for_each(|one| one.join().expect("a sender does not panic"))
    })
}
