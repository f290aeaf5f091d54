//! What is remembered of all entries before the position.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::expected::{Expected, KeyAge};
use crate::held::{Holder, HolderKey};

/// Between two leaves of a running ledger, at most: a block comes once a minute.
const MAX_PAUSE_NANOS: i64 = 90_000_000_000;
/// Between two looks at what is late.
const SWEEP_NANOS: i64 = 1_000_000_000;

/// Tenant and source.
pub(crate) type SourceKey = (String, String);

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
