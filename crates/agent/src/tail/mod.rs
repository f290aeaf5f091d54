//! Files that are followed: every line once, through rotation, truncation and restarts.
//!
//! ```text
//! file ──▶ lines ──▶ adapter, or our own form ──▶ judged ──▶ spool, on the disk ──▶ position
//! ```
//!
//! Promises: a position moves only when the events of all lines before it are on the disk of the
//! spool. What was read and not yet safe at a crash is read again, and gives the same events, so
//! that the ledger answers `duplicate`. A line that gives no event is counted by its reason and set
//! aside without its content.
//!
//! Assumes: whoever writes the file only appends, renames or truncates it. Lines end in a line
//! feed.
//!
//! Refuses nothing for good but lines longer than a megabyte: while the spool is full, or the disk
//! fails, it waits and tries again.

mod file;
mod follow;
mod lines;
mod mapping;
mod position;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::aside::Aside;
use crate::counts::Counts;
use crate::judge::Judge;
use crate::outlet::Outlet;
use crate::settings::TailSettings;
use crate::state::State;

pub use self::follow::{Follower, Step};

/// Between two looks at files in which nothing moves.
const LOOK: Duration = Duration::from_millis(250);

/// What followers share.
#[derive(Clone)]
pub struct With {
    /// The state folder.
    pub state: Arc<State>,
    /// Makes events ready.
    pub judge: Arc<Judge>,
    /// Takes them.
    pub outlet: Arc<dyn Outlet>,
    /// Takes what gives no event.
    pub aside: Arc<Aside>,
    /// Counts all of it.
    pub counts: Arc<Counts>,
    /// Tenant and source of the credential.
    pub recorded_as: (String, String),
}

/// What a running room of followers is told.
pub enum Order {
    /// Follow these from now on.
    Follow(Vec<TailSettings>),
    /// End.
    Stop,
}

/// Follows files until it is told to end, or nobody is left to tell it.
pub fn run(tails: Vec<TailSettings>, with: &With, orders: &Receiver<Order>) {
    let mut followers = BTreeMap::new();
    follow(tails, with, &mut followers);
    let mut has_moved = true;
    loop {
        let wait = if has_moved { Duration::ZERO } else { LOOK };
        match orders.recv_timeout(wait) {
            Ok(Order::Follow(tails)) => follow(tails, with, &mut followers),
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        has_moved = false;
        for (_, follower) in followers.values_mut() {
            has_moved |= follower.step() == Step::Moved;
        }
    }
}

type Followers = BTreeMap<String, (TailSettings, Follower)>;

/// Begins what is new, leaves what is gone, begins again what is set up otherwise.
fn follow(tails: Vec<TailSettings>, with: &With, followers: &mut Followers) {
    followers.retain(|name, (settings, _)| {
        let stays = tails.contains(settings);
        if !stays {
            tracing::info!(tail = name, "is no longer followed");
            with.counts.forget_tail(name);
        }
        stays
    });
    for tail in tails {
        if !followers.contains_key(&tail.name) {
            tracing::info!(tail = tail.name, path = %tail.path.display(), "is followed");
            let follower = Follower::new(tail.clone(), with.clone());
            followers.insert(tail.name.clone(), (tail, follower));
        }
    }
}
