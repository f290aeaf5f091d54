//! The rules: what is noticed about one act, given the life of its token before it.
//!
//! Promises: pure functions; the same life, act, parents and windows give the same findings. What a
//! finding is called ([`Finding::id`]) does not depend on the windows, so that changing them never
//! raises anything twice. A rule that changes what it means bears a new version
//! ([`Rule::version`]): what was raised before stays explained by the version it names, and is not
//! raised again under the new one ([`Finding::former_ids`]).
//!
//! ```text
//! id = SHA-256("ledgerline/finding/v1\0" ‖ lp(rule) ‖ u16 version ‖ lp(tenant) ‖ u8 target kind
//!      ‖ lp(target id) ‖ u16 count of events ‖ for each: lp(source) ‖ event id ‖ place?)
//! ```
//!
//! An "after" rule (use after revocation, after expiry, …) subtracts the uncertainty that both
//! events state of their times, and the propagation window: what lies within says so and is graver
//! than `info` only where it did harm ([`Rule::softened`]). An uncertainty counts up to
//! [`MAX_UNCERTAINTY_NANOS`]: a clock that says it may be off by years explains nothing away.

use std::collections::BTreeMap;

use ledgerline_proof::hash::{DomainHasher, Hash, domain};
use ledgerline_proof::lifecycle::Violation;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_summaries::{Kept, Reader, kept, text};

use super::replay::Party;

/// Open findings of one rule and severity about one token; beyond it the newest one counts. Also:
/// acts that are counted to one finding one by one.
pub const MAX_PER_TOKEN: u64 = 16;
/// For so long acts of the same kind are counted to one finding, by the times they were recorded.
pub const GROUP_NANOS: i64 = 3_600_000_000_000;
/// An event may be so far ahead of the ledger's clock.
pub const MAX_DRIFT_NANOS: i64 = 500_000_000;

/// How far off a clock may say it is and still be believed: a minute.
pub const MAX_UNCERTAINTY_NANOS: i64 = 60_000_000_000;

/// The uncertainty that an event states of its time, as far as it is believed.
#[must_use]
pub fn believed(stated: Option<i64>) -> i64 {
    stated.unwrap_or(0).clamp(0, MAX_UNCERTAINTY_NANOS)
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Explained by a window or an uncertainty, or harmless.
    Info,
    /// Untidy.
    Low,
    /// Wants a look.
    Medium,
    /// Probably an incident.
    High,
    /// An incident.
    Critical,
}

impl Severity {
    /// All, least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What noticed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The lifecycle of the token.
    Lifecycle(Violation),
    /// A permitted act on a token whose parent was revoked before, while it itself was not.
    ChildOutlivesRevokedParent,
    /// A token minted from another has scopes that the other had not.
    ScopeWidened,
    /// An exchanged token does not name the actors of the one it came from.
    ActorLostInExchange,
    /// The producer's clock is ahead of the ledger's by more than [`MAX_DRIFT_NANOS`].
    ClockAhead,
    /// The token is presented as signed by another key than at its issuance.
    KeyMismatch,
    /// The verifier: an entry, a chain or a root is not as it was recorded.
    ChainBreak,
    /// A producer's signature does not hold: of an entry, or of something that was refused.
    BadSignature,
    /// An event id stands for two events, or was refused because it would.
    EventIdConflict,
    /// The verifier: a file that is rebuilt from the journal differs from it.
    DerivedFileDamaged,
    /// A submission was refused because it held what looks like a bearer value.
    SecretRefused,
    /// A submission was refused because its credential or key may not write it.
    UnauthorisedSource,
    /// Numbers of a producer's instance are missing, or introspection uses may be.
    SourceGap,
    /// A producer that declared a heartbeat was not heard for three times as long.
    SourceSilent,
    /// A heartbeat names a token that was revoked before.
    RevokeNotPropagated,
    /// A use at a service that the token was not issued for.
    AudienceMismatch,
    /// A use of a token nobody issued, under a key its issuer is not known to have.
    ForgedSuspect,
    /// A token was issued under another text of a policy than was in effect.
    PolicyMismatch,
    /// Two ids are said to be one token, but were issued differently.
    AliasConflict,
    /// A revocation of something wider arrived late, and not all it covers was judged anew.
    LateRevokeNotJudged,
    /// The digest of a token is recorded as another issuer's token.
    ClaimedBySeveral,
    /// Reconciliation: usable at the issuer, and the ledger never heard of its birth.
    ReconcileUnknownToken,
    /// Reconciliation: usable at the issuer, ended in the ledger.
    ReconcileEndedHere,
    /// Reconciliation: usable in the ledger, gone or ended at the issuer.
    ReconcileMissingAtIssuer,
    /// A token that a holder named as held is in neither of its next two rounds, and has no end.
    HeldTokenMissing,
    /// What a holder holds is not watched, or not all of it.
    HeldUnwatched,
    /// A source that is expected, and of which nothing came in time.
    SourceNeverSeen,
    /// A key is older than the policy lets it become.
    KeyOverdue,
}

