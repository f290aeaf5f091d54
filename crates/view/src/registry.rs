//! Keys and credentials: who may write and read what.
//!
//! Promises: the registry is a pure function of the ledger's KEY_ADDED, KEY_RETIRED and
//! KEY_COMPROMISED leaves; nothing else grants anything. A key is valid over an index range, never
//! over wall time (only a credential's own expiry is a time). Secrets are compared in constant
//! time.
//!
//! ```text
//! API key = "llk_" ‖ key id ‖ "_" ‖ base64url(32 random bytes)      the ledger keeps
//!           SHA-256("ledgerline/secret/v1\0" ‖ the 32 bytes)
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgerline_proof::control::{Grant, KeyAdded};
use ledgerline_proof::hash::{DomainHasher, Hash, domain};
use ledgerline_proof::signature::{Alg, StatementKey};
use ledgerline_proof::statement::{Detail, Statement};
use ledgerline_proof::token_id::TokenId;
use ledgerline_proof::vocabulary::{EventType, KeyPurpose, TargetKind, Vantage};
use subtle::ConstantTimeEq as _;

/// The tenant of keys that act for all tenants.
pub const ALL_TENANTS: &str = "*";
/// The source reserved for the ledger's own statements.
pub const LEDGER_SOURCE: &str = "ledger";
/// Native ids of uses that the ledger saw itself, in the name of whoever asked.
pub const SEEN_USE_PREFIX: &str = "introspection/";
const API_KEY_PREFIX: &str = "llk_";
const SECRET_TEXT_BYTES: usize = 43;

/// A set of roles of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u16);

impl Roles {
    /// May submit events.
    pub const PRODUCER: Self = Self(1);
    /// May read events, without personal data.
    pub const READER: Self = Self(1 << 1);
    /// May read proofs and leaves, without personal data.
    pub const AUDITOR: Self = Self(1 << 2);
    /// May read personal data and erase it.
    pub const PRIVACY: Self = Self(1 << 3);
    /// May revoke.
    pub const RESPONDER: Self = Self(1 << 4);
    /// May introspect.
    pub const RESOURCE_SERVER: Self = Self(1 << 5);
    /// May revoke its own tokens (RFC 7009).
    pub const CLIENT: Self = Self(1 << 6);
    /// May manage keys.
    pub const ADMIN: Self = Self(1 << 7);

    /// Every role.
    pub const ALL: Self = Self(0xff);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::PRODUCER, "producer"),
        (Self::READER, "reader"),
        (Self::AUDITOR, "auditor"),
        (Self::PRIVACY, "privacy"),
        (Self::RESPONDER, "responder"),
        (Self::RESOURCE_SERVER, "resource_server"),
        (Self::CLIENT, "client"),
        (Self::ADMIN, "admin"),
    ];

    /// Whether any of `wanted` is in the set.
    #[must_use]
    pub const fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 != 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set of these names; `None` when one is no role.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Option<Self> {
        let mut roles = Self::default();
        for name in names {
            let (role, _) = Self::NAMES.iter().find(|(_, known)| *known == name.as_ref())?;
            roles = roles.with(*role);
        }
        Some(roles)
    }

    /// The names, in a fixed order.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(role, _)| self.has(*role)).map(|(_, name)| *name).collect()
    }
}

/// What a key may write.
#[derive(Debug, Clone, Default)]
pub struct WriteGrant {
    /// Event types; empty for all.
    pub types: Vec<EventType>,
    /// Issuer aliases; empty for all.
    pub issuers: Vec<String>,
    /// Regions of token ids; empty for all.
    pub regions: Vec<String>,
    /// Whether every statement must be signed.
    pub signed_only: bool,
    /// Whether lifecycle violations are refused.
    pub strict: bool,
}

impl WriteGrant {
    /// Whether it lets tokens be brought in: an issuer's, or of whoever speaks for one.
    fn registers(&self) -> bool {
        let registers = [EventType::Issued, EventType::Origin];
        self.types.is_empty() || registers.iter().any(|one| self.types.contains(one))
    }
}

/// Why a statement is outside a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The statement names another tenant than the key.
    #[error("the statement's tenant is not the credential's")]
    WrongTenant,
    /// The statement names another source than the key.
    #[error("the statement's source is not the credential's")]
    WrongSource,
    /// Its type, issuer or region is not granted.
    #[error("the credential's grant does not cover this {0}")]
    OutOfGrant(&'static str),
    /// It says what only the ledger itself says.
    #[error("no producer states {0}")]
    LedgersOwn(&'static str),
}

impl GrantError {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::WrongTenant => "wrong_tenant",
            Self::WrongSource => "wrong_source",
            Self::OutOfGrant(_) | Self::LedgersOwn(_) => "out_of_grant",
        }
    }
}

