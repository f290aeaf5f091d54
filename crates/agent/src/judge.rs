//! Bodies of callers and lines of files become events that are ready to send.
//!
//! ```text
//! JSON event      judged by its form ──▶ statement, salted records ──▶ signed ──▶ ready
//! submission      judged by its form, and that it is of this source ─▶ signed by its maker,
//!                                                                      else by the agent ──▶ ready
//! ```
//!
//! Promises: whoever sends what the ledger would refuse for its form learns it at once. One bad
//! event never loses the others; the parts of an act stand together. The same event has the same
//! bytes whenever it is judged, so that what is told twice is a duplicate. Nothing that looks like
//! a bearer value is taken, and no refusal repeats what was sent.
//!
//! Assumes: the caller bounded the body. Grants, order and what was recorded before are judged by
//! the ledger.

use std::collections::BTreeMap;

use ledgerline_api::problem::status_of_event;
use ledgerline_emitter::{MAX_UNIT_BYTES, Signing};
use ledgerline_proof::entry::Signature;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, decode_object, encode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::submission::{Attachment, Batch, Submission};
use ledgerline_statements::beside::check_attachments;
use ledgerline_statements::json::{self, JsonEvent};
use ledgerline_statements::lines::{is_blank, ndjson_lines, what_is_not_utf8, without_mark};
use ledgerline_statements::written::{WrittenSubmission, is_submission};
use ledgerline_statements::{Draft, EventError, check_form};
use serde_json::value::RawValue;

use crate::outlet::{Ready, Unit};
use crate::salts::Salts;

/// Most events of one body, as the ledger has it.
pub const EVENTS_MAX: usize = 10_000;

/// The form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    /// One JSON event or an array of them.
    Json,
    /// One JSON event a line.
    Ndjson,
    /// Length-prefixed Avro submissions.
    AvroBatch,
}

/// An event that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the body, from 0.
    pub position: usize,
    /// Its line in NDJSON, from 1.
    pub line: Option<u64>,
    /// Its id, where it could be read.
    pub event_id: Option<[u8; 16]>,
    /// Why.
    pub error: EventError,
}

/// A body, judged.
#[derive(Debug, Default)]
pub struct Judged {
    /// What can be sent.
    pub units: Vec<Unit>,
    /// What is not taken, by position.
    pub refused: Vec<Refused>,
    /// Whether it was a single JSON event.
    pub lone: bool,
}

impl Judged {
    /// Events that can be sent.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.units.iter().map(Vec::len).sum()
    }

    /// What is refused for something of this machine that passes, a full disk above all: it is
    /// not the event's fault, and the same is to be judged again.
    #[must_use]
    pub fn passing(&self) -> Option<&EventError> {
        let mut errors = self.refused.iter().map(|one| &one.error);
        errors.find(|error| status_of_event(error.code) == 503)
    }
}

/// Why a body as a whole is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyError {
    /// It has too many events.
    TooLarge(String),
    /// It cannot be read, or holds nothing.
    Malformed {
        /// Stable code.
        code: &'static str,
        /// What to do.
        detail: String,
    },
}

/// The act that an event is a part of.
struct Part {
    id: String,
    part: i32,
    parts: i32,
}

/// An event of a body: ready, or why not.
type One = Result<(Ready, Option<Part>), (Option<[u8; 16]>, EventError)>;

/// Whose events these are, and what makes them ready.
pub struct Judge {
    tenant: String,
    source: String,
    signer: Option<Signing>,
    salts: Salts,
    now: fn() -> i64,
}

impl Judge {
    /// For the tenant and source of the agent's credential. `now` says Unix nanoseconds.
    #[must_use]
    pub fn new(
        tenant: String,
        source: String,
        signer: Option<Signing>,
        salts: Salts,
        now: fn() -> i64,
    ) -> Self {
        Self { tenant, source, signer, salts, now }
    }

    /// The salts, of which old ones are to be forgotten.
    #[must_use]
    pub fn salts(&self) -> &Salts {
        &self.salts
    }

    /// Takes a body apart.
    ///
    /// # Errors
    /// [`BodyError`] when nothing of it can be taken.
    pub fn body(&self, form: BodyForm, body: &[u8]) -> Result<Judged, BodyError> {
        match form {
            BodyForm::Json => self.json(body),
            BodyForm::Ndjson => self.ndjson(body),
            BodyForm::AvroBatch => self.avro(body),
        }
    }

