//! Looking up a presented token: the names it is known by, and its status.
//!
//! ```text
//! token ──▶ a JWS: its issuer's signature, by the register
//!             not verified  nothing is known of it; to be ended it is found all the same
//!             verified      by (iss, jti), written out or hashed, and by the digest of its value,
//!                           as that issuer's
//!           any other: by the digest alone
//! ```
//!
//! Promises: the issuer's signature makes a jti and a digest names of one token, also where nobody
//! joined them in the ledger: a revocation under either ends it. The token goes no further; nothing
//! of it goes on but its digest and its verified jti.
//!
//! Refuses: to say anything while the issuer's keys cannot be had; that is 503.

use std::sync::Arc;

use ledgerline_introspection::{
    Answer, AnswerName, CachedAnswer, Presented, TokenStatus, issuer_and_region,
};
use ledgerline_issuers::verified::Verified;
use ledgerline_issuers::{Issuers, Judged};
use ledgerline_node::Node;
use ledgerline_proof::lifecycle::State;
use ledgerline_proof::token_id::t1_value;
use ledgerline_view::registry::{Caller, Roles};

use crate::form::Refusal;
use crate::{App, auth};

/// Whoever may read events may know a person's pseudonym.
pub const NAMING: Roles = auth::READERS.with(Roles::PRIVACY);

/// What a token is looked for by.
struct Names {
    /// Ids at the issuer that signed it.
    ids: Vec<String>,
    /// The digest, of one that nobody vouches for.
    digest: Option<String>,
    verified: Option<Arc<Verified>>,
}

impl Names {
    fn by_digest(token: &[u8]) -> Self {
        Self { ids: Vec::new(), digest: Some(digest(token)), verified: None }
    }

    /// Whose token it is is known: its digest is looked for as that issuer's, and so is found also
    /// where it was only ever revoked under it.
    fn of(verified: Arc<Verified>) -> Self {
        let ids = verified.ids.iter().cloned().chain([verified.digest_id()]).collect();
        Self { ids, digest: None, verified: Some(verified) }
    }

    /// The name under which an answer to readers of persons, or to others, is cached.
    fn answer_name(&self, node: &Node, tenant: &str, names_persons: bool) -> AnswerName {
        let whom: &[u8] = if names_persons { b"persons" } else { b"" };
        let own = self.digest.iter().map(String::as_bytes);
        let parts = self.ids.iter().map(String::as_bytes).chain(own);
        // No digest is an id, so that nobody's digest is another's id.
        node.answer_name(tenant, &[whom].into_iter().chain(parts).collect::<Vec<_>>())
    }
}

/// The names of a token. `Ok(None)` for one that its issuer did not sign, `Err`
/// when the issuer's keys cannot be had. Blocks.
fn names(issuers: &Issuers, tenant: &str, token: &[u8]) -> Result<Option<Names>, ()> {
    let verified = match issuers.judge(tenant, token) {
        Judged::Unknown => return Err(()),
        Judged::Refused => return Ok(None),
        Judged::Opaque => None,
        Judged::Verified(verified) => Some(verified),
    };
    Ok(Some(verified.map_or_else(|| Names::by_digest(token), Names::of)))
}

fn keys_lost(_: ()) -> Refusal {
    Refusal::later("the keys of the token's issuer cannot be had now")
}

/// What is to be said of a presented token, by `tell`, which is given until when it may be used by
/// its own word; `None` when nothing is known of it.
///
/// # Errors
/// 503 when there is too much to read, the ledger cannot be read, or the issuer's keys be had.
pub async fn cached_answer(
    app: &Arc<App>,
    caller: &Caller,
    token: &[u8],
    tell: fn(&App, &Caller, &TokenStatus, Option<i64>) -> Vec<u8>,
) -> Result<Option<Arc<CachedAnswer>>, Refusal> {
    let tenant = caller.own_tenant();
    let names_persons = caller.roles().has(NAMING);
    // A token that was asked about before costs no change of threads.
    let issuers = app.issuers();
    let at_hand = match issuers.is_opaque(token) {
        true => Some(Names::by_digest(token)),
        false => issuers.remembered(tenant, token).map(Names::of),
    };
    let at_hand = at_hand.map(|names| names.answer_name(&app.node, tenant, names_persons));
    if let Some(answer) = at_hand.and_then(|name| app.node.cached_answer(name)) {
        return Ok(Some(answer));
    }
    // Who waits for an issuer's keys must not keep the others from being looked up.
    let _turn = app.gate.turn_to_look_up(issuers.is_opaque(token)).await?;
    let (of, caller, token) = (Arc::clone(app), caller.clone(), token.to_vec());
    let ask = move || {
        let tenant = caller.own_tenant();
        let names = match names(&issuers, tenant, &token) {
            Ok(Some(names)) => names,
            Ok(None) => return Ok(Ok(None)),
            Err(()) => return Ok(Err(())),
        };
        let name = names.answer_name(&of.node, tenant, names_persons);
        if at_hand != Some(name)
            && let Some(answer) = of.node.cached_answer(name)
        {
            return Ok(Ok(Some(answer)));
        }
        let ids: Vec<&str> = names.ids.iter().map(String::as_str).collect();
        let presented = names.digest.as_deref().map_or(Presented::Ids(&ids), Presented::Digest);
        let own = names.verified.as_deref();
        let within = own.map_or((i64::MIN, i64::MAX), Verified::within);
        let answer = |status: &TokenStatus| {
            let until = own.and_then(|verified| verified.expires_at);
            Answer { words: tell(&of, &caller, status, until), within }
        };
        Ok(Ok(of.node.answer(tenant, presented, name, answer)?))
    };
    app.gate.wait(ask).await?.map_err(keys_lost)
}

