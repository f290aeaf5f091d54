//! What an emitter is told once: its numbers, its policy, and what is plugged in.

use std::time::Duration;

use crate::backlog::Limits;
use crate::counts::Refusal;

/// What happens to an event when memory and spool are full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// It is given up and counted; its number is skipped, which the ledger shows as `source_gap`,
    /// and the next heartbeat names it. The service goes on.
    #[default]
    FailOpen,
    /// `emit` fails, and no number is skipped. The service decides.
    FailClosed,
}

/// Called for each event that is refused for good. Must not block.
pub(crate) type OnRefused = Box<dyn Fn(&Refusal) + Send + Sync>;
/// Further detail of heartbeats.
pub(crate) type MoreDetail = Box<dyn Fn() -> Vec<(String, String)> + Send + Sync>;
/// The tokens that are held now.
pub(crate) type Held = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// Numbers of an emitter.
#[derive(Debug, Clone)]
pub(crate) struct Limiting {
    pub queue_events: usize,
    pub queue_bytes: usize,
    pub memory_bytes: usize,
    pub batch: Limits,
    pub linger: Duration,
    pub spill_after: Duration,
    pub durable: bool,
    pub when_full: WhenFull,
    pub heartbeat: Option<Duration>,
}

/// What is plugged in.
pub(crate) struct Hooks {
    pub on_refused: Option<OnRefused>,
    pub more_detail: Option<MoreDetail>,
    pub held: Option<Held>,
}
