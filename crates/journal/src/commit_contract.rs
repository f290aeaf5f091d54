//! The contract suite of [`CommitStore`]: what every implementation does, faults included.
//!
//! Promises: each clause below is tried over many seeds, and a store that breaks one is told which.
//!
//! - `read_back`: what was committed is read again, in order, with its stream table.
//! - `durable`: a power cut right behind a commit takes nothing of it.
//! - `whole`: after any failure a batch is there whole, with its stream table, or not at all.
//! - `poisoned`: after a failure the same writer commits nothing more.
//! - `twice`: a second fault while the first is recovered from changes none of it.
//! - `epochs`: nobody commits without an epoch above the head's.
//! - `fenced`: a writer that was overtaken commits nothing, and what overtook it stands.
//!
//! Assumes: [`StoreWorld`] does what its faults say; `crash` may take what is not durable.

use ledgerline_proof::hash::leaf_hash;
use ledgerline_proof::tree::Frontier;

use crate::commit_store::{CommitBatch, CommitError, CommitStore, Committer};
use crate::format::JournalLeaf;
use crate::streams::{NextPosition, StreamId, StreamMark, StreamState, StreamTable};

/// What goes wrong from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// Nothing.
    None,
    /// Writes fail, having taken effect or not.
    WriteFails,
    /// Writes fail half-way.
    WriteTears,
    /// What makes writes durable fails, and what it covers is lost or not.
    SyncFails,
    /// The power goes after so many more changes.
    PowerGoes {
        /// How many.
        after: u64,
    },
}

/// A world with one ledger in it, in which processes open its store and die.
pub trait StoreWorld {
    /// Makes the store with `leaves` as its first batch, for the first writer.
    ///
    /// # Errors
    /// Why it cannot be made.
    fn create(&mut self, leaves: &[JournalLeaf]) -> Result<Box<dyn CommitStore>, String>;

    /// Opens the store as a new process does. Writers that are open stay so.
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn open(&mut self) -> Result<Box<dyn CommitStore>, String>;

    /// What goes wrong from now on.
    fn set_fault(&mut self, fault: StoreFault);

    /// Cuts the power: whoever has the store open is gone, and what is not durable may be.
    fn crash(&mut self);
}

/// A clause that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which, by its name above.
    pub clause: &'static str,
    /// How it showed.
    pub what: String,
}

/// Runs the suite over worlds made from seeds.
///
/// # Errors
/// The first clause that does not hold.
pub fn commit_store_contract(
    make: &mut dyn FnMut(u64) -> Box<dyn StoreWorld>,
    seeds: u64,
) -> Result<(), Broken> {
    use StoreFault::{PowerGoes, SyncFails, WriteFails, WriteTears};
    for seed in 0..seeds {
        read_back(&mut Story::begin(make(seed))?)?;
        durable(&mut Story::begin(make(seed))?)?;
        for fault in [WriteFails, WriteTears, SyncFails, PowerGoes { after: seed % 5 }] {
            whole(&mut Story::begin(make(seed))?, fault)?;
            twice(&mut Story::begin(make(seed))?, fault, seed % 7)?;
        }
        epochs(&mut Story::begin(make(seed))?)?;
        // A long batch begins a segment of its own.
        for leaf_bytes in [10, 20_000] {
            fenced(&mut Story::begin(make(seed))?, leaf_bytes)?;
        }
    }
    Ok(())
}

type Outcome = Result<(), Broken>;

fn broken<T>(clause: &'static str, what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { clause, what: what.into() })
}

/// What the ledger is after a batch.
#[derive(Clone, Default)]
struct State {
    frontier: Frontier,
    leaves: Vec<Vec<u8>>,
    streams: StreamTable,
}

struct Story {
    world: Box<dyn StoreWorld>,
    writer: Option<Committer>,
    state: State,
    /// What the ledger is if a batch whose commit failed is there after all.
    in_doubt: Option<State>,
    batches: u64,
}

