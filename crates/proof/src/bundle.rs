//! The proof bundle: an answer of the ledger in one JSON file, with everything that proves it.
//!
//! ```text
//! { "format":     "ledgerline-bundle",  "version": 1,
//!   "query":      {"kind":"token", "tenant":"", "id":"eu:idp:jti:…"}
//!               | {"kind":"event", "tenant":"", "source":"idp", "event_id":"01932f6e-…"}
//!               | {"kind":"question", "tenant":"", "name":"lineage", "about":"eu:idp:jti:…",
//!                  "parameters":[{"name":"direction", "value":"family"}, …],
//!                  "tokens":[["eu:idp:jti:…", …], …]},   each token of the answer by all its ids
//!   "as_of":      {"size":"4711", "recorded_at":"1763…"},     size of the tree, and time of
//!                                                             the block that closes it
//!   "origin":     "ledger.example/eu",
//!   "checkpoint": "<signed note, cosignatures and all>",
//!   "previous":   {"size":"…", "root":base64, "path":[base64,…]},   optional: consistency with
//!                                                                   an earlier tree
//!   "leaves":     [{"index":"0", "leaf":base64, "path":[base64,…]}, …],   ascending by index
//!   "personal":   [{"index":"12", "n":0, "record":base64}, …],      what was disclosed
//!   "attachments":[{"digest":hex, "media_type":"…", "data":base64}, …],
//!   "coverage":   {"sources":[{"source":"idp","events":"3"},…], "beyond":"0", "notes":[…]},
//!   "tool":       {"name":"ledgerline", "version":"0.1.0"},
//!   "custody":    [{"at":"…", "by":"…", "act":"…"}, …] }
//! ```
//!
//! The leaves are GENESIS (index 0), the entries of the answer, the block entries that close the
//! ranges of these, the block entry that closes the whole tree, the SCHEMA leaves of the schemas
//! used, and the KEY_ADDED, KEY_RETIRED and KEY_COMPROMISED leaves of the producer keys used.
//! base64 is standard and padded; 64-bit integers are decimal strings in their one spelling.
//!
//! Promises: [`Bundle::parse`] accepts no byte it does not understand: no unknown or repeated
//! field, no float, no other spelling of a number, nothing beyond the limits below.
//!
//! Assumes nothing: a parsed bundle is a claim. `check` judges it.
//!
//! Refuses: to carry keys that it asks to be trusted. There is no field for one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::checkpoint::parse_decimal;
use crate::entry::MAX_ENTRY_BYTES;
use crate::hash::Hash;
use crate::note::MAX_NOTE_BYTES;
use crate::statement::MAX_STRING_BYTES;
use crate::submission::MAX_ATTACHMENT_BYTES;

/// What stands in `format`.
pub const FORMAT: &str = "ledgerline-bundle";
/// The version of this format.
pub const VERSION: u32 = 1;
/// Longest bundle in bytes: what an auditor's laptop reads in one piece.
pub const MAX_BUNDLE_BYTES: usize = 128 << 20;
/// Most leaves of one bundle.
pub const MAX_LEAVES: usize = 65_536;
/// Most hashes of one path: a tree of 2^64 leaves has 64 levels above its leaves.
pub const MAX_PATH: usize = 64;
/// Most hashes of a consistency path: one per level, and the node where the old tree ends.
pub const MAX_CONSISTENCY_PATH: usize = 65;
/// Most personal records, of any length up to an entry's.
pub const MAX_DISCLOSED: usize = 65_536;
/// Most attachments.
pub const MAX_DOCUMENTS: usize = 1024;
/// Most parameters of a question.
pub const MAX_PARAMETERS: usize = 64;
/// Most tokens of a question's answer.
pub const MAX_TOKENS: usize = 10_000;
/// Most ids of one of them.
pub const MAX_IDS: usize = 64;
/// Most items of each list in coverage and custody.
pub const MAX_REMARKS: usize = 1024;
/// How a note of the coverage begins that says that the answer was not whole when it was made.
pub const INCOMPLETE: &str = "INCOMPLETE when it was made: ";
/// How it goes on where only newer entries are missing: states are as of the last entry shown.
pub const ENDS_AT: &str = "as of entry ";

