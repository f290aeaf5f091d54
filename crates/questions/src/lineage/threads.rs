//! The threads of one question, and the only place where it makes any.
//!
//! Promises: results come in the order of the jobs, whatever order they were done in. All threads
//! have ended when [`side_by_side`] returns. However many questions are asked, no more than
//! [`HELPERS_MAX`] threads help them; a question that gets none works alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Threads that help one question.
const HELPERS: usize = 3;
/// Threads that help in the whole process: questions may be asked by many, the cores are few.
const HELPERS_MAX: usize = 8;
/// Jobs that make one more thread worth its start (some 30 µs).
const JOBS_PER_THREAD: usize = 6;

/// Threads that help now.
static HELPING: AtomicUsize = AtomicUsize::new(0);

/// Does every job, on the caller's thread and on some others.
pub(super) fn side_by_side<J: Sync, R: Send>(
    jobs: &[J],
    work: &(dyn Fn(&J) -> R + Sync),
) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = (jobs.len() / JOBS_PER_THREAD).min(HELPERS).min(cores.saturating_sub(1));
    let helpers = Helpers::take(wanted);
    if helpers.0 == 0 {
        return jobs.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(jobs.len()));
    let go = || {
        let mut own = Vec::new();
        while let Some((at, job)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            jobs.get(at).map(|job| (at, job))
        } {
            own.push((at, work(job)));
        }
        done.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
    };
    std::thread::scope(|scope| {
        for _ in 0..helpers.0 {
            let helper = std::thread::Builder::new().name("ledger-question".to_owned());
            // Without another thread the caller does it all.
            let _ = helper.spawn_scoped(scope, go);
        }
        go();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Threads taken from what the process has; given back when dropped.
struct Helpers(usize);

impl Helpers {
    fn take(wanted: usize) -> Self {
        let mut taken = 0;
        let take = |now: usize| {
            taken = wanted.min(HELPERS_MAX.saturating_sub(now));
            Some(now + taken)
        };
        // Always `Some`.
        let _ = HELPING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        Self(taken)
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        HELPING.fetch_sub(self.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_jobs() {
        std::thread::scope(|scope| {
            for first in 0..12_u64 {
                scope.spawn(move || {
                    let jobs: Vec<u64> = (first..first + 200).collect();
                    let squares = side_by_side(&jobs, &|job| job * job);
                    assert_eq!(squares, jobs.iter().map(|job| job * job).collect::<Vec<_>>());
                });
            }
        });
        assert_eq!(HELPING.load(Ordering::Relaxed), 0, "all were given back");
    }
}
