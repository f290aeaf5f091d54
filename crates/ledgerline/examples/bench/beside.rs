//! PostgreSQL in the same run, where one would choose it: the same population in a table with a
//! chain of hashes, the same questions asked of both.
//!
//! Promises: each row names the shape of its population, both sides' times and CPU, and the ratio
//! of CPU. Where PostgreSQL cannot be had, a row says so, loudly.
//!
//! ```text
//! interleaved   tokens by turns, a day's history: what a fleet of services writes
//! side by side  token by token: the kindest order to both
//! ```

use std::sync::Arc;

use anyhow::{Result, ensure};
use ledgerline_api::time_text::rfc3339;

use crate::Setup;
use crate::asking::{Asking, segment};
use crate::bulk::{Filled, fill};
use crate::cold;
use crate::events::{Maker, Wire};
use crate::load::{Outcome, quantile};
use crate::paced;
use crate::pgbench;
use crate::population::{
    DAY_NANOS, EVENTS_PER_TOKEN, HOUR_NANOS, Order, Population, resource, spread, user_name,
};
use crate::postgres::{Postgres, Programs};
use crate::psql::Session;
use crate::report::{Report, Row, grouped};
use crate::rows::{ALIVE_STEP, Loaded, TABLE, load};
use crate::server::Server;
use crate::storage::Weight;
use crate::theirs::Theirs;

/// Tokens alive by turns, if there are events for so many.
const ALIVE: u64 = 20_000;
const QUESTIONS: u64 = 1000;
/// What an answer may cost, as a multiple of PostgreSQL's.
const RATIO_MAX: f64 = 1.5;
/// The size at which the limits of time are judged.
const TARGET_EVENTS: u64 = 10_000_000;

/// All rows.
///
/// # Errors
/// When a server fails, an event is not recorded or an answer is not 200.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let programs = match Programs::find() {
        Ok(programs) => programs,
        Err(why) => {
            let row = Row::new("**everything beside PostgreSQL**", format!("**NOT RUN: {why:#}**"));
            report.add([row]);
            return Ok(());
        }
    };
    // The table and its log of changes take as much as the ledger, once more.
    let (needed, free) = setup.room(setup.events * 2)?;
    if free < needed {
        let what = format!("**beside PostgreSQL, {} events**", grouped(setup.events as f64));
        let why = format!("**NOT RUN**: {needed} B of disk are needed, {free} are free");
        report.add([Row::new(what, why)]);
        return Ok(());
    }
    report.add([Row::new("PostgreSQL", "in the column of references").reference(
        format!("{}, fsync on, a quarter of memory as its buffers", programs.version()?),
        None,
    )]);
    singles(setup, &programs, report)?;
    let (events, nanos) = (setup.events, DAY_NANOS);
    let alive = ALIVE.min(events / EVENTS_PER_TOKEN) / ALIVE_STEP * ALIVE_STEP;
    let alive = alive.max(ALIVE_STEP);
    let interleaved = Order::Interleaved { alive, events, nanos };
    let name = format!(
        "{} events, {} tokens by turns, a day imported",
        grouped(events as f64),
        grouped(alive as f64)
    );
    Pair::fill(setup, &programs, interleaved, &name, report)?.ask(setup, report)?;
    let name = format!("{} events, token by token, as of now", grouped(events as f64));
    Pair::fill(setup, &programs, Order::SideBySide, &name, report)?.ask(setup, report)
}

/// Single events at fixed rates, of empty ledger and table.
fn singles(setup: &Setup, programs: &Programs, report: &mut Report) -> Result<()> {
    let server = setup.server(&[])?;
    let maker = Arc::new(Maker::new(&server, Wire::Json, false)?);
    let postgres = Postgres::create(programs, &setup.parent)?;
    postgres.session()?.run(TABLE)?;
    let mut next = 0;
    for rate in paced::RATES {
        let ours = paced::single_events(setup, &server, &maker, rate, &mut next)?;
        let theirs = pgbench::insert(&postgres, rate, paced::CONNECTIONS, setup.duration)?;
        let what = format!("{}, a commit each in PostgreSQL", paced::name(rate));
        report.add([Row::new(what, ours.text())
            .reference(theirs.text(), Some(ours.cpu_us() / theirs.cpu_us()))]);
    }
    Ok(())
}

