//! Takes a body apart and gives each event its verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_index::TermHasher;
use ledgerline_journal::quarantine::Quarantine;
use ledgerline_journal::streams::StreamMark;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::schema::{Kind, decode_object, encode_object};
use ledgerline_proof::signature::{Alg, SignatureBatch, StatementKey};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::submission::{Batch, Submission};
use ledgerline_statements::json;
use ledgerline_statements::lines::{is_blank, ndjson_lines, what_is_not_utf8, without_mark};
use ledgerline_statements::written::{WrittenSubmission, is_submission};
use ledgerline_vault::Vault;
use ledgerline_view::registry::{Caller, Key, Registry};
use ledgerline_world::clock::Clock;
use ledgerline_world::entropy::{Entropy, random};
use serde_json::value::RawValue;

use super::salts::Salts;
use super::{ActPart, Attested, EventAnswer, EventError, PendingEvent, secret_scan};

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

/// What one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeLimits {
    /// Longest body, in bytes.
    pub body_bytes: usize,
    /// Most events of one body.
    pub event_count: usize,
}

impl Default for IntakeLimits {
    fn default() -> Self {
        Self { body_bytes: 16 << 20, event_count: 10_000 }
    }
}

/// Why a whole submission was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The body is too long or has too many events.
    #[error("{0}")]
    TooLarge(String),
    /// The body's own frame cannot be read.
    #[error("{detail}")]
    Malformed {
        /// Stable code.
        code: &'static str,
        /// What to do.
        detail: String,
    },
    /// The credential may not submit events.
    #[error("the credential does not have the role producer")]
    Forbidden,
    /// The queue is full.
    #[error("the ledger is busy; try again in {retry_after_ms} ms")]
    Busy {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The ledger waits for something to pass, and goes on by itself.
    #[error("the ledger takes no events now: {why}")]
    Paused {
        /// Why.
        why: String,
    },
    /// The ledger takes nothing more.
    #[error("the ledger does not take events: {why}")]
    Stopped {
        /// Why.
        why: String,
    },
}

impl SubmitError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "body_too_large",
            Self::Malformed { code, .. } => code,
            Self::Forbidden => "forbidden",
            Self::Busy { .. } => "busy",
            Self::Paused { .. } => "not_ready",
            Self::Stopped { .. } => "stopped",
        }
    }
}

/// Events that stand or fall together, each with the position of its answer in the submission.
#[derive(Debug)]
pub enum Unit {
    /// An event by itself. Boxed: it is large, and handed on several times.
    One(usize, Box<PendingEvent>),
    /// The parts of an act.
    Act(Vec<(usize, Box<PendingEvent>)>),
}

impl Unit {
    /// Bytes that waiting for it takes, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::One(_, event) => event.weight(),
            Self::Act(parts) => parts.iter().map(|(_, event)| event.weight()).sum(),
        }
    }

    fn first_position(&self) -> usize {
        match self {
            Self::One(position, _) => *position,
            Self::Act(parts) => parts.first().map_or(0, |(position, _)| *position),
        }
    }
}

/// A body taken apart: the units to record, and the answers already known.
#[derive(Debug)]
pub struct Accepted {
    /// The credential that submitted it.
    pub credential: Arc<str>,
    /// Whether it was a single JSON event.
    pub lone: bool,
    /// What waits for the sequencer.
    pub units: Vec<Unit>,
    /// One place per event; refusals are filled in.
    pub answers: Vec<Option<EventAnswer>>,
    /// How far the streams it was read from are read with it. Empty for what callers send.
    pub streams: Vec<StreamMark>,
}

/// The room. Shared between the threads of callers.
pub struct Intake {
    pub(super) terms: Arc<TermHasher>,
    pub(super) vault: Arc<Vault>,
    pub(super) registry: Arc<Registry>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) genesis: Hash,
    pub(super) origins: Vec<Arc<str>>,
    pub(super) clock: Arc<dyn Clock>,
    quarantine: Quarantine,
    sibling_deployments: Vec<String>,
    limits: IntakeLimits,
    strict_sources: Vec<String>,
    pub(super) salts: Salts,
}

