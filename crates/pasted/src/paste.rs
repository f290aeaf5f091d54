//! Standard input, where tokens are given: as arguments they would stay in the shell's history.
//!
//! Promises: what is too long or empty is refused; notes go to standard error and hold no token.

use std::io::{self, Read as _, Write as _};

use ledgerline_terminal::exit::Failure;
use ledgerline_terminal::render::printable;

use crate::candidates::{Candidates, candidates};
use crate::reading::{Reading, read, shown_text};

/// Longest text read from standard input, in bytes.
const PASTE_BYTES_MAX: u64 = 1 << 20;
/// What of a paste is tried by a key that may not look tokens up.
const TRIED_MAX: usize = 16;

/// Longest token read from standard input, in bytes.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// What was pasted.
pub struct Paste {
    /// The ways to read it, the likeliest first; there is one at least.
    pub readings: Vec<Reading>,
    /// Whatever in it may be a token.
    pub candidates: Candidates,
    /// All of it, without what nobody sees.
    pub text: String,
}

impl Paste {
    /// The tokens to look up, the obvious ones first.
    #[must_use]
    pub fn tokens(&self) -> Vec<&str> {
        let mut tokens: Vec<&str> = Vec::new();
        let read = self.readings.iter().flat_map(|reading| &reading.tokens);
        for token in read.chain(&self.candidates.list) {
            if !tokens.contains(&token.as_str()) {
                tokens.push(token);
            }
        }
        tokens
    }

    /// What to try as the token, the likeliest first, for a key that is told nothing of several.
    ///
    /// # Errors
    /// Usage when there are several tokens.
    pub fn tries(&self) -> Result<impl Iterator<Item = &str>, Failure> {
        only(&self.readings[0])?;
        Ok(self.tokens().into_iter().take(TRIED_MAX))
    }

    /// The one obvious token of it; says how it was read.
    ///
    /// # Errors
    /// Usage when there are several.
    pub fn only(&self) -> Result<&str, Failure> {
        let token = only(&self.readings[0])?;
        tell(&self.readings[0].notes);
        Ok(token)
    }
}

/// What is pasted on standard input.
///
/// # Errors
/// Usage when it is empty or too long.
pub fn read_paste() -> Result<Paste, Failure> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(PASTE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PASTE_BYTES_MAX {
        return Err(Failure::usage("standard input is longer than a token may be"));
    }
    let readings = read(&bytes);
    if readings.is_empty() {
        return Err(Failure::usage("standard input is empty"));
    }
    let text = shown_text(&bytes);
    Ok(Paste { readings, candidates: candidates(&text), text })
}

/// Says on standard error how something was read.
pub fn tell(notes: &[String]) {
    for note in notes {
        // Nothing is left to do when standard error is closed.
        let _ = writeln!(io::stderr(), "ledgerline: note: {}", printable(note));
    }
}

/// The one token of a reading.
fn only(reading: &Reading) -> Result<&str, Failure> {
    match &reading.tokens[..] {
        [one] => Ok(one),
        several => Err(several_tokens(several.len(), "")),
    }
}

/// The refusal of several tokens where one is asked about.
#[must_use]
pub fn several_tokens(count: usize, which: &str) -> Failure {
    Failure::usage(format!(
        "the paste holds {count} tokens{which}: give one of them, or ask about all with \
         `ledgerline query triage -`"
    ))
}

/// The refusal of a token as an argument.
#[must_use]
pub fn in_the_history() -> Failure {
    Failure::usage(
        "this looks like a token, not a token id: it is in your shell history now; use `-` and \
         give the token on standard input",
    )
}

/// One line of standard input, without its end.
///
/// # Errors
/// When it is empty, too long or no text.
pub fn read_secret() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(TOKEN_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TOKEN_BYTES_MAX {
        return Err(Failure::error("standard input is longer than a token may be"));
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::error("standard input is no text"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::error("standard input is empty"));
    }
    Ok(text.to_owned())
}
