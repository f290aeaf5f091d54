//! Hashes, MACs and the one table of hash domains.
//!
//! Promises: every hash, MAC and signature input of the ledger begins either with an RFC 6962
//! prefix byte or with a string of [`domain`], so the bytes of one purpose never mean anything in
//! another.
//!
//! ```text
//! leaf hash   = SHA-256(0x00 || entry)                  RFC 6962 section 2.1
//! node hash   = SHA-256(0x01 || left || right)          RFC 6962 section 2.1
//! empty root  = SHA-256("")
//! domain hash = SHA-256("ledgerline/<purpose>/v1\0" || fields)
//! lp(x)       = u16 big-endian length || x
//! ```
//!
//! The prefix bytes 0x02 to 0x04 are reserved for key maps. Domain strings begin with `l` (0x6c),
//! so they cannot collide with any prefix byte.
//!
//! Refuses: fields longer than 65535 bytes in [`DomainHasher::lp`]. That is a mistake of the
//! caller, who bounds every field when it is parsed; hashing a cut field would be worse than
//! stopping.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Every domain string. A purpose that is not here is not hashed.
pub mod domain {
    /// Event ids of sources that bring their own identity (`UUIDv8`).
    pub const EVENT_ID: &[u8] = b"ledgerline/event-id/v1\0";
    /// Commitment to a personal record.
    pub const PERSONAL: &[u8] = b"ledgerline/personal/v1\0";
    /// Bytes a producer signs.
    pub const STATEMENT: &[u8] = b"ledgerline/statement/v1\0";
    /// Value before the first event hash of a chain.
    pub const CHAIN: &[u8] = b"ledgerline/chain/v1\0";
    /// Token ids of form `t1`.
    pub const TOKEN: &[u8] = b"ledgerline/token/v1\0";
    /// Token ids of form `jh`.
    pub const JTI: &[u8] = b"ledgerline/jti/v1\0";
    /// Names of log lines that have no id of their own; adapters compute them.
    pub const LOG_LINE: &[u8] = b"ledgerline/log-line/v1\0";
    /// Fingerprint of a shared secret in `KEY_ADDED`.
    pub const SECRET: &[u8] = b"ledgerline/secret/v1\0";
    /// Associated data of a sealed personal record.
    pub const SEALED: &[u8] = b"ledgerline/sealed/v1\0";
    /// Associated data of keys wrapped in the vault, and names of its files.
    pub const VAULT: &[u8] = b"ledgerline/vault/v1\0";
    /// Vault map keys (handles).
    pub const HANDLE: &[u8] = b"ledgerline/handle/v1\0";
    /// MAC of a journal commit frame.
    pub const COMMIT: &[u8] = b"ledgerline/commit/v1\0";
    /// Refusal counters. The refused root itself is an RFC 6962 root and needs no domain.
    pub const REFUSED: &[u8] = b"ledgerline/refused/v1\0";
    /// Identity of a finding.
    pub const FINDING: &[u8] = b"ledgerline/finding/v1\0";
    /// MAC of a page token, and the key it is made under.
    pub const PAGE: &[u8] = b"ledgerline/page/v1\0";
    /// Digest of the tokens that a producer holds, in its heartbeats.
    pub const HELD: &[u8] = b"ledgerline/held/v1\0";
    /// Salts of an agent's personal records, by a key that it erases after days.
    pub const SALT: &[u8] = b"ledgerline/salt/v1\0";

    /// The whole table: purpose and domain, for documents and tests.
    pub const ALL: [(&str, &[u8]); 17] = [
        ("event-id", EVENT_ID),
        ("personal", PERSONAL),
        ("statement", STATEMENT),
        ("chain", CHAIN),
        ("token", TOKEN),
        ("jti", JTI),
        ("log-line", LOG_LINE),
        ("secret", SECRET),
        ("sealed", SEALED),
        ("vault", VAULT),
        ("handle", HANDLE),
        ("commit", COMMIT),
        ("refused", REFUSED),
        ("finding", FINDING),
        ("page", PAGE),
        ("held", HELD),
        ("salt", SALT),
    ];
}

/// A SHA-256 value. Written as lowercase hex, also in JSON; as padded base64 in notes and proofs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

