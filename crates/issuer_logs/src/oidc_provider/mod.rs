//! The adapter for node-oidc-provider: its event log, a resource server's log, and policies.
//!
//! ```text
//! provider.ndjson         {time, event, request_id, payload}
//! resource-server.ndjson  {time, request_id, service, decision, token, token_form, …}
//! policies.ndjson         {time, policy_id, version, digest, document, …}
//! ```
//!
//! The kinds are told apart by their members, so files may come in any order or in one stream.
//!
//! Promises: JWTs are named by jti, every opaque token by `t1` of its value; a jti that only an
//! unverified JWT claims is never used as a name. A reason that nobody knows loses no call: it is
//! booked on the token where the log tells what only a verified one says. A token of a grant that
//! died is revoked, also when its request closes later. Ids of requests, grants and sessions stay
//! clear.
//!
//! Assumes: the provider's log is read from its start and in its order, because the tokens of a
//! revoked grant are known only from the lines before. The resource server's log needs no memory.
//!
//! Refuses: what [`ledgerline_adapter::Problem`] lists.

mod drafts;
mod facts;
mod grants;
mod model;
mod policies;
mod provider_log;
mod request;
mod resource_log;

use ledgerline_api::event::Event;

use self::drafts::Recorder;
use self::facts::NAME;
use self::model::{AnyLine, PolicyLine, ResourceLine, parse};
use self::provider_log::{Fate, ProviderLog};
use ledgerline_adapter::{
    Act, Adapter, AdapterError, Choice, Evidence, Identifier, LINE_BYTES_MAX, Naming, Options,
    Problem, Report, RowShown, Rule,
};

/// How it is chosen.
pub const CHOICE: Choice = Choice {
    name: NAME,
    about: "Logs of node-oidc-provider, of its resource servers, and of policies",
    evidence: Evidence::Recording,
    detects: |line| {
        parse::<AnyLine<'_>>(line).is_ok_and(|line| {
            let is_provider = line.payload.is_some() && line.event.is_some();
            let is_policy = line.policy_id.is_some() && line.document.is_some();
            is_provider || is_policy || line.decision.is_some()
        })
    },
    rows: || {
        let row = |kinds: &str, becomes| RowShown { kinds: kinds.to_owned(), becomes };
        vec![
            row("provider events", "the acts of codes, tokens, grants and sessions, by request"),
            row("lines of a resource server", "RESOURCE_ACCESSED with the decision"),
            row("policy lines", "POLICY_CHANGED with the document"),
        ]
    },
    identifiers: &[
        Identifier { at: "/payload/jti (of a JWT)", rule: Rule::Safe },
        Identifier { at: "/payload/jti (of an opaque token, a code)", rule: Rule::Hash },
        Identifier { at: "/token", rule: Rule::Hash },
        Identifier { at: "/payload/grantId", rule: Rule::Safe },
        Identifier { at: "/payload/sessionUid", rule: Rule::Safe },
        Identifier { at: "/payload/accountId", rule: Rule::Personal },
    ],
    open: |options| Box::new(OidcProvider::new(options)),
};

/// The adapter. One value reads all files of one recording.
pub struct OidcProvider {
    naming: Naming,
    provider: ProviderLog,
    report: Report,
}