/// What an intake is made of.
pub struct IntakeParts {
    /// Hashes index terms.
    pub terms: Arc<TermHasher>,
    /// Seals personal records.
    pub vault: Arc<Vault>,
    /// Keys and grants.
    pub registry: Arc<Registry>,
    /// When something was refused.
    pub clock: Arc<dyn Clock>,
    /// Where refused statements are kept.
    pub quarantine: Quarantine,
    /// Salts, nonces, blinds.
    pub entropy: Arc<dyn Entropy>,
    /// Event hash of the genesis leaf.
    pub genesis: Hash,
    /// The checkpoint origins whose checkpoints producers may have seen: this one and those before.
    pub origins: Vec<Arc<str>>,
    /// Other deployments whose statements are told apart from forged ones.
    pub sibling_deployments: Vec<String>,
    /// Limits of one request.
    pub limits: IntakeLimits,
    /// Sources whose events are refused when they violate the lifecycle of their token.
    pub strict_sources: Vec<String>,
}

/// One event of a body, or why it is none.
pub(super) type Built = Result<Box<PendingEvent>, (Option<[u8; 16]>, EventError)>;

impl Intake {
    /// Puts the room together.
    #[must_use]
    pub fn new(parts: IntakeParts) -> Self {
        let IntakeParts { terms, vault, registry, clock, quarantine, entropy, .. } = parts;
        let IntakeParts { genesis, origins, sibling_deployments, limits, strict_sources, .. } =
            parts;
        let salts = Salts::new(random(entropy.as_ref()));
        Self {
            terms,
            vault,
            registry,
            entropy,
            genesis,
            origins,
            clock,
            quarantine,
            sibling_deployments,
            limits,
            strict_sources,
            salts,
        }
    }

    /// Takes a body apart, judges every event and seals what is personal.
    ///
    /// # Errors
    /// [`SubmitError`] when nothing of the body can be taken.
    pub fn accept(
        &self,
        caller: &Caller,
        form: BodyForm,
        body: &[u8],
    ) -> Result<Accepted, SubmitError> {
        if !caller.roles().has(ledgerline_view::registry::Roles::PRODUCER) {
            return Err(SubmitError::Forbidden);
        }
        if body.len() > self.limits.body_bytes {
            let limit = self.limits.body_bytes;
            return Err(SubmitError::TooLarge(format!("a body has at most {limit} bytes")));
        }
        let mut accepted = match form {
            BodyForm::Json => self.accept_json(caller, body),
            BodyForm::Ndjson => self.accept_ndjson(caller, body),
            BodyForm::AvroBatch => self.accept_avro(caller, body),
        }?;
        let source = |source: &String| source == caller.source();
        let of_caller = caller.key.grant.strict || self.strict_sources.iter().any(source);
        let mark = |event: &mut PendingEvent| {
            let signature = event.signature.as_ref();
            event.strict = of_caller || signature.is_some_and(|one| one.key.grant.strict);
        };
        for unit in &mut accepted.units {
            match unit {
                Unit::One(_, event) => mark(event),
                Unit::Act(parts) => parts.iter_mut().for_each(|(_, event)| mark(event)),
            }
        }
        Ok(accepted)
    }

