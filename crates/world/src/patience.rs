//! Patience with the world: what passes is waited for, said, and tried again.
//!
//! Promises: a passing error (no descriptor free, no space, a call that was interrupted, a disk
//! that hiccups) is not an unknown state. [`Patience::with`] tries the same piece of work again
//! until it is done, and says meanwhile what it waits for, which keeps intake from taking more.
//! [`Patience::note`] is for those who try again by themselves.
//!
//! Assumes: the piece of work can be done again as a whole: it reads, or writes the same bytes to
//! the same places and syncs them after the last of these writes. Work that was synced in vain and
//! is not written again is not such a piece: what the disk holds then is unknown, for ever.
//!
//! Refuses: to try again what no waiting mends ([`MayPass`]): a missing or damaged file.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

/// Tries of those who do not wait for ever, without a pause in between.
pub const TRIES: u32 = 64;
/// The first pause; each is twice as long as the one before, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// Longest sleep without a look at whether the node ends.
const NAP: Duration = Duration::from_millis(50);

/// Errors of which some pass by themselves, or once somebody has made room.
pub trait MayPass: Display {
    /// Whether trying again can help.
    fn may_pass(&self) -> bool;
}

impl MayPass for io::Error {
    fn may_pass(&self) -> bool {
        use io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
        !matches!(self.kind(), NotFound | UnexpectedEof | InvalidData | InvalidInput)
    }
}

/// Whether nothing was done for want of a descriptor.
fn wants_descriptors(error: &io::Error) -> bool {
    let files = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    files.contains(&error.raw_os_error())
}

/// Whether a write failed for want of something that the system has a limit of, so that the same
/// write can succeed later: descriptors, space, memory, or an uninterrupted moment.
fn is_shortage(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, OutOfMemory, QuotaExceeded, StorageFull, WouldBlock};
    let kind = matches!(
        error.kind(),
        Interrupted | OutOfMemory | QuotaExceeded | StorageFull | WouldBlock
    );
    kind || wants_descriptors(error)
}

/// What is waited for, and that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatienceNews<'n> {
    /// Intake pauses.
    Waits {
        /// What is in trouble.
        what: &'n str,
        /// Why.
        why: &'n str,
    },
    /// It goes on.
    Over {
        /// What is well again.
        what: &'n str,
    },
}

