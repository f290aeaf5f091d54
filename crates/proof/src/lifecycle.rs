//! The lifecycle of a token: a pure table from recorded events to a state.
//!
//! Promises: [`TokenState::apply`] takes every event and never fails. A ledger records what
//! happened, also what must not have: an act out of place leaves the state alone and comes back
//! as a [`Violation`]. Only `ALLOW` changes a state. `REVOKED` is terminal. Nothing here reads a
//! clock: expiry is judged by the time of the event or by the time the caller asks about.
//!
//! Assumes: the facts of one token, from the entries of its own chain, fed in the order the
//! caller means ([`known`]: ledger order, [`happened`]: event time).
//!
//! Refuses: to call a token active that no permitted ISSUED or ORIGIN brought in. Where a rule
//! leaves room, the reading that says "not active" is taken.
//!
//! ```text
//!                     ACTIVATED            USED (codes)
//!          ┌─> PENDING ────────> ACTIVE ─────────────> SPENT
//!  ISSUED ─┤                       ^
//!          └───────────────────────┘          ORIGIN ──> the asserted state
//!
//!  SUSPENDED ──> SUSPENDED ── REINSTATED ──> what it was
//!  ROTATED ────> SUPERSEDED, usable until grace_until if it was usable
//!  EXPIRED ────> EXPIRED ──── REFRESHED with a later expires_at ──> what it was
//!  REVOKED ────> REVOKED for ever; or EXPIRED, when the revocation came at or after expires_at
//! ```
//!
//! EXPIRED lies over the state like a veil: what happens meanwhile acts on what is beneath and
//! shows when the veil is lifted. So it makes no difference to an answer whether an EXPIRED entry
//! exists, nor where among late events it stands.
//!
//! Two states per token. `known` follows the ledger's order and drives introspection. `happened`
//! follows `occurred_at`, ties by index, and drives reports and checks; the final state is
//! `happened` at the end of the record, seen at that time. In ledger order an event that arrives
//! late can hide or raise a violation; those of `happened` are the exact ones.

mod history;
mod selector;
mod table;
mod token_history;

pub use history::{as_of, happened, happened_at, in_event_order, known, known_at};
pub use selector::{Revocation, TokenFacts};
pub use table::{Birth, TokenState, changes_state, is_revocation};
pub use token_history::{
    Covering, Judged, TokenHistory, WideChain, chains_of, covers, end_by, is_permitted_birth,
};

use crate::hlc::Hlc;
use crate::statement::Statement;
use crate::vocabulary::{EventType, Outcome, TokenKind};
use crate::wire::wire_enum;

/// The key of an ORIGIN's `detail` that carries the asserted state's symbol.
pub const DETAIL_STATE: &str = "state";
/// The guard in `activation.requires` that asks for `mfa.completed_at`.
pub const GUARD_MFA: &str = "mfa";
/// The reserved source of the ledger's own statements.
const LEDGER_SOURCE: &str = "ledger";

wire_enum! {
    /// Where a token stands. Positions ascend from "may yet live" to "ended for ever".
    pub enum State {
        /// Seen, but never issued here: refused uses, forgeries, tokens older than the ledger.
        Unknown = 0 "UNKNOWN",
        /// Issued, and waits for its activation or its not_before.
        Pending = 1 "PENDING",
        /// Usable.
        Active = 2 "ACTIVE",
        /// A code that was used.
        Spent = 3 "SPENT",
        /// On hold.
        Suspended = 4 "SUSPENDED",
        /// Replaced; usable only until its grace ends.
        Superseded = 5 "SUPERSEDED",
        /// Past its expiry.
        Expired = 6 "EXPIRED",
        /// Revoked before its expiry. Terminal.
        Revoked = 7 "REVOKED",
    }
}

/// What is off about an event, judged by its `occurred_at` against what was applied before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    /// A permitted act on a token that was neither ISSUED nor named by an ORIGIN so far.
    UnknownToken,
    /// A second ISSUED or ORIGIN, or an ISSUED after the ORIGIN that calls the token older.
    DuplicateIssue,
    /// Issued at or after its own revocation, or one that covers it.
    IssuedAfterRevoke,
    /// ACTIVATED after the deadline or after expiry.
    ActivationLate,
    /// ACTIVATED without the factors that the activation requires.
    ActivationUnproven,
    /// Used at or after its revocation.
    UseAfterRevoke,
    /// Used at or after its expiry.
    UseAfterExpiry,
    /// Used before its activation or its not_before.
    UseBeforeActivation,
    /// Used while on hold.
    UseWhileSuspended,
    /// A spent code was used again.
    CodeReuse,
    /// A replaced refresh token was exercised outside its grace.
    RefreshReuse,
    /// Another replaced token was used outside its grace.
    UseAfterRotation,
    /// An act in a state that it cannot act on, or a use before the token was issued.
    OutOfOrder,
}

