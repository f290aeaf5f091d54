//! What is remembered of all entries before the position.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Between two leaves of a running ledger, at most: a block comes once a minute.
const MAX_PAUSE_NANOS: i64 = 90_000_000_000;
/// Between two looks at what is late.
const SWEEP_NANOS: i64 = 1_000_000_000;

/// Tenant and source.
pub(crate) type SourceKey = (String, String);

/// A source of which nothing came yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// Since when, in time that the ledger ran.
    pub(crate) since: i64,
    /// The key that was made out to it; `None` for the settings.
    pub(crate) key: Option<String>,
    /// The finding that it never came.
    pub(crate) told: Option<[u8; 32]>,
}

impl Expected {
    /// Whether it is expected because a key was made out to it.
    pub(crate) const fn has_key(&self) -> bool {
        self.key.is_some()
    }
}

/// How old a key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyAge {
    pub(crate) tenant: String,
    pub(crate) source: String,
    /// When it was registered, Unix nanoseconds.
    pub(crate) added_at: i64,
    pub(crate) told: Option<[u8; 32]>,
}

/// Tenant, source, instance.
pub(crate) type HolderKey = (String, String, [u8; 16]);

/// One who names what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) interval: i64,
    /// In time that the ledger ran.
    pub(crate) heard: i64,
    pub(crate) last_event: [u8; 16],
    /// The last two that came whole, the older first.
    pub(crate) rounds: Vec<Round>,
    pub(crate) coming: Option<Round>,
    pub(crate) told: Option<Told>,
}

/// A list of what is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) number: u64,
    pub(crate) digest: String,
    pub(crate) tokens: u64,
    pub(crate) part_count: u32,
    /// The entries of its parts, in their order.
    pub(crate) parts: Vec<u64>,
    /// The event of its last part.
    pub(crate) event: [u8; 16],
}

/// That it is not watched, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) why: Unwatched,
    pub(crate) finding: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unwatched {
    TooMany,
    Incomplete,
    Silent,
}

impl Unwatched {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::TooMany => "more holders, tokens or parts than the ledger watches",
            Self::Incomplete => "a round did not come whole",
            Self::Silent => {
                "it was not heard for three times its interval, and did not say that \
                             it stops"
            }
        }
    }
}

/// The memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// How long the ledger ran, as its leaves tell: a pause counts as [`MAX_PAUSE_NANOS`] at most.
    pub(crate) ran: i64,
    last_leaf: Option<i64>,
    swept: i64,
    pub(crate) holders: BTreeMap<HolderKey, Holder>,
    /// Tokens that are missing, and the findings about them.
    pub(crate) open: BTreeMap<(String, u128), [u8; 32]>,
    pub(crate) expected: BTreeMap<SourceKey, Expected>,
    /// Sources that were heard of those that the settings expect.
    pub(crate) heard: Vec<SourceKey>,
    pub(crate) keys: BTreeMap<String, KeyAge>,
}

/// The memory as it is written: maps as lists.
#[derive(Serialize, Deserialize)]
struct Written {
    ran: i64,
    last_leaf: Option<i64>,
    swept: i64,
    holders: Vec<(HolderKey, Holder)>,
    open: Vec<((String, String), [u8; 32])>,
    expected: Vec<(SourceKey, Expected)>,
    heard: Vec<SourceKey>,
    keys: Vec<(String, KeyAge)>,
}

impl Memory {
    /// Lets time pass up to a leaf's. Whether it is time to look at what is late.
    pub(crate) fn tick(&mut self, at: i64) -> bool {
        let pause = self.last_leaf.map_or(0, |last| at.saturating_sub(last));
        self.ran = self.ran.saturating_add(pause.clamp(0, MAX_PAUSE_NANOS));
        self.last_leaf = Some(at);
        let is_time = self.ran.saturating_sub(self.swept) >= SWEEP_NANOS;
        if is_time {
            self.swept = self.ran;
        }
        is_time
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let one = self.clone();
        let open = one.open.into_iter();
        let written = Written {
            ran: one.ran,
            last_leaf: one.last_leaf,
            swept: one.swept,
            holders: one.holders.into_iter().collect(),
            open: open.map(|((tenant, id), to)| ((tenant, format!("{id:032x}")), to)).collect(),
            expected: one.expected.into_iter().collect(),
            heard: one.heard,
            keys: one.keys.into_iter().collect(),
        };
        serde_json::to_vec(&written).expect("lists of plain values")
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(bytes).ok()?;
        let open = written.open.into_iter().map(|((tenant, id), finding)| {
            Some(((tenant, u128::from_str_radix(&id, 16).ok()?), finding))
        });
        Some(Self {
            ran: written.ran,
            last_leaf: written.last_leaf,
            swept: written.swept,
            holders: written.holders.into_iter().collect(),
            open: open.collect::<Option<_>>()?,
            expected: written.expected.into_iter().collect(),
            heard: written.heard,
            keys: written.keys.into_iter().collect(),
        })
    }
}
