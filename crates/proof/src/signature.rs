//! Producer signatures over statements.
//!
//! ```text
//! signed bytes = "ledgerline/statement/v1\0" ‖ u8 alg ‖ lp(deployment) ‖ lp(key_id)
//!                ‖ statement bytes
//! alg 1 = HMAC-SHA256 (RFC 2104), 2 = Ed25519 judged by ZIP 215
//! ```
//!
//! The deployment is signed, so a statement made for one deployment is refused by another. Ed25519
//! is judged by ZIP 215 (cofactored, non-canonical points allowed) because only that rule gives the
//! same verdict one by one and in a batch; a ledger whose verdict depends on how it was checked is
//! worthless.
//!
//! An HMAC convinces only whoever holds the key. [`Alg::convinces_third_parties`] says so to
//! reports.

use ed25519_zebra::{SigningKey, VerificationKey};

use crate::hash::{HmacKey, domain};

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alg {
    /// HMAC-SHA256.
    HmacSha256,
    /// Ed25519.
    Ed25519,
}

impl Alg {
    /// The number in statements' signatures and key records.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.byte() as i32
    }

    /// The number as one byte of the signed bytes.
    const fn byte(self) -> u8 {
        match self {
            Self::HmacSha256 => 1,
            Self::Ed25519 => 2,
        }
    }

    /// The algorithm with that number.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::HmacSha256),
            2 => Some(Self::Ed25519),
            _ => None,
        }
    }

    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "HMAC-SHA256",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// The algorithm with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::HmacSha256, Self::Ed25519].into_iter().find(|alg| alg.name() == name)
    }

    /// Whether the signature proves authorship to somebody who does not hold the signing secret.
    #[must_use]
    pub const fn convinces_third_parties(self) -> bool {
        matches!(self, Self::Ed25519)
    }
}

/// Everything before the statement in the signed bytes. Computed once per key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningContext(Vec<u8>);

impl SigningContext {
    /// The context of one key in one deployment.
    ///
    /// # Panics
    /// When deployment or key id exceed 65,535 bytes.
    #[must_use]
    pub fn new(alg: Alg, deployment: &str, key_id: &str) -> Self {
        let mut bytes = domain::STATEMENT.to_vec();
        bytes.push(alg.byte());
        for part in [deployment, key_id] {
            let length = u16::try_from(part.len()).expect("names are far below 64 KiB");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Self(bytes)
    }

    /// The full signed bytes.
    #[must_use]
    pub fn message(&self, statement: &[u8]) -> Vec<u8> {
        [&self.0, statement].concat()
    }
}

/// A key that judges statements.
#[derive(Clone)]
pub struct StatementKey {
    context: SigningContext,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Hmac(Box<HmacKey>),
    Ed25519(Box<VerificationKey>),
}

impl std::fmt::Debug for StatementKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StatementKey({})", self.alg().name())
    }
}

/// The signature does not fit, or the key material is unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It was made with another key or over other bytes.
    #[error("the signature does not fit the statement, key and deployment")]
    Mismatch,
    /// Its length or the key's is wrong for the algorithm.
    #[error("the key or signature has the wrong length or is no curve point")]
    Malformed,
}

impl StatementKey {
    /// A shared secret.
    #[must_use]
    pub fn hmac(secret: &[u8], deployment: &str, key_id: &str) -> Self {
        let context = SigningContext::new(Alg::HmacSha256, deployment, key_id);
        Self { context, material: Material::Hmac(Box::new(HmacKey::new(secret))) }
    }

    /// A public key of 32 bytes.
    ///
    /// # Errors
    /// `Malformed` when it is no point of the curve.
    pub fn ed25519(public: &[u8], deployment: &str, key_id: &str) -> Result<Self, SignatureError> {
        let key = VerificationKey::try_from(public).map_err(|_| SignatureError::Malformed)?;
        let context = SigningContext::new(Alg::Ed25519, deployment, key_id);
        Ok(Self { context, material: Material::Ed25519(Box::new(key)) })
    }

