//! A thousand secrets of each format, made up: all are found, wherever they stand.
//!
//! The forms are those of the issuers' own pages, not those of the table: `{u20}` is twenty
//! characters of base64url, `a` letters and digits, `l` small ones, `U` capitals and digits, `A`
//! letters, `h` and `H` hex digits, `d` digits, `b` base64, `2` base32 in capitals, `p` a bar.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::statement::{
    Act, Activation, Actor, Adapter, Detail, EventRef, Link, Mfa, PolicyChange, PolicyRef, Seen,
    Selector, Statement, Target,
};
use ledgerline_proof::vocabulary::{
    ActorKind, EventType, PolicyRole, Relation, Strength, TargetKind,
};

use super::sample_forms::FORMS;
use crate::scan::{holds_secret, is_token_id};
use crate::{SECRET_REFUSED, check_attachment, check_record, check_statement, may_be_kept};

/// Steps of SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("small")
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| u8::try_from(self.next() >> 56).expect("a byte")).collect()
    }

    fn chars(&mut self, alphabet: &str, count: usize) -> String {
        let alphabet = alphabet.as_bytes();
        (0..count).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    /// Fills a form in; a bar only cuts a word in two.
    pub(crate) fn form(&mut self, form: &str) -> String {
        let form = form.replace('|', "");
        let mut out = String::new();
        let mut parts = form.split('{');
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let (hole, plain) = part.split_once('}').expect("a closed brace");
            let count = hole[1..].parse().expect("a count");
            let (small, capital, digits) =
                ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789");
            let alphabet = match &hole[..1] {
                "u" => [small, capital, digits, "-_"].concat(),
                "b" => [small, capital, digits, "+/"].concat(),
                "a" => [small, capital, digits].concat(),
                "l" => [small, digits].concat(),
                "U" => [capital, digits].concat(),
                "A" => [small, capital].concat(),
                "h" => "0123456789abcdef".to_owned(),
                "H" => "0123456789ABCDEF".to_owned(),
                "d" => digits.to_owned(),
                "p" => "|".to_owned(),
                "2" => [capital, "234567"].concat(),
                "z" => "qpzry9x8gf2tvdw0s3jn54khce6mua7l".to_ascii_uppercase(),
                other => panic!("no alphabet {other}"),
            };
            out.push_str(&self.chars(&alphabet, count));
            out.push_str(plain);
        }
        out
    }
}

/// A form with its mark put together, filled in.
fn sample(random: &mut Random, form: &str) -> String {
    // Braces of JSON are no holes.
    let json = form.starts_with("{\"");
    if json {
        let inner = &form[1..form.len() - 1];
        return format!("{{{}}}", random.form(inner));
    }
    random.form(form)
}

fn jwt(random: &mut Random, header: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(header);
    let claims = format!("{{\"sub\":\"{}\",\"exp\":1}}", random.form("{a8}"));
    let claims = URL_SAFE_NO_PAD.encode(claims);
    format!("{header}.{claims}.{}", random.form("{u43}"))
}

fn found(text: &str, what: &str) {
    assert!(holds_secret(text.as_bytes()), "{what}: {text}");
}

/// A text in which a secret may stand, and ways to write it.
fn written(secret: &str, way: usize) -> String {
    let percent = |all: bool| -> String {
        let one = |byte: u8| match byte.is_ascii_alphanumeric() && !all {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        };
        secret.bytes().map(one).collect()
    };
    match way {
        0 => secret.to_owned(),
        1 => format!("was:{secret}"),
        2 => format!("called with {secret}."),
        3 => format!("(\"{secret}\")"),
        4 => format!("//example.com/cb?x=1&token={secret}&y=2"),
        5 => format!("/cb?t={}", percent(false)),
        6 => format!("/cb?t={}", percent(true)),
        7 => format!("/cb?t={}", percent(true).replace('%', "%25")),
        8 => format!("key,{secret};"),
        _ => format!("eu:idp:jti:{secret}"),
    }
}

