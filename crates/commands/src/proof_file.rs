//! A proof that an answer brings: fetched, written, and told of beside the answer.
//!
//! Promises: the answer on the screen and the file are about the same entries. What the file says
//! to be missing of what was recorded when it was asked for is a line that begins INCOMPLETE on
//! the screen, a member in JSON, and exit code 3.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ledgerline_client::{Client, ClientError};
use ledgerline_proof::bundle::Bundle;
use serde::Serialize;

use ledgerline_terminal::evidence::{Evidence, Proof};
use ledgerline_terminal::exit::{Exit, Failure};
use ledgerline_terminal::render::printable;

/// Longer than any block interval: then what was recorded is in a block.
const BLOCK_WAIT: Duration = Duration::from_secs(75);
const BLOCK_LOOK: Duration = Duration::from_millis(200);

/// What a document says of the proof that was written beside it.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    file: PathBuf,
    as_of: u64,
    incomplete: Vec<String>,
}

/// A proof that stands in a file.
pub struct Written {
    file: PathBuf,
    bytes: usize,
    /// Entries that it is about.
    pub size: u64,
    incomplete: Vec<String>,
}

impl Written {
    /// Writes a bundle.
    ///
    /// # Errors
    /// When it is none; when the file cannot be written.
    pub fn write(client: &Client, bundle: &[u8], file: Evidence) -> Result<Self, Failure> {
        let parsed = Bundle::parse(bundle).map_err(|_| client.garbled("no proof bundle"))?;
        let (path, bytes) = (file.path().to_owned(), bundle.len());
        file.write(bundle)?;
        let incomplete = incomplete(&parsed);
        Ok(Self { file: path, bytes, size: parsed.as_of.size.0, incomplete })
    }

    /// For JSON.
    #[must_use]
    pub fn about(&self) -> About {
        let Self { file, size, incomplete, .. } = self;
        About { file: file.clone(), as_of: *size, incomplete: incomplete.clone() }
    }

    /// The lines below an answer, which may name the size of the ledger.
    #[must_use]
    pub fn lines(&self, ledger_size: Option<u64>) -> String {
        let of = ledger_size.map_or_else(String::new, |size| format!(" of {size}"));
        let (file, size, bytes) = (self.file.display(), self.size, self.bytes);
        let wrote =
            format!("wrote {file}: the proof is in it, as of entry {size}{of} ({bytes} bytes)\n");
        wrote + &lines(&self.incomplete)
    }

    /// The exit code of the answer with it.
    #[must_use]
    pub fn exit(&self, answer: Exit) -> Exit {
        match answer {
            Exit::Ok if !self.incomplete.is_empty() => Exit::Incomplete,
            other => other,
        }
    }
}

/// What a bundle says to be missing of it.
#[must_use]
pub fn incomplete(bundle: &Bundle) -> Vec<String> {
    bundle.coverage.incomplete().iter().map(|text| printable(text)).collect()
}

/// The same as lines.
#[must_use]
pub fn lines(incomplete: &[String]) -> String {
    incomplete.iter().map(|words| format!("INCOMPLETE: {words}\n")).collect()
}

/// `path` with the parameter that asks for a proof since an older size.
#[must_use]
pub fn since(path: &str, size: Option<u64>) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    size.map_or_else(|| path.to_owned(), |size| format!("{path}{mark}previous_size={size}"))
}

/// Fetches a bundle and writes it. Waits for the next block when what is to be proven is in none
/// yet.
///
/// # Errors
/// Whatever the server says; when the file cannot be written.
pub fn write_proof(client: &Client, path: &str, proof: Proof) -> Result<Written, Failure> {
    let path = since(path, proof.since);
    write_proof_of(client, || client.get_bytes(&path), proof.file)
}

/// The same, of an answer that is asked for in another way.
///
/// # Errors
/// As [`write_proof`].
pub fn write_proof_of(
    client: &Client,
    ask: impl Fn() -> Result<Option<Vec<u8>>, ClientError>,
    file: Evidence,
) -> Result<Written, Failure> {
    let begun = Instant::now();
    let bundle = loop {
        match ask() {
            Err(error)
                if error.code() == Some("not_in_a_block_yet") && begun.elapsed() < BLOCK_WAIT =>
            {
                sleep(BLOCK_LOOK);
            }
            other => break other?,
        }
    };
    let bundle = bundle.ok_or_else(|| {
        Failure::error("no such thing in what the published checkpoint covers; there is no proof")
    })?;
    Written::write(client, &bundle, file)
}
