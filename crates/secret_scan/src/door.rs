//! The door: what a caller wants recorded passes here, or is refused.
//!
//! Promises: a refusal names the field where that helps, and repeats nothing of it.

use ledgerline_proof::personal::PersonalRecord;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;

use crate::fields::{self, Text};
use crate::scan::{chosen_part, holds_secret, is_token_id, may_hold_secret};

/// The code of whatever holds what looks like a secret.
pub const SECRET_REFUSED: &str = "secret_refused";

/// Why something may not be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// Stable code.
    pub code: &'static str,
    /// What to do about it; never a value of the input.
    pub detail: String,
}

impl Refusal {
    fn new(code: &'static str, detail: String) -> Self {
        Self { code, detail }
    }
}

fn secret(detail: &str) -> Refusal {
    Refusal::new(SECRET_REFUSED, detail.to_owned())
}

/// Judges one text.
fn judge(text: Text<'_>) -> Result<(), Refusal> {
    let held = match text {
        Text::TokenId(field, id) => {
            check_id(field, id)?;
            holds_secret(chosen_part(id).as_bytes())
        }
        Text::Free(text) => holds_secret(text.as_bytes()),
        Text::Pair(name, value) => {
            // The name may be what says it: `access_token` and its value.
            holds_secret(name.as_bytes())
                || holds_secret(value.as_bytes())
                || holds_secret(format!("{name}={value}").as_bytes())
        }
    };
    if held {
        return Err(secret("the event carries what looks like a bearer value; send its token id"));
    }
    Ok(())
}

fn check_id(field: &'static str, id: &str) -> Result<(), Refusal> {
    if is_token_id(id) {
        return Ok(());
    }
    let detail = format!("`{field}`: is not a token id (region:issuer:form:value)");
    Err(Refusal::new("bad_field", detail))
}

/// Judges every text of a statement. `bytes` are its encoding.
///
/// # Errors
/// `bad_field` for what must be a token's id and is none; `secret_refused`.
pub fn check_statement(statement: &Statement<'_>, bytes: &[u8]) -> Result<(), Refusal> {
    let ids = statement.also_known_as.iter().map(|id| ("also_known_as", *id));
    let links = statement.links.iter().filter_map(|link| link.token);
    for (field, id) in ids.chain(links.map(|id| ("links.token_id", id))) {
        check_id(field, id)?;
    }
    if may_hold_secret(bytes) {
        return fields::of_statement(statement, &mut judge);
    }
    judge_named(statement.detail.iter().map(|one| (one.key, one.value)))
}

/// Judges values together with their names, where no text by itself holds a secret and one of the
/// names may be what says it.
fn judge_named<'t>(pairs: impl Iterator<Item = (&'t str, &'t str)> + Clone) -> Result<(), Refusal> {
    if !pairs.clone().any(|(name, _)| may_name_secret(name)) {
        return Ok(());
    }
    pairs.into_iter().try_for_each(|(name, value)| judge(Text::Pair(name, value)))
}

/// Whether a name and its value together may say what neither says alone.
#[must_use]
pub fn may_name_secret(name: &str) -> bool {
    const WORDS: &[&str] = &["token", "secret", "key", "passw", "pwd", "code", "assertion", "sig"];
    WORDS.iter().any(|word| {
        let mut windows = name.as_bytes().windows(word.len());
        windows.any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// Judges every text of a personal record.
///
/// # Errors
/// `secret_refused`; what the record's decoding says.
pub fn check_record(bytes: &[u8]) -> Result<(), Refusal> {
    let record: PersonalRecord<'_> = decode_object(Kind::Personal, bytes)
        .map_err(|error| Refusal::new(error.code(), error.to_string()))?;
    if may_hold_secret(bytes) {
        return fields::of_record(&record, &mut judge);
    }
    judge_named(record.attributes.iter().map(|one| (one.key, one.value)))
}

/// Judges what travels beside an event.
///
/// # Errors
/// `bad_field` for what is no media type, `secret_refused`.
pub fn check_attachment(media_type: &str, data: &[u8]) -> Result<(), Refusal> {
    let word = |text: &str| {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !text.is_empty() && text.bytes().all(sign)
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let is_type = essence.split_once('/').is_some_and(|(kind, of)| word(kind) && word(of));
    if !is_type || media_type.chars().any(char::is_control) {
        let detail = "an attachment's media type is type/subtype, such as application/json";
        return Err(Refusal::new("bad_field", detail.to_owned()));
    }
    if holds_secret(media_type.as_bytes()) || holds_secret(data) {
        return Err(secret("an attachment carries what looks like a secret; take it out"));
    }
    Ok(())
}

/// Judges a text by itself: a reason, a note, a purpose.
///
/// # Errors
/// `secret_refused`.
pub fn check_text(text: &str) -> Result<(), Refusal> {
    let detail = "the text holds what looks like a token or a secret; the ledger never takes one";
    judge(Text::Free(text)).map_err(|_| secret(detail))
}

/// Whether a refused statement may be kept for whoever looks into the refusal: not when any of it
/// may be the secret for which it was refused.
#[must_use]
pub fn may_be_kept(code: &str, bytes: &[u8]) -> bool {
    if matches!(code, SECRET_REFUSED | "weak_salt") {
        return false;
    }
    match decode_object::<Statement<'_>>(Kind::Statement, bytes) {
        Ok(statement) => fields::of_statement(&statement, &mut judge).is_ok(),
        Err(_) => !may_hold_secret(bytes),
    }
}
