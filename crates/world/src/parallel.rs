//! Work done on several threads: in order, beside other work, or piece by piece.
//!
//! Promises: results come in the order in which the jobs were made, whatever order they were done
//! in. At most a few jobs per thread exist at a time. All threads have ended when [`in_order`]
//! returns.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// Jobs under way per thread.
const JOBS_PER_THREAD: usize = 2;
/// After a step that had nothing to do.
const REST: Duration = Duration::from_micros(500);

/// Calls `make`, does each job it gives to its argument with `work`, and hands every result to
/// `each` in order. `make` and `each` run on the caller's thread; `work` on `threads` others, or,
/// when that is less than 2, on the caller's too.
pub fn in_order<J: Send, R: Send>(
    threads: usize,
    make: impl FnOnce(&mut dyn FnMut(J)),
    work: &(dyn Fn(J) -> R + Sync),
    each: &mut dyn FnMut(R),
) {
    if threads < 2 {
        make(&mut |job| each(work(job)));
        return;
    }
    let (job_sender, jobs) = mpsc::sync_channel::<(u64, J)>(threads * JOBS_PER_THREAD);
    let (result_sender, results) = mpsc::channel();
    let jobs = Mutex::new(jobs);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (jobs, result_sender) = (&jobs, result_sender.clone());
            scope.spawn(move || {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, job)) = job else { return };
                    if result_sender.send((number, work(job))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(result_sender);
        let mut order = Order { next: 0, early: BTreeMap::new() };
        let mut made = 0;
        make(&mut |job| {
            while made - order.next >= (threads * JOBS_PER_THREAD) as u64 {
                match results.recv() {
                    Ok((number, result)) => order.take(number, result, each),
                    Err(_) => return,
                }
            }
            if job_sender.send((made, job)).is_ok() {
                made += 1;
            }
        });
        drop(job_sender);
        for (number, result) in results {
            order.take(number, result, each);
        }
    });
}

/// Does `beside` on a thread of its own while `main` runs on the caller's. With less than 2
/// `threads` nothing is done beside: `None`.
pub fn beside<T: Send>(
    threads: usize,
    beside: Option<impl FnOnce() -> T + Send>,
    main: impl FnOnce(),
) -> Option<T> {
    let Some(beside) = beside.filter(|_| threads > 1) else {
        main();
        return None;
    };
    std::thread::scope(|scope| {
        let beside = scope.spawn(beside);
        main();
        match beside.join() {
            Ok(done) => Some(done),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Calls `step` again and again on a thread of its own, as long as `main` runs on the caller's;
/// rests for a moment after it said that there was nothing to do.
pub fn stepping<M>(step: &(dyn Fn() -> bool + Sync), main: impl FnOnce() -> M) -> M {
    /// Ends the other thread also when `main` panics.
    struct Ended<'e>(&'e AtomicBool);
    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                if !step() {
                    std::thread::sleep(REST);
                }
            }
        });
        let _ended = Ended(&ended);
        main()
    })
}

/// Does each piece of work on one of `threads` threads.
pub fn each<T: Send>(threads: usize, pieces: &mut [T], work: &(dyn Fn(&mut T) + Sync)) {
    if threads < 2 {
        return pieces.iter_mut().for_each(work);
    }
    let share = pieces.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        for share in pieces.chunks_mut(share) {
            scope.spawn(move || share.iter_mut().for_each(work));
        }
    });
}

/// Puts results back into the order of their jobs.
struct Order<R> {
    next: u64,
    early: BTreeMap<u64, R>,
}

impl<R> Order<R> {
    fn take(&mut self, number: u64, result: R, each: &mut dyn FnMut(R)) {
        self.early.insert(number, result);
        while let Some(result) = self.early.remove(&self.next) {
            self.next += 1;
            each(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_jobs() {
        for threads in [0, 1, 2, 5] {
            let mut seen = Vec::new();
            in_order(
                threads,
                |emit| (0..500u64).for_each(emit),
                &|job| {
                    // Uneven work, so that jobs overtake each other.
                    (0..(job % 7) * 1000)
                        .fold(job, |sum, one| std::hint::black_box(sum ^ one ^ one))
                },
                &mut |result| seen.push(result),
            );
            assert_eq!(seen, (0..500).collect::<Vec<_>>(), "{threads} threads");
        }
    }
}
