//! Which record bytes hold, and how records of other versions are read.
//!
//! ```text
//! object      = C3 01 ‖ fingerprint ‖ body            Avro 1.12, "Single-object encoding"
//! fingerprint = CRC-64-AVRO of the schema's parsing canonical form, 8 bytes little-endian
//! ```
//!
//! Promises: a fingerprint means one schema text and no other. The texts of version 1, and of
//! version 2 of entries and control records, are part of this crate and pinned by SHA-256 as well;
//! others enter through proven SCHEMA records ([`SchemaSet::announce`]). A CRC is no proof of
//! anything, so a schema that somebody brings loose is never used.
//!
//! Assumes: whoever announces a schema has checked that its SCHEMA record is in the ledger.
//!
//! Refuses: objects without the marker, with an unknown fingerprint or with another kind's.

mod canonical;
mod model;
mod resolve;
mod set;

pub use canonical::{canonical_form, fingerprint};
pub use model::{MAX_SCHEMA_BYTES, Schema, SchemaError};
pub use resolve::resolve;
pub use set::{Announced, SchemaSet};

use crate::block::Block;
use crate::control::Control;
use crate::entry::Entry;
use crate::hash::Hash;
use crate::wire::{self, DecodeError, FIRST_VERSION, Wire};

/// The two bytes in front of every single-object encoding.
pub const MARKER: [u8; 2] = [0xc3, 0x01];
/// Bytes in front of the body: marker and fingerprint.
pub const HEADER_BYTES: usize = 10;

/// A record that stands on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`crate::statement::Statement`].
    Statement,
    /// [`crate::personal::PersonalRecord`].
    Personal,
    /// [`crate::entry::Entry`].
    Entry,
    /// [`crate::block::Block`].
    Block,
    /// [`crate::control::Control`].
    Control,
    /// [`crate::block::Refusal`].
    Refusal,
    /// `Submission` of the module `submission`.
    Submission,
}

/// What the kernel pins of one schema.
struct Pin {
    name: &'static str,
    text: &'static str,
    fingerprint: [u8; 8],
    sha256: Hash,
}

/// In the order of [`Kind::ALL`]. The figures stand here and not only in a computation, so that an
/// edit of a published schema text cannot go unnoticed.
static PINS: [Pin; 7] = [
    Pin {
        name: "dev.ledgerline.Statement",
        text: include_str!("../schemas/statement.v1.avsc"),
        fingerprint: hex("d207c34093140b34"),
        sha256: Hash(hex("5327fb1027701c7abe177ef2e2f6389c24b5d366b9b7a9d5298e92b5f56f4d34")),
    },
    Pin {
        name: "dev.ledgerline.Personal",
        text: include_str!("../schemas/personal.v1.avsc"),
        fingerprint: hex("95cfcd4bb52b5fa1"),
        sha256: Hash(hex("2e7f9df44713a2429d75553b720e5109a8836f7fa19e8a4c715510ef9d64c591")),
    },
    Pin {
        name: "dev.ledgerline.Entry",
        text: include_str!("../schemas/entry.v1.avsc"),
        fingerprint: hex("093516a3a1a8fe56"),
        sha256: Hash(hex("522a0aec484bb898ecbb9f05d19b44be875a00b4965c045f3dfe9106e21f5643")),
    },
    Pin {
        name: "dev.ledgerline.Block",
        text: include_str!("../schemas/block.v1.avsc"),
        fingerprint: hex("572b761b553bd0fb"),
        sha256: Hash(hex("5b19369566ace673ed406a7bed21970682f7b5cfc2b60816527d5cc9aad970af")),
    },
    Pin {
        name: "dev.ledgerline.Control",
        text: include_str!("../schemas/control.v1.avsc"),
        fingerprint: hex("ea350678fea8c9b7"),
        sha256: Hash(hex("4e34b067f047699f0ef9a0acc708c438f2bc2f6fa2e82b32d1a987536513c6c8")),
    },
    Pin {
        name: "dev.ledgerline.Refusal",
        text: include_str!("../schemas/refusal.v1.avsc"),
        fingerprint: hex("67e3387d6bcdf650"),
        sha256: Hash(hex("8c7320fc13a40853d0957e0cacfbff2b363b14283d0cce84a43fe42a0c132a8f")),
    },
    Pin {
        name: "dev.ledgerline.Submission",
        text: include_str!("../schemas/submission.v1.avsc"),
        fingerprint: hex("71c01e2a233ce586"),
        sha256: Hash(hex("b5aeb818b5b93ecf435bddc0257e0623c5d663ae43556f01fa63eebe27c076e8")),
    },
];