/// The same population in both.
struct Pair {
    server: Server,
    postgres: Postgres,
    population: Population,
    /// Of the population, in words.
    name: String,
    is_imported: bool,
}

/// A question to both.
struct Question {
    what: &'static str,
    /// How many different ones are asked.
    count: u64,
    limit_ms: f64,
    path: Box<dyn Fn(u64) -> String>,
    statement: Box<dyn Fn(u64) -> String>,
}

impl Pair {
    fn fill(
        setup: &Setup,
        programs: &Programs,
        order: Order,
        name: &str,
        report: &mut Report,
    ) -> Result<Self> {
        let mut server = setup.server(&[])?;
        let population = Population::new(&server, setup.events, EVENTS_PER_TOKEN)?.in_order(order);
        let filled = fill(&server, &population, 0, setup.events)?;
        server.await_followers()?;
        server.stop()?;
        let weight = Weight::of(&server.data())?;
        let postgres = Postgres::create(programs, &setup.parent)?;
        let loaded = load(&postgres, &population, setup.events)?;
        report.add([
            batch_row(name, &filled, &loaded),
            bytes_row(name, weight, postgres.database_bytes()?, setup.events),
        ]);
        server.start()?;
        let (name, is_imported) = (name.to_owned(), order != Order::SideBySide);
        Ok(Self { server, postgres, population, name, is_imported })
    }

    fn ask(mut self, setup: &Setup, report: &mut Report) -> Result<()> {
        self.server.await_followers()?;
        let asking = Asking::new(&self.server)?;
        let questions = self.questions(&asking, setup.events / EVENTS_PER_TOKEN)?;
        let mut session = self.postgres.session()?;
        session.run(PREPARED)?;
        for question in &questions {
            for when in ["asked for the first time", "warm"] {
                let ours = asking.ask(question.count, &question.path)?;
                let theirs = ask_theirs(&self.postgres, &mut session, question)?;
                let is_judged = when == "warm" && setup.events >= TARGET_EVENTS;
                report.add([question.row(when, &self.name, &ours, &theirs, is_judged)]);
            }
        }
        drop(session);
        let key = asking.key().to_owned();
        for question in &questions {
            let ours = cold::ask(&mut self.server, &key, &question.path)?;
            let theirs = cold_theirs(&mut self.postgres, question)?;
            let ratio = quantile(&ours, 0.5) / quantile(&theirs, 0.5);
            let what = format!("{}, cold page cache, {}", question.what, self.name);
            let row = Row::new(what, cold::text(&ours));
            report.add([
                row.reference(format!("{}, ratio of p50", cold::text(&theirs)), Some(ratio))
            ]);
        }
        Ok(())
    }

