//! What reporting costs a service: the call on the caller's thread, and the example service with
//! the layer beside itself without it, by turns.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgerline_emitter::event::Event;
use ledgerline_emitter::{Builder, HttpSettings, HttpTransport, SpoolSettings};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use crate::Setup;
use crate::load::{Load, Outcome, Source, drive, quantile};
use crate::report::{Report, Row, grouped};
use crate::server::{Server, Target};
use crate::service;

/// Calls that are timed, and how many of them come in a row before a pause: 50,000 a second.
const CALLS: usize = 400_000;
const IN_A_ROW: usize = 50;
const PAUSE: Duration = Duration::from_millis(1);
/// Connections to the service; turns of each kind.
const CONNECTIONS: usize = 16;
/// Tokens that are presented in turns, and who issued those that are verified.
const TOKENS: usize = 1000;
const ISS: &str = "https://idp.bench";
const TURNS: u32 = 8;
/// Set in the environment of a service without the layer.
const BARE: &str = "ORDERS_BARE";

/// Serves as the example service, if this process was started as one.
///
/// # Errors
/// When it cannot listen.
pub fn serve_if_asked() -> Option<Result<()>> {
    std::env::var("ORDERS_LISTEN").ok()?;
    let run = || {
        let settings = service::Settings::from_environment()?;
        let emitter = match std::env::var(BARE) {
            Ok(_) => None,
            Err(_) => Some(service::emitter(&settings)?),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(service::serve(&settings, emitter))
    };
    Some(run().map_err(|error| anyhow::anyhow!("{error}")))
}

/// All rows.
///
/// # Errors
/// When the ledger or a service fails, or an event is lost.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let server = setup.server(&[])?;
    let added = server.add_key(&json!({ "source": "orders", "roles": ["producer"] }))?;
    let key = added["secret"].as_str().context("a secret")?.to_owned();
    let url = format!("http://{}", server.target()?.address);
    let folder = tempfile::tempdir_in(&setup.parent)?;
    report.add([calls(&server, &url, &key, &folder.path().join("calls"))?]);
    for verifies in [false, true] {
        report.add(layers(setup, &url, &key, folder.path(), verifies)?);
    }
    Ok(())
}

fn event(n: usize) -> Event<'static> {
    let token = n % 1000;
    Event {
        event_type: Some("RESOURCE_ACCESSED".into()),
        token_id: Some(format!("eu:idp:jti:0123456789abcdef-{token}").into()),
        outcome: Some("ALLOW".into()),
        endpoint: Some("/orders/{id}".into()),
        resource: Some("/orders/{id}".into()),
        action: Some("GET".into()),
        status: Some(200),
        ..Event::default()
    }
}

fn resident_bytes() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = text.split(' ').nth(1).context("pages")?.parse()?;
    Ok(pages * 4096.0)
}

fn calls(server: &Server, url: &str, key: &str, spool: &Path) -> Result<Row> {
    let before = server.recorded()?;
    let transport = HttpTransport::new(&HttpSettings::new(url, key))?;
    let emitter = Builder::new("orders", transport)
        .spool(SpoolSettings::new(spool, 256 << 20))
        .heartbeat(None)
        .start()?;
    let mut took: Vec<u32> = Vec::with_capacity(CALLS);
    let mut resident = 0.0;
    for n in 0..CALLS {
        let event = event(n);
        let begun = Instant::now();
        let emission = emitter.emit(event)?;
        took.push(u32::try_from(begun.elapsed().as_nanos()).unwrap_or(u32::MAX));
        ensure!(emission.is_kept, "the queue was full: the machine is too busy to measure");
        if n % IN_A_ROW == 0 {
            std::thread::sleep(PAUSE);
        }
        if n == CALLS / 2 {
            resident = resident_bytes()?;
        }
    }
    let grown = (resident_bytes()? - resident) / f64::from(1 << 20);
    let stopped = emitter.stop(Duration::from_secs(60));
    ensure!(stopped.is_delivered, "not all was delivered: {stopped:?}");
    server.await_recorded(before, CALLS as u64)?;
    took.sort_unstable();
    let (p50, p99) = (quantile(&took, 0.5) / 1e3, quantile(&took, 0.99) / 1e3);
    let what = format!("`emit` on the caller's thread, {} calls", grouped(CALLS as f64));
    let ours =
        format!("p50 {p50:.2} µs, p99 {p99:.2} µs, memory + {grown:.1} MiB in the second half");
    let is_met = p50 <= 1.0 && p99 <= 5.0 && grown < 8.0;
    Ok(Row::new(what, ours).target("p50 ≤ 1 µs, p99 ≤ 5 µs, no growth", is_met))
}

