//! What travels: one event, or the events of one act, in final bytes.
//!
//! ```text
//! in the spool   u8 form (1 JSON, 2 submission) ‖ u8 count ‖ count x 16 bytes event id
//!                ‖ u16 BE length ‖ target ‖ i64 BE emitted at, Unix nanoseconds ‖ body
//! body           JSON: the events, separated by commas
//!                submission: frames of a batch body, see `ledgerline_proof::submission`
//! ```
//!
//! Promises: the bytes of a unit never change, so that it can be sent again: identity, number,
//! time, salts and signature are inside. No batch divides it: the parts of an act stand in one
//! request.

use ledgerline_api::event::Event;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::{MAX_ACT_PARTS, Statement};
use ledgerline_proof::submission::{MAX_SUBMISSION_BYTES, Submission, put_frame};

/// Most events of one unit: the parts of an act.
pub const MAX_UNIT_EVENTS: usize = MAX_ACT_PARTS as usize;
/// Longest body of one unit in bytes.
pub const MAX_UNIT_BYTES: usize = 8 << 20;

/// How the body of a unit is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Events as JSON, attested by the credential.
    Json,
    /// Submissions in Avro, as their producer signed them.
    Submission,
}

/// One event, or the parts of one act.
#[derive(Clone, PartialEq, Eq)]
pub struct Unit {
    form: Form,
    ids: Vec<[u8; 16]>,
    target: String,
    emitted_at: i64,
    body: Vec<u8>,
}

/// Shows no body: personal records are in it.
impl std::fmt::Debug for Unit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (form, count, size) = (self.form, self.ids.len(), self.body.len());
        write!(out, "Unit({form:?}, {count} events, {size} bytes)")
    }
}

/// Why bytes are no unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No event, or more than an act may have.
    #[error("a unit has 1 to {MAX_UNIT_EVENTS} events")]
    Count,
    /// Longer than a unit may be.
    #[error("a unit has at most {MAX_UNIT_BYTES} bytes")]
    TooLong,
    /// Not a submission.
    #[error("not a submission with a statement in it")]
    Submission,
}

impl Unit {
    /// A unit of submissions that are final: each is the single-object encoding of a
    /// [`Submission`]. Several are the parts of one act.
    ///
    /// # Errors
    /// [`UnitError`].
    pub fn submissions(parts: &[impl AsRef<[u8]>], emitted_at: i64) -> Result<Self, UnitError> {
        let mut ids = Vec::with_capacity(parts.len());
        let mut target = String::new();
        let mut body = Vec::new();
        for part in parts {
            let part = part.as_ref();
            let submission: Submission<'_> =
                decode_object(Kind::Submission, part).map_err(|_| UnitError::Submission)?;
            let statement: Statement<'_> = decode_object(Kind::Statement, submission.statement)
                .map_err(|_| UnitError::Submission)?;
            if ids.is_empty() {
                target = statement.target.id.to_owned();
            }
            ids.push(statement.event_id);
            put_frame(&mut body, part).map_err(|_| UnitError::TooLong)?;
        }
        Self::checked(Self { form: Form::Submission, ids, target, emitted_at, body })
    }

    /// A unit of one event as JSON.
    pub(crate) fn json(
        event: &Event<'_>,
        id: [u8; 16],
        emitted_at: i64,
    ) -> Result<Self, UnitError> {
        let body = serde_json::to_vec(event).map_err(|_| UnitError::Submission)?;
        if body.len() > MAX_SUBMISSION_BYTES {
            return Err(UnitError::TooLong);
        }
        let target = event.token_id.as_deref();
        let target = target.or_else(|| event.target.as_ref().map(|target| &*target.id));
        let target = target.unwrap_or_default().chars().take(256).collect();
        Self::checked(Self { form: Form::Json, ids: vec![id], target, emitted_at, body })
    }

    /// Several units of one form as the parts of one act.
    pub(crate) fn act(parts: Vec<Self>) -> Result<Self, UnitError> {
        let mut parts = parts.into_iter();
        let mut whole = parts.next().ok_or(UnitError::Count)?;
        for part in parts {
            if whole.form == Form::Json {
                whole.body.push(b',');
            }
            whole.ids.extend(part.ids);
            whole.body.extend(part.body);
        }
        Self::checked(whole)
    }

    fn checked(self) -> Result<Self, UnitError> {
        if !(1..=MAX_UNIT_EVENTS).contains(&self.ids.len()) {
            return Err(UnitError::Count);
        }
        if self.body.len() > MAX_UNIT_BYTES { Err(UnitError::TooLong) } else { Ok(self) }
    }

    /// How the body is written.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The ids of its events, in order.
    #[must_use]
    pub fn ids(&self) -> &[[u8; 16]] {
        &self.ids
    }

    /// What its first event is about: whoever partitions keeps the units of one target together.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// When it was emitted, Unix nanoseconds.
    #[must_use]
    pub fn emitted_at(&self) -> i64 {
        self.emitted_at
    }

    /// Its bytes in a request.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Bytes that it takes while it waits, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        64 + self.body.len() + self.target.len() + self.ids.len() * 16
    }

    /// As it stands in the spool.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.weight());
        out.push(match self.form {
            Form::Json => 1,
            Form::Submission => 2,
        });
        out.push(u8::try_from(self.ids.len()).expect("an act has at most 64 parts"));
        out.extend(self.ids.iter().flatten());
        let length = u16::try_from(self.target.len()).expect("a target is short");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(self.target.as_bytes());
        out.extend_from_slice(&self.emitted_at.to_be_bytes());
        out.extend_from_slice(&self.body);
        out
    }

    /// From the spool; `None` when it is none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[form, count], rest) = bytes.split_first_chunk()?;
        let form = match form {
            1 => Form::Json,
            2 => Form::Submission,
            _ => return None,
        };
        let (ids, rest) = rest.split_at_checked(usize::from(count) * 16)?;
        let ids = ids.as_chunks().0.to_vec();
        let (length, rest) = rest.split_first_chunk()?;
        let (target, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let target = std::str::from_utf8(target).ok()?.to_owned();
        let (at, body) = rest.split_first_chunk()?;
        let emitted_at = i64::from_be_bytes(*at);
        Self::checked(Self { form, ids, target, emitted_at, body: body.to_vec() }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_reads_back_as_it_was_written() {
        let event = Event { token_id: Some("eu:idp:jti:a".into()), ..Event::default() };
        let one = Unit::json(&event, [7; 16], 42).expect("a unit");
        let act = Unit::act(vec![one.clone(), one.clone()]).expect("an act");
        assert_eq!(act.ids().len(), 2);
        assert_eq!(act.target(), "eu:idp:jti:a");
        let array = [b"[", act.body(), b"]"].concat();
        let both: Vec<Event<'_>> = serde_json::from_slice(&array).expect("an array");
        assert_eq!(both.len(), 2);
        for unit in [one, act] {
            let bytes = unit.encode();
            assert_eq!(Unit::decode(&bytes), Some(unit));
            for end in 0..24 {
                assert_eq!(Unit::decode(&bytes[..end]), None);
            }
        }
        assert_eq!(Unit::decode(&[9, 0, 0]), None);
    }
}