impl Violation {
    /// Every violation.
    pub const ALL: &'static [Self] = &[
        Self::UnknownToken,
        Self::DuplicateIssue,
        Self::IssuedAfterRevoke,
        Self::ActivationLate,
        Self::ActivationUnproven,
        Self::UseAfterRevoke,
        Self::UseAfterExpiry,
        Self::UseBeforeActivation,
        Self::UseWhileSuspended,
        Self::CodeReuse,
        Self::RefreshReuse,
        Self::UseAfterRotation,
        Self::OutOfOrder,
    ];

    /// The stable code: the name of the finding it gives rise to.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownToken => "unknown_token",
            Self::DuplicateIssue => "duplicate_issue",
            Self::IssuedAfterRevoke => "issued_after_revoke",
            Self::ActivationLate => "activation_late",
            Self::ActivationUnproven => "activation_unproven",
            Self::UseAfterRevoke => "use_after_revoke",
            Self::UseAfterExpiry => "use_after_expiry",
            Self::UseBeforeActivation => "use_before_activation",
            Self::UseWhileSuspended => "use_while_suspended",
            Self::CodeReuse => "code_reuse",
            Self::RefreshReuse => "refresh_reuse",
            Self::UseAfterRotation => "use_after_rotation",
            Self::OutOfOrder => "out_of_order",
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.code())
    }
}

/// What one event did to its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after; equal to `from` when nothing changed.
    pub to: State,
    /// What is off about the event.
    pub violation: Option<Violation>,
}

/// What the lifecycle needs of one recorded event on a token's chain. Times are Unix nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact<'a> {
    /// Position in the ledger.
    pub index: u64,
    /// The act.
    pub event_type: EventType,
    /// How it ended.
    pub outcome: Outcome,
    /// When it happened, by the producer.
    pub occurred_at: Hlc,
    /// When the ledger recorded it.
    pub recorded_at: Hlc,
    /// What sort of token it is.
    pub token_kind: Option<TokenKind>,
    /// The token's `iat`.
    pub issued_at: Option<i64>,
    /// The token's `nbf`.
    pub not_before: Option<i64>,
    /// The token's `exp`; on an EXPIRED of the ledger, the expiry it was derived from.
    pub expires_at: Option<i64>,
    /// On ROTATED: until when the replaced token stays usable.
    pub grace_until: Option<i64>,
    /// Whether the token must be activated before use.
    pub has_activation: bool,
    /// By when, inclusive.
    pub activation_deadline: Option<i64>,
    /// Whether the activation needs `mfa_completed_at`.
    pub mfa_required: bool,
    /// On ACTIVATED: when the last factor was met.
    pub mfa_completed_at: Option<i64>,
    /// On ORIGIN: the asserted state. An unreadable one is `None`, which asserts nothing.
    pub asserted_state: Option<State>,
    /// The OAuth client.
    pub client_id: Option<&'a str>,
    /// Intended audiences. Filled on ISSUED and ORIGIN only, so that other facts do not allocate.
    pub audience: Vec<&'a str>,
}

impl<'a> Fact<'a> {
    /// A fact with the given place, act and time; the outcome is ALLOW and everything else empty.
    #[must_use]
    pub const fn new(index: u64, event_type: EventType, occurred_at: Hlc) -> Self {
        Self {
            index,
            event_type,
            outcome: Outcome::Allow,
            occurred_at,
            recorded_at: occurred_at,
            token_kind: None,
            issued_at: None,
            not_before: None,
            expires_at: None,
            grace_until: None,
            has_activation: false,
            activation_deadline: None,
            mfa_required: false,
            mfa_completed_at: None,
            asserted_state: None,
            client_id: None,
            audience: Vec::new(),
        }
    }

    /// From when an act that ends or holds something does: when it occurred, or when it was
    /// recorded if that is earlier. Unix nanoseconds.
    #[must_use]
    pub const fn effective_at(&self) -> i64 {
        let (occurred, recorded) = (self.occurred_at.nanos, self.recorded_at.nanos);
        if occurred < recorded { occurred } else { recorded }
    }

    /// The fact that the statement at `index` states. It borrows the statement's bytes, not the
    /// statement.
    #[must_use]
    pub fn of(statement: &Statement<'a>, index: u64, recorded_at: Hlc) -> Self {
        let event_type = statement.event_type;
        let birth = matches!(event_type, EventType::Issued | EventType::Origin);
        // The ledger's own EXPIRED occurs exactly at the expiry it was derived from.
        let derived = event_type == EventType::Expired && statement.source == LEDGER_SOURCE;
        let activation = statement.activation.as_ref();
        let asserted = || statement.detail.iter().find(|detail| detail.key == DETAIL_STATE);
        Self {
            index,
            event_type,
            outcome: statement.outcome,
            occurred_at: statement.occurred_at,
            recorded_at,
            token_kind: statement.token_kind,
            issued_at: statement.issued_at,
            not_before: statement.not_before,
            expires_at: if derived {
                Some(statement.occurred_at.nanos)
            } else {
                statement.expires_at
            },
            grace_until: statement.grace_until,
            has_activation: activation.is_some(),
            activation_deadline: activation.and_then(|activation| activation.deadline),
            mfa_required: activation
                .is_some_and(|activation| activation.requires.contains(&GUARD_MFA)),
            mfa_completed_at: statement.mfa.as_ref().and_then(|mfa| mfa.completed_at),
            asserted_state: (event_type == EventType::Origin)
                .then(asserted)
                .flatten()
                .and_then(|detail| State::from_symbol(detail.value)),
            client_id: statement.client_id,
            audience: if birth { statement.audience.clone() } else { Vec::new() },
        }
    }
}
