//! From a JSON event to a statement with its personal records and attachments.
//!
//! Promises: a draft has every commitment of its records. [`check_form`] judges whatever can be
//! judged of a statement without knowing who sends it.

use ledgerline_api::statement as said;
use ledgerline_proof::entry::MAX_STATEMENT_BYTES;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::statement::{Personal, Statement};
use ledgerline_secret_scan::{check_record, check_statement};

use crate::json::JsonEvent;
use crate::{EventError, effect, refused};

/// A statement that a JSON event became, and what travels beside it.
pub struct Draft<'e> {
    /// The statement, its commitments included.
    pub statement: Statement<'e>,
    /// The personal records, single-object bytes.
    pub records: Vec<Vec<u8>>,
    /// Digest, media type and bytes of each attachment.
    pub attachments: Vec<(Hash, &'e str, Vec<u8>)>,
}

impl<'e> Draft<'e> {
    /// Of an event. `salt` gives each record its salt: 32 bytes that nobody can guess, never those
    /// of another record. It is told the statement so far, the place of the record, and the record
    /// with a salt of zeros.
    ///
    /// # Errors
    /// The first field that cannot be taken over.
    pub fn of(
        event: &'e JsonEvent<'_>,
        tenant: &'e str,
        source: &'e str,
        salt: &mut dyn FnMut(&Statement<'_>, usize, &PersonalRecord<'_>) -> [u8; 32],
    ) -> Result<Self, EventError> {
        let mut statement = event.statement(tenant, source)?;
        let mut records = Vec::with_capacity(event.personal.len());
        for (place, personal) in event.personal.iter().enumerate() {
            let mut record = said::record(personal, [0; 32]);
            record.validate().map_err(|error| refused(error.code(), &error))?;
            record.salt = salt(&statement, place, &record);
            let bytes = encode_object(Kind::Personal, &record);
            let role = said::role(personal)?;
            statement.personal.push(Personal { role, commitment: commitment(&bytes) });
            records.push(bytes);
        }
        let attachments = event.attachments.iter().map(said::attached);
        let attachments = attachments.collect::<Result<_, _>>()?;
        Ok(Self { statement, records, attachments })
    }

    /// The statement, single-object encoded: what is signed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        encode_object(Kind::Statement, &self.statement)
    }
}

/// Judges a statement by its form: limits, what has an effect. `bytes` are its encoding.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_limits(statement: &Statement<'_>, bytes: &[u8]) -> Result<(), EventError> {
    statement.validate().map_err(|error| refused(error.code(), &error))?;
    if bytes.len() > MAX_STATEMENT_BYTES {
        let detail = format!("a statement has at most {MAX_STATEMENT_BYTES} bytes");
        return Err(EventError::new("entry_too_large", detail));
    }
    Ok(())
}

/// Judges what a statement and its records say: nothing without effect, nothing that looks like a
/// secret.
///
/// # Errors
/// `no_effect`, `secret_refused`, `bad_field`.
pub fn check_words(
    statement: &Statement<'_>,
    bytes: &[u8],
    records: &[impl AsRef<[u8]>],
) -> Result<(), EventError> {
    check_statement(statement, bytes)?;
    Ok(records.iter().try_for_each(|record| check_record(record.as_ref()))?)
}

/// Judges whatever of a statement can be judged without knowing who sends it.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_form(
    statement: &Statement<'_>,
    bytes: &[u8],
    records: &[impl AsRef<[u8]>],
) -> Result<(), EventError> {
    check_limits(statement, bytes)?;
    check_effect(statement)?;
    check_words(statement, bytes, records)
}

/// Refuses what would change nothing although it reads as if it did.
///
/// # Errors
/// `no_effect`, with what would have one.
pub fn check_effect(statement: &Statement<'_>) -> Result<(), EventError> {
    effect::check(statement)
}
