//! What a pasted JWT says of its own time, beside what the ledger says of it.
//!
//! Promises: a token whose own `exp` has passed, or whose `nbf` lies ahead, is not shown without a
//! word of it: whoever checks those claims refuses it, introspection too, where the ledger knows no
//! expiry. The state is the ledger's still, and so is the exit code.
//!
//! Assumes: nobody verified the signature: the claims are what the paste says.

use ledgerline_api::time_text::rfc3339;
use ledgerline_issuers::jws;
use ledgerline_pasted::claims;
use ledgerline_world::clock::{Clock as _, SystemClock};
use serde_json::Value;

/// The members of answers.
const EXP_PASSED: &str = "own_exp_passed";
const NBF_AHEAD: &str = "own_nbf_ahead";

/// What of its times keeps a token from being used at `now`, by member.
fn against(token: &str, now: i64) -> Vec<(&'static str, i64)> {
    let Some(claims) = claims(token) else { return Vec::new() };
    let (from, until) = jws::window(claims["nbf"].as_number(), claims["exp"].as_number());
    let passed = until.filter(|until| *until <= now).map(|until| (EXP_PASSED, until));
    let ahead = from.filter(|from| now < *from).map(|from| (NBF_AHEAD, from));
    passed.into_iter().chain(ahead).collect()
}

/// Says it in an answer about the token.
pub fn mark(answer: &mut Value, token: &str) {
    if answer.is_object() {
        for (member, at) in against(token, SystemClock::default().wall_nanos()) {
            answer[member] = rfc3339(at).into();
        }
    }
}

/// Says it to people; empty when nothing is to be said.
#[must_use]
pub fn words(token: &str) -> String {
    let line = |(member, at): (&str, i64)| {
        let what = match member {
            EXP_PASSED => "OWN EXP PASSED: by its own exp it ended at",
            _ => "OWN NBF AHEAD: by its own nbf it begins at",
        };
        let at = rfc3339(at);
        format!("{what} {at} (its signature was not checked); below is what the ledger knows\n")
    };
    against(token, SystemClock::default().wall_nanos()).into_iter().map(line).collect()
}

/// The columns of a list of tokens of which some say such a thing.
#[must_use]
pub fn columns(tokens: &Value) -> Vec<(&'static str, &'static str)> {
    let tokens = tokens.as_array().map(Vec::as_slice).unwrap_or_default();
    let has = |member: &str| tokens.iter().any(|one| one[member].is_string());
    let all = [
        (EXP_PASSED, "OWN EXP PASSED", "/own_exp_passed"),
        (NBF_AHEAD, "OWN NBF AHEAD", "/own_nbf_ahead"),
    ];
    let shown = all.into_iter().filter(|(member, ..)| has(member));
    shown.map(|(_, head, pointer)| (head, pointer)).collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_tokens_own_times_count_from_their_second_on() {
        let check = |claims: &str, now: i64, expected: &[&str]| {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            let found: Vec<&str> = against(&token, now * 1_000_000_000)
                .into_iter()
                .map(|(member, _)| member)
                .collect();
            assert_eq!(found, expected, "{claims} at {now}");
        };
        check(r#"{"exp":10}"#, 9, &[]);
        check(r#"{"exp":10}"#, 10, &[EXP_PASSED]);
        check(r#"{"nbf":10}"#, 9, &[NBF_AHEAD]);
        check(r#"{"nbf":10}"#, 10, &[]);
        check(r#"{"exp":5,"nbf":10}"#, 7, &[EXP_PASSED, NBF_AHEAD]);
        check(r#"{"exp":"soon"}"#, 7, &[]);
        check("no JSON", 7, &[]);
        assert_eq!(against("opaque", 0), []);
    }
}
