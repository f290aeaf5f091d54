//! The schemas one ledger uses: the pinned ones, and those its SCHEMA records announced.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::model::{Schema, SchemaError};
use super::resolve::{readable, resolve};
use super::{HEADER_BYTES, Kind, LATER, Pin, split_object, unknown};
use crate::control::{Control, SchemaText};
use crate::entry::Entry;
use crate::hash::{Hash, sha256};
use crate::wire::{DecodeError, decode_version};

static PINNED: LazyLock<[Schema; 7]> = LazyLock::new(|| {
    Kind::ALL.map(|kind| Schema::parse(kind.text()).expect("the tests parse every pinned schema"))
});

/// The later versions of [`LATER`], parsed.
static PINNED_LATER: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    let parse = |pin: &Pin| Schema::parse(pin.text).expect("the tests parse every pinned schema");
    LATER.iter().map(|(.., pin)| parse(pin)).collect()
});

impl Pin {
    fn schema_text(&self) -> SchemaText<'static> {
        let Self { name, text, fingerprint, sha256 } = *self;
        SchemaText { name, fingerprint, sha256, text }
    }
}

fn pin_from_fingerprint(fingerprint: [u8; 8]) -> Option<&'static Pin> {
    let (kind, version) = Kind::version_from_fingerprint(fingerprint)?;
    kind.pin_of(version)
}

impl Kind {
    /// The pinned schema, parsed once per process.
    #[must_use]
    pub fn schema(self) -> &'static Schema {
        &PINNED[self as usize]
    }

    /// What a SCHEMA record says of the pinned schema.
    #[must_use]
    pub fn schema_text(self) -> SchemaText<'static> {
        self.pin().schema_text()
    }

    /// What a SCHEMA record says of a version; `None` for one that is not pinned. Whoever writes a
    /// record of a later version announces it first.
    #[must_use]
    pub fn schema_text_of(self, version: u8) -> Option<SchemaText<'static>> {
        self.pin_of(version).map(Pin::schema_text)
    }
}

/// What an announced schema is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// The text is one the kernel pins.
    Pinned(Kind),
    /// Bodies under it can be read as the pinned version of this kind.
    Readable(Kind),
    /// It is kept and its fingerprint is taken, but bodies under it stay `unknown_schema`: it is of
    /// another record, or of a version that lacks what the pinned one needs.
    Stored,
}

#[derive(Debug, Clone)]
struct Known {
    sha256: Hash,
    text: Box<str>,
    readable: Option<(Kind, Schema)>,
}

/// The schemas of one ledger. One fingerprint means one text, for ever.
#[derive(Debug, Clone, Default)]
pub struct SchemaSet {
    announced: BTreeMap<[u8; 8], Known>,
}

impl SchemaSet {
    /// The pinned schemas only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up the schema of a SCHEMA record. The caller has proven that the record is in the
    /// ledger. Announcing one text again changes nothing.
    ///
    /// # Errors
    /// When the text is not what the record says of it, is no schema this kernel reads, or has a
    /// fingerprint that already means another text. The set is unchanged then.
    pub fn announce(&mut self, record: &SchemaText<'_>) -> Result<Announced, SchemaError> {
        let found = sha256(record.text.as_bytes());
        if found != record.sha256 {
            return Err(SchemaError::Digest { found, stated: record.sha256 });
        }
        let schema = Schema::parse(record.text)?;
        if schema.name() != record.name {
            let (found, stated) = (schema.name().to_owned(), record.name.to_owned());
            return Err(SchemaError::Name { found, stated });
        }
        if schema.fingerprint() != record.fingerprint {
            return Err(SchemaError::Fingerprint);
        }
        if let Some(known) = self.sha256_of(record.fingerprint).filter(|known| *known != found) {
            return Err(SchemaError::Conflict { known });
        }
        if let Some(kind) = Kind::from_fingerprint(record.fingerprint) {
            return Ok(Announced::Pinned(kind));
        }
        let kind = Kind::from_name(record.name).filter(|kind| readable(&schema, kind.schema()));
        let readable = kind.map(|kind| (kind, schema));
        let known = Known { sha256: found, text: record.text.into(), readable };
        self.announced.entry(record.fingerprint).or_insert(known);
        Ok(kind.map_or(Announced::Stored, Announced::Readable))
    }

    fn sha256_of(&self, fingerprint: [u8; 8]) -> Option<Hash> {
        let pinned = pin_from_fingerprint(fingerprint).map(|pin| pin.sha256);
        pinned.or_else(|| self.announced.get(&fingerprint).map(|known| known.sha256))
    }

    /// The exact text behind a fingerprint.
    #[must_use]
    pub fn text(&self, fingerprint: [u8; 8]) -> Option<&str> {
        let pinned = pin_from_fingerprint(fingerprint).map(|pin| pin.text);
        pinned.or_else(|| self.announced.get(&fingerprint).map(|known| &*known.text))
    }

    /// The kind of an object of any version this set can read.
    #[must_use]
    pub fn kind_of(&self, bytes: &[u8]) -> Option<Kind> {
        let (fingerprint, _) = split_object(bytes).ok()?;
        let announced =
            || self.announced.get(&fingerprint)?.readable.as_ref().map(|(kind, _)| *kind);
        Kind::from_fingerprint(fingerprint).or_else(announced)
    }

    /// A body written under an announced schema of `kind`, or a later pinned one, as the canonical
    /// body of the first version.
    ///
    /// # Errors
    /// `UnknownSchema` when the fingerprint is not of a readable version of `kind`; any other
    /// [`DecodeError`] for a body that is not canonical under the schema it was written with.
    pub fn translate(
        &self,
        writer: [u8; 8],
        kind: Kind,
        body: &[u8],
    ) -> Result<Vec<u8>, DecodeError> {
        if writer == kind.fingerprint() {
            return resolve(kind.schema(), kind.schema(), body);
        }
        let mut later = LATER.iter().zip(&*PINNED_LATER);
        if let Some(((_, version, _), schema)) =
            later.find(|((of, _, pin), _)| *of == kind && pin.fingerprint == writer)
        {
            // What an earlier version can say is refused here as everywhere.
            match kind {
                Kind::Entry => decode_version::<Entry<'_>>(body, *version).map(drop)?,
                Kind::Control => decode_version::<Control<'_>>(body, *version).map(drop)?,
                _ => {}
            }
            return resolve(schema, kind.schema(), body);
        }
        match self.announced.get(&writer).and_then(|known| known.readable.as_ref()) {
            Some((known, schema)) if *known == kind => resolve(schema, kind.schema(), body),
            _ => Err(unknown(writer)),
        }
    }

    /// The body of an object of `kind`, in the pinned version: borrowed where it was written in it
    /// (and then not yet read), translated where not.
    ///
    /// # Errors
    /// As [`SchemaSet::translate`], and `Truncated` or `UnknownSchema(0)` for what is no object.
    pub fn body<'a>(&self, kind: Kind, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
        let (fingerprint, body) = split_object(bytes)?;
        if fingerprint == kind.fingerprint() {
            return Ok(Cow::Borrowed(body));
        }
        self.translate(fingerprint, kind, body)
            .map(Cow::Owned)
            .map_err(|error| error.shifted(HEADER_BYTES))
    }

    /// The body of a statement, in the pinned version. What was signed stays the given bytes.
    ///
    /// # Errors
    /// As [`SchemaSet::body`].
    pub fn statement_body<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.body(Kind::Statement, bytes)
    }
}