impl OidcProvider {
    /// An adapter that has read nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let recorder = options.recorded_as.map(|(tenant, source)| Recorder { tenant, source });
        let provider = ProviderLog::new(options.naming.clone(), recorder);
        Self { naming: options.naming, provider, report: Report::default() }
    }

    fn map(&mut self, number: u64, text: &str, out: &mut Vec<Act>) -> Result<Fate, Problem> {
        if text.len() > LINE_BYTES_MAX {
            return Err(Problem::TooLong);
        }
        let line: AnyLine<'_> = parse(text)?;
        let single = |event: Event<'static>| Act { events: vec![event], lines: None };
        if line.payload.is_some() && line.event.is_some() {
            return self.provider.line(number, &line, out, &mut self.report);
        } else if line.policy_id.is_some() && line.document.is_some() {
            out.push(single(policies::event(&parse::<PolicyLine<'_>>(text)?)?));
        } else if line.decision.is_some() {
            out.push(single(resource_log::event(&self.naming, parse::<ResourceLine>(text)?)?));
        } else {
            return Err(Problem::UnknownShape);
        }
        Ok(Fate::Mapped)
    }

    fn count(&mut self, acts: &[Act]) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.report.acts += count(acts.len());
        self.report.events += acts.iter().map(|act| count(act.events.len())).sum::<u64>();
    }
}

impl Adapter for OidcProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn line(&mut self, number: u64, line: &str, out: &mut Vec<Act>) -> Result<(), AdapterError> {
        let line = line.trim_matches(['\r', '\n', ' ', '\t', '\u{feff}']);
        if line.is_empty() {
            return Ok(());
        }
        self.report.lines += 1;
        let before = out.len();
        let fate = self.map(number, line, out);
        self.count(&out[before..]);
        match fate {
            Ok(Fate::Mapped) => self.report.mapped += 1,
            Ok(Fate::WithItsRequest) => {}
            Ok(Fate::Skipped(kind)) => self.report.skip(&kind),
            Err(problem) => {
                self.report.refused += 1;
                return Err(AdapterError { line: number, problem });
            }
        }
        Ok(())
    }

    fn refuse(&mut self, number: u64, problem: Problem) -> AdapterError {
        self.report.lines += 1;
        self.report.refused += 1;
        AdapterError { line: number, problem }
    }

    fn finish(&mut self, out: &mut Vec<Act>) {
        let before = out.len();
        self.provider.finish(out, &mut self.report);
        self.count(&out[before..]);
    }

    fn report(&self) -> &Report {
        &self.report
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "s3cr3t-VALUE-of-a-bearer-token-AAAAAAAAAAAA";

    fn adapter() -> OidcProvider {
        let naming = Naming::new("eu", "idp").expect("sound names");
        OidcProvider::new(Options { naming, recorded_as: None })
    }

    /// The events of some lines, act by act, and those of the end.
    fn read(lines: &[String]) -> (Vec<Vec<Value>>, Report) {
        let mut adapter = adapter();
        let mut out = Vec::new();
        for (number, line) in (1..).zip(lines) {
            adapter.line(number, line, &mut out).expect("a sound line");
        }
        adapter.finish(&mut out);
        let json = |event: &Event<'_>| serde_json::to_value(event).expect("JSON");
        let acts = out.iter().map(|act| act.events.iter().map(json).collect()).collect();
        (acts, adapter.report().clone())
    }

    fn provider(second: u32, request: &str, event: &str, payload: &str) -> String {
        let time = format!("2026-11-22T05:{:02}:{:02}.000Z", second / 60, second % 60);
        let head = format!(r#""time":"{time}","event":"{event}","request_id":"{request}""#);
        format!(r#"{{{head},"payload":{payload}}}"#)
    }

    fn resource(reason: &str, form: &str, token: &str) -> String {
        let line = json!({
            "time": "2026-11-22T05:00:00.000Z", "request_id": "rs-1", "service": "orders-api",
            "method": "GET", "path": "/orders/1", "status": 401, "decision": "deny",
            "reason": reason, "token": token, "token_form": form,
        });
        line.to_string()
    }

    #[test]
    fn bad_lines_are_refused_without_a_word_of_them() {
        let no_time = format!(r#"{{"event":"grant.success","payload":{{"jti":"{SECRET}"}}}}"#);
        let cases = [
            ("not json".to_owned(), Problem::NotJson(2)),
            (format!(r#"{{"time":"{SECRET}""#), Problem::NotJson(53)),
            (format!("\"{SECRET}\""), Problem::NotJson(45)),
            (format!(r#"{{"token":"{SECRET}"}}"#), Problem::UnknownShape),
            (no_time, Problem::Missing("time")),
            (provider(0, SECRET, "access_token.saved", "{}"), Problem::Missing("jti")),
            (provider(0, "a/b", "access_token.saved", "{}"), Problem::Malformed("request_id")),
            (
                provider(0, "r", "refresh_token.saved", &format!(r#"{{"exp":"{SECRET}"}}"#)),
                Problem::BadPayload(52),
            ),
            (
                provider(0, "r", "grant.saved", r#"{"resources":{"a":"x","a":"y"}}"#),
                Problem::BadPayload(30),
            ),
            (
                provider(0, "r", "refresh_token.saved", r#"{"jti":"weak"}"#),
                Problem::WeakToken("jti"),
            ),
            (
                provider(0, "r", "grant.revoked", r#"{"grantId":"a b"}"#),
                Problem::Malformed("grantId"),
            ),
            (resource("x", "cookie", SECRET), Problem::Malformed("token_form")),
            (resource("x", "jwt", "t").replace("deny", "maybe"), Problem::Malformed("decision")),
            (resource("x", "opaque", "weak").replace("deny", "allow"), Problem::WeakToken("token")),
            (
                json!({
                    "time": "2026-11-22T05:00:00Z", "policy_id": "p", "version": 1,
                    "digest": SECRET, "document": {},
                })
                .to_string(),
                Problem::DigestMismatch,
            ),
            (format!("{{{}}}", " ".repeat(LINE_BYTES_MAX)), Problem::TooLong),
        ];
        for (line, problem) in cases {
            let mut adapter = adapter();
            let mut out = Vec::new();
            let error = adapter.line(7, &line, &mut out).expect_err("a bad line");
            assert_eq!(error, AdapterError { line: 7, problem });
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
            assert_eq!((adapter.report().lines, adapter.report().refused), (1, 1));
            adapter.finish(&mut out);
            assert!(out.is_empty(), "a refused line leaves nothing behind");
        }
    }

    #[test]
    fn a_reason_unheard_of_lost_the_call_of_the_token() {
        let booked = |reason: Option<&str>, sub: Option<&str>, client: Option<&str>| {
            let mut line: Value =
                serde_json::from_str(&resource("", "jwt", "victim")).expect("JSON");
            line["reason"] = reason.into();
            line["sub"] = sub.into();
            line["client_id"] = client.into();
            let (acts, _) = read(&[line.to_string()]);
            acts[0][0]["token_id"] == "eu:idp:jti:victim"
        };
        let (sub, client) = (Some("alice"), Some("web"));
        for reason in ["rate_limited", "role_not_assigned", "token_revoked", "Too many requests"] {
            assert!(booked(Some(reason), sub, client), "{reason}: the claims were verified");
            assert!(!booked(Some(reason), None, None), "{reason}: nobody verified anything");
            assert!(!booked(Some(reason), sub, None), "{reason}");
        }
        assert!(booked(None, sub, client));
        for reason in [
            "invalid_signature",
            "bad signature",
            "Unsigned",
            "unknown_kid",
            "invalid-token",
            "malformed",
            "wrong_issuer",
            "alg_not_allowed",
            "forged",
        ] {
            assert!(!booked(Some(reason), sub, client), "{reason}: whatever else it tells");
        }
    }

    #[test]
    fn a_claimed_jti_is_never_booked() {
        // {"alg":"ES256"}.{"jti":"victim"}
        let jws = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJ2aWN0aW0ifQ.c2ln";
        let token = |detail: &str| {
            let payload = json!({
                "client_id": "c", "error": "invalid_grant", "error_detail": detail,
                "params": {
                    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                    "subject_token": jws,
                },
            });
            provider(0, "r", "grant.error", &payload.to_string())
        };
        let cases = [
            (
                token("subject_token ERR_JWS_SIGNATURE_VERIFICATION_FAILED"),
                "invalid_signature",
                false,
            ),
            (token("subject_token is of a kind unheard of"), "invalid_grant", false),
            (token("subject_token ERR_JWT_EXPIRED"), "expired", true),
            (token("subject_token ERR_JWT_CLAIM_VALIDATION_FAILED"), "invalid_grant", true),
            (resource("invalid_signature", "jwt", "victim"), "invalid_signature", false),
            (resource("something_new", "jwt", "victim"), "something_new", false),
            (resource("token_expired", "jwt", "victim"), "token_expired", true),
        ];
        for (line, reason, booked) in cases {
            let (acts, _) = read(&[line]);
            assert_eq!((acts.len(), acts[0].len()), (1, 1));
            let event = &acts[0][0];
            assert_eq!(event["outcome"], "DENY");
            assert_eq!(event["reason"], reason);
            assert_eq!(event["token_id"] == "eu:idp:jti:victim", booked, "{event}");
            assert_eq!(event["detail"].is_array(), !booked, "{event}");
            assert_eq!(event.to_string().contains("victim"), booked, "{event}");
        }
    }

    #[test]
    fn a_weak_or_absent_token_is_booked_on_the_service() {
        for line in [resource("inactive", "opaque", "weak"), resource("no_token", "none", "")] {
            let (acts, _) = read(&[line]);
            let target = &acts[0][0]["target"];
            assert_eq!((&target["kind"], &target["id"]), (&"SOURCE".into(), &"orders-api".into()));
        }
    }

    fn refresh(second: u32, request: &str, jti: &str) -> String {
        let jti = format!("{jti}-AAAAAAAAAAAAAAAAAAAAAA");
        let payload = json!({"jti": jti, "clientId": "c", "grantId": "g", "exp": 1_795_400_000});
        let payload = payload.to_string();
        provider(second, request, "refresh_token.saved", &payload)
    }

    fn kinds(act: &[Value]) -> Vec<&str> {
        act.iter().filter_map(|event| event["type"].as_str()).collect()
    }

    #[test]
    fn a_request_without_its_closing_line_is_still_mapped() {
        let late = u32::try_from(provider_log::IDLE_MILLIS / 1000).expect("short") + 2;
        let (acts, report) = read(&[
            refresh(0, "r1", "one"),
            provider(late, "r2", "interaction.saved", "{}"),
            refresh(late, "r3", "two"),
        ]);
        assert_eq!(acts.iter().map(|act| kinds(act)).collect::<Vec<_>>(), [["ISSUED"], ["ISSUED"]]);
        assert_eq!(acts[0][0]["occurred_at"], "2026-11-22T05:00:00.000Z");
        assert_eq!((report.unclosed, report.skipped_count(), report.mapped), (2, 1, 2));
    }

    #[test]
    fn a_large_grant_is_revoked_in_several_acts_and_only_once() {
        let mut lines: Vec<String> =
            (0..70).map(|n| refresh(0, &format!("r{n}"), &format!("t{n}"))).collect();
        let close = |n| provider(0, &format!("r{n}"), "grant.success", "{}");
        lines.extend((0..70).map(close));
        let revoked = r#"{"grantId":"g","route":"revocation"}"#;
        for request in ["x", "y"] {
            lines.push(provider(1, request, "grant.revoked", revoked));
            lines.push(provider(1, request, "middleware.revocation", r#"{"params":{}}"#));
        }
        let (acts, report) = read(&lines);
        let sizes: Vec<usize> = acts[70..].iter().map(Vec::len).collect();
        assert_eq!(sizes, [64, 7, 1], "the second time only the grant is left to name");
        assert!(acts[70..].iter().flatten().all(|event| event["type"] == "REVOKED"));
        assert_eq!(report.events, 70 + 64 + 7 + 1);
    }

    #[test]
    fn what_expired_before_is_not_revoked() {
        // `refresh` issues tokens that expire at 2026-11-23T02:13:20Z.
        let revoked = |time: &str| {
            let line = provider(1, "x", "grant.revoked", r#"{"grantId":"g","route":"token"}"#);
            let lines = [refresh(0, "r", "t"), line.replace("2026-11-22T05:00:01.000Z", time)];
            let (acts, _) = read(&lines);
            acts.last().map_or(0, Vec::len)
        };
        assert_eq!(revoked("2026-11-23T02:13:19.999Z"), 2, "the grant and its token");
        assert_eq!(revoked("2026-11-23T02:13:20.000Z"), 1, "the grant alone");
    }

    #[test]
    fn a_logout_that_revokes_no_grant_revokes_no_session() {
        let ended = |authorizations: &str, revoked: Option<&str>| {
            let mut lines = Vec::new();
            if let Some(grant) = revoked {
                let payload = format!(
                    r#"{{"grantId":"{grant}","route":"end_session_confirm","client_id":"a"}}"#
                );
                lines.push(provider(0, "r", "grant.revoked", &payload));
            }
            let session = format!(r#"{{"uid":"s","authorizations":{authorizations}}}"#);
            lines.push(provider(0, "r", "session.destroyed", &session));
            lines.push(provider(0, "r", "end_session.success", "{}"));
            read(&lines).0.remove(0)
        };
        let both = r#"{"a":{"grantId":"g1"},"b":{"grantId":"g2"}}"#;
        let spared = ended(both, None);
        assert_eq!(kinds(&spared), ["USED"]);
        let act = ended(both, Some("g2"));
        assert_eq!(kinds(&act), ["REVOKED", "REVOKED"]);
        assert_eq!(act[0]["selector"]["client"], "b", "the client whose grant died");
        assert_eq!(act[1]["client_id"], "b", "not the client that asked for the logout");
    }
}
