//! All that is not delivered yet, in one order: first what lies in the spool, then what is in
//! memory.
//!
//! ```text
//! delivered | spool: oldest … | memory: … newest
//!             ^^^^^^^^^^^^^^^^^^^^^^ one batch of these is on its way
//! ```
//!
//! Promises: [`Backlog::take`] gives the oldest units, and gives them again until
//! [`Backlog::resolve`] says that their fate is known. What is written to the spool keeps its place
//! in the order, also while it is on its way.
//!
//! Refuses: a second batch on its way. Order per target would be lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::spool::{OVERHEAD, Position, Spool, SpoolError, ToSync};
use crate::unit::Unit;

/// A unit in memory, and since when.
struct Waiting {
    unit: Arc<Unit>,
    since: Instant,
}

/// The batch that is on its way.
#[derive(Default)]
struct Underway {
    /// Its units that are in the spool: how many, and where the last of them ends.
    spooled: u64,
    spool_end: Option<Position>,
    /// Its units that are in memory, the first ones there.
    waiting: usize,
}

/// What a batch may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub events: usize,
    pub bytes: usize,
}

pub(crate) struct Backlog {
    spool: Option<Spool>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    underway: Underway,
    /// Units in the spool that could not be read back as units.
    unreadable: u64,
    oldest_spooled: Option<i64>,
}

impl Backlog {
    pub fn new(spool: Option<Spool>) -> Self {
        let (waiting, underway) = (VecDeque::new(), Underway::default());
        let mut backlog = Self {
            spool,
            waiting,
            waiting_bytes: 0,
            underway,
            unreadable: 0,
            oldest_spooled: None,
        };
        backlog.note_oldest();
        backlog
    }

