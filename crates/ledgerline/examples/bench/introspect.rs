//! Introspection of opaque tokens and of JWTs beside an empty authenticated handler of the same
//! server.
//!
//! ```text
//! fill ──▶ start anew ──▶ those behind the head have read all ──▶ the empty handler ──▶ every
//!      token that fits is asked for once, the most wanted last ──▶ a window and more under load
//!      ──▶ the clock
//! ```
//!
//! So that what is measured is a server that has been running: answers at hand, and as many uses
//! recorded as are noted.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::Setup;
use crate::bulk::fill;
use crate::jwts::{Algorithm, JwtIssuer};
use crate::load::{Load, Outcome, Source, drive};
use crate::population::{Population, spread, token_value};
use crate::report::{Report, Row, grouped};
use crate::server::Server;

const CONNECTIONS: usize = 64;
/// Connections of the run at half load.
const PACED_CONNECTIONS: usize = 16;
/// Longer than the window in which uses are counted together: from then on they are recorded.
const WARM_UP: Duration = Duration::from_secs(12);
/// JWTs of each algorithm: fewer than the server remembers.
const JWTS: u64 = 50_000;
/// Tokens that are asked for once before: about as many as fit into the server's usual memory.
const ASKED_BEFORE: u64 = 500_000;
const MIB: f64 = (1 << 20) as f64;

/// All rows, over `setup.events` live opaque tokens and some JWTs.
///
/// # Errors
/// When a server fails or an answer is not 200.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let issuer = JwtIssuer::create(&setup.parent)?;
    let config = issuer.config();
    let mut server = setup.server(&["--config", config.to_str().context("a path")?])?;
    let tokens = setup.events;
    let population = Population::new(&server, tokens, 1)?;
    fill(&server, &population, 0, tokens)?;
    fill(&server, &population.of_jwts(), 0, 2 * JWTS)?;
    // A fresh process: what it holds is what answering takes, not what intake left behind.
    server.stop()?;
    server.start()?;
    let roles = ["resource_server"];
    let added = server.add_key(&json!({ "source": "gateway", "roles": roles }))?;
    let key = added["secret"].as_str().context("a secret")?.to_owned();
    // A tenant that may not know of the issuer: its list is empty, so nothing is rendered.
    let request = json!({ "tenant": "elsewhere", "source": "gateway", "roles": roles });
    let added = server.add_key(&request)?;
    let empty_key = added["secret"].as_str().context("a secret")?.to_owned();
    let run = Run { setup, server: &server, key: &key };
    server.await_followers()?;
    // Before anything is asked for: uses that are being recorded would slow it down, too.
    let empty = run.closed(&empty_handler(&empty_key))?;
    let before = server.memory_bytes("VmRSS")? as f64;
    let asked = tokens.min(ASKED_BEFORE);
    run.drive(CONNECTIONS, Duration::from_secs(3600), None, &run.each_once(tokens, asked))?;
    let (held, bytes) = run.held()?;
    let memory = Row::new(
        format!("memory of {} answers at hand", grouped(held)),
        format!("{:.0} MiB, {:.0} MiB per million tokens", bytes / MIB, bytes / MIB / held * 1e6),
    );
    let after = server.memory_bytes("VmRSS")? as f64;
    let memory = memory.reference(
        format!("resident {:.0} MiB before, {:.0} MiB after", before / MIB, after / MIB),
        None,
    );
    let name = format!("{} live opaque tokens of one event each", grouped(tokens as f64));
    let zipf = run.opaque(tokens, true);
    run.warm(&zipf)?;
    let full = run.closed(&zipf)?;
    report.add([ratio_row(format!("introspection, Zipf(1), {name}"), &full, &empty, true)]);
    report.add([run.half("opaque tokens", &full, &zipf)?]);
    let even = run.opaque(tokens, false);
    run.warm(&even)?;
    let full = run.closed(&even)?;
    report.add([ratio_row(format!("introspection, uniform, {name}"), &full, &empty, false)]);
    report.add([memory]);
    run.jwts(&issuer, &empty, report)
}

/// What costs no more than authentication and a line of JSON.
fn empty_handler(key: &str) -> Source {
    let request =
        format!("GET /v1/issuers HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\r\n");
    Arc::new(move |_, out: &mut Vec<u8>| {
        out.extend_from_slice(request.as_bytes());
        true
    })
}

struct Run<'s> {
    setup: &'s Setup,
    server: &'s Server,
    key: &'s str,
}

