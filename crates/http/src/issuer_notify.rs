//! Notifying a token's issuer that it was revoked here (RFC 7009).
//!
//! ```text
//! REVOKED   detail issuer = "not told", or "asked" when the issuer is asked next
//! ADMIN_ACT on the token's chain, by the ledger: detail act = "issuer_told", by, why?,
//!           issuer = "answered_200" (to a token that was verified or is no JWT) or "failed";
//!           entries of older versions say "confirmed" for the former
//! ```
//!
//! A 200 is all that RFC 7009 gives, and by its section 2.2 also the answer for a token that the
//! issuer does not know: so nothing here calls a token revoked at its issuer. Only the presented
//! token is sent; of the others that go with it the ledger has ids, which no issuer takes.
//!
//! Promises: each token of the set says whether its issuer was told, and why not; `told` counts
//! them, and those that could have been. The ledger comes first; what is durable there does not
//!
//! depend on the issuer. The issuer is asked once, for a bounded time. A REVOKED that says `asked`
//! without an ADMIN_ACT behind it means that nobody knows: the process ended in between.
//!
//! Assumes: whoever asks is a responder. Refuses: to tell anybody but the issuer of the register,
//! and to keep or log the token.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use ledgerline_answers::problem::Problem;
use ledgerline_api::revoke::{IssuersTold, Revoked, SetMember};
use ledgerline_introspection::{TokenStatus, issuer_and_region};
use ledgerline_issuers::connector::Told;
use ledgerline_issuers::{Issuer, Judged};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_node::revoking::{ANSWERED, ASKED, NOT_TOLD, told_statement};
use ledgerline_proof::vocabulary::TokenKind;
use ledgerline_view::registry::Caller;

use crate::App;
use crate::token_lookup::{Each, PresentedToken, Signature, find_each};

/// Said when nothing is done.
const WOULD_BE_TOLD: &str = "would be told";

/// A token whose issuer can be notified.
pub struct IssuerNotice {
    issuer: Arc<Issuer>,
    token: Vec<u8>,
    token_id: String,
    /// All ids of the token: what goes with it are other tokens.
    ids: BTreeSet<String>,
    hint: Option<&'static str>,
    /// Whether the presented bytes are known to be the token's. An issuer answers 200 to whatever
    /// it does not know (RFC 7009 section 2.2), so for a forgery that confirms nothing.
    is_genuine: bool,
}

/// What the REVOKED says.
#[must_use]
pub fn word_before(notice: Option<&IssuerNotice>) -> &'static str {
    if notice.is_some() { ASKED } else { NOT_TOLD }
}

impl IssuerNotice {
    /// Of a presented token that stands so; `None` when the register does not say how to tell its
    /// issuer.
    #[must_use]
    pub fn of(
        app: &App,
        tenant: &str,
        status: &TokenStatus,
        presented: PresentedToken<'_>,
    ) -> Option<Self> {
        let (alias, _) = issuer_and_region(&status.id)?;
        let issuer =
            app.issuers().get(tenant, alias).filter(|issuer| issuer.connector().is_some())?;
        let hint = match status.state.token_kind {
            Some(TokenKind::Access) => Some("access_token"),
            Some(TokenKind::Refresh) => Some("refresh_token"),
            _ => None,
        };
        let (token, token_id) = (presented.bytes.to_vec(), status.id.clone());
        let is_genuine = presented.signature != Signature::NotVerified;
        Some(Self { issuer, token, token_id, ids: status.ids.clone(), hint, is_genuine })
    }

    /// Of a token that the ledger knows nothing of, and that its issuer signed. Blocks.
    #[must_use]
    pub fn of_unknown(app: &App, tenant: &str, token: Vec<u8>) -> Option<Self> {
        let issuers = app.issuers();
        let Judged::Verified(verified) = issuers.judge(tenant, &token) else { return None };
        let digest_id = verified.digest_id();
        let token_id = verified.ids.first().cloned().unwrap_or_else(|| digest_id.clone());
        let (alias, _) = issuer_and_region(&token_id)?;
        let issuer = issuers.get(tenant, alias).filter(|issuer| issuer.connector().is_some())?;
        let ids = verified.ids.iter().cloned().chain([digest_id]).collect();
        Some(Self { issuer, token, token_id, ids, hint: None, is_genuine: true })
    }

    /// All ids of the token that is presented.
    #[must_use]
    pub fn ids(&self) -> &BTreeSet<String> {
        &self.ids
    }

