//! What simulated producers send: good events of every form, and bad ones of every kind.
//!
//! Promises: a sent event can be sent again, byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_proof::entry::Signature;
use ledgerline_proof::hash::sha256;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::signature::StatementSigner;
use ledgerline_proof::statement::{Act, Link, Personal, PolicyRef, Statement, Target};
use ledgerline_proof::submission::{Attachment, Submission};
use ledgerline_proof::vocabulary::{
    EventType, PersonalRole, PolicyRole, Relation, Strength, TargetKind,
};

use crate::Random;

/// Tokens that producers know.
const TOKENS: u64 = 9;
/// What they are presented for.
pub(super) const RESOURCES: [&str; 3] = ["/r/1", "/r/2", "/r/3"];
const SECOND: u64 = 1_000_000_000;

/// Wall time at which a simulation begins.
pub(super) const START_NANOS: i64 = 1_795_000_000_000_000_000;

/// What must become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Recorded once.
    Good,
    /// Refused with this code.
    Refused(&'static str),
}

/// How an event is written down.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// One JSON text without line breaks.
    Json(String),
    /// A submission in Avro.
    Avro(Vec<u8>),
}

/// One event of a producer.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// Number of the credential that sends it.
    pub(super) caller: usize,
    pub(super) tenant: &'static str,
    pub(super) source: &'static str,
    /// None when it is too malformed to have one.
    pub(super) event_id: Option<[u8; 16]>,
    pub(super) form: Form,
    pub(super) fate: Fate,
    /// The person it names.
    pub(super) user: Option<String>,
    /// How many personal records it carries.
    pub(super) records: usize,
    pub(super) attached: Option<Vec<u8>>,
    /// The key it is signed with.
    pub(super) key_id: Option<String>,
    /// The other parts of its act, itself included.
    pub(super) act: Vec<usize>,
}

/// A key that signs statements.
pub(super) struct Producer {
    pub(super) key_id: String,
    pub(super) alg: i32,
    pub(super) seed: [u8; 32],
}

/// The same, as a statement is signed with it.
#[derive(Clone, Copy)]
pub(super) struct SigningKey<'a> {
    pub(super) id: &'a str,
    pub(super) alg: i32,
    pub(super) signer: &'a StatementSigner,
}

impl Producer {
    pub(super) fn signer(&self, deployment: &str) -> StatementSigner {
        match self.alg {
            1 => StatementSigner::hmac(&self.seed, deployment, &self.key_id),
            _ => StatementSigner::ed25519(&self.seed, deployment, &self.key_id),
        }
    }
}

/// The facts an event is written from.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) event_id: [u8; 16],
    pub(super) tenant: &'static str,
    pub(super) source: &'static str,
    token: u64,
    kind: EventType,
    nanos: i64,
    user: Option<String>,
    /// Records besides that of the user: an address whose owner is not known.
    stranger: bool,
    attached: Option<Vec<u8>>,
    pub(super) act: Option<(String, i32, i32)>,
    /// Names the person as target.
    of_subject: bool,
    padding: usize,
    expires_at: Option<i64>,
    /// The number of the token it came of.
    parent: Option<u64>,
    resource: Option<&'static str>,
}

impl Facts {
    /// Draws an event. `persons` in 1000 carry personal records.
    pub(super) fn draw(random: &mut Random, wall: i64, persons: u32) -> Self {
        let mut event_id = [0; 16];
        random.fill(&mut event_id);
        event_id[6] = (event_id[6] & 0x0f) | if random.chance(800) { 0x70 } else { 0x40 };
        event_id[8] = (event_id[8] & 0x3f) | 0x80;
        if event_id[6] >> 4 == 7 {
            let late = random.below(5_000);
            let millis = u64::try_from(wall / 1_000_000).unwrap_or(0).saturating_sub(late);
            event_id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        }
        let kinds = [
            EventType::Issued,
            EventType::Issued,
            EventType::Used,
            EventType::Used,
            EventType::ResourceAccessed,
            EventType::Refreshed,
            EventType::Revoked,
        ];
        let kind = *random.choose(&kinds);
        let late = if random.chance(100) { 3_600 * SECOND } else { SECOND };
        let late = random.below(late);
        let personal = random.chance(persons);
        let user = (personal && random.chance(700)).then(|| format!("user-{}", random.below(6)));
        let stranger = personal && (user.is_none() || random.chance(200));
        let attached = random.chance(60).then(|| {
            let mut data = vec![0; 1 + random.index(700)];
            random.fill(&mut data);
            data
        });
        Self {
            event_id,
            tenant: "",
            source: "idp",
            token: random.below(TOKENS),
            kind,
            nanos: wall.max(0).saturating_sub_unsigned(late),
            of_subject: user.is_some() && random.chance(150),
            user,
            stranger,
            attached,
            act: None,
            padding: if random.chance(30) { random.index(4000) } else { 0 },
            expires_at: draw_expiry(random, kind, wall),
            parent: (kind == EventType::Issued && random.chance(300)).then(|| random.below(TOKENS)),
            resource: random.chance(400).then(|| *random.choose(&RESOURCES)),
        }
    }

