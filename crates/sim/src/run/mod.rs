//! One seed, one life of a ledger: the whole engine over a faulty disk, clock and entropy, held
//! against a model after every step.
//!
//! Promises: [`run`] draws a schedule from the seed, takes the calls that the node's threads would
//! take, and compares what the ledger says with what it must say. One seed gives the same bytes on
//! every machine. A failure names the seed, how to run it again, and every step up to it.
//!
//! ```text
//! steps.rs       what a step does           events.rs  what producers send
//! sending.rs     bodies on their way in     node.rs    the engine, wired without threads
//! publishing.rs  batches on their way out   model.rs   what the ledger must be
//! stops.rs       how a run of the node      check.rs   holds the one against the other
//!                ends and begins again      probes.rs  damage, tried on a copy
//! origins.rs     a copy goes on elsewhere   asking.rs  questions, and a walk that answers them
//! following.rs   readers behind the head    noticed.rs what they must have said
//! ```
//!
//! Excused, as docs/explanation/durability.md says: rot in the last batch beyond the head store's
//! size, which looks like a torn write. Rot is therefore tried on copies of the disk only
//! ([`probes`]).

mod asking;
mod check;
mod events;
mod following;
mod model;
mod node;
mod noticed;
mod origins;
mod probes;
mod publishing;
mod sending;
mod steps;
mod stops;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ledgerline_journal::streams::StreamTable;
use ledgerline_ledger::opening::{LedgerConfig, World};
use ledgerline_ledger::planner::BlockPace;
use ledgerline_vault::keys::KeyRing;

use self::events::{Facts, Producer, START_NANOS, Sent};
use self::following::Readers;
use self::model::Model;
use self::node::Node;
use super::{FaultCounts, Random, SimClock, SimDisk, SimEntropy, Snapshot};

const DEPLOYMENT: &str = "simulated";

/// What really happened in a run. A run in which nothing happened has tested nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn add(&mut self, what: &'static str, count: u64) {
        if count > 0 {
            *self.counts.entry(what).or_default() += count;
        }
    }

    /// How often something happened.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Adds another run's counts.
    pub fn join(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            self.add(what, *count);
        }
    }

    fn add_faults(&mut self, faults: &FaultCounts) {
        self.add("fault: write error", faults.write_errors);
        self.add("fault: short write", faults.short_writes);
        self.add("fault: sync error", faults.sync_errors);
        self.add("fault: write dropped by a failed sync", faults.writes_dropped_by_sync);
        self.add("fault: read error", faults.read_errors);
        self.add("fault: read rot", faults.read_rots);
        self.add("fault: name error", faults.entry_errors);
        self.add("fault: disk full", faults.full);
        self.add("fault: call failed in a storm", faults.storms);
        self.add("fault: power off in a call", faults.power_offs);
        self.add("crash: power cuts", faults.crashes);
        self.add("crash: kills", faults.kills);
        self.add("crash: writes kept", faults.writes_kept);
        self.add("crash: writes torn", faults.writes_torn);
        self.add("crash: writes lost", faults.writes_lost);
        self.add("crash: names lost", faults.entries_lost);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.counts {
            writeln!(f, "{count:>12}  {what}")?;
        }
        Ok(())
    }
}

/// The files of all disks at the end, by disk and path.
pub type Images = BTreeMap<String, Vec<u8>>;

/// A run that held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What happened.
    pub tally: Tally,
    /// What is on the disks.
    pub images: Images,
    /// Every step.
    pub trace: Vec<String>,
}

/// A run that did not hold.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What did not hold.
    pub what: String,
    /// Every step up to it.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, what, trace } = self;
        for (number, step) in trace.iter().enumerate() {
            writeln!(f, "{number:>5}  {step}")?;
        }
        writeln!(f, "seed {seed} failed: {what}")?;
        write!(f, "replay: cargo xtask sim --seeds 1 --start {seed}")
    }
}

