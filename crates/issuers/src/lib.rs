//! The issuer register: whose tokens these are, and whose word on them counts.
//!
//! ```text
//! presented ──▶ no JWS                                  opaque: found by its digest alone
//!               signed by the key of a registered issuer   verified: by (iss, jti) as well
//!               any other JWS                              refused: as good as unknown
//!               keys cannot be had                         unknown: neither
//! ```
//!
//! A `t1` id covers header and claims of a JWS, not its signature: it is a name for look-ups, never
//! an authentication. So a JWS that nobody verified is never active, be it of a registered issuer
//! or of another, whole or without its signature. The one exception is an issuer without keys for
//! which the operator has set `accept_unverified`; each start warns of it.
//!
//! Promises: a jti makes a token active only under a verified signature and the `iss` that the
//! register has for the keys; to find what is to be revoked it needs none
//! ([`Issuers::claimed_ids`]). A token's own `exp` and `nbf` can only narrow what the ledger says.
//! Of tokens nothing is kept but digests of those that were verified, in memory; nothing of them
//! is logged.
//!
//! Assumes: blocking; handlers call it where they may wait.

pub mod connector;
pub mod jwk;
pub mod jws;
pub mod key_room;
pub mod settings;
pub mod signed_events;
pub mod verified;
pub mod workload;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ledgerline_api::status;
use ledgerline_client::Misconfigured;
use ledgerline_client::outbound::Outbound;
use ledgerline_proof::hash::{DomainHasher, domain};
use ledgerline_proof::token_id::{from_jti, hashed_jti, t1_value};
use ledgerline_world::cache::Usage;

use crate::connector::Connector;
use crate::jws::{Shape, Unverified};
use crate::key_room::{KeyRoom, Source};
use crate::settings::{IssuerSettings, IssuerTable, JtiRule};
use crate::verified::{Verified, VerifiedTokens};
use crate::workload::Proven;

/// Verified tokens that are remembered: 100 MiB when all of them are.
const REMEMBERED: usize = 262_144;
/// What a fetch of keys may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// One issuer.
pub struct Issuer {
    alias: Arc<str>,
    /// `<region>:<alias>`, in front of the ids of its tokens.
    front: Arc<str>,
    settings: IssuerSettings,
    keys: Option<KeyRoom>,
    connector: Option<Connector>,
}

/// All of them.
pub struct Issuers {
    by_alias: BTreeMap<Arc<str>, Arc<Issuer>>,
    by_iss: BTreeMap<String, Arc<Issuer>>,
    verified: VerifiedTokens,
}

/// The register as it is now: replaced whole while others read the one before.
pub struct Register(RwLock<Arc<Issuers>>);

impl Register {
    /// Begins with these issuers.
    #[must_use]
    pub fn new(issuers: Issuers) -> Self {
        Self(RwLock::new(Arc::new(issuers)))
    }

    /// The issuers that count now.
    #[must_use]
    pub fn now(&self) -> Arc<Issuers> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these count.
    pub fn replace(&self, issuers: Issuers) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(issuers);
    }
}

/// What a presented token is, as far as its signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It is no JWS, or of an issuer whose tokens are taken unverified: found by its digest.
    Opaque,
    /// A JWS that no registered issuer signed, or that is for another use.
    Refused,
    /// The issuer's keys cannot be had.
    Unknown,
    /// The issuer signed it.
    Verified(Arc<Verified>),
}