/// The text or bytes given are not one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Not exactly 64 lowercase hex digits.
    #[error("a hash is 64 lowercase hex digits")]
    Hex,
    /// Not the standard padded base64 of exactly 32 bytes.
    #[error("a hash is the padded base64 of 32 bytes")]
    Base64,
}

impl Hash {
    /// 32 zero bytes: the previous hash of the first block. Never the hash of anything known.
    pub const ZERO: Self = Self([0; 32]);

    /// Reads 64 lowercase hex digits. Uppercase is refused: one value has one spelling.
    ///
    /// # Errors
    /// [`HashError::Hex`] for any other text.
    pub fn from_hex(text: &str) -> Result<Self, HashError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(HashError::Hex);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = hex_digit(pair[0]).ok_or(HashError::Hex)?;
            let low = hex_digit(pair[1]).ok_or(HashError::Hex)?;
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }

    /// Writes 64 lowercase hex digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.to_string()
    }

    /// Reads standard padded base64 (44 characters).
    ///
    /// # Errors
    /// [`HashError::Base64`] for any other text, also with stray bits after the last byte.
    pub fn from_base64(text: &str) -> Result<Self, HashError> {
        let bytes = STANDARD.decode(text).map_err(|_| HashError::Base64)?;
        bytes.try_into().map(Self).map_err(|_| HashError::Base64)
    }

    /// Writes standard padded base64 (44 characters).
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl Hash {
    /// Lower-case hex in place: receipts and proofs are full of hashes.
    fn hex_digits(&self) -> [u8; 64] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex_digits()).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        Self::from_hex(text)
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.hex_digits()).expect("ASCII"))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).map_err(serde::de::Error::custom)
    }
}

/// RFC 6962 leaf hash of an entry: `SHA-256(0x00 || entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0x00]).chain_update(entry).finalize().into())
}

/// RFC 6962 inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // One buffer and one call: this is the hottest line of verification.
    let mut input = [0x01; 65];
    input[1..33].copy_from_slice(&left.0);
    input[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(input).into())
}

/// RFC 6962 root of the tree without leaves: `SHA-256("")`.
#[must_use]
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// Plain SHA-256, only where a format outside this crate demands it (schema texts, ciphertexts).
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

/// SHA-256 over a domain string and fields, written one after the other.
///
/// ```
/// use ledgerline_proof::hash::{DomainHasher, domain};
/// let hash = DomainHasher::new(domain::TOKEN).bytes(b"opaque token").finish();
/// assert_ne!(hash, DomainHasher::new(domain::JTI).bytes(b"opaque token").finish());
/// ```
#[derive(Clone)]
#[must_use]
pub struct DomainHasher(Sha256);

impl DomainHasher {
    /// Starts with a string of [`domain`].
    ///
    /// # Panics
    /// When the domain does not end in a zero byte: then it would not be prefix-free.
    pub fn new(domain: &[u8]) -> Self {
        assert_eq!(domain.last(), Some(&0), "a hash domain ends in a zero byte");
        Self(Sha256::new().chain_update(domain))
    }

    /// One byte.
    pub fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    /// Two bytes, big-endian.
    pub fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Eight bytes, big-endian.
    pub fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// `lp(bytes)`: u16 big-endian length, then the bytes.
    ///
    /// # Panics
    /// When the field is longer than 65535 bytes.
    pub fn lp(self, bytes: &[u8]) -> Self {
        let length = u16::try_from(bytes.len());
        let length = length.expect("a length-prefixed field has at most 65535 bytes");
        self.u16(length).bytes(bytes)
    }

    /// Bytes as they are. Only for fields of fixed length and for the last field.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    /// The hash.
    #[must_use]
    pub fn finish(self) -> Hash {
        Hash(self.0.finalize().into())
    }
}

/// A MAC did not match. Says nothing more on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message authentication code does not match")]
pub struct MacMismatch;

