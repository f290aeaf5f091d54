//! Turns a parsed event into one that waits for its index: commitments, handles, sealing, terms.

use ledgerline_index::{EventSpan, terms};
use ledgerline_journal::format::{AttachmentRecord, SealedRecord};
use ledgerline_proof::chain::chain_key;
use ledgerline_proof::entry::{Handle, MAX_SIGNATURE_BYTES};
use ledgerline_proof::event_id::uuid_v7_millis;
use ledgerline_proof::hash::sha256;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::signature::Alg;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::submission::{Attachment, Submission};
use ledgerline_proof::vocabulary::{HandleKind, KeyPurpose, PersonalRole};
use ledgerline_statements::beside::check_attachments;
use ledgerline_statements::drafted::{Draft, check_effect, check_limits, check_words};
use ledgerline_statements::json::JsonEvent;
use ledgerline_vault::{Slot, Vault, VaultError};
use ledgerline_view::registry::{ALL_TENANTS, Caller, Key};
use ledgerline_world::entropy::random;

use super::{ActPart, EventError, Intake, PendingEvent, PendingSignature};

impl Intake {
    /// An unsigned JSON event.
    pub(super) fn build_json(
        &self,
        caller: &Caller,
        event: &JsonEvent<'_>,
    ) -> Result<Box<PendingEvent>, EventError> {
        if caller.key.grant.signed_only {
            let detail = "this credential's grant takes signed statements only".into();
            return Err(EventError::new("signature_required", detail));
        }
        let mut salt = |_: &Statement<'_>, _, _: &PersonalRecord<'_>| random(self.entropy.as_ref());
        let draft = Draft::of(event, caller.own_tenant(), caller.source(), &mut salt)?;
        let bytes = draft.bytes();
        let Draft { statement, records, attachments } = draft;
        let attachments = attachments.into_iter().map(|(digest, media_type, data)| {
            AttachmentRecord { digest, media_type: media_type.to_owned(), data }
        });
        let attachments = attachments.collect();
        self.build(caller, &statement, &bytes, None, records, attachments)
    }

    /// A submission in Avro form, signed or not. `judged` says that its Ed25519 signature, if that
    /// is what it has, was found good in a batch.
    pub(super) fn build_submission(
        &self,
        caller: &Caller,
        submission: &Submission<'_>,
        judged: bool,
    ) -> Result<Box<PendingEvent>, EventError> {
        let statement: Statement<'_> = decode_object(Kind::Statement, submission.statement)
            .map_err(|error| refused(error.code(), &error))?;
        let signature = self.judge(caller, &statement, submission, judged)?;
        if submission.personal.len() != statement.personal.len() {
            let detail = "the personal records are not as many as the statement's commitments";
            return Err(EventError::new("commitment_mismatch", detail.into()));
        }
        for (bytes, personal) in submission.personal.iter().zip(&statement.personal) {
            let record: PersonalRecord<'_> = decode_object(Kind::Personal, bytes)
                .map_err(|error| refused(error.code(), &error))?;
            record.validate().map_err(|error| refused(error.code(), &error))?;
            if commitment(bytes) != personal.commitment {
                let detail = "a personal record does not open the statement's commitment";
                return Err(EventError::new("commitment_mismatch", detail.into()));
            }
            self.salts.check(statement.tenant, &record.salt, &personal.commitment)?;
        }
        let attached = submission.attachments.iter().map(|one| AttachmentRecord {
            digest: one.digest,
            media_type: one.media_type.to_owned(),
            data: one.data.to_vec(),
        });
        let attached = attached.collect();
        let records = submission.personal.iter().map(|record| record.to_vec()).collect();
        self.build(caller, &statement, submission.statement, signature, records, attached)
    }

    /// Judges a submission's signature against the key it names.
    fn judge(
        &self,
        caller: &Caller,
        statement: &Statement<'_>,
        submission: &Submission<'_>,
        judged: bool,
    ) -> Result<Option<PendingSignature>, EventError> {
        let Some(signature) = &submission.signature else {
            if caller.key.grant.signed_only {
                let detail = "this credential's grant takes signed statements only".into();
                return Err(EventError::new("signature_required", detail));
            }
            return Ok(None);
        };
        let error = |code, detail: &str| Err(EventError::new(code, detail.to_owned()));
        let key = self.registry.key(signature.key_id);
        // Another tenant's key is as unknown as none: it is not this caller's to know.
        let may_know = |key: &Key| caller.may_see(&key.tenant) || &*key.tenant == ALL_TENANTS;
        let key = key.filter(|key| key.purpose == KeyPurpose::Producer && may_know(key));
        let Some(key) = key else {
            return error("unknown_key", "no producer key with this key_id is registered");
        };
        if key.valid_until.is_some() {
            return error("retired_key", "this producer key was retired");
        }
        if signature.alg != key.alg || Alg::from_number(signature.alg).is_none() {
            return error("wrong_alg", "the signature's alg is not that of the registered key");
        }
        if signature.value.len() > MAX_SIGNATURE_BYTES {
            return error("bad_signature", "the signature value is longer than 8 KiB");
        }
        key.check_grant(statement).map_err(|error| refused(error.code(), &error))?;
        key.check_aliases(statement).map_err(|error| refused(error.code(), &error))?;
        let Some(statement_key) = &key.statement_key else {
            return error("key_unavailable", "the secret of this key is not at hand");
        };
        let judged = judged && key.alg == Alg::Ed25519.number();
        if !judged && statement_key.verify(submission.statement, signature.value).is_err() {
            return if self.is_of_another_deployment(&key, submission.statement, signature.value) {
                error("wrong_deployment", "the statement was signed for another deployment")
            } else {
                error("bad_signature", "the signature does not fit statement, key and deployment")
            };
        }
        let value = signature.value.to_vec();
        Ok(Some(PendingSignature { alg: signature.alg, key, value }))
    }

