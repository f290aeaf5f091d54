//! Producers without an API key: a client certificate or an identity token speaks for a credential,
//! whose name stands in the entries. Whatever is altered of either is refused.

mod running;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use running::{Server, event, run, stderr, stdout};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

const SPIFFE: &str = "spiffe://example.org/gw";

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
}

/// A certificate with these names, and its key, as PEM.
fn certificate(by: &Ca, dns: &[&str], uri: Option<&str>, ends: i32) -> (String, String) {
    let dns: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(dns).expect("names");
    params.distinguished_name.push(rcgen::DnType::CommonName, "gw");
    params.not_after = date_time_ymd(ends, 1, 1);
    if let Some(uri) = uri {
        params.subject_alt_names.push(SanType::URI(uri.try_into().expect("ASCII")));
    }
    let key = KeyPair::generate().expect("a key");
    (params.signed_by(&key, by).expect("signed").pem(), key.serialize_pem())
}

fn agent(root: &str, client: Option<&(String, String)>) -> Agent {
    let cert = |pem: &str| Certificate::from_pem(pem.as_bytes()).expect("PEM").to_owned();
    let client = client.map(|(chain, key)| {
        let key = PrivateKey::from_pem(key.as_bytes()).expect("PEM");
        ClientCert::new_with_certs(&[cert(chain)], key)
    });
    let roots = RootCerts::new_with_certs(&[cert(root)]);
    let tls = TlsConfig::builder().root_certs(roots).client_cert(client).build();
    let agent = Agent::config_builder().http_status_as_error(false).proxy(None).tls_config(tls);
    agent.build().new_agent()
}

/// The status of an answer, and it; `None` when the connection is not made.
fn post(agent: &Agent, url: &str, bearer: Option<&str>, body: &Value) -> Option<(u16, Value)> {
    let mut request = agent.post(url).header("Content-Type", "application/json");
    if let Some(bearer) = bearer {
        request = request.header("Authorization", format!("Bearer {bearer}"));
    }
    let mut answer = request.send(body.to_string().as_bytes()).ok()?;
    let text = answer.body_mut().read_to_string().expect("an answer");
    Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_default()))
}

/// A server with this file as its configuration, besides what it says of TLS.
fn server(flags: &[&str], file: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledgerline.toml");
    std::fs::write(&path, file).expect("a file");
    let config = ["--config", path.to_str().expect("UTF-8")];
    (Server::start_with(&[&config, flags].concat()), folder)
}

fn key(agent: &Agent, server: &Server, url: &str, key_id: &str, source: &str, roles: &[&str]) {
    let body = json!({ "key_id": key_id, "source": source, "roles": roles });
    let (status, said) =
        post(agent, &format!("{url}/v1/keys"), Some(&server.admin), &body).expect("answered");
    assert_eq!(status, 201, "{said}");
}