impl Story {
    fn begin(mut world: Box<dyn StoreWorld>) -> Result<Self, Broken> {
        let mut state = State::default();
        let leaves = vec![leaf(0, 10)];
        state.add(&leaves);
        let store = world.create(&leaves);
        let store = store.or_else(|why| broken("read_back", format!("no store: {why}")))?;
        let writer = Some(Committer::new(store));
        Ok(Self { world, writer, state, in_doubt: None, batches: 1 })
    }

    /// Commits a batch of some leaves, every other one with marks.
    fn commit(&mut self, leaf_bytes: usize) -> Result<(), CommitError> {
        let number = self.batches;
        self.batches += 1;
        let leaves: Vec<_> = (0..=number % 3).map(|_| leaf(number, leaf_bytes)).collect();
        let mut next = self.state.clone();
        next.add(&leaves);
        if number.is_multiple_of(2) {
            next.streams.advance(&marks(number)).expect("few and short");
        }
        let batch = CommitBatch {
            leaves: &leaves,
            root: next.frontier.root(),
            streams: number.is_multiple_of(2).then_some(&next.streams),
            previous_signature: &[7; 64],
        };
        let writer = self.writer.as_mut().expect("a writer is open");
        match writer.commit(&batch) {
            Ok((committed, placed)) => {
                assert_eq!(committed.size(), next.frontier.size());
                assert_eq!(placed.positions.len(), leaves.len(), "a place for every leaf");
                self.state = next;
                Ok(())
            }
            Err(error) => {
                self.in_doubt = Some(next);
                Err(error)
            }
        }
    }

    fn must_commit(&mut self, clause: &'static str) -> Outcome {
        let done = self.commit(10);
        done.or_else(|error| broken(clause, format!("a commit without a fault failed: {error}")))
    }

    /// Opens the store anew and holds it against what was committed.
    fn reopen(&mut self, clause: &'static str) -> Outcome {
        let store = self.world.open();
        let store = store.or_else(|why| broken(clause, format!("it does not open: {why}")))?;
        let head = store.head();
        let found = |state: &State| {
            (head.size, head.root) == (state.frontier.size(), state.frontier.root())
        };
        if let Some(state) = self.in_doubt.take().filter(|state| found(state)) {
            self.state = state;
        }
        let expected = self.state.frontier.size();
        if !found(&self.state) {
            return broken(clause, format!("{} leaves of {expected}, or others", head.size));
        }
        if *store.streams() != self.state.streams {
            return broken(clause, "the stream table is not that of the last batch");
        }
        for from in [0, expected / 2, expected] {
            let (mut leaves, mut end) = (Vec::new(), from);
            let read = store.batches(from, &mut |batch| {
                leaves.extend(batch.leaves().map(|(_, leaf)| leaf.to_vec()));
                end = batch.commit.size;
            });
            read.or_else(|error| broken(clause, format!("it cannot be read: {error}")))?;
            if end != expected || !self.state.leaves.ends_with(&leaves) {
                return broken(clause, format!("other leaves behind {from}"));
            }
            if (leaves.len() as u64) < expected - from {
                return broken(clause, format!("too few leaves behind {from}"));
            }
        }
        let mut writer = Committer::new(store);
        writer.take().or_else(|error| broken(clause, format!("it is not to be had: {error}")))?;
        self.writer = Some(writer);
        Ok(())
    }
}

impl State {
    fn add(&mut self, leaves: &[JournalLeaf]) {
        for leaf in leaves {
            self.frontier.push(leaf_hash(&leaf.bytes));
            self.leaves.push(leaf.bytes.clone());
        }
    }
}

fn leaf(number: u64, bytes: usize) -> JournalLeaf {
    let bytes = format!("leaf of batch {number} {}", "x".repeat(bytes)).into_bytes();
    JournalLeaf { bytes, ..JournalLeaf::default() }
}

