//! Introspection of opaque tokens beside an empty authenticated handler of the same server.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::Setup;
use crate::bulk::fill;
use crate::load::{Load, Outcome, Source, drive};
use crate::population::{Population, spread, token_value};
use crate::report::{Report, Row, grouped};
use crate::server::Server;

const CONNECTIONS: usize = 64;
/// Connections of the run at half load.
const PACED_CONNECTIONS: usize = 16;
/// Requests that are made ahead; they are sent again and again.
const REQUESTS: u64 = 200_000;
const MIB: f64 = (1 << 20) as f64;

/// All rows, over `setup.events` live tokens.
///
/// # Errors
/// When a server fails or an answer is not 200.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let mut server = setup.server(&[])?;
    let population = Population::new(&server, setup.events, 1)?;
    fill(&server, &population, 0, setup.events)?;
    // A fresh process: what it holds is what answering takes, not what intake left behind.
    server.stop()?;
    server.start()?;
    let before = server.memory_bytes("VmRSS")? as f64;
    let roles = ["resource_server"];
    let added = server.add_key(&json!({ "source": "gateway", "roles": roles }))?;
    let key = added["secret"].as_str().context("a secret")?.to_owned();
    let tokens = setup.events;
    let name = format!("{} live tokens", grouped(tokens as f64));
    let empty = closed(setup, &server, &empty_handler(&key))?;
    let mut rows = Vec::new();
    for (what, is_zipf) in [("Zipf(1)", true), ("uniform", false)] {
        let source = presented(&key, tokens, is_zipf);
        closed(setup, &server, &source)?;
        let full = closed(setup, &server, &source)?;
        let ratio = full.rate() / empty.rate();
        let row = Row::new(
            format!("introspection, {what}, {name}"),
            format!("{}/s, {:.1} µs server CPU", grouped(full.rate()), full.cpu_us(full.done)),
        )
        .reference(
            format!(
                "{}/s, {:.1} µs (empty authenticated handler)",
                grouped(empty.rate()),
                empty.cpu_us(empty.done)
            ),
            Some(ratio),
        );
        rows.push(if is_zipf { row.target("ratio ≥ 0.8", ratio >= 0.8) } else { row });
        if is_zipf {
            let rate = Some(full.rate() / 2.0);
            let load = Load {
                connections: PACED_CONNECTIONS,
                duration: setup.duration,
                rate,
                in_a_row: 1,
            };
            let half = drive(server.target()?, load, 0, &source)?;
            let p99 = half.quantile_us(0.99) / 1e3;
            rows.push(
                Row::new(
                    format!("introspection at half load ({}/s), {what}", grouped(half.rate())),
                    format!("p50 {:.2} ms, p99 {p99:.2} ms", half.quantile_us(0.5) / 1e3),
                )
                .target("p99 ≤ 2 ms", p99 <= 2.0),
            );
        }
    }
    report.add(rows);
    let after = server.memory_bytes("VmRSS")? as f64;
    let millions = tokens as f64 / 1e6;
    report.add([Row::new(
        format!("resident memory of answering for {name}"),
        format!("{:.0} MiB, {:.1} MiB per million tokens", after / MIB, after / MIB / millions),
    )
    .reference(format!("{:.0} MiB after the start", before / MIB), None)]);
    Ok(())
}

fn closed(setup: &Setup, server: &Server, source: &Source) -> Result<Outcome> {
    let duration = setup.duration;
    let load = Load { connections: CONNECTIONS, duration, rate: None, in_a_row: 1 };
    drive(server.target()?, load, 0, source)
}

fn empty_handler(key: &str) -> Source {
    let request =
        format!("GET /v1/issuers HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\r\n");
    Arc::new(move |_, out: &mut Vec<u8>| {
        out.extend_from_slice(request.as_bytes());
        true
    })
}

/// Requests that present tokens, some more often than others by Zipf's law with exponent 1, or all
/// alike.
fn presented(key: &str, tokens: u64, is_zipf: bool) -> Source {
    let requests: Vec<Vec<u8>> = (0..REQUESTS)
        .map(|n| {
            // Even numbers in (0, 1); the inverse of the distribution function of ln.
            let even = (spread(n) % (1 << 30)) as f64 / f64::from(1u32 << 30);
            let rank = if is_zipf { (tokens as f64).powf(even) } else { even * tokens as f64 };
            let token = spread(rank as u64 % tokens) % tokens;
            let body = format!("token={}", token_value(token));
            let length = body.len();
            let form = "content-type: application/x-www-form-urlencoded";
            format!(
                "POST /oauth2/introspect HTTP/1.1\r\nhost: bench\r\n{form}\r\n\
                 authorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .into_bytes()
        })
        .collect();
    Arc::new(move |n, out: &mut Vec<u8>| {
        let at = usize::try_from(n).unwrap_or(0) % requests.len();
        out.extend_from_slice(&requests[at]);
        true
    })
}
