//! Who reads what was committed, in order, and states what follows from it.
//!
//! Promises: each begins where its position file says, may be stopped anywhere, and states
//! everything once for ever.
//!
//! Refuses: to know who records its statements.

pub mod expiry;
pub mod findings;
pub mod reported;
