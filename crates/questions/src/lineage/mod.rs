//! Lineage: which token came of which, and how well that is known.
//!
//! Promises: every answer is about one size of one view (`as_of`), and shows only what happened up
//! to a time when one is given (`at`). Every edge names the entries that say so and how strongly.
//! Every walk is bounded in depth, in the number of tokens, and in what it reads; the answer says
//! which bound cut it. The tenant of the question is the only one that is read: links never lead
//! out of it.
//!
//! ```text
//!              REFRESHED_FROM ROTATED_FROM EXCHANGED_FROM MINTED_BY FROM_CODE
//!   child  ──────────────────────────────────────────────────────────────────▶ parent
//!              PRODUCED ROTATED_TO
//!   parent ──────────────────────────────────────────────────────────────────▶ child
//!
//!   ASSERTED  the source named both ids             a link that says so
//!   JOINED    over ids given in two places          a link that says so; when asked for, the same
//!                                                   family, grant or session
//!   INFERRED  concluded, with why                   a link that says so
//! ```
//!
//! Several ids of one token (`also_known_as`, from either side) are one node: the union of their
//! chains is its life. CAUSED_BY and ACTED_BY are no descent: they are shown, and a path may use
//! them, but what a token caused is not its child.
//!
//! Assumes: the caller checked who may see the tenant.
//!
//! Refuses: to take a link of a DENY or ERROR for an edge: what was refused produced nothing.

mod at_hand;
mod edge;
mod graph;
mod groups;
mod judge;
mod plan;
mod postings;
mod query_context;
mod reader;
mod record;
mod summary;
mod token;
mod token_cache;

pub use crate::facts::{MAX_IDS, fact_of, joined_ids};
pub(crate) use at_hand::EventName;
pub use edge::{Descent, Direction, Edge};
pub use graph::{Bounds, Lineage, Relative, Step, family, path, relatives};
pub use groups::Reach;
pub(crate) use plan::PageWanted;
pub use query_context::QueryContext;
pub(crate) use reader::PAGE;
pub use reader::{Cut, Reader, Scope, Spending};
pub use record::Record;
pub use token::wide_chains;
pub use token::{Facts, Summary, Token, occurred, subject_of};
pub use token_cache::TokenCaches;
