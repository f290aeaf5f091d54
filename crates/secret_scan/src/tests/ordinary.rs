//! What is no secret is taken: a hundred thousand of each kind of id that events are made of.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::samples::Random;
use crate::scan::{chosen_part, holds_secret};

/// How many of each kind.
const COUNT: usize = 100_000;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn uuid(random: &mut Random) -> String {
    random.form("{h8}-{h4}-4{h3}-a{h3}-{h12}")
}

/// Makes one.
type Make = fn(&mut Random) -> String;

const KINDS: &[(&str, Make)] = &[
    ("UUID", uuid),
    ("ULID", |random| {
        let digits = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let rest: String = (0..25).map(|_| char::from(digits[random.below(32)])).collect();
        format!("0{rest}")
    }),
    ("traceparent", |random| random.form("00-{h32}-{h16}-01")),
    ("trace id", |random| random.form("{h32}")),
    ("SHA-1 in hex", |random| hex(&random.bytes(20))),
    ("SHA-256 in hex", |random| hex(&random.bytes(32))),
    ("SHA-512 in hex", |random| hex(&random.bytes(64))),
    ("sha256: digest", |random| format!("sha256:{}", hex(&random.bytes(32)))),
    ("SHA-256 in base64", |random| STANDARD.encode(random.bytes(32))),
    ("SHA-512 in base64", |random| STANDARD.encode(random.bytes(64))),
    ("SHA-256 in base64url", |random| URL_SAFE_NO_PAD.encode(random.bytes(32))),
    ("128 bits in base64url", |random| URL_SAFE_NO_PAD.encode(random.bytes(16))),
    ("URN", |random| format!("urn:uuid:{}", uuid(random))),
    ("OAuth URN", |random| format!("urn:ietf:params:oauth:grant-type:{}", random.form("{l12}"))),
    ("SPIFFE id", |random| random.form("spiffe://prod.example.com/ns/{l8}/sa/{l12}")),
    ("ARN of a role", |random| random.form("arn:aws:sts::{d12}:assumed-role/{a12}/{a16}")),
    ("ARN of a key", |random| {
        format!("{}{}", random.form("arn:aws:kms:eu-west-1:{d12}:key/"), uuid(random))
    }),
    ("session id", |random| random.form("{a32}")),
    ("session id in hex", |random| random.form("{h40}")),
    ("short id", |random| random.form("{l16}")),
    ("jti id", |random| format!("eu-west-1:idp:jti:{}", uuid(random))),
    ("jti id of base64url", |random| random.form("eu-west-1:idp:jti:{u21}")),
    ("acc id", |random| random.form("eu:vault:acc:hmac-sha256:{h64}")),
    ("acc id of an access key", |random| random.form("eu:aws:acc:AS|IA{U16}")),
    ("revocation of one", |random| random.form("revoke/{d3}/eu:aws:acc:AK|IA{216}")),
    ("t1 id", |random| format!("eu:idp:t1:{}", URL_SAFE_NO_PAD.encode(random.bytes(32)))),
    ("jh id", |random| format!("eu:idp:jh:{}", URL_SAFE_NO_PAD.encode(random.bytes(32)))),
    ("h id", |random| format!("eu:idp:h12:{}", URL_SAFE_NO_PAD.encode(random.bytes(32)))),
    ("native id", |random| {
        let id = URL_SAFE_NO_PAD.encode(random.bytes(32));
        format!("blast-radius/{}/eu:idp:t1:{id}", random.below(1_000_000))
    }),
    ("handle", |random| hex(&random.bytes(16))),
    ("URL", |random| {
        random.form("ht|tps://api.example.com:8443/v1/{l8}/{a12}?page={d3}&q={l6}%20{l4}")
    }),
    ("endpoint", |random| random.form("/v{d1}/accounts/:id/{l8}")),
    ("scope", |random| random.form("ht|tps://graph.example.com/{A8}.Read.All")),
    ("client id", |random| random.form("{d12}-{l32}.apps.googleusercontent.com")),
    ("image", |random| random.form("registry.example.com/{l6}/{l8}@sha256:{h64}")),
    ("version", |random| random.form("v1.{d2}.{d1}-rc.{d1}+{h7}")),
    ("user agent", |random| {
        random.form(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.{d2} (KHTML, like Gecko) \
             Chrome/{d3}.0.{d4}.{d2} Safari/537.{d2}",
        )
    }),
    ("curl", |random| random.form("curl/8.{d1}.{d1} (build {h8})")),
    ("key id", |random| random.form("{l4}-{d4}-{d2}-{u27}")),
    ("token named in a reason", |random| random.form("leaked token: {h32}")),
    ("token id in a reason", |random| {
        format!("token=eu:idp:t1:{}", URL_SAFE_NO_PAD.encode(random.bytes(32)))
    }),
    ("UUID in a reason", |random| format!("revoked token={}", uuid(random))),
    ("code of an error", |random| random.form("code=invalid_{l8}_{d4} status_code=4{d2}")),
    ("name of a secret", |random| random.form("secret=prod/db/{l12} secret: {l8}-{l8}")),
    ("id of a session", |random| random.form("sess-{h40}")),
    ("id of something live", |random| random.form("live_{l16}")),
    ("id of a key", |random| random.form("\"private_key_id\": \"{h40}\"")),
    ("public key of a shop", |random| random.form("pk_live_{a24}")),
    ("public key of a counter", |random| random.form("ph|c_{a43}")),
    ("id of a request", |random| random.form("req_{a24}")),
    ("certificate", |random| random.form("MIIDdzCCAl+gAwIBAgIE{b400}")),
    ("base64 of random bytes", |random| STANDARD.encode(random.bytes(150))),
    ("base64url of random bytes", |random| URL_SAFE_NO_PAD.encode(random.bytes(150))),
];