    fn accept_json(&self, caller: &Caller, body: &[u8]) -> Result<Accepted, SubmitError> {
        let text = std::str::from_utf8(without_mark(body))
            .map_err(|_| malformed("not_utf8", what_is_not_utf8("the body", body)))?;
        if text.trim_start().starts_with('{') {
            let built = vec![self.build_json_text(caller, text)];
            return self.group(caller, true, built);
        }
        let events: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let place = format!("line {line} column {column}");
            malformed("bad_json", format!("the body is not a JSON event or array at {place}"))
        })?;
        self.check_count(events.len())?;
        let built = events.iter().map(|event| self.build_json_text(caller, event.get()));
        self.group(caller, false, built.collect())
    }

    fn accept_ndjson(&self, caller: &Caller, body: &[u8]) -> Result<Accepted, SubmitError> {
        let lines: Vec<&[u8]> =
            ndjson_lines(body).map(|(_, line)| line).filter(|line| !is_blank(line)).collect();
        self.check_count(lines.len())?;
        let built = lines.iter().map(|line| match std::str::from_utf8(line) {
            Ok(text) => self.build_json_text(caller, text),
            Err(_) => {
                let error = EventError::new("not_utf8", what_is_not_utf8("the line", line));
                Err((None, error))
            }
        });
        self.group(caller, false, built.collect())
    }

    fn accept_avro(&self, caller: &Caller, body: &[u8]) -> Result<Accepted, SubmitError> {
        let mut submissions = Vec::new();
        for frame in Batch::new(body) {
            self.check_count(submissions.len() + 1)?;
            submissions.push(frame.and_then(Submission::decode));
        }
        let judged = self.all_signatures_hold(submissions.iter().flatten());
        let built = submissions.iter().map(|submission| match submission {
            Ok(submission) => self.build_judged(caller, submission, judged),
            Err(error) => Err((None, EventError::new(error.code(), error.to_string()))),
        });
        let built = built.collect();
        self.group(caller, false, built)
    }

    fn check_count(&self, count: usize) -> Result<(), SubmitError> {
        let limit = self.limits.event_count;
        if count > limit {
            return Err(SubmitError::TooLarge(format!("a body has at most {limit} events")));
        }
        Ok(())
    }

    fn build_json_text(&self, caller: &Caller, text: &str) -> Built {
        if is_submission(text) {
            return self.build_json_submission(caller, text);
        }
        let mut event = json::parse(text)
            .map_err(|error| (json::id_of(text, caller.own_tenant(), caller.source()), error))?;
        let built = event.amend().and_then(|()| match self.build_json(caller, &event) {
            // Once more without the long texts, of which none may be the reason to lose it.
            Err(error) if error.code == "entry_too_large" && event.amend_free_text()? => {
                self.build_json(caller, &event)
            }
            built => built,
        });
        built.map_err(|error| {
            let (tenant, source) = (caller.own_tenant(), caller.source());
            let statement = event.statement(tenant, source).ok();
            let bytes = statement.as_ref().map(|one| encode_object(Kind::Statement, one));
            self.set_aside(caller, &error, bytes.as_deref());
            let id = statement.map(|statement| statement.event_id);
            (id.or_else(|| json::id_of(text, tenant, source)), error)
        })
    }

    fn build_json_submission(&self, caller: &Caller, text: &str) -> Built {
        let written = WrittenSubmission::read(text).map_err(|error| (None, error))?;
        self.build_judged(caller, &written.submission(), false)
    }

    /// Whether every Ed25519 signature of a batch holds, judged together. False says nothing about
    /// any of them: each is judged alone then.
    fn all_signatures_hold<'s>(
        &self,
        submissions: impl Iterator<Item = &'s Submission<'s>>,
    ) -> bool {
        let mut batch = SignatureBatch::default();
        for submission in submissions {
            let Some(signature) = &submission.signature else { continue };
            let key = self.registry.key(signature.key_id);
            let Some(key) = key.filter(|key| key.alg == Alg::Ed25519.number()) else { continue };
            let Some(statement_key) = &key.statement_key else { return false };
            if !batch.queue(statement_key, submission.statement, signature.value) {
                return false;
            }
        }
        batch.len() > 1 && batch.holds(&mut |buffer| self.entropy.fill(buffer))
    }

    fn build_judged(&self, caller: &Caller, submission: &Submission<'_>, judged: bool) -> Built {
        self.build_submission(caller, submission, judged).map_err(|error| {
            let statement = decode_object::<Statement<'_>>(Kind::Statement, submission.statement);
            self.set_aside(caller, &error, Some(submission.statement));
            (statement.ok().map(|statement| statement.event_id), error)
        })
    }

    /// Keeps a refused statement, but for one that may hold a secret: of that only the refusal.
    fn set_aside(&self, caller: &Caller, error: &EventError, statement: Option<&[u8]>) {
        let statement = statement.filter(|bytes| secret_scan::may_be_kept(error.code, bytes));
        let now = self.clock.wall_nanos();
        self.quarantine.keep(now, caller.key_id(), error.code, statement);
    }

    /// Whether the signature was made for one of the sibling deployments.
    pub(super) fn is_of_another_deployment(
        &self,
        key: &Key,
        statement: &[u8],
        value: &[u8],
    ) -> bool {
        let alg = Alg::from_number(key.alg);
        self.sibling_deployments.iter().any(|deployment| {
            let judge = match alg {
                Some(Alg::HmacSha256) => self
                    .vault
                    .secret(&key.key_id)
                    .ok()
                    .flatten()
                    .map(|secret| StatementKey::hmac(&secret, deployment, &key.key_id)),
                Some(Alg::Ed25519) => key
                    .statement_key
                    .as_ref()
                    .and_then(|known| known.for_deployment(deployment, &key.key_id)),
                None => None,
            };
            judge.is_some_and(|judge| judge.verify(statement, value).is_ok())
        })
    }

    /// Groups the parts of acts and refuses acts that are not whole.
    pub(super) fn group(
        &self,
        caller: &Caller,
        lone: bool,
        built: Vec<Built>,
    ) -> Result<Accepted, SubmitError> {
        if built.is_empty() {
            return Err(malformed("empty", "the body holds no event".into()));
        }
        let mut answers: Vec<Option<EventAnswer>> = Vec::with_capacity(built.len());
        let mut units: Vec<Unit> = Vec::with_capacity(built.len());
        let mut acts: BTreeMap<String, Vec<(usize, ActPart, Box<PendingEvent>)>> = BTreeMap::new();
        for (position, event) in built.into_iter().enumerate() {
            match event {
                Err((event_id, error)) => {
                    answers.push(Some(EventAnswer::refused(event_id, error)));
                    continue;
                }
                Ok(event) => match event.act.clone() {
                    None => units.push(Unit::One(position, event)),
                    Some(part) => {
                        acts.entry(part.id.clone()).or_default().push((position, part, event));
                    }
                },
            }
            answers.push(None);
        }
        for (_, mut parts) in acts {
            parts.sort_by_key(|(position, part, _)| (part.part, *position));
            let whole = parts.len() == usize::try_from(parts[0].1.parts).unwrap_or(0)
                && (0..)
                    .zip(&parts)
                    .all(|(n, (_, part, _))| part.part == n && part.parts == parts[0].1.parts);
            if whole {
                let parts = parts.into_iter().map(|(position, _, event)| (position, event));
                units.push(Unit::Act(parts.collect()));
                continue;
            }
            for (position, _, event) in parts {
                let detail = "all parts of an act must come once each, valid, in one request";
                let error = EventError::new("act_incomplete", detail.into());
                answers[position] = Some(EventAnswer::refused(Some(event.event_id), error));
            }
        }
        units.sort_by_key(Unit::first_position);
        let credential = Arc::clone(caller.key_id());
        Ok(Accepted { credential, lone, units, answers, streams: Vec::new() })
    }
}

fn malformed(code: &'static str, detail: String) -> SubmitError {
    SubmitError::Malformed { code, detail }
}

impl PendingEvent {
    /// On whose word it stands.
    #[must_use]
    pub fn attested(&self) -> Attested {
        if self.signature.is_some() { Attested::Signature } else { Attested::Credential }
    }
}