/// Whether somebody vouches for what a token was found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// Its issuer signed it.
    Verified,
    /// It is a JWS that nobody verified: found by the digest of its header and claims, and by its
    /// jti.
    NotVerified,
    /// It is no JWS: found by the digest of all of it.
    None,
}

impl Signature {
    /// The word of answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::NotVerified => "not_verified",
            Self::None => "none",
        }
    }
}

/// A token as it was presented.
#[derive(Clone, Copy)]
pub struct PresentedToken<'a> {
    /// The token itself.
    pub bytes: &'a [u8],
    /// Who vouches for it.
    pub signature: Signature,
}

/// What is to end when a token is to end.
pub struct Each {
    /// Where it stands under each of its names that the ledger does not know to be one token.
    pub statuses: Vec<Arc<TokenStatus>>,
    /// Who vouches for the names.
    pub signature: Signature,
}

/// The token under each of its names, of each issuer that has its digest where nobody can tell
/// whose it is: no issuer's record hides another's. Names that were only ever used are left out. A
/// revocation needs no signature: what nobody verified is found by the digest of its header and
/// claims. By the jti that it claims only for whoever `believes_claims`: a jti is no secret, and a
/// client hands on what its users give it. Of what has more about it than one answer may read that
/// much is found ([`TokenStatus::is_part`]).
///
/// # Errors
/// 503 when nothing is found in what one answer may read, or the ledger cannot be read.
pub async fn find_each(
    app: &Arc<App>,
    tenant: &str,
    token: Vec<u8>,
    believes_claims: bool,
) -> Result<Each, Refusal> {
    let (node, issuers) = (Arc::clone(&app.node), app.issuers());
    let tenant = tenant.to_owned();
    let ask = move || {
        let found = names(&issuers, &tenant, &token);
        let is_refused = !matches!(found, Ok(Some(_)));
        let mut names = found.ok().flatten().unwrap_or_else(|| Names::by_digest(&token));
        // Also where its issuer's tokens are taken unverified.
        if names.verified.is_none() && believes_claims {
            names.ids = issuers.claimed_ids(&tenant, &token);
        }
        let Names { ids, digest, verified } = names;
        let signature = match (verified.is_some(), is_refused) {
            (true, _) => Signature::Verified,
            (false, true) => Signature::NotVerified,
            (false, false) => Signature::None,
        };
        let mut all = Vec::new();
        for id in &ids {
            all.extend(node.part(&tenant, Presented::Id(id))?);
        }
        let each = digest.map(|digest| node.each_status(&tenant, &digest)).transpose()?;
        all.extend(each.unwrap_or_default());
        let mut statuses: Vec<Arc<TokenStatus>> = Vec::new();
        for one in all {
            if statuses.iter().all(|known| known.ids != one.ids) {
                statuses.push(one);
            }
        }
        let now = node.now();
        let says = |one: &Arc<TokenStatus>| one.state.state_at(now) != State::Unknown;
        if statuses.iter().any(says) {
            statuses.retain(says);
        }
        Ok(Each { statuses, signature })
    };
    Ok(app.gate.wait(ask).await?)
}

/// The digest a presented token is found by. What cannot be a token gets the digest of nothing, so
/// that looking for it takes as long.
#[must_use]
pub fn digest(token: &[u8]) -> String {
    t1_value(token).unwrap_or_else(|_| "A".repeat(43))
}

/// Whether the credential's grant covers the issuer and region of a token id.
#[must_use]
pub fn may_know(caller: &Caller, id: &str) -> bool {
    let grant = &caller.key.grant;
    if grant.issuers.is_empty() && grant.regions.is_empty() {
        return true;
    }
    let fits = |granted: &[String], one: &str| {
        granted.is_empty() || granted.iter().any(|other| other == one)
    };
    issuer_and_region(id).is_some_and(|(issuer, region)| {
        fits(&grant.issuers, issuer) && fits(&grant.regions, region)
    })
}