impl Rule {
    /// The rules that are none of the lifecycle.
    const OTHERS: [Self; 27] = [
        Self::ChildOutlivesRevokedParent,
        Self::ScopeWidened,
        Self::ActorLostInExchange,
        Self::ClockAhead,
        Self::KeyMismatch,
        Self::ChainBreak,
        Self::BadSignature,
        Self::EventIdConflict,
        Self::DerivedFileDamaged,
        Self::SecretRefused,
        Self::UnauthorisedSource,
        Self::SourceGap,
        Self::SourceSilent,
        Self::RevokeNotPropagated,
        Self::AudienceMismatch,
        Self::ForgedSuspect,
        Self::PolicyMismatch,
        Self::AliasConflict,
        Self::LateRevokeNotJudged,
        Self::ClaimedBySeveral,
        Self::ReconcileUnknownToken,
        Self::ReconcileEndedHere,
        Self::ReconcileMissingAtIssuer,
        Self::HeldTokenMissing,
        Self::HeldUnwatched,
        Self::SourceNeverSeen,
        Self::KeyOverdue,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Lifecycle(violation) => violation.code(),
            Self::ChildOutlivesRevokedParent => "child_outlives_revoked_parent",
            Self::ScopeWidened => "scope_widened",
            Self::ActorLostInExchange => "actor_lost_in_exchange",
            Self::ClockAhead => "clock_ahead",
            Self::KeyMismatch => "key_mismatch",
            Self::ChainBreak => "chain_break",
            Self::BadSignature => "bad_signature",
            Self::EventIdConflict => "event_id_conflict",
            Self::DerivedFileDamaged => "derived_file_damaged",
            Self::SecretRefused => "secret_refused",
            Self::UnauthorisedSource => "unauthorised_source",
            Self::SourceGap => "source_gap",
            Self::SourceSilent => "source_silent",
            Self::RevokeNotPropagated => "revoke_not_propagated",
            Self::AudienceMismatch => "audience_mismatch",
            Self::ForgedSuspect => "forged_suspect",
            Self::PolicyMismatch => "policy_mismatch",
            Self::AliasConflict => "alias_conflict",
            Self::LateRevokeNotJudged => "late_revoke_not_judged",
            Self::ClaimedBySeveral => "claimed_by_several",
            Self::ReconcileUnknownToken => "reconcile_unknown_token",
            Self::ReconcileEndedHere => "reconcile_ended_here",
            Self::ReconcileMissingAtIssuer => "reconcile_missing_at_issuer",
            Self::HeldTokenMissing => "held_token_missing",
            Self::HeldUnwatched => "held_unwatched",
            Self::SourceNeverSeen => "source_never_seen",
            Self::KeyOverdue => "key_overdue",
        }
    }

    /// All rules.
    pub fn all() -> impl Iterator<Item = Self> {
        Violation::ALL.iter().map(|one| Self::Lifecycle(*one)).chain(Self::OTHERS)
    }

    /// The rule of this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::all().find(|one| one.code() == code)
    }

    /// Its version: part of every id. Raised by one when a rule comes to mean something else, in
    /// what it notices, how grave it is or whom it is about:
    ///
    /// ```text
    /// use_after_revoke  2  within the propagation window `low`, no longer `info`
    /// use_after_revoke  3  also of uses told as one the last; also by what is wider and came late;
    ///                      under all ids of the token
    /// use_after_expiry, use_after_rotation, use_while_suspended
    ///                   2  also of uses told as one the last; under all ids
    /// issued_after_revoke, unknown_token, revoke_not_propagated, child_outlives_revoked_parent
    ///                   2  under all ids
    /// refresh_reuse     2  also refused ones; who came second decides whether it was a race
    /// code_reuse        2  also refused ones
    /// refresh_reuse, code_reuse
    ///                   3  under all ids
    /// duplicate_issue   2  `low` where both births say the same
    /// scope_widened     2  `low` for an exchange for another audience
    /// alias_conflict    2  about the token whose id was claimed; `high`
    /// ```
    #[must_use]
    pub const fn version(self) -> u16 {
        match self {
            Self::Lifecycle(
                Violation::UseAfterRevoke | Violation::RefreshReuse | Violation::CodeReuse,
            ) => 3,
            Self::Lifecycle(
                Violation::UseAfterExpiry
                | Violation::UseAfterRotation
                | Violation::UseWhileSuspended
                | Violation::IssuedAfterRevoke
                | Violation::UnknownToken
                | Violation::DuplicateIssue,
            )
            | Self::RevokeNotPropagated
            | Self::ChildOutlivesRevokedParent
            | Self::ScopeWidened
            | Self::AliasConflict => 2,
            _ => 1,
        }
    }

    /// How grave it is where something explains it: `info`, but for a use after a revocation whose
    /// news was still on its way. That one happened, and somebody was let in who should not have
    /// been; it is expected of every gateway that does not ask, so nobody is woken for it.
    #[must_use]
    pub const fn softened(self, explained: Explanation) -> Severity {
        match (self, explained) {
            (Self::Lifecycle(Violation::UseAfterRevoke), Explanation::Propagation)
            | (Self::Lifecycle(Violation::DuplicateIssue), Explanation::SameFacts)
            | (Self::ScopeWidened, Explanation::OtherAudience) => Severity::Low,
            (Self::Lifecycle(Violation::RefreshReuse), Explanation::UnknownParty) => {
                Severity::Medium
            }
            _ => Severity::Info,
        }
    }

    /// How grave it is where nothing explains it.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Lifecycle(violation) => match violation {
                Violation::UseAfterRevoke | Violation::RefreshReuse | Violation::CodeReuse => {
                    Severity::Critical
                }
                Violation::IssuedAfterRevoke
                | Violation::UseAfterRotation
                | Violation::UseAfterExpiry
                | Violation::ActivationUnproven
                | Violation::DuplicateIssue
                | Violation::UseWhileSuspended => Severity::High,
                Violation::UnknownToken
                | Violation::UseBeforeActivation
                | Violation::ActivationLate => Severity::Medium,
                Violation::OutOfOrder => Severity::Low,
            },
            Self::ChainBreak => Severity::Critical,
            Self::ChildOutlivesRevokedParent
            | Self::ScopeWidened
            | Self::KeyMismatch
            | Self::BadSignature
            | Self::SecretRefused
            | Self::RevokeNotPropagated
            | Self::AudienceMismatch
            | Self::ForgedSuspect
            | Self::PolicyMismatch
            | Self::AliasConflict
            | Self::ClaimedBySeveral
            | Self::ReconcileEndedHere => Severity::High,
            Self::ActorLostInExchange
            | Self::EventIdConflict
            | Self::DerivedFileDamaged
            | Self::UnauthorisedSource
            | Self::SourceGap
            | Self::SourceSilent
            | Self::LateRevokeNotJudged
            | Self::ReconcileUnknownToken
            | Self::ReconcileMissingAtIssuer
            | Self::HeldTokenMissing
            | Self::HeldUnwatched
            | Self::SourceNeverSeen => Severity::Medium,
            Self::ClockAhead | Self::KeyOverdue => Severity::Low,
        }
    }
}

