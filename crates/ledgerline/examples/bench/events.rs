//! The reference event: the JSON example of the interface, with and without its personal record.
//!
//! Five events make the life of a token (ISSUED, then four times USED), all with the same fields,
//! so that chains have a length and statements one size. Identities are UUIDv7 that move on by a
//! millisecond every 200 events. Event `n` is the same in every form.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_proof::entry::Signature;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::note::{KeyKind, VerifierKey};
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::signature::StatementSigner;
use ledgerline_proof::statement::{Detail, Link, Personal, PolicyRef, Statement, Target};
use ledgerline_proof::submission::{Submission, put_frame};
use ledgerline_proof::vocabulary::{
    EventType, Outcome, PersonalRole, PolicyRole, Relation, Strength, TargetKind, TokenKind,
};
use serde_json::json;

use crate::bulk::Batches;
use crate::http::put_post;
use crate::server::{DEPLOYMENT, PRODUCER, SOURCE, Server};

/// 2025-11-13T02:13:20Z, in milliseconds.
const START_MILLIS: u64 = 1_763_000_000_000;
/// 2025-11-13T00:00:00Z.
const MIDNIGHT_MILLIS: u64 = 1_762_992_000_000;
const DAY_MILLIS: u64 = 24 * 3_600_000;
/// Later than any run, so that no token expires meanwhile.
const EXPIRES_TEXT: &str = "2099-11-13T00:00:00.000Z";
const EXPIRES_NANOS: i64 = 4_098_211_200_000_000_000;
const POLICY: &[u8] = b"policy";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64)";

/// Events in the life of a token.
pub const LIFE: u64 = 5;

/// How events travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// An array of JSON events, attested by the credential.
    Json,
    /// An Avro batch, each statement with an HMAC.
    AvroHmac,
    /// An Avro batch, each statement with an Ed25519 signature.
    AvroEd25519,
}

/// Bytes that a ledger must keep whatever it does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Payload {
    /// Statements.
    pub statement: u64,
    /// Signature values.
    pub signature: u64,
    /// Personal records.
    pub personal: u64,
}

impl Payload {
    /// All of it.
    pub fn bytes(&self) -> u64 {
        self.statement + self.signature + self.personal
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.statement += other.statement;
        self.signature += other.signature;
        self.personal += other.personal;
    }
}

/// Makes requests for one server.
pub struct Maker {
    wire: Wire,
    with_personal: bool,
    source: String,
    key: String,
    key_id: String,
    signer: Option<StatementSigner>,
    policy_digest: String,
}

impl Maker {
    /// Registers what the form needs and makes a maker.
    ///
    /// # Errors
    /// When the server refuses the key.
    pub fn new(server: &Server, wire: Wire, with_personal: bool) -> Result<Self> {
        let signer = match wire {
            Wire::Json => None,
            Wire::AvroHmac => Some(hmac_signer(server, SOURCE, PRODUCER)?),
            Wire::AvroEd25519 => Some(ed25519_signer(server)?),
        };
        Ok(Self {
            wire,
            with_personal,
            source: SOURCE.to_owned(),
            key: server.key.clone(),
            key_id: PRODUCER.to_owned(),
            signer,
            policy_digest: ledgerline_proof::hash::sha256(POLICY).to_hex(),
        })
    }

    /// The same without personal records, of another source with a credential and an HMAC key of
    /// its own; single events have no use for the key.
    ///
    /// # Errors
    /// When the server refuses them.
    pub fn of_source(server: &Server, source: &str) -> Result<Self> {
        let added = server.add_key(&json!({ "source": source, "roles": ["producer"] }))?;
        let key_id = format!("{source}-producer");
        Ok(Self {
            wire: Wire::AvroHmac,
            with_personal: false,
            source: source.to_owned(),
            key: added["secret"].as_str().context("a secret")?.to_owned(),
            signer: Some(hmac_signer(server, source, &key_id)?),
            key_id,
            policy_digest: ledgerline_proof::hash::sha256(POLICY).to_hex(),
        })
    }

    /// A request with one event, in JSON.
    pub fn single(&self, n: u64, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(1024);
        self.put_json(n, &mut body);
        put_post(out, &self.key, "application/json", body.len());
        out.extend_from_slice(&body);
    }

