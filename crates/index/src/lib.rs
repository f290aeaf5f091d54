//! The index: from a term (event id, chain, subject, …) to the entries that carry it.
//!
//! What entries are found by is a contract: [`terms`] says which terms follow from an entry,
//! [`Term`] and [`Posting`] how they are written. [`runs`] is the implementation in files of our
//! own.
//!
//! Promises: one function for those who post, those who ask and the verifier. An index may omit,
//! never lie: every hit is confirmed at the entry by whoever asks.
//!
//! Assumes: postings of committed entries only, in order.
//!
//! Refuses: any knowledge of journals and questions; tenants and values in clear.

pub mod runs;
mod term;
pub mod terms;

pub use runs::{
    Bound, FIND_MAX, FormatError, Index, IndexConfig, IndexError, IndexStats, Manifest,
    ManifestRun, Page, Progress, ReadBudget, RunFile, RunFooter, RunHeader, RunSummary, check_run,
    parse_manifest, parse_run, parse_run_footer, parse_run_header, read_postings, remove_run,
};
pub use term::{
    HASH_BITS, IdTimes, PositionMap, Posting, Term, TermCache, TermHasher, TermHead, TermKind,
    TermMap, is_planned_from,
};