    /// The algorithm.
    #[must_use]
    pub fn alg(&self) -> Alg {
        match self.material {
            Material::Hmac(_) => Alg::HmacSha256,
            Material::Ed25519(_) => Alg::Ed25519,
        }
    }

    /// The same public key in another deployment; `None` for shared secrets, which are not kept.
    #[must_use]
    pub fn for_deployment(&self, deployment: &str, key_id: &str) -> Option<Self> {
        match &self.material {
            Material::Hmac(_) => None,
            Material::Ed25519(key) => Some(Self {
                context: SigningContext::new(Alg::Ed25519, deployment, key_id),
                material: Material::Ed25519(key.clone()),
            }),
        }
    }

    /// Judges one signature over the statement's bytes.
    ///
    /// # Errors
    /// `Mismatch` or `Malformed`.
    pub fn verify(&self, statement: &[u8], value: &[u8]) -> Result<(), SignatureError> {
        match &self.material {
            Material::Hmac(key) => key
                .verify(&[&self.context.0, statement], value)
                .map_err(|_| SignatureError::Mismatch),
            Material::Ed25519(key) => {
                let value: &[u8; 64] = value.try_into().map_err(|_| SignatureError::Malformed)?;
                key.verify(&(*value).into(), &self.context.message(statement))
                    .map_err(|_| SignatureError::Mismatch)
            }
        }
    }
}

/// Ed25519 signatures to be judged together, which costs less than half of judging each. The
/// verdict is that of judging them one by one (ZIP 215), but for a chance of 2^-128.
#[derive(Default)]
pub struct SignatureBatch {
    batch: ed25519_zebra::batch::Verifier,
    count: usize,
}

impl SignatureBatch {
    /// Adds one signature. False when the key is no Ed25519 key or the value has the wrong length:
    /// such a signature is judged alone.
    pub fn queue(&mut self, key: &StatementKey, statement: &[u8], value: &[u8]) -> bool {
        let Material::Ed25519(public) = &key.material else { return false };
        let Ok(value) = <&[u8; 64]>::try_from(value) else { return false };
        let message = key.context.message(statement);
        let public = ed25519_zebra::VerificationKeyBytes::from(**public);
        self.batch.queue((public, (*value).into(), &message));
        self.count += 1;
        true
    }

    /// How many were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether all of them hold. `random` fills a buffer with bytes that whoever made the
    /// signatures cannot predict.
    #[must_use]
    pub fn holds(self, random: &mut dyn FnMut(&mut [u8])) -> bool {
        self.batch.verify(BatchRandom(random)).is_ok()
    }
}

struct BatchRandom<'r>(&'r mut dyn FnMut(&mut [u8]));

impl rand_core::TryRng for BatchRandom<'_> {
    type Error = std::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Self::Error> {
        (self.0)(buffer);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for BatchRandom<'_> {}

/// A key that signs statements: held by producers and tests, never by the ledger for others.
pub enum StatementSigner {
    /// With a shared secret.
    Hmac(SigningContext, Box<HmacKey>),
    /// With a private key.
    Ed25519(SigningContext, Box<SigningKey>),
}

impl StatementSigner {
    /// A shared secret.
    #[must_use]
    pub fn hmac(secret: &[u8], deployment: &str, key_id: &str) -> Self {
        let context = SigningContext::new(Alg::HmacSha256, deployment, key_id);
        Self::Hmac(context, Box::new(HmacKey::new(secret)))
    }

    /// An Ed25519 seed.
    #[must_use]
    pub fn ed25519(seed: &[u8; 32], deployment: &str, key_id: &str) -> Self {
        let context = SigningContext::new(Alg::Ed25519, deployment, key_id);
        Self::Ed25519(context, Box::new(SigningKey::from(*seed)))
    }

    /// The signature over a statement's bytes.
    #[must_use]
    pub fn sign(&self, statement: &[u8]) -> Vec<u8> {
        match self {
            Self::Hmac(context, key) => key.mac(&[&context.0, statement]).as_bytes().to_vec(),
            Self::Ed25519(context, key) => {
                key.sign(&context.message(statement)).to_bytes().to_vec()
            }
        }
    }
}