/// A registered key.
#[derive(Debug)]
pub struct Key {
    /// Its id.
    pub key_id: Arc<str>,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Algorithm number; 0 for a credential.
    pub alg: i32,
    /// Its tenant, or [`ALL_TENANTS`].
    pub tenant: Arc<str>,
    /// The source it writes for.
    pub source: Arc<str>,
    /// Roles of the interface.
    pub roles: Roles,
    /// What it may write.
    pub grant: WriteGrant,
    /// First index at which it is valid.
    pub valid_from: u64,
    /// Last index at which it is valid; `None` while it is.
    pub valid_until: Option<u64>,
    /// Whether it ended because it leaked.
    pub compromised: bool,
    /// Unix nanoseconds after which a credential no longer authenticates.
    pub expires_at: Option<i64>,
    /// The hash of its secret.
    pub secret_hash: Option<Hash>,
    /// Judges statements; `None` for credentials and for secrets that are not at hand.
    pub statement_key: Option<StatementKey>,
}

impl Key {
    /// Whether the key is valid for the leaf at `index`.
    #[must_use]
    pub fn covers_index(&self, index: u64) -> bool {
        index >= self.valid_from && self.valid_until.is_none_or(|until| index <= until)
    }

    /// Whether the key may say which ids are one token, where the statement says so: it must be
    /// able to register tokens, and each id must be of an issuer and a region that it may write
    /// about. For intake; what was recorded before this rule joins no tokens of other issuers.
    ///
    /// # Errors
    /// What it may not.
    pub fn check_aliases(&self, statement: &Statement<'_>) -> Result<(), GrantError> {
        let grant = &self.grant;
        if statement.also_known_as.is_empty() {
            return Ok(());
        }
        if !grant.registers() {
            return Err(GrantError::OutOfGrant("also_known_as without ISSUED or ORIGIN"));
        }
        for id in &statement.also_known_as {
            let id = TokenId::parse(id).ok();
            for (allowed, found) in [
                (&grant.issuers, id.as_ref().map(TokenId::issuer)),
                (&grant.regions, id.as_ref().map(TokenId::region)),
            ] {
                let covered = found.is_some_and(|found| allowed.iter().any(|one| one == found));
                if !allowed.is_empty() && !covered {
                    return Err(GrantError::OutOfGrant("also_known_as"));
                }
            }
        }
        Ok(())
    }

    /// Whether the statement is one that no producer makes, because it would pass for the ledger's
    /// own. For intake; what was recorded before this rule differs by its source.
    ///
    /// ```text
    /// EXPIRED        follows from expires_at. What its issuer ended earlier is REVOKED, what is
    ///                taken over is ORIGIN with the state EXPIRED
    /// LEDGER         as a target: the chain of findings and reports
    /// ADMIN_ACT      with the detail `act`: issuer_told, key_ends. Acts of an issuer's
    ///                administrators have none
    /// INTROSPECTION  as vantage: of issuers' own endpoints, so by keys that may register tokens,
    ///                and without the native ids of uses that the ledger saw itself
    /// ```
    ///
    /// # Errors
    /// What it is.
    pub fn check_own_words(&self, statement: &Statement<'_>) -> Result<(), GrantError> {
        let own = |what| Err(GrantError::LedgersOwn(what));
        if statement.event_type == EventType::Expired {
            return own(
                "EXPIRED: it follows from expires_at. What ended earlier is REVOKED, what is taken \
                 over is ORIGIN with the state EXPIRED",
            );
        }
        if statement.target.kind == TargetKind::Ledger {
            return own("something about the LEDGER");
        }
        let is_act = |detail: &Detail<'_>| detail.key == "act";
        if statement.event_type == EventType::AdminAct && statement.detail.iter().any(is_act) {
            return own("an ADMIN_ACT with the detail `act`: the ledger's own acts have it");
        }
        if statement.native_id.is_some_and(|id| id.starts_with(SEEN_USE_PREFIX)) {
            return own("native ids that begin with introspection/: uses that the ledger saw");
        }
        if statement.vantage == Vantage::Introspection && !self.grant.registers() {
            return Err(GrantError::OutOfGrant("vantage INTROSPECTION without ISSUED or ORIGIN"));
        }
        Ok(())
    }

