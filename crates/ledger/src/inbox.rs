//! The inbox: where callers leave work for the sequencer, bounded by bytes.
//!
//! Promises: what was put in is answered once, also when the ledger stops. Full means busy: the
//! caller is told at once, nothing waits in memory beyond the bound. Submissions of one tenant fill
//! half of it at most; a quarter more is for revocations and the ledger's own acts alone, so that
//! nobody's events keep a token alive.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::intake::acts::AdminAct;
use crate::intake::{Accepted, Reply, SubmitAnswer};

/// One tenant's submissions have one part in so many.
const TENANT_PART: usize = 2;
/// What is urgent has one part in so many beyond the bound.
const URGENT_PART: usize = 4;

/// With so much waiting, planning goes on while a batch is synced.
const AHEAD_BYTES: usize = 32 << 10;

/// Work for the sequencer.
pub enum Work {
    /// A submission.
    Submission(Accepted, Reply),
    /// An administrative act.
    Admin(AdminAct, Reply),
}

impl Work {
    fn into_reply(self) -> Reply {
        match self {
            Self::Submission(_, reply) | Self::Admin(_, reply) => reply,
        }
    }

    /// Answers that the ledger stopped: nothing is known of it.
    pub fn stopped(self, why: &str) {
        self.into_reply()(SubmitAnswer {
            stopped: Some(why.to_owned()),
            ..SubmitAnswer::default()
        });
    }

    fn weight(&self) -> usize {
        match self {
            Self::Submission(accepted, _) => {
                let units = accepted.units.iter().map(crate::intake::Unit::weight);
                256 + 128 * accepted.streams.len() + units.sum::<usize>()
            }
            Self::Admin(AdminAct::State(statements), _) => {
                let each = statements.iter().map(|one| 1024 + 128 * one.causes.len());
                1024 + each.sum::<usize>()
            }
            Self::Admin(..) => 1024,
        }
    }
}

/// Why work was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutError {
    /// Full.
    Busy,
    /// Closed for good, and why.
    Closed(String),
}

/// Something that waits.
struct Waits {
    work: Work,
    weight: usize,
    /// Whose share it takes; nobody's for what is urgent.
    tenant: Option<Arc<str>>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Waits>,
    bytes: usize,
    /// Bytes of each tenant that has any. A few at a time.
    shares: Vec<(Arc<str>, usize)>,
    /// With how many waiting bytes the sequencer's thread wants to be woken, while it sleeps.
    /// Waking costs a call of the system, so that nobody wakes who does not sleep.
    wakes_at_bytes: Option<usize>,
    /// Whether it sleeps until the sync thread is idle.
    sleeps_for_sync: bool,
    sync_idle: bool,
    shutdown: bool,
    closed: Option<String>,
}

impl State {
    fn share(&self, tenant: &str) -> usize {
        let found = self.shares.iter().find(|(known, _)| **known == *tenant);
        found.map_or(0, |(_, bytes)| *bytes)
    }

    fn take_share(&mut self, tenant: &Arc<str>, weight: usize) {
        match self.shares.iter_mut().find(|(known, _)| known == tenant) {
            Some((_, bytes)) => *bytes += weight,
            None => self.shares.push((Arc::clone(tenant), weight)),
        }
    }

    fn give_share(&mut self, tenant: &Arc<str>, weight: usize) {
        if let Some(at) = self.shares.iter().position(|(known, _)| known == tenant) {
            let bytes = &mut self.shares[at].1;
            assert!(*bytes >= weight, "a share is what its tenant's work weighs");
            *bytes -= weight;
            if *bytes == 0 {
                self.shares.swap_remove(at);
            }
        }
    }
}

/// What the sequencer's thread wakes up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// Whether the sync thread can take a batch.
    pub sync_idle: bool,
    /// Whether the ledger is shutting down.
    pub shutdown: bool,
    /// Whether it stopped for good.
    pub closed: bool,
    /// What was taken weighs so much.
    pub taken_bytes: usize,
}

