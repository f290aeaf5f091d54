//! The worker: from what was taken to what is delivered or spooled.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Shared, guarded, lock, wall};
use crate::counts::add;
use crate::heartbeat::{HELD_PER_BEAT, HeldPart, beat, detail, held_round, seen};
use crate::prepare::Preparer;
use crate::slots::{Slot, Taken};
use crate::unit::Unit;

/// Bytes that a token takes in a heartbeat, roughly.
const HELD_TOKEN_BYTES: usize = 128;

/// Runs until the emitter stops and everything that was taken is in the backlog.
pub(super) fn run(shared: &Shared, preparer: &Preparer) {
    let interval = shared.limiting.heartbeat;
    let mut worker = Worker {
        shared,
        preparer,
        drained: Vec::with_capacity(shared.limiting.queue_events),
        next_beat: interval.map(|_| Instant::now()),
        held_rounds: 0,
    };
    loop {
        let is_last = shared.is_stopping();
        worker.pass(is_last);
        if is_last {
            shared.drained.store(true, Ordering::Release);
            shared.work.notify_all();
            return;
        }
        shared.wait_turn(shared.limiting.linger);
    }
}

/// Number, time and id of a heartbeat.
type Own = (i64, i64, [u8; 16]);

struct Worker<'s> {
    shared: &'s Shared,
    preparer: &'s Preparer,
    drained: Vec<Slot>,
    next_beat: Option<Instant>,
    held_rounds: u64,
}

impl Worker<'_> {
    fn pass(&mut self, is_last: bool) {
        let shared = self.shared;
        let limiting = &shared.limiting;
        let now = Instant::now();
        // What finds no room stays in the slots; then callers are told, or their events counted.
        let is_full = lock(&shared.backlog).waiting_bytes() >= limiting.memory_bytes;
        shared.is_jammed.store(is_full && limiting.durable, Ordering::Relaxed);
        let mut up_to = None;
        let mut beats = Vec::new();
        // Whoever waits for the disk is answered, and the slots are few.
        if !is_full || is_last || limiting.durable {
            let is_due = self.next_beat.is_some_and(|at| at <= now || is_last);
            let parts = if is_due { self.parts(is_last) } else { Vec::new() };
            let mut slots = lock(&shared.slots);
            slots.drain(&mut self.drained);
            up_to = Some(slots.last_ticket());
            // In one hold of the lock: no event with a lower number comes after a heartbeat.
            beats = parts.into_iter().map(|part| (part, slots.own(wall()))).collect();
            let in_hand = self.drained.len() + beats.len();
            shared.in_hand.store(in_hand as u64, Ordering::Relaxed);
        }
        let mut units = Vec::with_capacity(self.drained.len());
        for slot in self.drained.drain(..) {
            match self.preparer.unit(slot) {
                Ok(unit) => units.push(unit),
                Err(unfit) => shared.refuse_unfit(unfit),
            }
        }
        self.beat(is_last, beats, &mut units);
        let is_idle = units.is_empty();
        let mut backlog = lock(&shared.backlog);
        units.into_iter().for_each(|unit| backlog.push(unit, now));
        shared.in_hand.store(0, Ordering::Relaxed);
        let since = backlog.in_memory_since();
        let is_due = since.is_some_and(|since| now.duration_since(since) >= self.spill_age());
        let is_large = backlog.waiting_bytes() > limiting.memory_bytes / 2;
        let must = limiting.durable && backlog.waiting() > 0 || is_due || is_large;
        // A stop that did not wait: nobody else puts this on the disk.
        let must = must || shared.is_abandoned();
        let spilled = match backlog.spool().is_some() && must {
            true => backlog.spill(None),
            false => Ok(0),
        };
        shared.note_spilled(&spilled);
        let to_sync = backlog.to_sync().filter(|_| limiting.durable && !is_idle);
        drop(backlog);
        if !is_idle {
            shared.work.notify_all();
        }
        if limiting.durable {
            let written = spilled.map(drop).map_err(|error| error.to_string());
            let result = written.and_then(|()| shared.sync(to_sync));
            up_to.into_iter().for_each(|up_to| shared.publish_durable(up_to, result.clone()));
        }
    }

    /// Early enough that it is on the disk in time: an event waits for one turn of the worker
    /// before it is in memory, and another may be under way.
    fn spill_age(&self) -> Duration {
        self.shared.limiting.spill_after.saturating_sub(self.shared.limiting.linger * 3)
    }

    /// What the heartbeats of a round say beside the rest; without held tokens it is one.
    fn parts(&mut self, is_last: bool) -> Vec<HeldPart> {
        let mut round = match &self.shared.hooks.held {
            Some(held) if !is_last => self.round(guarded(held).unwrap_or_default()),
            _ => Vec::new(),
        };
        if round.is_empty() {
            round.push(HeldPart { links: Vec::new(), detail: Vec::new() });
        }
        round
    }

    /// Makes the heartbeats of a round, which have their numbers.
    fn beat(&mut self, is_last: bool, round: Vec<(HeldPart, Own)>, units: &mut Vec<Unit>) {
        let Some((_, (first_seq, ..))) = round.first() else { return };
        let shared = self.shared;
        let interval = shared.limiting.heartbeat.unwrap_or_default();
        self.next_beat = Some(Instant::now() + interval);
        let interval_s = if is_last { 0 } else { interval.as_secs() };
        let last_seq = first_seq - 1;
        let mut first = detail(&shared.counts(), last_seq, interval_s);
        if is_last {
            first.push(("stopping".to_owned(), "true".to_owned()));
        }
        if let Some(more) = &shared.hooks.more_detail {
            first.extend(guarded(more).unwrap_or_default());
        }
        let checkpoint = lock(&shared.seen).last.as_ref().map(seen);
        for (HeldPart { links, detail: held }, (seq, at, id)) in round {
            let detail = std::mem::take(&mut first).into_iter().chain(held).collect();
            let mut event = beat(&self.preparer.source, detail);
            event.links = links;
            event.seen = checkpoint.clone();
            let events = Taken::One(Box::new(event));
            let slot = Slot { seq: Some(seq), id: Some(id), at, events };
            add(&shared.counters.emitted, 1);
            match self.preparer.unit(slot) {
                Ok(unit) => units.push(unit),
                Err(unfit) => shared.refuse_unfit(unfit),
            }
        }
    }

    /// A round of held tokens, if all of it has room.
    fn round(&mut self, tokens: Vec<String>) -> Vec<HeldPart> {
        let parts = tokens.len().div_ceil(HELD_PER_BEAT) + 1;
        let weight = tokens.len() * HELD_TOKEN_BYTES + parts * 1024;
        let backlog = lock(&self.shared.backlog);
        let in_memory = backlog.waiting_bytes() + weight <= self.shared.limiting.memory_bytes;
        let has_room = in_memory || backlog.has_room(weight, parts);
        drop(backlog);
        if !has_room {
            add(&self.shared.counters.held_skipped, 1);
            return Vec::new();
        }
        self.held_rounds += 1;
        held_round(tokens, self.held_rounds - 1)
    }
}
