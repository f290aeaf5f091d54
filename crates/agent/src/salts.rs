//! Salts of personal records: the same for the same record of the same event, so that an event that
//! is told twice has the same bytes, and of no use to anybody a week later.
//!
//! ```text
//! salt = HMAC-SHA256(key of the event's day,
//!                    "ledgerline/salt/v1\0" ‖ event id ‖ u16 place ‖ record with a salt of zeros)
//! salts.keys        a line for each day: day ‖ day it was made ‖ 64 hex digits       (0600)
//! ```
//!
//! Promises: a key is random, on the disk before it is used, and erased [`KEPT_DAYS`] days after it
//! was made. From then on no commitment can be guessed at by whoever reads this machine. Until then
//! an event that is sent again, also after a crash, is a duplicate and no conflict.
//!
//! Assumes: whoever can read the state folder sees the events anyway.
//!
//! Refuses: more than [`DAYS_MAX`] days at a time. Records of further ones have random salts, and
//! an event of theirs that is told twice may be a conflict.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use ledgerline_proof::hash::{Hash, HmacKey, domain};

use crate::state::write_private;

/// Days that a key is kept.
const KEPT_DAYS: i64 = 8;
/// Most days with a key of their own.
const DAYS_MAX: usize = 4096;
const DAY_NANOS: i64 = 86_400_000_000_000;

/// The keys.
pub struct Salts {
    file: PathBuf,
    days: Mutex<BTreeMap<i64, DayKey>>,
}

struct DayKey {
    made: i64,
    secret: [u8; 32],
}

/// The day of a moment, counted from 1970.
const fn day_of(nanos: i64) -> i64 {
    nanos.div_euclid(DAY_NANOS)
}

impl Salts {
    /// Reads the keys of a state folder, and erases those that are too old.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged: with other keys, events told again would be
    /// conflicts.
    pub fn open(state: &Path, now: i64) -> anyhow::Result<Self> {
        let file = state.join("salts.keys");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        let days: Option<BTreeMap<i64, DayKey>> = text.lines().map(read_line).collect();
        let damaged = "is damaged: restore it, or remove it; events told again may be conflicts";
        let days = days.with_context(|| format!("{} {damaged}", file.display()))?;
        let salts = Self { file, days: Mutex::new(days) };
        salts.forget(now)?;
        Ok(salts)
    }

    /// Erases the keys that are too old.
    ///
    /// # Errors
    /// When the file cannot be written; they are no longer used anyway.
    pub fn forget(&self, now: i64) -> anyhow::Result<()> {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        let before = days.len();
        days.retain(|_, key| day_of(now) - key.made <= KEPT_DAYS);
        if days.len() < before { self.save(&days) } else { Ok(()) }
    }

    /// The salt of a record, given with a salt of zeros, of an event that happened at
    /// `occurred_at`.
    ///
    /// # Errors
    /// When a new key cannot be kept.
    pub fn salt(
        &self,
        event_id: &[u8; 16],
        place: u16,
        occurred_at: i64,
        now: i64,
        record: &[u8],
    ) -> anyhow::Result<[u8; 32]> {
        let day = day_of(occurred_at);
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        if !days.contains_key(&day) {
            if days.len() >= DAYS_MAX {
                return random();
            }
            days.insert(day, DayKey { made: day_of(now), secret: random()? });
            if let Err(error) = self.save(&days) {
                days.remove(&day);
                return Err(error);
            }
        }
        let key = HmacKey::new(&days[&day].secret);
        drop(days);
        Ok(key.mac(&[domain::SALT, event_id, &place.to_be_bytes(), record]).0)
    }

    fn save(&self, days: &BTreeMap<i64, DayKey>) -> anyhow::Result<()> {
        let line = |(day, key): (&i64, &DayKey)| {
            format!("{day} {} {}\n", key.made, Hash(key.secret).to_hex())
        };
        let text: String = days.iter().map(line).collect();
        write_private(&self.file, text.as_bytes())
    }
}

/// Bytes that nobody can guess.
///
/// # Errors
/// When the system has no randomness.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}

fn read_line(line: &str) -> Option<(i64, DayKey)> {
    let mut parts = line.split(' ');
    let (day, made, digits) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let secret = Hash::from_hex(digits).ok()?.0;
    Some((day.parse().ok()?, DayKey { made: made.parse().ok()?, secret }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 20_000 * DAY_NANOS;

    #[test]
    fn the_same_record_has_the_same_salt_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let salts = Salts::open(folder.path(), NOW).unwrap();
        let salt = |salts: &Salts, id: u8, place, at, record: &[u8]| {
            salts.salt(&[id; 16], place, at, NOW, record).unwrap()
        };
        let first = salt(&salts, 1, 0, NOW, b"record");
        assert_eq!(first, salt(&salts, 1, 0, NOW, b"record"));
        for other in [
            salt(&salts, 2, 0, NOW, b"record"),
            salt(&salts, 1, 1, NOW, b"record"),
            salt(&salts, 1, 0, NOW - DAY_NANOS, b"record"),
            salt(&salts, 1, 0, NOW, b"another"),
        ] {
            assert_ne!(first, other);
        }
        let again = Salts::open(folder.path(), NOW + 3 * DAY_NANOS).unwrap();
        assert_eq!(first, salt(&again, 1, 0, NOW, b"record"));
    }

    #[test]
    fn a_key_is_gone_a_week_later() {
        let folder = tempfile::tempdir().unwrap();
        let salts = Salts::open(folder.path(), NOW).unwrap();
        let first = salts.salt(&[1; 16], 0, NOW, NOW, b"record").unwrap();
        let file = folder.path().join("salts.keys");
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
        let later = NOW + (KEPT_DAYS + 1) * DAY_NANOS;
        let again = Salts::open(folder.path(), later).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "", "nobody can compute it any more");
        assert_ne!(first, again.salt(&[1; 16], 0, NOW, later, b"record").unwrap());
    }

    #[test]
    fn damaged_keys_are_no_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("salts.keys"), "20000 20000 beef\n").unwrap();
        assert!(Salts::open(folder.path(), NOW).is_err());
    }
}