    /// The JSON example, piece by piece: quicker than formatting, since the client's time counts.
    fn put_json(&self, n: u64, out: &mut Vec<u8>) {
        let facts = Facts::of(n);
        for piece in [
            r#"{"event_id":""#,
            &uuid_text(&facts.id),
            r#"","type":""#,
            facts.kind.symbol(),
            r#"","token_id":""#,
            &facts.token,
            r#"","occurred_at":""#,
            &time_text(facts.millis),
            r#"","outcome":"ALLOW","issuer":"idp","client_id":"web","session_id":"s-17""#,
            r#","token_kind":"ACCESS","scopes":["read:finance"],"expires_at":""#,
            EXPIRES_TEXT,
            r#"","policies":[{"id":"finance","version":"v2","digest":"sha256:"#,
            &self.policy_digest,
            r#"","role":"GRANT"}],"links":[{"token_id":""#,
            &facts.parent,
            r#"","relation":"REFRESHED_FROM","strength":"ASSERTED"}]"#,
        ] {
            out.extend_from_slice(piece.as_bytes());
        }
        if self.with_personal {
            for piece in [
                r#","personal":[{"role":"SUBJECT","user_id":"user-"#,
                &(n % 1000).to_string(),
                r#"","ip":"203.0.113.7","user_agent":""#,
                AGENT,
                r#"","attributes":{"department":"treasury"}}]"#,
            ] {
                out.extend_from_slice(piece.as_bytes());
            }
        }
        out.push(b'}');
    }

    fn put_avro(&self, n: u64, out: &mut Vec<u8>) -> Result<Payload> {
        let facts = Facts::of(n);
        let mut statement = facts.statement(&self.source);
        let user = format!("user-{}", n % 1000);
        let record = self.with_personal.then(|| personal_record(n, &user));
        if let Some(record) = &record {
            let commitment = commitment(record);
            statement.personal = vec![Personal { role: PersonalRole::Subject, commitment }];
        }
        let alg = if self.wire == Wire::AvroEd25519 { 2 } else { 1 };
        let signing =
            self.signer.as_ref().map(|signer| Signing { signer, alg, key_id: &self.key_id });
        put_submission(out, &statement, signing, record.as_deref())
    }
}

/// How a statement is signed.
#[derive(Clone, Copy)]
pub struct Signing<'a> {
    pub signer: &'a StatementSigner,
    pub alg: i32,
    pub key_id: &'a str,
}

/// Appends a statement as it travels in a batch, signed under an algorithm; what it weighs.
///
/// # Errors
/// When it is beyond the limits.
pub fn put_submission(
    out: &mut Vec<u8>,
    statement: &Statement<'_>,
    signing: Option<Signing<'_>>,
    record: Option<&[u8]>,
) -> Result<Payload> {
    let statement = encode_object(Kind::Statement, statement);
    let value = signing.map(|signing| signing.signer.sign(&statement));
    let signature = signing.zip(value.as_deref());
    let signature = signature.map(|(signing, value)| Signature {
        alg: signing.alg,
        key_id: signing.key_id,
        value,
    });
    let personal = record.into_iter().collect();
    let submission =
        Submission { statement: &statement, personal, signature, attachments: Vec::new() };
    put_frame(out, &submission.encode())?;
    Ok(Payload {
        statement: statement.len() as u64,
        signature: value.as_ref().map_or(0, |value| value.len() as u64),
        personal: record.map_or(0, |record| record.len() as u64),
    })
}

impl Batches for Maker {
    fn batch(&self, first: u64, count: u64) -> Result<(Vec<u8>, Payload)> {
        let mut payload = Payload::default();
        let mut body = Vec::new();
        let media_type = match self.wire {
            Wire::Json => {
                for n in first..first + count {
                    body.push(if n == first { b'[' } else { b',' });
                    self.put_json(n, &mut body);
                }
                body.push(b']');
                "application/json"
            }
            Wire::AvroHmac | Wire::AvroEd25519 => {
                for n in first..first + count {
                    payload.add(&self.put_avro(n, &mut body)?);
                }
                "application/vnd.ledgerline.batch"
            }
        };
        let mut request = Vec::with_capacity(body.len() + 512);
        put_post(&mut request, &self.key, media_type, body.len());
        request.extend_from_slice(&body);
        Ok((request, payload))
    }
}

