//! What a pasted JWT says of its own time, beside what the ledger says of it.
//!
//! Promises: a token whose own `exp` has passed, or whose `nbf` lies ahead, is not shown without a
//! word of it: whoever checks those claims refuses it, introspection too, where the ledger knows no
//! expiry. The state is the ledger's still, and so is the exit code.
//!
//! Assumes: nobody verified the signature: the claims are what the paste says.

use ledgerline_api::values::Time;
use ledgerline_issuers::jws;
use ledgerline_pasted::claims;
use ledgerline_terminal::render::cell;
use ledgerline_world::clock::{Clock as _, SystemClock};
use serde::Serialize;

/// What of a token's own times keeps it from being used now; nothing for one that says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OwnTimes {
    /// Its `exp`, which has passed.
    #[serde(rename = "own_exp_passed", skip_serializing_if = "Option::is_none")]
    pub exp_passed: Option<Time>,
    /// Its `nbf`, which lies ahead.
    #[serde(rename = "own_nbf_ahead", skip_serializing_if = "Option::is_none")]
    pub nbf_ahead: Option<Time>,
}

impl OwnTimes {
    /// Those of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self::at(token, SystemClock::default().wall_nanos())
    }

    fn at(token: &str, now: i64) -> Self {
        let Some(claims) = claims(token) else { return Self::default() };
        let (from, until) = jws::window(claims["nbf"].as_number(), claims["exp"].as_number());
        Self {
            exp_passed: until.filter(|until| *until <= now).map(Time),
            nbf_ahead: from.filter(|from| now < *from).map(Time),
        }
    }

    /// With what another token says that this one does not.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            exp_passed: self.exp_passed.or(other.exp_passed),
            nbf_ahead: self.nbf_ahead.or(other.nbf_ahead),
        }
    }
}

/// Says it to people; empty when nothing is to be said.
#[must_use]
pub fn words(token: &str) -> String {
    let own = OwnTimes::of(token);
    let line = |what: &str, at: Time| {
        let at = cell(&at);
        format!("{what} {at} (its signature was not checked); below is what the ledger knows\n")
    };
    let passed = own.exp_passed.map(|at| line("OWN EXP PASSED: by its own exp it ended at", at));
    let ahead = own.nbf_ahead.map(|at| line("OWN NBF AHEAD: by its own nbf it begins at", at));
    passed.into_iter().chain(ahead).collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_tokens_own_times_count_from_their_second_on() {
        const SECOND: i64 = 1_000_000_000;
        let check = |claims: &str, now: i64, exp: Option<i64>, nbf: Option<i64>| {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            let time = |seconds: i64| Time(seconds * SECOND);
            let expected = OwnTimes { exp_passed: exp.map(time), nbf_ahead: nbf.map(time) };
            assert_eq!(OwnTimes::at(&token, now * SECOND), expected, "{claims} at {now}");
        };
        check(r#"{"exp":10}"#, 9, None, None);
        check(r#"{"exp":10}"#, 10, Some(10), None);
        check(r#"{"nbf":10}"#, 9, None, Some(10));
        check(r#"{"nbf":10}"#, 10, None, None);
        check(r#"{"exp":5,"nbf":10}"#, 7, Some(5), Some(10));
        check(r#"{"exp":"soon"}"#, 7, None, None);
        check("no JSON", 7, None, None);
        assert_eq!(OwnTimes::at("opaque", 0), OwnTimes::default());
    }
}