    fn json(&self, body: &[u8]) -> Result<Judged, BodyError> {
        let text = std::str::from_utf8(without_mark(body))
            .map_err(|_| malformed("not_utf8", what_is_not_utf8("the body", body)))?;
        if text.trim_start().starts_with('{') {
            return grouped(true, vec![(None, self.text(text))]);
        }
        let events: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            malformed("bad_json", format!("the body is not a JSON event or array at {place}"))
        })?;
        check_count(events.len())?;
        grouped(false, events.iter().map(|event| (None, self.text(event.get()))).collect())
    }

    fn ndjson(&self, body: &[u8]) -> Result<Judged, BodyError> {
        let lines: Vec<(u64, &[u8])> =
            ndjson_lines(body).filter(|(_, line)| !is_blank(line)).collect();
        check_count(lines.len())?;
        let each = lines.into_iter().map(|(number, line)| (Some(number), self.line(line)));
        grouped(false, each.collect())
    }

    fn avro(&self, body: &[u8]) -> Result<Judged, BodyError> {
        let mut all = Vec::new();
        for frame in Batch::new(body) {
            check_count(all.len() + 1)?;
            let one = match frame.and_then(Submission::decode) {
                Ok(submission) => self.submission(&submission),
                Err(error) => Err((None, EventError::new(error.code(), error.to_string()))),
            };
            all.push((None, one));
        }
        grouped(false, all)
    }

    /// The events of some lines of a file in our own form.
    #[must_use]
    pub fn lines<'l>(&self, lines: impl Iterator<Item = (u64, &'l [u8])>) -> Judged {
        let each = lines.map(|(number, line)| (Some(number), self.line(line)));
        grouped(false, each.collect()).unwrap_or_default()
    }

    /// Events that an adapter made of one act.
    #[must_use]
    pub fn act(&self, events: Vec<ledgerline_api::event::Event<'static>>) -> Judged {
        let each = events.into_iter().map(|event| {
            let mut event = JsonEvent::from(event);
            (None, self.event(&mut event))
        });
        grouped(false, each.collect()).unwrap_or_default()
    }

    fn line(&self, line: &[u8]) -> One {
        match std::str::from_utf8(line) {
            Ok(text) => self.text(text),
            Err(_) => Err((None, EventError::new("not_utf8", what_is_not_utf8("the line", line)))),
        }
    }

    fn text(&self, text: &str) -> One {
        if is_submission(text) {
            let written = WrittenSubmission::read(text).map_err(|error| (None, error))?;
            return self.submission(&written.submission());
        }
        let named = || json::id_of(text, &self.tenant, &self.source);
        let mut event = json::parse(text).map_err(|error| (named(), error))?;
        self.event(&mut event).map_err(|(id, error)| (id.or_else(named), error))
    }

    fn event(&self, event: &mut JsonEvent<'_>) -> One {
        let none = |error| (None, error);
        event.amend().map_err(none)?;
        match self.drafted(event) {
            // Once more without the long texts, of which none may be the reason to lose it.
            Err((_, error))
                if error.code == "entry_too_large" && event.amend_free_text().map_err(none)? =>
            {
                self.drafted(event)
            }
            drafted => drafted,
        }
    }

    fn drafted(&self, event: &JsonEvent<'_>) -> One {
        let mut unsalted = None;
        let mut salt = |statement: &Statement<'_>, place: usize, record: &PersonalRecord<'_>| {
            let bytes = encode_object(Kind::Personal, record);
            let place = u16::try_from(place).unwrap_or(u16::MAX);
            let (id, at) = (&statement.event_id, statement.occurred_at.nanos);
            let salt = self.salts.salt(id, place, at, (self.now)(), &bytes);
            salt.unwrap_or_else(|error| {
                unsalted = Some(error);
                [0; 32]
            })
        };
        let draft = Draft::of(event, &self.tenant, &self.source, &mut salt);
        if let Some(error) = unsalted {
            // A record without its salt must not leave this machine.
            let detail = format!("no salt could be kept: {error:#}");
            return Err((None, EventError::new("state_unavailable", detail)));
        }
        let draft = draft.map_err(|error| (None, error))?;
        let id = draft.statement.event_id;
        let bytes = draft.bytes();
        let attached = draft.attachments.iter();
        let attachments: Vec<Attachment<'_>> = attached
            .map(|(digest, media_type, data)| Attachment { digest: *digest, media_type, data })
            .collect();
        let judged = check_form(&draft.statement, &bytes, &draft.records)
            .and_then(|()| check_attachments(&draft.statement, attachments.iter().cloned()));
        judged.map_err(|error| (Some(id), error))?;
        let personal = draft.records.iter().map(Vec::as_slice).collect();
        let submission = Submission { statement: &bytes, personal, signature: None, attachments };
        Ok(self.ready(&draft.statement, submission))
    }

    fn submission(&self, submission: &Submission<'_>) -> One {
        let none = |error: ledgerline_proof::wire::DecodeError| {
            (None, EventError::new(error.code(), error.to_string()))
        };
        let statement: Statement<'_> =
            decode_object(Kind::Statement, submission.statement).map_err(none)?;
        let refuse = |code, detail: &str| {
            Err((Some(statement.event_id), EventError::new(code, detail.to_owned())))
        };
        if statement.source != self.source {
            return refuse("wrong_source", "the statement names another source than the agent's");
        }
        if statement.tenant != self.tenant {
            return refuse("wrong_tenant", "the statement names another tenant than the agent's");
        }
        if submission.personal.len() != statement.personal.len() {
            let detail = "the personal records are not as many as the statement's commitments";
            return refuse("commitment_mismatch", detail);
        }
        for (bytes, personal) in submission.personal.iter().zip(&statement.personal) {
            let record: PersonalRecord<'_> = decode_object(Kind::Personal, bytes).map_err(none)?;
            if let Err(error) = record.validate() {
                return refuse(error.code(), &error.to_string());
            }
            if commitment(bytes) != personal.commitment {
                let detail = "a personal record does not open the statement's commitment";
                return refuse("commitment_mismatch", detail);
            }
        }
        check_form(&statement, submission.statement, &submission.personal)
            .and_then(|()| check_attachments(&statement, submission.attachments.iter().cloned()))
            .map_err(|error| (Some(statement.event_id), error))?;
        Ok(self.ready(&statement, submission.clone()))
    }

    /// Signs what nobody has signed, and encodes it.
    fn ready(
        &self,
        statement: &Statement<'_>,
        submission: Submission<'_>,
    ) -> (Ready, Option<Part>) {
        let signer = self.signer.as_ref().filter(|_| submission.signature.is_none());
        let value = signer.map(|signer| signer.sign(submission.statement));
        let mut submission = submission;
        if let (Some(signer), Some(value)) = (signer, &value) {
            let (alg, key_id) = (signer.alg().number(), signer.key_id());
            submission.signature = Some(Signature { alg, key_id, value });
        }
        let part = statement.act.as_ref().filter(|act| act.parts > 1).map(|act| Part {
            id: act.id.to_owned(),
            part: act.part,
            parts: act.parts,
        });
        (Ready { event_id: statement.event_id, submission: submission.encode() }, part)
    }
}

