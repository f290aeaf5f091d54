//! Signed notes (C2SP signed-note) and the keys that sign and verify them.
//!
//! ```text
//! <text, one or more lines, each ending in LF>
//! <empty line>
//! — <key name> <base64(key id || signature)>      one or more lines
//!
//! key id = SHA-256(name || 0x0A || type || public key)[:4]
//! vkey   = <name>+<key id, 8 hex digits>+<base64(type || public key)>
//! skey   = PRIVATE+KEY+<name>+<key id, 8 hex digits>+<base64(type || 32-byte seed)>
//! type   = 0x01 Ed25519 over the text, 0x04 timestamped Ed25519 cosignature
//! ```
//!
//! The signed bytes are the text with its last LF, without the empty line. The text may hold empty
//! lines: signatures begin after the last one.
//!
//! Promises: [`Note::to_bytes`] gives back exactly what [`Note::parse`] read. A note counts only
//! after [`Note::check`].
//! Refuses: bytes that are not UTF-8, control characters other than LF, more than 100 signatures or
//! 1,000,000 bytes; on checking, a bad signature by a known key, and a note that no known key
//! signed. Signatures by unknown keys are ignored. Ed25519 is judged strictly (no small-order
//! points), since a note must mean the same to every verifier.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// Longest note that is parsed, in bytes.
pub const MAX_NOTE_BYTES: usize = 1_000_000;

/// Most signatures a note may carry. C2SP demands that at least 16 are accepted; Go stops at 100.
pub const MAX_SIGNATURES: usize = 100;

/// Latest time a cosignature may name, in unix seconds.
pub const MAX_COSIGNATURE_TIME: u64 = i64::MAX.unsigned_abs();

/// A note or a key that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The bytes are not a signed note.
    #[error("malformed note: {0}")]
    Malformed(&'static str),
    /// The text is not a key in its one spelling. The text itself is not repeated: it may be
    /// secret.
    #[error("malformed key: {0}")]
    MalformedKey(&'static str),
    /// The key id in the key text belongs to another name or public key.
    #[error("key id does not belong to the key")]
    KeyId,
    /// A key name is empty or has spaces or a plus sign.
    #[error("a key name is not empty and has no spaces and no plus sign")]
    KeyName,
    /// Two different known keys share a name and an id.
    #[error("two known keys are called {name}+{id:08x}")]
    AmbiguousKey {
        /// Key name.
        name: String,
        /// Key id.
        id: u32,
    },
    /// A known key is named by a signature that it did not make.
    #[error("bad signature by known key {name}+{id:08x}")]
    BadSignature {
        /// Key name.
        name: String,
        /// Key id.
        id: u32,
    },
    /// No known key signed the note.
    #[error("no known key signed the note")]
    Unsigned,
}

// ---- keys ------------------------------------------------------------------------------------

/// What a key signs. The numbers are the C2SP signature types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// Ed25519 over the note text.
    Ed25519 = 0x01,
    /// Timestamped Ed25519 cosignature (`cosignature/v1`).
    CosignatureV1 = 0x04,
}

impl KeyKind {
    fn from_byte(byte: u8) -> Result<Self, NoteError> {
        match byte {
            0x01 => Ok(Self::Ed25519),
            0x04 => Ok(Self::CosignatureV1),
            _ => Err(NoteError::MalformedKey("unknown signature type")),
        }
    }
}

/// A public key with its name: what a verifier is configured with.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    id: u32,
    public: VerifyingKey,
}

impl VerifierKey {
    /// A key from its parts.
    ///
    /// # Errors
    /// [`NoteError::KeyName`]; [`NoteError::MalformedKey`] when the bytes are no point of the curve
    /// or a weak one.
    pub fn new(name: &str, kind: KeyKind, public: &[u8; 32]) -> Result<Self, NoteError> {
        check_key_name(name)?;
        let public = VerifyingKey::from_bytes(public)
            .ok()
            .filter(|key| !key.is_weak())
            .ok_or(NoteError::MalformedKey("not an Ed25519 public key"))?;
        Ok(Self::of(name.to_owned(), kind, public))
    }

    /// The public half of the key with this seed: for whoever compares, and signs nothing.
    ///
    /// # Errors
    /// [`NoteError::KeyName`].
    pub fn of_seed(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Result<Self, NoteError> {
        Ok(SignerKey::from_seed(name, kind, seed)?.public)
    }

    fn of(name: String, kind: KeyKind, public: VerifyingKey) -> Self {
        let id = key_id(&name, kind, public.as_bytes());
        Self { name, kind, id, public }
    }

    /// Reads a vkey.
    ///
    /// # Errors
    /// [`NoteError::MalformedKey`], [`NoteError::KeyName`], [`NoteError::KeyId`].
    pub fn parse(vkey: &str) -> Result<Self, NoteError> {
        let parts = KeyText::parse(vkey)?;
        let key = Self::new(parts.name, parts.kind, &parts.material)?;
        if key.id == parts.id { Ok(key) } else { Err(NoteError::KeyId) }
    }

    /// Key name; for a log key the origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Key id, as it stands before each signature.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub fn public_bytes(&self) -> &[u8; 32] {
        self.public.as_bytes()
    }

