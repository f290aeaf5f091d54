//! Summaries evicted from memory: values by term, in files that may be lost at any time.
//!
//! Promises: what is found under a term is what was put there last, or nothing. Whoever asks must
//! be able to do without.
//!
//! Refuses: to know what a value says, who keeps it, and how it is made anew.

mod kept;
mod marked;
mod store;
mod tiers;

pub use ledgerline_proof::wire::Reader;

pub use self::kept::{Kept, text};
pub use self::marked::Marked;
pub use self::store::{Limits, Mark, Store, TIERS};
pub use self::tiers::Tier;
