//! Token, events, lineage, blast radius, introspection and `trace` say the same of a token whose
//! session, client or grant was revoked, perhaps under its other name.

mod running;

use running::{Server, event, stdout};
use serde_json::{Value, json};

#[test]
fn a_token_of_something_revoked_was_shown_active_by_its_own_page() {
    let server = Server::start();
    let admin = server.admin.clone();
    let gateway = server.key("", "gw", &["resource_server"]);
    let kinds = [("SESSION", "session_id"), ("CLIENT", "client_id"), ("GRANT", "grant_id")];
    for (n, (kind, member)) in kinds.into_iter().enumerate() {
        for is_revoked in [false, true] {
            let raw = format!("opaque-token-number-{n}-{is_revoked}-and-long-enough");
            let args = ["token-id", "--region", "eu", "--issuer", "idp"];
            let id = stdout(&server.run_with(&admin, &args, raw.as_bytes())).trim().to_owned();
            let (mark, of) = (format!("{n}{is_revoked}"), format!("of-{n}-{is_revoked}"));
            let mut born = event(&format!("i{mark}"), "ISSUED", &format!("jti{mark}"));
            born["token_kind"] = "ACCESS".into();
            born[member] = of.clone().into();
            born["also_known_as"] = json!([id]);
            let mut events = vec![born];
            if is_revoked {
                let mut ended = event(&format!("r{mark}"), "REVOKED", "x");
                ended.as_object_mut().expect("an object").remove("token_id");
                ended["target"] = json!({ "kind": kind, "id": of });
                events.push(ended);
            }
            server.record(&admin, &events);
            let state: Value = if is_revoked { "REVOKED" } else { "ACTIVE" }.into();
            for name in [id.clone(), format!("eu:idp:jti:jti{mark}")] {
                let get = |end: &str| server.get(&format!("/v1/tokens/{name}{end}"), &admin).json();
                let (token, page) = (get(""), get("/events"));
                assert_eq!(token["known"]["state"], state, "{kind} {token}");
                assert_eq!(token["known"], {
                    let mut known = page["known"].clone();
                    known["judged_at"] = token["known"]["judged_at"].clone();
                    known
                });
                assert_eq!(page["events"].as_array().map(Vec::len), Some(1), "{page}");
                let covered = token["covered_by"].as_array().map(Vec::len);
                assert_eq!(covered, Some(usize::from(is_revoked)), "{token}");
                assert_eq!(get("/lineage")["tokens"][0]["known"]["state"], state, "{kind}");
                let alive = get("/blast-radius");
                assert_eq!(alive["tokens"][0]["known"]["state"], state, "{kind} {alive}");
                let traced = stdout(&server.run(&admin, &["trace", &name]));
                assert!(traced.contains(state.as_str().expect("text")), "{traced}");
            }
            let form = ("application/x-www-form-urlencoded", format!("token={raw}"));
            let said = server.call(
                "POST",
                "/oauth2/introspect",
                Some(&gateway),
                Some((form.0, form.1.as_bytes())),
            );
            assert_eq!(said.json()["active"], !is_revoked, "{kind}: {}", said.text());
        }
    }
}

/// Uses of a token, a thousand at a time.
fn use_often(server: &Server, id: &str, thousands: u64) {
    for part in 0..thousands {
        let used = |n| event(&format!("u{part}-{n}"), "USED", id);
        server.record(&server.admin, &(0..1000).map(used).collect::<Vec<_>>());
    }
}

