//! Uses that the ledger saw itself, when somebody asked whether a token is good: USED events in the
//! name of whoever asked.
//!
//! Promises: several uses of one token are one event that says how many, the first and the last.
//!
//! Assumes: the tokens are known here, for others are not counted.
//!
//! Refuses: credentials without the role resource_server, and other tenants than theirs.

use ledgerline_proof::event_id::derived_event_id;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::statement::{Statement, Target};
use ledgerline_proof::token_id::TokenId;
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind, Vantage};
use ledgerline_view::registry::{Caller, Roles, SEEN_USE_PREFIX};

use super::EventError;
use super::accept::{Accepted, Built, Intake, SubmitError};

/// Uses of one token by one caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenUse {
    /// The token.
    pub token_id: String,
    /// How many.
    pub count: i64,
    /// The first, Unix nanoseconds.
    pub first_at: i64,
    /// The last.
    pub last_at: i64,
    /// Whether the token was good.
    pub allowed: bool,
}

impl Intake {
    /// Makes a USED event for each.
    ///
    /// # Errors
    /// [`SubmitError`] when the caller may not ask in this tenant, or there are none.
    pub fn accept_uses(
        &self,
        caller: &Caller,
        tenant: &str,
        uses: &[SeenUse],
    ) -> Result<Accepted, SubmitError> {
        if !caller.roles().has(Roles::RESOURCE_SERVER) || !caller.may_see(tenant) {
            return Err(SubmitError::Forbidden);
        }
        let built = uses.iter().map(|one| self.seen_use(caller, tenant, one));
        self.group(caller, false, built.collect())
    }

    fn seen_use(&self, caller: &Caller, tenant: &str, one: &SeenUse) -> Built {
        // By its first use and its last: what was handed over before is known again.
        let (key, SeenUse { token_id, first_at, last_at, .. }) = (caller.key_id(), one);
        let outcome = if one.allowed { Outcome::Allow } else { Outcome::Deny };
        let word = outcome.symbol();
        let native_id = format!("{SEEN_USE_PREFIX}{key}/{first_at}/{last_at}/{word}/{token_id}");
        let event_id = derived_event_id(tenant, caller.source(), &native_id, 0);
        let fail = |error: EventError| (Some(event_id), error);
        let id = TokenId::parse(token_id)
            .map_err(|error| fail(EventError::new("bad_token_id", error.to_string())))?;
        let target = Target { kind: TargetKind::Token, id: token_id };
        let occurred_at = Hlc::at(one.first_at.max(0));
        let mut statement =
            Statement::new(event_id, caller.source(), target, EventType::Used, occurred_at);
        statement.tenant = tenant;
        statement.native_id = Some(&native_id);
        statement.outcome = outcome;
        statement.vantage = Vantage::Introspection;
        statement.issuer = Some(id.issuer());
        statement.effective_at = Some(one.first_at);
        statement.count = Some(one.count);
        statement.last_at = Some(one.last_at);
        let bytes = encode_object(Kind::Statement, &statement);
        self.build_of_known(caller, &statement, &bytes).map_err(fail)
    }
}