impl Issuers {
    /// The register of the settings. Keys of files are read now, those of URLs when first asked
    /// for.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn open(table: IssuerTable) -> anyhow::Result<Self> {
        let mut by_alias = BTreeMap::new();
        let mut by_iss = BTreeMap::new();
        for (alias, settings) in table {
            let issuer = Arc::new(Issuer::open(&alias, settings)?);
            by_iss.insert(issuer.settings.iss.clone(), Arc::clone(&issuer));
            by_alias.insert(Arc::clone(&issuer.alias), issuer);
        }
        Ok(Self { by_alias, by_iss, verified: VerifiedTokens::new(REMEMBERED) })
    }

    /// The issuer of an alias, for a tenant that may know of it.
    #[must_use]
    pub fn get(&self, tenant: &str, alias: &str) -> Option<Arc<Issuer>> {
        self.by_alias.get(alias).filter(|issuer| issuer.serves(tenant)).cloned()
    }

    /// All that a tenant may know of; all at all for `None`.
    pub fn of_tenant<'s>(&'s self, tenant: Option<&'s str>) -> impl Iterator<Item = &'s Issuer> {
        let all = self.by_alias.values().map(AsRef::as_ref);
        all.filter(move |issuer| tenant.is_none_or(|tenant| issuer.serves(tenant)))
    }

    /// What the cache of verified tokens is good for.
    #[must_use]
    pub fn cached(&self) -> Usage {
        self.verified.usage()
    }

    /// Whether nothing can be said of a token but by its digest: no keys are needed to see that.
    #[must_use]
    pub fn is_opaque(&self, token: &[u8]) -> bool {
        !token.contains(&b'.')
    }

    /// What was verified before of a token that is presented in a tenant, if its issuer's keys are
    /// the same still. `None` says nothing.
    #[must_use]
    pub fn remembered(&self, tenant: &str, token: &[u8]) -> Option<Arc<Verified>> {
        let generation = |known: &Verified| {
            let (_, alias) = known.issuer.split_once(':')?;
            self.get(tenant, alias)?.keys.as_ref()?.generation_at_hand()
        };
        let digest = DomainHasher::new(domain::TOKEN).bytes(token).finish();
        self.verified.find(&digest, |known| generation(known) == Some(known.generation))
    }

    /// What a token is that was presented in a tenant. Its times are for the caller to judge.
    #[must_use]
    pub fn judge(&self, tenant: &str, token: &[u8]) -> Judged {
        let one = match jws::read(token) {
            Shape::Opaque => return Judged::Opaque,
            Shape::Broken { .. } => return Judged::Refused,
            Shape::Jws(one) => one,
        };
        let Some(issuer) = self.of_iss(tenant, one.iss()) else { return Judged::Refused };
        if !one.may_be_access_token() {
            return Judged::Refused;
        }
        let Some(keys) = issuer.keys.as_ref() else {
            let excepted = issuer.settings.accept_unverified;
            return if excepted { Judged::Opaque } else { Judged::Refused };
        };
        let digest = DomainHasher::new(domain::TOKEN).bytes(token).finish();
        let counts = |known: &Verified| Some(known.generation) == keys.generation();
        if let Some(known) = self.verified.find(&digest, counts) {
            return Judged::Verified(known);
        }
        match issuer.verify(keys, &one) {
            Ok(Some(verified)) => {
                let digest_text = t1_value(token).unwrap_or_default().into();
                let verified = Arc::new(Verified { digest: digest_text, ..verified });
                self.verified.keep(digest, Arc::clone(&verified));
                Judged::Verified(verified)
            }
            Ok(None) => Judged::Refused,
            Err(()) => Judged::Unknown,
        }
    }

    /// What an identity token says whose issuer's alias `counts` and that this issuer signed. Its
    /// times are for the caller to judge. `None` also when the keys cannot be had.
    #[must_use]
    pub fn identity(&self, token: &[u8], counts: impl FnOnce(&str) -> bool) -> Option<Proven> {
        let Shape::Jws(one) = jws::read(token) else { return None };
        let issuer = self.by_iss.get(one.iss()?).filter(|issuer| counts(&issuer.alias))?;
        let keys = issuer.keys.as_ref()?.keys(one.kid()).ok()?;
        if !one.may_be_identity_token() || !one.is_signed_by(&keys.list) {
            return None;
        }
        let (not_before, expires_at) = one.window();
        Some(Proven {
            issuer: issuer.alias.to_string(),
            subject: one.sub()?.to_owned(),
            audiences: one.audiences(),
            not_before,
            expires_at,
            issued_at: one.issued_at(),
        })
    }

    fn of_iss(&self, tenant: &str, iss: Option<&str>) -> Option<&Arc<Issuer>> {
        self.by_iss.get(iss?).filter(|issuer| issuer.serves(tenant))
    }

    /// The ids that a JWS claims to have at a registered issuer, signed or not: names to look it up
    /// by for whoever wants to end it, never a reason to call it active.
    #[must_use]
    pub fn claimed_ids(&self, tenant: &str, token: &[u8]) -> Vec<String> {
        let (iss, jti) = match jws::read(token) {
            Shape::Opaque => return Vec::new(),
            Shape::Broken { iss, jti } => (iss, jti),
            Shape::Jws(one) => (one.iss().map(str::to_owned), one.jti().map(str::to_owned)),
        };
        let issuer = self.of_iss(tenant, iss.as_deref());
        issuer.map_or_else(Vec::new, |issuer| issuer.ids_of(jti.as_deref()))
    }
}

