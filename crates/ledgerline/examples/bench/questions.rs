//! Questions about a population's past, warm and cold; intake with all runs; the index anew.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::Setup;
use crate::asking::{Asking, segment};
use crate::bulk::fill;
use crate::cold;
use crate::load::{Outcome, quantile};
use crate::population::{EVENTS_PER_TOKEN, Population, resource, spread, token_id, user_name};
use crate::report::{Report, Row, grouped};
use crate::server::Server;
use crate::storage::Weight;

/// Events after which the rate of intake is taken, to be held against that at the end.
const EARLY_EVENTS: u64 = 1_000_000;
/// The size that the figures for answers name.
const TARGET_EVENTS: u64 = 100_000_000;
/// Members of the family whose blast radius is asked for, beside its first.
const FAMILY: u64 = 1000;
/// Children of each of them.
const CHILDREN: u64 = 4;
const QUESTIONS: u64 = 1000;
const BLASTS: u64 = 20;

/// All rows.
///
/// # Errors
/// When a server fails, an event is not recorded or an answer is not 200.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let mut server = setup.server(&[])?;
    let population = Population::new(&server, setup.events, EVENTS_PER_TOKEN)?;
    let name = format!("{} events, token by token, as of now", grouped(setup.events as f64));
    let early = fill(&server, &population, 0, EARLY_EVENTS.min(setup.events))?;
    let mut all = early;
    // Ten parts, so that the last one is known beside the whole.
    let mut last = early;
    let part = (setup.events - early.events).div_ceil(10).max(1);
    while all.events < setup.events {
        last = fill(&server, &population, all.events, part.min(setup.events - all.events))?;
        all.add(&last);
    }
    let family = make_family(&server)?;
    let of = format!("intake of {name}, population, all index kinds");
    report.add([
        Row::new(of, format!("{} events/s", grouped(all.rate())))
            .reference(format!("{:.2} µs server CPU an event", all.cpu_us()), None)
            .target("≥ 150,000 events/s", all.rate() >= 150e3),
        Row::new(
            format!("intake, last tenth of {name}"),
            format!("{} events/s", grouped(last.rate())),
        )
        .reference(
            format!("{}/s: the first {}", grouped(early.rate()), grouped(early.events as f64)),
            Some(last.rate() / early.rate()),
        )
        .target("ratio ≥ 0.8", last.rate() / early.rate() >= 0.8),
    ]);
    warm(setup, report, &server, &population, &family, &name)?;
    server.stop()?;
    let weight = Weight::of(&server.data())?;
    let bytes = weight.index as f64 / all.events as f64;
    report.add([Row::new(format!("all indexes, of an event, {name}"), format!("{bytes:.0} B"))
        .target("≤ 50 B", bytes <= 50.0)]);
    cold(report, &mut server, &population, &family, &name)?;
    server.stop()?;
    report.add([reindex(setup, &server, all.events)?]);
    Ok(())
}

fn answers(what: &str, when: &str, name: &str, outcome: &Outcome) -> Row {
    Row::new(format!("{what}, {when}, {name}"), outcome.question_text())
}