#[test]
fn a_thousand_of_each_format_are_found() {
    let mut random = Random(8);
    for form in FORMS {
        for n in 0..1000 {
            let secret = sample(&mut random, form);
            found(&secret, form);
            if n % 10 != 0 {
                continue;
            }
            (0..10).for_each(|way| found(&written(&secret, way), form));
        }
    }
}

#[test]
fn a_jwt_is_found_however_it_is_written() {
    let mut random = Random(9);
    let headers = [
        r#"{"alg":"ES256"}"#,
        r#"{"typ":"JWT","alg":"RS256"}"#,
        r#"{ "alg" : "none" }"#,
        "{\n  \"alg\": \"HS256\"\n}",
        "{\r\n\"kid\":\"a\",\"alg\":\"EdDSA\"}",
        "{\t\"alg\":\"PS256\"}",
        r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#,
        r#"{"x":1,"alg":"ES384"}"#,
        " {\"alg\":\"ES256\"}",
        "\n{\"alg\":\"ES256\"}",
        "\r\n{ \"alg\":\"ES256\"}",
    ];
    for _ in 0..1000 {
        for header in headers {
            let token = jwt(&mut random, header);
            let (head, rest) = token.split_once('.').expect("dots");
            let (claims, signature) = rest.split_once('.').expect("dots");
            found(&token, header);
            for way in 1..10 {
                found(&written(&token, way), header);
            }
            found(&format!("jwt_{token}"), header);
            found(&format!("token-{token}"), header);
            found(&token.replace('.', "%2E"), header);
            found(&token.replace('.', "\\u002e"), header);
            found(&STANDARD.encode(&token), header);
            found(&STANDARD.encode(STANDARD.encode(&token)), header);
            found(&token.bytes().map(|byte| format!("{byte:02x}")).collect::<String>(), header);
            found(&format!("{}\u{200b}{}", &token[..2], &token[2..]), header);
            found(&format!("was {}\u{feff}{}", &token[..5], &token[5..]), header);
            found(&URL_SAFE_NO_PAD.encode(&token), header);
            let json = format!(
                r#"{{"payload":"{claims}","protected":"{head}","signature":"{signature}"}}"#
            );
            found(&json, header);
            // Cut in two: the part with the header is found.
            found(head, header);
            found(&format!("{head}.{}", &claims[..claims.len() / 2]), header);
        }
    }
}

#[test]
fn private_keys_and_passwords_are_found() {
    let mut random = Random(10);
    for _ in 0..1000 {
        for kind in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA "] {
            let pem = format!("-----BEGIN {kind}PRIVATE {}-----{}", "KEY", random.form("{b64}"));
            found(&pem, kind);
            found(&STANDARD.encode(&pem), kind);
            found(&pem.to_ascii_lowercase(), kind);
        }
        let pgp = format!("-----BEGIN PGP PRIVATE {} BLOCK-----", "KEY");
        found(&pgp, "PGP");
        let pair = format!("{}:{}", random.form("{l8}"), random.form("{a10}"));
        found(&format!("Authorization: Basic {}", STANDARD.encode(pair)), "Basic");
        let jwk = format!(r#"{{"kty":"EC","crv":"P-256","d":"{}"}}"#, random.form("{u43}"));
        found(&jwk, "JWK");
        let number = random.form("1{d17}");
        let discord = format!("{}.{}", URL_SAFE_NO_PAD.encode(number), random.form("{u6}.{u38}"));
        found(&discord, "Discord");
        found(&format!("was:{discord}"), "Discord");
    }
}

#[test]
fn a_mark_is_found_in_any_case() {
    let mut random = Random(11);
    for form in
        ["gl|pat-{u20}", "xo|xb-{d12}-{d13}-{a24}", "sk_|live_{a24}", "AGE-SE|CRET-KEY-1{z58}"]
    {
        let secret = sample(&mut random, form);
        found(&secret.to_ascii_uppercase(), form);
        found(&secret.to_ascii_lowercase(), form);
    }
}

/// Sets one text of a statement.
type Set = for<'s> fn(&mut Statement<'s>, &'s str);

