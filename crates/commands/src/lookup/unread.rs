//! A token that the ledger knows, and has more about than one answer may read.
//!
//! Promises: its ids are named, with what can be done. Whoever ends tokens ends it as far as it is
//! read ([`even_unread`]); no other command has an answer about it.

use std::fmt;

use ledgerline_api::triage::TriagedToken;

use super::{Meant, Named, several};
use ledgerline_terminal::exit::Failure;

/// The token, and the ids under which it is known.
#[derive(Debug)]
pub struct Unread {
    token: String,
    ids: Vec<String>,
}

impl Unread {
    /// Of the answers about one token.
    #[must_use]
    pub fn new(token: &str, answers: &[&TriagedToken<'static>]) -> Self {
        let ids = several::records(answers).into_iter().map(|one| one.token_id.into_owned());
        Self { token: token.to_owned(), ids: ids.collect() }
    }

    fn named(&self) -> Option<Named> {
        let (id, others) = self.ids.split_first()?;
        let (token, others) = (Some(self.token.clone()), others.to_vec());
        Some(Named { id: id.clone(), others, token, ..Named::default() })
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = "has more about it than one answer may read";
        match &self.ids[..] {
            [] => write!(out, "INCOMPLETE: the ledger knows this token, and {more}"),
            [first, ..] => write!(
                out,
                "INCOMPLETE: the ledger knows this token, and {more}: {}. End what is read of it \
                 with `ledgerline revoke {first}`, look at that with `ledgerline trace {first}`",
                self.ids.join(", ")
            ),
        }
    }
}

impl std::error::Error for Unread {}

/// What an argument means to whoever ends tokens: also one that cannot be read to its end.
///
/// # Errors
/// As it was.
pub fn even_unread(meant: Result<Meant, Failure>) -> Result<Meant, Failure> {
    let named = |failure: &Failure| failure.error.downcast_ref::<Unread>()?.named();
    match meant {
        Err(failure) => match named(&failure) {
            Some(named) => Ok(Meant::Token(Box::new(named))),
            None => Err(failure),
        },
        meant => meant,
    }
}
