//! Driving the server: closed loop (as fast as it answers) or paced (a fixed rate).
//!
//! Promises: all connections stand before the clock starts; CPU is that of the server alone. In a
//! paced run a latency counts from the moment a request was due, so a slow answer cannot hide the
//! ones behind it. Anything but 200, or an agent's 202, ends the run with the server's words.
//!
//! Assumes that the client shares the machine with the server: its own work slows both the figure
//! and the reference beside it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::http::Connection;
use crate::server::{Target, cpu_seconds};

/// How often a paced run releases what is due.
const TICK: Duration = Duration::from_micros(500);

/// Writes request `n`; `false` when there is none.
pub type Source = Arc<dyn Fn(u64, &mut Vec<u8>) -> bool + Send + Sync>;

/// How hard to drive.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections, each with one request in flight.
    pub connections: usize,
    /// No request starts after this.
    pub duration: Duration,
    /// Requests a second; as many as are answered without it.
    pub rate: Option<f64>,
    /// How many numbers in a row a connection takes: what must stay in order, the life of a token.
    pub in_a_row: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Requests answered 200 or 202.
    pub done: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// CPU of the server meanwhile, user and system.
    pub cpu_seconds: f64,
    /// Sorted times from due to answered, in microseconds.
    pub latencies_us: Vec<u32>,
}

impl Outcome {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.seconds
    }

    /// CPU of the server for one of `units` things done, in microseconds.
    pub fn cpu_us(&self, units: u64) -> f64 {
        self.cpu_seconds * 1e6 / units.max(1) as f64
    }

    /// Times and CPU of questions, as a row says them.
    pub fn question_text(&self) -> String {
        format!(
            "p50 {:.2} ms, p99 {:.2} ms, {:.2} ms server CPU",
            self.quantile_us(0.5) / 1e3,
            self.quantile_us(0.99) / 1e3,
            self.cpu_us(self.done) / 1e3
        )
    }

    /// The latency that this share of requests stayed within, in microseconds.
    pub fn quantile_us(&self, share: f64) -> f64 {
        quantile(&self.latencies_us, share)
    }
}

/// The value that this share of `sorted` stays within.
pub fn quantile(sorted: &[u32], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).map_or(f64::NAN, |value| f64::from(*value))
}

/// When a request may start.
enum Pace {
    /// At once, until then.
    Until(Instant),
    /// When it is due.
    Due(Schedule),
}

impl Pace {
    /// When the next request is due; `None` at the end.
    async fn next(&self) -> Option<Instant> {
        match self {
            Self::Until(end) => Some(Instant::now()).filter(|now| now < end),
            Self::Due(schedule) => schedule.next().await,
        }
    }
}

/// What is due and not yet sent.
struct Schedule {
    permits: Semaphore,
    due: Mutex<VecDeque<Instant>>,
}

impl Schedule {
    /// Releases requests at `rate` for `duration`, then closes. What falls due at a tick is due
    /// then, also when the system wakes this thread late.
    fn run(&self, rate: f64, duration: Duration) {
        let started = Instant::now();
        let (mut released, mut passed) = (0u64, Duration::ZERO);
        while passed < duration {
            passed += TICK;
            std::thread::sleep((started + passed).saturating_duration_since(Instant::now()));
            let target = (passed.as_secs_f64() * rate) as u64;
            let count = (target - released) as usize;
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            due.extend(std::iter::repeat_n(started + passed, count));
            drop(due);
            self.permits.add_permits(count);
            released = target;
        }
        self.permits.close();
    }

    async fn next(&self) -> Option<Instant> {
        self.permits.acquire().await.ok()?.forget();
        self.due.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Drives a server with requests `first`, `first + 1`, …
///
/// # Errors
/// When a connection breaks or an answer is neither 200 nor 202.
pub fn drive(
    Target { address, process }: Target,
    load: Load,
    first: u64,
    source: &Source,
) -> Result<Outcome> {
    // One thread for all connections: the fewer of them, the more of the machine is the server's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = Vec::with_capacity(load.connections);
        for _ in 0..load.connections {
            connections.push(Connection::open(address).await.context("connect")?);
        }
        let next = Arc::new(AtomicU64::new(first));
        let cpu = cpu_seconds(process)?;
        let started = Instant::now();
        let (pace, pacer) = pace(&load, started);
        let mut work = JoinSet::new();
        for connection in connections {
            let numbers = Numbers { next: Arc::clone(&next), in_a_row: load.in_a_row, own: 0..0 };
            work.spawn(send(connection, Arc::clone(&pace), numbers, Arc::clone(source)));
        }
        let mut outcome = Outcome::default();
        while let Some(latencies) = work.join_next().await {
            outcome.latencies_us.extend(latencies??);
        }
        outcome.seconds = started.elapsed().as_secs_f64();
        outcome.cpu_seconds = cpu_seconds(process)? - cpu;
        outcome.done = outcome.latencies_us.len() as u64;
        outcome.latencies_us.sort_unstable();
        if let Some(pacer) = pacer {
            let _ = pacer.join();
        }
        Ok(outcome)
    })
}

fn pace(load: &Load, started: Instant) -> (Arc<Pace>, Option<JoinHandle<()>>) {
    let Some(rate) = load.rate else {
        return (Arc::new(Pace::Until(started + load.duration)), None);
    };
    let schedule = Schedule { permits: Semaphore::new(0), due: Mutex::default() };
    let pace = Arc::new(Pace::Due(schedule));
    let (clock, duration) = (Arc::clone(&pace), load.duration);
    let pacer = std::thread::spawn(move || {
        if let Pace::Due(schedule) = &*clock {
            schedule.run(rate, duration);
        }
    });
    (pace, Some(pacer))
}

/// The numbers of one connection's requests.
struct Numbers {
    next: Arc<AtomicU64>,
    in_a_row: u64,
    own: Range<u64>,
}

impl Numbers {
    fn take(&mut self) -> u64 {
        self.own.next().unwrap_or_else(|| {
            let first = self.next.fetch_add(self.in_a_row, Ordering::Relaxed);
            self.own = first + 1..first + self.in_a_row;
            first
        })
    }
}

/// One connection, until nothing more is to be sent: its latencies in microseconds.
async fn send(
    mut connection: Connection,
    pace: Arc<Pace>,
    mut numbers: Numbers,
    source: Source,
) -> Result<Vec<u32>> {
    let mut request = Vec::new();
    let mut latencies = Vec::new();
    while let Some(due) = pace.next().await {
        request.clear();
        if !source(numbers.take(), &mut request) {
            break;
        }
        let (status, body) = connection.exchange(&request).await.context("a request")?;
        if status != 200 && status != 202 {
            bail!("the server answered {status}: {}", String::from_utf8_lossy(body));
        }
        latencies.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(latencies)
}
