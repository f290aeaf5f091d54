//! Telling a token's issuer that it was revoked here.
//!
//! ```text
//! REVOKED   detail issuer = "not told", or "asked" when the issuer is asked next
//! ADMIN_ACT on the token's chain, by the ledger: detail act = "issuer_told", by, why?,
//!           issuer = "confirmed" (it answered 200 to a token that was verified or is
//!           no JWT, RFC 7009 section 2.2) or "failed"
//! ```
//!
//! Promises: the ledger comes first; what is durable there does not depend on the issuer. The
//! issuer is asked once, for a bounded time. A REVOKED that says `asked` without an ADMIN_ACT
//! behind it means that nobody knows: the process ended in between.
//!
//! Assumes: whoever asks is a responder. Refuses: to tell anybody but the issuer of the register,
//! and to keep or log the token.

use std::sync::Arc;

use axum::http::StatusCode;
use ledgerline_engine::planner::{AdminAct, IssuerTold};
use ledgerline_engine::registry::Caller;
use ledgerline_engine::standing::{Standing, issuer_and_region};
use ledgerline_proof::vocabulary::TokenKind;
use serde_json::Value;

use super::App;
use super::presented::{Signature, find_each};
use super::problem::Problem;
use crate::issuers::Issuer;
use crate::issuers::connector::Told;

/// Said of an issuer that was not asked.
pub const NOT_TOLD: &str = "not told";

/// A token whose issuer can be told.
pub struct Telling {
    issuer: Arc<Issuer>,
    token: Vec<u8>,
    token_id: String,
    hint: Option<&'static str>,
    /// Whether the presented bytes are known to be the token's. An issuer answers 200 to whatever
    /// it does not know (RFC 7009 section 2.2), so for a forgery that confirms nothing.
    is_genuine: bool,
}

/// What the REVOKED says.
#[must_use]
pub fn word_before(telling: Option<&Telling>) -> &'static str {
    if telling.is_some() { "asked" } else { NOT_TOLD }
}

impl Telling {
    /// Of a presented token that stands so; `None` when the register does not say how to tell its
    /// issuer.
    #[must_use]
    pub fn of(
        app: &App,
        tenant: &str,
        standing: &Standing,
        (token, signature): (&[u8], Signature),
    ) -> Option<Self> {
        let (alias, _) = issuer_and_region(&standing.id)?;
        let issuer =
            app.issuers().get(tenant, alias).filter(|issuer| issuer.connector().is_some())?;
        let hint = match standing.state.token_kind {
            Some(TokenKind::Access) => Some("access_token"),
            Some(TokenKind::Refresh) => Some("refresh_token"),
            _ => None,
        };
        let (token, token_id) = (token.to_vec(), standing.id.clone());
        let is_genuine = signature != Signature::NotVerified;
        Some(Self { issuer, token, token_id, hint, is_genuine })
    }

    /// Of a token that was sent along with the id it is to be.
    ///
    /// # Errors
    /// 422 when it is another token, 503 when it cannot be judged now.
    pub async fn sent_along(
        app: &Arc<App>,
        tenant: &str,
        id: &str,
        token: Option<String>,
    ) -> Result<Option<Self>, Problem> {
        let Some(token) = token.map(String::into_bytes) else { return Ok(None) };
        let (standings, signature) =
            find_each(app, tenant, token.clone(), true).await.map_err(|_| {
                Problem::unavailable(
                    "token_not_judged",
                    "the token sent along cannot be judged now",
                )
            })?;
        let Some(standing) = standings.iter().find(|standing| standing.ids.contains(id)) else {
            let detail = "the token sent along is not the one that the path names";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "token_mismatch", detail));
        };
        Ok(Self::of(app, tenant, standing, (&token, signature)))
    }

    /// Tells the issuer, records what came of it, and adds it to the answer.
    ///
    /// # Errors
    /// 500 when the call panicked. That what came of it could not be recorded is said in the
    /// answer: `issuer_entry` is null.
    pub async fn tell(
        self,
        app: &Arc<App>,
        caller: &Caller,
        tenant: &str,
        answer: &mut Value,
    ) -> Result<(), Problem> {
        let node = Arc::clone(&app.node);
        let (by, tenant) = (caller.key_id().to_string(), tenant.to_owned());
        let work = move || {
            let told = self.issuer.connector().map(|one| one.tell(&self.token, self.hint));
            let told = told.unwrap_or(Told::Failed("no_connector".to_owned()));
            let (outcome, why) = match told {
                Told::Confirmed if self.is_genuine => ("confirmed", None),
                Told::Confirmed => ("failed", Some("token_not_verified".to_owned())),
                Told::Failed(why) => ("failed", Some(why)),
            };
            let alias = self.issuer.alias();
            tracing::info!(code = "issuer_told", alias, outcome, why, "an issuer was told");
            let act = IssuerTold { tenant, token_id: self.token_id, by, outcome, why: why.clone() };
            let index = node.record_act(AdminAct::IssuerTold(Box::new(act)));
            let index = index.inspect_err(|error| {
                let why = "what an issuer answered is not in the ledger";
                tracing::warn!(code = "issuer_told_unrecorded", %error, why);
            });
            Ok((outcome, why, index.ok()))
        };
        let (outcome, why, index) = app.wait(work).await?;
        answer["issuer"] = outcome.into();
        answer["issuer_why"] = why.into();
        answer["issuer_entry"] = index.into();
        Ok(())
    }
}
