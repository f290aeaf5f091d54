//! The threads of an emitter, and what they share.
//!
//! ```text
//! worker   every `linger`: drains the slots, makes units, pushes them to the backlog, spills what
//!          is due, and makes heartbeats when they are
//! sender   takes a batch of the backlog, hands it to the transport, resolves or releases it
//! watcher  compares checkpoints, if the log is watched
//! ```
//!
//! Promises: callers are never waited for; no lock is held while the transport works or the disk
//! syncs. What others plugged in (transport, hooks) may panic: that counts as a failure of theirs.

mod sender;
mod watcher;
mod worker;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ledgerline_proof::checkpoint::Checkpoint;

use crate::backlog::Backlog;
use crate::counts::{Counters, Counts, Refusal, Refusals, add, value};
use crate::prepare::{Preparer, Unfit};
use crate::seen::Watch;
use crate::settings::{Hooks, Limiting};
use crate::slots::Slots;
use crate::spool::{Spool, SpoolError, ToSync};
use crate::transport::Transport;

/// For which a stop waits for the worker in any case: it only has to empty the queue.
const DRAIN: Duration = Duration::from_millis(250);
/// Passes of the worker whose failure is remembered until their callers have seen it.
const MAX_FAILED_PASSES: usize = 64;

/// How far the worker has come with what was taken.
#[derive(Default)]
struct Durable {
    /// Every ticket up to this one was handled.
    done: u64,
    /// First and last ticket of passes that are not on the disk, and why.
    failed: VecDeque<(u64, u64, String)>,
    /// Of tickets up to this one nobody knows any more which failed: all count as failed.
    forgotten: u64,
    /// Tasks that wait for the next pass.
    tasks: Vec<Waker>,
}

impl Durable {
    /// What became of a ticket; `None` while it is not handled.
    fn result(&self, ticket: u64) -> Option<Result<(), String>> {
        if ticket <= self.forgotten {
            return Some(Err("it was too long ago to say whether it is on the disk".to_owned()));
        }
        let mut failed = self.failed.iter();
        let failed = failed.find(|(first, last, _)| (*first..=*last).contains(&ticket));
        let result = failed.map_or(Ok(()), |(_, _, why)| Err(why.clone()));
        (self.done >= ticket).then_some(result)
    }

    /// The tickets up to one were handled.
    fn handled(&mut self, up_to: u64, result: Result<(), String>) {
        let first = self.done + 1;
        // A pass without tickets has nobody to tell.
        if up_to < first {
            return;
        }
        self.done = up_to;
        let Err(why) = result else { return };
        if let Some(last) = self.failed.back_mut().filter(|last| last.1 + 1 == first) {
            (last.1, last.2) = (up_to, why);
            return;
        }
        if self.failed.len() == MAX_FAILED_PASSES
            && let Some((_, last, _)) = self.failed.pop_front()
        {
            self.forgotten = last;
        }
        self.failed.push_back((first, up_to, why));
    }
}

/// How a stop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Whether everything was delivered.
    pub is_delivered: bool,
    /// Units that wait in the spool for the next start.
    pub spooled: u64,
    /// Units that were lost: there was no spool, or no room in it.
    pub lost: u64,
}

/// What is known of the log.
#[derive(Default)]
pub(crate) struct SeenLog {
    pub last: Option<Checkpoint>,
    pub alarm: bool,
    /// The newest receipt, still to be looked at.
    pub receipt: Option<String>,
}

pub(crate) struct Shared {
    pub limiting: Limiting,
    pub slots: Mutex<Slots>,
    pub backlog: Mutex<Backlog>,
    /// Told with `backlog`: there is something to send, or nothing left.
    pub work: Condvar,
    pub counters: Counters,
    pub refusals: Mutex<Refusals>,
    pub seen: Mutex<SeenLog>,
    pub hooks: Hooks,
    /// Whether the worker was told that the queue fills.
    pub is_awake: AtomicBool,
    /// Durable mode: neither spool nor memory takes more, so nobody should begin to wait.
    pub is_jammed: AtomicBool,
    woken: Mutex<bool>,
    wake: Condvar,
    durable: Mutex<Durable>,
    durable_changed: Condvar,
    stopping: AtomicBool,
    /// Units that the worker has taken out of the slots and not put into the backlog.
    in_hand: AtomicU64,
    /// The worker has made its last unit.
    drained: AtomicBool,
    /// Nobody waits for the sender any more.
    abandoned: AtomicBool,
    stopped: Mutex<Option<Stopped>>,
}

