//! Claims in, events out: each kind of event, each format of subject, each refusal.

use serde_json::json;

use super::*;

const ISS: &str = "https://idp.example.com";
const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";

fn of_iss(iss: &str) -> Option<(Naming, bool)> {
    match iss {
        "https://partner.example.com" => Some((Naming::new("us", "partner")?, true)),
        "https://bearer.example.com" => Some((Naming::new("us", "bearer")?, false)),
        _ => None,
    }
}

fn with<T>(judge: impl FnOnce(&Transmitter<'_>) -> T) -> T {
    let audiences = ["https://ledger.example.com".to_owned()];
    let naming = Naming::new("eu", "idp").expect("a name");
    judge(&Transmitter { iss: ISS, naming, names_by_jti: true, audiences: &audiences })
}

fn read(claims: &Value) -> Result<Value, SetRefusal> {
    let read = with(|from| event(claims.to_string().as_bytes(), from, &of_iss, "receiver"));
    read.map(|event| serde_json::to_value(event).expect("JSON"))
}

fn user() -> Value {
    json!({ "format": "iss_sub", "iss": ISS, "sub": "alice" })
}

/// A sound token with one event.
fn claims(kind: &str, mut payload: Value, subject: &Value) -> Value {
    payload["event_timestamp"] = 1_700_000_000.into();
    json!({
        "iss": ISS, "jti": "set-1", "iat": 1_700_000_009, "aud": "https://ledger.example.com",
        "txn": "txn-7", "sub_id": subject, "events": { kind: payload },
    })
}

/// Whether a place of an event holds a value; nothing for `null`.
fn holds(event: &Value, places: &[(&str, Value)]) {
    for (place, expected) in places {
        let found = event.pointer(place).unwrap_or(&Value::Null);
        assert_eq!(found, expected, "{place} of {event}");
    }
}

#[test]
fn every_kind_of_event_has_its_meaning() {
    let check = |kind: String, payload: Value, subject: Value, places: &[(&str, Value)]| {
        let event = read(&claims(&kind, payload, &subject)).unwrap_or_else(|error| {
            panic!("{kind}: {error}");
        });
        let common = [
            ("/native_id", json!(format!("set {ISS} set-1"))),
            ("/occurred_at", json!("2023-11-14T22:13:20Z")),
            ("/correlation_id", json!("txn-7")),
            ("/vantage", json!("ISSUER")),
        ];
        holds(&event, &common);
        holds(&event, places);
    };
    let session = json!({ "format": "complex", "user": user(),
        "session": { "format": "opaque", "id": "s-1" } });
    let token = json!({ "format": "jwt_id", "iss": ISS, "jti": "t-1" });
    let until = ("/selector/issued_before", json!("2023-11-14T22:13:21Z"));
    let (caep, risc) = (|kind: &str| format!("{CAEP}{kind}"), |kind: &str| format!("{RISC}{kind}"));
    check(
        caep("session-revoked"),
        json!({ "initiating_entity": "admin", "reason_admin": { "en": "Lost phone of Alice" } }),
        session.clone(),
        &[
            ("/type", json!("REVOKED")),
            ("/target/kind", json!("SESSION")),
            ("/target/id", json!("eu:idp:s-1")),
            ("/session_id", json!("s-1")),
            ("/selector", Value::Null),
            ("/reason", json!("admin")),
            ("/personal/0/user_id", json!("alice")),
            ("/personal/0/attributes/reason_admin_en", json!("Lost phone of Alice")),
            ("/detail/0/value", json!("admin")),
            ("/detail/1/value", json!("caep/session-revoked")),
        ],
    );
    check(
        caep("session-revoked"),
        json!({}),
        token.clone(),
        &[("/type", json!("REVOKED")), ("/target/id", json!("eu:idp:jti:t-1"))],
    );
    // Keycloak's word for all sessions of the user.
    let mut all = session.clone();
    all["session"]["id"] = "ALL".into();
    check(
        caep("session-revoked"),
        json!({}),
        all,
        &[("/target/kind", json!("SUBJECT")), ("/target/id", json!("")), until.clone()],
    );
    for (kind, reason) in [
        ("sessions-revoked", "issuer"),
        ("account-disabled", "account_disabled"),
        ("account-purged", "account_purged"),
        ("credential-compromise", "compromise"),
    ] {
        check(
            risc(kind),
            json!({}),
            user(),
            &[("/type", json!("REVOKED")), ("/reason", json!(reason)), until.clone()],
        );
    }
    check(
        caep("token-claims-change"),
        json!({ "claims": { "role": "ro-admin of Bob" } }),
        token,
        &[
            ("/type", json!("POLICY_CHANGED")),
            ("/detail/0/value", json!("role")),
            ("/personal/0/role", json!("REQUEST")),
            ("/personal/0/attributes/claim_role", json!("ro-admin of Bob")),
        ],
    );
    check(
        caep("assurance-level-change"),
        json!({ "namespace": "NIST-AAL", "current_level": "nist-aal2",
            "previous_level": "nist-aal1", "change_direction": "increase" }),
        user(),
        &[("/type", json!("POLICY_CHANGED")), ("/action", json!("assurance-level-change"))],
    );
    check(
        caep("session-established"),
        json!({ "ips": ["192.0.2.7"], "fp_ua": "agent", "acr": "AAL2", "amr": ["otp"] }),
        session.clone(),
        &[
            ("/type", json!("ISSUED")),
            ("/mfa/methods/0", json!("otp")),
            ("/mfa/acr", json!("AAL2")),
            ("/personal/1/ip", json!("192.0.2.7")),
        ],
    );
    let presented = [("/type", json!("USED")), ("/outcome", json!("ALLOW"))];
    check(caep("session-presented"), json!({}), session, &presented);
    for (family, kind) in [
        (CAEP, "credential-change"),
        (CAEP, "device-compliance-change"),
        (CAEP, "risk-level-change"),
        (CAEP, "session-established"),
        (RISC, "account-enabled"),
        (RISC, "account-credential-change-required"),
        (RISC, "identifier-changed"),
        (RISC, "recovery-activated"),
        (RISC, "opt-out-effective"),
    ] {
        check(
            format!("{family}{kind}"),
            json!({ "new-value": "alice@new.example.com", "change_type": "revoke" }),
            user(),
            &[
                ("/type", json!("ADMIN_ACT")),
                ("/action", json!(kind)),
                ("/detail/0/value", json!("revoke")),
                ("/personal/0/attributes/new-value", json!("alice@new.example.com")),
            ],
        );
    }
    let stream = json!({ "format": "opaque", "id": "stream-1" });
    check(
        format!("{SSF}verification"),
        json!({ "state": "VGhpcyBpcyBhbg" }),
        stream.clone(),
        &[
            ("/type", json!("HEARTBEAT")),
            ("/target/kind", json!("SOURCE")),
            ("/target/id", json!("receiver")),
            ("/detail/1/value", json!("VGhpcyBpcyBhbg")),
            ("/detail/2/value", json!("stream-1")),
        ],
    );
    check(
        format!("{SSF}stream-updated"),
        json!({ "status": "paused", "reason": "maintenance" }),
        stream,
        &[
            ("/type", json!("ADMIN_ACT")),
            ("/target/id", json!("receiver")),
            ("/issuer", json!("idp")),
        ],
    );
}

#[test]
fn a_complex_subject_ends_no_more_than_it_names() {
    let check = |members: Value, event_type: &str, client: Option<&str>| {
        let mut subject = json!({ "format": "complex", "user": user() });
        for (name, id) in members.as_object().expect("members") {
            subject[name] = json!({ "format": "opaque", "id": id });
        }
        let event = read(&claims(&format!("{CAEP}session-revoked"), json!({}), &subject));
        let event = event.expect("an event");
        assert_eq!(event["type"], event_type, "{event}");
        assert_eq!(event.pointer("/selector/client").and_then(Value::as_str), client, "{event}");
        assert_eq!(
            event.get("selector").is_some(),
            event_type == "REVOKED" && members["session"].is_null()
        );
        let action = (event_type == "ADMIN_ACT").then_some("session-revoked");
        assert_eq!(event["action"].as_str(), action, "{event}");
    };
    check(json!({}), "REVOKED", None);
    check(json!({ "application": "web" }), "REVOKED", Some("web"));
    for narrower in ["device", "tenant", "group", "org_unit"] {
        check(json!({ narrower: "x" }), "ADMIN_ACT", None);
        check(json!({ narrower: "x", "application": "web" }), "ADMIN_ACT", None);
        check(json!({ narrower: "x", "session": "s-1" }), "REVOKED", None);
    }
}

#[test]
fn who_tells_of_tokens_of_another_issuer_is_an_observer() {
    let check = |iss: &str, vantage: &str| {
        let subject = json!({ "format": "iss_sub", "iss": iss, "sub": "carol" });
        let event = read(&claims(&format!("{CAEP}session-revoked"), json!({}), &subject));
        assert_eq!(event.expect("an event")["vantage"], vantage, "{iss}");
    };
    check(ISS, "ISSUER");
    check("https://partner.example.com", "OBSERVER");
}

#[test]
fn every_format_of_subject_is_read() {
    let check = |subject: Value, places: &[(&str, Value)]| {
        let event = read(&claims(&format!("{CAEP}session-revoked"), json!({}), &subject));
        holds(&event.expect("an event"), places);
    };
    let user_id = |text: &str| [("/personal/0/user_id", json!(text)), ("/issuer", json!("idp"))];
    check(user(), &user_id("alice"));
    check(json!({ "format": "email", "email": "a@example.com" }), &user_id("a@example.com"));
    check(json!({ "format": "opaque", "id": "u-1" }), &user_id("u-1"));
    check(json!({ "format": "phone_number", "phone_number": "+1206555" }), &user_id("+1206555"));
    check(json!({ "format": "account", "uri": "acct:a@b" }), &user_id("acct:a@b"));
    check(json!({ "format": "did", "url": "did:example:1" }), &user_id("did:example:1"));
    check(json!({ "subject_type": "iss-sub", "iss": ISS, "sub": "bob" }), &user_id("bob"));
    check(
        json!({ "format": "aliases", "identifiers": [
            { "format": "email", "email": "a@example.com" }, user() ] }),
        &[
            ("/personal/0/user_id", json!("alice")),
            ("/personal/0/attributes/alias_0", json!("a@example.com")),
        ],
    );
    // Somebody at another issuer of the register.
    let partner = "https://partner.example.com";
    check(
        json!({ "format": "iss_sub", "iss": partner, "sub": "carol" }),
        &[("/issuer", json!("partner")), ("/personal/0/user_id", json!("carol"))],
    );
    check(
        json!({ "format": "jwt_id", "iss": partner, "jti": "t-2" }),
        &[("/target/id", json!("us:partner:jti:t-2"))],
    );
    let bearer = json!({ "format": "jwt_id", "iss": "https://bearer.example.com", "jti": "t-2" });
    let event = read(&claims(&format!("{CAEP}session-revoked"), json!({}), &bearer));
    let id = event.expect("an event")["target"]["id"].to_string();
    assert!(id.contains("us:bearer:jh:") && !id.contains("t-2"), "{id}");
    check(
        json!({ "format": "saml_assertion_id", "issuer": ISS, "assertion_id": "_8e8dc5f" }),
        &[("/target/id", json!("eu:idp:jti:_8e8dc5f"))],
    );
    check(
        json!({ "format": "complex", "user": user(),
            "device": { "format": "opaque", "id": "laptop-9" },
            "application": { "format": "opaque", "id": "web" },
            "tenant": { "format": "opaque", "id": "acme" } }),
        &[
            ("/type", json!("ADMIN_ACT")),
            ("/target/kind", json!("SUBJECT")),
            ("/client_id", json!("web")),
            ("/personal/0/device", json!("laptop-9")),
        ],
    );
    // As drafts before SSF 1.0 had it: the subject in the event.
    let mut old = claims(&format!("{RISC}account-disabled"), json!({ "subject": user() }), &user());
    old.as_object_mut().expect("members").remove("sub_id");
    holds(&read(&old).expect("an event"), &user_id("alice"));
}

#[test]
fn what_is_not_sound_is_refused_by_its_code() {
    let check = |change: fn(&mut Value), code: &str| {
        let mut sent = claims(&format!("{CAEP}session-revoked"), json!({}), &user());
        assert!(read(&sent).is_ok());
        change(&mut sent);
        let refusal = read(&sent).expect_err("refused");
        assert_eq!(refusal.code, code, "{sent}: {refusal}");
    };
    check(|sent| sent["iss"] = "https://other.example.com".into(), "invalid_issuer");
    check(|sent| sent["aud"] = "https://else.example.com".into(), "invalid_audience");
    check(|sent| sent["aud"] = json!([]), "invalid_audience");
    check(|sent| sent["aud"] = Value::Null, "invalid_audience");
    check(|sent| sent["sub"] = "alice".into(), "invalid_request");
    check(|sent| sent["exp"] = 1_800_000_000.into(), "invalid_request");
    check(|sent| sent["jti"] = "".into(), "invalid_request");
    check(|sent| sent["jti"] = "j".repeat(1024).into(), "invalid_request");
    check(|sent| sent["iat"] = Value::Null, "invalid_request");
    check(|sent| sent["events"] = json!({}), "invalid_request");
    check(|sent| sent["events"]["urn:second"] = json!({}), "invalid_request");
    check(|sent| sent["events"] = json!({ "urn:unheard-of": {} }), "invalid_request");
    check(|sent| sent["events"] = json!({ format!("{CAEP}cat-fed"): {} }), "invalid_request");
    check(
        |sent| sent["events"] = json!({ format!("{CAEP}token-claims-change"): {} }),
        "invalid_request",
    );
    check(|sent| sent["sub_id"] = Value::Null, "invalid_request");
    check(|sent| sent["sub_id"]["iss"] = "https://nobody".into(), "invalid_request");
    check(|sent| sent["sub_id"]["sub"] = "".into(), "invalid_request");
    check(|sent| sent["sub_id"]["format"] = "astral".into(), "invalid_request");
    check(
        |sent| {
            sent["sub_id"] =
                json!({ "format": "complex", "tenant": { "format": "opaque", "id": "x" } });
        },
        "invalid_request",
    );
    check(
        |sent| sent["events"][format!("{CAEP}session-revoked")]["event_timestamp"] = json!(-5),
        "invalid_request",
    );
    // One among several audiences is enough.
    let mut several = claims(&format!("{CAEP}session-revoked"), json!({}), &user());
    several["aud"] = json!(["x", "https://ledger.example.com"]);
    assert!(read(&several).is_ok());
}

#[test]
fn times_are_read_in_seconds_and_as_drafts_had_them() {
    let check = |time: Value, expected: &str| {
        let mut sent = claims(&format!("{CAEP}session-revoked"), json!({}), &user());
        sent["events"][format!("{CAEP}session-revoked")]["event_timestamp"] = time;
        assert_eq!(read(&sent).expect("an event")["occurred_at"], expected);
    };
    check(json!(1_700_000_000), "2023-11-14T22:13:20Z");
    check(json!(1_700_000_000_500_i64), "2023-11-14T22:13:20.500Z");
    check(Value::Null, "2023-11-14T22:13:29Z");
}

#[test]
fn a_logout_token_ends_the_session_or_the_person() {
    let sound = json!({
        "iss": ISS, "jti": "lo-1", "iat": 1_700_000_000, "aud": "https://ledger.example.com",
        "exp": 1_700_000_120, "sub": "alice", "sid": "s-1", "events": { LOGOUT: {} },
    });
    let read = |claims: &Value, now: i64| {
        let read = with(|from| logout(claims.to_string().as_bytes(), from, now));
        read.map(|event| serde_json::to_value(event).expect("JSON"))
    };
    let now = 1_700_000_010;
    let event = read(&sound, now).expect("an event");
    holds(
        &event,
        &[
            ("/type", json!("REVOKED")),
            ("/reason", json!("logout")),
            ("/target/id", json!("eu:idp:s-1")),
            ("/personal/0/user_id", json!("alice")),
            ("/selector", Value::Null),
        ],
    );
    let changed = |change: fn(&mut Value)| {
        let mut sent = sound.clone();
        change(&mut sent);
        read(&sent, now)
    };
    let person = changed(|sent| sent["sid"] = Value::Null).expect("an event");
    holds(
        &person,
        &[
            ("/target/kind", json!("SUBJECT")),
            ("/selector/issued_before", json!("2023-11-14T22:13:21Z")),
        ],
    );
    assert!(changed(|sent| sent["sub"] = Value::Null).is_ok());
    let refused = |change: fn(&mut Value)| {
        assert!(changed(change).is_err());
    };
    refused(|sent| (sent["sub"], sent["sid"]) = (Value::Null, Value::Null));
    refused(|sent| sent["nonce"] = "n".into());
    refused(|sent| sent["aud"] = "web".into());
    refused(|sent| sent["events"] = json!({ "urn:other": {} }));
    refused(|sent| sent["sub"] = 7.into());
    assert!(read(&sound, 1_700_000_120).is_err(), "expired");
}
