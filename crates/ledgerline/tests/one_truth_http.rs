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