/// Later versions that the kernel reads and writes by itself, each with its kind and number.
static LATER: [(Kind, u8, Pin); 2] = [
    (
        Kind::Entry,
        2,
        Pin {
            name: "dev.ledgerline.Entry",
            text: include_str!("../schemas/entry.v2.avsc"),
            fingerprint: hex("c055fa4a085900e7"),
            sha256: Hash(hex("74fa2e77e4d3fec4d33cf6ae66133960654ec5692dcf1d6c0c0dba29f56daca0")),
        },
    ),
    (
        Kind::Control,
        2,
        Pin {
            name: "dev.ledgerline.Control",
            text: include_str!("../schemas/control.v2.avsc"),
            fingerprint: hex("72bfaae6c7cf21c1"),
            sha256: Hash(hex("e072ce5edb899e7b255e862941f9f1a919f4bbcde62f749742a7d0f17cf03954")),
        },
    ),
];

/// Lowercase hex of a constant, read by the compiler.
const fn hex<const N: usize>(text: &str) -> [u8; N] {
    const fn digit(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => panic!("not a lowercase hex digit"),
        }
    }
    let text = text.as_bytes();
    assert!(text.len() == 2 * N, "wrong number of hex digits");
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = digit(text[2 * at]) << 4 | digit(text[2 * at + 1]);
        at += 1;
    }
    bytes
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Statement,
        Self::Personal,
        Self::Entry,
        Self::Block,
        Self::Control,
        Self::Refusal,
        Self::Submission,
    ];
    /// The kinds whose schemas a ledger announces in its first commit.
    pub const ANNOUNCED: [Self; 5] =
        [Self::Statement, Self::Personal, Self::Entry, Self::Block, Self::Control];

    fn pin(self) -> &'static Pin {
        &PINS[self as usize]
    }

    /// What is pinned of a version.
    fn pin_of(self, version: u8) -> Option<&'static Pin> {
        if version == FIRST_VERSION {
            return Some(self.pin());
        }
        LATER.iter().find(|(kind, of, _)| (*kind, *of) == (self, version)).map(|(.., pin)| pin)
    }

    /// The kind and version whose pinned schema has this fingerprint.
    fn version_from_fingerprint(fingerprint: [u8; 8]) -> Option<(Self, u8)> {
        let first = Self::ALL.into_iter().find(|kind| kind.fingerprint() == fingerprint);
        first.map(|kind| (kind, FIRST_VERSION)).or_else(|| {
            let later = LATER.iter().find(|(.., pin)| pin.fingerprint == fingerprint);
            later.map(|(kind, version, _)| (*kind, *version))
        })
    }

    /// The version of this kind whose pinned schema has this fingerprint.
    fn version_of(self, fingerprint: [u8; 8]) -> Result<u8, DecodeError> {
        if fingerprint == self.fingerprint() {
            return Ok(FIRST_VERSION);
        }
        match Self::version_from_fingerprint(fingerprint) {
            Some((kind, version)) if kind == self => Ok(version),
            _ => Err(unknown(fingerprint)),
        }
    }

    /// Full name of the Avro record.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.pin().name
    }

    /// The exact text of the pinned schema.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.pin().text
    }

    /// CRC-64-AVRO of the pinned schema, as it stands in front of a body.
    #[must_use]
    pub fn fingerprint(self) -> [u8; 8] {
        self.pin().fingerprint
    }

    /// SHA-256 of [`Kind::text`].
    #[must_use]
    pub fn sha256(self) -> Hash {
        self.pin().sha256
    }

    /// The kind with this full name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of which a pinned schema has this fingerprint.
    #[must_use]
    pub fn from_fingerprint(fingerprint: [u8; 8]) -> Option<Self> {
        Self::version_from_fingerprint(fingerprint).map(|(kind, _)| kind)
    }
}

