//! A thousand secrets of each format, made up: all are found, wherever they stand.
//!
//! The forms are those of the issuers' own pages, not those of the table: `{u20}` is twenty
//! characters of base64url, `a` letters and digits, `l` small ones, `U` capitals and digits, `A`
//! letters, `h` and `H` hex digits, `d` digits, `b` base64, `2` base32 in capitals.

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

use super::door::SECRET_REFUSED;
use super::{check_attachment, check_record, check_statement, holds_secret, may_be_kept};

/// Steps of SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("small")
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| u8::try_from(self.next() >> 56).expect("a byte")).collect()
    }

    fn chars(&mut self, alphabet: &str, count: usize) -> String {
        let alphabet = alphabet.as_bytes();
        (0..count).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    /// Fills a form in; a bar only cuts a word in two.
    pub(super) fn form(&mut self, form: &str) -> String {
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

/// Marks are cut in two, so that this file trips no scanner.
const FORMS: &[&str] = &[
    "llk_{l13}_{u43}",
    "llk_my.key-{d1}_{u43}",
    "hv|s.{u39}",
    "ht|tps://{a40}@git.example.com/x.git",
    "X-Vault-Token: {a26}",
    "x-api-key: {h32}",
    "/reset?token={a40}",
    "/cb?state=x&code={u43}",
    "SAMLResponse={b300}",
    "xo|xb-{d12}-{d13}-{a24}",
    "xo|xp-{d12}-{d12}-{d13}-{h32}",
    "xo|xa-2-{d12}-{d12}-{h32}",
    "xo|xs-{d11}-{d11}-{d11}-{h10}",
    "xo|xr-{d12}-{d12}-{a24}",
    "xo|xe-1-{b146}",
    "xo|xe.xoxp-1-{a163}",
    "xo|xc-{d12}-{d13}-{d13}-{h64}",
    "xo|xo-{d12}-{a30}",
    "xo|xd-{a20}%2B{a30}%2F{a30}",
    "xa|pp-1-A{U10}-{d13}-{h64}",
    "ht|tps://hooks.sl|ack.com/services/T{U8}/B{U10}/{a24}",
    "gl|pat-{u20}",
    "gl|pat-{u27}.01.{h9}",
    "gl|dt-{u20}",
    "gl|rt-{u20}",
    "gl|rt-t1_{u27}.01.{h9}",
    "gl|rtr-{u20}",
    "gl|ptt-{h40}",
    "gl|ft-{u20}",
    "gl|imt-{u25}",
    "gl|agent-{u50}",
    "gl|soat-{u20}",
    "gl|cbt-{a5}_{u20}",
    "gl|ffct-{u20}",
    "gl|oas-{h64}",
    "GR13|48941{u20}",
    "ory|_at_{u43}.{u43}",
    "ory|_rt_{u43}.{u43}",
    "ory|_ac_{u43}.{u43}",
    "ory|_st_{a32}",
    "hv|s.{u90}",
    "hv|s.CAESI{u90}",
    "hv|b.{u138}",
    "hv|r.{u90}",
    "s.{a24}",
    "b.AAAAA{u152}",
    "{a14}.atl|asv1.{u67}",
    "gh|p_{a36}",
    "gh|o_{a36}",
    "gh|u_{a36}",
    "gh|s_{a36}",
    "gh|r_{a76}",
    "github|_pat_{a22}_{a59}",
    "np|m_{a36}",
    "py|pi-AgEIcHlwaS5vcmc{u70}",
    "ruby|gems_{h48}",
    "CLO|JARS_{l60}",
    "dc|kr_pat_{u27}",
    "dc|kr_oat_{u32}",
    "AK|IA{216}",
    "AS|IA{216}",
    "AB|IA{216}",
    "AC|CA{216}",
    "AK|IA{U16}",
    "IQoJb3JpZ2lu|X2Vj{b400}==",
    "FwoGZXIvYX|dz{b300}",
    "aws_sec|ret_access_key={b40}",
    "\"SecretAccess|Key\": \"{b40}\"",
    "sk_|live_{a24}",
    "sk_|live_51{a97}",
    "rk_|live_{a24}",
    "sk_|test_{a24}",
    "rk_|test_{a99}",
    "wh|sec_{a32}",
    "wh|sec_{b44}",
    "ya|29.a0{u160}",
    "ya|29.{u68}",
    "AI|za{u35}",
    "1/|/0{u98}",
    "GOC|SPX-{u28}",
    "sk|-{a20}T3BlbkFJ{a20}",
    "sk|-{a48}",
    "sk|-proj-{u74}T3BlbkFJ{u74}",
    "sk|-proj-{a48}",
    "sk|-svcacct-{u74}T3BlbkFJ{u74}",
    "sk|-admin-{u58}T3BlbkFJ{u58}",
    "sk|-or-v1-{h64}",
    "sk|-ant-api03-{u93}AA",
    "sk|-ant-admin01-{u93}AA",
    "sk|-ant-sid01-{u86}-{u8}AA",
    "sk|-{h32}",
    "hf|_{A34}",
    "hf|_{a34}",
    "api_|org_{A34}",
    "gs|k_{a52}",
    "xa|i-{a80}",
    "ppl|x-{a48}",
    "S|G.{u22}.{u43}",
    "shp|at_{h32}",
    "shp|ss_{h32}",
    "shp|ca_{h32}",
    "shp|pa_{h32}",
    "do|p_v1_{h64}",
    "do|o_v1_{h64}",
    "do|r_v1_{h64}",
    "ATA|TT3xFfGF0{u170}={H8}",
    "ATC|TT3xFfG{u170}={H8}",
    "AT|BB{a24}{H8}",
    "ts|key-auth-k{a11}CNTRL-{a32}",
    "ts|key-api-{a12}-{a32}",
    "da|pi{h32}",
    "da|pi{h32}-2",
    "dc|kr_pat_{u27}",
    "SS|WS 00{u40}",
    "lin_|api_{a40}",
    "lin_|oauth_{h64}",
    "sec|ret_{a43}",
    "nt|n_{d11}{a35}",
    "sq|0atp-{u22}",
    "sq|0csp-{u43}",
    "EA|AA{u60}",
    "S|K{h32}",
    "ke|y-{h32}",
    "{d10}:A|A{u33}",
    "{d8}:A|A{u33}",
    "psc|ale_tkn_{u43}",
    "psc|ale_pw_{u43}",
    "psc|ale_oauth_{u43}",
    "gl|sa_{a32}_{H8}",
    "gl|c_{b60}",
    "ey|JrIjoi{b90}",
    "NR|AK-{U27}",
    "NR|II-{u32}",
    "sn|trys_eyJpYXQiOjE{b80}_{b43}",
    "sn|tryu_{h64}",
    "d|p.pt.{a43}",
    "d|p.st.dev.{a43}",
    "d|p.ct.{a43}",
    "d|p.sa.{a43}",
    "d|p.scim.{a43}",
    "fm|2_{b300}",
    "fm|1r_{b200}",
    "fo|1_{u43}",
    "sb|p_{h40}",
    "sb_|secret_{u22}_{u8}",
    "AGE-SE|CRET-KEY-1{z58}",
    "v1|.local.{u120}",
    "v2|.local.{u100}",
    "v3|.local.{u140}.{u20}",
    "v4|.local.{u110}",
    "v1|.public.{u400}",
    "v2|.public.{u120}",
    "v3|.public.{u180}",
    "v4|.public.{u130}.{u30}",
    "k4|.secret.{u86}",
    "k4|.local.{u43}",
    "dt|0c01.{U24}.{U64}",
    "PM|AK-{h24}-{h34}",
    "fi|gd_{u40}",
    "pa|t{a14}.{h64}",
    "LT|AI{a20}",
    "xke|ysib-{h64}-{a16}",
    "{h32}-u|s14",
    "v1|.0-{h24}-{h146}",
    "nf|p_{a36}",
    "pu|l-{h40}",
    "{u3}8Q|~{u34}",
    "secret-tok|en:{u30}",
    "ht|tps://user:{a12}@example.com/x",
    "post|gres://app:{u16}@db.example.com:5432/prod",
    "Bearer {u43}",
    "bearer {h32}",
    "Authorization: DPoP {u43}",
    "ht|tps://api.example.com/cb?access_token={a32}",
    "/callback?state=1&id_token={u90}",
    "client_secret={u40}",
    "{\"refresh_token\":\"{u43}\"}",
    "api_key={h32}",
    "password=Winter{d4}",
    "AccountKey={b86}==",
    "?sv=2020&sig={b43}%3D",
];

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
        if super::is_token_id(&id) && !secret.contains(' ') {
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