/// Most ids that are told one by one where a token has others than those shown.
const MOST_TOLD: usize = 4;

/// What is said of a token that has other ids than those whose chains a bundle shows.
#[must_use]
pub fn other_ids<'i>(ids: impl ExactSizeIterator<Item = &'i str>) -> String {
    let more = ids.len().saturating_sub(MOST_TOLD);
    let mut told = ids.take(MOST_TOLD).collect::<Vec<_>>().join(", ");
    if more > 0 {
        told.push_str(&format!(" and {more} more"));
    }
    format!("has other ids: {told}; what stands on them is not in this bundle")
}

/// Why bytes are no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Longer than [`MAX_BUNDLE_BYTES`].
    #[error("a bundle has at most {MAX_BUNDLE_BYTES} bytes")]
    TooLong,
    /// Not JSON of this shape.
    #[error("malformed bundle: {0}")]
    Malformed(String),
    /// Another format.
    #[error("`format` is not \"{FORMAT}\"")]
    Format,
    /// A version that this kernel cannot read.
    #[error("bundle version {0} is not {VERSION}")]
    Version(u32),
    /// A list, string or byte string is beyond its limit.
    #[error("`{what}` is empty or beyond its limit of {limit}")]
    Limit {
        /// The field.
        what: &'static str,
        /// Its limit, in items or bytes.
        limit: usize,
    },
}

/// A newtype that is a string in JSON, in one spelling only.
macro_rules! text_form {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

text_form!(Base64 Base64Hash Decimal SignedDecimal EventId);

/// Bytes in standard padded base64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base64(pub Vec<u8>);

impl fmt::Display for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.0))
    }
}

impl FromStr for Base64 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        STANDARD.decode(text).map(Self).map_err(|_| "not standard padded base64")
    }
}

/// A hash in standard padded base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base64Hash(pub Hash);

impl fmt::Display for Base64Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_base64())
    }
}

impl FromStr for Base64Hash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Hash::from_base64(text).map(Self).map_err(|_| "not a hash in standard padded base64")
    }
}

/// An unsigned 64-bit number as a decimal string without leading zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(pub u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Decimal {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_decimal(text).map(Self).ok_or("not a decimal number below 2^64")
    }
}

/// A signed 64-bit number as a decimal string: no plus sign, no leading zeros, no minus zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedDecimal(pub i64);

impl fmt::Display for SignedDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for SignedDecimal {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
        number.map(Self).ok_or("not a decimal number of 64 bits")
    }
}

/// An event id as UUID text, lowercase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId(pub [u8; 16]);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            let dash = if matches!(position, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for EventId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: String = text.chars().filter(|char| *char != '-').collect();
        let number = u128::from_str_radix(&digits, 16).ok();
        let id = number.map(|number| Self(number.to_be_bytes()));
        id.filter(|id| id.to_string() == text).ok_or("not a lowercase UUID")
    }
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Query {
    /// The whole life of a token.
    Token {
        /// Its tenant.
        tenant: String,
        /// Its token id.
        id: String,
    },
    /// One event.
    Event {
        /// Its tenant.
        tenant: String,
        /// The source that recorded it.
        source: String,
        /// Its id.
        event_id: EventId,
    },
    /// A question about the past. The leaves are every event that its answer names, and the whole
    /// chains of the tokens in it up to `as_of`.
    Question {
        /// The tenant whose past it is.
        tenant: String,
        /// Which question.
        name: String,
        /// What it is about, such as a token id; never a personal value.
        about: String,
        /// What else was asked. A point before `as_of` among it narrows the answer, not the chains.
        parameters: Vec<Parameter>,
        /// Each token of the answer, by all its ids. Their chains are shown whole.
        tokens: Vec<Vec<String>>,
    },
}

/// What was asked besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The state of the ledger that the answer is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsOf {
    /// Size of the checkpoint's tree. What was recorded later is not in the answer.
    pub size: Decimal,
    /// Unix nanoseconds at which the block that closes that tree was sealed.
    pub recorded_at: SignedDecimal,
}

