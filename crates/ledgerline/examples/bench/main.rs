//! What a ledger costs and how fast it is, each figure beside a reference of the same run.
//!
//! `cargo xtask bench [NAME ...] [--events N] [--long] [--out FILE]`; the names are those of
//! [`Name`].
//!
//! Promises: the server is the release binary in a process of its own, spoken to over loopback; its
//! CPU is read from the kernel, its bytes from its files; every sent event was recorded. Prints a
//! table; judges nothing by ending with an error.
//!
//! Assumes Linux, and that nothing else runs: client and server share the machine. The page cache
//! is warm, but where a row says cold.

#![allow(clippy::print_stdout, reason = "a bench prints its table")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are for people"
)]

mod agent;
mod asking;
mod beside;
mod bulk;
mod cold;
mod curve;
mod emitting;
mod events;
mod history;
mod http;
mod introspect;
mod jwts;
mod ledger;
mod load;
mod one_by_one;
mod paced;
mod pgbench;
mod plot;
mod population;
mod postgres;
mod psql;
mod questions;
mod report;
mod rows;
mod server;
#[path = "../../../../sdk/emitter/examples/service/app.rs"]
mod service;
mod single;
mod sources;
mod storage;
mod theirs;
mod threads;
mod verification;
#[path = "../../../../sdk/emitter/examples/service/verify.rs"]
mod verify;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use ledgerline_world::disk::{Disk as _, RealDisk};

use crate::report::{Report, Row, grouped, load_average, machine, write_section};
use crate::server::Server;

/// Bytes on disk that an event may take: some 400 in journal, tree and index, and as much as the
/// index takes once more while it is merged.
const BYTES_PER_EVENT: u64 = 600;
const SPARE_BYTES: u64 = 4 << 30;
/// Sizes at which questions are asked and tokens introspected, and the one that `--long` adds.
const SIZES: [u64; 2] = [1_000_000, 10_000_000];
const LONG_SIZE: u64 = 100_000_000;
/// Most events of a history.
const HISTORY_MAX: u64 = 20_000_000;
/// Most events of a table beside the ledger: it takes a minute a million, and a kilobyte an event.
const POSTGRES_MAX: u64 = 10_000_000;
/// Most live tokens that are introspected.
const TOKENS_MAX: u64 = 10_000_000;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Single events over keep-alive, beside an empty handler.
    Single,
    /// Single events at low, fixed rates: times, and CPU by thread.
    Paced,
    /// Three hundred sources at once, beside one.
    Sources,
    /// Batches of 500 in each form, and their bytes on disk.
    Batch,
    /// The share of block sealing.
    Blocks,
    /// Memory, restarts and verification of a ledger of many events.
    Ledger,
    /// A ledger with one event a commit, and its verification.
    OneByOne,
    /// Questions about a population's past, warm and cold, and the index built anew.
    Questions,
    /// Many tokens alive at once, interleaved: the history of a day, and windows of it.
    History,
    /// PostgreSQL beside the ledger: batches, single events and questions.
    Postgres,
    /// Introspection beside an empty authenticated handler.
    Introspect,
    /// Events through the local agent, beside the same ones sent to the server.
    Agent,
    /// `emit` on the caller's thread, and a service with the layer beside itself without it.
    Emitter,
    /// One ledger that grows: memory, lag, rates and times against its size.
    Curve,
}

/// Arguments, as `cargo xtask bench` hands them on.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these; all of them without a name.
    names: Vec<Name>,
    /// Events of the ledger whose memory, restarts and verification are measured, of those that are
    /// asked about, and tokens that are introspected, instead of the usual sizes.
    #[arg(long)]
    events: Option<u64>,
    /// Ten million events instead of one for memory, restarts and verification, a hundred million
    /// besides for questions, as far as the disk has room (64 GB): hours.
    #[arg(long)]
    long: bool,
    /// Seconds of each measurement of single events.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Where the temporary ledgers lie: the disk that is measured.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Also writes the table between the marks of this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also draws the curves of `curve` into this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// What every measurement is given.
#[derive(Clone)]
pub struct Setup {
    /// The program under test.
    binary: PathBuf,
    /// Where temporary ledgers lie.
    parent: PathBuf,
    /// How long single events are driven.
    duration: Duration,
    /// Events of each batch measurement.
    batch_events: u64,
    /// Events of the large ledger.
    events: u64,
    /// Events of the ledgers that are asked about.
    sizes: Vec<u64>,
    /// Where the curves are drawn.
    plot: Option<PathBuf>,
}