    /// Whether the key may write this statement.
    ///
    /// # Errors
    /// The first thing it may not.
    pub fn check_grant(&self, statement: &Statement<'_>) -> Result<(), GrantError> {
        if &*self.tenant != ALL_TENANTS && statement.tenant != &*self.tenant {
            return Err(GrantError::WrongTenant);
        }
        if statement.source != &*self.source || statement.source == LEDGER_SOURCE {
            return Err(GrantError::WrongSource);
        }
        let grant = &self.grant;
        if !grant.types.is_empty() && !grant.types.contains(&statement.event_type) {
            return Err(GrantError::OutOfGrant("type"));
        }
        if is_reserved(statement.event_type) {
            return Err(GrantError::LedgersOwn("this type: the ledger itself writes it"));
        }
        if grant.issuers.is_empty() && grant.regions.is_empty() {
            return Ok(());
        }
        let (region, alias) = region_and_issuer(statement);
        for (allowed, found, what) in
            [(&grant.issuers, alias, "issuer"), (&grant.regions, region, "region")]
        {
            let covered = found.is_some_and(|found| allowed.iter().any(|one| one == found));
            if !allowed.is_empty() && !covered {
                return Err(GrantError::OutOfGrant(what));
            }
        }
        let named = statement.issuer;
        if !grant.issuers.is_empty() && named.is_some_and(|n| !grant.issuers.iter().any(|g| g == n))
        {
            return Err(GrantError::OutOfGrant("issuer"));
        }
        Ok(())
    }
}

/// Types that only the ledger itself writes.
const fn is_reserved(event_type: EventType) -> bool {
    matches!(
        event_type,
        EventType::Refused
            | EventType::Erased
            | EventType::Disclosed
            | EventType::Exported
            | EventType::Hold
            | EventType::FindingRaised
            | EventType::FindingClosed
            | EventType::VerifyReport
            | EventType::Recovered
            | EventType::CheckpointCosigned
    )
}

/// Region and issuer alias that a statement is about, from its target.
fn region_and_issuer<'a>(statement: &Statement<'a>) -> (Option<&'a str>, Option<&'a str>) {
    let id = statement.target.id;
    match statement.target.kind {
        TargetKind::Token => TokenId::parse(id)
            .map_or((None, None), |token| (Some(token.region()), Some(token.issuer()))),
        TargetKind::Session | TargetKind::Grant | TargetKind::Client | TargetKind::Key => {
            let mut parts = id.splitn(3, ':');
            (parts.next(), parts.next())
        }
        _ => (None, statement.issuer),
    }
}

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its credential.
    pub key: Arc<Key>,
}

impl Caller {
    /// The credential's id.
    #[must_use]
    pub fn key_id(&self) -> &Arc<str> {
        &self.key.key_id
    }
    /// Its tenant, or [`ALL_TENANTS`].
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.key.tenant
    }
    /// The tenant of what it writes: its own; the default tenant for keys of all tenants.
    #[must_use]
    pub fn own_tenant(&self) -> &str {
        if &*self.key.tenant == ALL_TENANTS { "" } else { &self.key.tenant }
    }
    /// The source it writes for.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.key.source
    }
    /// Its roles.
    #[must_use]
    pub fn roles(&self) -> Roles {
        self.key.roles
    }
    /// Whether it may see `tenant`.
    #[must_use]
    pub fn may_see(&self, tenant: &str) -> bool {
        &*self.key.tenant == ALL_TENANTS || &*self.key.tenant == tenant
    }
}

/// Why an API key does not authenticate. Callers are told only that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No such key, or another secret.
    #[error("unknown API key")]
    Unknown,
    /// Past its expiry.
    #[error("the API key has expired")]
    Expired,
    /// Retired or compromised.
    #[error("the API key was retired")]
    Retired,
}

/// All keys. Shared; written only by the publisher and by recovery.
#[derive(Default)]
pub struct Registry {
    keys: RwLock<BTreeMap<Arc<str>, Arc<Key>>>,
}

/// Finds the secret of an HMAC key.
pub type SecretLookup<'s> = &'s dyn Fn(&str) -> Option<Vec<u8>>;

impl Registry {
    /// Takes a KEY_ADDED leaf at `index`. A key id is never reused: a second one is ignored.
    pub fn add(
        &self,
        added: &KeyAdded<'_>,
        index: u64,
        deployment: &str,
        secret: SecretLookup<'_>,
    ) {
        let key = key_from(added, index, deployment, secret);
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.entry(Arc::clone(&key.key_id)).or_insert_with(|| Arc::new(key));
    }