#[test]
fn a_certificate_speaks_for_a_credential_and_no_other_does() {
    let (own, other) = (ca("own"), ca("other"));
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (chain, private) = certificate(&own, &["localhost"], None, 2090);
    let root = own.pem();
    let (chain, private) = (put("server.pem", &chain), put("server.key", &private));
    let ca_file = put("ca.pem", &root);
    let file = format!(
        "[workloads.gw-1]\ncertificate = [\"{SPIFFE}\"]\n\
         [workloads.gw-2]\ncertificate = [\"dns:gw2.example.org\"]\n\
         [workloads.gone]\ncertificate = [\"spiffe://example.org/gone\"]\n"
    );
    let flags = ["--tls-cert", &*chain, "--tls-key", &*private, "--tls-client-ca", &*ca_file];
    let (server, _config) = server(&flags, &file);
    let url = server.url.replace("127.0.0.1", "localhost");
    let plain = agent(&root, None);
    for (key_id, source) in [("gw-1", "gw"), ("gw-2", "gw2"), ("gone", "gone")] {
        key(&plain, &server, &url, key_id, source, &["producer", "reader"]);
    }
    let events = format!("{url}/v1/events");
    let mut count = 0;
    let mut status = |client: Option<&(String, String)>, bearer: Option<&str>| {
        count += 1;
        let body = event(&format!("n{count}"), "ISSUED", &format!("t{count}"));
        post(&agent(&root, client), &events, bearer, &body).map(|answer| answer.0)
    };
    let good = certificate(&own, &[], Some(SPIFFE), 2090);
    let by_dns = certificate(&own, &["gw2.example.org"], None, 2090);
    assert_eq!(status(Some(&good), None), Some(200));
    assert_eq!(status(Some(&by_dns), None), Some(200));
    // Without a certificate, and with a sound one of nobody's.
    assert_eq!(status(None, None), Some(401));
    for uri in ["spiffe://example.org/gw2", "spiffe://example.org/gw/", "spiffe://Example.org/gw"] {
        let altered = certificate(&own, &[], Some(uri), 2090);
        assert_eq!(status(Some(&altered), None), Some(401), "{uri}");
    }
    let as_dns = certificate(&own, &["example.org"], None, 2090);
    assert_eq!(status(Some(&as_dns), None), Some(401));
    // Of another CA, and out of its time: no connection.
    assert_eq!(status(Some(&certificate(&other, &[], Some(SPIFFE), 2090)), None), None);
    assert_eq!(status(Some(&certificate(&own, &[], Some(SPIFFE), 2020)), None), None);
    // What is said in the header counts, not the certificate beside it.
    assert_eq!(status(Some(&good), Some("llk_gw-1_x")), Some(401));
    assert_eq!(status(Some(&good), Some("llw_gw-1")), Some(401));
    // A credential that was ended ends its workload too.
    let gone = certificate(&own, &[], Some("spiffe://example.org/gone"), 2090);
    assert_eq!(status(Some(&gone), None), Some(200));
    let ended = plain
        .delete(format!("{url}/v1/keys/gone"))
        .header("Authorization", format!("Bearer {}", server.admin))
        .call();
    assert_eq!(ended.expect("an answer").status().as_u16(), 200);
    assert_eq!(status(Some(&gone), None), Some(401));
    // The entry names the credential.
    let read = agent(&root, Some(&good))
        .get(format!("{url}/v1/tokens/eu:idp:jti:t1/events"))
        .call()
        .expect("an answer")
        .body_mut()
        .read_to_string()
        .expect("text");
    let read: Value = serde_json::from_str(&read).expect("JSON");
    assert_eq!(read["events"][0]["credential"], "gw-1", "{read}");
    assert_eq!(read["events"][0]["statement"]["source"], "gw", "{read}");
}

struct Signer(Ed25519KeyPair);

impl Signer {
    fn new() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self(Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key"))
    }

    fn jwks(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": x }] })
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(input.as_bytes()).as_ref());
        format!("{input}.{signature}")
    }
}