fn warm(
    setup: &Setup,
    report: &mut Report,
    server: &Server,
    population: &Population,
    family: &str,
    name: &str,
) -> Result<()> {
    let asking = Asking::new(server)?;
    let is_full = setup.events >= TARGET_EVENTS;
    let tokens = setup.events / EVENTS_PER_TOKEN;
    let handles: Vec<String> = (0..200.min(population.users()))
        .map(|n| asking.handle(&user_name(spread(n) % population.users())))
        .collect::<Result<_>>()?;
    // What is recorded is judged and verified behind the head; the questions are not to share the
    // cores with that.
    let waited = server.await_followers()?;
    let waited = format!("{:.1} s", waited.as_secs_f64());
    report.add([Row::new(
        format!("until the readers behind the head had caught up, {name}"),
        waited,
    )]);
    let empty = asking.ask(QUESTIONS, |_| "/v1/issuers".to_owned())?;
    let life = |n| format!("/v1/tokens/{}/events", segment(&token_id(spread(n) % tokens)));
    let visitors = |n| {
        let resource = segment(&resource(n % population.resources()));
        format!("/v1/resources/{resource}/tokens?from=2020-01-01T00:00:00Z&limit=100")
    };
    let users = |n: u64| {
        let at = usize::try_from(n).unwrap_or(0) % handles.len();
        format!("/v1/subjects/{}/tokens", handles[at])
    };
    let radius = |_| format!("/v1/tokens/{}/blast-radius?tokens=2000", segment(family));
    let (of_resources, of_users) = (population.resources(), handles.len() as u64);
    type Path<'p> = &'p dyn Fn(u64) -> String;
    let cases: [(&str, u64, u64, Path<'_>, f64); 4] = [
        ("a token's life", QUESTIONS, QUESTIONS, &life, 2.0),
        ("tokens at a resource, first page of 100", of_resources, QUESTIONS, &visitors, 5.0),
        ("a user's tokens", of_users, QUESTIONS, &users, 5.0),
        ("blast radius of 1,001 tokens", 1, BLASTS, &radius, 50.0),
    ];
    for (what, different, questions, path, limit) in cases {
        let first = asking.ask(different.min(QUESTIONS), path)?;
        report.add([answers(what, "asked for the first time", name, &first)]);
        let outcome = asking.ask(questions, path)?;
        let p99 = outcome.quantile_us(0.99) / 1e3;
        let row = answers(what, "warm", name, &outcome)
            .reference(
                format!("p99 {:.2} ms: GET /v1/issuers", empty.quantile_us(0.99) / 1e3),
                Some(outcome.quantile_us(0.99) / empty.quantile_us(0.99)),
            )
            .target_if(is_full, format!("p99 ≤ {limit} ms at 100 M"), p99 <= limit);
        report.add([row]);
    }
    Ok(())
}

/// The first answers of a process whose files are not in the page cache.
fn cold(
    report: &mut Report,
    server: &mut Server,
    population: &Population,
    family: &str,
    name: &str,
) -> Result<()> {
    server.start()?;
    let asking = Asking::new(server)?;
    let key = asking.key().to_owned();
    let some_user = |n| asking.handle(&user_name(spread(n) % population.users()));
    let handles: Vec<String> = (0..cold::TIMES).map(some_user).collect::<Result<_>>()?;
    let life = |n| format!("/v1/tokens/{}/events", segment(&token_id(7 + n)));
    let visitors = |n| {
        let resource = segment(&resource(n % population.resources()));
        format!("/v1/resources/{resource}/tokens?from=2020-01-01T00:00:00Z&limit=100")
    };
    let users = |n: u64| {
        let at = usize::try_from(n).unwrap_or(0) % handles.len();
        format!("/v1/subjects/{}/tokens", handles[at])
    };
    let radius = |_| format!("/v1/tokens/{}/blast-radius?tokens=2000", segment(family));
    type Path<'p> = &'p dyn Fn(u64) -> String;
    let cases: [(&str, Path<'_>, Option<f64>); 4] = [
        ("a token's life", &life, None),
        ("tokens at a resource, first page of 100", &visitors, None),
        ("a user's tokens", &users, None),
        ("blast radius of 1,001 tokens", &radius, Some(1000.0)),
    ];
    for (what, path, limit) in cases {
        let times = cold::ask(server, &key, path)?;
        let most = quantile(&times, 1.0) / 1e3;
        let row = Row::new(format!("{what}, cold page cache, {name}"), cold::text(&times));
        report.add([match limit {
            Some(limit) => row.target(format!("≤ {limit:.0} ms"), most <= limit),
            None => row,
        }]);
    }
    Ok(())
}

/// A refresh token that was rotated and exchanged into a thousand others; its id.
fn make_family(server: &Server) -> Result<String> {
    let id = |n: u64| format!("eu-west-1:idp:jti:family-{n}");
    let events: Vec<_> = (0..=FAMILY)
        .map(|n| {
            let mut event = json!({
                "native_id": format!("family-{n}"), "type": "ISSUED", "token_id": id(n),
                "occurred_at": "2026-01-01T00:00:00Z", "expires_at": "2126-01-01T00:00:00Z",
                "issuer": "idp", "client_id": "web", "token_kind": "REFRESH",
            });
            if n > 0 {
                let parent = id((n - 1) / CHILDREN);
                event["links"] = json!([{
                    "token_id": parent, "relation": "REFRESHED_FROM", "strength": "ASSERTED",
                }]);
            }
            event
        })
        .collect();
    let body = serde_json::to_vec(&events)?;
    let answer = server.call_as(&server.key, "POST", "/v1/events", &body)?;
    let statuses = answer["events"].as_array().context("events")?;
    let refused = statuses.iter().find(|one| one["status"] != "recorded");
    anyhow::ensure!(refused.is_none(), "the family was refused: {refused:?}");
    Ok(id(0))
}

fn reindex(setup: &Setup, server: &Server, events: u64) -> Result<Row> {
    let begun = Instant::now();
    let output = Command::new(&setup.binary)
        .args(["reindex", "--data"])
        .arg(server.data())
        .output()
        .context("reindex")?;
    let took: Duration = begun.elapsed();
    if !output.status.success() {
        bail!("reindex: {}", String::from_utf8_lossy(&output.stderr));
    }
    let rate = events as f64 / took.as_secs_f64();
    let what = format!("reindex of {} events", grouped(events as f64));
    Ok(Row::new(what, format!("{} events/s ({:.1} s)", grouped(rate), took.as_secs_f64()))
        .target("≥ 300,000 events/s", rate >= 300e3))
}