    /// The id under which the ledger records what came of it.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// The answer when nothing is to be done.
    pub fn preview(&self, answer: &mut Revoked) {
        answer.issuer = WOULD_BE_TOLD.to_owned();
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
        let Each { statuses, signature, .. } =
            find_each(app, tenant, token.clone(), true).await.map_err(|_| {
                Problem::unavailable(
                    "token_not_judged",
                    "the token sent along cannot be judged now",
                )
            })?;
        let Some(status) = statuses.iter().find(|status| status.ids.contains(id)) else {
            let detail = "the token sent along is not the one that the path names";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "token_mismatch", detail));
        };
        Ok(Self::of(app, tenant, status, PresentedToken { bytes: &token, signature }))
    }

    /// Notifies the issuer, records what came of it, and adds it to the answer.
    ///
    /// # Errors
    /// 500 when the call panicked. That what came of it could not be recorded is said in the
    /// answer: `issuer_entry` is absent.
    pub async fn send(
        self,
        app: &Arc<App>,
        caller: &Caller,
        tenant: &str,
        answer: &mut Revoked,
    ) -> Result<(), Problem> {
        let node = Arc::clone(&app.node);
        let (by, tenant) = (caller.key_id().to_string(), tenant.to_owned());
        let work = move || {
            let told = self.issuer.connector().map(|one| one.tell(&self.token, self.hint));
            let told = told.unwrap_or(Told::Failed("no_connector".to_owned()));
            let (outcome, why) = match told {
                Told::Answered if self.is_genuine => (ANSWERED, None),
                Told::Answered => ("failed", Some("token_not_verified".to_owned())),
                Told::Failed(why) => ("failed", Some(why)),
            };
            let alias = self.issuer.alias();
            tracing::info!(code = "issuer_told", alias, outcome, why, "an issuer was told");
            let (id, now) = (&self.token_id, node.now());
            let statement = told_statement(&tenant, id, &by, outcome, why.as_deref(), now);
            let index = node.record_act(AdminAct::State(vec![statement]));
            let index = index.inspect_err(|error| {
                let why = "what an issuer answered is not in the ledger";
                tracing::warn!(code = "issuer_told_unrecorded", %error, why);
            });
            Ok((outcome, why, index.ok()))
        };
        let (outcome, why, index) = app.gate.wait(work).await?;
        answer.issuer = outcome.to_owned();
        answer.issuer_why = why;
        answer.issuer_entry = index;
        Ok(())
    }
}

/// Says of each token of the set, and in numbers, whether its issuer was told. `presented` are the
/// ids of the token that was sent along; `wanted` is false when the caller asked not to tell.
pub fn say_of_each(
    app: &App,
    tenant: &str,
    answer: &mut Revoked,
    presented: Option<&BTreeSet<String>>,
    wanted: bool,
) {
    let issuers = app.issuers();
    let ends: BTreeSet<String> = answer.to_revoke.iter().cloned().collect();
    let mut counts = IssuersTold::default();
    // A token that is only known by its end is in no set.
    if answer.set.is_empty() {
        answer.set = ends.iter().map(|id| SetMember::itself(id)).collect();
    }
    for one in &mut answer.set {
        let id = one.token_id.clone();
        let is_presented = presented.is_some_and(|ids| ids.contains(&id));
        let before = one.issuer.take();
        if !is_presented && !ends.contains(&id) && before.is_none() {
            continue;
        }
        counts.of += 1;
        let word = match (is_presented, before) {
            (true, _) => answer.issuer.clone(),
            (false, before) => before.unwrap_or_else(|| NOT_TOLD.to_owned()),
        };
        let is_told = word == ANSWERED || word == WOULD_BE_TOLD;
        one.issuer = Some(word);
        if is_told {
            counts.told += 1;
            continue;
        }
        let alias = issuer_and_region(&id).map(|(alias, _)| alias.to_owned());
        let issuer = alias.and_then(|alias| issuers.get(tenant, &alias));
        let why = match issuer.filter(|issuer| issuer.connector().is_some()) {
            None => "no revocation_endpoint in the register",
            Some(_) => {
                counts.could_be_told += 1;
                match (wanted, is_presented) {
                    (false, _) => "the caller asked not to",
                    (true, true) => answer.issuer_why.as_deref().unwrap_or("not told"),
                    (true, false) if presented.is_some() => "only the presented token is sent",
                    (true, false) => "an id was given, not the token",
                }
            }
        };
        one.issuer_why = Some(why.to_owned());
        counts.why_not.insert(why.to_owned());
    }
    counts.not_told = counts.of - counts.told;
    answer.issuer_told = counts.of > 0 && counts.not_told == 0 && !answer.dry_run;
    answer.told = counts;
}