    /// Strict Ed25519 verification of a message.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(bytes) = <&[u8; 64]>::try_from(signature) else { return false };
        self.public.verify_strict(message, &Signature::from_bytes(bytes)).is_ok()
    }

    fn owns(&self, signature: &NoteSignature) -> bool {
        self.id == signature.id && self.name == signature.name
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_key(f, &self.name, self.id, self.kind, self.public.as_bytes())
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A private Ed25519 key with its name. Its bytes are wiped when it is dropped; `Debug` shows only
/// the public half.
#[derive(Clone)]
pub struct SignerKey {
    secret: SigningKey,
    public: VerifierKey,
}

impl SignerKey {
    /// A key from a 32-byte seed (RFC 8032 private key).
    ///
    /// # Errors
    /// [`NoteError::KeyName`].
    pub fn from_seed(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Result<Self, NoteError> {
        check_key_name(name)?;
        let secret = SigningKey::from_bytes(seed);
        let public = VerifierKey::of(name.to_owned(), kind, secret.verifying_key());
        Ok(Self { secret, public })
    }

    /// Reads an skey.
    ///
    /// # Errors
    /// [`NoteError::MalformedKey`], [`NoteError::KeyName`], [`NoteError::KeyId`].
    pub fn parse(skey: &str) -> Result<Self, NoteError> {
        let rest = skey.strip_prefix("PRIVATE+KEY+");
        let parts = KeyText::parse(rest.ok_or(NoteError::MalformedKey("no PRIVATE+KEY+"))?)?;
        let key = Self::from_seed(parts.name, parts.kind, &parts.material)?;
        if key.public.id == parts.id { Ok(key) } else { Err(NoteError::KeyId) }
    }

    /// Writes the skey. Whoever reads it can sign as this log.
    #[must_use]
    pub fn to_skey(&self) -> String {
        struct Secret<'a>(&'a SignerKey);
        impl fmt::Display for Secret<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let public = &self.0.public;
                let seed = self.0.secret.as_bytes();
                f.write_str("PRIVATE+KEY+")?;
                write_key(f, &public.name, public.id, public.kind, seed)
            }
        }
        Secret(self).to_string()
    }

    /// The public half.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.public)
    }
}

/// The three parts that vkey and skey share.
struct KeyText<'a> {
    name: &'a str,
    id: u32,
    kind: KeyKind,
    material: [u8; 32],
}

impl<'a> KeyText<'a> {
    fn parse(text: &'a str) -> Result<Self, NoteError> {
        // At most three parts: base64 may hold plus signs.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::MalformedKey("not three parts"));
        };
        check_key_name(name)?;
        let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if id.len() != 8 || !id.bytes().all(is_hex) {
            return Err(NoteError::MalformedKey("key id is not 8 lowercase hex digits"));
        }
        let id = u32::from_str_radix(id, 16).map_err(|_| NoteError::MalformedKey("key id"))?;
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::MalformedKey("not base64"))?;
        let (kind, material) = bytes.split_first().ok_or(NoteError::MalformedKey("empty key"))?;
        let kind = KeyKind::from_byte(*kind)?;
        let material = <[u8; 32]>::try_from(material);
        let material = material.map_err(|_| NoteError::MalformedKey("key is not 32 bytes"))?;
        Ok(Self { name, id, kind, material })
    }
}

fn write_key(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    id: u32,
    kind: KeyKind,
    material: &[u8; 32],
) -> fmt::Result {
    let mut bytes = [kind as u8; 33];
    bytes[1..].copy_from_slice(material);
    write!(f, "{name}+{id:08x}+{}", STANDARD.encode(bytes))
}

fn key_id(name: &str, kind: KeyKind, public: &[u8; 32]) -> u32 {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', kind as u8])
        .chain_update(public)
        .finalize();
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// Whether a name may stand in a signature line: not empty, no Unicode space, no plus sign, no
/// control character (which no note can hold).
///
/// # Errors
/// [`NoteError::KeyName`].
pub fn check_key_name(name: &str) -> Result<(), NoteError> {
    let bad = |c: char| c.is_whitespace() || c == '+' || c < ' ';
    if name.is_empty() || name.contains(bad) { Err(NoteError::KeyName) } else { Ok(()) }
}

// ---- notes -----------------------------------------------------------------------------------

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// A signature said to be by this key. It is not checked here.
    #[must_use]
    pub fn by(key: &VerifierKey, bytes: Vec<u8>) -> Self {
        Self { name: key.name.clone(), id: key.id, bytes }
    }

    /// Key name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Key id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The bytes after the key id.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads one line, without its LF: also what a witness answers with.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] or [`NoteError::KeyName`].
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let bad = NoteError::Malformed("not a signature line");
        let (name, base64) =
            line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(bad)?;
        check_key_name(name)?;
        let bytes = STANDARD.decode(base64).map_err(|_| NoteError::Malformed("not base64"))?;
        match bytes.split_first_chunk::<4>() {
            Some((id, bytes)) if !bytes.is_empty() => {
                let id = u32::from_be_bytes(*id);
                Ok(Self { name: name.to_owned(), id, bytes: bytes.to_vec() })
            }
            _ => Err(NoteError::Malformed("signature is too short")),
        }
    }
}

