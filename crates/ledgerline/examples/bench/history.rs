//! Many tokens alive at once, their events interleaved, told as the history of a day: what intake,
//! the readers behind the head and questions with a window of event time cost.

use anyhow::Result;
use ledgerline_api::time_text::rfc3339;

use crate::Setup;
use crate::asking::{Asking, segment};
use crate::bulk::fill;
use crate::cold;
use crate::population::{DAY_NANOS, EVENTS_PER_TOKEN, HOUR_NANOS, Order, Population, resource};
use crate::report::{Report, Row, grouped};
use crate::server::{Server, cpu_seconds};

/// How many tokens are alive at once.
const ALIVE: [u64; 3] = [2_000, 20_000, 1_000_000];
/// The fewest events of a token: with fewer the row is left out.
const EVENTS_PER_TOKEN_MIN: u64 = 4;
/// The one of them that is asked about.
const ASKED: u64 = 20_000;
const QUESTIONS: u64 = 400;
const MIB: f64 = (1 << 20) as f64;

/// All rows.
///
/// # Errors
/// When a server fails, an event is not recorded or an answer is not 200.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    for alive in ALIVE {
        let per_token = EVENTS_PER_TOKEN.min(setup.events / alive);
        if per_token < EVENTS_PER_TOKEN_MIN {
            let why = format!("not run: that takes {} events", alive * EVENTS_PER_TOKEN_MIN);
            report.add([Row::new(format!("{} tokens alive by turns", grouped(alive as f64)), why)]);
            continue;
        }
        let mut server = setup.server(&[])?;
        let order = Order::Interleaved { alive, events: setup.events, nanos: DAY_NANOS };
        let population = Population::new(&server, setup.events, per_token)?.in_order(order);
        let name = format!(
            "{} events, {} tokens alive by turns, {per_token} events each, a day imported",
            grouped(setup.events as f64),
            grouped(alive as f64)
        );
        let filled = fill(&server, &population, 0, setup.events)?;
        report.add([Row::new(
            format!("intake of {name}"),
            format!("{} events/s", grouped(filled.rate())),
        )
        .reference(format!("{:.2} µs server CPU an event", filled.cpu_us()), None)]);
        report.add([caught_up(&server, setup.events, &name)?]);
        if alive == ASKED {
            windows(report, &mut server, &population, &name)?;
        }
    }
    Ok(())
}

fn caught_up(server: &Server, events: u64, name: &str) -> Result<Row> {
    let process = server.target()?.process;
    let (behind, cpu) = (server.behind("findings")?, cpu_seconds(process)?);
    let waited = server.await_followers()?.as_secs_f64();
    let cpu = (cpu_seconds(process)? - cpu) * 1e6;
    let rate = behind / waited;
    let what = format!("until the readers behind the head had caught up, {name}");
    let value = format!(
        "{waited:.1} s, {:.2} µs CPU an entry behind; resident {:.0} MiB, at most {:.0} MiB",
        cpu / behind.max(1.0),
        server.memory_bytes("VmRSS")? as f64 / MIB,
        server.memory_bytes("VmHWM")? as f64 / MIB
    );
    let share = format!("{} of {} behind", grouped(behind), grouped(events as f64));
    // With little left there is no rate.
    let is_much = behind >= 20_000.0;
    Ok(Row::new(what, value).reference(share, None).target_if(
        is_much,
        "≥ 100,000 entries/s".to_owned(),
        rate >= 100e3,
    ))
}

fn windows(
    report: &mut Report,
    server: &mut Server,
    population: &Population,
    name: &str,
) -> Result<()> {
    let asking = Asking::new(server)?;
    let empty = asking.ask(QUESTIONS, |_| "/v1/issuers".to_owned())?;
    let (end, key) = (population.born(), asking.key().to_owned());
    let resources = population.resources();
    let page = |from, until| {
        let (from, until) = (rfc3339(from), rfc3339(until));
        move |n| {
            let resource = segment(&resource(n % resources));
            format!("/v1/resources/{resource}/tokens?from={from}&until={until}&limit=100")
        }
    };
    for (what, from, until) in [
        ("first hour", end - DAY_NANOS, end - DAY_NANOS + HOUR_NANOS),
        ("12th hour", end - 12 * HOUR_NANOS, end - 11 * HOUR_NANOS),
        ("last hour", end - HOUR_NANOS, end),
        ("whole day", end - DAY_NANOS, end),
    ] {
        let asked = asking.ask(QUESTIONS, page(from, until))?;
        let p99 = asked.quantile_us(0.99) / 1e3;
        let what = format!("tokens at a resource, {what} of history, {name}");
        let row = Row::new(what, asked.question_text())
            .reference(
                format!("p99 {:.2} ms: GET /v1/issuers", empty.quantile_us(0.99) / 1e3),
                Some(asked.quantile_us(0.99) / empty.quantile_us(0.99)),
            )
            .target("p99 ≤ 5 ms", p99 <= 5.0);
        report.add([row]);
    }
    let path = page(end - 12 * HOUR_NANOS, end - 11 * HOUR_NANOS);
    let times = cold::ask(server, &key, &path)?;
    let what = format!("tokens at a resource, 12th hour of history, cold page cache, {name}");
    report.add([Row::new(what, cold::text(&times))]);
    Ok(())
}