/// The room. Shared.
pub struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
    limit_bytes: usize,
}

impl Inbox {
    /// An inbox that holds at most `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        let state = State { sync_idle: true, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), limit_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves work of a tenant; of nobody's share when it is urgent.
    ///
    /// # Errors
    /// [`PutError`], with the work's reply dropped uncalled: the caller knows at once.
    pub fn put(&self, work: Work, tenant: Option<&Arc<str>>) -> Result<(), PutError> {
        let weight = work.weight();
        let mut state = self.lock();
        if let Some(why) = &state.closed {
            return Err(PutError::Closed(why.clone()));
        }
        if state.shutdown {
            return Err(PutError::Closed("the ledger is shutting down".into()));
        }
        // One submission is always taken, however large, so that a large one cannot starve.
        let most = match tenant {
            Some(_) => self.limit_bytes,
            None => self.limit_bytes + self.limit_bytes / URGENT_PART,
        };
        if state.bytes + weight > most && state.bytes > 0 {
            return Err(PutError::Busy);
        }
        if let Some(tenant) = tenant {
            let share = state.share(tenant);
            if share + weight > self.limit_bytes / TENANT_PART && share > 0 {
                return Err(PutError::Busy);
            }
            state.take_share(tenant, weight);
        }
        state.bytes += weight;
        state.queue.push_back(Waits { work, weight, tenant: tenant.cloned() });
        let wakes = state.wakes_at_bytes.is_some_and(|at| state.bytes >= at);
        if wakes {
            state.wakes_at_bytes = None;
        }
        drop(state);
        if wakes {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Whether more submissions of a tenant would be refused as busy, whatever their size.
    #[must_use]
    pub fn is_full(&self, tenant: &str) -> bool {
        let state = self.lock();
        state.bytes >= self.limit_bytes || state.share(tenant) >= self.limit_bytes / TENANT_PART
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Waits until there is work that may be planned (`hungry`), the sync thread is idle while
    /// there is something to hand over (`loaded`), or the timeout. Takes pieces into `out` until
    /// they weigh `most_bytes`. Whoever has something to hand over is not woken for each piece that
    /// comes meanwhile: it takes them when it hands over, or once [`AHEAD_BYTES`] wait.
    pub fn wait(
        &self,
        (hungry, loaded): (bool, bool),
        most_bytes: usize,
        timeout: Duration,
        out: &mut Vec<Work>,
    ) -> Wake {
        // A small inbox is full before so much waits.
        let ahead = AHEAD_BYTES.min(self.limit_bytes / 4).max(1);
        let wakes_at = hungry.then_some(if loaded { ahead } else { 1 });
        let ready = |state: &State| {
            wakes_at.is_some_and(|at| state.bytes >= at)
                || (loaded && state.sync_idle)
                || state.shutdown
                || state.closed.is_some()
        };
        let state = self.lock();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, timeout, |state| {
                let sleeps = !ready(state);
                state.wakes_at_bytes = wakes_at.filter(|_| sleeps);
                state.sleeps_for_sync = sleeps && loaded;
                sleeps
            })
            .unwrap_or_else(PoisonError::into_inner);
        (state.wakes_at_bytes, state.sleeps_for_sync) = (None, false);
        let mut taken_bytes = 0;
        while hungry && taken_bytes < most_bytes {
            let Some(Waits { work, weight, tenant }) = state.queue.pop_front() else { break };
            state.bytes -= weight;
            tenant.inspect(|tenant| state.give_share(tenant, weight));
            taken_bytes += weight;
            out.push(work);
        }
        let closed = state.closed.is_some();
        Wake { sync_idle: state.sync_idle, shutdown: state.shutdown, closed, taken_bytes }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// Says whether the sync thread can take a batch.
    pub fn set_sync_idle(&self, idle: bool) {
        let mut state = self.lock();
        state.sync_idle = idle;
        let wakes = idle && std::mem::take(&mut state.sleeps_for_sync);
        drop(state);
        if wakes {
            self.changed.notify_one();
        }
    }

    /// Takes no more work; what waits is still planned.
    pub fn shut_down(&self) {
        self.lock().shutdown = true;
        self.changed.notify_all();
    }

    /// Whether [`Inbox::shut_down`] was called.
    pub fn is_shut_down(&self) -> bool {
        self.lock().shutdown
    }

    /// Stops for good: whoever waits is told that nothing is known.
    pub fn close(&self, why: &str) {
        let mut state = self.lock();
        state.closed.get_or_insert_with(|| why.to_owned());
        state.bytes = 0;
        state.shares.clear();
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        self.changed.notify_all();
        queue.into_iter().for_each(|waits| waits.work.stopped(why));
    }

    /// Why it was closed.
    #[must_use]
    pub fn closed(&self) -> Option<String> {
        self.lock().closed.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A piece of 1024 bytes.
    fn work() -> Work {
        let one = Work::Admin(AdminAct::State(Vec::new()), Box::new(|_| {}));
        assert_eq!(one.weight(), 1024);
        one
    }

    #[test]
    fn one_tenants_events_leave_room_for_others_and_for_revocations() {
        let inbox = Inbox::new(8 * 1024);
        let [mallory, honest, third] = ["mallory", "honest", "third"].map(Arc::<str>::from);
        let put = |tenant: Option<&Arc<str>>| inbox.put(work(), tenant).is_ok();
        let count = |tenant| (0..100).filter(|_| put(tenant)).count();
        assert_eq!(count(Some(&mallory)), 4);
        assert!(inbox.is_full("mallory") && !inbox.is_full("honest"));
        assert_eq!(count(Some(&honest)), 4);
        assert_eq!(count(Some(&third)), 0, "it is full");
        assert_eq!(count(None), 2, "what is urgent");
        let mut out = Vec::new();
        inbox.wait((true, false), 3 * 1024, Duration::ZERO, &mut out);
        assert_eq!(out.len(), 3);
        assert_eq!((count(Some(&honest)), count(Some(&mallory))), (0, 1), "the bound of all");
        inbox.wait((true, false), usize::MAX, Duration::ZERO, &mut out);
        assert!(inbox.is_empty() && inbox.bytes() == 0 && inbox.lock().shares.is_empty());
        // One submission is always taken, however large.
        let small = Inbox::new(512);
        assert_eq!(small.put(work(), Some(&mallory)), Ok(()));
    }

    #[test]
    fn who_has_a_batch_in_hand_is_woken_for_much_work_not_for_each_piece() {
        let inbox = Arc::new(Inbox::new(1 << 20));
        inbox.set_sync_idle(false);
        let waiting = Arc::clone(&inbox);
        let sequencer = std::thread::spawn(move || {
            let mut out = Vec::new();
            let wake = waiting.wait((true, true), usize::MAX, Duration::MAX, &mut out);
            (wake, out.len())
        });
        let pieces = AHEAD_BYTES / 1024;
        for _ in 0..pieces {
            inbox.put(work(), None).expect("there is room");
        }
        let (wake, taken) = sequencer.join().expect("it does not panic");
        assert_eq!((taken, wake.taken_bytes, wake.sync_idle), (pieces, AHEAD_BYTES, false));
    }

    #[test]
    fn who_has_a_batch_in_hand_is_woken_by_an_idle_sync_thread() {
        let inbox = Arc::new(Inbox::new(1 << 20));
        inbox.set_sync_idle(false);
        inbox.put(work(), None).expect("there is room");
        let waiting = Arc::clone(&inbox);
        let sequencer = std::thread::spawn(move || {
            let mut out = Vec::new();
            let wake = waiting.wait((true, true), usize::MAX, Duration::MAX, &mut out);
            (wake, out.len())
        });
        inbox.set_sync_idle(true);
        let (wake, taken) = sequencer.join().expect("it does not panic");
        assert!(wake.sync_idle);
        assert_eq!(taken, 1, "what came meanwhile goes with the batch");
    }
}
