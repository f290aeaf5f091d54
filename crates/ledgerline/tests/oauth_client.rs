//! A client library of others drives introspection and revocation: the crate `oauth2`, with its own
//! credentials, forms and reading of answers.

mod running;

use ledgerline_proof::token_id::from_presented;
use oauth2::basic::BasicClient;
use oauth2::{
    AccessToken, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, IntrospectionUrl,
    RefreshToken, RevocationUrl, StandardRevocableToken, TokenIntrospectionResponse as _,
};
use running::Server;
use serde_json::json;

/// Sends the library's requests to the server. The library revokes over https only; the server
/// under test has none.
fn send(request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
    let (mut parts, body) = request.into_parts();
    let uri = parts.uri.to_string().replacen("https://", "http://", 1);
    parts.uri = uri.parse().expect("a URI");
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    let agent = config.build().new_agent();
    let response = agent.run(ureq::http::Request::from_parts(parts, body))?;
    let (parts, body) = response.into_parts();
    let body = body.into_with_config().read_to_vec()?;
    Ok(ureq::http::Response::from_parts(parts, body))
}

#[test]
fn the_oauth2_crate_introspects_and_revokes() {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let token = |name: &str| format!("{name}-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6+/=&%");
    let issued = |name: &str, kind: &str, client: &str| {
        let id = from_presented("eu", "idp", token(name).as_bytes()).expect("long enough");
        json!({ "native_id": name, "type": "ISSUED", "token_id": id, "issuer": "idp",
            "occurred_at": "2026-01-02T03:04:05Z", "client_id": client, "token_kind": kind,
            "grant_id": format!("g-{client}"), "scopes": ["read", "write"],
            "expires_at": "2096-01-01T00:00:00Z" })
    };
    let events = [
        issued("access", "ACCESS", "web"),
        issued("refresh", "REFRESH", "web"),
        issued("other", "ACCESS", "desktop"),
    ];
    server.record(&idp, &events);
    {
        let request = json!({ "source": "web", "roles": ["client", "resource_server"] });
        let key = server.post("/v1/keys", &server.admin, &request).json();
        let part = |name: &str| key[name].as_str().expect(name).to_owned();
        let url = |path: &str| format!("{}{path}", server.url.replacen("http:", "https:", 1));
        let client = BasicClient::new(ClientId::new(part("key_id")))
            .set_client_secret(ClientSecret::new(part("secret")))
            .set_auth_type(AuthType::BasicAuth)
            .set_introspection_url(IntrospectionUrl::new(url("/oauth2/introspect")).expect("a URL"))
            .set_revocation_url(RevocationUrl::new(url("/oauth2/revoke")).expect("a URL"));
        let ask = |name: &str| {
            let presented = AccessToken::new(token(name));
            let request = client.introspect(&presented).set_token_type_hint("refresh_token");
            request.request(&send).expect("an answer")
        };
        let found = ask("access");
        assert!(found.active());
        let scopes: Vec<_> =
            found.scopes().into_iter().flatten().map(|scope| scope.as_str()).collect();
        assert_eq!(scopes, ["read", "write"]);
        assert_eq!(found.client_id().map(|id| id.as_str()), Some("web"));
        assert_eq!(found.exp().map(|time| time.timestamp()), Some(3_976_214_400));
        assert!(!ask("unknown").active());
        let revoke = |token: StandardRevocableToken| {
            client.revoke_token(token).expect("https").request(&send)
        };
        let other = revoke(AccessToken::new(token("other")).into());
        assert!(format!("{other:?}").contains("invalid_grant"), "{other:?}");
        revoke(AccessToken::new(token("unknown")).into()).expect("done");
        revoke(RefreshToken::new(token("refresh")).into()).expect("done");
        assert!(!ask("access").active(), "it went with the refresh token of its grant");
        assert!(ask("other").active());
        let stranger = client.clone().set_client_secret(ClientSecret::new("wrong".into()));
        let presented = AccessToken::new(token("other"));
        let refused = stranger.introspect(&presented).request(&send);
        assert!(format!("{refused:?}").contains("invalid_client"), "{refused:?}");
    }
}