/// One for each text that a statement can hold. `fields` names them all, or does not compile.
const PLACES: &[(&str, Set)] = &[
    ("native_id", |one, text| one.native_id = Some(text)),
    ("act", |one, text| one.act = Some(Act { id: text, part: 0, parts: 1 })),
    ("tenant", |one, text| one.tenant = text),
    ("seen", |one, text| {
        let root = ledgerline_proof::hash::Hash::ZERO;
        one.seen = Some(Seen { origin: text, size: 1, root });
    }),
    ("target", |one, text| one.target = Target { kind: TargetKind::Session, id: text }),
    ("reason", |one, text| one.reason = Some(text)),
    ("issuer", |one, text| one.issuer = Some(text)),
    ("issuer_kid", |one, text| one.issuer_kid = Some(text)),
    ("client_id", |one, text| one.client_id = Some(text)),
    ("grant_id", |one, text| one.grant_id = Some(text)),
    ("session_id", |one, text| one.session_id = Some(text)),
    ("family_id", |one, text| one.family_id = Some(text)),
    ("scopes", |one, text| one.scopes = vec!["read", text]),
    ("audience", |one, text| one.audience = vec![text]),
    ("requires", |one, text| {
        one.activation = Some(Activation { requires: vec![text], deadline: None });
    }),
    ("methods", |one, text| {
        one.mfa = Some(Mfa { methods: vec![text], acr: None, completed_at: None });
    }),
    ("acr", |one, text| {
        one.mfa = Some(Mfa { methods: Vec::new(), acr: Some(text), completed_at: None });
    }),
    ("service", |one, text| one.service = Some(text)),
    ("endpoint", |one, text| one.endpoint = Some(text)),
    ("resource", |one, text| one.resource = Some(text)),
    ("action", |one, text| one.action = Some(text)),
    ("policy id", |one, text| one.policies = vec![policy(text, "1", None)]),
    ("policy version", |one, text| one.policies = vec![policy("p", text, None)]),
    ("policy effect", |one, text| one.policies = vec![policy("p", "1", Some(text))]),
    ("previous_version", |one, text| one.policy_change = Some(change(Some(text), None))),
    ("change_ref", |one, text| one.policy_change = Some(change(None, Some(text)))),
    ("link source", |one, text| {
        one.links = vec![link(Some(EventRef { source: text, event_id: [1; 16] }), None)];
    }),
    ("link why", |one, text| one.links = vec![link(None, Some(text))]),
    ("actor", |one, text| {
        one.actors = vec![Actor { kind: ActorKind::Client, issuer: None, id: text }];
    }),
    ("actor issuer", |one, text| {
        one.actors = vec![Actor { kind: ActorKind::Client, issuer: Some(text), id: "a" }];
    }),
    ("trace_id", |one, text| one.trace_id = Some(text)),
    ("correlation_id", |one, text| one.correlation_id = Some(text)),
    ("adapter", |one, text| one.adapter = Some(Adapter { name: text, version: "1" })),
    ("adapter version", |one, text| one.adapter = Some(Adapter { name: "a", version: text })),
    ("selector client", |one, text| {
        one.selector = Some(Selector { issued_before: None, client: Some(text), audience: None });
    }),
    ("selector audience", |one, text| {
        one.selector = Some(Selector { issued_before: None, client: None, audience: Some(text) });
    }),
    ("detail key", |one, text| one.detail = vec![Detail { key: text, value: "" }]),
    ("detail value", |one, text| one.detail = vec![Detail { key: "k", value: text }]),
];

fn policy<'s>(id: &'s str, version: &'s str, effect: Option<&'s str>) -> PolicyRef<'s> {
    PolicyRef { id, version, digest: None, role: PolicyRole::Other, effect }
}

fn change<'s>(previous_version: Option<&'s str>, change_ref: Option<&'s str>) -> PolicyChange<'s> {
    let (effective_from, effective_until, snapshot) = (None, None, None);
    PolicyChange { effective_from, effective_until, previous_version, change_ref, snapshot }
}

fn link<'s>(event: Option<EventRef<'s>>, why: Option<&'s str>) -> Link<'s> {
    let token = event.is_none().then_some("eu:idp:jti:a");
    Link { token, event, relation: Relation::CausedBy, strength: Strength::Asserted, why }
}