    pub fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.spool.as_ref().is_none_or(Spool::is_empty)
    }

    /// Units in memory.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of the units in memory.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Records of the spool that were no units.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// When the oldest that waits was emitted, Unix nanoseconds.
    pub fn oldest(&self) -> Option<i64> {
        self.oldest_spooled.or_else(|| Some(self.waiting.front()?.unit.emitted_at()))
    }

    /// Since when the oldest unit is in memory.
    pub fn in_memory_since(&self) -> Option<Instant> {
        self.waiting.front().map(|one| one.since)
    }

    /// Puts a unit behind all others, in memory.
    pub fn push(&mut self, unit: Unit, since: Instant) {
        self.waiting_bytes += unit.weight();
        self.waiting.push_back(Waiting { unit: Arc::new(unit), since });
    }

    /// Takes the newest units out again, at most so many, and none that is on its way. Gives their
    /// events.
    pub fn take_back(&mut self, units: usize) -> usize {
        let free = self.waiting.len() - self.underway.waiting;
        let kept = self.waiting.len() - units.min(free);
        let mut events = 0;
        for one in self.waiting.drain(kept..) {
            self.waiting_bytes -= one.unit.weight();
            events += one.unit.ids().len();
        }
        events
    }

    /// Whether the spool has room for all that is in memory and as many bytes more.
    pub fn has_room(&self, weight: usize, units: usize) -> bool {
        let records = self.waiting.len() + units;
        // A unit's weight covers its bytes in the spool; segments end early, hence the slack.
        let needed = (self.waiting_bytes + weight + records * OVERHEAD) as u64;
        self.spool.as_ref().is_some_and(|spool| spool.room() >= needed)
    }

    /// Writes what is in memory to the spool: all, or what is older than an age.
    ///
    /// # Errors
    /// `Full` when not all of it found room; what is left stays in memory, in order.
    pub fn spill(&mut self, age: Option<Duration>) -> Result<usize, SpoolError> {
        let Some(spool) = &mut self.spool else { return Err(SpoolError::Full) };
        let now = Instant::now();
        let is_due = |one: &&Waiting| age.is_none_or(|age| now.duration_since(one.since) >= age);
        let due = self.waiting.iter().take_while(is_due).count();
        if due == 0 {
            return Ok(0);
        }
        if self.oldest_spooled.is_none() {
            self.oldest_spooled = self.waiting.front().map(|one| one.unit.emitted_at());
        }
        let payloads: Vec<Vec<u8>> =
            self.waiting.iter().take(due).map(|one| one.unit.encode()).collect();
        let ends = spool.append(&payloads);
        let ends = ends.inspect_err(|_| self.oldest_spooled = None)?;
        for (one, end) in self.waiting.drain(..ends.len()).zip(&ends) {
            self.waiting_bytes -= one.unit.weight();
            if self.underway.waiting > 0 {
                self.underway.waiting -= 1;
                self.underway.spooled += 1;
                self.underway.spool_end = Some(*end);
            }
        }
        if spool.is_empty() {
            self.oldest_spooled = None;
        }
        if ends.len() < due { Err(SpoolError::Full) } else { Ok(due) }
    }

    /// What of the spool is to be synced, see [`Spool::to_sync`].
    pub fn to_sync(&self) -> Option<ToSync> {
        self.spool.as_ref().and_then(Spool::to_sync)
    }

    pub fn synced(&mut self, what: &ToSync) {
        if let Some(spool) = &mut self.spool {
            spool.synced(what);
        }
    }

    pub fn sync_failed(&mut self) {
        if let Some(spool) = &mut self.spool {
            spool.sync_failed();
        }
    }

    /// The oldest units, for one request: of one form, at least one when there is any.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub fn take(&mut self, limits: Limits) -> Result<Vec<Arc<Unit>>, SpoolError> {
        assert!(self.underway.spooled == 0 && self.underway.waiting == 0, "one batch at a time");
        let from_spool = self.take_spooled(limits)?;
        if !from_spool.is_empty() {
            return Ok(from_spool);
        }
        let mut batch: Vec<Arc<Unit>> = Vec::new();
        let mut left = limits;
        for one in &self.waiting {
            if !fits(&batch, &one.unit, &mut left) {
                break;
            }
            batch.push(Arc::clone(&one.unit));
        }
        self.underway.waiting = batch.len();
        Ok(batch)
    }

    fn take_spooled(&mut self, limits: Limits) -> Result<Vec<Arc<Unit>>, SpoolError> {
        let Some(spool) = &mut self.spool else { return Ok(Vec::new()) };
        while !spool.is_empty() {
            let mut batch = Vec::new();
            let mut left = limits;
            let mut underway = Underway::default();
            let mut bad = 0;
            for (payload, end) in spool.peek(limits.events, limits.bytes)? {
                let Some(unit) = Unit::decode(&payload) else {
                    bad += 1;
                    underway.spooled += 1;
                    underway.spool_end = Some(end);
                    continue;
                };
                if !fits(&batch, &unit, &mut left) {
                    break;
                }
                batch.push(Arc::new(unit));
                underway.spooled += 1;
                underway.spool_end = Some(end);
            }
            self.unreadable += bad;
            if !batch.is_empty() {
                self.underway = underway;
                return Ok(batch);
            }
            // Sound records that are no units: another program's, and of no use to anybody.
            let Some(end) = underway.spool_end else { break };
            spool.advance(end, underway.spooled)?;
        }
        self.note_oldest();
        Ok(Vec::new())
    }

    /// The batch's fate is known: its units are gone.
    ///
    /// # Errors
    /// When the spool cannot note it; the units are gone all the same, until the process ends.
    pub fn resolve(&mut self) -> Result<(), SpoolError> {
        let underway = std::mem::take(&mut self.underway);
        for one in self.waiting.drain(..underway.waiting) {
            self.waiting_bytes -= one.unit.weight();
        }
        let noted = match (&mut self.spool, underway.spool_end) {
            (Some(spool), Some(end)) => spool.advance(end, underway.spooled),
            _ => Ok(()),
        };
        self.note_oldest();
        noted
    }

    /// The batch's fate is not known: its units will be taken again.
    pub fn release(&mut self) {
        self.underway = Underway::default();
    }

    fn note_oldest(&mut self) {
        let Some(spool) = &mut self.spool else { return };
        let first = spool.peek(1, 1).ok().and_then(|mut found| found.pop());
        let unit = first.and_then(|(payload, _)| Unit::decode(&payload));
        self.oldest_spooled = unit.map(|unit| unit.emitted_at());
    }
}

/// Whether a unit can join a batch; takes its share of what is left.
fn fits(batch: &[Arc<Unit>], unit: &Unit, left: &mut Limits) -> bool {
    let (events, bytes) = (unit.ids().len(), unit.body().len() + 1);
    let joins = match batch.first() {
        None => true,
        Some(first) => first.form() == unit.form() && events <= left.events && bytes <= left.bytes,
    };
    if joins {
        left.events = left.events.saturating_sub(events);
        left.bytes = left.bytes.saturating_sub(bytes);
    }
    joins
}