/// Takes news; called from threads of the node.
pub type PatienceListener = Box<dyn Fn(PatienceNews<'_>) + Send + Sync>;

/// Sleeps for a while.
pub type Pause = fn(Duration);

/// What is waited for. Shared by all threads of a node.
#[derive(Default)]
pub struct Patience {
    troubles: Mutex<BTreeMap<&'static str, String>>,
    pauses: OnceLock<Pause>,
    ended: AtomicBool,
    retries: AtomicU64,
    listener: OnceLock<PatienceListener>,
}

impl Patience {
    /// From now on what passes is waited for as long as it takes, with such pauses. Until then
    /// [`TRIES`] tries follow each other at once.
    pub fn wait_as_long_as_it_takes(&self, pause: Pause) {
        // The first one stays.
        let _ = self.pauses.set(pause);
    }

    /// Nothing is waited for any more: the node ends.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    /// Hands news to `listener`, for the log. The first one set stays.
    pub fn listen(&self, listener: PatienceListener) {
        // The first one stays.
        let _ = self.listener.set(listener);
    }

    /// Does a piece of work, again and again while it fails for what may pass.
    ///
    /// # Errors
    /// Its own: what does not pass, or when the node ends meanwhile.
    pub fn with<T, E: MayPass>(
        &self,
        what: &'static str,
        attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        self.while_it(MayPass::may_pass, what, attempt)
    }

    /// As [`Patience::with`], for writes that must not be tried again after a failure of the disk
    /// itself: only shortages are waited for.
    ///
    /// # Errors
    /// Its own.
    pub fn with_shortage<T>(
        &self,
        what: &'static str,
        attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        self.while_it(is_shortage, what, attempt)
    }

    /// As [`Patience::with_shortage`], for a sync that needs a descriptor first: no failure of the
    /// sync itself is waited for.
    ///
    /// # Errors
    /// Its own.
    pub fn with_descriptors<T>(
        &self,
        what: &'static str,
        attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        self.while_it(wants_descriptors, what, attempt)
    }

    fn while_it<T, E: Display>(
        &self,
        passes: impl Fn(&E) -> bool,
        what: &'static str,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut tries = 0;
        loop {
            match attempt() {
                Err(error) if passes(&error) && self.waits(what, &error, tries) => tries += 1,
                done => {
                    if tries > 0 {
                        self.note(what, None);
                    }
                    return done;
                }
            }
        }
    }

    /// Waits before the next try; false when there is none.
    fn waits(&self, what: &'static str, why: &dyn Display, tries: u32) -> bool {
        let pauses = self.pauses.get();
        let tired = pauses.is_none() && tries + 1 >= TRIES;
        if self.ended.load(Ordering::SeqCst) || tired {
            return false;
        }
        self.note(what, Some(&format!("{what}: {why}; it is tried again until it works")));
        self.retries.fetch_add(1, Ordering::Relaxed);
        if let Some(pause) = pauses {
            let mut left = FIRST_PAUSE.saturating_mul(1 << tries.min(10)).min(LAST_PAUSE);
            while !left.is_zero() && !self.ended.load(Ordering::SeqCst) {
                let nap = left.min(NAP);
                pause(nap);
                left -= nap;
            }
        }
        true
    }

    /// Notes why intake pauses because of `what`, or that it need not any more.
    pub fn note(&self, what: &'static str, why: Option<&str>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let news = match why {
            Some(why) => {
                let before = troubles.insert(what, why.to_owned());
                before.is_none().then_some(PatienceNews::Waits { what, why })
            }
            None => troubles.remove(what).map(|_| PatienceNews::Over { what }),
        };
        drop(troubles);
        if let (Some(news), Some(listener)) = (news, self.listener.get()) {
            listener(news);
        }
    }

    /// Why intake pauses, for people; `None` when it does not.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<&str> = troubles.values().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; and "))
    }

    /// How often something was tried again.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> io::Error {
        io::ErrorKind::StorageFull.into()
    }

    #[test]
    fn a_passing_error_was_taken_for_an_unknown_state() {
        let patience = Patience::default();
        let mut left = 3;
        let done = patience.with("the disk", || {
            left -= 1;
            if left == 0 { Ok("done") } else { Err(full()) }
        });
        assert_eq!((done.unwrap(), patience.retries(), patience.trouble()), ("done", 2, None));
    }

    #[test]
    fn it_says_what_it_waits_for_and_ends_with_the_node() {
        let patience = Patience::default();
        patience.wait_as_long_as_it_takes(std::thread::sleep);
        std::thread::scope(|threads| {
            let waits = threads.spawn(|| patience.with("the disk", || Err::<(), _>(full())));
            while patience.trouble().is_none() {
                std::thread::yield_now();
            }
            assert!(patience.trouble().is_some_and(|why| why.starts_with("the disk: ")));
            patience.end();
            assert!(waits.join().expect("no panic").is_err());
        });
        assert_eq!(patience.trouble(), None);
    }

    #[test]
    fn no_waiting_mends_a_missing_file_nor_a_write_that_the_disk_failed() {
        let patience = Patience::default();
        let missing = || Err::<(), _>(io::Error::from(io::ErrorKind::NotFound));
        assert!(patience.with("the disk", missing).is_err());
        let broken = || Err::<(), _>(io::Error::from_raw_os_error(Errno::IO.raw_os_error()));
        assert!(patience.with_shortage("the journal", broken).is_err());
        assert_eq!(patience.retries(), 0);
        // Without a node nobody waits for ever.
        assert!(patience.with("the disk", broken).is_err());
        assert_eq!(patience.retries(), u64::from(TRIES) - 1);
    }
}
