//! The cached keys of one issuer, from a file or a URL, and when they are stale.
//!
//! ```text
//! asked for a kid ──▶ known and young enough        as known
//!                     known, but stale              fetched; a few wait for it, the others go on
//!                     not known                     fetched; a few wait for it, the others are
//!                                                   told at once that nobody knows yet
//! ```
//!
//! Promises: between two fetches lies the floor, whatever anybody presents; one fetch at a time,
//! bounded in time and size, on a thread of its own: at most [`WAITERS`] callers wait for it. A key
//! that the issuer withdrew is believed for the greatest age, and while the issuer cannot be
//! reached for a day at most.
//!
//! Assumes: whoever is told that a fetch is too soon asks again later ([`KeyRoom::keys_since`]); a
//! key that the issuer made a moment ago is there then.
//!
//! Refuses: to judge by no keys. Whoever asks then is told that nobody knows, not that the token is
//! bad.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ledgerline_client::outbound::{Lost, Outbound};

use crate::jwk::{PublicKey, SET_BYTES_MAX, read_set};

/// How long keys are believed that cannot be fetched anew.
const STALE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Callers that may wait for a fetch: each keeps a thread meanwhile.
const WAITERS: usize = 4;
/// For how long: longer than any fetch takes.
const WAIT_MAX: Duration = Duration::from_secs(5);
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
    /// Whether a key has this name; true when none is named.
    #[must_use]
    pub fn has(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.list.iter().any(|key| key.kid() == Some(kid)))
    }
}

struct Known {
    keys: Arc<Keys>,
    read_at: Instant,
    /// When the reading began: what the issuer made later may not be in it.
    begun_at: Instant,
}

#[derive(Default)]
struct Last {
    tried_at: Option<Instant>,
    failed: Option<Lost>,
    is_fetching: bool,
    waiting: usize,
}

/// The room. Shared with the thread that fetches.
pub struct KeyRoom(Arc<Room>);

struct Room {
    alias: String,
    source: Source,
    floor: Duration,
    max_age: Duration,
    known: RwLock<Option<Known>>,
    last: Mutex<Last>,
    fetched: Condvar,
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
        Self(Arc::new(Room {
            alias: alias.to_owned(),
            source,
            floor,
            max_age,
            known: RwLock::default(),
            last: Mutex::default(),
            fetched: Condvar::new(),
            fetches: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }))
    }

    /// `file` or `url`.
    #[must_use]
    pub fn source_word(&self) -> &'static str {
        match self.0.source {
            Source::File(_) => "file",
            Source::Url(_) => "url",
        }
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> RoomState {
        let keys = self.0.known().map(|(keys, _)| keys.list.len());
        let failed = self.0.last().failed;
        let count = |one: &AtomicU64| one.load(Ordering::Relaxed);
        let (fetches, failures) = (count(&self.0.fetches), count(&self.0.failures));
        RoomState { keys, fetches, failures, failed }
    }

    /// The keys among which one named `kid` is to be looked for. May wait for a fetch, if few do.
    ///
    /// # Errors
    /// When there are none, or the newest ones cannot be had and those known do not have it.
    pub fn keys(&self, kid: Option<&str>) -> Result<Arc<Keys>, Lost> {
        let room = &self.0;
        let young = |(keys, age): &(Arc<Keys>, Duration)| keys.has(kid) && *age < room.max_age;
        if let Some((keys, _)) = room.known().filter(young) {
            return Ok(keys);
        }
        // Old, but good while nobody can tell better.
        let old = room.known().filter(|(keys, age)| keys.has(kid) && *age < STALE_MAX);
        let mut last = room.last();
        // Somebody else may have fetched meanwhile.
        if let Some((keys, _)) = room.known().filter(young) {
            return Ok(keys);
        }
        if !last.is_fetching && last.tried_at.is_none_or(|at| at.elapsed() >= room.floor) {
            room.begin(&mut last);
        }
        // An issuer that hung before is not waited for by who can go on.
        let hung = last.failed == Some("timeout");
        if !(hung && old.is_some()) {
            last = room.wait(last);
        }
        let lost = if last.is_fetching { Some("keys_on_their_way") } else { last.failed };
        drop(last);
        if let Some((keys, _)) = room.known().filter(young) {
            return Ok(keys);
        }
        match (lost, old, room.known()) {
            (Some(_), Some((keys, _)), _) => Ok(keys),
            (None, _, Some((keys, age))) if age < STALE_MAX => Ok(keys),
            (lost, ..) => Err(lost.unwrap_or("no_keys")),
        }
    }

    /// Keys that were asked for after a moment: for whoever has found that those before do not fit,
    /// which may be since the issuer has made a new one. May wait for a fetch, if few do.
    ///
    /// # Errors
    /// When it is too soon to fetch again, or that failed: nobody knows.
    pub fn keys_since(&self, moment: Instant) -> Result<Arc<Keys>, Lost> {
        let room = &self.0;
        let newer = || {
            let known = room.known.read().unwrap_or_else(PoisonError::into_inner);
            let known = known.as_ref().filter(|known| known.begun_at >= moment);
            known.map(|known| Arc::clone(&known.keys))
        };
        if let Some(keys) = newer() {
            return Ok(keys);
        }
        let mut last = room.last();
        if !last.is_fetching && last.tried_at.is_none_or(|at| at.elapsed() >= room.floor) {
            room.begin(&mut last);
        }
        drop(room.wait(last));
        newer().ok_or("too_soon")
    }

    /// The generation that counts now; keys that are too old are renewed.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.keys(None).ok().map(|keys| keys.generation)
    }

    /// The same when nothing has to be fetched for it.
    #[must_use]
    pub fn generation_at_hand(&self) -> Option<u64> {
        self.0.known().filter(|(_, age)| *age < self.0.max_age).map(|(keys, _)| keys.generation)
    }
}