/// Splits an object into fingerprint and body.
///
/// # Errors
/// `Truncated` when it is shorter than its header, `UnknownSchema(0)` without the marker.
pub fn split_object(bytes: &[u8]) -> Result<([u8; 8], &[u8]), DecodeError> {
    if bytes.iter().zip(MARKER).any(|(byte, marker)| *byte != marker) {
        return Err(DecodeError::UnknownSchema(0));
    }
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(DecodeError::Truncated(bytes.len()));
    };
    Ok((header[2..].try_into().expect("the header ends in 8 bytes"), body))
}

/// The refusal of a fingerprint.
pub(crate) fn unknown(fingerprint: [u8; 8]) -> DecodeError {
    DecodeError::UnknownSchema(u64::from_le_bytes(fingerprint))
}

/// The kind an object says it is, by its pinned fingerprint. `None` for other versions and other
/// bytes.
#[must_use]
pub fn kind_of(bytes: &[u8]) -> Option<Kind> {
    split_object(bytes).ok().and_then(|(fingerprint, _)| Kind::from_fingerprint(fingerprint))
}

/// Appends the single-object encoding of `value`.
pub fn put_object<'a, T: Wire<'a>>(kind: Kind, value: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(&MARKER);
    let pin = kind.pin_of(value.version()).expect("every version that values have is pinned");
    out.extend_from_slice(&pin.fingerprint);
    value.put(out);
}

/// The single-object encoding of `value`.
#[must_use]
pub fn encode_object<'a, T: Wire<'a>>(kind: Kind, value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    put_object(kind, value, &mut out);
    out
}

/// Reads an object of exactly this kind, in any pinned version.
///
/// # Errors
/// `UnknownSchema` for any other marker or fingerprint; any other [`DecodeError`] for a bad body.
/// Offsets in errors count from the first byte of the object.
pub fn decode_object<'a, T: Wire<'a>>(kind: Kind, bytes: &'a [u8]) -> Result<T, DecodeError> {
    let (fingerprint, body) = split_object(bytes)?;
    let version = kind.version_of(fingerprint)?;
    wire::decode_version(body, version).map_err(|error| error.shifted(HEADER_BYTES))
}

/// As [`decode_object`], for values that are large and only looked at: they are read where they
/// lie.
///
/// # Errors
/// As [`decode_object`].
pub fn decode_object_with<'a, T: Wire<'a>, R>(
    kind: Kind,
    bytes: &'a [u8],
    look: impl FnOnce(&T) -> R,
) -> Result<R, DecodeError> {
    let (fingerprint, body) = split_object(bytes)?;
    let version = kind.version_of(fingerprint)?;
    wire::decode_with(body, version, look).map_err(|error| error.shifted(HEADER_BYTES))
}

/// What a leaf of the ledger holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time, on the stack of its reader")]
pub enum Leaf<'a> {
    /// A recorded statement.
    Entry(Entry<'a>),
    /// The end of a range of entries.
    Block(Block),
    /// The ledger about itself.
    Control(Control<'a>),
}

impl<'a> Leaf<'a> {
    /// Reads a leaf of a pinned version.
    ///
    /// # Errors
    /// `UnknownSchema` when the bytes are none of the three kinds; any [`DecodeError`] of the body.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (fingerprint, body) = split_object(bytes)?;
        let leaf = match Kind::version_from_fingerprint(fingerprint) {
            Some((Kind::Entry, version)) => wire::decode_version(body, version).map(Self::Entry),
            Some((Kind::Block, version)) => wire::decode_version(body, version).map(Self::Block),
            Some((Kind::Control, version)) => {
                wire::decode_version(body, version).map(Self::Control)
            }
            _ => return Err(unknown(fingerprint)),
        };
        leaf.map_err(|error| error.shifted(HEADER_BYTES))
    }

    /// The leaf's single-object encoding: the bytes that are hashed into the tree.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Entry(entry) => encode_object(Kind::Entry, entry),
            Self::Block(block) => encode_object(Kind::Block, block),
            Self::Control(control) => encode_object(Kind::Control, control),
        }
    }
}
