//! Acts on something wider than a token: what they end, and that none is taken that ends nothing.

mod running;

use running::{Server, event};
use serde_json::{Value, json};

/// RFC 3339, by the program's own writer.
fn rfc3339_in(seconds: u128) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.expect("after 1970").as_nanos() + seconds * 1_000_000_000;
    ledgerline_api::time_text::rfc3339(i64::try_from(nanos).expect("before 2262"))
}

fn in_an_hour() -> String {
    rfc3339_in(3600)
}

fn post(server: &Server, event: &Value) -> running::Answer {
    let body = event.to_string();
    let sent = Some(("application/json", body.as_bytes()));
    server.call("POST", "/v1/events", Some(&server.admin), sent)
}

/// An act on something wider.
fn act(native: &str, kind: &str, id: &str, event_type: &str) -> Value {
    let mut act = event(native, event_type, "x");
    act.as_object_mut().expect("an object").remove("token_id");
    act["target"] = json!({ "kind": kind, "id": id });
    act
}

fn state(server: &Server, token: &str) -> Value {
    let answer = server.get(&format!("/v1/tokens/eu:idp:jti:{token}"), &server.admin);
    answer.json()["known"]["state"].clone()
}

/// The producer's clock, not its word, put the end off.
#[test]
fn a_wide_revocation_by_a_clock_that_is_ahead_left_its_tokens_alive() {
    let server = Server::start();
    let ahead = in_an_hour();
    for (n, (kind, field)) in
        [("CLIENT", "client_id"), ("SESSION", "session_id"), ("GRANT", "grant_id")]
            .into_iter()
            .enumerate()
    {
        let (token, id) = (format!("t{n}"), format!("wide-{n}"));
        let mut issued = event(&format!("i{n}"), "ISSUED", &token);
        issued["token_kind"] = "ACCESS".into();
        issued[field] = id.clone().into();
        server.record(&server.admin, &[issued]);
        assert_eq!(state(&server, &token), "ACTIVE");
        let mut revoked = act(&format!("r{n}"), kind, &format!("eu:idp:{id}"), "REVOKED");
        revoked["occurred_at"] = ahead.clone().into();
        let answer = post(&server, &revoked);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(state(&server, &token), "REVOKED", "{kind}");
        // A time that the producer states is kept.
        let mut issued = event(&format!("j{n}"), "ISSUED", &format!("u{n}"));
        issued[field] = format!("later-{n}").into();
        server.record(&server.admin, &[issued]);
        let mut revoked = act(&format!("s{n}"), kind, &format!("eu:idp:later-{n}"), "REVOKED");
        revoked["effective_at"] = ahead.clone().into();
        let answer = post(&server, &revoked);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(state(&server, &format!("u{n}")), "ACTIVE", "{kind}");
    }
}