/// Runs one seed.
///
/// # Errors
/// [`Failure`] when the ledger is not what it must be, a reopen is refused without a reason, or the
/// engine panics.
pub fn run(seed: u64) -> Result<Held, Box<Failure>> {
    let mut run = Run::new(seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| run.live()));
    let what = match outcome {
        Ok(Ok(())) => return Ok(run.held()),
        Ok(Err(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            format!("panic: {}", text.unwrap_or_default())
        }
    };
    // The node may be what panicked; whatever it still holds dies with the disk's generation.
    Err(Box::new(Failure { seed, what, trace: std::mem::take(&mut run.trace) }))
}

/// What a check or a step says when the ledger is wrong.
type Outcome = Result<(), String>;

/// How a seed likes to live: drawn once, so that seeds differ in kind and not only in detail.
#[derive(Debug, Clone)]
struct Temper {
    steps: u64,
    /// Of 1000 events, how many carry personal records.
    persons: u32,
    /// Of 1000 steps, how many begin a fault phase, stop the node, advance the pipeline only.
    fault: u32,
    stop: u32,
    lazy: u32,
    /// Of 1000 pieces of the node's work, how many are done in a storm.
    storm: u32,
    /// Of 1000 chances, how many write the head.
    head: u32,
    probe: u32,
    /// Weights of the steps, by their number.
    weights: Vec<u64>,
}