fn check_count(count: usize) -> Result<(), BodyError> {
    if count > EVENTS_MAX {
        return Err(BodyError::TooLarge(format!("a body has at most {EVENTS_MAX} events")));
    }
    Ok(())
}

fn malformed(code: &'static str, detail: String) -> BodyError {
    BodyError::Malformed { code, detail }
}

/// A part of an act, and where it stands in the body.
struct Placed {
    part: Part,
    position: usize,
    line: Option<u64>,
    ready: Ready,
}

/// Puts the parts of acts together, and refuses acts that are not whole.
fn grouped(lone: bool, all: Vec<(Option<u64>, One)>) -> Result<Judged, BodyError> {
    if all.is_empty() {
        return Err(malformed("empty", "the body holds no event".to_owned()));
    }
    let mut judged = Judged { lone, ..Judged::default() };
    let mut units: Vec<(usize, Unit)> = Vec::with_capacity(all.len());
    let mut acts: BTreeMap<String, Vec<Placed>> = BTreeMap::new();
    for (position, (line, one)) in all.into_iter().enumerate() {
        match one {
            Ok((ready, None)) => units.push((position, vec![ready])),
            Ok((ready, Some(part))) => {
                let act = acts.entry(part.id.clone()).or_default();
                act.push(Placed { part, position, line, ready });
            }
            Err((event_id, error)) => {
                judged.refused.push(Refused { position, line, event_id, error });
            }
        }
    }
    for mut parts in acts.into_values() {
        parts.sort_by_key(|one| (one.part.part, one.position));
        match what_is_wrong(&parts) {
            None => {
                let first = parts.iter().map(|one| one.position).min().unwrap_or(0);
                units.push((first, parts.into_iter().map(|one| one.ready).collect()));
            }
            Some(error) => judged.refused.extend(parts.into_iter().map(|one| Refused {
                position: one.position,
                line: one.line,
                event_id: Some(one.ready.event_id),
                error: error.clone(),
            })),
        }
    }
    units.sort_by_key(|(first, _)| *first);
    judged.units = units.into_iter().map(|(_, unit)| unit).collect();
    judged.refused.sort_by_key(|one| one.position);
    Ok(judged)
}

