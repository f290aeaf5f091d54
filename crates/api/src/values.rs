//! The values of which the forms are made: times, ids, hashes, and the words of closed lists.
//!
//! Promises: each is written in one way and read back to the same value; a word that this version
//! does not know is read as `OTHER`, so that a caller of an older version reads on.

use std::borrow::Cow;
use std::fmt;

use ledgerline_proof::control::ControlKind;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::vocabulary::{
    ActorKind, Delegation, EventType, HandleKind, KeyPurpose, Outcome, PersonalRole, PolicyRole,
    Relation, Strength, TargetKind, TokenKind, Vantage,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{time_text, uuid_text};

/// A text, borrowed from what it is read from or made of where that is possible.
pub type Str<'a> = Cow<'a, str>;

/// Gives a value that is written as text its serde and its schema.
macro_rules! written_as_text {
    ($name:ty, $title:literal, $write:expr, $read:expr, $schema:tt) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                let write: fn(&Self, &mut [u8; TEXT_BYTES_MAX]) -> usize = $write;
                let mut text = [0; TEXT_BYTES_MAX];
                let length = write(self, &mut text);
                // Digits, letters and signs only.
                out.serialize_str(std::str::from_utf8(&text[..length]).unwrap_or_default())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                let text = Str::deserialize(source)?;
                let read: fn(&str) -> Option<Self> = $read;
                read(&text).ok_or_else(|| D::Error::custom(concat!("not ", $title)))
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// Bytes of the longest text of a value: `sha256:` and 64 digits.
const TEXT_BYTES_MAX: usize = 71;

/// An instant: Unix nanoseconds, written as RFC 3339 in UTC with 0, 3, 6 or 9 digits of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

written_as_text!(
    Time,
    "an RFC 3339 time",
    |time, text| time_text::put(time.0, text),
    |text| time_text::parse(text).map(Time),
    { "type": "string", "format": "date-time" }
);

/// A UUID, RFC 9562: 8-4-4-4-12 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

written_as_text!(
    Uuid,
    "a UUID",
    |id, text| uuid_text::put(&id.0, text),
    |text| uuid_text::parse(text).map(Uuid),
    { "type": "string", "format": "uuid" }
);

/// The handle of a personal value (a person, an address, a device, a concrete resource): 32
/// lower-case hex digits that say nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(pub [u8; 16]);

written_as_text!(
    Handle,
    "a handle of 32 hex digits",
    |handle, text| uuid_text::put_hex(&handle.0, text),
    |text| uuid_text::parse(text).map(Handle),
    { "type": "string", "pattern": "^[0-9a-f]{32}$" }
);

/// A SHA-256 of the tree or of a chain: 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HexHash(pub Hash);

written_as_text!(
    HexHash,
    "a hash of 64 hex digits",
    |hash, text| uuid_text::put_hex(hash.0.as_bytes(), text),
    |text| Hash::from_hex(text).ok().map(HexHash),
    { "type": "string", "pattern": "^[0-9a-f]{64}$" }
);

/// The SHA-256 of a document, named as such: `sha256:` and 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub Hash);

written_as_text!(
    Digest,
    "sha256: and 64 hex digits",
    |digest, text| {
        text[..7].copy_from_slice(b"sha256:");
        7 + uuid_text::put_hex(digest.0.as_bytes(), &mut text[7..])
    },
    |text| Hash::from_hex(text.strip_prefix("sha256:")?).ok().map(Digest),
    { "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" }
);

/// A time of an event: what was recorded, or as a producer wrote it (RFC 3339 with any offset).
/// A time out of the ledger's range is kept as it was written until intake has judged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timestamp<'a> {
    /// Unix nanoseconds.
    At(i64),
    /// As it was written.
    Text(Str<'a>),
}

impl Serialize for Timestamp<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(nanos) => Time(*nanos).serialize(out),
            Self::Text(text) => text.serialize(out),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Timestamp<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Str::deserialize(source).map(Self::Text)
    }
}

impl JsonSchema for Timestamp<'_> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Time::json_schema(generator)
    }
}