/// Registers a key with which a source signs by HMAC-SHA256.
///
/// # Errors
/// When the server refuses the key.
pub fn hmac_signer(server: &Server, source: &str, key_id: &str) -> Result<StatementSigner> {
    let added = server.add_key(
        &json!({ "key_id": key_id, "alg": "HMAC-SHA256", "source": source, "roles": [] }),
    )?;
    let secret = STANDARD.decode(added["secret"].as_str().context("a secret")?)?;
    Ok(StatementSigner::hmac(&secret, DEPLOYMENT, key_id))
}

fn ed25519_signer(server: &Server) -> Result<StatementSigner> {
    let seed = [9; 32];
    let key = VerifierKey::of_seed(PRODUCER, KeyKind::Ed25519, &seed)?;
    let public = STANDARD.encode(key.public_bytes());
    server.add_key(&json!({
        "key_id": PRODUCER, "alg": "Ed25519", "source": SOURCE, "roles": [], "public_key": public,
    }))?;
    Ok(StatementSigner::ed25519(&seed, DEPLOYMENT, PRODUCER))
}

fn personal_record(n: u64, user: &str) -> Vec<u8> {
    let salt = ledgerline_proof::hash::sha256(&n.to_le_bytes()).0;
    let record = PersonalRecord {
        salt,
        user_id: Some(user),
        ip: Some("203.0.113.7"),
        user_agent: Some(AGENT),
        device: None,
        resource: None,
        attributes: vec![Detail { key: "department", value: "treasury" }],
    };
    encode_object(Kind::Personal, &record)
}

/// What differs between events.
struct Facts {
    id: [u8; 16],
    kind: EventType,
    token: String,
    parent: String,
    millis: u64,
}

impl Facts {
    fn of(n: u64) -> Self {
        let millis = START_MILLIS + n / 200;
        let mut id = [0u8; 16];
        id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        id[6] = 0x70;
        id[8..].copy_from_slice(&n.to_be_bytes());
        id[8] = 0x80;
        Self {
            id,
            kind: if n.is_multiple_of(LIFE) { EventType::Issued } else { EventType::Used },
            token: format!("eu-west-1:idp:jti:4f0c2a9e-7c1a-4b3e-9a55-{:012x}", n / LIFE),
            parent: format!("eu-west-1:idp:jti:9b1e2a9e-7c1a-4b3e-9a55-{:012x}", n / 50),
            millis,
        }
    }

    fn statement<'f>(&'f self, source: &'f str) -> Statement<'f> {
        let target = Target { kind: TargetKind::Token, id: &self.token };
        let occurred = Hlc::at(i64::try_from(self.millis * 1_000_000).expect("this century"));
        let mut statement = Statement::new(self.id, source, target, self.kind, occurred);
        statement.outcome = Outcome::Allow;
        statement.issuer = Some("idp");
        statement.client_id = Some("web");
        statement.session_id = Some("s-17");
        statement.token_kind = Some(TokenKind::Access);
        statement.scopes = vec!["read:finance"];
        statement.expires_at = Some(EXPIRES_NANOS);
        statement.policies = vec![PolicyRef {
            id: "finance",
            version: "v2",
            digest: Some(ledgerline_proof::hash::sha256(POLICY)),
            role: PolicyRole::Grant,
            effect: None,
        }];
        statement.links = vec![Link {
            token: Some(&self.parent),
            event: None,
            relation: Relation::RefreshedFrom,
            strength: Strength::Asserted,
            why: None,
        }];
        statement
    }
}

/// A UUID as one writes it.
pub fn uuid_text(id: &[u8; 16]) -> String {
    let n = u128::from_be_bytes(*id);
    let part = |shift: u32, digits: u32| (n >> shift) & ((1 << (4 * digits)) - 1);
    let (a, b, c) = (part(96, 8), part(80, 4), part(64, 4));
    format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", part(48, 4), part(0, 12))
}

fn time_text(millis: u64) -> String {
    // A day holds 17 thousand million events; later ones would only need another date.
    let of_day = (millis - MIDNIGHT_MILLIS) % DAY_MILLIS;
    let (seconds, millis) = (of_day / 1000, of_day % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("2025-11-13T{hours:02}:{minutes:02}:{:02}.{millis:03}Z", seconds % 60)
}