#[test]
fn ordinary_ids_are_no_secrets() {
    let mut random = Random(16);
    for (kind, make) in KINDS {
        let wrong: Vec<String> = (0..COUNT)
            .map(|_| make(&mut random))
            .filter(|id| holds_secret(id.as_bytes()))
            .collect();
        assert!(wrong.is_empty(), "{kind}: {wrong:?}");
    }
}

/// Four of a million tokens had ids that were refused as secrets.
#[test]
fn a_digest_that_reads_like_a_mark_is_none() {
    let digests = [
        "Gghp_WnW0Xy3mJk2bq9TtQe7cVhR5sLzPaD8fUo1Ni4",
        "ghp_0WnW0Xy3mJk2bq9TtQe7cVhR5sLzPaD8fUo1Ni4",
    ];
    for digest in digests {
        assert_eq!(digest.len(), 43);
        for form in ["t1", "jh", "h3"] {
            let id = format!("eu-west-1:idp:{form}:{digest}");
            assert_eq!(chosen_part(&id), &id[..id.len() - 43]);
            assert!(!holds_secret(format!("revoke/12/{id}").as_bytes()), "{id}");
        }
    }
    assert!(holds_secret(b"eu-west-1:idp:t1:ghp_0123456789abcdef"));
}

#[test]
fn words_that_begin_like_secrets_are_none() {
    for words in [
        "read:finance",
        "eyJsaWJyYXJ5IjoianMifQ.not-a-token",
        "client-0ghp_0123456789abcdef",
        "bearer authentication failed",
        "bearer_not_presented",
        "password=wrong",
        "passwordless",
        "the access token was revoked",
        "password: changed_on_2026-11-29",
        "authorization: granted_by_policy_2026",
        "access_token: revoked_by_admin_2026-11-29",
        "client_secret: rotated-2026-11-29-by-desk",
        "access_token=<redacted>",
        "refresh_token",
        "basic",
        "urn:ietf:params:oauth:token-type:access_token",
        "ht|tps://user:***@example.com/",
        "ht|tps://user@example.com/",
        "access_token={token}",
        "id_token_hint",
        "api_key_rotated",
        "sk-learn",
        "key-rotation-2026",
        "SG.eu",
        "secret_basic",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "hooks.slack.com",
        "/v1.public.keys",
        "dp.example",
        "AKIAEXAMPLE",
        "1//2",
        "Basic QWxhZGRpbg",
        "-----BEGIN CERTIFICATE-----",
        "s.example.com",
        "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer",
        "token_type=Bearer",
        "pat.smith",
        "token=revoked-by-admin-2026-11-29",
        "code=InvalidRequestParameterCombination",
        "code=AADSTS50058",
        "subject_token_type=urn:ietf:params:oauth:token-type:access_token",
        "assertion=urn:example:assertion-2026",
        "re_opened_2026",
        "sess-2026-11-29",
        "live_traffic",
        "negotiate failed",
        "cookie: session=none; theme=dark",
        "session=eu:idp:session:0123456789abcdef0123",
        "napi_create_string_utf8_of_some_length_that_is_longer_than_sixty_characters",
        "ST-1234-ticket",
        "privatekey=none",
        "secret: rotated-2026-11-29-by-the-desk-on-call",
    ] {
        let text = words.replace('|', "");
        assert!(!holds_secret(text.as_bytes()), "{text}");
    }
}