impl From<i64> for Timestamp<'_> {
    fn from(nanos: i64) -> Self {
        Self::At(nanos)
    }
}

impl From<String> for Timestamp<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// A closed list of words of the kernel.
pub trait Vocabulary: Copy + 'static {
    /// What the list is called in the description of the interface.
    const NAME: &'static str;
    /// All of them; the first is `OTHER`.
    const ALL: &'static [Self];
    /// The word.
    fn symbol(self) -> &'static str;
    /// Reads a word.
    fn from_symbol(text: &str) -> Option<Self>;
}

macro_rules! vocabularies {
    ($($name:ident)*) => {$(
        impl Vocabulary for $name {
            const NAME: &'static str = stringify!($name);
            const ALL: &'static [Self] = Self::ALL;

            fn symbol(self) -> &'static str {
                Self::symbol(self)
            }

            fn from_symbol(text: &str) -> Option<Self> {
                Self::from_symbol(text)
            }
        }
    )*};
}
vocabularies!(
    ActorKind ControlKind Delegation EventType HandleKind KeyPurpose Outcome PersonalRole
    PolicyRole Relation Strength TargetKind TokenKind Vantage
);

/// A word of a closed list. Lists only ever grow; read `OTHER` where your version does not know a
/// word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word<E>(pub E);

impl<E: Vocabulary> fmt::Debug for Word<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.symbol())
    }
}

impl<E: Vocabulary> Serialize for Word<E> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.0.symbol())
    }
}

impl<'de, E: Vocabulary> Deserialize<'de> for Word<E> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = Str::deserialize(source)?;
        Ok(Self(E::from_symbol(&text).unwrap_or(E::ALL[0])))
    }
}

impl<E: Vocabulary> JsonSchema for Word<E> {
    fn schema_name() -> Cow<'static, str> {
        E::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = E::ALL.iter().map(|one| one.symbol()).collect();
        json_schema!({ "type": "string", "enum": words })
    }
}

/// A JSON document whose form is its own: a proof bundle, a public key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(pub serde_json::Value);

impl JsonSchema for Document {
    fn schema_name() -> Cow<'static, str> {
        "Document".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A document with a form of its own, such as a proof bundle.",
            "additionalProperties": true,
        })
    }
}

/// `null` is the empty list or object: a nil slice of Go is written so.
///
/// # Errors
/// As `T`.
pub fn or_default<'de, D, T>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(source)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check<T>(value: &T, written: &Value)
    where
        T: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug,
    {
        let text = serde_json::to_string(value).expect("serializes");
        assert_eq!(&serde_json::from_str::<Value>(&text).expect("JSON"), written);
        assert_eq!(&serde_json::from_str::<T>(&text).expect("reads"), value);
    }

    #[test]
    fn a_value_is_read_back_as_it_was_written() {
        let hash = Hash::from_hex(&"ab".repeat(32)).expect("a hash");
        check(&Time(0), &json!("1970-01-01T00:00:00Z"));
        check(&Time(1_795_342_200_123_456_789), &json!("2026-11-22T10:10:00.123456789Z"));
        check(&Uuid([0xab; 16]), &json!("abababab-abab-abab-abab-abababababab"));
        check(&Handle([0x1f; 16]), &json!("1f".repeat(16)));
        check(&HexHash(hash), &json!("ab".repeat(32)));
        check(&Digest(hash), &json!(format!("sha256:{}", "ab".repeat(32))));
        check(&Word(EventType::Issued), &json!("ISSUED"));
    }

    #[test]
    fn what_is_no_value_is_refused_and_an_unknown_word_is_other() {
        for text in ["\"yesterday\"", "7", "null"] {
            assert!(serde_json::from_str::<Time>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Digest>(&format!("\"{}\"", "ab".repeat(32))).is_err());
        assert!(serde_json::from_str::<Handle>("\"12\"").is_err());
        let word: Word<EventType> = serde_json::from_str("\"TELEPORTED\"").expect("read");
        assert_eq!(word.0, EventType::Other);
    }
}
