//! The questions about a token's past, each a pure function of a query context.
//!
//! Promises: as [`crate::lineage`]: one size, one tenant, a budget, and every bound that cut the
//! answer is noted in the query context. What is answered follows from the entries alone; states
//! are judged at the scope's time. Pages go by ledger index, so that a page is never changed by
//! what is recorded later.
//!
//! ```text
//! accesses         what a token touched between two points of its life
//! resource_access  the tokens that accessed a resource between two times
//! changes          policy changes that affected the tokens issued to a person
//! policies         the policies in force when a token was issued; privilege: its scopes by them
//! after_revoke     who still let a token in after it was revoked, and for how long
//! tokens_of        the tokens of a person, client, session or grant
//! blast_radius     what a leaked token could reach, and what of it is still alive
//! pivot            everything that an address, device, key, client or session did
//! revocations      everything that was revoked, in the order of recording
//! divergence       the first event that comes from elsewhere; exposure: whom it was shown to
//! why              the causes of an event
//! reconcile        the ledger against an issuer's own table; sources: who told how much
//! ```
//!
//! Refuses: opinions. Whether an access was right is the business of findings.

mod accesses;
mod after_revoke;
mod blast_radius;
mod changes;
mod divergence;
mod ends_with;
mod facts;
pub mod life;
pub mod lineage;
mod pivot;
mod policies;
mod reconcile;
mod resource_access;
mod revocations;
mod sources;
mod tokens_of;
mod why;

pub use accesses::{
    Access, Accesses, NotShown, Of, Point, accesses, last_use, not_shown, point_of,
};
pub use after_revoke::{
    AfterRevoke, LastAllow, PlaceAfter, after_revoke, after_revokes, nearest_rank,
};
pub use blast_radius::{BlastRadius, Reached, Touched, blast_radius};
pub use changes::{Affected, PolicyEffect, policy_changes};
pub use divergence::{Divergence, Exposure, Place, Trait, divergence, exposure};
pub use ends_with::{Ending, EndsWith, With, ends_with};
pub use pivot::{Pivot, pivot};
pub use policies::{
    IssuePolicies, Named, PolicyVersion, Privilege, attachment, in_force_at, is_over_privileged,
    policies_at_issue, policy_versions,
};
pub use reconcile::{Difference, Differs, difference};
pub use resource_access::{AHEAD_NANOS, Resource, ResourceAccess, TokenAccesses, resource_access};
pub use revocations::{Revocations, revocations};
pub use sources::{
    SHORTFALLS_MAX, SILENT_NANOS, Sample, Shortfalls, Told, Unscored, knows_tenant, shortfalls,
    told,
};
pub use tokens_of::{Holder, TokensOf, grants_named, of_same_grant, tokens_of};
pub use why::{Cause, Why, why};