/// What explains a finding away, or almost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explanation {
    /// The times are not known well enough to say which came first.
    Uncertainty,
    /// News of the end may not have arrived yet.
    Propagation,
    /// Two requests of one party that crossed: same client, same address.
    BenignRace,
    /// So soon that it may be a race, and nothing says who came second.
    UnknownParty,
    /// The scopes are those of another audience.
    OtherAudience,
    /// Both say the same of the token: two logs of one act.
    SameFacts,
}

impl Explanation {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Uncertainty => "within_uncertainty",
            Self::Propagation => "within_propagation_window",
            Self::BenignRace => "benign_race",
            Self::UnknownParty => "race_of_unknown_parties",
            Self::OtherAudience => "other_audience",
            Self::SameFacts => "same_facts",
        }
    }
}

/// What is tolerated. Nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// How long news of an end may take to reach those who decide.
    pub propagation_nanos: i64,
    /// Within which a second use of a replaced refresh token by the same party is two clicks of one
    /// person.
    pub refresh_race_nanos: i64,
    /// How far off the clocks of sources are at most, by source, as whoever runs the ledger knows
    /// it. Of others a minute is believed.
    pub skew_nanos: BTreeMap<String, i64>,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            propagation_nanos: 5_000_000_000,
            refresh_race_nanos: 10_000_000_000,
            skew_nanos: BTreeMap::new(),
        }
    }
}

