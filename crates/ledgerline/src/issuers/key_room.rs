//! The keys of one issuer, from a file or a URL.
//!
//! ```text
//! asked for a kid ──▶ known and young enough        as known
//!                     known, but old                renewed by one caller, the others go on
//!                     not known                     fetched, at most once per floor
//! ```
//!
//! Promises: between two fetches lies the floor, whatever anybody presents; one fetch at a time,
//! bounded in time and size. A key that the issuer withdrew is believed for the greatest age, and
//! while the issuer cannot be reached for a day at most.
//!
//! Refuses: to judge by no keys. Whoever asks then is told that nobody knows, not that the token is
//! bad.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use super::jwk::{PublicKey, SET_BYTES_MAX, read_set};
use crate::outbound::{Lost, Outbound};

/// How long keys are believed that cannot be fetched anew.
const STALE_MAX: Duration = Duration::from_secs(24 * 3600);
/// What is asked for.
const ACCEPT: &str = "application/jwk-set+json, application/json";

/// Where keys come from.
#[derive(Debug)]
pub enum Source {
    /// A file, read again like a URL is fetched again.
    File(PathBuf),
    /// A URL.
    Url(Outbound),
}

/// Keys as they were read.
#[derive(Debug)]
pub struct Keys {
    /// The usable ones.
    pub list: Vec<PublicKey>,
    /// Which reading brought others than the one before; what was verified under another one
    /// counts no more.
    pub generation: u64,
}

impl Keys {
    fn has(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.list.iter().any(|key| key.kid() == Some(kid)))
    }
}

struct Known {
    keys: Arc<Keys>,
    read_at: Instant,
}

#[derive(Default)]
struct Last {
    tried_at: Option<Instant>,
    failed: Option<Lost>,
}

/// The room. Shared.
pub struct KeyRoom {
    alias: String,
    source: Source,
    floor: Duration,
    max_age: Duration,
    known: RwLock<Option<Known>>,
    last: Mutex<Last>,
    fetches: AtomicU64,
    failures: AtomicU64,
}

/// How a room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomState {
    /// Usable keys; `None` before the first reading.
    pub keys: Option<usize>,
    /// Readings.
    pub fetches: u64,
    /// Those that failed.
    pub failures: u64,
    /// How the last one failed, if it did.
    pub failed: Option<Lost>,
}

impl KeyRoom {
    /// A room that knows nothing yet.
    #[must_use]
    pub fn new(alias: &str, source: Source, floor: Duration, max_age: Duration) -> Self {
        Self {
            alias: alias.to_owned(),
            source,
            floor,
            max_age,
            known: RwLock::default(),
            last: Mutex::default(),
            fetches: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// `file` or `url`.
    #[must_use]
    pub fn source_word(&self) -> &'static str {
        match self.source {
            Source::File(_) => "file",
            Source::Url(_) => "url",
        }
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> RoomState {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let keys = known.as_ref().map(|known| known.keys.list.len());
        drop(known);
        // While somebody fetches, the end of the last fetch is not known.
        let failed = self.last.try_lock().map(|last| last.failed).unwrap_or_default();
        let count = |one: &AtomicU64| one.load(Ordering::Relaxed);
        RoomState { keys, fetches: count(&self.fetches), failures: count(&self.failures), failed }
    }

    /// The keys among which one named `kid` is to be looked for. May wait for a fetch.
    ///
    /// # Errors
    /// When there are none, or the newest ones cannot be had and those known do not have it.
    pub fn keys(&self, kid: Option<&str>) -> Result<Arc<Keys>, Lost> {
        if let Some((keys, age)) = self.known() {
            if keys.has(kid) && age < self.max_age {
                return Ok(keys);
            }
            if keys.has(kid) && age < STALE_MAX {
                // Old, but good while somebody else fetches, or when it fails.
                return Ok(match self.last.try_lock() {
                    Ok(last) => self.renewed(last).unwrap_or(keys),
                    Err(TryLockError::Poisoned(last)) => {
                        self.renewed(last.into_inner()).unwrap_or(keys)
                    }
                    Err(TryLockError::WouldBlock) => keys,
                });
            }
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have fetched while this one waited.
        if let Some((keys, age)) = self.known()
            && keys.has(kid)
            && age < self.max_age
        {
            return Ok(keys);
        }
        if last.tried_at.is_none_or(|at| at.elapsed() >= self.floor) {
            self.fetch(&mut last);
        }
        match (self.known(), last.failed) {
            (Some((keys, age)), None) if age < STALE_MAX => Ok(keys),
            (_, failed) => Err(failed.unwrap_or("no_keys")),
        }
    }

    /// The generation that counts now; keys that are too old are renewed.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.keys(None).ok().map(|keys| keys.generation)
    }

    /// The same when nothing has to be fetched for it.
    #[must_use]
    pub fn generation_at_hand(&self) -> Option<u64> {
        self.known().filter(|(_, age)| *age < self.max_age).map(|(keys, _)| keys.generation)
    }

    fn known(&self) -> Option<(Arc<Keys>, Duration)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|known| (Arc::clone(&known.keys), known.read_at.elapsed()))
    }