/// An earlier tree, and the proof that the checkpoint's tree begins with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// Its size.
    pub size: Decimal,
    /// Its root. Believed only when the checker holds a checkpoint with it.
    pub root: Base64Hash,
    /// The consistency path (RFC 6962 section 2.1.2).
    pub path: Vec<Base64Hash>,
}

/// A leaf and its inclusion path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafProof {
    /// Its index.
    pub index: Decimal,
    /// Its bytes, 1 to 65,535.
    pub leaf: Base64,
    /// The inclusion path, the leaf's sibling first (RFC 6962 section 2.1.1).
    pub path: Vec<Base64Hash>,
}

/// A personal record that was disclosed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosed {
    /// Index of the entry whose statement commits to it.
    pub index: Decimal,
    /// Which of that statement's commitments, from 0.
    pub n: u16,
    /// The record's bytes, as committed to.
    pub record: Base64,
}

/// A document that an entry names by its digest, such as a policy snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// SHA-256 of `data`, hex.
    pub digest: Hash,
    /// Media type of `data`. Nothing proves it.
    pub media_type: String,
    /// The document.
    pub data: Base64,
}

/// What the operator says of how whole the answer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Which sources wrote how many of the entries shown; ascending by name. Checked.
    pub sources: Vec<SourceCount>,
    /// Entries about the target that had been recorded when the bundle was asked for, at or after
    /// `as_of.size`, and are not shown. The operator's word.
    pub beyond: Decimal,
    /// What else the operator knows to be missing. The operator's word.
    pub notes: Vec<String>,
}

impl Coverage {
    /// In what the answer was not whole when it was made, in words: what was left out that stands
    /// before its end may have changed a state. The operator's word.
    pub fn not_whole(&self) -> impl Iterator<Item = &str> {
        self.said().filter(|words| !words.starts_with(ENDS_AT))
    }

    fn said(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().filter_map(|note| note.strip_prefix(INCOMPLETE))
    }

    /// In what the answer falls short of what was recorded when it was asked for, in words. The
    /// operator's word.
    #[must_use]
    pub fn incomplete(&self) -> Vec<String> {
        let mut incomplete: Vec<String> = self.said().map(str::to_owned).collect();
        if self.beyond.0 > 0 {
            incomplete.push(format!("{} newer entries about it are not shown", self.beyond));
        }
        incomplete
    }
}

/// How many of the entries shown are of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCount {
    /// The source.
    pub source: String,
    /// How many.
    pub events: Decimal,
}

/// What made the bundle. Nothing proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// Who had the bundle and what was done. Nothing proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custody {
    /// When, as the writer put it.
    pub at: String,
    /// Who.
    pub by: String,
    /// What was done.
    pub act: String,
}

/// A proof bundle. Field order is the order in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// What was asked.
    pub query: Query,
    /// Which state of the ledger answers.
    pub as_of: AsOf,
    /// The ledger.
    pub origin: String,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
    /// An earlier tree, when one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// The leaves, strictly ascending by index.
    pub leaves: Vec<LeafProof>,
    /// Personal records, strictly ascending by (index, n). Undisclosed and erased ones are absent.
    pub personal: Vec<Disclosed>,
    /// Attachments.
    pub attachments: Vec<Document>,
    /// How whole the answer is.
    pub coverage: Coverage,
    /// What made it.
    pub tool: Tool,
    /// Who had it.
    pub custody: Vec<Custody>,
}

