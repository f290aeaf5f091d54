//! The watcher: compares the log's checkpoints while the others work.

use std::thread;
use std::time::{Duration, Instant};

use super::{Shared, lock};
use crate::counts::add;
use crate::seen::{Looked, Watch};

/// Longest time between two looks.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// How soon the end of the emitter is noticed.
const STEP: Duration = Duration::from_millis(100);

/// Runs until the emitter stops.
pub(super) fn run(shared: &Shared, mut watch: Watch) {
    let interval = shared.limiting.heartbeat.unwrap_or(LOOK_MAX).min(LOOK_MAX) / 2;
    let mut next = Instant::now();
    publish(shared, &watch);
    while !shared.is_stopping() {
        if next > Instant::now() {
            thread::sleep(STEP);
            continue;
        }
        next = Instant::now() + interval;
        // A receipt is what this producer was promised: rather that than what all are shown.
        let receipt = lock(&shared.seen).receipt.take();
        let looked = match receipt {
            Some(note) => watch.look(note.as_bytes()),
            None => watch.look_at_published(),
        };
        if matches!(looked, Looked::Unknown(_) | Looked::NotSigned) {
            add(&shared.counters.seen_unknown, 1);
        }
        publish(shared, &watch);
    }
}

fn publish(shared: &Shared, watch: &Watch) {
    let mut seen = lock(&shared.seen);
    seen.last = watch.last().cloned();
    seen.alarm = watch.alarm();
}