    /// Everything that all forms share.
    pub(super) fn build(
        &self,
        caller: &Caller,
        statement: &Statement<'_>,
        bytes: &[u8],
        signature: Option<PendingSignature>,
        records: Vec<Vec<u8>>,
        attachments: Vec<AttachmentRecord>,
    ) -> Result<Box<PendingEvent>, EventError> {
        self.admit(caller, statement, bytes)?;
        check_effect(statement)?;
        let signer = signature.as_ref().map(|signature| &signature.key);
        for key in [&caller.key].into_iter().chain(signer) {
            key.check_own_words(statement).map_err(|error| refused(error.code(), &error))?;
        }
        check_words(statement, bytes, &records)?;
        let beside = attachments.iter().map(|one| Attachment {
            digest: one.digest,
            media_type: &one.media_type,
            data: &one.data,
        });
        check_attachments(statement, beside)?;
        let (handles, sealed) = self.seal(statement, bytes, &records)?;
        self.finish(
            statement,
            bytes,
            signature,
            Some(caller),
            handles,
            sealed,
            records,
            attachments,
        )
    }

    /// A statement of the ledger's in a caller's name, about a token that it holds: its id may be
    /// one that would not be taken today.
    pub(super) fn build_of_known(
        &self,
        caller: &Caller,
        statement: &Statement<'_>,
        bytes: &[u8],
    ) -> Result<Box<PendingEvent>, EventError> {
        self.admit(caller, statement, bytes)?;
        let (handles, sealed, records, beside) = Default::default();
        self.finish(statement, bytes, None, Some(caller), handles, sealed, records, beside)
    }

    /// Whether the caller may write this statement, and it fits.
    fn admit(
        &self,
        caller: &Caller,
        statement: &Statement<'_>,
        bytes: &[u8],
    ) -> Result<(), EventError> {
        check_limits(statement, bytes)?;
        caller.key.check_grant(statement).map_err(|error| refused(error.code(), &error))?;
        caller.key.check_aliases(statement).map_err(|error| refused(error.code(), &error))?;
        let knows = |name: &str| self.origins.iter().any(|one| &**one == name);
        if statement.seen.as_ref().is_some_and(|seen| !knows(seen.origin)) {
            let detail = "`seen` names a checkpoint of another origin".into();
            return Err(EventError::new("wrong_deployment", detail));
        }
        Ok(())
    }

    /// The last step, shared with the ledger's own statements.
    #[expect(clippy::too_many_arguments, reason = "one call site per form, each names all parts")]
    pub(super) fn finish(
        &self,
        statement: &Statement<'_>,
        bytes: &[u8],
        signature: Option<PendingSignature>,
        caller: Option<&Caller>,
        handles: Vec<Handle>,
        sealed: Vec<SealedRecord>,
        records: Vec<Vec<u8>>,
        attachments: Vec<AttachmentRecord>,
    ) -> Result<Box<PendingEvent>, EventError> {
        let Some(chain) = chain_key(statement, &handles) else {
            let detail = "a SUBJECT target needs exactly one SUBJECT personal record with user_id";
            return Err(EventError::new("missing_target", detail.into()));
        };
        let blind = signature.is_none() && statement.personal.is_empty();
        Ok(Box::new(PendingEvent {
            event_id: statement.event_id,
            statement: bytes.to_vec(),
            signature,
            credential: caller.map(|caller| caller.key_id().clone()),
            event_term: terms::event_term(
                &self.terms,
                statement.tenant,
                statement.source,
                &statement.event_id,
            ),
            uuid_millis: uuid_v7_millis(&statement.event_id),
            chain_term: terms::chain_term(&self.terms, &chain),
            terms: terms::terms_of(&self.terms, statement, &handles),
            first_term: terms::first_term(&self.terms, statement),
            chain_start: chain.start(&self.genesis),
            occurred_at: statement.occurred_at,
            span: EventSpan::of(statement),
            blind: blind.then(|| random(self.entropy.as_ref())),
            act: statement.act.as_ref().map(ActPart::from),
            erases: None,
            strict: false,
            is_use: statement.is_use(),
            handles,
            sealed,
            records,
            attachments,
        }))
    }

