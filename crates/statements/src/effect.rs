//! Acts that would change nothing although they read as if they did.
//!
//! Promises: whoever says that something was ended or held is told when the ledger would not act
//! on it, instead of being answered 200 while the tokens stay active. Entries of the past are not
//! judged by this: it stands at the door only.
//!
//! ```text
//! REVOKED                       of TOKEN, SESSION, GRANT, SUBJECT, CLIENT or KEY
//! SUSPENDED, REINSTATED,
//!   EXPIRED                     of TOKEN
//! these and ROTATED             with outcome ALLOW, or DENY or ERROR for an attempt
//! ```

use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind};

use super::EventError;

/// Refuses what has no effect.
///
/// # Errors
/// `no_effect`, with what would have one.
pub(super) fn check(statement: &Statement<'_>) -> Result<(), EventError> {
    use EventType::{Expired, Reinstated, Revoked, Rotated, Suspended};
    use TargetKind::{Client, Grant, Key, Session, Subject, Token};
    let error = |detail: &str| Err(EventError::new("no_effect", detail.to_owned()));
    let (event_type, kind) = (statement.event_type, statement.target.kind);
    let acts = matches!(event_type, Revoked | Suspended | Reinstated | Expired | Rotated);
    if acts && matches!(statement.outcome, Outcome::None | Outcome::Other) {
        return error("with this outcome it changes nothing: send ALLOW, or DENY for an attempt");
    }
    match event_type {
        Revoked if !matches!(kind, Token | Session | Grant | Subject | Client | Key) => error(
            "a REVOKED of this target ends no token: send it for each CLIENT, GRANT, SESSION, \
             SUBJECT, KEY or TOKEN that is to end",
        ),
        Suspended | Reinstated if kind != Token => error(
            "only a TOKEN can be on hold: send it for each token, or REVOKED to end all of them",
        ),
        Expired if kind != Token => {
            error("only a TOKEN expires here: send REVOKED for the target, which ends its tokens")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ledgerline_proof::hlc::Hlc;
    use ledgerline_proof::statement::Target;

    use super::*;

    #[track_caller]
    fn check_act(event_type: EventType, kind: TargetKind, outcome: Outcome, is_taken: bool) {
        let target = Target { kind, id: "eu:idp:x" };
        let act = Statement::new([1; 16], "idp", target, event_type, Hlc::at(1));
        let statement = Statement { outcome, ..act };
        let code = check(&statement).err().map(|error| error.code);
        assert_eq!(code, (!is_taken).then_some("no_effect"), "{event_type:?} {kind:?} {outcome:?}");
    }

    #[test]
    fn acts_without_effect_were_answered_200() {
        use EventType::{Expired, Reinstated, Revoked, Rotated, Suspended};
        use TargetKind::{
            Client, Grant, Issuer, Key, Ledger, Policy, Session, Source, Subject, Token,
        };
        for kind in [Token, Session, Grant, Subject, Client, Key] {
            check_act(Revoked, kind, Outcome::Allow, true);
            check_act(Revoked, kind, Outcome::Deny, true);
            check_act(Revoked, kind, Outcome::None, false);
            check_act(Revoked, kind, Outcome::Other, false);
        }
        for kind in [Issuer, Policy, Source, Ledger] {
            check_act(Revoked, kind, Outcome::Allow, false);
        }
        for event_type in [Suspended, Reinstated, Expired] {
            check_act(event_type, Token, Outcome::Allow, true);
            check_act(event_type, Session, Outcome::Allow, false);
            check_act(event_type, Client, Outcome::Allow, false);
        }
        check_act(Rotated, Token, Outcome::None, false);
        check_act(Rotated, Key, Outcome::Allow, true);
        check_act(EventType::Used, Token, Outcome::None, true);
    }
}
