//! The findings thread: steps of the follower, and its notes given to the sequencer.
//!
//! What a step noticed is durable before the position is saved; a crash in between has it noticed
//! again and recognised.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ledgerline_followers::findings::record::Note;
use ledgerline_followers::findings::{self, Follower, STEP_ENTRIES, Saved};
use ledgerline_ledger::planner::AdminAct;

use super::pace::Pace;
use super::{AdminError, Inner};

/// The position is saved so often: what was read since is read again after a crash.
const SAVE_NANOS: u64 = 5_000_000_000;
/// Longest sleep without a look at whether the node stops.
const NAP: Duration = Duration::from_millis(50);

pub(super) fn follow(inner: &Inner) {
    let interval = inner.config.findings_interval_nanos;
    if interval == 0 {
        return;
    }
    let (disk, origin) = (inner.world.disk.as_ref(), &*inner.identity.origin);
    while is_running(inner) {
        // A damaged or unreadable position means the beginning.
        let saved = findings::load(disk, origin).unwrap_or_default();
        let ahead = saved.position > inner.rooms.published().size;
        let saved = if ahead { Saved::default() } else { saved };
        let mut position = saved.position;
        inner.counters.followed(position);
        let mut follower = Follower::new(saved, inner.config.windows.clone());
        let mut pace = Pace::new(inner);
        let (mut saved_at, mut sound) = (inner.world.clock.monotonic_nanos(), true);
        while is_running(inner) {
            pace.step(inner);
            let view = inner.view();
            let Ok(notes) = follower.step(&view, STEP_ENTRIES) else {
                inner.counters.follow_failed();
                sound = false;
                break;
            };
            if !record(inner, &notes) {
                sound = false;
                break;
            }
            inner.counters.followed(follower.position());
            let now = inner.world.clock.monotonic_nanos();
            if follower.position() > position && now.saturating_sub(saved_at) >= SAVE_NANOS {
                // A disk that cannot be written is the publisher's to judge.
                let _ = findings::save(disk, origin, &follower.saved());
                (position, saved_at) = (follower.position(), now);
            }
            let behind = follower.position() < view.size();
            rest(inner, pace.pause(inner, behind, interval));
        }
        // What a failed step left behind is not what was recorded.
        if sound && follower.position() > position {
            let _ = findings::save(disk, origin, &follower.saved());
        }
        rest(inner, interval);
    }
}

pub(super) fn is_running(inner: &Inner) -> bool {
    !inner.stopping.load(Ordering::SeqCst) && !inner.inbox.is_shut_down()
}

/// Has the notes recorded, however long it takes; false when the ledger takes nothing any more.
pub(super) fn record(inner: &Inner, notes: &[Note]) -> bool {
    if notes.is_empty() {
        return true;
    }
    let raised = notes.iter().filter_map(|note| match note {
        Note::Raised(finding) => Some((finding.rule.code(), finding.severity.word())),
        Note::Moved(_) | Note::Missing(_) | Note::Reported(_) => None,
    });
    let raised: Vec<_> = raised.collect();
    loop {
        match inner.administer(AdminAct::State(notes.iter().map(Note::statement).collect())) {
            Ok(_) => break,
            Err(AdminError::Stopped(_)) => return false,
            Err(AdminError::Refused { .. }) => {
                if !is_running(inner) {
                    return false;
                }
                std::thread::sleep(NAP);
            }
        }
    }
    raised.iter().for_each(|(rule, severity)| inner.counters.finding(rule, severity));
    true
}

pub(super) fn rest(inner: &Inner, nanos: u64) {
    let mut left = Duration::from_nanos(nanos);
    while !left.is_zero() && is_running(inner) {
        let nap = left.min(NAP);
        std::thread::sleep(nap);
        left -= nap;
    }
}