/// A token with more events than any answer looks at was ACTIVE to `trace`, alive to the blast
/// radius, never revoked to `after-revoke`, unreadable to triage, and 503 to introspection.
#[test]
fn a_token_revoked_behind_a_hundred_thousand_uses_was_active() {
    let server = Server::start();
    let admin = server.admin.clone();
    let gateway = server.key("", "gw", &["resource_server"]);
    let raw = "opaque-token-that-is-used-all-day-long";
    let args = ["token-id", "--region", "eu", "--issuer", "idp"];
    let digest = stdout(&server.run_with(&admin, &args, raw.as_bytes())).trim().to_owned();
    let mut born = event("born", "ISSUED", "long");
    born["token_kind"] = "ACCESS".into();
    born["also_known_as"] = json!([digest]);
    server.record(&admin, &[born]);
    use_often(&server, "long", 102);
    let form = format!("token={raw}");
    let form = Some(("application/x-www-form-urlencoded", form.as_bytes()));
    let introspect = || server.call("POST", "/oauth2/introspect", Some(&gateway), form).json();
    assert_eq!(introspect()["active"], true);
    let mut ended = event("ended", "REVOKED", "long");
    ended["occurred_at"] = "2026-01-02T03:04:06Z".into();
    let mut late = event("late", "USED", "long");
    late["occurred_at"] = "2026-01-02T03:04:16Z".into();
    server.record(&admin, &[ended, late]);
    assert_eq!(introspect()["active"], false);
    let get = |end: &str| server.get(&format!("/v1/tokens/eu:idp:jti:long{end}"), &admin).json();
    for page in [get(""), get("/events?limit=1"), get("/events?limit=1&page=50000")] {
        let found = (&page["known"]["state"], &page["incomplete"]);
        assert_eq!(found, (&"REVOKED".into(), &false.into()), "{page}");
        // What was introspected is recorded as used, some time later.
        let count = page["event_count"].as_u64().expect("a number");
        assert!((102_003..=102_006).contains(&count), "{page}");
    }
    let blast = get("/blast-radius");
    assert_eq!(blast["alive"], json!([]), "{blast}");
    assert_eq!(blast["cut_by"], json!(["width"]));
    let after = get("/after-revoke");
    assert_eq!((&after["places"][0]["allowed"], &after["cut_by"]), (&1.into(), &json!(["width"])));
    let asked = json!({ "tokens": [{ "id": digest }] });
    let triage = server.post("/v1/triage", &admin, &asked).json();
    let found = (&triage["tokens"][0]["state"], &triage["tokens"][0]["last_used_at"]);
    assert_eq!(found.0, "REVOKED", "{triage}");
    assert!(found.1.as_str().expect("a time") >= "2026-01-02T03:04:16", "{triage}");
    let traced = server.run(&admin, &["trace", "eu:idp:jti:long"]);
    let text = stdout(&traced);
    assert!(text.contains("REVOKED") && !text.contains("INCOMPLETE"), "{}", &text[..500]);
    assert!(text.matches("USED").count() >= 102_001);
    assert_eq!(traced.status.code(), Some(0));
    for question in [&["blast-radius"][..], &["query", "after-revoke"]] {
        let asked = server.run(&admin, &[question, &["eu:idp:jti:long"]].concat());
        assert!(stdout(&asked).contains("INCOMPLETE"), "{question:?}: {}", stdout(&asked));
        assert_eq!(asked.status.code(), Some(3), "{question:?}");
    }
}

/// Which ids are one token's is no act in time. With `at`, an id that a later entry names was
/// forgotten by all answers but the token's own: one that was revoked under it was alive.
#[test]
fn with_at_an_id_that_is_named_later_was_forgotten() {
    let server = Server::start();
    let (id, alias) = ("eu:idp:jti:at-a", "eu:idp:jti:at-b");
    let at = |second: u32| format!("2026-01-02T00:00:{second:02}Z");
    let tell = |kind: &str, id: &str, second: u32, names: &[&str]| {
        let one = json!({ "type": kind, "token_id": id, "issuer": "idp", "client_id": "web",
            "native_id": format!("at-{kind}"), "occurred_at": at(second),
            "also_known_as": names });
        server.record(&server.admin, &[one]);
    };
    tell("ISSUED", id, 10, &[]);
    tell("REVOKED", alias, 20, &[]);
    tell("USED", id, 40, &[alias]);
    // When, and the state that every answer gives.
    for (second, state) in [(5, "UNKNOWN"), (15, "ACTIVE"), (30, "REVOKED"), (50, "REVOKED")] {
        for one in [id, alias] {
            let page = server.get(&format!("/v1/tokens/{one}?at={}", at(second)), &server.admin);
            let page = page.json();
            assert_eq!(page["known"]["state"], state, "{one} at {second}: {page}");
            assert_eq!(page["happened"]["state"], state, "{one} at {second}: {page}");
            let path = format!("/v1/tokens/{one}/blast-radius?at={}", at(second));
            let answer = server.get(&path, &server.admin);
            if state == "UNKNOWN" {
                assert_eq!(answer.status, 404, "{}", answer.text());
                continue;
            }
            let answer = answer.json();
            let alive = answer["alive"].as_array().expect("a list").len();
            assert_eq!(alive, usize::from(state == "ACTIVE"), "{one} at {second}: {answer}");
        }
    }
}
