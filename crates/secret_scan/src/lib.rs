//! Notices secrets where none may stand.
//!
//! Promises: what is recognisably a credential is refused wherever a caller can have a text
//! recorded, so that it never reaches a store, a quarantine or a log. Where the id of a token
//! belongs, one must stand. Every text of a statement or of a personal record goes through one
//! door, which the compiler makes whole (`fields`).
//!
//! Assumes nothing beyond form: a mark that an issuer gives its secrets for exactly this purpose, a
//! JOSE header, a scheme of HTTP, or a name that says what follows (`formats`, `shapes`). It
//! is found in any case of its letters, behind `was:` or `jwt_`, percent-encoded, with escapes or
//! with characters in it that nobody sees.
//!
//! Refuses nothing else: a value without a mark cannot be told from an id. Those formats are listed
//! in docs/explanation/trust.md; adapters keep them out.

mod alphabets;
mod door;
mod fields;
mod formats;
mod issuers;
mod marks;
mod scan;
mod shapes;
#[cfg(test)]
mod tests;

pub use door::{
    Refusal, SECRET_REFUSED, check_attachment, check_record, check_statement, check_text,
    may_be_kept, may_name_secret,
};
pub use scan::{holds_secret, may_hold_secret};
