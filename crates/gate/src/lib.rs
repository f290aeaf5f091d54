//! The gate: what stands between the network and the routes, and who may have how much of it.
//!
//! ```text
//! listener ──▶ TLS ──▶ lane ──▶ connection ──▶ a party's share ──▶ router ──▶ answer, until sent
//! ```
//!
//! Promises: nobody fills a room for others ([`shares`]); a client that is slow, silent or greedy
//! costs one connection for a bounded time ([`server`]); bodies are read within their limits
//! ([`body`]).
//!
//! Assumes: whoever makes it says whose a credential is, and which room a route takes. Knows
//! neither routes nor questions.

pub mod at_work;
pub mod body;
pub mod connections;
pub mod credential;
pub mod descriptors;
pub mod lanes;
pub mod limits;
pub mod pace;
pub mod packed;
pub mod server;
pub mod shares;
pub mod tally;
pub mod tls;
pub mod workload;

use std::sync::{Arc, OnceLock};

use axum::http::{Method, Uri};
use ledgerline_answers::problem::Problem;
use ledgerline_view::registry::Caller;

use crate::connections::Connections;
use crate::limits::Limits;
use crate::shares::{Kind, Room, Shares, Turn};
use crate::tally::Tally;
use crate::workload::{Passes, Workloads};

/// What a caller shows of who it is.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'s> {
    /// An API key, for the ledger to judge.
    Key(&'s str),
    /// The id of a credential: that it is the caller's was proven before ([`workload`]).
    Proven(&'s str),
}

/// Whose credential this is; `None` when it is not valid.
pub type Callers = Box<dyn Fn(Shown<'_>) -> Option<Caller> + Send + Sync>;

/// The room that a request of a route takes its place in; `None` for one that must not depend on
/// load.
pub type Rooms = fn(&Method, &str, &Uri) -> Option<Room>;

/// What every request passes. Shared behind one `Arc`.
pub struct Gate {
    /// Limits of requests.
    pub limits: Limits,
    /// Counts of requests.
    pub tally: Tally,
    /// Who may have how much of it at a time.
    pub shares: Shares,
    /// The open connections.
    pub connections: Arc<Connections>,
    /// Who proves otherwise who it is; set once, at the start.
    pub workloads: OnceLock<Workloads>,
    passes: Passes,
    callers: Callers,
    rooms: Rooms,
}

impl Gate {
    /// With nobody in it.
    #[must_use]
    pub fn new(limits: Limits, callers: Callers, rooms: Rooms) -> Self {
        let shares = Shares::new(&limits);
        let connections = Arc::new(Connections::new(limits.max_connections));
        Self {
            limits,
            tally: Tally::default(),
            shares,
            connections,
            workloads: OnceLock::new(),
            passes: Passes::new(),
            callers,
            rooms,
        }
    }

    /// What the bearer value of a request is.
    #[must_use]
    pub fn shown<'s>(&self, bearer: &'s str) -> Shown<'s> {
        self.passes.key_id(bearer).map_or(Shown::Key(bearer), Shown::Proven)
    }

    /// Runs the taking apart of a body of `length` bytes, when it is its turn.
    ///
    /// # Errors
    /// 429 when the caller has its share of what waits for that; whatever `work` says; 500 when it
    /// panicked.
    pub async fn parse<T, F>(&self, length: usize, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Problem> + Send + 'static,
    {
        let party = at_work::party(self);
        let _place = party.take_or_alone(Room::Line, length)?;
        let turn = party.turn(Kind::Parse).await?;
        blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
    }

    /// Waits for the turn to make a bundle, when one is wanted.
    ///
    /// # Errors
    /// 429 while the caller leaves too much of what it asked for unread; 500 when the server is
    /// gone.
    pub async fn turn_to_prove(&self, wanted: bool) -> Result<Option<Turn>, Problem> {
        if !wanted {
            return Ok(None);
        }
        let party = at_work::party(self);
        party.has_room(Room::Unsent)?;
        Ok(Some(party.turn(Kind::Prove).await?))
    }

    /// A turn to look a presented token up, if one is `wanted`. Each has a thread meanwhile, and
    /// each thread keeps some MiB of the allocator.
    ///
    /// # Errors
    /// 500 when the server is gone.
    pub async fn turn_to_look_up(&self, wanted: bool) -> Result<Option<Turn>, Problem> {
        match wanted {
            true => Ok(Some(at_work::party(self).turn(Kind::LookUp).await?)),
            false => Ok(None),
        }
    }

    /// Runs something that waits for the disk.
    ///
    /// # Errors
    /// Whatever `work` says; 500 when it panicked.
    pub async fn wait<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Problem> + Send + 'static,
    {
        let turn = at_work::turn_to_wait().await?;
        // Whoever hangs up does not stop the work: the turn ends with it.
        blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
    }
}

async fn blocking<T, F>(work: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Problem> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Problem::internal()))
}