    fn questions(&self, asking: &Asking<'_>, tokens: u64) -> Result<Vec<Question>> {
        let (resources, users) = (self.population.resources(), self.population.users());
        let (born, count) = (self.population.born(), 200.min(users));
        let name = move |n: u64| user_name(spread(n) % users);
        let handles: Vec<String> =
            (0..count).map(|n| asking.handle(&name(n))).collect::<Result<_>>()?;
        let handle = move |n: u64| handles[usize::try_from(n % count).unwrap_or(0)].clone();
        let id = self.population.token_ids();
        let token = move |n: u64| id(spread(n) % tokens);
        let visitors = |what, from: i64, until: i64, limit_ms| {
            let (from, until) = (rfc3339(from), rfc3339(until));
            let times = format!("'{from}', '{until}'");
            Question {
                what,
                count: QUESTIONS.min(resources),
                limit_ms,
                path: Box::new(move |n| {
                    let resource = segment(&resource(n % resources));
                    format!("/v1/resources/{resource}/tokens?from={from}&until={until}&limit=100")
                }),
                statement: Box::new(move |n| {
                    format!("EXECUTE visitors('{}', {times});", resource(n % resources))
                }),
            }
        };
        let end = born + DAY_NANOS;
        let mut questions = vec![
            Question {
                what: "a token's life",
                count: QUESTIONS,
                limit_ms: 2.0,
                path: Box::new(move |n| format!("/v1/tokens/{}/events", segment(&token(n)))),
                statement: Box::new(move |n| format!("EXECUTE life('{}');", token(n))),
            },
            visitors(
                "tokens at a resource with states, first page of 100",
                born - DAY_NANOS,
                end,
                5.0,
            ),
            Question {
                what: "a user's tokens with states",
                count,
                limit_ms: 5.0,
                path: Box::new(move |n| format!("/v1/subjects/{}/tokens", handle(n))),
                statement: Box::new(move |n| format!("EXECUTE owned('{}');", name(n % count))),
            },
        ];
        if self.is_imported {
            let from = born - 12 * HOUR_NANOS;
            let what = "tokens at a resource with states, an hour of event time";
            questions.push(visitors(what, from, from + HOUR_NANOS, 5.0));
        }
        Ok(questions)
    }
}

const PREPARED: &str = include_str!("postgres_questions.sql");

fn ask_theirs(postgres: &Postgres, session: &mut Session, question: &Question) -> Result<Theirs> {
    let statements: Vec<String> = (0..question.count).map(&question.statement).collect();
    let before = postgres.cpu_seconds()?;
    let times_us = session.timed(&statements)?;
    let cpu_seconds = postgres.cpu_seconds()? - before;
    Ok(Theirs { times_us, cpu_seconds, count: question.count })
}

impl Question {
    fn row(&self, when: &str, name: &str, ours: &Outcome, theirs: &Theirs, is_judged: bool) -> Row {
        let ratio = ours.cpu_us(ours.done) / theirs.cpu_us();
        let p99 = ours.quantile_us(0.99) / 1e3;
        let limit = self.limit_ms;
        Row::new(format!("{}, {when}, {name}", self.what), ours.question_text())
            .reference(theirs.text(), Some(ratio))
            .target_if(
                is_judged,
                format!("CPU ≤ {RATIO_MAX} × PostgreSQL's, p99 ≤ {limit:.0} ms at 10 M"),
                ratio <= RATIO_MAX && p99 <= limit,
            )
    }
}

fn batch_row(name: &str, filled: &Filled, loaded: &Loaded) -> Row {
    let theirs_us = loaded.cpu_seconds * 1e6 / loaded.events as f64;
    let rate = loaded.events as f64 / loaded.seconds;
    let ours = format!("{} events/s, {:.2} µs server CPU", grouped(filled.rate()), filled.cpu_us());
    let theirs = format!("{} events/s, {theirs_us:.2} µs CPU of PostgreSQL", grouped(rate));
    Row::new(format!("batches of 500, {name}"), ours)
        .reference(theirs, Some(filled.cpu_us() / theirs_us))
}

fn bytes_row(name: &str, weight: Weight, theirs: u64, events: u64) -> Row {
    let each = |bytes: u64| bytes as f64 / events as f64;
    let ours = weight.journal + weight.tree + weight.index + weight.vault;
    Row::new(format!("disk of an event, {name}"), format!("{:.0} B", each(ours))).reference(
        format!("{:.0} B: table and its indexes, unsigned", each(theirs)),
        Some(each(ours) / each(theirs)),
    )
}

fn cold_theirs(postgres: &mut Postgres, question: &Question) -> Result<Vec<u32>> {
    let mut times = Vec::new();
    for n in 0..cold::TIMES {
        postgres.stop()?;
        postgres.forget_pages()?;
        postgres.start()?;
        let mut session = postgres.session()?;
        session.run(PREPARED)?;
        times.extend(session.timed(&[(question.statement)(n)])?);
    }
    ensure!(times.len() as u64 == cold::TIMES, "{} cold answers", times.len());
    times.sort_unstable();
    Ok(times)
}
