//! From a presented token to where it stands.
//!
//! ```text
//! token ──▶ its issuer's signature, if the register has the issuer's keys
//!             refused    nothing is known of it
//!             verified   by (iss, jti) and by the digest of its value, as that issuer's
//!             else       by the digest alone
//! ```
//!
//! Promises: the issuer's signature makes a jti and a digest names of one token, also where nobody
//! joined them in the ledger: a revocation under either ends it. The token is dropped here; nothing
//! of it goes on but its digest and its verified jti.
//!
//! Refuses: to say anything while the issuer's keys cannot be had; that is 503.

use std::sync::Arc;

use ledgerline_engine::registry::Caller;
use ledgerline_engine::standing::{Presented, Standing, issuer_and_region};
use ledgerline_proof::lifecycle::State;
use ledgerline_proof::token_id::t1_value;

use super::App;
use super::form::Refusal;
use crate::issuers::verified::Verified;
use crate::issuers::{Issuers, Judged};

/// A presented token that the ledger knows.
pub struct Found {
    /// Where it stands, under all its names together.
    pub standing: Arc<Standing>,
    /// What it says of itself, if its issuer signed it.
    pub verified: Option<Arc<Verified>>,
}

impl Found {
    /// Whether it may be used at `now`, also by its own word.
    #[must_use]
    pub fn is_active(&self, now: i64) -> bool {
        let may = self.verified.as_ref().is_none_or(|verified| verified.is_within(now));
        may && self.standing.is_active(now)
    }

    /// Until when it may be used, as far as is known.
    #[must_use]
    pub fn usable_until(&self) -> Option<i64> {
        let own = self.verified.as_ref().and_then(|verified| verified.expires_at);
        self.standing.usable_until().into_iter().chain(own).min()
    }
}

/// What a token is looked for by.
struct Names {
    /// Ids at the issuer that signed it.
    ids: Vec<String>,
    /// The digest, of one that nobody vouches for.
    digest: Option<String>,
    verified: Option<Arc<Verified>>,
}

/// The names of a token, which is dropped. `Ok(None)` for one that its issuer did not sign, `Err`
/// when the issuer's keys cannot be had. Blocks.
fn names(issuers: &Issuers, tenant: &str, token: Vec<u8>) -> Result<Option<Names>, ()> {
    let verified = match issuers.judge(tenant, &token) {
        Judged::Unknown => return Err(()),
        Judged::Refused => return Ok(None),
        Judged::Opaque => None,
        Judged::Verified(verified) => Some(verified),
    };
    let digest = digest(&token);
    drop(token);
    let Some(verified) = verified else {
        return Ok(Some(Names { ids: Vec::new(), digest: Some(digest), verified: None }));
    };
    // Whose token it is is known: its digest is looked for as that issuer's, and so is found also
    // where it was only ever revoked under it.
    let ids = verified.id.iter().cloned().chain([verified.digest_id(&digest)]).collect();
    Ok(Some(Names { ids, digest: None, verified: Some(verified) }))
}

fn keys_lost(_: ()) -> Refusal {
    Refusal::later("the keys of the token's issuer cannot be had now")
}

/// Where a presented token stands; `None` when nothing is known of it.
///
/// # Errors
/// 503 when there is too much to read, the ledger cannot be read, or the issuer's keys be had.
pub async fn find(app: &Arc<App>, tenant: &str, token: Vec<u8>) -> Result<Option<Found>, Refusal> {
    // A token that was asked about before costs no change of threads.
    if app.issuers.is_opaque(&token)
        && let Some(standing) = app.node.standing_at_hand(tenant, &digest(&token))
    {
        return Ok(Some(Found { standing, verified: None }));
    }
    let (node, issuers) = (Arc::clone(&app.node), Arc::clone(&app.issuers));
    let tenant = tenant.to_owned();
    let ask = move || {
        let Names { ids, digest, verified } = match names(&issuers, &tenant, token) {
            Ok(Some(names)) => names,
            Ok(None) => return Ok(Ok(None)),
            Err(()) => return Ok(Err(())),
        };
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let presented = digest.as_deref().map_or(Presented::Ids(&ids), Presented::Digest);
        let standing = node.standing(&tenant, presented)?;
        Ok(Ok(standing.map(|standing| Found { standing, verified })))
    };
    app.wait(ask).await?.map_err(keys_lost)
}

/// The same under each of its names that the ledger does not know to be one token: what is to end
/// with it. Names that were only ever used are left out.
///
/// # Errors
/// As [`find`].
pub async fn find_each(
    app: &Arc<App>,
    tenant: &str,
    token: Vec<u8>,
) -> Result<Vec<Arc<Standing>>, Refusal> {
    let (node, issuers) = (Arc::clone(&app.node), Arc::clone(&app.issuers));
    let tenant = tenant.to_owned();
    let ask = move || {
        let Names { ids, digest, .. } = match names(&issuers, &tenant, token) {
            Ok(Some(names)) => names,
            Ok(None) => return Ok(Ok(Vec::new())),
            Err(()) => return Ok(Err(())),
        };
        let all = ids.iter().map(|id| Presented::Id(id));
        let all = all.chain(digest.as_deref().map(Presented::Digest));
        let mut standings: Vec<Arc<Standing>> = Vec::new();
        for name in all {
            let found = node.standing(&tenant, name)?;
            let new = |one: &Arc<Standing>| standings.iter().all(|known| known.ids != one.ids);
            standings.extend(found.filter(new));
        }
        let now = node.now();
        let says = |one: &Arc<Standing>| one.state.state_at(now) != State::Unknown;
        if standings.iter().any(says) {
            standings.retain(says);
        }
        Ok(Ok(standings))
    };
    app.wait(ask).await?.map_err(keys_lost)
}

/// The digest a presented token is found by. What cannot be a token gets the digest of nothing, so
/// that looking for it takes as long.
#[must_use]
pub fn digest(token: &[u8]) -> String {
    t1_value(token).unwrap_or_else(|_| "A".repeat(43))
}

/// Whether the credential's grant covers the token's issuer and region.
#[must_use]
pub fn may_know(caller: &Caller, standing: &Standing) -> bool {
    let grant = &caller.key.grant;
    let fits = |granted: &[String], one: &str| {
        granted.is_empty() || granted.iter().any(|other| other == one)
    };
    issuer_and_region(&standing.id).is_some_and(|(issuer, region)| {
        fits(&grant.issuers, issuer) && fits(&grant.regions, region)
    })
}