/// A lock that a panic elsewhere does not take away: what it guards is consistent between calls.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unix nanoseconds by the wall clock.
pub(crate) fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Calls what others plugged in; `None` when it panicked.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

pub(crate) fn start(
    shared: &Arc<Shared>,
    preparer: Preparer,
    transport: Box<dyn Transport>,
    watch: Option<Watch>,
) -> Result<(), std::io::Error> {
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(format!("ledgerline-{name}")).spawn(run).map(drop)
    };
    let of = Arc::clone(shared);
    spawn("worker", Box::new(move || worker::run(&of, &preparer)))?;
    let of = Arc::clone(shared);
    spawn("sender", Box::new(move || sender::run(&of, transport)))?;
    if let Some(watch) = watch {
        let of = Arc::clone(shared);
        spawn("watcher", Box::new(move || watcher::run(&of, watch)))?;
    }
    Ok(())
}

impl Shared {
    pub fn new(limiting: Limiting, backlog: Backlog, hooks: Hooks, boot: [u8; 8]) -> Self {
        let slots = Slots::new(limiting.queue_events, limiting.queue_bytes, boot);
        Self {
            limiting,
            slots: Mutex::new(slots),
            backlog: Mutex::new(backlog),
            work: Condvar::new(),
            counters: Counters::default(),
            refusals: Mutex::default(),
            seen: Mutex::default(),
            hooks,
            is_awake: AtomicBool::new(false),
            is_jammed: AtomicBool::new(false),
            woken: Mutex::new(false),
            wake: Condvar::new(),
            durable: Mutex::default(),
            durable_changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            in_hand: AtomicU64::new(0),
            drained: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            stopped: Mutex::new(None),
        }
    }

    pub fn wake_worker(&self) {
        *lock(&self.woken) = true;
        self.wake.notify_one();
    }