impl Issuer {
    fn open(alias: &str, settings: IssuerSettings) -> anyhow::Result<Self> {
        let wrong =
            |key: &str, what: String| Misconfigured::new(format!("issuers.{alias}: {key}: {what}"));
        let source = match (&settings.jwks_file, &settings.jwks_url) {
            (Some(path), _) => Some(Source::File(path.clone())),
            (None, Some(url)) => {
                let outbound = Outbound::new(url, settings.ca_file.as_deref(), FETCH_TIMEOUT);
                let outbound = outbound.map_err(|error| wrong("jwks_url", error.to_string()))?;
                Some(Source::Url(outbound))
            }
            (None, None) => None,
        };
        let seconds = |given: Option<u64>, usual| Duration::from_secs(given.unwrap_or(usual));
        let floor = seconds(settings.jwks_floor_seconds, 30);
        let max_age = seconds(settings.jwks_max_age_seconds, 3600);
        let keys = source.map(|source| KeyRoom::new(alias, source, floor, max_age));
        if let (Some(path), Some(room)) = (&settings.jwks_file, &keys) {
            let read = room.keys(None).map_err(|lost| format!("{}: {lost}", path.display()));
            if read.map_err(|what| wrong("jwks_file", what))?.list.is_empty() {
                let what = "it holds no key that can be used".to_owned();
                return Err(wrong("jwks_file", what).into());
            }
        }
        if settings.accept_unverified {
            let why = "JWTs of this issuer are active without a verified signature: whoever has \
                       the header and claims of one can present it. Give its keys and take \
                       accept_unverified out";
            tracing::warn!(code = "issuer_accepts_unverified", alias, why);
        }
        let connector = Connector::open(&settings);
        let connector = connector.map_err(|error| wrong("connector", format!("{error:#}")))?;
        let front = format!("{}:{alias}", settings.region).into();
        Ok(Self { alias: alias.into(), front, settings, keys, connector })
    }

    /// Its alias.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The `iss` of its tokens.
    #[must_use]
    pub fn iss(&self) -> &str {
        &self.settings.iss
    }

    /// The way to tell it of revocations, if the register has one.
    #[must_use]
    pub fn connector(&self) -> Option<&Connector> {
        self.connector.as_ref()
    }

    fn serves(&self, tenant: &str) -> bool {
        let tenants = &self.settings.tenants;
        tenants.is_empty() || tenants.iter().any(|one| one == tenant)
    }

    /// `Err` when the keys cannot be had.
    fn verify(&self, room: &KeyRoom, one: &Unverified<'_>) -> Result<Option<Verified>, ()> {
        let keys = room.keys(one.kid()).map_err(|_| ())?;
        if !one.is_signed_by(&keys.list) {
            return Ok(None);
        }
        let ids = self.ids_of(one.jti());
        let (not_before, expires_at) = one.window();
        let (issuer, generation) = (Arc::clone(&self.front), keys.generation);
        let digest = Box::default();
        Ok(Some(Verified { issuer, ids, digest, not_before, expires_at, generation }))
    }

    /// The ids of its token with this jti, where its jti may be one: as it is, and hashed, since a
    /// source may hash what another one writes out.
    fn ids_of(&self, jti: Option<&str>) -> Vec<String> {
        let jti = jti.filter(|_| self.settings.jti_rule == JtiRule::Identity);
        let jti = jti.filter(|jti| !jti.is_empty());
        let id = jti.and_then(|jti| from_jti(&self.settings.region, &self.alias, jti).ok());
        let hashed = id.as_deref().and_then(hashed_jti);
        id.into_iter().chain(hashed).collect()
    }

    /// What may be known of it: no secret and no path.
    #[must_use]
    pub fn shown(&self) -> status::Issuer<'_> {
        let settings = &self.settings;
        let keys = self.keys.as_ref().map(|room| {
            let state = room.state();
            status::IssuerKeys {
                from: room.source_word().into(),
                url: settings.jwks_url.as_deref().map(Into::into),
                usable: state.keys.map(|keys| keys as u64),
                fetches: state.fetches,
                failures: state.failures,
                last_failure: state.failed.map(Into::into),
            }
        });
        status::Issuer {
            alias: (&*self.alias).into(),
            iss: Some((&*settings.iss).into()),
            region: Some((&*settings.region).into()),
            jti_rule: Some(settings.jti_rule.word().into()),
            keys,
            accepts_unverified: Some(settings.accept_unverified),
            revocation_endpoint: settings.revocation_endpoint.as_deref().map(Into::into),
        }
    }
}
