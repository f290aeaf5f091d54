//! The open connections: whose each is, and which one is evicted when there are too many.
//!
//! ```text
//! accepted ──▶ nobody's          closed first when room is needed, the oldest first
//!                │ a valid credential
//!                ▼
//!              a party's         counts to its share; closed only while nothing is asked on it
//! ```
//!
//! Promises: beyond the limit a newcomer is let in and the oldest connection that never showed a
//! valid credential is closed for it: whoever opens many closes its own. A sixteenth of the
//! connections cannot be had by any party, so that there is always one to close.
//!
//! A connection that is closed for another keeps its file until its lane gets to it: while too many
//! do, newcomers wait in the kernel's backlog, so that files never run out.
//!
//! Assumes: an honest newcomer asks at once.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::Gate;
use crate::credential::credential;
use crate::shares::{Full, Hold, Party, Room, Whose};

/// One part in so many is closed at a time: looking for them costs a walk over all.
const CLOSED_PART: usize = 64;
/// But no more than one in so many of those that may be: a newcomer is to come to speak first.
const CLOSED_OF_NOBODYS: usize = 8;

/// Connections that are closed already but keep their file: one part of the limit in so many.
const CLOSING_PART: usize = 8;

/// Who asked last on a connection.
struct Who {
    /// Of the credential as it was sent, under a key of this process.
    mark: u64,
    party: Arc<Party>,
    /// Its place in the party's share; none while the server has no more of them, in which case the
    /// connection may be closed like a stranger's.
    place: Option<Hold>,
}

/// One connection.
pub struct Connection {
    number: u64,
    who: Mutex<Option<Who>>,
    at_work: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
}

impl Connection {
    fn who(&self) -> MutexGuard<'_, Option<Who>> {
        self.who.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose request this is that came on the connection.
    ///
    /// # Errors
    /// When its credential or tenant has its share of connections.
    pub fn party(&self, gate: &Gate, headers: &HeaderMap) -> Result<Arc<Party>, Full> {
        let Some(sent) = headers.get(AUTHORIZATION) else {
            return Ok(Arc::clone(gate.shares.strangers()));
        };
        let mark = gate.connections.marks.hash_one(sent.as_bytes());
        let mut who = self.who();
        if let Some(who) = who.as_ref().filter(|who| who.mark == mark) {
            return Ok(Arc::clone(&who.party));
        }
        let Some(party) = party_of(gate, headers) else {
            return Ok(Arc::clone(gate.shares.strangers()));
        };
        // The place of the one before is given back first: a proxy asks for many.
        *who = None;
        let place = match party.take(Room::Connections, 1) {
            Ok(place) => Some(place),
            Err(Full { whose: Whose::Server, .. }) => None,
            Err(full) => return Err(full),
        };
        *who = Some(Who { mark, party: Arc::clone(&party), place });
        Ok(party)
    }

    /// Whoever asked last on it, as far as it was known; strangers before.
    #[must_use]
    pub fn last_party(&self, gate: &Gate) -> Arc<Party> {
        let who = self.who();
        let party = who.as_ref().map(|who| &who.party);
        Arc::clone(party.unwrap_or_else(|| gate.shares.strangers()))
    }

    /// Its number: no other has it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Says whether something is asked on it.
    pub fn set_at_work(&self, at_work: bool) {
        self.at_work.store(at_work, Ordering::Relaxed);
    }

    /// Names the task to end when the connection has to go.
    pub fn runs_as(&self, task: AbortHandle) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    fn close(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
    }
}

/// The party of a valid credential.
#[must_use]
pub fn party_of(gate: &Gate, headers: &HeaderMap) -> Option<Arc<Party>> {
    let (_, key) = credential(headers)?;
    (gate.callers)(gate.shown(&key)).map(|caller| gate.shares.party(&caller))
}

#[derive(Default)]
struct Open {
    next: u64,
    /// The oldest first.
    list: BTreeMap<u64, Arc<Connection>>,
}

