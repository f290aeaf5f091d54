//! One ledger that grows: what it holds in memory, how far its readers lag, how fast it takes more
//! and answers, at a hundredth, a thirtieth, a tenth, a third and the whole of its size.
//!
//! Promises: one process from the first event to the last, so that what it keeps shows; questions
//! that were not asked before; at each size as many resources, and users of whom each has as many
//! tokens. The largest size is what was asked for or what fits on the disk, and its row says which.

use std::path::Path;

use anyhow::{Context as _, Result};
use ledgerline_api::time_text::rfc3339;

use crate::Setup;
use crate::asking::{Asking, segment};
use crate::bulk::{Filled, fill};
use crate::cold;
use crate::load::Outcome;
use crate::plot::{Line, Panel, svg};
use crate::population::{
    EVENTS_PER_TOKEN, HOUR_NANOS, Order, Population, resource, spread, user_name,
};
use crate::report::{Report, Row, grouped};
use crate::server::Server;
use crate::storage::Weight;

/// Sizes, in hundredths of the largest.
const PERCENT: [u64; 5] = [1, 3, 10, 30, 100];
/// Fewer events say nothing.
const EVENTS_MIN: u64 = 20_000;
/// Tokens alive by turns, of twenty events each.
const ALIVE: u64 = 20_000;
/// Concrete resources, at any size: each is accessed by ever more.
const RESOURCES: u64 = 5_000;
/// Events after which the users are others: as long as their tokens live.
const WAVE: u64 = ALIVE * EVENTS_PER_TOKEN;
/// Event time of an event: a million are a day.
const EVENT_NANOS: u64 = 86_400_000;
const QUESTIONS: u64 = 300;
const USERS: u64 = 100;
const MIB: f64 = (1 << 20) as f64;

/// All rows; the curves besides, into the file that was asked for.
///
/// # Errors
/// When a server fails, an event is not recorded or an answer is not 200.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let wanted = setup.sizes.iter().copied().max().unwrap_or(setup.events);
    let most = setup.most_that_fits(wanted)?;
    let mut server = setup.server(&[])?;
    let nanos = i64::try_from(most * EVENT_NANOS)?;
    let order = Order::Interleaved { alive: ALIVE, events: most, nanos };
    let population = Population::new(&server, most, EVENTS_PER_TOKEN)?;
    let population = population.in_order(order).growing(WAVE, RESOURCES);
    let key = Asking::new(&server)?.key().to_owned();
    let note = if most == wanted { "" } else { ": the most that the disk has room for" };
    report.add([Row::new(format!("a growing ledger of {}", shape(most)), "table below")
        .reference(format!("up to {} events{note}", grouped(most as f64)), None)]);
    let mut points: Vec<Point> = Vec::new();
    for size in PERCENT.map(|percent| most * percent / 100) {
        let done = points.last().map_or(0, |point| point.size);
        if size >= EVENTS_MIN && size > done {
            let filled = fill(&server, &population, done, size - done)?;
            let point = Point::measure(&server, &key, &population, size, filled)?;
            if points.is_empty() {
                report.begin_table(&point.columns());
            }
            report.add_line(&point.cells());
            points.push(point);
        }
    }
    for case in cases(&Asking::with(&server, &key), &population, most)? {
        let times = cold::ask(&mut server, &key, &case.path)?;
        let what = format!("{}, cold page cache, {}", case.what, shape(most));
        report.add([Row::new(what, cold::text(&times))]);
    }
    match &setup.plot {
        Some(path) => draw(path, &points),
        None => Ok(()),
    }
}

fn shape(size: u64) -> String {
    let (size, alive) = (grouped(size as f64), grouped(ALIVE as f64));
    format!("{size} events, {alive} tokens by turns, a million a day, imported")
}

/// A question that is asked at each size.
struct Case {
    what: &'static str,
    count: u64,
    path: Box<dyn Fn(u64) -> String>,
}

/// The same questions at any size, about others at each.
fn cases(asking: &Asking<'_>, population: &Population, size: u64) -> Result<Vec<Case>> {
    // Other tokens, users and resources than at the sizes before.
    let other = move |n: u64| spread(n + size);
    let id = population.token_ids();
    let tokens = (size / EVENTS_PER_TOKEN).max(1);
    let waves = (size / WAVE).max(1);
    let users = population.users();
    let handles: Vec<String> = (0..USERS)
        .map(|n| {
            let user = other(n) % waves * users + spread(other(n)) % users;
            asking.handle(&user_name(user))
        })
        .collect::<Result<_>>()?;
    let visitors = |what, from: i64, until: i64| {
        let (from, until) = (rfc3339(from), rfc3339(until));
        let path = move |n| {
            let resource = segment(&resource(other(n) % RESOURCES));
            format!("/v1/resources/{resource}/tokens?from={from}&until={until}&limit=100")
        };
        Case { what, count: QUESTIONS, path: Box::new(path) }
    };
    let first = population.occurred(0);
    let middle = population.occurred(size / 2);
    Ok(vec![
        Case {
            what: "a token's life",
            count: QUESTIONS,
            path: Box::new(move |n| {
                format!("/v1/tokens/{}/events", segment(&id(other(n) % tokens)))
            }),
        },
        visitors("tokens at a resource, first page of 100", first, population.born()),
        visitors("tokens at a resource, an hour of event time", middle, middle + HOUR_NANOS),
        Case {
            what: "a user's tokens",
            count: USERS,
            path: Box::new(move |n| {
                let at = usize::try_from(n % USERS).unwrap_or(0);
                format!("/v1/subjects/{}/tokens", handles[at])
            }),
        },
    ])
}