    /// Takes a KEY_RETIRED or KEY_COMPROMISED leaf at `index`. One that ended before stays ended
    /// where it did: that it leaked may be found out later.
    pub fn end(&self, key_id: &str, index: u64, compromised: bool) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = keys.get_mut(key_id) {
            let ended = Key {
                valid_until: slot.valid_until.or(Some(index)),
                compromised: slot.compromised || compromised,
                key_id: Arc::clone(&slot.key_id),
                tenant: Arc::clone(&slot.tenant),
                source: Arc::clone(&slot.source),
                grant: slot.grant.clone(),
                statement_key: slot.statement_key.clone(),
                ..**slot
            };
            *slot = Arc::new(ended);
        }
    }

    /// The key with this id, valid or not.
    #[must_use]
    pub fn key(&self, key_id: &str) -> Option<Arc<Key>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(key_id).cloned()
    }

    /// All keys, by id.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<Key>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Judges an API key at a wall time.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn authenticate(&self, api_key: &str, now_nanos: i64) -> Result<Caller, AuthError> {
        let (key_id, secret) = split_api_key(api_key).ok_or(AuthError::Unknown)?;
        let key = self.key(key_id).filter(|key| key.purpose == KeyPurpose::Credential);
        let expected = key.as_ref().and_then(|key| key.secret_hash).unwrap_or(Hash::ZERO);
        let found = secret_hash(&secret);
        let same = bool::from(expected.as_bytes().ct_eq(found.as_bytes()));
        let key = key.filter(|_| same).ok_or(AuthError::Unknown)?;
        in_force(key, now_nanos)
    }

    /// The caller of a credential whose holder proved otherwise who it is.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn proven(&self, key_id: &str, now_nanos: i64) -> Result<Caller, AuthError> {
        let key = self.key(key_id).filter(|key| key.purpose == KeyPurpose::Credential);
        in_force(key.ok_or(AuthError::Unknown)?, now_nanos)
    }
}

fn in_force(key: Arc<Key>, now_nanos: i64) -> Result<Caller, AuthError> {
    if key.valid_until.is_some() {
        return Err(AuthError::Retired);
    }
    if key.expires_at.is_some_and(|expiry| now_nanos >= expiry) {
        return Err(AuthError::Expired);
    }
    Ok(Caller { key })
}

/// The hash under which the ledger knows a secret.
#[must_use]
pub fn secret_hash(secret: &[u8]) -> Hash {
    DomainHasher::new(domain::SECRET).bytes(secret).finish()
}

/// The text of an API key.
#[must_use]
pub fn api_key_text(key_id: &str, secret: &[u8; 32]) -> String {
    format!("{API_KEY_PREFIX}{key_id}_{}", URL_SAFE_NO_PAD.encode(secret))
}

fn split_api_key(text: &str) -> Option<(&str, Vec<u8>)> {
    let rest = text.strip_prefix(API_KEY_PREFIX)?;
    let at = rest.len().checked_sub(SECRET_TEXT_BYTES + 1)?;
    let (key_id, secret) = rest.split_at_checked(at)?;
    Some((key_id, URL_SAFE_NO_PAD.decode(secret.strip_prefix('_')?).ok()?))
}

fn key_from(added: &KeyAdded<'_>, index: u64, deployment: &str, secret: SecretLookup<'_>) -> Key {
    let statement_key = match Alg::from_number(added.alg) {
        Some(Alg::HmacSha256) => secret(added.key_id)
            .filter(|secret| Some(secret_hash(secret)) == added.secret_hash)
            .map(|secret| StatementKey::hmac(&secret, deployment, added.key_id)),
        Some(Alg::Ed25519) => added
            .public_key
            .and_then(|public| StatementKey::ed25519(public, deployment, added.key_id).ok()),
        None => None,
    };
    let Grant { types, issuers, regions, roles, signed_only, strict, expires_at } = &added.grant;
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Key {
        key_id: added.key_id.into(),
        purpose: added.purpose,
        alg: added.alg,
        tenant: added.tenant.into(),
        source: added.source.into(),
        roles: Roles::parse(roles).unwrap_or_default(),
        grant: WriteGrant {
            types: types.clone(),
            issuers: owned(issuers),
            regions: owned(regions),
            signed_only: *signed_only,
            strict: *strict,
        },
        valid_from: index + 1,
        valid_until: None,
        compromised: false,
        expires_at: *expires_at,
        secret_hash: added.secret_hash,
        statement_key,
    }
}