    fn renewed(&self, mut last: MutexGuard<'_, Last>) -> Option<Arc<Keys>> {
        if last.tried_at.is_none_or(|at| at.elapsed() >= self.floor) {
            self.fetch(&mut last);
        }
        self.known().map(|(keys, _)| keys)
    }

    fn fetch(&self, last: &mut Last) {
        last.tried_at = Some(Instant::now());
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let alias = &self.alias;
        match self.read() {
            Ok(list) => {
                last.failed = None;
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                let keys = match known.take().map(|known| known.keys) {
                    Some(keys) if keys.list == list => keys,
                    before => {
                        let generation = before.map_or(1, |keys| keys.generation + 1);
                        tracing::info!(alias, keys = list.len(), "read the keys of an issuer");
                        Arc::new(Keys { list, generation })
                    }
                };
                *known = Some(Known { keys, read_at: Instant::now() });
            }
            Err(lost) => {
                last.failed = Some(lost);
                self.failures.fetch_add(1, Ordering::Relaxed);
                let why = "tokens of this issuer are judged by what is known of its keys";
                tracing::warn!(code = "issuer_keys_lost", alias, lost, why);
            }
        }
    }

    fn read(&self) -> Result<Vec<PublicKey>, Lost> {
        let text = match &self.source {
            Source::File(path) => {
                let mut text = Vec::new();
                let file = File::open(path).map_err(|_| "file_unreadable")?;
                let read = file.take(SET_BYTES_MAX + 1).read_to_end(&mut text);
                read.map_err(|_| "file_unreadable")?;
                if text.len() as u64 > SET_BYTES_MAX {
                    return Err("answer_too_long");
                }
                text
            }
            Source::Url(outbound) => {
                let answered = outbound.get(ACCEPT, SET_BYTES_MAX)?;
                if answered.status != 200 {
                    return Err("status_not_200");
                }
                answered.body
            }
        };
        read_set(&text).map_err(|_| "no_key_set")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(kids: &[&str]) -> String {
        let key = |kid: &&str| {
            format!(
                "{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"{kid}\",\
                 \"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}}"
            )
        };
        let keys: Vec<String> = kids.iter().map(key).collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }

    #[test]
    fn a_room_reads_again_by_its_floor_and_its_age() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        let write = |text: &str| std::fs::write(&path, text).expect("a file");
        let room = |floor_ms: u64, age_ms: u64| {
            let ms = Duration::from_millis;
            KeyRoom::new("idp", Source::File(path.clone()), ms(floor_ms), ms(age_ms))
        };
        let eager = room(0, 1 << 30);
        assert_eq!(eager.keys(Some("a")).err(), Some("file_unreadable"));
        write("no set");
        assert_eq!(eager.keys(Some("a")).err(), Some("no_key_set"));
        write(&set(&["a"]));
        assert_eq!(eager.keys(Some("a")).map(|keys| keys.generation), Ok(1));
        write(&set(&["a", "b"]));
        assert_eq!(eager.keys(Some("a")).map(|keys| keys.list.len()), Ok(1), "young enough");
        assert_eq!(eager.keys(Some("b")).map(|keys| keys.list.len()), Ok(2));
        write("gone");
        assert!(eager.keys(Some("b")).is_ok());
        assert!(eager.keys(Some("c")).is_err(), "nobody knows");
        write(&set(&["a"]));
        let patient = room(1 << 30, 1 << 30);
        for n in 0..100 {
            assert!(patient.keys(Some(&format!("no-{n}"))).is_ok());
        }
        assert_eq!(patient.state().fetches, 1);
        let old = room(0, 0);
        assert_eq!(old.keys(Some("a")).map(|keys| keys.generation), Ok(1));
        assert_eq!(old.generation(), Some(1), "the same keys");
        write(&set(&["b"]));
        assert_eq!(old.generation(), Some(2));
        let withdrawn = old.keys(Some("a")).expect("keys");
        assert!(!withdrawn.has(Some("a")));
    }
}