    /// Waits for the worker's turn; whether it was woken.
    fn wait_turn(&self, longest: Duration) {
        let mut woken = lock(&self.woken);
        if !*woken {
            let waited = self.wake.wait_timeout(woken, longest);
            woken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *woken = false;
        self.is_awake.store(false, Ordering::Relaxed);
    }

    /// Waits until a ticket's event is on the disk.
    pub fn wait_durable(&self, ticket: u64) -> Result<(), String> {
        let mut durable = lock(&self.durable);
        loop {
            if let Some(result) = durable.result(ticket) {
                return result;
            }
            let waited = self.durable_changed.wait(durable);
            durable = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`Self::wait_durable`], for a task.
    pub fn poll_durable(&self, ticket: u64, context: &Context<'_>) -> Poll<Result<(), String>> {
        let mut durable = lock(&self.durable);
        match durable.result(ticket) {
            Some(result) => Poll::Ready(result),
            None => {
                durable.tasks.push(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The tickets up to one were handled.
    fn publish_durable(&self, up_to: u64, result: Result<(), String>) {
        let mut durable = lock(&self.durable);
        durable.handled(up_to, result);
        self.durable_changed.notify_all();
        let tasks = std::mem::take(&mut durable.tasks);
        drop(durable);
        tasks.into_iter().for_each(Waker::wake);
    }

    /// Syncs the spool, without its lock.
    pub fn sync(&self, what: Option<ToSync>) -> Result<(), String> {
        let Some(what) = what else { return Ok(()) };
        match what.sync() {
            Ok(()) => {
                lock(&self.backlog).synced(&what);
                Ok(())
            }
            Err(error) => {
                lock(&self.backlog).sync_failed();
                Err(error.to_string())
            }
        }
    }

    pub fn note_spilled(&self, spilled: &Result<usize, SpoolError>) {
        if let Ok(count) = spilled {
            add(&self.counters.spilled, *count);
        }
    }

    pub fn refuse(&self, event_id: [u8; 16], why: crate::transport::Refused) {
        let refusal = Refusal { event_id, why };
        if let Some(call) = &self.hooks.on_refused {
            guarded(|| call(&refusal));
        }
        lock(&self.refusals).refuse(refusal);
    }

    fn refuse_unfit(&self, unfit: Vec<Unfit>) {
        unfit.into_iter().for_each(|one| self.refuse(one.event_id, one.why));
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire)
    }

    pub fn counts(&self) -> Counts {
        let slots = lock(&self.slots);
        let (queued, next_seq, gaps) = (slots.len(), slots.next_seq(), slots.gaps().to_vec());
        drop(slots);
        let backlog = lock(&self.backlog);
        let spool = backlog.spool();
        let damage = spool.map(Spool::damage).unwrap_or_default();
        let oldest = backlog.oldest().map_or(0, |at| wall().saturating_sub(at) / 1_000_000);
        let mut counts = Counts {
            buffered: (queued + backlog.waiting()) as u64,
            spooled: spool.map_or(0, Spool::records),
            spool_bytes: spool.map_or(0, Spool::bytes),
            torn_bytes: damage.torn_bytes,
            damaged: damage.damaged + backlog.unreadable(),
            spool_failed: spool.is_some_and(Spool::has_failed),
            oldest_ms: u64::try_from(oldest).unwrap_or_default(),
            next_seq,
            gaps,
            ..Counts::default()
        };
        drop(backlog);
        let counters = &self.counters;
        counts.emitted = value(&counters.emitted);
        counts.sent = value(&counters.sent);
        counts.duplicates = value(&counters.duplicates);
        counts.dropped = value(&counters.dropped);
        counts.rejected = value(&counters.rejected);
        counts.spilled = value(&counters.spilled);
        counts.unnamed = value(&counters.unnamed);
        counts.held_skipped = value(&counters.held_skipped);
        counts.seen_unknown = value(&counters.seen_unknown);
        let refusals = lock(&self.refusals);
        counts.refused = refusals.by_code.clone();
        counts.retries = refusals.retries.clone();
        counts.denied = refusals.denied.clone();
        counts.away = refusals.away.clone().map(|(why, since)| (why, since.elapsed()));
        drop(refusals);
        let seen = lock(&self.seen);
        counts.seen_size = seen.last.as_ref().map(Checkpoint::size);
        counts.seen_alarm = seen.alarm;
        counts
    }

    /// Units that the worker has not put into the backlog; to be called with its lock.
    fn undrained(&self) -> u64 {
        let slots = lock(&self.slots);
        slots.units() as u64 + self.in_hand.load(Ordering::Relaxed)
    }

    pub fn stop(&self, timeout: Duration) -> Stopped {
        let mut stopped = lock(&self.stopped);
        if let Some(stopped) = *stopped {
            return stopped;
        }
        let until = Instant::now() + timeout;
        lock(&self.slots).closed = true;
        // Under this lock: whoever holds it and is not told of the stop has handed over in time.
        let mut backlog = lock(&self.backlog);
        self.stopping.store(true, Ordering::Release);
        self.wake_worker();
        let drained_until = until.max(Instant::now() + DRAIN);
        while !(self.is_drained() && backlog.is_empty()) {
            let until = if self.is_drained() { until } else { drained_until };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.work.wait_timeout(backlog, left.min(Duration::from_millis(50)));
            backlog = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.abandoned.store(true, Ordering::Release);
        let is_delivered = self.is_drained() && backlog.is_empty();
        let spilled = backlog.spill(None);
        self.note_spilled(&spilled);
        // What the worker has not made into units yet may still get there, but nobody waits.
        let undrained = if self.is_drained() { 0 } else { self.undrained() };
        let spooled = backlog.spool().map_or(0, Spool::records);
        let lost = backlog.waiting() as u64 + undrained;
        let to_sync = backlog.to_sync().filter(|_| spooled > 0);
        drop(backlog);
        self.work.notify_all();
        let is_synced = self.sync(to_sync).is_ok();
        let (spooled, lost) = if is_synced { (spooled, lost) } else { (0, lost + spooled) };
        let end = Stopped { is_delivered, spooled, lost };
        *stopped = Some(end);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_was_forgotten_is_no_success() {
        let mut durable = Durable::default();
        let passes = MAX_FAILED_PASSES as u64 + 5;
        for pass in 0..passes {
            durable.handled(pass * 2 + 1, Err("no disk".to_owned()));
            durable.handled(pass * 2 + 1, Err("a pass without tickets".to_owned()));
            durable.handled(pass * 2 + 2, Ok(()));
        }
        for pass in 0..passes {
            assert!(matches!(durable.result(pass * 2 + 1), Some(Err(_))), "{pass}");
        }
        assert_eq!(durable.result(passes * 2), Some(Ok(())));
        assert_eq!(durable.result(passes * 2 + 1), None);
    }
}
