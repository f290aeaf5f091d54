//! Revocations in the name of a responder: events like any other, made here.
//!
//! Promises: each is judged like a producer's event, by the credential's tenant, source and grant;
//! asking again for the same reason and state of the ledger records nothing twice, for the event id
//! follows from the `native_id`.
//!
//! Assumes: that a credential with the role client alone revokes its own tokens only was seen to by
//! the caller, who knows whose they are.
//!
//! Refuses: credentials with neither role, and other tenants than theirs.

use ledgerline_proof::event_id::derived_event_id;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::statement::{Detail, Link, Selector, Statement, Target};
use ledgerline_proof::token_id::TokenId;
use ledgerline_proof::vocabulary::{EventType, Relation, Strength, TargetKind};
use ledgerline_view::registry::{Caller, Roles};

use super::EventError;
use super::accept::{Accepted, Built, Intake, SubmitError};
use super::secret_scan::{SECRET_REFUSED, check_text};

/// A token to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeToken {
    /// Its id.
    pub token_id: String,
    /// Names this revocation within the credential's source.
    pub native_id: String,
    /// Why, a short word.
    pub reason: String,
    /// The token that is the cause, when it is another one.
    pub cause: Option<String>,
    /// Ties the revocations of one act together.
    pub correlation_id: String,
    /// Whether its issuer is told: `not told`, or `asked` when what comes of it follows in an entry
    /// of its own.
    pub issuer: Option<&'static str>,
    /// Grants, as `<region>:<issuer>:<id>`, whose tokens that were issued before now go with it,
    /// also those that the ledger is told of later.
    pub grants: Vec<String>,
}

impl Intake {
    /// Makes REVOKED events of now, one for each token, and behind these one for each grant that
    /// goes with them. `known` says whether the ledger holds a
    /// token whose id looks like a secret.
    ///
    /// # Errors
    /// [`SubmitError`] when the caller may not revoke in this tenant, or asks for too many at a
    /// time.
    pub fn accept_revocations(
        &self,
        caller: &Caller,
        tenant: &str,
        tokens: &[RevokeToken],
        known: &dyn Fn(&str) -> bool,
    ) -> Result<Accepted, SubmitError> {
        if !caller.roles().has(Roles::RESPONDER.with(Roles::CLIENT)) || !caller.may_see(tenant) {
            return Err(SubmitError::Forbidden);
        }
        let now = Hlc::at(self.clock.wall_nanos().max(0));
        let built = tokens.iter().map(|one| self.revocation(caller, tenant, one, now, known));
        let of_grants = tokens.iter().flat_map(|one| {
            one.grants
                .iter()
                .map(move |grant| self.grant_revocation(caller, tenant, one, grant, now))
        });
        self.group(caller, false, built.chain(of_grants).collect())
    }

    fn grant_revocation(
        &self,
        caller: &Caller,
        tenant: &str,
        asked: &RevokeToken,
        grant: &str,
        now: Hlc,
    ) -> Built {
        let native_id = format!("{}/grant/{grant}", asked.native_id);
        let event_id = derived_event_id(tenant, caller.source(), &native_id, 0);
        let target = Target { kind: TargetKind::Grant, id: grant };
        let mut statement =
            Statement::new(event_id, caller.source(), target, EventType::Revoked, now);
        statement.tenant = tenant;
        statement.native_id = Some(&native_id);
        statement.reason = Some(&asked.reason);
        statement.issuer = grant.split(':').nth(1);
        statement.correlation_id = Some(&asked.correlation_id);
        // What its owner grants anew is not touched.
        statement.selector =
            Some(Selector { issued_before: Some(now.nanos), client: None, audience: None });
        statement.links = vec![Link {
            token: Some(&asked.token_id),
            event: None,
            relation: Relation::CausedBy,
            strength: Strength::Asserted,
            why: None,
        }];
        let bytes = encode_object(Kind::Statement, &statement);
        let built = self.build(caller, &statement, &bytes, None, Vec::new(), Vec::new());
        built.map_err(|error| (Some(event_id), error))
    }

    fn revocation(
        &self,
        caller: &Caller,
        tenant: &str,
        asked: &RevokeToken,
        now: Hlc,
        known: &dyn Fn(&str) -> bool,
    ) -> Built {
        let event_id = derived_event_id(tenant, caller.source(), &asked.native_id, 0);
        let fail = |error: EventError| (Some(event_id), error);
        let id = TokenId::parse(&asked.token_id)
            .map_err(|error| fail(EventError::new("bad_token_id", error.to_string())))?;
        let target = Target { kind: TargetKind::Token, id: &asked.token_id };
        let mut statement =
            Statement::new(event_id, caller.source(), target, EventType::Revoked, now);
        statement.tenant = tenant;
        statement.native_id = Some(&asked.native_id);
        statement.reason = Some(&asked.reason);
        statement.issuer = Some(id.issuer());
        statement.correlation_id = Some(&asked.correlation_id);
        let told = asked.issuer.map(|value| Detail { key: "issuer", value });
        statement.detail = told.into_iter().collect();
        statement.links = asked
            .cause
            .iter()
            .map(|cause| Link {
                token: Some(cause),
                event: None,
                relation: Relation::CausedBy,
                strength: Strength::Asserted,
                why: None,
            })
            .collect();
        let bytes = encode_object(Kind::Statement, &statement);
        let built = self.build(caller, &statement, &bytes, None, Vec::new(), Vec::new());
        let built = match built {
            // What was taken before a format was known must be revocable for ever.
            Err(error) if error.code == SECRET_REFUSED && known(&asked.token_id) => {
                check_text(&asked.reason).map_err(fail)?;
                self.build_of_known(caller, &statement, &bytes)
            }
            built => built,
        };
        built.map_err(fail)
    }
}