/// One part of a stream that goes on, one that ends.
fn marks(number: u64) -> [StreamMark; 2] {
    let stream = StreamId { id: [3; 16], name: "somewhere".into() };
    let goes_on = StreamMark {
        stream,
        part: Box::new([0, 0, 0, 1]),
        next: NextPosition::new(&number.to_be_bytes()),
        leader_epoch: 4,
        state: StreamState::Open,
    };
    let part = number.to_string().into_bytes().into();
    let ended = StreamMark { part, state: StreamState::Ended, ..goes_on.clone() };
    [goes_on, ended]
}

fn read_back(story: &mut Story) -> Outcome {
    for _ in 0..12 {
        story.must_commit("read_back")?;
    }
    story.reopen("read_back")?;
    story.must_commit("read_back")?;
    story.reopen("read_back")
}

fn durable(story: &mut Story) -> Outcome {
    for _ in 0..4 {
        story.must_commit("durable")?;
        story.world.crash();
        story.reopen("durable")?;
    }
    Ok(())
}

/// Commits under a fault until one fails; gives whether one did.
fn fail(story: &mut Story, fault: StoreFault) -> Result<bool, Broken> {
    story.must_commit("whole")?;
    story.world.set_fault(fault);
    for _ in 0..16 {
        if story.commit(10).is_err() {
            let in_doubt = story.in_doubt.clone();
            if !matches!(story.commit(10), Err(CommitError::Poisoned)) {
                return broken("poisoned", "a writer that failed is not stopped");
            }
            story.in_doubt = in_doubt;
            return Ok(true);
        }
    }
    Ok(false)
}

fn whole(story: &mut Story, fault: StoreFault) -> Outcome {
    if !fail(story, fault)? {
        return broken("whole", format!("{fault:?} never showed: nothing was tried"));
    }
    story.world.set_fault(StoreFault::None);
    story.world.crash();
    story.reopen("whole")?;
    story.must_commit("whole")?;
    story.reopen("whole")
}

fn twice(story: &mut Story, fault: StoreFault, after: u64) -> Outcome {
    fail(story, fault)?;
    story.world.crash();
    story.world.set_fault(StoreFault::PowerGoes { after });
    let _ = story.world.open();
    story.world.set_fault(StoreFault::None);
    story.world.crash();
    story.reopen("twice")?;
    story.must_commit("twice")?;
    story.world.crash();
    story.reopen("twice")
}

fn epochs(story: &mut Story) -> Outcome {
    story.must_commit("epochs")?;
    let opened = |story: &mut Story| {
        let store = story.world.open();
        store.or_else(|why| broken("epochs", format!("it does not open: {why}")))
    };
    let mut store = opened(story)?;
    let epoch = store.head().epoch;
    if store.take(epoch).is_ok() {
        return broken("epochs", "an epoch is given out twice");
    }
    let store = opened(story)?;
    story.writer = Some(Committer::new(store));
    if !matches!(story.commit(10), Err(CommitError::Fenced)) {
        return broken("epochs", "who never took the store commits");
    }
    story.in_doubt = None;
    story.reopen("epochs")
}

fn fenced(story: &mut Story, leaf_bytes: usize) -> Outcome {
    story.must_commit("fenced")?;
    let overtaken = story.writer.take();
    story.reopen("fenced")?;
    if let Err(error) = story.commit(leaf_bytes) {
        return broken("fenced", format!("who took the store cannot commit: {error}"));
    }
    let state = story.state.clone();
    let overtaker = std::mem::replace(&mut story.writer, overtaken);
    // It plans against what it knows: the state before it was overtaken, or any other.
    if !matches!(story.commit(10), Err(CommitError::Fenced)) {
        return broken("fenced", "a writer that was overtaken is not told so");
    }
    (story.in_doubt, story.state, story.writer) = (None, state, overtaker);
    story.must_commit("fenced")?;
    story.world.crash();
    story.reopen("fenced")
}