impl Setup {
    fn of(arguments: &Arguments) -> Result<Self> {
        let own = std::env::current_exe()?;
        let binary = own.ancestors().nth(2).context("a target folder")?.join("ledgerline");
        ensure!(binary.is_file(), "{} is not built", binary.display());
        let usual = if arguments.long { 10_000_000 } else { 1_000_000 };
        let events = arguments.events.unwrap_or(usual).max(1000);
        let sizes = match arguments.events {
            Some(_) => vec![events],
            None => SIZES.into_iter().chain(arguments.long.then_some(LONG_SIZE)).collect(),
        };
        Ok(Self {
            binary,
            parent: arguments.folder.clone().unwrap_or_else(std::env::temp_dir),
            duration: Duration::from_secs_f64(arguments.seconds.clamp(0.1, 600.0)),
            batch_events: events.min(600_000),
            events,
            sizes,
            plot: arguments.plot.clone(),
        })
    }

    fn server(&self, flags: &[&str]) -> Result<Server> {
        Server::create(&self.binary, &self.parent, flags)
    }

    /// Bytes that this many events need on the disk, and those that are free.
    fn room(&self, events: u64) -> Result<(u64, u64)> {
        let free = RealDisk::existing(&self.parent)?.free_bytes()?;
        Ok((events * BYTES_PER_EVENT + SPARE_BYTES, free))
    }

    /// As many events as were wanted, or as the disk has room for: the leading digit and zeros.
    fn most_that_fits(&self, wanted: u64) -> Result<u64> {
        let (_, free) = self.room(0)?;
        let room = free.saturating_sub(SPARE_BYTES) / BYTES_PER_EVENT;
        let digit = 10u64.pow(room.max(1).ilog10());
        Ok(if wanted <= room { wanted } else { room / digit * digit })
    }

    fn check_room(&self) -> Result<()> {
        let (needed, free) = self.room(self.events)?;
        ensure!(free >= needed, "{needed} bytes are needed on the disk, {free} are free");
        Ok(())
    }

    /// Measures at every size of at most `most` that the disk has room for, and says which it has
    /// not.
    fn at_each_size(
        &self,
        what: &str,
        most: u64,
        report: &mut Report,
        measure: impl Fn(&Self, &mut Report) -> Result<()>,
    ) -> Result<()> {
        for &events in self.sizes.iter().filter(|size| **size <= most) {
            let (needed, free) = self.room(events)?;
            if free < needed {
                let why = format!("not run: {needed} B of disk are needed, {free} are free");
                report.add([Row::new(format!("{what}, {}", grouped(events as f64)), why)]);
                continue;
            }
            measure(&Self { events, ..self.clone() }, report)?;
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    if let Some(served) = emitting::serve_if_asked() {
        return served;
    }
    let arguments = Arguments::parse();
    let setup = Setup::of(&arguments)?;
    setup.check_room()?;
    let mut report = Report::default();
    let machine = format!("{}; load before the run {}", machine(), load_average());
    for name in Name::value_variants() {
        if arguments.names.is_empty() || arguments.names.contains(name) {
            match name {
                Name::Single => single::measure(&setup, &mut report),
                Name::Paced => paced::measure(&setup, &mut report),
                Name::Emitter => emitting::measure(&setup, &mut report),
                Name::Sources => sources::measure(&setup, &mut report),
                Name::Batch => bulk::measure(&setup, &mut report),
                Name::Blocks => bulk::blocks(&setup, &mut report),
                Name::Ledger => ledger::measure(&setup, &mut report),
                Name::OneByOne => one_by_one::measure(&setup, &mut report),
                Name::Questions => {
                    setup.at_each_size("questions", u64::MAX, &mut report, questions::measure)
                }
                Name::History => {
                    setup.at_each_size("history", HISTORY_MAX, &mut report, history::measure)
                }
                Name::Postgres => {
                    setup.at_each_size("PostgreSQL", POSTGRES_MAX, &mut report, beside::measure)
                }
                Name::Introspect => setup.at_each_size(
                    "introspection",
                    TOKENS_MAX,
                    &mut report,
                    introspect::measure,
                ),
                Name::Agent => agent::measure(&setup, &mut report),
                Name::Curve => curve::measure(&setup, &mut report),
            }
            .with_context(|| format!("{name:?}"))?;
        }
    }
    let figures = report.markdown(&machine, &command());
    println!("{figures}");
    if let Some(path) = &arguments.out {
        write_section(Path::new(path), &figures)?;
    }
    Ok(())
}

/// The command that repeats this run.
fn command() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut kept = vec!["cargo xtask bench".to_owned()];
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            // Where the table goes and where it was measured is not what was measured.
            "--out" | "--folder" | "--plot" => drop(words.next()),
            _ => kept.push(word),
        }
    }
    kept.join(" ")
}