    /// The same event with another content.
    pub(super) fn conflicting(mut self) -> Self {
        self.token += 100;
        self.of_subject = false;
        self
    }

    /// Sends it for another credential's source and tenant.
    pub(super) fn from(mut self, source: &'static str, tenant: &'static str) -> Self {
        (self.source, self.tenant) = (source, tenant);
        self
    }

    /// Two parts of an act name no subject of their own.
    pub(super) fn part(mut self, act: &str, part: i32, parts: i32) -> Self {
        self.act = Some((act.to_owned(), part, parts));
        self
    }

    fn records(&self) -> usize {
        usize::from(self.user.is_some()) + usize::from(self.stranger)
    }

    fn token_id(&self) -> String {
        token_id(self.token)
    }

    fn parent_id(&self) -> Option<String> {
        self.parent.filter(|parent| *parent != self.token && !self.of_subject).map(token_id)
    }

    fn sent(&self, caller: usize, form: Form) -> Sent {
        Sent {
            caller,
            tenant: self.tenant,
            source: self.source,
            event_id: Some(self.event_id),
            form,
            fate: Fate::Good,
            user: self.user.clone(),
            records: self.records(),
            attached: self.attached.clone(),
            key_id: None,
            act: Vec::new(),
        }
    }

    /// As JSON for an unsigned submission.
    pub(super) fn json(&self, caller: usize) -> Sent {
        self.sent(caller, Form::Json(self.json_with("")))
    }