impl Bundle {
    /// Reads a bundle. Nothing in it is believed yet.
    ///
    /// # Errors
    /// The first [`BundleError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLong);
        }
        let bundle: Self = serde_json::from_slice(bytes)
            .map_err(|error| BundleError::Malformed(error.to_string()))?;
        bundle.check_limits()?;
        Ok(bundle)
    }

    /// Writes the file.
    ///
    /// # Panics
    /// Never: every field is a string, a small number or a list of such.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and lists can be written")
    }

    /// Checks format, version and every limit but the file's length.
    ///
    /// # Errors
    /// The first [`BundleError`].
    pub fn check_limits(&self) -> Result<(), BundleError> {
        if self.format != FORMAT {
            return Err(BundleError::Format);
        }
        if self.version != VERSION {
            return Err(BundleError::Version(self.version));
        }
        most("checkpoint", self.checkpoint.len(), MAX_NOTE_BYTES)?;
        most("leaves", self.leaves.len(), MAX_LEAVES)?;
        most("personal", self.personal.len(), MAX_DISCLOSED)?;
        most("attachments", self.attachments.len(), MAX_DOCUMENTS)?;
        most("coverage.sources", self.coverage.sources.len(), MAX_REMARKS)?;
        most("coverage.notes", self.coverage.notes.len(), MAX_REMARKS)?;
        most("custody", self.custody.len(), MAX_REMARKS)?;
        if let Query::Question { parameters, tokens, .. } = &self.query {
            most("query.parameters", parameters.len(), MAX_PARAMETERS)?;
            most("query.tokens", tokens.len(), MAX_TOKENS)?;
            tokens.iter().try_for_each(|ids| some("ids of a token", ids.len(), MAX_IDS))?;
        }
        if let Some(previous) = &self.previous {
            most("previous.path", previous.path.len(), MAX_CONSISTENCY_PATH)?;
        }
        for proof in &self.leaves {
            some("leaf", proof.leaf.0.len(), MAX_ENTRY_BYTES)?;
            most("path", proof.path.len(), MAX_PATH)?;
        }
        for disclosed in &self.personal {
            some("record", disclosed.record.0.len(), MAX_ENTRY_BYTES)?;
        }
        for document in &self.attachments {
            most("data", document.data.0.len(), MAX_ATTACHMENT_BYTES)?;
        }
        self.strings().try_for_each(|text| most("string", text.len(), MAX_STRING_BYTES))
    }

    /// Every free string.
    fn strings(&self) -> impl Iterator<Item = &String> {
        let query: Vec<&String> = match &self.query {
            Query::Token { tenant, id } => vec![tenant, id],
            Query::Event { tenant, source, .. } => vec![tenant, source],
            Query::Question { tenant, name, about, parameters, tokens } => {
                let words = parameters.iter().flat_map(|one| [&one.name, &one.value]);
                let ids = tokens.iter().flatten();
                [tenant, name, about].into_iter().chain(words).chain(ids).collect()
            }
        };
        let sources = self.coverage.sources.iter().map(|count| &count.source);
        let types = self.attachments.iter().map(|document| &document.media_type);
        let custody = self.custody.iter().flat_map(|one| [&one.at, &one.by, &one.act]);
        let single = [&self.origin, &self.tool.name, &self.tool.version];
        query
            .into_iter()
            .chain(single)
            .chain(sources)
            .chain(types)
            .chain(&self.coverage.notes)
            .chain(custody)
    }
}

fn most(what: &'static str, found: usize, limit: usize) -> Result<(), BundleError> {
    if found > limit { Err(BundleError::Limit { what, limit }) } else { Ok(()) }
}

fn some(what: &'static str, found: usize, limit: usize) -> Result<(), BundleError> {
    if found == 0 { Err(BundleError::Limit { what, limit }) } else { most(what, found, limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ids_have_one_spelling() {
        fn check<T: FromStr + fmt::Display>(text: &str, accepted: bool) {
            let read = text.parse::<T>().ok().map(|value| value.to_string());
            assert_eq!(read.as_deref(), accepted.then_some(text), "{text:?}");
        }
        for (text, accepted) in [
            ("0", true),
            ("18446744073709551615", true),
            ("18446744073709551616", false),
            ("01", false),
            ("+1", false),
            ("-1", false),
            ("", false),
            ("1.0", false),
        ] {
            check::<Decimal>(text, accepted);
        }
        for (text, accepted) in [("-1", true), ("0", true), ("-0", false), ("+1", false)] {
            check::<SignedDecimal>(text, accepted);
        }
        for (text, accepted) in [
            ("01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11", true),
            ("01932F6e-7c1a-7b3e-9a55-3f1c0c6f2b11", false),
            ("01932f6e7c1a7b3e9a553f1c0c6f2b11", false),
            ("+1932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11", false),
            ("", false),
        ] {
            check::<EventId>(text, accepted);
        }
        for (text, accepted) in [("", true), ("AA==", true), ("AA", false), ("AB==", false)] {
            check::<Base64>(text, accepted);
        }
    }
}
