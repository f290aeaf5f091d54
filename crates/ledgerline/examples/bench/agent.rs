//! Events through the local agent: how many a second it forwards, and what that costs it, beside
//! the same batches sent to a server without one.
//!
//! The clock runs from the first body until the last event is recorded by the ledger: what the
//! agent has only taken does not count.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::Setup;
use crate::bulk::{BATCH, fill, make};
use crate::events::{Maker, Wire};
use crate::load::{Load, Source, drive};
use crate::report::{Report, Row, grouped};
use crate::server::{SOURCE, Server, Target, cpu_seconds};

/// Callers, each with one body in flight.
const CONNECTIONS: usize = 4;
/// Events of a run: their bodies are made before the clock starts.
const EVENTS_MAX: u64 = 200_000;
/// Events a second that the agent is to forward.
const TARGET: f64 = 50e3;
/// Longest that forwarding may take.
const LIMIT: Duration = Duration::from_secs(300);

/// All rows.
///
/// # Errors
/// When a process fails or an event is not recorded.
pub fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    for (wire, name) in [(Wire::Json, "JSON"), (Wire::AvroHmac, "Avro, HMAC")] {
        for durable in [false, true] {
            let count = setup.batch_events.min(EVENTS_MAX);
            let direct = setup.server(&[])?;
            let maker = Maker::new(&direct, wire, false)?;
            let reference = fill(&direct, &maker, 0, count)?.rate();
            drop(direct);
            let run = forward(setup, wire, durable, count)?;
            let mode = if durable { "durable" } else { "default mode" };
            let what = format!("agent: forwarded, batches of {BATCH}, {name}, {mode}");
            let ours = format!(
                "{} events/s, {:.2} µs CPU of the agent; taken at {} events/s",
                grouped(run.rate),
                run.cpu_us,
                grouped(run.taken)
            );
            let row = Row::new(what, ours)
                .reference(format!("{}: no agent", grouped(reference)), Some(run.rate / reference))
                .target("≥ 50,000 events/s", run.rate >= TARGET);
            report.add([row]);
        }
    }
    Ok(())
}

/// What forwarding came to.
struct Run {
    /// Events recorded a second.
    rate: f64,
    /// Events that the agent took a second.
    taken: f64,
    /// Of the agent, for one event.
    cpu_us: f64,
}

fn forward(setup: &Setup, wire: Wire, durable: bool, count: u64) -> Result<Run> {
    let server = setup.server(&[])?;
    let maker = Maker::new(&server, wire, false)?;
    let (requests, _) = make(&maker, BATCH, 0, count)?;
    let agent = Agent::start(setup, &server, durable)?;
    let source: Source = Arc::new(move |n, out: &mut Vec<u8>| {
        let request = usize::try_from(n).ok().and_then(|n| requests.get(n));
        out.extend_from_slice(request.map_or(&[][..], Vec::as_slice));
        request.is_some()
    });
    let (before, target) = (server.recorded()?, agent.target()?);
    let (cpu, begun) = (cpu_seconds(target.process)?, Instant::now());
    let load = Load { connections: CONNECTIONS, duration: LIMIT, rate: None, in_a_row: 1 };
    let taken = drive(target, load, 0, &source)?;
    while server.recorded()?.saturating_sub(before) < count {
        ensure!(begun.elapsed() < LIMIT, "not all is forwarded in {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds(target.process)? - cpu;
    server.await_recorded(before, count)?;
    let events = count as f64;
    Ok(Run { rate: events / seconds, taken: events / taken.seconds, cpu_us: cpu * 1e6 / events })
}

/// A running agent; gone when dropped.
struct Agent {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Agent {
    fn start(setup: &Setup, server: &Server, durable: bool) -> Result<Self> {
        let parent = &setup.parent;
        let folder = tempfile::Builder::new().prefix("ledgerline-bench-").tempdir_in(parent)?;
        let key = folder.path().join("key");
        // The bodies are made for the server: the same key opens the agent's port.
        fs::write(&key, &server.key)?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let mut child = Command::new(&setup.binary)
            .args(["agent", "--listen", "127.0.0.1:0", "--source", SOURCE])
            .args(["--log-level", "warn", "--url"])
            .arg(format!("http://{}", server.target()?.address))
            .args(["--durable", if durable { "true" } else { "false" }])
            .arg("--key-file")
            .arg(&key)
            .arg("--listen-key-file")
            .arg(&key)
            .arg("--state")
            .arg(folder.path().join("state"))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let Some(address) = line.trim().strip_prefix("ledgerline agent listens on http://") else {
            bail!("no address but {line:?}");
        };
        Ok(Self { address: address.parse()?, child, _folder: folder })
    }

    fn target(&self) -> Result<Target> {
        Ok(Target { address: self.address, process: self.child.id() })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