impl Windows {
    /// The uncertainty that an event of a source states of its time, as far as it is believed: up
    /// to what the source's clock is known to be off, where that is known, otherwise up to
    /// [`MAX_UNCERTAINTY_NANOS`].
    #[must_use]
    pub fn believed(&self, source: &str, stated: Option<i64>) -> i64 {
        let skew = self.skew_nanos.get(source).copied();
        believed(stated).min(skew.unwrap_or(MAX_UNCERTAINTY_NANOS))
    }
}

/// An event that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cited {
    /// Its source.
    pub source: String,
    /// Its id.
    pub event_id: [u8; 16],
}

/// What a finding is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'s> {
    /// Its tenant.
    pub tenant: &'s str,
    /// Its kind.
    pub kind: TargetKind,
    /// Its id.
    pub target: &'s str,
}

/// Something that was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// By what.
    pub rule: Rule,
    /// How grave.
    pub severity: Severity,
    /// The tenant of the target.
    pub tenant: String,
    /// What it is about: a token nearly always, else a source or the ledger.
    pub kind: TargetKind,
    /// Its id.
    pub target: String,
    /// The events: the act first, then what it stands against.
    pub events: Vec<Cited>,
    /// What else tells it from others, where events do not: an entry, a file, a range.
    pub place: Option<String>,
    /// Another token it is about: the parent.
    pub parent: Option<String>,
    /// By how much, in milliseconds, where a rule compares times.
    pub gap_ms: Option<i64>,
    /// Why it is less grave than its rule's.
    pub explained: Option<Explanation>,
    /// What exactly: scopes or actors, a short list.
    pub about: Option<String>,
    /// When the ledger recorded the act, Unix nanoseconds: the time of the finding.
    pub noticed_at: i64,
    /// Who did it, as far as the entry says: what another party does is another finding.
    pub(crate) who: Option<Box<Party>>,
}