/// An HMAC-SHA256 key, scheduled once and cloned for each message (two compressions saved per MAC).
#[derive(Clone)]
pub struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    /// Takes a key of any length (RFC 2104); callers demand their own minimum.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    /// MAC of the parts, one after the other without separators.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> Hash {
        let mut state = self.0.clone();
        parts.iter().for_each(|part| state.update(part));
        Hash(state.finalize().into_bytes().into())
    }

    /// Checks a full 32-byte MAC in constant time. Shorter and longer values are refused.
    ///
    /// # Errors
    /// [`MacMismatch`] when it does not match.
    pub fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> Result<(), MacMismatch> {
        let expected = self.mac(parts);
        let Ok(mac) = <&[u8; 32]>::try_from(mac) else { return Err(MacMismatch) };
        // Four words instead of 32 bytes, none of them looked at before the last.
        let words = |bytes: &[u8; 32]| {
            let (words, _) = bytes.as_chunks::<8>();
            [0, 1, 2, 3].map(|at| u64::from_ne_bytes(words[at]))
        };
        let same = words(&expected.0).ct_eq(&words(mac));
        if bool::from(same) { Ok(()) } else { Err(MacMismatch) }
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(secret)")
    }
}

/// HMAC-SHA256 of the parts under a key used once. Keep an [`HmacKey`] where it is used often.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Hash {
    HmacKey::new(key).mac(parts)
}

impl crate::wire::Wire<'_> for Hash {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    #[inline]
    fn take(reader: &mut crate::wire::Reader<'_>) -> Result<Self, crate::wire::Refused> {
        <[u8; 32]>::take(reader).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_distinct_and_well_formed() {
        for (position, (purpose, domain)) in domain::ALL.iter().enumerate() {
            assert_eq!(*domain, format!("ledgerline/{purpose}/v1\0").as_bytes());
            assert!(domain::ALL[..position].iter().all(|(_, other)| other != domain));
        }
    }

    #[test]
    fn rfc_6962_prefixes() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        let pair = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125";
        assert_eq!(empty_root().to_hex(), empty);
        assert_eq!(leaf_hash(b"").to_hex(), leaf);
        assert_eq!(node_hash(&leaf_hash(b""), &leaf_hash(&[0])).to_hex(), pair);
    }

    #[test]
    fn hash_has_one_spelling() {
        let hash = leaf_hash(b"x");
        assert_eq!(Hash::from_hex(&hash.to_hex()), Ok(hash));
        assert_eq!(Hash::from_base64(&hash.to_base64()), Ok(hash));
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, format!("\"{hash:?}\""));
        assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);

        let hex = hash.to_hex();
        let bad_hex = [&hex[1..], &format!("{hex}0"), &hex.to_uppercase(), "", &"g".repeat(64)];
        for text in bad_hex {
            assert_eq!(Hash::from_hex(text), Err(HashError::Hex), "{text}");
        }
        let base64 = hash.to_base64();
        // The 43rd character carries two unused bits; `B` sets one of them.
        let stray = format!("{}B=", "A".repeat(42));
        for text in [&base64[..43], &format!("{base64}\n"), "", "AAAA", &stray] {
            assert_eq!(Hash::from_base64(text), Err(HashError::Base64), "{text}");
        }
    }

    #[test]
    fn fields_are_written_as_drawn() {
        let built = DomainHasher::new(domain::CHAIN).u8(1).lp(b"ab").u16(2).u64(3).bytes(b"z");
        let drawn = b"ledgerline/chain/v1\0\x01\0\x02ab\0\x02\0\0\0\0\0\0\0\x03z";
        assert_eq!(built.finish(), sha256(drawn));
        let longest = vec![0; 65535];
        let _ = DomainHasher::new(domain::CHAIN).lp(&longest).finish();
    }

    #[test]
    #[should_panic(expected = "at most 65535 bytes")]
    fn long_field_is_refused() {
        let _ = DomainHasher::new(domain::CHAIN).lp(&vec![0; 65536]);
    }

    /// RFC 4231 test cases 2 (short key) and 6 (key longer than a block).
    #[test]
    fn hmac_matches_rfc_4231() {
        let case2 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        assert_eq!(hmac_sha256(b"Jefe", &parts).to_hex(), case2);
        let case6 = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        let message: &[u8] = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(hmac_sha256(&[0xaa; 131], &[message]).to_hex(), case6);

        let key = HmacKey::new(b"Jefe");
        let mac = key.mac(&parts);
        assert_eq!(key.verify(&parts, mac.as_ref()), Ok(()));
        assert_eq!(key.verify(&parts, &mac.0[..31]), Err(MacMismatch));
        assert_eq!(key.verify(&parts[..1], mac.as_ref()), Err(MacMismatch));
        for bit in 0..256 {
            let mut bad = mac.0;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.verify(&parts, &bad), Err(MacMismatch));
        }
    }
}
