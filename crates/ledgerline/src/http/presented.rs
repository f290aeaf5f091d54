//! From a presented token to where it stands.
//!
//! ```text
//! token ──▶ its issuer's signature, if the register has the issuer's keys
//!             refused    nothing is known of it
//!             verified   by (iss, jti) and by the digest of its value, as that issuer's
//!             else       by the digest alone
//! ```
//!
//! Promises: a token known under two names that nobody joined stands as the worse of the two, so
//! that a revocation under either ends it. The token is dropped here; nothing of it goes on but its
//! digest and its verified jti.
//!
//! Refuses: to say anything while the issuer's keys cannot be had; that is 503.

use std::sync::Arc;

use ledgerline_engine::registry::Caller;
use ledgerline_engine::standing::{Presented, Standing, issuer_and_region};
use ledgerline_proof::lifecycle::State;
use ledgerline_proof::token_id::t1_value;

use super::App;
use super::form::Refusal;
use crate::issuers::Judged;
use crate::issuers::verified::Verified;

/// A presented token that the ledger knows, under each of its names that are not joined.
pub struct Found {
    /// Where it stands. Never empty.
    pub standings: Vec<Arc<Standing>>,
    /// What it says of itself, if its issuer signed it.
    pub verified: Option<Arc<Verified>>,
}

impl Found {
    /// Whether it may be used at `now`: under all its names, and by its own word.
    #[must_use]
    pub fn is_active(&self, now: i64) -> bool {
        let may = self.verified.as_ref().is_none_or(|verified| verified.is_within(now));
        may && self.standings.iter().all(|standing| standing.is_active(now))
    }

    /// Until when it may be used, as far as is known.
    #[must_use]
    pub fn usable_until(&self) -> Option<i64> {
        let own = self.verified.as_ref().and_then(|verified| verified.expires_at);
        let known = self.standings.iter().filter_map(|standing| standing.usable_until());
        known.chain(own).min()
    }

    /// The first of its names that the caller may know of.
    #[must_use]
    pub fn known_to(&self, caller: &Caller) -> Option<&Arc<Standing>> {
        self.standings.iter().find(|standing| may_know(caller, standing))
    }
}

/// Where a presented token stands; `None` when nothing is known of it.
///
/// # Errors
/// 503 when there is too much to read, the ledger cannot be read, or the issuer's keys be had.
pub async fn find(app: &Arc<App>, tenant: &str, token: Vec<u8>) -> Result<Option<Found>, Refusal> {
    let (node, issuers) = (Arc::clone(&app.node), Arc::clone(&app.issuers));
    let tenant = tenant.to_owned();
    let ask = move || {
        let verified = match issuers.judge(&tenant, &token) {
            Judged::Unknown => return Ok(Err(())),
            Judged::Refused => return Ok(Ok(None)),
            Judged::Opaque => None,
            Judged::Verified(verified) => Some(verified),
        };
        let digest = digest(&token);
        drop(token);
        // Whose token it is is known: its digest is looked for as that issuer's, and so is found
        // also where it was only ever revoked under it.
        let by_digest = verified.as_ref().map(|verified| verified.digest_id(&digest));
        let names = match (&verified, &by_digest) {
            (Some(verified), Some(by_digest)) => [verified.id.as_deref(), Some(by_digest)]
                .into_iter()
                .flatten()
                .map(Presented::Id)
                .collect(),
            _ => vec![Presented::Digest(&digest)],
        };
        let mut standings: Vec<Arc<Standing>> = Vec::new();
        for name in names {
            let found = node.standing(&tenant, name)?;
            // Joined names are one standing.
            let new = |one: &Arc<Standing>| standings.iter().all(|known| known.ids != one.ids);
            standings.extend(found.filter(new));
        }
        // A name that was only ever used says nothing about the token.
        let now = node.now();
        let says = |one: &Arc<Standing>| one.state.state_at(now) != State::Unknown;
        if standings.iter().any(says) {
            standings.retain(says);
        }
        Ok(Ok((!standings.is_empty()).then_some(Found { standings, verified })))
    };
    let detail = "the keys of the token's issuer cannot be had now";
    app.wait(ask).await?.map_err(|()| Refusal::later(detail))
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