impl Finding {
    /// One that says nothing but what its rule does.
    #[must_use]
    pub fn about(rule: Rule, of: Subject<'_>, events: Vec<Cited>, noticed_at: i64) -> Self {
        Self {
            rule,
            severity: rule.severity(),
            tenant: of.tenant.to_owned(),
            kind: of.kind,
            target: of.target.to_owned(),
            events,
            place: None,
            parent: None,
            gap_ms: None,
            explained: None,
            about: None,
            noticed_at,
            who: None,
        }
    }

    /// The same, which says where, and what exactly.
    #[must_use]
    pub fn saying(self, place: String, about: String) -> Self {
        Self { place: Some(place), about: Some(about), ..self }
    }

    /// Its name for ever.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.id_of(self.rule.version(), &self.target)
    }

    /// The names that it has if an earlier version of its rule raised it, newest first.
    pub fn former_ids(&self) -> impl Iterator<Item = Hash> {
        // Version 1 had it about the token that made the claim.
        let claimant = self.parent.as_deref().filter(|_| self.rule == Rule::AliasConflict);
        let target = claimant.unwrap_or(&self.target);
        (1..self.rule.version()).rev().map(move |version| self.id_of(version, target))
    }

    fn id_of(&self, version: u16, target: &str) -> Hash {
        let count = u16::try_from(self.events.len()).unwrap_or(u16::MAX);
        let head = DomainHasher::new(domain::FINDING)
            .lp(self.rule.code().as_bytes())
            .u16(version)
            .lp(self.tenant.as_bytes())
            .u8(self.kind.position())
            .lp(target.as_bytes())
            .u16(count);
        let events = self.events.iter().take(usize::from(count));
        let all =
            events.fold(head, |hasher, one| hasher.lp(one.source.as_bytes()).bytes(&one.event_id));
        match &self.place {
            Some(place) => all.lp(place.as_bytes()).finish(),
            None => all.finish(),
        }
    }
}

/// By how much an act lies behind a boundary, and what explains it.
#[must_use]
pub fn behind(
    gap: i64,
    uncertainty: i64,
    window: i64,
    windowed: Explanation,
) -> Option<Explanation> {
    if gap < uncertainty {
        Some(Explanation::Uncertainty)
    } else if gap < uncertainty.saturating_add(window) {
        Some(windowed)
    } else {
        None
    }
}

kept!(Cited { source, event_id });

impl Kept for Rule {
    fn write(&self, out: &mut Vec<u8>) {
        Box::<str>::from(self.code()).write(out);
    }
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Self::from_code(text(from)?)
    }
}

impl Kept for Severity {
    fn write(&self, out: &mut Vec<u8>) {
        Box::<str>::from(self.word()).write(out);
    }
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let word = text(from)?;
        Self::ALL.into_iter().find(|one| one.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::{Explanation, MAX_UNCERTAINTY_NANOS, Windows, behind, believed};

    #[test]
    fn an_endless_uncertainty_explains_nothing_beyond_a_minute() {
        let late = MAX_UNCERTAINTY_NANOS + 1;
        assert_eq!(behind(late, believed(Some(i64::MAX)), 0, Explanation::Propagation), None);
        assert_eq!(believed(Some(3_000_000_000)), 3_000_000_000);
        assert_eq!(believed(Some(-1)), 0);
        assert_eq!(believed(None), 0);
        let skew_nanos = [("gw".to_owned(), 50)].into();
        let windows = Windows { skew_nanos, ..Windows::default() };
        assert_eq!(windows.believed("gw", Some(i64::MAX)), 50);
        assert_eq!(windows.believed("gw", Some(7)), 7);
        assert_eq!(windows.believed("gw", None), 0);
        assert_eq!(windows.believed("other", Some(i64::MAX)), MAX_UNCERTAINTY_NANOS);
    }
}