    /// As JSON with one more field, which is written as given.
    pub(super) fn json_with(&self, more: &str) -> String {
        let id = uuid::Uuid::from_bytes(self.event_id);
        let kind = self.kind.symbol();
        let time = time_text(self.nanos);
        let target = match self.of_subject {
            true => r#""target":{"kind":"SUBJECT","id":""}"#.to_owned(),
            false => format!(r#""token_id":"{}""#, self.token_id()),
        };
        let mut text = format!(
            r#"{{"event_id":"{id}","type":"{kind}",{target},"occurred_at":"{time}","issuer":"idp""#
        );
        let mut records = Vec::new();
        if let Some(user) = &self.user {
            records.push(format!(r#"{{"role":"SUBJECT","user_id":"{user}","ip":"203.0.113.7"}}"#));
        }
        if self.stranger {
            records.push(r#"{"role":"REQUEST","ip":"198.51.100.9"}"#.to_owned());
        }
        if !records.is_empty() {
            text += &format!(r#","personal":[{}]"#, records.join(","));
        }
        if let Some(data) = &self.attached {
            let (digest, data) = (sha256(data).to_hex(), STANDARD.encode(data));
            text += &format!(
                r#","policies":[{{"id":"p","version":"v1","digest":"sha256:{digest}"}}],"#
            );
            text += &format!(r#""attachments":[{{"digest":"sha256:{digest}","media_type":"a/b","#);
            text += &format!(r#""data":"{data}"}}]"#);
        }
        if let Some((id, part, parts)) = &self.act {
            text += &format!(r#","act":{{"id":"{id}","part":{part},"parts":{parts}}}"#);
        }
        if self.padding > 0 {
            text += &format!(r#","scopes":["{}"]"#, "s".repeat(self.padding.min(900)));
        }
        if let Some(parent) = self.parent_id() {
            text += &format!(r#","links":[{{"token_id":"{parent}","relation":"ROTATED_FROM","#);
            text += r#""strength":"ASSERTED"}]"#;
        }
        if let Some(at) = self.expires_at.filter(|_| !more.contains("expires_at")) {
            text += &format!(r#","expires_at":"{}""#, time_text(at));
        }
        if let Some(resource) = self.resource {
            text += &format!(r#","resource":"{resource}""#);
        }
        text + more + "}"
    }

    /// As Avro, signed when there is a signer.
    pub(super) fn avro(
        &self,
        caller: usize,
        random: &mut Random,
        key: Option<SigningKey<'_>>,
    ) -> Sent {
        let token = self.token_id();
        let target = match self.of_subject {
            true => Target { kind: TargetKind::Subject, id: "" },
            false => Target { kind: TargetKind::Token, id: &token },
        };
        let stamp = Hlc::at(self.nanos);
        let mut statement = Statement::new(self.event_id, self.source, target, self.kind, stamp);
        statement.tenant = self.tenant;
        statement.issuer = Some("idp");
        statement.act =
            self.act.as_ref().map(|(id, part, parts)| Act { id, part: *part, parts: *parts });
        let parent = self.parent_id();
        statement.links.extend(parent.as_deref().map(|parent| Link {
            token: Some(parent),
            event: None,
            relation: Relation::RotatedFrom,
            strength: Strength::Asserted,
            why: None,
        }));
        statement.expires_at = self.expires_at;
        statement.resource = self.resource;
        let records = self.avro_records(random);
        for (role, bytes) in &records {
            statement.personal.push(Personal { role: *role, commitment: commitment(bytes) });
        }
        let digest = self.attached.as_deref().map(sha256);
        statement.policies.extend(digest.map(|digest| PolicyRef {
            id: "p",
            version: "v1",
            digest: Some(digest),
            role: PolicyRole::Other,
            effect: None,
        }));
        let bytes = encode_object(Kind::Statement, &statement);
        let value = key.map(|key| key.signer.sign(&bytes));
        let signature = key.zip(value.as_deref());
        let signature = signature.map(|(SigningKey { id: key_id, alg, .. }, value)| Signature {
            alg,
            key_id,
            value,
        });
        let attachments = digest.zip(self.attached.as_deref());
        let attachments = attachments
            .map(|(digest, data)| Attachment { digest, media_type: "a/b", data })
            .into_iter()
            .collect();
        let personal = records.iter().map(|(_, bytes)| &bytes[..]).collect();
        let form = Submission { statement: &bytes, personal, signature, attachments }.encode();
        let mut sent = self.sent(caller, Form::Avro(form));
        sent.key_id = key.map(|key| key.id.to_owned());
        sent
    }

    fn avro_records(&self, random: &mut Random) -> Vec<(PersonalRole, Vec<u8>)> {
        let mut record = |user_id, ip| {
            let mut salt = [0; 32];
            random.fill(&mut salt);
            let record = PersonalRecord {
                salt,
                user_id,
                ip: Some(ip),
                user_agent: None,
                device: None,
                resource: None,
                attributes: Vec::new(),
            };
            encode_object(Kind::Personal, &record)
        };
        let mut records = Vec::new();
        if let Some(user) = &self.user {
            records.push((PersonalRole::Subject, record(Some(user.as_str()), "203.0.113.7")));
        }
        if self.stranger {
            records.push((PersonalRole::Request, record(None, "198.51.100.9")));
        }
        records
    }
}

fn token_id(number: u64) -> String {
    format!("eu:idp:jti:token-{number}")
}

/// The ids of all tokens that a good event may name.
pub(super) fn token_ids() -> Vec<String> {
    (0..TOKENS).map(token_id).collect()
}

fn time_text(nanos: i64) -> jiff::Timestamp {
    let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    jiff::Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0))
        .expect("a time of this century")
}

/// Soon, or in some hours, so that clocks run past it; sometimes it has passed already.
fn draw_expiry(random: &mut Random, kind: EventType, wall: i64) -> Option<i64> {
    if !matches!(kind, EventType::Issued | EventType::Refreshed) || random.chance(250) {
        return None;
    }
    let most = *random.choose(&[10 * SECOND, 300 * SECOND, 4 * 3_600 * SECOND]);
    Some(wall.saturating_add_unsigned(random.below(most)).saturating_sub(10_000_000_000))
}

/// Kinds of malformed JSON: what is added to a good event, and the code it must get.
pub(super) const BAD_JSON: [(&str, &str); 7] = [
    (r#","colour":"red""#, "unknown_field"),
    (r#","count":1,"count":2"#, "bad_field"),
    (r#","count":1.5"#, "bad_field"),
    (r#","target":{"kind":"TOKEN","id":"eu:idp:jti:x"}"#, "bad_field"),
    (r#","count":0"#, "bad_field"),
    (r#","service":"ghp_0123456789abcdefABCD""#, "secret_refused"),
    (r#","expires_at":"yesterday""#, "bad_field"),
];
