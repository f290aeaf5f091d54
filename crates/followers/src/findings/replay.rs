//! Replays: a replaced refresh token or a spent code that is presented again, whether the issuer
//! let it pass or refused it, and the revocation that followed.
//!
//! ```text
//! who came second    another client, address, device or user agent: another party. The same client
//!                    and address (or the same request): the same. Otherwise nobody knows
//! refused            high. The same party within the race window: `benign_race`, info
//! permitted          critical. The same party within the race window: `benign_race`, info;
//!                    within it and nothing says who: `race_of_unknown_parties`, medium
//! the revocation     a permitted REVOKED of the same tenant within a minute that links to the
//!                    token or the event, or is of the same request (correlation_id), or gives
//!                    `reuse` as its reason and ends the token's grant, session, family or itself
//! ```
//!
//! A refusal is the clearest sign of theft there is: the issuer itself saw a token come back that
//! it had replaced. It is told although nobody was let in, because one of the two who presented the
//! token is a thief, and nobody knows yet whether he came first.
//!
//! Assumes: what presents a token at its issuer is REFRESHED, or USED on a code or a refresh token;
//! asking whether it is good (`vantage` INTROSPECTION) is none.

use std::collections::VecDeque;

use ledgerline_index::terms::{issuer_of, names};
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::lifecycle::Violation;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{
    EventType, HandleKind, Moved, Outcome, PersonalRole, TargetKind, TokenKind, Vantage,
};
use ledgerline_summaries::kept;
use serde::{Deserialize, Serialize};

use super::record::{Named, Note, Upon, moved_upon};
use super::rules::{Finding, Rule};
use super::token_state::{Act, cite};

/// How long after a replay a revocation may be its consequence.
const CONSEQUENCE_NANOS: i64 = 60_000_000_000;
/// Replays whose revocation may still come: of all tenants, and of one.
const MAX_REPLAYS: usize = 2048;
const MAX_REPLAYS_OF_TENANT: usize = 256;
/// Revocations that one replay is joined to.
const MAX_CAUSED: u8 = 4;

/// Whoever presented a token, as far as the entry says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Party {
    pub(super) client: Option<Box<str>>,
    pub(super) request: Option<Box<str>>,
    pub(super) address: Option<[u8; 16]>,
    pub(super) device: Option<[u8; 16]>,
    pub(super) agent: Option<[u8; 16]>,
}

kept!(Party { client, request, address, device, agent });

/// Whether two presentations are one party's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    Same,
    Other,
    Unknown,
}

impl Party {
    pub(super) fn of(entry: &Entry<'_>, statement: &Statement<'_>) -> Self {
        let handle = |kind| {
            let of_kind = || entry.handles.iter().filter(move |one| one.kind == kind);
            let request = of_kind().find(|one| one.role == PersonalRole::Request);
            request.or_else(|| of_kind().next()).map(|one| one.id)
        };
        Self {
            client: statement.client_id.map(Into::into),
            request: statement.correlation_id.map(Into::into),
            address: handle(HandleKind::Addr),
            device: handle(HandleKind::Device),
            agent: handle(HandleKind::Agent),
        }
    }

    /// What this entry does not say, as another one of the same act says it.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            client: self.client.or(other.client),
            request: self.request.or(other.request),
            address: self.address.or(other.address),
            device: self.device.or(other.device),
            agent: self.agent.or(other.agent),
        }
    }

    pub(super) fn likeness(&self, other: &Self) -> Likeness {
        fn pair<T: PartialEq>(one: Option<&T>, two: Option<&T>) -> Option<bool> {
            one.zip(two).map(|(one, two)| one == two)
        }
        let client = pair(self.client.as_ref(), other.client.as_ref());
        let address = pair(self.address.as_ref(), other.address.as_ref());
        let device = pair(self.device.as_ref(), other.device.as_ref());
        let agent = pair(self.agent.as_ref(), other.agent.as_ref());
        if [client, address, device, agent].contains(&Some(false)) {
            return Likeness::Other;
        }
        // Whoever sends a request may choose what it is called by: it explains no difference.
        let request = pair(self.request.as_ref(), other.request.as_ref());
        let same = [request, address, device].contains(&Some(true));
        if same { Likeness::Same } else { Likeness::Unknown }
    }
}

/// What an act presents to the token's issuer again, if it may be such a thing: the violation that
/// a token makes of it that was replaced or spent before.
pub(super) fn presents(statement: &Statement<'_>, born_as: Option<TokenKind>) -> Option<Violation> {
    let kind = born_as.or(statement.token_kind);
    match statement.event_type {
        _ if statement.vantage == Vantage::Introspection => None,
        EventType::Used if kind.is_some_and(TokenKind::is_code) => Some(Violation::CodeReuse),
        EventType::Used if kind == Some(TokenKind::Refresh) => Some(Violation::RefreshReuse),
        EventType::Refreshed => Some(Violation::RefreshReuse),
        _ => None,
    }
}

