//! From an event that was taken to the bytes that travel: once, by the worker.
//!
//! Promises: whatever must be the same in each try is decided here: instance and number, id, time,
//! salts, signature. With a signing key the event becomes a signed statement in Avro, else JSON.
//!
//! Refuses: what says no statement or is beyond the limits, with the code that the ledger would
//! give. Texts that whoever presents a token may choose are cut first, as the ledger cuts those of
//! unsigned events: none of them may hide a use.

use ledgerline_api::event::Event;
use ledgerline_api::statement::{self, shorten, without_controls};
use ledgerline_api::uuid_text;
use ledgerline_api::values::Timestamp;
use ledgerline_proof::entry::{MAX_STATEMENT_BYTES, Signature};
use ledgerline_proof::event_id::derived_event_id;
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_proof::personal::commitment;
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::signature::{Alg, StatementSigner};
use ledgerline_proof::statement::{MAX_STRING_BYTES, Personal};
use ledgerline_proof::submission::{Attachment, Submission};
use ledgerline_proof::token_id::looks_like_token;

use crate::slots::{Slot, Taken};
use crate::transport::Refused;
use crate::unit::{Unit, UnitError};

/// A key with which statements are signed. Shows no secret.
pub struct Signing {
    key_id: String,
    alg: Alg,
    signer: StatementSigner,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Signing({}, {})", self.key_id, self.alg.name())
    }
}

impl Signing {
    /// With a secret that the ledger knows, too: convinces only who holds it.
    #[must_use]
    pub fn hmac(secret: &[u8], deployment: &str, key_id: &str) -> Self {
        let signer = StatementSigner::hmac(secret, deployment, key_id);
        Self { key_id: key_id.to_owned(), alg: Alg::HmacSha256, signer }
    }

    /// With an Ed25519 seed of which the ledger knows the public key: convinces everybody.
    #[must_use]
    pub fn ed25519(seed: &[u8; 32], deployment: &str, key_id: &str) -> Self {
        let signer = StatementSigner::ed25519(seed, deployment, key_id);
        Self { key_id: key_id.to_owned(), alg: Alg::Ed25519, signer }
    }

    /// The id under which the ledger knows the key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The algorithm.
    #[must_use]
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// The signature over the single-object bytes of a statement.
    #[must_use]
    pub fn sign(&self, statement: &[u8]) -> Vec<u8> {
        self.signer.sign(statement)
    }
}

/// Makes units.
pub(crate) struct Preparer {
    pub tenant: String,
    pub source: String,
    pub instance: [u8; 16],
    /// What `service` says where an event does not.
    pub service: Option<String>,
    pub signing: Option<Signing>,
}

/// An event that cannot be sent.
pub(crate) struct Unfit {
    pub event_id: [u8; 16],
    pub why: Refused,
}

impl Preparer {
    /// The unit of what was taken.
    pub fn unit(&self, slot: Slot) -> Result<Unit, Vec<Unfit>> {
        let (seq, id, at) = (slot.seq, slot.id, slot.at);
        match slot.events {
            Taken::One(event) => {
                let own = id;
                self.one(*event, Marks { seq, id: own, at }).map_err(|unfit| vec![unfit])
            }
            Taken::Act(events) => self.act(events, Marks { seq, id, at }),
        }
    }

