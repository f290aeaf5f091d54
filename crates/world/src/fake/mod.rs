//! A world that is not there: a disk that fails, a clock that jumps, entropy that repeats. For
//! tests and the seeded simulator only; the program never uses it.
//!
//! Promises: one seed and one sequence of calls give the same bytes, the same faults and the same
//! losses, on every machine. What the disk may lose in a power cut is at least what a real disk
//! that honours fsync may lose, so an engine that passes here does not live on luck.
//! [`disk_contract`] is what every disk must pass, the real one too.
//!
//! Assumes: one thread, or calls in a fixed order. Threads that race give another order of draws.
//!
//! Refuses: secrets. Nothing here is unpredictable.

mod clock;
mod content;
mod contract;
mod disk;
mod entries;
mod entropy;
mod faults;
mod random;
mod state;

pub use clock::SimClock;
pub use contract::disk_contract;
pub use disk::{SimDisk, Snapshot};
pub use entropy::SimEntropy;
pub use faults::{FaultCounts, Faults, Shortage, Storm};
pub use random::Random;