/// The service in a process of its own; killed when dropped.
struct Running {
    child: Child,
    target: Target,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service: with or without the layer, with or without a verified token.
#[derive(Clone, Copy)]
struct Kind {
    has_layer: bool,
    verifies: bool,
}

fn start(url: &str, key: &str, spool: &Path, kind: Kind) -> Result<Running> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env("ORDERS_LISTEN", "127.0.0.1:0").env("ORDERS_SPOOL", spool);
    command.env("LEDGERLINE_URL", url).env("LEDGERLINE_KEY", key).stdout(Stdio::piped());
    if !kind.has_layer {
        command.env(BARE, "1");
    }
    if kind.verifies {
        command.env("ORDERS_ISSUER", format!("{ISS} orders {}", public_key()?));
    }
    let mut child = command.spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("piped")?).read_line(&mut line)?;
    let address = line.trim().strip_prefix("orders listens on http://").context("an address")?;
    let target = Target { address: address.parse()?, process: child.id() };
    Ok(Running { child, target })
}

fn issuer_key() -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|_| anyhow::anyhow!("no key"))
}

fn public_key() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(issuer_key()?.public_key().as_ref()))
}

/// Tokens of this service, as they are presented.
fn tokens(verified: bool) -> Result<Vec<String>> {
    let key = issuer_key()?;
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let token = |n: usize| {
        if !verified {
            return format!("orders-0123456789abcdef-{n}");
        }
        let header = part(json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k1" }));
        let claims = part(json!({ "iss": ISS, "aud": "orders", "sub": format!("user-{n}"),
            "client_id": "web", "iat": 1_767_323_045, "exp": 4_000_000_000_u64,
            "jti": format!("0123456789abcdef-{n}"), "scope": "orders:read" }));
        let input = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).as_ref());
        format!("{input}.{signature}")
    };
    Ok((0..TOKENS).map(token).collect())
}

fn requests(verified: bool) -> Result<Source> {
    let tokens = tokens(verified)?;
    Ok(Arc::new(move |n, out| {
        let token = &tokens[usize::try_from(n).unwrap_or(0) % TOKENS];
        let head = format!(
            "GET /orders/{n} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        true
    }))
}

/// The service with and without the layer, by turns: what one disturbs, it disturbs the other too.
fn layers(setup: &Setup, url: &str, key: &str, folder: &Path, verifies: bool) -> Result<[Row; 2]> {
    let start = |name: &str, has_layer| {
        let name = format!("{name}-{verifies}");
        start(url, key, &folder.join(name), Kind { has_layer, verifies })
    };
    let (with, bare) = (start("service", true)?, start("bare", false)?);
    let source = requests(verifies)?;
    let turn = |of: &Running, rate: Option<f64>| {
        let duration = setup.duration / 4;
        let load = Load { connections: CONNECTIONS, duration, rate, in_a_row: 1 };
        drive(of.target, load, 0, &source)
    };
    let turns = |rate: Option<f64>| -> Result<(Outcome, Outcome)> {
        let (mut ours, mut theirs) = (Outcome::default(), Outcome::default());
        for _ in 0..TURNS {
            add(&mut theirs, turn(&bare, rate)?);
            add(&mut ours, turn(&with, rate)?);
        }
        ours.latencies_us.sort_unstable();
        theirs.latencies_us.sort_unstable();
        Ok((ours, theirs))
    };
    turn(&with, None)?;
    turn(&bare, None)?;
    let (ours, theirs) = turns(None)?;
    let text = |one: &Outcome| {
        let (p50, p99) = (one.quantile_us(0.5) / 1e3, one.quantile_us(0.99) / 1e3);
        let (rate, cpu) = (grouped(one.rate()), one.cpu_us(one.done));
        format!("{rate} requests/s, {cpu:.1} µs CPU, p50 {p50:.2} ms, p99 {p99:.2} ms")
    };
    let ratio = ours.rate() / theirs.rate();
    let handler = if verifies { "that verifies a JWT (Ed25519)" } else { "with a bare handler" };
    let what = format!("service {handler}, layer, saturated, {CONNECTIONS} connections");
    let saturated = Row::new(what, text(&ours))
        .reference(format!("{}: without it", text(&theirs)), Some(ratio))
        .target("≥ 0.98", ratio >= 0.98);
    let half = theirs.rate() / 2.0;
    let (ours, theirs) = turns(Some(half))?;
    let ratio = ours.rate() / theirs.rate();
    let paced = Row::new("the same at 50 % load", text(&ours))
        .reference(format!("{}: without it", text(&theirs)), Some(ratio))
        .target("≥ 0.998, p99 within noise", ratio >= 0.998);
    Ok([saturated, paced])
}

fn add(sum: &mut Outcome, one: Outcome) {
    sum.done += one.done;
    sum.seconds += one.seconds;
    sum.cpu_seconds += one.cpu_seconds;
    sum.latencies_us.extend(one.latencies_us);
}
