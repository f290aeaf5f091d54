//! Ids with colons of their own are whole, and a family goes with its refresh token.

mod running;

use running::{Answer, Server, event};
use serde_json::{Value, json};

const URNS: [&str; 3] = ["urn:orders:web", "urn:billing:web", "web"];

fn issued(native: &str, token: &str, more: &[(&str, &str)]) -> Value {
    let mut event = event(native, "ISSUED", token);
    event["token_kind"] = "ACCESS".into();
    for (name, value) in more {
        event[*name] = (*value).into();
    }
    event
}

fn form(server: &Server, path: &str, key: &str, token: &str) -> Answer {
    let body = format!("token={token}");
    let media_type = "application/x-www-form-urlencoded";
    server.call("POST", path, Some(key), Some((media_type, body.as_bytes())))
}

fn state(server: &Server, token: &str) -> Value {
    let answer = server.get(&format!("/v1/tokens/eu:idp:jti:{token}"), &server.admin);
    assert_eq!(answer.status, 200, "{token}: {}", answer.text());
    answer.json()["known"]["state"].clone()
}

/// Tokens of a holder, by the end of their ids.
fn held(server: &Server, holder: &str) -> Vec<String> {
    let answer = server.get(&format!("/v1/{holder}/tokens"), &server.admin).json();
    let tokens = answer["tokens"].as_array().unwrap_or_else(|| panic!("{holder}: {answer}"));
    let end = |one: &Value| one["token_id"].as_str().expect("an id").replace("eu:idp:jti:", "");
    tokens.iter().map(end).collect()
}

fn opaque(server: &Server, token: &str) -> String {
    let args = ["token-id", "--region", "eu", "--issuer", "idp"];
    running::stdout(&server.run_with(&server.admin, &args, token.as_bytes())).trim().to_owned()
}

#[test]
fn a_client_called_by_a_urn_was_answered_as_its_last_part_and_listed_under_it() {
    let server = Server::start();
    let gateway = server.key("", "gw", &["resource_server"]);
    for (n, client) in URNS.into_iter().enumerate() {
        let token = format!("opaque-token-of-client-number-{n}-and-long-enough");
        let mut event = issued(&format!("i{n}"), "x", &[("client_id", client)]);
        event["token_id"] = opaque(&server, &token).into();
        server.record(&server.admin, &[event]);
        let answer = form(&server, "/oauth2/introspect", &gateway, &token).json();
        assert_eq!(answer["client_id"], client, "{answer}");
        let full = format!("eu:idp:{client}");
        let by_jti = issued(&format!("j{n}"), &format!("t{n}"), &[("client_id", &full)]);
        server.record(&server.admin, &[by_jti]);
    }
    for (n, client) in URNS.into_iter().enumerate() {
        for asked in [client.to_owned(), format!("eu:idp:{client}")] {
            let found = held(&server, &format!("clients/{asked}"));
            assert_eq!(found.len(), 2, "{asked}: {found:?}");
            assert_eq!(found[1], format!("t{n}"), "{asked}: {found:?}");
            let path = format!("/v1/pivot?kind=client&value={asked}");
            let events = server.get(&path, &server.admin).json();
            assert_eq!(events["events"].as_array().map(Vec::len), Some(2), "{asked}: {events}");
        }
    }
    assert!(held(&server, "clients/eu:other:web").is_empty());
    assert!(held(&server, "clients/orders:web").is_empty());
}

#[test]
fn a_client_key_ended_the_tokens_of_every_client_whose_name_ends_like_its_own() {
    let server = Server::start();
    let client = server.key("", "web", &["client"]);
    let token = "opaque-token-of-somebody-else-and-long-enough";
    let mut event = issued("i1", "x", &[("client_id", "urn:orders:web")]);
    event["token_id"] = opaque(&server, token).into();
    server.record(&server.admin, &[event]);
    let answer = form(&server, "/oauth2/revoke", &client, token);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.json()["error"], "invalid_grant");
}

#[test]
fn revocations_of_something_wider_name_ids_bare_or_in_full_colons_and_all() {
    let server = Server::start();
    let spelled = ["urn:a:s1", "eu:idp:urn:a:s1"];
    let mut n = 0;
    for kind in ["SESSION", "GRANT", "CLIENT", "KEY"] {
        for written in spelled {
            for named in spelled {
                n += 1;
                let member = match kind {
                    "SESSION" => "session_id",
                    "GRANT" => "grant_id",
                    "CLIENT" => "client_id",
                    _ => "issuer_kid",
                };
                let (of, other) = (format!("{written}-{n}"), format!("urn:b:s1-{n}"));
                let mut revoked = event(&format!("r{n}"), "REVOKED", "x");
                revoked.as_object_mut().expect("an object").remove("token_id");
                revoked["target"] = json!({ "kind": kind, "id": format!("{named}-{n}") });
                server.record(
                    &server.admin,
                    &[
                        issued(&format!("i{n}"), &format!("t{n}"), &[(member, &of)]),
                        issued(&format!("o{n}"), &format!("o{n}"), &[(member, &other)]),
                        revoked,
                    ],
                );
                let lineage = format!("/v1/tokens/eu:idp:jti:t{n}/lineage");
                let tokens = server.get(&lineage, &server.admin).json();
                let known = &tokens["tokens"][0]["known"]["state"];
                assert_eq!(known, "REVOKED", "{kind} {written} {named}");
                let other = format!("/v1/tokens/eu:idp:jti:o{n}/lineage");
                let tokens = server.get(&other, &server.admin).json();
                assert_eq!(tokens["tokens"][0]["known"]["state"], "ACTIVE", "{kind} {named}");
            }
        }
    }
}

#[test]
fn an_access_token_outlived_the_refresh_token_of_its_family() {
    let server = Server::start();
    let responder = server.key("", "desk", &["responder"]);
    let token = "opaque-refresh-token-of-a-family-and-long-enough";
    let mut refresh = issued("i0", "x", &[("family_id", "urn:fam:1"), ("client_id", "web")]);
    refresh["token_id"] = opaque(&server, token).into();
    refresh["token_kind"] = "REFRESH".into();
    let kin = issued("i1", "kin", &[("family_id", "urn:fam:1")]);
    let in_full = issued("i2", "full", &[("family_id", "eu:idp:urn:fam:1")]);
    let mut child = issued("i3", "child", &[]);
    child["links"] = json!([{ "relation": "MINTED_BY", "token_id": "eu:idp:jti:kin" }]);
    let other = issued("i4", "other", &[("family_id", "urn:other:1")]);
    let mut elsewhere = issued("i5", "x", &[("family_id", "urn:fam:1")]);
    elsewhere["token_id"] = "us:idp:jti:elsewhere".into();
    server.record(&server.admin, &[refresh, kin, in_full, child, other, elsewhere]);
    let answer = form(&server, "/oauth2/revoke", &responder, token).json();
    assert_eq!(answer["revoked"], 4, "{answer}");
    for (id, expected) in
        [("kin", "REVOKED"), ("full", "REVOKED"), ("child", "REVOKED"), ("other", "ACTIVE")]
    {
        assert_eq!(state(&server, id), expected, "{id}");
    }
    let far = server.get("/v1/tokens/us:idp:jti:elsewhere", &server.admin).json();
    assert_eq!(far["known"]["state"], "ACTIVE", "another region's family of the same name");
}