/// Says that a fetch has ended, also when it panicked.
struct Fetching(Arc<Room>);

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.last().is_fetching = false;
        self.0.fetched.notify_all();
    }
}

impl Room {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Option<(Arc<Keys>, Duration)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|known| (Arc::clone(&known.keys), known.read_at.elapsed()))
    }

    /// Waits for a fetch under way, if few do.
    fn wait<'l>(&self, mut last: MutexGuard<'l, Last>) -> MutexGuard<'l, Last> {
        if last.is_fetching && last.waiting < WAITERS {
            last.waiting += 1;
            let waiting = self.fetched.wait_timeout_while(last, WAIT_MAX, |last| last.is_fetching);
            last = waiting.unwrap_or_else(PoisonError::into_inner).0;
            last.waiting -= 1;
        }
        last
    }

    /// Begins a fetch. That of a URL goes on alone; a file is read at once.
    fn begin(self: &Arc<Self>, last: &mut Last) {
        last.tried_at = Some(Instant::now());
        self.fetches.fetch_add(1, Ordering::Relaxed);
        if matches!(self.source, Source::File(_)) {
            let read = self.read();
            return self.take(read, last);
        }
        last.is_fetching = true;
        let room = Arc::clone(self);
        let work = move || {
            let fetching = Fetching(room);
            let read = fetching.0.read();
            fetching.0.take(read, &mut fetching.0.last());
        };
        let thread = std::thread::Builder::new().name("ledgerline-jwks".to_owned());
        if thread.spawn(work).is_err() {
            last.is_fetching = false;
            self.take(Err("no_thread"), last);
        }
    }

    fn take(&self, read: Result<Vec<PublicKey>, Lost>, last: &mut Last) {
        let alias = &self.alias;
        match read {
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
                let read_at = Instant::now();
                let begun_at = last.tried_at.unwrap_or(read_at);
                *known = Some(Known { keys, read_at, begun_at });
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
    fn a_server_of_keys_that_hangs_holds_few() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/jwks", listener.local_addr().expect("an address"));
        let outbound = Outbound::new(&url, None, Duration::from_secs(2)).expect("a URL");
        let hour = Duration::from_secs(3600);
        let room = KeyRoom::new("idp", Source::Url(outbound), hour, hour);
        let begun = Instant::now();
        let (waited, went_on) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for n in 0..100 {
                let (room, waited, went_on) = (&room, &waited, &went_on);
                scope.spawn(move || match room.keys(Some(&format!("kid-{n}"))) {
                    Err("keys_on_their_way") => went_on.fetch_add(1, Ordering::Relaxed),
                    Err("timeout") => waited.fetch_add(1, Ordering::Relaxed),
                    other => panic!("{other:?}"),
                });
            }
        });
        let (waited, went_on) = (waited.into_inner(), went_on.into_inner());
        assert!(waited <= WAITERS as u64 && went_on >= 96, "{waited} waited, {went_on} went on");
        assert!(begun.elapsed() < WAIT_MAX, "{:?}", begun.elapsed());
        assert_eq!(room.state().fetches, 1);
        assert_eq!(room.keys(Some("kid")).err(), Some("timeout"), "the floor: at once");
        drop(listener);
    }

    #[test]
    fn a_key_made_a_moment_ago_was_taken_for_one_that_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        std::fs::write(&path, set(&["a"])).expect("a file");
        let room = |floor_ms: u64| {
            let (floor, hour) = (Duration::from_millis(floor_ms), Duration::from_secs(3600));
            KeyRoom::new("idp", Source::File(path.clone()), floor, hour)
        };
        let (patient, before) = (room(1 << 30), Instant::now());
        assert!(patient.keys(Some("a")).is_ok());
        assert!(patient.keys_since(before).is_ok(), "asked for since");
        assert_eq!(patient.keys_since(Instant::now()).err(), Some("too_soon"), "nobody knows");
        let eager = room(0);
        assert!(eager.keys(Some("a")).is_ok());
        std::fs::write(&path, set(&["a", "b"])).expect("a file");
        let keys = eager.keys_since(Instant::now()).expect("read now");
        assert!(keys.has(Some("b")));
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