impl fmt::Display for NoteSignature {
    /// The line, without its LF.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.to_be_bytes(), self.bytes.as_slice()].concat();
        write!(f, "— {} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A parsed note. Nothing in it counts before [`Note::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A known key and its valid signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// The key that signed.
    pub key: VerifierKey,
    /// Unix seconds of a cosignature; `None` for a plain signature.
    pub time: Option<u64>,
}

impl Note {
    /// A note without signatures yet.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] for a text that does not end in LF or has control characters.
    pub fn unsigned(text: &str) -> Result<Self, NoteError> {
        check_characters(text.as_bytes())?;
        if !text.ends_with('\n') {
            return Err(NoteError::Malformed("text does not end in a line feed"));
        }
        Ok(Self { text: text.to_owned(), signatures: Vec::new() })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::Malformed`], [`NoteError::KeyName`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let whole = check_characters(bytes)?;
        let (text, lines) =
            whole.rsplit_once("\n\n").ok_or(NoteError::Malformed("no empty line"))?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed("cut signature line"))?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::Malformed("too many signatures"));
        }
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The signed text, with its last LF.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signature lines, checked or not, in order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line at the end.
    pub fn add(&mut self, signature: NoteSignature) {
        self.signatures.push(signature);
    }

    /// Signs the text with a key of kind [`KeyKind::Ed25519`].
    ///
    /// # Errors
    /// [`NoteError::MalformedKey`] for a cosigner key, which signs with a time.
    pub fn sign(&mut self, key: &SignerKey) -> Result<(), NoteError> {
        if key.public.kind != KeyKind::Ed25519 {
            return Err(NoteError::MalformedKey("a cosigner key signs with a time"));
        }
        let signature = key.sign(self.text.as_bytes());
        self.add(NoteSignature::by(&key.public, signature.to_vec()));
        Ok(())
    }

    /// The note as bytes: text, empty line, signature lines.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut note = format!("{}\n", self.text);
        for signature in &self.signatures {
            note += &format!("{signature}\n");
        }
        note.into_bytes()
    }

    /// Checks every signature that names a known key. Returns those keys, each once, in the order
    /// of their first signature.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`], [`NoteError::Unsigned`], [`NoteError::AmbiguousKey`].
    pub fn check(&self, known: &[VerifierKey]) -> Result<Vec<SignedBy>, NoteError> {
        let mut signed_by: Vec<SignedBy> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = find_key(known, signature)? else { continue };
            let time = self.check_signature(key, signature)?;
            if !signed_by.iter().any(|seen| seen.key == *key) {
                signed_by.push(SignedBy { key: key.clone(), time });
            }
        }
        if signed_by.is_empty() { Err(NoteError::Unsigned) } else { Ok(signed_by) }
    }

    fn check_signature(
        &self,
        key: &VerifierKey,
        signature: &NoteSignature,
    ) -> Result<Option<u64>, NoteError> {
        let bad = || NoteError::BadSignature { name: key.name.clone(), id: key.id };
        match key.kind {
            KeyKind::Ed25519 => {
                let valid = key.verify(self.text.as_bytes(), &signature.bytes);
                if valid { Ok(None) } else { Err(bad()) }
            }
            KeyKind::CosignatureV1 => {
                check_cosignature(key, &self.text, &signature.bytes).map(Some).ok_or_else(bad)
            }
        }
    }
}

/// Checks the signature field of a cosigner over a note text. `Some(time)` when it is valid.
fn check_cosignature(key: &VerifierKey, text: &str, field: &[u8]) -> Option<u64> {
    let (time, signature) = field.split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    let valid =
        time <= MAX_COSIGNATURE_TIME && key.verify(cosigned_text(text, time).as_bytes(), signature);
    valid.then_some(time)
}

/// What a cosigner signs of a note text.
pub(crate) fn cosigned_text(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn find_key<'k>(
    known: &'k [VerifierKey],
    signature: &NoteSignature,
) -> Result<Option<&'k VerifierKey>, NoteError> {
    let mut owners = known.iter().filter(|key| key.owns(signature));
    let first = owners.next();
    if owners.any(|other| Some(other) != first) {
        let name = signature.name.clone();
        return Err(NoteError::AmbiguousKey { name, id: signature.id });
    }
    Ok(first)
}

fn check_characters(bytes: &[u8]) -> Result<&str, NoteError> {
    if bytes.len() > MAX_NOTE_BYTES {
        return Err(NoteError::Malformed("too long"));
    }
    if bytes.iter().any(|byte| *byte < 0x20 && *byte != b'\n') {
        return Err(NoteError::Malformed("control character"));
    }
    std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed("not UTF-8"))
}