#[test]
fn an_identity_token_speaks_for_a_credential_and_no_altered_one_does() {
    const ISS: &str = "https://kubernetes.default.svc";
    const SUB: &str = "system:serviceaccount:shop:gw";
    let (signer, stranger) = (Signer::new(), Signer::new());
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, signer.jwks().to_string()).expect("a file");
    let issuer = |alias: &str, iss: &str| {
        format!(
            "[issuers.{alias}]\niss = \"{iss}\"\nregion = \"eu\"\njti_rule = \"identity\"\n\
             jwks_file = {keys:?}\n"
        )
    };
    let workload = format!(
        "[workloads.gw-1]\nissuer = \"k8s\"\nsubject = \"{SUB}\"\naudience = \"ledgerline\"\n"
    );
    let file = issuer("k8s", ISS) + &issuer("other", "https://other.test") + &workload;
    let (server, _config) = server(&[], &file);
    let body = json!({ "key_id": "gw-1", "source": "gw", "roles": ["producer", "reader"] });
    assert_eq!(server.post("/v1/keys", &server.admin, &body).status, 201);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let header = json!({ "alg": "EdDSA", "kid": "k" });
    // As a Kubernetes API server issues it.
    let claims = json!({ "iss": ISS, "sub": SUB, "aud": ["ledgerline"], "iat": now - 5,
        "nbf": now - 5, "exp": now + 600, "jti": "5d5c…",
        "kubernetes.io": { "namespace": "shop", "serviceaccount": { "name": "gw" } } });
    let with = |name: &str, value: Value| {
        let mut altered = claims.clone();
        altered[name] = value;
        altered
    };
    let mut count = 0;
    let mut status = |token: &str| {
        count += 1;
        let body = event(&format!("n{count}"), "ISSUED", &format!("t{count}"));
        server.post("/v1/events", token, &body).status
    };
    let good = signer.token(&header, &claims);
    assert_eq!(status(&good), 200);
    assert_eq!(status(&signer.token(&header, &with("aud", json!("ledgerline")))), 200);
    let cut = &good[..good.len() - 4];
    let unsigned = json!({ "alg": "none", "kid": "k" });
    let mut wrong = vec![
        ("another key", stranger.token(&header, &claims)),
        ("alg none", signer.token(&unsigned, &claims)),
        ("alg none without a signature", {
            let token = signer.token(&unsigned, &claims);
            token[..=token.rfind('.').expect("three parts")].to_owned()
        }),
        ("a signature cut off", cut.to_owned()),
        (
            "HMAC under the public key",
            signer.token(&json!({ "alg": "HS256", "kid": "k" }), &claims),
        ),
    ];
    for (what, altered) in [
        ("another audience", with("aud", json!(["vault"]))),
        ("no audience", with("aud", Value::Null)),
        ("another subject", with("sub", json!("system:serviceaccount:shop:gw2"))),
        ("no subject", with("sub", Value::Null)),
        ("another issuer of the register", with("iss", json!("https://other.test"))),
        ("an unknown issuer", with("iss", json!("https://nobody.test"))),
        ("an expired one", with("exp", json!(now - 1))),
        ("one without an end", with("exp", Value::Null)),
        ("one of tomorrow", with("nbf", json!(now + 86_400))),
        ("one issued tomorrow", with("iat", json!(now + 86_400))),
        ("a logout token", with("events", json!({ "e": {} }))),
    ] {
        wrong.push((what, signer.token(&header, &altered)));
    }
    for typ in ["at+jwt", "secevent+jwt", "application/logout+jwt"] {
        let header = json!({ "alg": "EdDSA", "kid": "k", "typ": typ });
        wrong.push((typ, signer.token(&header, &claims)));
    }
    for (what, token) in &wrong {
        assert_eq!(status(token), 401, "{what}");
    }
    // The entry names the credential; what was refused is counted, and no token is anywhere.
    let read = server.get("/v1/tokens/eu:idp:jti:t1/events", &good).json();
    assert_eq!(read["events"][0]["credential"], "gw-1", "{read}");
    let status = server.get("/v1/status", &server.admin).text();
    assert!(!status.contains(good.split('.').nth(2).expect("a signature")), "{status}");
}

#[test]
fn a_table_of_workloads_that_contradicts_itself_is_refused() {
    let issuer = "[issuers.k8s]\niss = \"i\"\nregion = \"eu\"\njti_rule = \"identity\"\n";
    let folder = tempfile::tempdir().expect("a folder");
    let check = |text: &str, part: &str| {
        let file = folder.path().join("wrong.toml");
        std::fs::write(&file, text).expect("a file");
        let data = folder.path().join("data");
        let (file, data) = (file.to_str().expect("UTF-8"), data.to_str().expect("UTF-8"));
        let output = run(&["serve", "--config", file, "--data", data], &[], b"");
        assert_eq!(output.status.code(), Some(64), "{text}: {}", stdout(&output));
        assert!(stderr(&output).contains(part), "{text}: {}", stderr(&output));
    };
    check("[workloads.a]\n", "give certificate, or issuer, subject and audience");
    check("[workloads.a]\nsubject = \"s\"\n", "issuer, subject and audience together");
    check("[workloads.a]\nspiffe = \"s\"\n", "unknown field `spiffe`");
    check("[workloads.a]\ncertificate = [\"gw\"]\n", "a list of URIs and of dns:<name>");
    check("[workloads.a]\ncertificate = [\"dns:*.x\"]\n", "a list of URIs and of dns:<name>");
    let twice =
        "[workloads.a]\ncertificate = [\"s://x\"]\n[workloads.b]\ncertificate = [\"s://x\"]\n";
    check(twice, "another workload has a name of its certificate");
    check("[workloads.a]\ncertificate = [\"s://x\"]\n", "need tls_client_ca");
    let no_keys = "[workloads.a]\nissuer = \"k8s\"\nsubject = \"s\"\naudience = \"a\"\n";
    check(&format!("{issuer}{no_keys}"), "an alias of [issuers] that has keys");
}