/// What was measured at one size.
struct Point {
    size: u64,
    filled: Filled,
    behind: f64,
    caught_up_seconds: f64,
    resident: f64,
    resident_most: f64,
    event_bytes: f64,
    answers: Vec<Answer>,
}

struct Answer {
    what: &'static str,
    outcome: Outcome,
}

impl Point {
    fn measure(
        server: &Server,
        key: &str,
        population: &Population,
        size: u64,
        filled: Filled,
    ) -> Result<Self> {
        let behind = server.behind("findings")?;
        let caught_up_seconds = server.await_followers()?.as_secs_f64();
        let memory = |field| server.memory_bytes(field).map(|bytes| bytes as f64 / MIB);
        let (resident, resident_most) = (memory("VmRSS")?, memory("VmHWM")?);
        let bytes = Weight::of_files(&server.data())?;
        let asking = Asking::with(server, key);
        let ask = |case: Case| {
            let outcome = asking.ask(case.count, case.path)?;
            Ok(Answer { what: case.what, outcome })
        };
        let cases = cases(&asking, population, size)?;
        let answers = cases.into_iter().map(ask).collect::<Result<_>>()?;
        let event_bytes = bytes as f64 / size as f64;
        Ok(Self {
            size,
            filled,
            behind,
            caught_up_seconds,
            resident,
            resident_most,
            event_bytes,
            answers,
        })
    }

    /// Names of the columns of [`Self::cells`].
    fn columns(&self) -> Vec<String> {
        let fixed = [
            "events",
            "intake of the last step, events/s",
            "server CPU of an event, µs",
            "findings behind at its end",
            "caught up after",
            "resident, at most",
            "disk of an event",
        ];
        let fixed = fixed.into_iter().map(str::to_owned);
        let answers = self.answers.iter();
        fixed.chain(answers.map(|answer| format!("{}: p50, p99, CPU, ms", answer.what))).collect()
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![
            grouped(self.size as f64),
            grouped(self.filled.rate()),
            format!("{:.2}", self.filled.cpu_us()),
            grouped(self.behind),
            format!("{:.1} s", self.caught_up_seconds),
            format!("{:.0}, {:.0} MiB", self.resident, self.resident_most),
            format!("{:.0} B", self.event_bytes),
        ];
        cells.extend(self.answers.iter().map(|Answer { outcome, .. }| {
            let ms = |share| outcome.quantile_us(share) / 1e3;
            let cpu = outcome.cpu_us(outcome.done) / 1e3;
            format!("{:.2}, {:.2}, {cpu:.2}", ms(0.5), ms(0.99))
        }));
        cells
    }
}

/// Six panels over the same sizes.
fn draw(path: &Path, points: &[Point]) -> Result<()> {
    let line = |name: &str, value: &dyn Fn(&Point) -> f64| Line {
        name: name.to_owned(),
        points: points.iter().map(|point| (point.size as f64, value(point))).collect(),
    };
    let answers = |share: f64| {
        let names = points.first().map_or(0, |point| point.answers.len());
        let one = |at: usize| {
            let name = points[0].answers[at].what;
            line(name, &|point| point.answers[at].outcome.quantile_us(share) / 1e3)
        };
        (0..names).map(one).collect()
    };
    let panel = |title: &str, lines: Vec<Line>| Panel { title: title.to_owned(), lines };
    let panels = [
        panel(
            "resident memory, MiB",
            vec![line("now", &|p| p.resident), line("at most", &|p| p.resident_most)],
        ),
        panel("intake, thousand events/s", vec![line("", &|p| p.filled.rate() / 1e3)]),
        panel("server CPU of an event, µs", vec![line("", &|p| p.filled.cpu_us())]),
        panel(
            "lag after intake, seconds until caught up",
            vec![line("", &|p| p.caught_up_seconds)],
        ),
        panel("answers asked for the first time, p50, ms", answers(0.5)),
        panel("answers asked for the first time, p99, ms", answers(0.99)),
    ];
    std::fs::write(path, svg("events in the ledger", &panels))
        .with_context(|| format!("{}", path.display()))
}