fn statement(target: &str) -> Statement<'_> {
    let target = Target { kind: TargetKind::Token, id: target };
    Statement::new([7; 16], "idp", target, EventType::Used, Hlc::at(1))
}

/// `also_known_as`, session ids, links and most lists were looked at by nobody.
#[test]
fn a_secret_is_refused_in_every_field_and_not_kept() {
    let mut random = Random(12);
    for form in FORMS {
        for (place, set) in PLACES {
            let secret = sample(&mut random, form);
            let mut one = statement("eu:idp:jti:4f0c");
            set(&mut one, &secret);
            let bytes = encode_object(Kind::Statement, &one);
            let code = check_statement(&one, &bytes).map_err(|error| error.code);
            assert_eq!(code, Err(SECRET_REFUSED), "{place}: {secret}");
            assert!(!may_be_kept("out_of_grant", &bytes), "{place}: {secret}");
        }
        let secret = sample(&mut random, form);
        let id = format!("eu:idp:jti:{}", secret.replace(' ', "_"));
        let one = statement(&id);
        let bytes = encode_object(Kind::Statement, &one);
        if is_token_id(&id) && !secret.contains(' ') {
            let code = check_statement(&one, &bytes).map_err(|error| error.code);
            assert_eq!(code, Err(SECRET_REFUSED), "jti: {secret}");
        }
        assert!(check_attachment("application/json", secret.as_bytes()).is_err(), "{secret}");
        assert!(check_attachment(&format!("a/b; c={secret}"), b"{}").is_err(), "{secret}");
    }
}

/// An opaque value in a token id's place was recorded in clear; refused, it went to quarantine.
#[test]
fn what_is_no_token_id_is_refused_where_one_belongs_and_not_kept() {
    let mut random = Random(13);
    let opaque = random.form("{u43}");
    let sets: [Set; 3] = [
        |one, text| one.also_known_as = vec!["eu:idp:jti:a", text],
        |one, text| one.links = vec![Link { token: Some(text), ..link(None, None) }],
        |one, text| one.target = Target { kind: TargetKind::Token, id: text },
    ];
    for set in sets {
        let mut one = statement("eu:idp:jti:4f0c");
        set(&mut one, &opaque);
        let bytes = encode_object(Kind::Statement, &one);
        assert!(one.validate().is_err() || check_statement(&one, &bytes).is_err());
        assert!(!may_be_kept("bad_field", &bytes));
    }
    let one = statement("eu:idp:jti:4f0c");
    let bytes = encode_object(Kind::Statement, &one);
    assert!(may_be_kept("out_of_grant", &bytes));
    assert!(!may_be_kept("weak_salt", &bytes) && !may_be_kept(SECRET_REFUSED, &bytes));
}

/// A name and its value stood in two fields.
#[test]
fn a_value_is_found_by_the_name_beside_it() {
    let mut random = Random(14);
    for key in ["access_token", "refresh_token", "client_secret", "id_token", "api_key"] {
        let value = random.form("{a32}");
        let mut one = statement("eu:idp:jti:4f0c");
        one.detail = vec![Detail { key, value: &value }];
        let bytes = encode_object(Kind::Statement, &one);
        assert!(check_statement(&one, &bytes).is_err(), "{key}");
    }
}

#[test]
fn personal_records_are_looked_at_whole() {
    use ledgerline_proof::personal::PersonalRecord;
    let mut random = Random(15);
    let secret = sample(&mut random, "gl|pat-{u20}");
    let text = format!("curl {secret}");
    for n in 0..7 {
        let some = |at: usize| (n == at).then_some(text.as_str());
        let value = some(5).unwrap_or("v");
        let record = PersonalRecord {
            salt: [1; 32],
            user_id: some(0),
            ip: some(1),
            user_agent: some(2),
            device: some(3),
            resource: some(4),
            attributes: vec![Detail { key: some(6).unwrap_or("k"), value }],
        };
        assert!(check_record(&encode_object(Kind::Personal, &record)).is_err(), "field {n}");
    }
}