    fn act(&self, events: Vec<Event<'static>>, first: Marks) -> Result<Unit, Vec<Unfit>> {
        let (mut units, mut unfit, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for (event, n) in events.into_iter().zip(0_i64..) {
            let seq = first.seq.map(|seq| seq + n);
            let id = first.id.map(|id| following(id, n));
            match self.one(event, Marks { seq, id, ..first }) {
                Ok(unit) => {
                    ids.extend_from_slice(unit.ids());
                    units.push(unit);
                }
                Err(one) => unfit.push(one),
            }
        }
        if unfit.is_empty() {
            let too_large = |error: UnitError| {
                let why = Refused::new("entry_too_large", error.to_string());
                ids.iter().map(|id| Unfit { event_id: *id, why: why.clone() }).collect()
            };
            return Unit::act(units).map_err(too_large);
        }
        let why = Refused::new("act_incomplete", "another part of the act cannot be sent");
        unfit.extend(ids.into_iter().map(|event_id| Unfit { event_id, why: why.clone() }));
        Err(unfit)
    }

    fn one(&self, mut event: Event<'static>, marks: Marks) -> Result<Unit, Unfit> {
        if let Some(seq) = marks.seq {
            event.source_instance = Some(uuid_text::text(&self.instance).into());
            event.source_seq = Some(seq);
        }
        if event.event_id.is_none() && event.native_id.is_none() {
            event.event_id = marks.id.map(|id| uuid_text::text(&id).into());
        }
        if event.occurred_at.is_none() {
            event.occurred_at = Some(Timestamp::At(marks.at));
        }
        if event.service.is_none() {
            event.service = self.service.clone().map(Into::into);
        }
        let event_id = self.id_of(&event);
        if let Some(member) = raw_token(&event) {
            let detail = format!("`{member}` is a token, not the id of one");
            return Err(Unfit { event_id, why: Refused::new("secret_refused", detail) });
        }
        let made = match &self.signing {
            None => Unit::json(&event, event_id, marks.at)
                .map_err(|error| Refused::new("entry_too_large", error.to_string())),
            Some(signing) => {
                cut_free_texts(&mut event);
                self.signed(&event, signing, marks.at)
            }
        };
        made.map_err(|why| Unfit { event_id, why })
    }

    fn id_of(&self, event: &Event<'_>) -> [u8; 16] {
        let given = event.event_id.as_deref().and_then(uuid_text::parse);
        let part = event.act.as_ref().map_or(0, |act| act.part);
        let native = event.native_id.as_deref().filter(|id| id.len() <= MAX_STRING_BYTES);
        let derived = || derived_event_id(&self.tenant, &self.source, native?, part).into();
        given.or_else(derived).unwrap_or_default()
    }

    fn signed(&self, event: &Event<'_>, signing: &Signing, at: i64) -> Result<Unit, Refused> {
        let refuse = |code: &str, detail: &dyn std::fmt::Display| {
            Refused::new(code.to_owned(), detail.to_string())
        };
        let mut said = event
            .statement(&self.tenant, &self.source)
            .map_err(|bad| refuse(bad.code, &bad.detail))?;
        let mut records = Vec::with_capacity(event.personal.len());
        for personal in &event.personal {
            let mut salt = [0; 32];
            getrandom::fill(&mut salt).map_err(|error| refuse("no_randomness", &error))?;
            let record = statement::record(personal, salt);
            record.validate().map_err(|error| refuse(error.code(), &error))?;
            let bytes = encode_object(Kind::Personal, &record);
            let role = statement::role(personal).map_err(|bad| refuse(bad.code, &bad.detail))?;
            said.personal.push(Personal { role, commitment: commitment(&bytes) });
            records.push(bytes);
        }
        said.validate().map_err(|error| refuse(error.code(), &error))?;
        let bytes = encode_object(Kind::Statement, &said);
        if bytes.len() > MAX_STATEMENT_BYTES {
            return Err(refuse(
                "entry_too_large",
                &format!("a statement has at most {MAX_STATEMENT_BYTES} bytes"),
            ));
        }
        let attached = event.attachments.iter().map(statement::attached);
        let attached: Vec<(Hash, &str, Vec<u8>)> =
            attached.collect::<Result<_, _>>().map_err(|bad| refuse(bad.code, &bad.detail))?;
        if attached.iter().any(|(digest, _, data)| sha256(data) != *digest) {
            return Err(refuse("attachment_mismatch", &"a digest is not that of its data"));
        }
        let value = signing.sign(&bytes);
        let submission = Submission {
            statement: &bytes,
            personal: records.iter().map(|record| &record[..]).collect(),
            signature: Some(Signature {
                alg: signing.alg.number(),
                key_id: &signing.key_id,
                value: &value,
            }),
            attachments: attached
                .iter()
                .map(|(digest, media_type, data)| Attachment { digest: *digest, media_type, data })
                .collect(),
        };
        Unit::submissions(&[submission.encode()], at)
            .map_err(|error| refuse("entry_too_large", &error))
    }
}

/// The member in which a token stands where the id of one belongs. The ledger would refuse it; here
/// it does not even reach the spool.
fn raw_token(event: &Event<'_>) -> Option<&'static str> {
    let target = event.target.as_ref().filter(|target| target.kind == "TOKEN");
    let links = event.links.iter().filter_map(|link| Some(("links", link.token_id.as_deref()?)));
    let aliases = event.also_known_as.iter().map(|id| ("also_known_as", &**id));
    let own = event.token_id.as_deref().map(|id| ("token_id", id));
    let own = own.into_iter().chain(target.map(|target| ("target", &*target.id)));
    own.chain(links).chain(aliases).find(|(_, id)| looks_like_token(id)).map(|(member, _)| member)
}

/// What an event got when it was taken.
#[derive(Clone, Copy)]
struct Marks {
    seq: Option<i64>,
    id: Option<[u8; 16]>,
    at: i64,
}

/// The id of a later part of an act: the counter in its last 40 bits goes on.
fn following(mut id: [u8; 16], n: i64) -> [u8; 16] {
    let mut counter = [0; 8];
    counter[3..].copy_from_slice(&id[11..]);
    let next = i64::from_be_bytes(counter).wrapping_add(n);
    id[11..].copy_from_slice(&next.to_be_bytes()[3..]);
    id
}

/// Cuts texts that a caller of the service may choose to the length that a statement may have, and
/// takes control characters out of them.
fn cut_free_texts(event: &mut Event<'_>) {
    let plain = [&mut event.endpoint, &mut event.resource, &mut event.action, &mut event.reason];
    for text in plain.into_iter().flatten() {
        shorten(text);
        without_controls(text);
    }
    for personal in &mut event.personal {
        let named = [
            &mut personal.ip,
            &mut personal.user_agent,
            &mut personal.device,
            &mut personal.resource,
        ];
        let texts = named.into_iter().flatten().chain(personal.attributes.values_mut());
        texts.for_each(|text| {
            shorten(text);
        });
    }
}

#[cfg(test)]
mod tests {
    use ledgerline_proof::schema::decode_object;
    use ledgerline_proof::signature::StatementKey;
    use ledgerline_proof::statement::Statement;
    use ledgerline_proof::submission::Batch;

    use super::*;
    use crate::unit::Form;

    fn preparer(signing: Option<Signing>) -> Preparer {
        Preparer {
            tenant: "acme".into(),
            source: "orders".into(),
            instance: [7; 16],
            service: Some("orders-api".into()),
            signing,
        }
    }

    fn slot(event: Event<'static>) -> Slot {
        let events = Taken::One(Box::new(event));
        Slot { seq: Some(5), id: Some([0x77; 16]), at: 1_700_000_000_000_000_001, events }
    }

    fn used() -> Event<'static> {
        let personal = ledgerline_api::event::Personal {
            ip: Some("203.0.113.7".into()),
            user_agent: Some("x".repeat(5000).into()),
            ..ledgerline_api::event::Personal::of(
                ledgerline_proof::vocabulary::PersonalRole::Request,
            )
        };
        Event {
            event_type: Some("USED".into()),
            token_id: Some("eu:idp:jti:a".into()),
            endpoint: Some("/a\nb".into()),
            personal: vec![personal],
            ..Event::default()
        }
    }

    #[test]
    fn a_signed_event_convinces_whoever_has_the_key_and_hides_no_person() {
        let signings = [
            (Signing::hmac(b"secret", "prod", "k1"), StatementKey::hmac(b"secret", "prod", "k1")),
            (Signing::ed25519(&[9; 32], "prod", "k1"), {
                let kind = ledgerline_proof::note::KeyKind::Ed25519;
                let public = ledgerline_proof::note::VerifierKey::of_seed("k1", kind, &[9; 32]);
                let public = *public.expect("a key").public_bytes();
                StatementKey::ed25519(&public, "prod", "k1").expect("a point")
            }),
        ];
        for (signing, key) in signings {
            let unit = preparer(Some(signing)).unit(slot(used())).ok().expect("a unit");
            assert_eq!((unit.form(), unit.ids()), (Form::Submission, &[[0x77; 16]][..]));
            let frame = Batch::new(unit.body()).next().expect("one").expect("sound");
            let submission = Submission::decode(frame).expect("a submission");
            let signature = submission.signature.expect("signed");
            assert!(key.verify(submission.statement, signature.value).is_ok());
            let mut altered = submission.statement.to_vec();
            *altered.last_mut().expect("bytes") ^= 1;
            assert!(key.verify(&altered, signature.value).is_err());
            let said: Statement<'_> =
                decode_object(Kind::Statement, submission.statement).expect("a statement");
            assert_eq!((said.source_seq, said.source_instance), (Some(5), Some([7; 16])));
            assert_eq!(said.occurred_at.nanos, 1_700_000_000_000_000_001);
            assert_eq!((said.tenant, said.source), ("acme", "orders"));
            assert_eq!(said.personal[0].commitment, commitment(submission.personal[0]));
            let shown = String::from_utf8_lossy(submission.statement).into_owned();
            assert!(!shown.contains("203.0.113.7"));
        }
    }

    #[test]
    fn without_a_key_it_is_json_with_the_same_marks() {
        let unit = preparer(None).unit(slot(used())).ok().expect("a unit");
        let event: Event<'_> = serde_json::from_slice(unit.body()).expect("an event");
        assert_eq!(event.source_seq, Some(5));
        assert_eq!(event.event_id.as_deref(), Some("77777777-7777-7777-7777-777777777777"));
        assert_eq!(event.service.as_deref(), Some("orders-api"));
        assert!(event.source.is_none() && event.tenant.is_none(), "the credential says them");
    }

    #[test]
    fn a_token_where_its_id_belongs_goes_nowhere() {
        let raw = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
        let link = ledgerline_api::event::Link {
            token_id: Some(raw.into()),
            event: None,
            relation: "CAUSED_BY".into(),
            strength: None,
            why: None,
        };
        let target = ledgerline_api::event::Target { kind: "TOKEN".into(), id: raw.into() };
        for event in [
            Event { token_id: Some(raw.into()), ..used() },
            Event { token_id: None, target: Some(target), ..used() },
            Event { also_known_as: vec![raw.into()], ..used() },
            Event { links: vec![link], ..used() },
        ] {
            let refused = preparer(None).unit(slot(event)).expect_err("refused");
            assert_eq!(refused[0].why.code, "secret_refused");
            assert!(!refused[0].why.detail.contains("eyJ"));
        }
    }

    #[test]
    fn what_says_no_statement_is_refused_by_its_code() {
        let check = |event: Event<'static>, code: &str| {
            let signing = Signing::hmac(b"secret", "prod", "k1");
            let refused = preparer(Some(signing)).unit(slot(event)).expect_err("refused");
            assert_eq!(refused[0].why.code, code);
        };
        check(Event { event_type: Some("NO_SUCH".into()), ..used() }, "bad_field");
        check(Event { token_id: None, ..used() }, "missing_target");
        check(
            Event { reason: Some("r".into()), scopes: vec!["s".into(); 300], ..used() },
            "too_many_items",
        );
    }
}
