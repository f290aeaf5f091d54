//! What each decoder of Ledgerline must keep on any bytes, as plain functions.
//!
//! Promises: a function here returns when the rule held and panics when it did not, so the same
//! rules run under libFuzzer (`fuzz_targets/`), over the seeds in the tests of this package, and on
//! a saved input. `docs/fuzzing.md` lists the rules.
//!
//! Assumes: nothing of the input.

mod bundles;
mod cursor;
mod files;
mod intake;
mod journals;
mod ledger;
mod notes;
mod records;
mod runs;
pub mod seeds;
mod texts;

pub use bundles::bundle;
pub use files::{erasure, head_store, vault};
pub use intake::{intake_avro, intake_json, intake_ndjson};
pub use journals::{frame, recovery, verify};
pub use notes::{checkpoint, key, note, tlog_proof};
pub use records::{block, control, entry, personal, refusal, schema, statement, submission};
pub use runs::{index_run, manifest};
pub use texts::{tile, token_id};

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, sorted by name.
pub const TARGETS: &[Target] = &[
    ("block", block),
    ("bundle", bundle),
    ("checkpoint", checkpoint),
    ("control", control),
    ("entry", entry),
    ("erasure", erasure),
    ("frame", frame),
    ("head_store", head_store),
    ("index_run", index_run),
    ("intake_avro", intake_avro),
    ("intake_json", intake_json),
    ("intake_ndjson", intake_ndjson),
    ("key", key),
    ("manifest", manifest),
    ("note", note),
    ("personal", personal),
    ("recovery", recovery),
    ("refusal", refusal),
    ("schema", schema),
    ("statement", statement),
    ("submission", submission),
    ("tile", tile),
    ("tlog_proof", tlog_proof),
    ("token_id", token_id),
    ("vault", vault),
    ("verify", verify),
];