/// Why the parts of an act, in their order, are no whole one.
fn what_is_wrong(parts: &[Placed]) -> Option<EventError> {
    let is_next = |n: i32, one: &Placed| {
        one.part.part == n && usize::try_from(one.part.parts) == Ok(parts.len())
    };
    if !(0..).zip(parts).all(|(n, one)| is_next(n, one)) {
        let detail = "all parts of an act must come once each, valid, in one request";
        return Some(EventError::new("act_incomplete", detail.to_owned()));
    }
    let bytes: usize = parts.iter().map(|one| one.ready.submission.len() + 4).sum();
    let is_large = bytes > MAX_UNIT_BYTES;
    is_large.then(|| EventError::new("entry_too_large", "an act has at most 8 MiB".to_owned()))
}

#[cfg(test)]
mod tests {
    use ledgerline_proof::submission::put_frame;

    use super::*;

    fn judge(folder: &std::path::Path) -> Judge {
        let salts = Salts::open(folder, 0).expect("a state folder");
        Judge::new(String::new(), "edge".into(), None, salts, || 1_795_000_000_000_000_000)
    }

    fn event(native: &str, members: &str) -> String {
        format!(
            "{{\"native_id\":\"{native}\",\"type\":\"USED\",\"token_id\":\"eu:idp:jti:a\",\
             \"occurred_at\":\"2026-11-22T05:00:00Z\"{members}}}"
        )
    }

    const PERSON: &str = ",\"personal\":[{\"role\":\"SUBJECT\",\"user_id\":\"alice\"}]";

