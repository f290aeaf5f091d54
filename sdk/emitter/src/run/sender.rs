//! The sender: one batch at a time, oldest first, again until its fate is known.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::{Shared, guarded, lock, wall};
use crate::backlog::Limits;
use crate::counts::add;
use crate::transport::{Delivery, Refused, Transport, Verdict, Word};
use crate::unit::Unit;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Longest pause while the ledger denies everything: somebody has to change something.
const DENIED_MAX: Duration = Duration::from_secs(60);
/// How long the sender sleeps without being told of work.
const IDLE: Duration = Duration::from_millis(500);

/// Runs until everything is delivered after a stop, or nobody waits any more.
pub(super) fn run(shared: &Shared, transport: Box<dyn Transport>) {
    let limits = shared.limiting.batch;
    let mut sender = Sender { shared, transport, limits, tries: 0, not_before: Instant::now() };
    while let Some(batch) = sender.next_batch() {
        let delivery = guarded(|| sender.transport.send(&batch));
        let lost = Delivery::Unreachable { why: Word::Borrowed("transport_panicked") };
        sender.settle(&batch, delivery.unwrap_or(lost));
    }
}

struct Sender<'s> {
    shared: &'s Shared,
    transport: Box<dyn Transport>,
    limits: Limits,
    tries: u32,
    not_before: Instant,
}

impl Sender<'_> {
    /// Waits for a batch; `None` at the end.
    fn next_batch(&mut self) -> Option<Vec<Arc<Unit>>> {
        let shared = self.shared;
        let mut backlog = lock(&shared.backlog);
        loop {
            if shared.is_abandoned() || shared.is_drained() && backlog.is_empty() {
                return None;
            }
            let pause = self.not_before.saturating_duration_since(Instant::now());
            if pause.is_zero() && !backlog.is_empty() {
                match backlog.take(self.limits) {
                    Ok(batch) if !batch.is_empty() => return Some(batch),
                    Ok(_) => {}
                    Err(_) => {
                        lock(&shared.refusals).retry("spool_unreadable");
                        self.not_before = Instant::now() + PAUSE_MAX;
                    }
                }
            }
            let longest = if pause.is_zero() { IDLE } else { pause.min(IDLE) };
            let waited = shared.work.wait_timeout(backlog, longest);
            backlog = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn settle(&mut self, batch: &[Arc<Unit>], delivery: Delivery) {
        let shared = self.shared;
        let count: usize = batch.iter().map(|unit| unit.ids().len()).sum();
        match delivery {
            Delivery::Answered(verdicts, receipt) if verdicts.len() == count => {
                self.judge(batch, verdicts);
                if let Some(receipt) = receipt {
                    lock(&shared.seen).receipt = Some(receipt);
                }
                self.resolve();
            }
            Delivery::Answered(..) => self.again("garbled_answer", None, PAUSE_MAX),
            Delivery::TooMuch(why) => self.in_parts(batch, &why),
            Delivery::Busy { after, why } => self.away(&why, after),
            Delivery::Unreachable { why } => self.away(&why, None),
            Delivery::Denied(why) => {
                let mut refusals = lock(&shared.refusals);
                (refusals.denied, refusals.away) = (Some(why.code), None);
                drop(refusals);
                self.again("denied", None, DENIED_MAX);
            }
        }
    }

    fn judge(&self, batch: &[Arc<Unit>], verdicts: Vec<Verdict>) {
        let ids = batch.iter().flat_map(|unit| unit.ids());
        for (id, verdict) in ids.zip(verdicts) {
            match verdict {
                Verdict::Recorded => add(&self.shared.counters.sent, 1),
                Verdict::Duplicate => add(&self.shared.counters.duplicates, 1),
                Verdict::Refused(why) => self.shared.refuse(*id, why),
            }
        }
    }

    fn resolve(&mut self) {
        self.tries = 0;
        let most = self.shared.limiting.batch;
        self.limits.events = (self.limits.events * 2).min(most.events);
        self.limits.bytes = (self.limits.bytes * 2).min(most.bytes);
        let mut refusals = lock(&self.shared.refusals);
        (refusals.denied, refusals.away) = (None, None);
        drop(refusals);
        // That the position is not noted costs duplicates after a restart, no more.
        if lock(&self.shared.backlog).resolve().is_err() {
            lock(&self.shared.refusals).retry("spool_position");
        }
        self.shared.work.notify_all();
    }

    /// The batch as it is cannot be taken: half of it next, until the one is found that cannot.
    fn in_parts(&mut self, batch: &[Arc<Unit>], why: &Refused) {
        if let [only] = batch {
            only.ids().iter().for_each(|id| self.shared.refuse(*id, why.clone()));
            self.resolve();
            return;
        }
        let events: usize = batch.iter().map(|unit| unit.ids().len()).sum();
        let bytes: usize = batch.iter().map(|unit| unit.body().len()).sum();
        self.limits = Limits { events: (events / 2).max(1), bytes: (bytes / 2).max(1) };
        lock(&self.shared.refusals).retry("in_parts");
        lock(&self.shared.backlog).release();
    }

    /// The ledger does not take events for now.
    fn away(&mut self, why: &str, after: Option<Duration>) {
        let mut refusals = lock(&self.shared.refusals);
        let since = refusals.away.take().map_or_else(Instant::now, |(_, since)| since);
        refusals.away = Some((why.to_owned(), since));
        drop(refusals);
        self.again(why, after, PAUSE_MAX);
    }

    /// Nothing is known of the batch: it is sent again after a pause.
    fn again(&mut self, why: &str, after: Option<Duration>, most: Duration) {
        lock(&self.shared.refusals).retry(why);
        let pause = (PAUSE_MIN * 2_u32.pow(self.tries.min(12))).min(most);
        self.tries += 1;
        // Many emitters wait for one ledger: they should not come back all at once.
        let share = u32::try_from(wall().rem_euclid(1000)).unwrap_or_default();
        let pause = pause / 2 + pause / 2 * share / 1000;
        self.not_before = Instant::now() + after.map_or(pause, |after| after.max(pause));
        lock(&self.shared.backlog).release();
    }
}