    /// One of the ledger's own statements, which needs no judging.
    ///
    /// # Panics
    /// When the statement has no chain: the ledger's own always have.
    #[must_use]
    pub fn own(
        &self,
        statement: &Statement<'_>,
        bytes: &[u8],
        handles: Vec<Handle>,
    ) -> Box<PendingEvent> {
        let (sealed, records, attachments) = (Vec::new(), Vec::new(), Vec::new());
        self.finish(statement, bytes, None, None, handles, sealed, records, attachments)
            .expect("the ledger's own statements have a chain")
    }

    /// Seals the records and names what they hold by handles.
    fn seal(
        &self,
        statement: &Statement<'_>,
        bytes: &[u8],
        records: &[Vec<u8>],
    ) -> Result<(Vec<Handle>, Vec<SealedRecord>), EventError> {
        if records.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let statement_hash = sha256(bytes);
        let decoded: Vec<PersonalRecord<'_>> = records
            .iter()
            .map(|record| decode_object(Kind::Personal, record))
            .collect::<Result<_, _>>()
            .map_err(|error| refused(error.code(), &error))?;
        let slots = self.slots(statement, &decoded).map_err(|error| unavailable(&error))?;
        let mut handles = Vec::new();
        let mut sealed = Vec::with_capacity(records.len());
        for (n, (slot, record)) in slots.iter().zip(&decoded).enumerate() {
            let role = statement.personal[n].role;
            self.name(statement.tenant, role, slot, record, &mut handles);
            let number = u8::try_from(n).map_err(|_| too_many_records())?;
            let nonce = random(self.entropy.as_ref());
            let sealed_bytes = self.vault.seal(slot, number, &statement_hash, &records[n], nonce);
            let slot = slot.handle;
            sealed.push(SealedRecord { n: number, slot, sealed: sealed_bytes, erased: false });
        }
        Ok((handles, sealed))
    }

    /// The slot of each record: its own person's; else the event's subject's; else one of the
    /// chain's own.
    fn slots(
        &self,
        statement: &Statement<'_>,
        records: &[PersonalRecord<'_>],
    ) -> Result<Vec<Slot>, VaultError> {
        let issuer = statement.issuer.unwrap_or("");
        let tenant = statement.tenant;
        let person = |user: &str| self.vault.person(tenant, issuer, user);
        let subject = statement
            .personal
            .iter()
            .zip(records)
            .find(|(personal, record)| {
                personal.role == PersonalRole::Subject && record.user_id.is_some()
            })
            .and_then(|(_, record)| record.user_id);
        let mut slots = Vec::with_capacity(records.len());
        for record in records {
            slots.push(match record.user_id.or(subject) {
                Some(user) => person(user)?,
                None => self.vault.chain_slot(&chain_slot_id(statement))?,
            });
        }
        Ok(slots)
    }

    /// Appends the handles of one record, each (role, kind, id) once.
    fn name(
        &self,
        tenant: &str,
        role: PersonalRole,
        slot: &Slot,
        record: &PersonalRecord<'_>,
        handles: &mut Vec<Handle>,
    ) {
        let mut add = |kind, id| {
            let handle = Handle { role, kind, id };
            let person = kind == HandleKind::Person;
            let known =
                |one: &Handle| *one == handle || (person && one.kind == kind && one.id == id);
            if !handles.iter().any(known) {
                handles.push(handle);
            }
        };
        add(HandleKind::Person, slot.handle);
        let named = [
            (HandleKind::Addr, record.ip.map(str::to_owned)),
            (HandleKind::Net, record.ip.and_then(Vault::network_of)),
            (HandleKind::Device, record.device.map(str::to_owned)),
            (HandleKind::Agent, record.user_agent.map(str::to_owned)),
            (HandleKind::Resource, record.resource.map(str::to_owned)),
        ];
        for (kind, value) in named {
            if let Some(value) = value {
                add(kind, self.vault.handle(kind, tenant, &value));
            }
        }
    }
}

/// What names the slot of a chain whose person is not known.
#[must_use]
pub fn chain_slot_id(statement: &Statement<'_>) -> Vec<u8> {
    let kind = [statement.target.kind.position()];
    let parts: [&[u8]; 4] =
        [statement.tenant.as_bytes(), &[0], &kind, statement.target.id.as_bytes()];
    parts.concat()
}

fn refused(code: &'static str, why: &dyn std::fmt::Display) -> EventError {
    EventError::new(code, why.to_string())
}

fn too_many_records() -> EventError {
    EventError::new("too_many_items", "an event has at most 255 personal records".into())
}

fn unavailable(error: &VaultError) -> EventError {
    EventError::new("vault_unavailable", format!("personal records cannot be sealed: {error}"))
}