impl Run<'_> {
    fn drive(
        &self,
        connections: usize,
        duration: Duration,
        rate: Option<f64>,
        source: &Source,
    ) -> Result<Outcome> {
        let load = Load { connections, duration, rate, in_a_row: 1 };
        drive(self.server.target()?, load, 0, source)
    }

    fn closed(&self, source: &Source) -> Result<Outcome> {
        self.drive(CONNECTIONS, self.setup.duration, None, source)
    }

    fn warm(&self, source: &Source) -> Result<()> {
        self.drive(CONNECTIONS, WARM_UP, None, source).map(drop)
    }

    /// At half of the rate that was reached.
    fn half(&self, what: &str, full: &Outcome, source: &Source) -> Result<Row> {
        let rate = Some(full.rate() / 2.0);
        let half = self.drive(PACED_CONNECTIONS, self.setup.duration, rate, source)?;
        let p99 = half.quantile_us(0.99) / 1e3;
        let name = format!("introspection at half load ({}/s), {what}", grouped(half.rate()));
        let row =
            Row::new(name, format!("p50 {:.2} ms, p99 {p99:.2} ms", half.quantile_us(0.5) / 1e3));
        Ok(row.target("p99 ≤ 2 ms", p99 <= 2.0))
    }

    /// Answers at hand, and their bytes.
    fn held(&self) -> Result<(f64, f64)> {
        let held = self.server.metric("ledgerline_introspection_tokens")?;
        Ok((held, self.server.metric("ledgerline_introspection_bytes")?))
    }

    fn jwts(&self, issuer: &JwtIssuer, empty: &Outcome, report: &mut Report) -> Result<()> {
        let signed = |algorithm, first: u64| {
            let jwts = (first..first + JWTS).map(|token| issuer.sign(token, algorithm));
            jwts.collect::<Result<Vec<String>>>()
        };
        let eddsa = Arc::new(signed(Algorithm::EdDsa, 0)?);
        let es256 = Arc::new(signed(Algorithm::Es256, JWTS)?);
        for (name, jwts) in [("EdDSA", &eddsa), ("ES256", &es256)] {
            let first = self.drive(
                CONNECTIONS,
                Duration::from_secs(600),
                None,
                &self.presented(jwts, |n, count| Some(n).filter(|n| *n < count)),
            )?;
            let name = format!("introspection, JWTs seen for the first time, {name}");
            report.add([ratio_row(name, &first, empty, false)]);
        }
        let cached = self.presented(&eddsa, |n, count| Some(zipf(n, count)));
        self.warm(&cached)?;
        let full = self.closed(&cached)?;
        let name = format!("introspection, Zipf(1), {} cached JWTs", grouped(JWTS as f64));
        report.add([ratio_row(name, &full, empty, true)]);
        report.add([self.half("cached JWTs", &full, &cached)?]);
        Ok(())
    }

    fn presented(&self, jwts: &Arc<Vec<String>>, which: fn(u64, u64) -> Option<u64>) -> Source {
        let (head, jwts) = (self.head(), Arc::clone(jwts));
        Arc::new(move |n, out: &mut Vec<u8>| {
            let at = which(n, jwts.len() as u64).and_then(|at| jwts.get(at as usize));
            at.is_some_and(|jwt| put(out, &head, jwt))
        })
    }

    fn head(&self) -> String {
        let (form, key) = ("content-type: application/x-www-form-urlencoded", self.key);
        format!(
            "POST /oauth2/introspect HTTP/1.1\r\nhost: bench\r\n{form}\r\n\
             authorization: Bearer {key}\r\ncontent-length: "
        )
    }

    /// Presents the `asked` most wanted tokens, each once, the most wanted last.
    fn each_once(&self, tokens: u64, asked: u64) -> Source {
        let head = self.head();
        Arc::new(move |n, out: &mut Vec<u8>| {
            n < asked && put(out, &head, &token_value(place(asked - 1 - n, tokens)))
        })
    }

    /// Presents tokens without end, each draw a new one: some more often than others by Zipf's law
    /// with exponent 1, or all alike.
    fn opaque(&self, tokens: u64, is_zipf: bool) -> Source {
        let head = self.head();
        Arc::new(move |n, out: &mut Vec<u8>| {
            let rank = if is_zipf { zipf(n, tokens) } else { spread(n) % tokens };
            put(out, &head, &token_value(place(rank, tokens)))
        })
    }
}

/// The token of a rank.
fn place(rank: u64, tokens: u64) -> u64 {
    spread(rank) % tokens
}

/// The rank of draw `n` by Zipf's law: the inverse of the distribution function, which is ln.
fn zipf(n: u64, count: u64) -> u64 {
    let even = (spread(n) % (1 << 30)) as f64 / f64::from(1u32 << 30);
    ((count as f64).powf(even) as u64).saturating_sub(1) % count
}

fn put(out: &mut Vec<u8>, head: &str, token: &str) -> bool {
    let length = "token=".len() + token.len();
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(length.to_string().as_bytes());
    out.extend_from_slice(b"\r\n\r\ntoken=");
    out.extend_from_slice(token.as_bytes());
    true
}

fn ratio_row(name: String, full: &Outcome, empty: &Outcome, is_judged: bool) -> Row {
    let ratio = full.rate() / empty.rate();
    let ours = format!("{}/s, {:.1} µs server CPU", grouped(full.rate()), full.cpu_us(full.done));
    let reference = format!(
        "{}/s, {:.1} µs (empty authenticated handler)",
        grouped(empty.rate()),
        empty.cpu_us(empty.done)
    );
    let row = Row::new(name, ours).reference(reference, Some(ratio));
    if is_judged { row.target("ratio ≥ 0.8", ratio >= 0.8) } else { row }
}
