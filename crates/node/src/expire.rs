//! The expiry thread: turns the wheel, and gives what is due to the sequencer.
//!
//! What a step gave is durable before the wheel's place is saved; a crash in between has it found
//! again and recognised.

use ledgerline_followers::expiry::{Due, Place, STEP_READS, WHEEL_TOKENS, Wheel, load, save};
use ledgerline_ledger::planner::AdminAct;

use super::follow::{is_running, rest};
use super::pace::Pace;
use super::{AdminError, Inner};

/// After an interruption, before it goes on.
const PAUSE_NANOS: u64 = 250_000_000;
/// Between two steps of which the first was not enough, at least.
const LEAST_NANOS: u64 = 10_000_000;
/// The place is saved so often: what was read since is read again after a crash.
const SAVE_NANOS: u64 = 5_000_000_000;
/// And so seldom while only time went on.
const IDLE_NANOS: i64 = 600_000_000_000;
/// Recording what callers brought goes first: with more of the queue than this taken, none of the
/// ledger's own is added.
const QUEUE_PART: usize = 4;

pub(super) fn expire(inner: &Inner) {
    if !inner.config.expire {
        return;
    }
    let (disk, origin) = (inner.world.disk.as_ref(), &*inner.identity.origin);
    while is_running(inner) {
        // A damaged or unreadable place means the beginning; one beyond the ledger too.
        let view = inner.view();
        let saved = load(disk, origin).unwrap_or(Place::BEGIN);
        let known = saved.position <= view.base() + view.size();
        let mut saved = if known { saved } else { Place::BEGIN };
        let mut saved_at = inner.world.clock.monotonic_nanos();
        let mut pace = Pace::new(inner);
        let mut wheel = Wheel::new(saved, WHEEL_TOKENS);
        while is_running(inner) {
            pace.step(inner);
            let wall = inner.world.clock.wall_nanos();
            let Ok((due, more)) = wheel.step(&inner.view(), wall, STEP_READS) else {
                inner.counters.expire_failed();
                break;
            };
            if !record(inner, &due) {
                break;
            }
            inner.counters.expiry_at(wheel.position());
            let now = inner.world.clock.monotonic_nanos();
            let late = now.saturating_sub(saved_at) >= SAVE_NANOS;
            if let Some(place) = wheel.place().filter(|place| late && is_news(*place, saved)) {
                // A disk that cannot be written is the publisher's to judge.
                let _ = save(disk, origin, place);
                (saved, saved_at) = (place, now);
            }
            // It does not run after every commit.
            let interval = inner.config.expire_interval_nanos;
            rest(inner, pace.pause(inner, more, interval).max(LEAST_NANOS));
        }
        if let Some(place) = wheel.place().filter(|place| is_news(*place, saved)) {
            let _ = save(disk, origin, place);
        }
        rest(inner, PAUSE_NANOS);
    }
}

/// Whether a place is worth a write: an idle ledger moves on in time alone.
const fn is_news(place: Place, saved: Place) -> bool {
    place.position != saved.position || place.through > saved.through.saturating_add(IDLE_NANOS)
}

/// Has them recorded, however long it takes; false when the ledger takes nothing any more.
fn record(inner: &Inner, due: &[Due]) -> bool {
    if due.is_empty() {
        return true;
    }
    let count = due.len() as u64;
    while is_running(inner) {
        if inner.inbox.bytes() > inner.config.queue_bytes / QUEUE_PART {
            rest(inner, PAUSE_NANOS / 5);
            continue;
        }
        match inner.administer(AdminAct::State(due.iter().map(Due::statement).collect())) {
            Ok(_) => {
                inner.counters.expired(count);
                return true;
            }
            Err(AdminError::Stopped(_)) => return false,
            Err(AdminError::Refused { .. }) => rest(inner, PAUSE_NANOS / 5),
        }
    }
    false
}
