//! What an entry can be found by: the index terms that follow from an event.
//!
//! Promises: one function for intake, replay and the verifier, and one spelling of every term for
//! those who post and those who ask. The terms follow from the entry alone, each once. A presented
//! token is found by its digest whatever was recorded of it, also where nobody told its birth.
//!
//! ```text
//! kind          parts of the term                    of which events
//! subject       handle                               a SUBJECT person
//! handle        handle                               every other handle but concrete resources
//! client        bare id                              client_id, CLIENT targets, client actors
//! resource      "t" ‖ template | "h" ‖ handle        resource; RESOURCE handles
//! policy        id                                   policies, POLICY targets
//!               nothing                              POLICY_CHANGED
//! session       bare id                              session_id, SESSION targets
//! grant         bare id                              grant_id, GRANT targets
//!               "f" ‖ bare id                        family_id of births
//! key           bare id                              issuer_kid, KEY targets
//! source        name                                 every event
//! parent        "t" ‖ token id | "e" ‖ source ‖ id   links: the reverse edge
//! expiry-hour   hours since 1970, i64 big-endian     births and refreshes of tokens; tenant ""
//! finding       nothing                              FINDING_RAISED and FINDING_CLOSED
//!               "report"                             VERIFY_REPORT
//! alias         token id                             also_known_as
//!               "t1" ‖ digest                        births and also_known_as of the form t1, and
//!                                                    the first entry of a chain of such a token
//! revocation    nothing                              permitted REVOKED of any target
//! digest        SHA-256                              policies of POLICY targets, snapshots
//! life          40 bits of the chain's term ‖ 2 bits  see [`OfLife`]
//! ```
//!
//! A birth (ISSUED or ORIGIN of a token) also has the terms of its subject and client with one more
//! part, `birth`: so the tokens of a person are found without reading every use of them. Sessions
//! and grants are small enough to be read whole.
//!
//! A bare id is what stands behind `<region>:<alias>:`, or the whole id when it has no such front:
//! statements may write either. An id with colons of its own (a client called `urn:orders:web`)
//! looks as if it had such a front, so its term is that of other ids too, and it is asked for under
//! each of its [`spellings`]. Terms only lead there: whoever asks confirms the hit with [`names`],
//! which knows the issuer.

use ledgerline_proof::chain::{ChainKey, chain_key};
use ledgerline_proof::entry::Handle;
use ledgerline_proof::event_id::uuid_v7_millis;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{Revocation, changes_state, is_revocation};
use ledgerline_proof::schema::Leaf;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::token_id::is_name_byte;
use ledgerline_proof::token_id::{Form, TokenId};
use ledgerline_proof::vocabulary::{
    ActorKind, EventType, HandleKind, Outcome, PersonalRole, TargetKind,
};

use crate::{HASH_BITS, Posting, Term, TermHasher, TermKind};

/// Leaf terms: what kind of leaf can be found without knowing its chain.
pub mod leaf_terms {
    /// Block entries.
    pub const BLOCK: &[u8] = b"block";
    /// Control leaves.
    pub const CONTROL: &[u8] = b"control";
    /// ERASED events.
    pub const ERASED: &[u8] = b"erased";
}

/// Nanoseconds of an hour.
const HOUR_NANOS: i64 = 3_600_000_000_000;
/// The part that births have.
const BIRTH: &[u8] = b"birth";
/// The part that ORIGIN events have more than births.
const ORIGIN: &[u8] = b"origin";
/// The part that heartbeats have.
const HEARTBEAT: &[u8] = b"heartbeat";
/// Bits of a chain's hash that the terms of its life have. A collision costs one read.
const LIFE_BITS: u32 = 40;
/// Lists up to here are kept free of repetition by looking through them.
const FEW: usize = 32;

