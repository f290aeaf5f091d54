//! Revocations of something wider than a token: which tokens they cover.
//!
//! A REVOKED on a session, grant, subject, client or key takes effect for every token of it at
//! its own commit, long before each token has a REVOKED of its own. It covers the tokens that
//! belong to the target and that its selector picks. Absent selector fields do not narrow, so
//! without `issued_before` tokens issued later are covered too.
//!
//! A selector field that the token's facts cannot answer (no client recorded, no audience, no
//! time of issue) does not leave the token out: an unknown token of a revoked session is not
//! usable.

use crate::chain::{ChainKey, chain_key};
use crate::entry::Handle;
use crate::hlc::Hlc;
use crate::statement::{Selector, Statement};
use crate::token_id::TokenId;
use crate::vocabulary::{EventType, HandleKind, Outcome, PersonalRole, TargetKind};

/// A permitted REVOKED on something wider than a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation<'a> {
    /// What was revoked; the id is the handle's bytes for SUBJECT.
    pub target: ChainKey<'a>,
    /// Index of its entry: it is known to a ledger of more entries than that.
    pub index: u64,
    /// From when it takes effect, Unix nanoseconds: `effective_at`, else when it occurred, or when
    /// it was recorded if that is earlier: a producer's clock that is ahead keeps nothing alive.
    pub effective_at: i64,
    /// Which tokens of the target; `None` is all.
    pub selector: Option<Selector<'a>>,
}

/// What decides whether a revocation covers a token; from its ISSUED or ORIGIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts<'a> {
    /// Tenant.
    pub tenant: &'a str,
    /// The issuer's home region.
    pub region: &'a str,
    /// The issuer's alias.
    pub issuer: &'a str,
    /// The session, as its issuer names it.
    pub session_id: Option<&'a str>,
    /// The grant, as its issuer names it.
    pub grant_id: Option<&'a str>,
    /// The client, as its issuer names it.
    pub client_id: Option<&'a str>,
    /// The key that signed it.
    pub issuer_kid: Option<&'a str>,
    /// The person it speaks for.
    pub subject: Option<[u8; 16]>,
    /// Its `iat`, else when its ISSUED occurred.
    pub issued_at: Option<i64>,
    /// Its audiences.
    pub audience: Vec<&'a str>,
}

impl<'a> TokenFacts<'a> {
    /// The facts in a token's ISSUED or ORIGIN and its handles; `None` when the target is no
    /// token.
    #[must_use]
    pub fn of(statement: &Statement<'a>, handles: &[Handle]) -> Option<Self> {
        if statement.target.kind != TargetKind::Token {
            return None;
        }
        let id = TokenId::parse(statement.target.id).ok()?;
        let subject = handles.iter().find(|handle| {
            handle.role == PersonalRole::Subject && handle.kind == HandleKind::Person
        });
        let issued = statement.event_type == EventType::Issued;
        Some(Self {
            tenant: statement.tenant,
            region: id.region(),
            issuer: id.issuer(),
            session_id: statement.session_id,
            grant_id: statement.grant_id,
            client_id: statement.client_id,
            issuer_kid: statement.issuer_kid,
            subject: subject.map(|handle| handle.id),
            issued_at: statement.issued_at.or(issued.then_some(statement.occurred_at.nanos)),
            audience: statement.audience.clone(),
        })
    }

    /// Whether the token belongs to `target`.
    #[must_use]
    pub fn belong_to(&self, target: &ChainKey<'_>) -> bool {
        let named = |id: Option<&str>| id.is_some_and(|id| self.is_named(target.id, id));
        self.tenant == target.tenant
            && match target.kind {
                TargetKind::Session => named(self.session_id),
                TargetKind::Grant => named(self.grant_id),
                TargetKind::Client => named(self.client_id),
                TargetKind::Key => named(self.issuer_kid),
                TargetKind::Subject => self.subject.is_some_and(|id| id[..] == *target.id),
                _ => false,
            }
    }

    /// Whether a name, bare or as `<region>:<issuer>:<id>`, is that of an id in the fields, which
    /// may hold either form too. Colons of the id itself are no front.
    fn is_named(&self, name: &[u8], id: &str) -> bool {
        self.own(name) == self.own(id.as_bytes())
    }

    /// What the issuer itself calls it: without its own front.
    fn own<'i>(&self, name: &'i [u8]) -> &'i [u8] {
        let rest = || {
            let rest = name.strip_prefix(self.region.as_bytes())?.strip_prefix(b":")?;
            rest.strip_prefix(self.issuer.as_bytes())?.strip_prefix(b":")
        };
        rest().filter(|rest| !rest.is_empty()).unwrap_or(name)
    }
}

impl<'a> Revocation<'a> {
    /// The revocation that a statement states: a permitted REVOKED on a session, grant, subject,
    /// client or key. `None` for every other statement, a token's own REVOKED included.
    #[must_use]
    pub fn of(
        statement: &Statement<'a>,
        handles: &'a [Handle],
        index: u64,
        recorded_at: Hlc,
    ) -> Option<Self> {
        let wide = matches!(
            statement.target.kind,
            TargetKind::Session
                | TargetKind::Grant
                | TargetKind::Subject
                | TargetKind::Client
                | TargetKind::Key
        );
        let done =
            statement.event_type == EventType::Revoked && statement.outcome == Outcome::Allow;
        if !wide || !done {
            return None;
        }
        Some(Self {
            target: chain_key(statement, handles)?,
            index,
            effective_at: statement
                .effective_at
                .unwrap_or(statement.occurred_at.nanos.min(recorded_at.nanos)),
            selector: statement.selector.clone(),
        })
    }

    /// Whether it covers the token: the token belongs to the target and the selector picks it.
    #[must_use]
    pub fn covers(&self, token: &TokenFacts<'_>) -> bool {
        // The selector may name the client bare or in full, as the token may.
        let wanted = self.selector.as_ref().and_then(|selector| selector.client);
        let client = token.client_id.map(|client| {
            wanted.filter(|wanted| token.is_named(wanted.as_bytes(), client)).unwrap_or(client)
        });
        token.belong_to(&self.target)
            && self.selects(token.issued_at, client, token.audience.iter().copied())
    }

    /// Whether the selector picks a token of the target with these facts.
    pub fn selects<'t>(
        &self,
        issued_at: Option<i64>,
        client: Option<&str>,
        mut audiences: impl ExactSizeIterator<Item = &'t str>,
    ) -> bool {
        let Some(selector) = &self.selector else { return true };
        let in_time = match (selector.issued_before, issued_at) {
            (Some(before), Some(issued_at)) => issued_at < before,
            _ => true,
        };
        let of_client = match (selector.client, client) {
            (Some(wanted), Some(client)) => wanted == client,
            _ => true,
        };
        let for_audience = match selector.audience {
            Some(wanted) => audiences.len() == 0 || audiences.any(|audience| audience == wanted),
            None => true,
        };
        in_time && of_client && for_audience
    }

    /// Whether it has taken effect at `at_nanos`.
    #[must_use]
    pub const fn is_in_force(&self, at_nanos: i64) -> bool {
        self.effective_at <= at_nanos
    }
}
