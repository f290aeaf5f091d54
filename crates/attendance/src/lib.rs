//! Attendance: which sources are there, what they hold, and how old their keys are.
//!
//! ```text
//! HEARTBEAT with held_tokens ──▶ rounds of a holder ──▶ in one, in neither of the next two,
//!                                                       and no end known: held_token_missing
//!                            └─▶ too many, incomplete, not heard: held_unwatched
//! KEY_ADDED, settings        ──▶ expected sources ──nothing came in time──▶ source_never_seen
//! KEY_ADDED                  ──▶ keys ──older than the policy──▶ key_overdue
//!
//! followers/attendance   the state is the memory (JSON)
//! ```
//!
//! Promises: a function of the entries before its position and of the [`Policy`] alone, so that
//! reading everything again says the same. Time is that of leaves, and only as far as the ledger
//! ran: nobody is missed because the ledger stood. What no longer holds is withdrawn. Memory is
//! bounded ([`held`], [`expected`]), and what lies beyond a bound is a finding or news for the log.
//!
//! Assumes: one follower is stepped at a time.
//!
//! Refuses: to say anything of tokens that nobody named as held.

mod expected;
mod follower;
mod held;
mod memory;

pub use self::expected::Policy;
pub use self::follower::AttendanceFollower;
pub use self::held::{HOLDERS_MAX, PARTS_MAX, TOKENS_MAX};
