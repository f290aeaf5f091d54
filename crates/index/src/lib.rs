//! The index: from a term (event id, chain, subject, …) to the entries that carry it.
//!
//! What entries are found by is a contract: [`terms`] says which terms follow from an entry,
//! [`Term`] and [`Posting`] how they are written, [`PostingIndex`] how they are asked for, in
//! batches. [`runs`] is the implementation in files of our own; `contract` (feature `contract`) is
//! what every implementation runs.
//!
//! Promises: one function for those who post, those who ask and the verifier. An index may omit,
//! never lie: every hit is confirmed at the entry by whoever asks.
//!
//! Assumes: postings of committed entries only, in order.
//!
//! Refuses: any knowledge of journals and questions; tenants and values in clear.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod event_time;
mod posting_index;
pub mod runs;
mod term;
pub mod terms;

pub use error::{FormatError, IndexError};
pub use event_time::{EventSpan, EventTime, Window};
pub use posting_index::{Ask, Bound, FIND_MAX, IdAsk, Order, Page, PostingIndex, ReadBudget};

pub use runs::{
    Index, IndexConfig, IndexStats, Manifest, ManifestRun, Progress, RunFile, RunFooter, RunHeader,
    RunSummary, check_run, event_times, parse_manifest, parse_run, parse_run_footer,
    parse_run_header, read_postings, remove_run,
};
pub use term::{
    HASH_BITS, IdTimes, Posting, SharedTermCache, SpreadMap, TakeAsIs, Term, TermCache, TermHasher,
    TermHead, TermKind, TermMap, is_planned_from,
};

pub use ledgerline_world::cache::{Usage, Weigh};