/// All of them.
pub struct Connections {
    most: usize,
    open: Mutex<Open>,
    /// Files of connections, also of those that are being closed.
    files: AtomicUsize,
    freed: Notify,
    marks: RandomState,
    /// Closed for a newcomer.
    evicted: AtomicU64,
    /// Newcomers that found no place.
    refused: AtomicU64,
    /// Closed because nothing was read.
    pub unread: Arc<AtomicU64>,
}

/// A connection in the list; leaves it when dropped.
pub struct Listed {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

impl Listed {
    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.open().list.remove(&self.connection.number);
        self.connections.files.fetch_sub(1, Ordering::Relaxed);
        self.connections.freed.notify_one();
    }
}

impl Connections {
    /// At most so many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let (open, files, freed, marks) = Default::default();
        let (evicted, refused, unread) = Default::default();
        Self { most, open, files, freed, marks, evicted, refused, unread }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while too many closed connections keep their files.
    pub async fn files_are_free(&self) {
        let most = self.most + (self.most / CLOSING_PART).max(1);
        while self.files.load(Ordering::Relaxed) >= most {
            self.freed.notified().await;
        }
    }

    /// Takes a newcomer into the list; others may have to go for it, but for about so many that
    /// have a `placed` party. `None` when all are at work for somebody.
    #[must_use]
    pub fn admit(self: &Arc<Self>, placed: usize) -> Option<Listed> {
        let mut open = self.open();
        if open.list.len() >= self.most && self.evict(&mut open, placed) == 0 {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let number = open.next;
        open.next += 1;
        let (who, at_work, task) = Default::default();
        let connection = Arc::new(Connection { number, who, at_work, task });
        open.list.insert(number, Arc::clone(&connection));
        self.files.fetch_add(1, Ordering::Relaxed);
        drop(open);
        Some(Listed { connections: Arc::clone(self), connection })
    }

    /// Closes some that are nobody's, as when the system has no more descriptors.
    pub fn make_room(&self, placed: usize) {
        let mut open = self.open();
        self.evict(&mut open, placed);
    }

    fn evict(&self, open: &mut Open, placed: usize) -> usize {
        let is_nobodys =
            |one: &Arc<Connection>| one.who().as_ref().is_none_or(|who| who.place.is_none());
        let count = open.list.len().saturating_sub(placed);
        let most = (self.most / CLOSED_PART).min(count / CLOSED_OF_NOBODYS).max(1);
        let nobodys = open.list.values().filter(|one| is_nobodys(one)).take(most).cloned();
        let mut gone: Vec<Arc<Connection>> = nobodys.collect();
        if gone.is_empty() {
            // An idle one, of whoever has the most.
            let idle = open.list.values().filter(|one| !one.at_work.load(Ordering::Relaxed));
            let size = |one: &&Arc<Connection>| {
                let who = one.who();
                let count = who.as_ref().map_or(0, |who| who.party.of_tenant(Room::Connections));
                (count, std::cmp::Reverse(one.number))
            };
            gone.extend(idle.max_by_key(size).cloned());
        }
        for one in &gone {
            open.list.remove(&one.number);
            one.close();
        }
        self.evicted.fetch_add(gone.len() as u64, Ordering::Relaxed);
        gone.len()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open().list.len()
    }

    /// Closed for newcomers, and newcomers that were refused, since start.
    #[must_use]
    pub fn turned_out(&self) -> (u64, u64) {
        (self.evicted.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_closes_the_oldest_that_is_nobodys() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let connections = Arc::new(Connections::new(3));
        let mut tasks = Vec::new();
        for _ in 0..5 {
            let listed = connections.admit(0).expect("a place");
            let connection = Arc::clone(listed.connection());
            let task = runtime.spawn(async move {
                let _listed = listed;
                std::future::pending::<()>().await;
            });
            connection.runs_as(task.abort_handle());
            tasks.push(task);
        }
        assert_eq!(connections.count(), 3);
        assert_eq!(connections.turned_out(), (2, 0));
        runtime.block_on(async {
            for task in tasks.drain(..2) {
                assert!(task.await.expect_err("closed").is_cancelled());
            }
            tokio::task::yield_now().await;
            assert!(tasks.iter().all(|task| !task.is_finished()), "the newest three stay");
        });
    }
}