/// Whether a finding is about a replay.
pub(super) fn is_replay(finding: &Finding) -> bool {
    let reuse = [Violation::RefreshReuse, Violation::CodeReuse];
    reuse.iter().any(|violation| finding.rule == Rule::Lifecycle(*violation))
}

/// A replay whose revocation may still come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replay {
    tenant: String,
    finding: [u8; 32],
    token: String,
    source: String,
    event: [u8; 16],
    at: i64,
    request: Option<String>,
    grant: Option<String>,
    session: Option<String>,
    family: Option<String>,
    caused: u8,
}

impl Replay {
    /// Of an act that a finding is about; `birth` is the leaf of the token's birth.
    pub(super) fn of(finding: Hash, act: &Act<'_, '_>, birth: Option<&[u8]>) -> Self {
        let statement = act.statement;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let born = birth.and_then(|birth| {
            read_event(birth, |_, one| {
                (owned(one.grant_id), owned(one.session_id), owned(one.family_id))
            })
        });
        let (grant, session, family) = born.unwrap_or_default();
        Self {
            tenant: statement.tenant.to_owned(),
            finding: finding.0,
            token: statement.target.id.to_owned(),
            source: statement.source.to_owned(),
            event: statement.event_id,
            at: statement.occurred_at.nanos,
            request: owned(statement.correlation_id),
            grant: grant.or_else(|| owned(statement.grant_id)),
            session: session.or_else(|| owned(statement.session_id)),
            family: family.or_else(|| owned(statement.family_id)),
            caused: 0,
        }
    }

    fn led_to(&self, revoked: &Statement<'_>) -> bool {
        let after = revoked.occurred_at.nanos.saturating_sub(self.at);
        if self.tenant != revoked.tenant || !(0..=CONSEQUENCE_NANOS).contains(&after) {
            return false;
        }
        // Not each of a grant's many tokens: what is wide says it for them.
        let wide = revoked.target.kind != TargetKind::Token;
        if self.caused >= MAX_CAUSED || (self.caused > 0 && !wide) {
            return false;
        }
        let named = revoked.links.iter().any(|link| {
            let event = link.event.as_ref();
            link.token == Some(&*self.token)
                || event.is_some_and(|one| one.source == self.source && one.event_id == self.event)
        });
        let same_request =
            self.request.is_some() && self.request.as_deref() == revoked.correlation_id;
        named || same_request || (revoked.reason == Some("reuse") && self.is_ended_by(revoked))
    }

    fn is_ended_by(&self, revoked: &Statement<'_>) -> bool {
        let issuer = issuer_of(&self.token);
        let is = |own: &Option<String>, id: &str| {
            own.as_deref().is_some_and(|own| names(id, own, issuer))
        };
        let target = revoked.target.id;
        match revoked.target.kind {
            TargetKind::Token if target == self.token => true,
            TargetKind::Token => {
                let shared = [
                    (&self.grant, revoked.grant_id),
                    (&self.session, revoked.session_id),
                    (&self.family, revoked.family_id),
                ];
                shared.iter().any(|(own, id)| id.is_some_and(|id| is(own, id)))
            }
            TargetKind::Grant => is(&self.grant, target) || is(&self.family, target),
            TargetKind::Session => is(&self.session, target),
            _ => false,
        }
    }
}

/// Replays that were noticed lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Replays(VecDeque<Replay>);

impl Replays {
    /// Takes note of one; a repeat takes the place of the one before.
    pub(super) fn note(&mut self, new: Replay) {
        let caused = self.0.iter().find(|one| one.finding == new.finding).map(|one| one.caused);
        self.0.retain(|one| one.finding != new.finding);
        let of_tenant = |one: &&Replay| one.tenant == new.tenant;
        let full = self.0.iter().filter(of_tenant).count() >= MAX_REPLAYS_OF_TENANT;
        if full && let Some(oldest) = self.0.iter().position(|one| one.tenant == new.tenant) {
            self.0.remove(oldest);
        }
        if self.0.len() >= MAX_REPLAYS {
            self.0.pop_front();
        }
        self.0.push_back(Replay { caused: caused.unwrap_or(0), ..new });
    }

    /// The replays that a REVOKED follows from, the last one first.
    pub(super) fn that_led_to(&mut self, act: &Act<'_, '_>, notes: &mut Vec<Note>) {
        let statement = act.statement;
        let revokes =
            statement.event_type == EventType::Revoked && statement.outcome == Outcome::Allow;
        if !revokes {
            return;
        }
        if let Some(one) = self.0.iter_mut().rev().find(|one| one.led_to(statement)) {
            one.caused += 1;
            let note = "the issuer revoked this upon the replay";
            notes.push(moved_upon(
                Named { tenant: &one.tenant, finding: Hash(one.finding) },
                Moved::Caused,
                note,
                Upon { event: cite(statement), count: Some(u64::from(one.caused)) },
                act.entry.recorded_at.nanos,
            ));
        }
    }
}