    #[test]
    fn the_same_event_has_the_same_bytes_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let text = event("n1", PERSON);
        let bytes = || {
            let judged =
                judge(folder.path()).body(BodyForm::Json, text.as_bytes()).expect("a body");
            assert!(judged.lone && judged.refused.is_empty());
            judged.units[0][0].submission.clone()
        };
        let first = bytes();
        assert!(first == bytes());
        let other = event("n2", PERSON);
        let judged = judge(folder.path()).body(BodyForm::Json, other.as_bytes()).expect("a body");
        let salt = |bytes: &[u8]| {
            let submission = Submission::decode(bytes).unwrap();
            let record: PersonalRecord<'_> =
                decode_object(Kind::Personal, submission.personal[0]).unwrap();
            record.salt
        };
        assert_ne!(salt(&first), salt(&judged.units[0][0].submission));
    }

    #[test]
    fn one_bad_event_loses_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let judge = judge(folder.path());
        let secret = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJzZWNyZXQtand0In0.c2lnbmF0dXJlLWJ5dGVz";
        let cases = [
            ("{\"type\":\"USED\"".to_owned(), "bad_json", None),
            (event("x", ",\"colour\":1"), "unknown_field", None),
            (event("x", ",\"tenant\":\"t\""), "unknown_field", None),
            (event("x", "").replace("USED", "DANCED"), "bad_field", Some("type")),
            (event("x", "").replace("\"native_id\":\"x\",", ""), "missing_field", Some("event_id")),
            (event("x", "").replace("05:00:00Z", "noon"), "bad_field", Some("occurred_at")),
            (event("x", &format!(",\"reason\":\"{secret}\"")), "secret_refused", None),
            (event("x", ",\"act\":{\"id\":\"a\",\"part\":0,\"parts\":2}"), "act_incomplete", None),
        ];
        for (bad, code, member) in cases {
            let body = format!("{}\n\n{bad}\n{}", event("a", ""), event("b", ""));
            let judged = judge.body(BodyForm::Ndjson, body.as_bytes()).expect("a body");
            assert_eq!(judged.ready_count(), 2, "{code}");
            let [refused] = &judged.refused[..] else { panic!("{code}") };
            let found = (refused.error.code, refused.error.member);
            assert_eq!(found, (code, member));
            assert_eq!((refused.position, refused.line), (1, Some(3)));
            assert!(!refused.error.detail.contains("eyJ"), "{}", refused.error.detail);
        }
    }

    #[test]
    fn what_only_the_disk_refuses_is_no_fault_of_the_event() {
        let folder = tempfile::tempdir().unwrap();
        let judge = judge(folder.path());
        let body = format!("{}\n{}", event("a", ""), event("b", PERSON));
        let passing = || {
            let judged = judge.body(BodyForm::Ndjson, body.as_bytes()).expect("a body");
            judged.passing().map(|error| error.code)
        };
        // Nothing can be put in the place of a folder.
        std::fs::create_dir(folder.path().join("salts.keys")).unwrap();
        assert_eq!(passing(), Some("state_unavailable"));
        std::fs::remove_dir(folder.path().join("salts.keys")).unwrap();
        assert_eq!(passing(), None);
    }

    #[test]
    fn the_parts_of_an_act_are_one_unit() {
        let folder = tempfile::tempdir().unwrap();
        let act = |n: u8| format!(",\"act\":{{\"id\":\"a\",\"part\":{n},\"parts\":2}}");
        let part = |n: u8| event("x", &act(n));
        let body = format!("[{},{},{}]", part(1), event("y", ""), part(0));
        let judged = judge(folder.path()).body(BodyForm::Json, body.as_bytes()).expect("a body");
        assert_eq!(judged.units.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let statement = |ready: &Ready| {
            let submission = Submission::decode(&ready.submission).unwrap();
            let statement: Statement<'_> =
                decode_object(Kind::Statement, submission.statement).unwrap();
            statement.act.map(|act| act.part)
        };
        let parts: Vec<_> = judged.units[0].iter().map(statement).collect();
        assert_eq!(parts, [Some(0), Some(1)]);
    }

    #[test]
    fn a_submission_of_another_source_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ours = judge(folder.path());
        let text = event("n1", PERSON);
        let made = ours.body(BodyForm::Json, text.as_bytes()).expect("a body");
        let mut body = Vec::new();
        put_frame(&mut body, &made.units[0][0].submission).unwrap();
        let judged = ours.body(BodyForm::AvroBatch, &body).expect("a body");
        assert_eq!((judged.ready_count(), judged.refused.len()), (1, 0));
        assert!(judged.units == made.units, "it is passed on byte for byte");
        let salts = Salts::open(folder.path(), 0).unwrap();
        let other = Judge::new(String::new(), "gate".into(), None, salts, || 0);
        let judged = other.body(BodyForm::AvroBatch, &body).expect("a body");
        assert_eq!(judged.refused[0].error.code, "wrong_source");
        body.pop();
        let judged = ours.body(BodyForm::AvroBatch, &body).expect("a body");
        assert_eq!(judged.refused[0].error.code, "truncated");
    }

    #[test]
    fn what_is_no_body_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let judge = judge(folder.path());
        let check = |form, body: &[u8], expected: &str| match judge.body(form, body) {
            Err(BodyError::Malformed { code, .. }) => assert_eq!(code, expected),
            _ => panic!("{expected}"),
        };
        check(BodyForm::Json, b"[1,", "bad_json");
        check(BodyForm::Json, b"\xff\xfe{", "not_utf8");
        check(BodyForm::Json, b"[]", "empty");
        check(BodyForm::Ndjson, b"\n\n", "empty");
        check(BodyForm::AvroBatch, b"", "empty");
        let many = format!("[{}1]", "1,".repeat(EVENTS_MAX));
        let judged = judge.body(BodyForm::Json, many.as_bytes());
        assert!(matches!(judged, Err(BodyError::TooLarge(_))));
    }
}