/// One thing that entries are found by. Tokens and chains have their own terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'a> {
    /// The person an event is about.
    Subject(&'a [u8; 16]),
    /// Any other handle.
    Handle(&'a [u8; 16]),
    /// A client, bare or qualified.
    Client(&'a str),
    /// A resource's template or declared-safe id.
    Resource(&'a str),
    /// A concrete resource.
    ResourceHandle(&'a [u8; 16]),
    /// A policy.
    Policy(&'a str),
    /// Changes of policies, all of them.
    PolicyChange,
    /// A session, bare or qualified.
    Session(&'a str),
    /// A grant, bare or qualified.
    Grant(&'a str),
    /// A family of tokens, bare or qualified: its births.
    Family(&'a str),
    /// An issuer's signing key, bare or qualified.
    Key(&'a str),
    /// A source.
    Source(&'a str),
    /// What a source says of tokens that are older than the ledger.
    OriginsOf(&'a str),
    /// The heartbeats of a source.
    HeartbeatsOf(&'a str),
    /// The births of all tokens.
    Births,
    /// A token that the entry links to.
    Parent(&'a str),
    /// An event that the entry links to.
    ParentEvent(&'a str, &'a [u8; 16]),
    /// An hour in which tokens expire, since 1970; of all tenants.
    ExpiryHour(i64),
    /// Whatever gives a token an expiry; of all tenants.
    Expiring,
    /// Findings.
    Finding,
    /// Reports of the verifier.
    Report,
    /// Another id of the same token.
    Alias(&'a str),
    /// The `t1` digest of a token as it is presented, whoever issued it.
    Presented(&'a str),
    /// Revocations, all of them, and tokens that came revoked.
    Revocation,
    /// An attachment.
    Digest(&'a Hash),
}

impl By<'_> {
    /// The term in a tenant.
    #[must_use]
    pub fn term(&self, hasher: &TermHasher, tenant: &str) -> Term {
        self.with(hasher, tenant, None)
    }

    /// The term that only births have: the ISSUED and ORIGIN of tokens.
    ///
    /// # Panics
    /// For what births are not found by: our error.
    #[must_use]
    pub fn births(&self, hasher: &TermHasher, tenant: &str) -> Term {
        let has = matches!(self, Self::Subject(_) | Self::Client(_) | Self::Source(_));
        assert!(has, "births have no such term");
        self.with(hasher, tenant, Some(BIRTH))
    }

    /// The terms under which an entry may stand that names this id of an issuer: one for each way
    /// to spell it. One for whatever is no such id.
    #[must_use]
    pub fn spelled(&self, hasher: &TermHasher, tenant: &str) -> Vec<Term> {
        self.in_each_spelling(hasher, tenant, None)
    }

    /// As [`Self::spelled`], of births alone.
    #[must_use]
    pub fn births_spelled(&self, hasher: &TermHasher, tenant: &str) -> Vec<Term> {
        self.in_each_spelling(hasher, tenant, Some(BIRTH))
    }

    fn in_each_spelling(
        &self,
        hasher: &TermHasher,
        tenant: &str,
        more: Option<&[u8]>,
    ) -> Vec<Term> {
        let (kind, front, id): (TermKind, Option<&[u8]>, &str) = match self {
            Self::Client(id) => (TermKind::Client, None, id),
            Self::Session(id) => (TermKind::Session, None, id),
            Self::Grant(id) => (TermKind::Grant, None, id),
            Self::Family(id) => (TermKind::Grant, Some(b"f"), id),
            Self::Key(id) => (TermKind::Key, None, id),
            _ => return vec![self.with(hasher, tenant, more)],
        };
        let term = |spelling: &&str| {
            let parts = front.into_iter().chain([spelling.as_bytes()]).chain(more);
            hasher.term(kind, tenant, &parts.collect::<Vec<_>>())
        };
        spellings(id).iter().map(term).collect()
    }

    fn with(&self, hasher: &TermHasher, tenant: &str, more: Option<&[u8]>) -> Term {
        let hours;
        let (kind, first, second): (TermKind, &[u8], Option<&[u8]>) = match self {
            Self::Subject(id) => (TermKind::Subject, *id, None),
            Self::Handle(id) => (TermKind::Handle, *id, None),
            Self::Client(id) => (TermKind::Client, bare(id).as_bytes(), None),
            Self::Resource(name) => (TermKind::Resource, b"t", Some(name.as_bytes())),
            Self::ResourceHandle(id) => (TermKind::Resource, b"h", Some(*id)),
            Self::Policy(id) => (TermKind::Policy, id.as_bytes(), None),
            Self::Session(id) => (TermKind::Session, bare(id).as_bytes(), None),
            Self::Grant(id) => (TermKind::Grant, bare(id).as_bytes(), None),
            Self::Family(id) => (TermKind::Grant, b"f", Some(bare(id).as_bytes())),
            Self::Key(id) => (TermKind::Key, bare(id).as_bytes(), None),
            Self::Source(name) => (TermKind::Source, name.as_bytes(), None),
            Self::OriginsOf(name) => (TermKind::Source, name.as_bytes(), Some(ORIGIN)),
            Self::HeartbeatsOf(name) => (TermKind::Source, name.as_bytes(), Some(HEARTBEAT)),
            // No source has an empty name.
            Self::Births => (TermKind::Source, b"", Some(BIRTH)),
            Self::Parent(id) => (TermKind::Parent, b"t", Some(id.as_bytes())),
            Self::ParentEvent(source, id) => {
                let parts: [&[u8]; 3] = [b"e", source.as_bytes(), *id];
                return hasher.term(TermKind::Parent, tenant, &parts);
            }
            Self::ExpiryHour(hour) => {
                hours = hour.to_be_bytes();
                return hasher.term(TermKind::ExpiryHour, "", &[&hours]);
            }
            Self::Expiring => return hasher.term(TermKind::ExpiryHour, "", &[]),
            Self::Finding => return hasher.term(TermKind::Finding, tenant, &[]),
            Self::Report => (TermKind::Finding, b"report", None),
            Self::PolicyChange => return hasher.term(TermKind::Policy, tenant, &[]),
            Self::Revocation => return hasher.term(TermKind::Revocation, tenant, &[]),
            Self::Alias(id) => (TermKind::Alias, id.as_bytes(), None),
            Self::Presented(digest) => (TermKind::Alias, b"t1", Some(digest.as_bytes())),
            Self::Digest(digest) => (TermKind::Digest, &digest.0, None),
        };
        match (second, more) {
            (None, None) => hasher.term(kind, tenant, &[first]),
            (Some(part), None) | (None, Some(part)) => hasher.term(kind, tenant, &[first, part]),
            (Some(second), Some(more)) => hasher.term(kind, tenant, &[first, second, more]),
        }
    }
}

/// The id behind what looks like `<region>:<alias>:`, or all of it. For terms only: an id with
/// colons of its own looks so too. Where the issuer is known, [`own_id`] tells.
fn bare(id: &str) -> &str {
    qualifier(id).map_or(id, |(_, bare)| bare)
}

/// The texts under whose term an id may stand that somebody asks for, bare or qualified: its own,
/// and those that are left when what looks like a front is taken for one.
fn spellings(id: &str) -> Vec<&str> {
    let mut texts = vec![bare(id)];
    for text in [id, bare(bare(id))] {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

/// What an issuer itself calls something that is written `id`: without the issuer's own
/// `<region>:<alias>:` in front, if it has it, and otherwise whole, colons and all.
#[must_use]
pub fn own_id<'i>(id: &'i str, issuer: Option<&str>) -> &'i str {
    let rest = |issuer: &str| id.strip_prefix(issuer)?.strip_prefix(':');
    issuer.and_then(rest).filter(|rest| !rest.is_empty()).unwrap_or(id)
}

/// `<region>:<alias>:<id>` of something that the issuer `<region>:<alias>` is to know.
#[must_use]
pub fn qualified(id: &str, issuer: &str) -> String {
    format!("{issuer}:{}", own_id(id, Some(issuer)))
}

/// The `<region>:<alias>` in front of an id, and what stands behind it.
fn qualifier(id: &str) -> Option<(&str, &str)> {
    let is_name = |part: &str| (1..=32).contains(&part.len()) && part.bytes().all(is_name_byte);
    let (region, rest) = id.split_once(':')?;
    let (alias, bare) = rest.split_once(':')?;
    let front = &id[..region.len() + 1 + alias.len()];
    (is_name(region) && is_name(alias) && !bare.is_empty()).then_some((front, bare))
}

/// Whether `asked` names what a statement about something of `issuer` (`<region>:<alias>`, see
/// [`issuer_about`]) calls `written`. Either may have the issuer's front; nothing else is one, so
/// that `web` never means `urn:orders:web`. Where no issuer is known, a qualified question finds
/// what is written bare.
#[must_use]
pub fn names(asked: &str, written: &str, issuer: Option<&str>) -> bool {
    asked == written
        || own_id(asked, issuer) == own_id(written, issuer)
        || (issuer.is_none() && bare(asked) == written)
}

/// The `<region>:<alias>` of a token id or another qualified id.
#[must_use]
pub fn issuer_of(id: &str) -> Option<&str> {
    qualifier(id).map(|(front, _)| front)
}

/// Schemes of names that have colons of their own; no region is called so.
const NAME_SCHEMES: [&str; 3] = ["urn", "arn", "did"];

/// The issuer that a statement is about, `<region>:<alias>`, from its target. The target of
/// something wider than a token may be bare: then what looks like a front is none when the
/// statement names another issuer, or when it is the scheme of a name.
#[must_use]
pub fn issuer_about<'a>(statement: &Statement<'a>) -> Option<&'a str> {
    let front = issuer_of(statement.target.id)?;
    if statement.target.kind == TargetKind::Token {
        return Some(front);
    }
    let (region, alias) = front.split_once(':')?;
    let fits = statement.issuer.map_or(!NAME_SCHEMES.contains(&region), |issuer| issuer == alias);
    fits.then_some(front)
}

/// The digest in a token id of the form `t1`: what a presented token is found by.
#[must_use]
pub fn presented_digest(id: &str) -> Option<&str> {
    let id = TokenId::parse(id).ok()?;
    (id.form() == Form::T1).then(|| id.value())
}

/// The hour since 1970 that a time lies in.
#[must_use]
pub fn hour_of(nanos: i64) -> i64 {
    nanos.div_euclid(HOUR_NANOS)
}

/// Whether an event brings a token into the ledger.
#[must_use]
pub fn is_birth(statement: &Statement<'_>) -> bool {
    statement.target.kind == TargetKind::Token
        && matches!(statement.event_type, EventType::Issued | EventType::Origin)
}

/// The expiry that an event gives its target: a permitted ISSUED, ORIGIN or REFRESHED.
#[must_use]
pub fn expires(statement: &Statement<'_>) -> Option<i64> {
    let gives = is_birth(statement) || statement.event_type == EventType::Refreshed;
    statement.expires_at.filter(|_| gives && statement.outcome == Outcome::Allow)
}

/// What an event's identity is found by.
#[must_use]
pub fn event_term(hasher: &TermHasher, tenant: &str, source: &str, id: &[u8; 16]) -> Term {
    hasher.term(TermKind::EventId, tenant, &[source.as_bytes(), id])
}

/// What the entries of a chain are found by.
#[must_use]
pub fn chain_term(hasher: &TermHasher, chain: &ChainKey<'_>) -> Term {
    hasher.term(TermKind::Chain, chain.tenant, &[&[chain.kind.position()], chain.id])
}

/// The events of a chain that its target's state follows from, however many others there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfLife {
    /// Permitted acts of a token that may change its state, without refreshes; permitted
    /// revocations of anything wider.
    Acts = 0,
    /// Permitted refreshes of a token. Of many only the newest count: they move its expiry on.
    Refreshes = 1,
    /// Events of a token that give it another id, but for what was refused.
    Names = 2,
}

impl OfLife {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Acts, Self::Refreshes, Self::Names];

    /// The term, cut from the one of the chain.
    #[must_use]
    pub const fn term(self, chain: &Term) -> Term {
        let hash = chain.hash >> (HASH_BITS - LIFE_BITS) << 2 | self as u128;
        Term { kind: TermKind::Life as u8, hash }
    }

    /// Whether an event is of these.
    #[must_use]
    pub fn has(self, statement: &Statement<'_>, handles: &[Handle]) -> bool {
        let is_token = statement.target.kind == TargetKind::Token;
        let refreshes = statement.event_type == EventType::Refreshed;
        match self {
            Self::Acts if is_token => !refreshes && changes_state(statement),
            Self::Acts => Revocation::of(statement, handles, 0, Hlc::at(i64::MAX)).is_some(),
            Self::Refreshes => is_token && refreshes && changes_state(statement),
            Self::Names => {
                let refused = matches!(statement.outcome, Outcome::Deny | Outcome::Error);
                is_token && !refused && !statement.also_known_as.is_empty()
            }
        }
    }
}

/// All terms of an event but its id and its chain, each once.
#[must_use]
pub fn terms_of(hasher: &TermHasher, statement: &Statement<'_>, handles: &[Handle]) -> Vec<Term> {
    let mut terms = Terms { hasher, statement, list: Vec::with_capacity(20) };
    terms.named();
    terms.handles(handles);
    terms.linked();
    terms.lived(handles);
    if terms.list.len() > FEW {
        terms.list.sort_unstable();
        terms.list.dedup();
    }
    terms.list
}

/// What the first entry of a chain is found by besides: the digest of a token that was not born by
/// it. `None` when [`terms_of`] has that term.
#[must_use]
pub fn first_term(hasher: &TermHasher, statement: &Statement<'_>) -> Option<Term> {
    let is_token = statement.target.kind == TargetKind::Token;
    let digest = presented_digest(statement.target.id).filter(|_| is_token)?;
    let named = |id: &&str| presented_digest(id) == Some(digest);
    let has = is_birth(statement) || statement.also_known_as.iter().any(named);
    (!has).then(|| By::Presented(digest).term(hasher, statement.tenant))
}

struct Terms<'s, 'a> {
    hasher: &'s TermHasher,
    statement: &'s Statement<'a>,
    list: Vec<Term>,
}

impl Terms<'_, '_> {
    fn add(&mut self, by: &By<'_>) {
        self.push(by.term(self.hasher, self.statement.tenant));
    }

    fn push(&mut self, term: Term) {
        // Longer lists are sorted at the end.
        if self.list.len() > FEW || !self.list.contains(&term) {
            self.list.push(term);
        }
    }

    /// What a token belongs to: found by all its events, and once more by its birth.
    fn belong(&mut self, by: &By<'_>) {
        self.add(by);
        if is_birth(self.statement) {
            self.push(by.births(self.hasher, self.statement.tenant));
        }
    }

    fn presented(&mut self, id: &str) {
        if let Some(digest) = presented_digest(id) {
            self.add(&By::Presented(digest));
        }
    }

    fn named(&mut self) {
        let s = self.statement;
        self.belong(&By::Source(s.source));
        if is_birth(s) {
            self.add(&By::Births);
            if s.event_type == EventType::Origin {
                self.add(&By::OriginsOf(s.source));
            }
        }
        if s.event_type == EventType::Heartbeat {
            self.add(&By::HeartbeatsOf(s.source));
        }
        let of = |kind: TargetKind| (s.target.kind == kind).then_some(s.target.id);
        for id in s.client_id.into_iter().chain(of(TargetKind::Client)) {
            self.belong(&By::Client(id));
        }
        for id in s.session_id.into_iter().chain(of(TargetKind::Session)) {
            self.add(&By::Session(id));
        }
        for id in s.grant_id.into_iter().chain(of(TargetKind::Grant)) {
            self.add(&By::Grant(id));
        }
        for id in s.family_id.into_iter().filter(|_| is_birth(s)) {
            self.add(&By::Family(id));
        }
        for id in s.issuer_kid.into_iter().chain(of(TargetKind::Key)) {
            self.add(&By::Key(id));
        }
        for actor in s.actors.iter().filter(|actor| actor.kind == ActorKind::Client) {
            self.add(&By::Client(actor.id));
        }
        if let Some(resource) = s.resource {
            self.add(&By::Resource(resource));
        }
        if let Some(id) = of(TargetKind::Policy) {
            self.add(&By::Policy(id));
        }
        let changed = s.target.kind == TargetKind::Policy;
        for policy in &s.policies {
            self.add(&By::Policy(policy.id));
            if let Some(digest) = policy.digest.as_ref().filter(|_| changed) {
                self.add(&By::Digest(digest));
            }
        }
        if let Some(snapshot) = s.policy_change.as_ref().and_then(|change| change.snapshot) {
            self.add(&By::Digest(&snapshot));
        }
        if s.event_type == EventType::PolicyChanged {
            self.add(&By::PolicyChange);
        }
        if matches!(s.event_type, EventType::FindingRaised | EventType::FindingClosed) {
            self.add(&By::Finding);
        }
        if s.event_type == EventType::VerifyReport {
            self.add(&By::Report);
        }
    }

    fn handles(&mut self, handles: &[Handle]) {
        for handle in handles {
            match (handle.kind, handle.role) {
                (HandleKind::Person, PersonalRole::Subject) => {
                    self.belong(&By::Subject(&handle.id));
                }
                (HandleKind::Resource, _) => self.add(&By::ResourceHandle(&handle.id)),
                _ => self.add(&By::Handle(&handle.id)),
            }
        }
    }

    fn linked(&mut self) {
        let s = self.statement;
        for link in &s.links {
            if let Some(token) = link.token {
                self.add(&By::Parent(token));
            }
            if let Some(event) = &link.event {
                self.add(&By::ParentEvent(event.source, &event.event_id));
            }
        }
        for alias in &s.also_known_as {
            self.add(&By::Alias(alias));
            self.presented(alias);
        }
        if is_birth(s) {
            self.presented(s.target.id);
        }
        if is_revocation(s) {
            self.add(&By::Revocation);
        }
        if let Some(at) = expires(s) {
            self.add(&By::Expiring);
            self.add(&By::ExpiryHour(hour_of(at)));
        }
    }
}

impl Terms<'_, '_> {
    /// What the event decides about its own chain.
    fn lived(&mut self, handles: &[Handle]) {
        let (hasher, statement) = (self.hasher, self.statement);
        let mut of_life = OfLife::ALL.into_iter().filter(|one| one.has(statement, handles));
        let Some(first) = of_life.next() else { return };
        if let Some(chain) = chain_key(statement, handles) {
            let chain = chain_term(hasher, &chain);
            [Some(first), of_life.next()].into_iter().flatten().for_each(|one| {
                self.push(one.term(&chain));
            });
        }
    }
}

/// Everything a leaf is found by. `statement` is that of an entry.
pub fn postings_of(
    terms: &TermHasher,
    index: u64,
    leaf: &Leaf<'_>,
    statement: Option<&Statement<'_>>,
    postings: &mut Vec<Posting>,
) {
    planned_postings_of(terms, index, leaf, statement, postings);
    if let (Leaf::Entry(entry), Some(statement)) = (leaf, statement) {
        let more = terms_of(terms, statement, &entry.handles);
        let first = first_term(terms, statement).filter(|_| entry.sequence == 0);
        postings.extend(more.into_iter().chain(first).map(|term| Posting {
            term,
            index,
            uuid_millis: None,
        }));
    }
}

/// The postings that new entries are planned from: event ids, chains, and leaves of their own kind.
pub fn planned_postings_of(
    terms: &TermHasher,
    index: u64,
    leaf: &Leaf<'_>,
    statement: Option<&Statement<'_>>,
    postings: &mut Vec<Posting>,
) {
    let mut post = |term, uuid_millis| postings.push(Posting { term, index, uuid_millis });
    let leaf_term = |what: &[u8]| terms.term(TermKind::Leaf, "", &[what]);
    match (leaf, statement) {
        (Leaf::Control(_), _) => post(leaf_term(leaf_terms::CONTROL), None),
        (Leaf::Block(_), _) => post(leaf_term(leaf_terms::BLOCK), None),
        (Leaf::Entry(entry), Some(statement)) => {
            if statement.event_type == EventType::Erased {
                post(leaf_term(leaf_terms::ERASED), None);
            }
            let id = &statement.event_id;
            let term = event_term(terms, statement.tenant, statement.source, id);
            post(term, uuid_v7_millis(id));
            if let Some(chain) = chain_key(statement, &entry.handles) {
                post(chain_term(terms, &chain), None);
            }
        }
        (Leaf::Entry(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledgerline_proof::hlc::Hlc;
    use ledgerline_proof::statement::Target;

    #[test]
    fn bare_ids_and_qualified_ones_meet() {
        let issuer = Some("eu:idp");
        for (asked, written, expected) in [
            ("s-17", "s-17", true),
            ("s-17", "eu:idp:s-17", true),
            ("eu:idp:s-17", "s-17", true),
            ("eu:other:s-17", "s-17", false),
            ("eu:other:s-17", "eu:idp:s-17", false),
            ("eu:idp:s-17", "eu:idp:s-17", true),
            ("s-18", "s-17", false),
            ("a:b", "a:b", true),
            ("EU:idp:s", "s", false),
            ("web", "urn:orders:web", false),
            ("urn:orders:web", "web", false),
            ("urn:billing:web", "urn:orders:web", false),
            ("urn:orders:web", "eu:idp:urn:orders:web", true),
            ("eu:idp:urn:orders:web", "urn:orders:web", true),
            ("eu:other:urn:orders:web", "urn:orders:web", false),
        ] {
            assert_eq!(names(asked, written, issuer), expected, "{asked} {written}");
        }
        assert!(names("eu:other:s-17", "s-17", None), "no issuer says otherwise");
        assert!(!names("web", "urn:orders:web", None), "an id with colons is whole");
        assert_eq!((bare("eu:idp:a:b"), bare("eu:idp:"), bare("x")), ("a:b", "eu:idp:", "x"));
        let own = |id: &'static str| own_id(id, issuer);
        assert_eq!((own("eu:idp:urn:a:b"), own("urn:a:b")), ("urn:a:b", "urn:a:b"));
        assert_eq!(qualified("urn:a:b", "eu:idp"), "eu:idp:urn:a:b");
    }

    /// The terms of entries are those of older ledgers, which cut an id after two colons: whatever
    /// an id is called and however it was written, one of the terms asked for is its term.
    #[test]
    fn ids_with_colons_are_found_in_each_spelling() {
        let hasher = TermHasher::new([7; 16]);
        for own in ["web", "urn:orders:web", "urn:a:b:c:d", "a:b", "https://x.test/app:1", "::"] {
            let full = format!("eu:idp:{own}");
            for written in [own, &full] {
                let client = By::Client(written);
                let family = By::Family(written).term(&hasher, "t");
                for asked in [own, &full] {
                    let by = By::Client(asked);
                    let births = by.births_spelled(&hasher, "t");
                    assert!(births.contains(&client.births(&hasher, "t")), "{asked}, {written}");
                    let all = by.spelled(&hasher, "t");
                    assert!(all.contains(&client.term(&hasher, "t")), "{asked}, {written}");
                    let families = By::Family(asked).spelled(&hasher, "t");
                    assert!(families.contains(&family), "{asked}, {written}");
                    assert!(names(asked, written, Some("eu:idp")), "{asked}, {written}");
                }
            }
        }
        assert_eq!(By::Client("web").spelled(&hasher, "t").len(), 1);
    }

    #[test]
    fn the_issuer_of_a_target_is_no_part_of_a_name_with_colons() {
        let check = |kind, id, issuer, expected: Option<&str>| {
            let target = Target { kind, id };
            let mut s = Statement::new([1; 16], "idp", target, EventType::Revoked, Hlc::at(1));
            s.issuer = issuer;
            assert_eq!(issuer_about(&s), expected, "{id}");
        };
        check(TargetKind::Token, "urn:idp:jti:a", None, Some("urn:idp"));
        check(TargetKind::Client, "eu:idp:web", None, Some("eu:idp"));
        check(TargetKind::Client, "urn:orders:web", None, None);
        check(TargetKind::Client, "eu:orders:web", Some("idp"), None);
        check(TargetKind::Client, "urn:idp:web", Some("idp"), Some("urn:idp"));
        check(TargetKind::Client, "web", Some("idp"), None);
    }

    #[test]
    fn presented_tokens_are_found_by_their_digest_alone() {
        let hasher = TermHasher::new([7; 16]);
        let digest = "x4B1Q1zrXvFJmWJ0Sx8pO0rTqkYm3pQ0dQzq8d5Qy7A";
        let id = format!("eu:idp:t1:{digest}");
        let presented = By::Presented(digest).term(&hasher, "");
        let revocation = By::Revocation.term(&hasher, "");
        let check = |event_type, target: &str, alias: Option<&str>, expected: [bool; 2]| {
            let is_of_it = target == id;
            let target = Target { kind: TargetKind::Token, id: target };
            let mut s = Statement::new([1; 16], "idp", target, event_type, Hlc::at(1));
            s.also_known_as = alias.into_iter().collect();
            let terms = terms_of(&hasher, &s, &[]);
            let found = [presented, revocation].map(|term| terms.contains(&term));
            assert_eq!(found, expected, "{event_type:?} {alias:?}");
            let first = first_term(&hasher, &s).is_some();
            assert_eq!(first, is_of_it && !expected[0], "{event_type:?} {alias:?}");
        };
        check(EventType::Issued, &id, None, [true, false]);
        check(EventType::Used, &id, None, [false, false]);
        check(EventType::Used, &id, Some(&id), [true, false]);
        check(EventType::Revoked, &id, None, [false, true]);
        check(EventType::Used, "eu:idp:jti:a", Some(&id), [true, false]);
        check(EventType::Issued, "eu:idp:jti:a", Some("eu:idp:jti:b"), [false, false]);
        check(EventType::Revoked, "eu:idp:jti:a", None, [false, true]);
    }

    #[test]
    fn every_term_stands_once_and_births_have_more() {
        let hasher = TermHasher::new([7; 16]);
        let target = Target { kind: TargetKind::Token, id: "eu:idp:jti:a" };
        let mut s = Statement::new([1; 16], "idp", target, EventType::Issued, Hlc::at(1));
        s.session_id = Some("s");
        s.client_id = Some("eu:idp:web");
        s.also_known_as = vec!["eu:idp:jti:b", "eu:idp:jti:b"];
        s.expires_at = Some(HOUR_NANOS * 5 + 1);
        let person =
            || Handle { role: PersonalRole::Subject, kind: HandleKind::Person, id: [9; 16] };
        let births = terms_of(&hasher, &s, &[person(), person()]);
        let expected = [
            By::Source("idp").term(&hasher, ""),
            By::Source("idp").births(&hasher, ""),
            By::Births.term(&hasher, ""),
            By::Client("web").term(&hasher, ""),
            By::Client("web").births(&hasher, ""),
            By::Session("s").term(&hasher, ""),
            By::Subject(&[9; 16]).term(&hasher, ""),
            By::Subject(&[9; 16]).births(&hasher, ""),
            By::Alias("eu:idp:jti:b").term(&hasher, ""),
            By::Expiring.term(&hasher, "other"),
            By::ExpiryHour(5).term(&hasher, "other"),
        ];
        let key = ChainKey { kind: TargetKind::Token, tenant: "", id: b"eu:idp:jti:a" };
        let chain = chain_term(&hasher, &key);
        let life = [OfLife::Acts.term(&chain), OfLife::Names.term(&chain)];
        let (found, of_life) = births.split_at(expected.len());
        assert_eq!((found, of_life), (&expected[..], &life[..]));
        s.event_type = EventType::Used;
        assert_eq!(terms_of(&hasher, &s, &[person()]).len(), expected.len() - 6 + 1);
        s.tenant = "other";
        let elsewhere = terms_of(&hasher, &s, &[person()]);
        assert!(elsewhere.iter().all(|term| !births.contains(term)));
        let ids: Vec<String> = (0..200).map(|n| format!("eu:idp:jti:{}", n % 90)).collect();
        s.also_known_as = ids.iter().map(String::as_str).collect();
        assert_eq!(terms_of(&hasher, &s, &[]).len(), 3 + 90 + 1);
    }
}