/// A run in the making.
struct Run {
    random: Random,
    temper: Temper,
    disk: SimDisk,
    /// The same as `disk` in some seeds.
    head: SimDisk,
    shares_disk: bool,
    clock: Arc<SimClock>,
    world: World,
    config: LedgerConfig,
    pace: BlockPace,
    node: Option<Node>,
    model: Model,
    /// Everything ever sent.
    book: Vec<Sent>,
    /// What good events were written from, to write others with their id.
    facts: BTreeMap<usize, Facts>,
    producers: Vec<Producer>,
    /// Ids of events that were refused and never sent again in a good way.
    refused: BTreeSet<[u8; 16]>,
    /// Events answered `recorded`, by index: never twice.
    answered: BTreeSet<u64>,
    /// Answers `refused` since the last block.
    refusals: u64,
    /// The leaves of a batch whose writing failed: all of them are there, or none.
    in_doubt: Vec<Vec<u8>>,
    /// How far streams were read, by what is committed; and if the batch in doubt is there.
    streams: StreamTable,
    streams_in_doubt: Option<StreamTable>,
    /// Draws of its own, so that what else happens in a seed does not hang on it.
    stream_random: Random,
    /// Whether the disk has failed since the node was opened, or may do so.
    faulty: bool,
    /// Each person's newest handle.
    users: BTreeMap<String, [u8; 16]>,
    /// What follows an open node.
    readers: Readers,
    /// How often the node was opened.
    openings: u64,
    /// Whether the verifier behind the head is at work.
    watching: bool,
    /// The latest that the schedule saw on the clock.
    latest: i64,
    /// Older states of the data disk, with the ledger's size.
    copies: Vec<(u64, Snapshot)>,
    /// Handles whose frames are still to be zeroed.
    to_zero: Vec<[u8; 16]>,
    trace: Vec<String>,
    tally: Tally,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed).fork("schedule");
        let disk = SimDisk::new(seed);
        let shares_disk = random.chance(250);
        let head = if shares_disk { disk.clone() } else { SimDisk::new(!seed) };
        let keys = SimDisk::new(seed ^ 0x6b65_7973);
        let clock = Arc::new(SimClock::new(START_NANOS));
        let entropy = Arc::new(SimEntropy::new(seed));
        let ring = KeyRing::open_or_create(&keys, entropy.as_ref());
        let world = World {
            disk: Arc::new(disk.clone()),
            head_disk: Arc::new(head.clone()),
            clock: clock.clone(),
            entropy,
            keys: Arc::new(ring.expect("a disk without faults takes the keys")),
        };
        let config = draw_config(&mut random);
        let temper = draw_temper(&mut random);
        let pace = BlockPace {
            interval_nanos: random.range(1_000_000..3_000_000_000),
            empty_interval_nanos: 60_000_000_000,
        };
        Self {
            random,
            temper,
            disk,
            head,
            shares_disk,
            clock,
            world,
            config,
            pace,
            node: None,
            model: Model::new(DEPLOYMENT),
            book: Vec::new(),
            facts: BTreeMap::new(),
            producers: Vec::new(),
            refused: BTreeSet::new(),
            answered: BTreeSet::new(),
            refusals: 0,
            in_doubt: Vec::new(),
            streams: StreamTable::default(),
            streams_in_doubt: None,
            stream_random: Random::new(seed).fork("streams"),
            faulty: false,
            users: BTreeMap::new(),
            readers: Readers::default(),
            openings: 0,
            watching: false,
            latest: START_NANOS,
            copies: Vec::new(),
            to_zero: Vec::new(),
            trace: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// The life of a ledger, to a clean end.
    fn live(&mut self) -> Outcome {
        self.note(format!("{:?} {:?}", self.temper, self.config));
        self.reopen(false)?;
        for _ in 0..self.temper.steps {
            self.step()?;
        }
        self.quiet();
        if self.node.is_none() {
            self.reopen(false)?;
        }
        self.settle()?;
        let clean = self.shut_down()?;
        self.reopen(clean)?;
        self.shut_down()?;
        self.tally.add("runs", 1);
        Ok(())
    }

    fn note(&mut self, what: String) {
        self.trace.push(what);
    }

    fn held(mut self) -> Held {
        self.node = None;
        self.tally.add_faults(&self.disk.counts());
        let mut images = Images::new();
        let mut keep = |name: &str, disk: &SimDisk| {
            let image = disk.image().into_iter();
            images.extend(image.map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        };
        keep("data", &self.disk);
        if !self.shares_disk {
            self.tally.add_faults(&self.head.counts());
            keep("head", &self.head);
        }
        Held { tally: self.tally, images, trace: self.trace }
    }
}

/// Small segments, ranges and slot files, so that a short life sees many of each.
fn draw_config(random: &mut Random) -> LedgerConfig {
    let mut config = LedgerConfig {
        deployment: DEPLOYMENT.into(),
        origin: "ledgerline.test/simulated".into(),
        segment_bytes: random.range(4 << 10..64 << 10),
        vault_slots: 1 + random.index(12),
        sibling_deployments: vec!["sibling".into()],
        ..LedgerConfig::default()
    };
    config.index.range_log2 = 1 + u32::try_from(random.below(5)).expect("small");
    config.index.fan_in = 2 + u32::try_from(random.below(3)).expect("small");
    config.index.max_level = u32::try_from(random.below(4)).expect("small");
    config.index.step_bytes = random.range(64..4096);
    config
}

fn draw_temper(random: &mut Random) -> Temper {
    let rate = |random: &mut Random, rates: &[u32]| *random.choose(rates);
    let weights = steps::WEIGHTS.iter().enumerate().map(|(number, weight)| {
        // Swarm testing: in every seed some steps never happen, others often. Those that read the
        // whole ledger are dear, and happen in fewer seeds.
        let is_dear = steps::DEAR.contains(&number);
        let factor = *random.choose(if is_dear { &[0, 0, 0, 0, 1] } else { &[0, 1, 2, 4, 4] });
        weight * factor
    });
    let weights = weights.collect();
    Temper {
        steps: random.range(40..220),
        persons: rate(random, &[0, 200, 500]),
        fault: rate(random, &[0, 0, 20, 60]),
        stop: rate(random, &[5, 20, 60]),
        lazy: rate(random, &[0, 100, 500]),
        storm: rate(random, &[0, 0, 100, 400]),
        head: rate(random, &[0, 200, 800]),
        probe: rate(random, &[0, 100, 400]),
        weights,
    }
}