#[test]
fn an_act_that_ends_nothing_was_answered_200() {
    let server = Server::start();
    for (n, (kind, event_type, outcome)) in [
        ("ISSUER", "REVOKED", "ALLOW"),
        ("SESSION", "SUSPENDED", "ALLOW"),
        ("CLIENT", "EXPIRED", "ALLOW"),
        ("SESSION", "REVOKED", "NONE"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut act = act(&format!("v{n}"), kind, "eu:idp:x", event_type);
        act["outcome"] = outcome.into();
        let answer = post(&server, &act);
        assert_eq!(answer.status, 422, "{kind} {event_type}: {}", answer.text());
        assert_eq!(answer.code(), "no_effect", "{kind} {event_type}");
    }
}

/// What happened before the revocation and was told behind it.
#[test]
fn a_token_of_a_revoked_grant_that_was_told_late_was_alive() {
    let server = Server::start();
    let responder = server.key("", "desk", &["responder"]);
    for (n, blast) in [false, true].into_iter().enumerate() {
        let mut refresh = event(&format!("i{n}"), "ISSUED", &format!("r{n}"));
        refresh["token_kind"] = "REFRESH".into();
        refresh["grant_id"] = format!("g{n}").into();
        server.record(&server.admin, &[refresh]);
        let id = format!("eu:idp:jti:r{n}");
        let args = match blast {
            true => vec!["blast-radius", "--revoke", &id],
            false => vec!["revoke", &id],
        };
        let output = server.run(&responder, &args);
        assert!(running::stdout(&output).contains("1 of 1"), "{}", running::stdout(&output));
        let mut child = event(&format!("c{n}"), "ISSUED", &format!("a{n}"));
        child["token_kind"] = "ACCESS".into();
        child["grant_id"] = format!("g{n}").into();
        server.record(&server.admin, &[child.clone()]);
        assert_eq!(state(&server, &format!("a{n}")), "REVOKED");
        // What is granted anew is not touched.
        child["native_id"] = format!("d{n}").into();
        child["token_id"] = format!("eu:idp:jti:b{n}").into();
        child["occurred_at"] = in_an_hour().into();
        server.record(&server.admin, &[child]);
        assert_eq!(state(&server, &format!("b{n}")), "ACTIVE");
    }
}

/// A token's own end by a clock that is ahead of its expiry lay beneath that expiry: the token was
/// active until then.
#[test]
fn a_revocation_by_a_clock_that_is_ahead_left_its_token_alive() {
    let server = Server::start();
    let soon = rfc3339_in(600);
    for (n, (kind, ended)) in
        [("REVOKED", "REVOKED"), ("SUSPENDED", "SUSPENDED"), ("ROTATED", "SUPERSEDED")]
            .into_iter()
            .enumerate()
    {
        let token = format!("own{n}");
        let mut issued = event(&format!("o{n}"), "ISSUED", &token);
        issued["expires_at"] = soon.clone().into();
        server.record(&server.admin, &[issued]);
        assert_eq!(state(&server, &token), "ACTIVE");
        let mut act = event(&format!("e{n}"), kind, &token);
        act["occurred_at"] = in_an_hour().into();
        server.record(&server.admin, &[act]);
        assert_eq!(state(&server, &token), ended, "{kind}");
    }
    let feed = server.get("/v1/revocations", &server.admin).json();
    let one = &feed["revocations"][0];
    assert!(one["effective_at"].as_str() <= one["recorded_at"].as_str(), "{one}");
}

/// A REINSTATED that is told late ended a hold that began after it.
#[test]
fn a_late_reinstated_lifted_a_newer_hold() {
    let server = Server::start();
    let at = |minute: u32| format!("2026-01-02T00:{minute:02}:00Z");
    let told = [
        ("late", vec![("SUSPENDED", 10), ("SUSPENDED", 30), ("REINSTATED", 20)], "SUSPENDED"),
        ("turned", vec![("SUSPENDED", 30), ("SUSPENDED", 10), ("REINSTATED", 20)], "SUSPENDED"),
        ("alone", vec![("SUSPENDED", 30), ("REINSTATED", 20)], "SUSPENDED"),
        ("ended", vec![("SUSPENDED", 10), ("SUSPENDED", 20), ("REINSTATED", 30)], "ACTIVE"),
    ];
    for (token, acts, expected) in told {
        let all = std::iter::once(("ISSUED", 1)).chain(acts);
        for (n, (kind, second)) in all.enumerate() {
            let mut act = event(&format!("{token}{n}"), kind, token);
            act["occurred_at"] = at(second).into();
            server.record(&server.admin, &[act]);
        }
        assert_eq!(state(&server, token), expected, "{token}");
    }
}

/// Of two logs of one act, the second one's expiry was dropped: an expired token was active.
#[test]
fn what_the_first_birth_left_open_was_not_taken_from_the_second() {
    let server = Server::start();
    for (n, turned) in [false, true].into_iter().enumerate() {
        let token = format!("twice{n}");
        let mut births =
            [event(&format!("f{n}"), "ISSUED", &token), event(&format!("s{n}"), "ISSUED", &token)];
        births[usize::from(turned)]["expires_at"] = "2026-01-02T00:00:00Z".into();
        births.iter().for_each(|one| drop(server.record(&server.admin, std::slice::from_ref(one))));
        assert_eq!(state(&server, &token), "EXPIRED", "turned: {turned}");
    }
}
