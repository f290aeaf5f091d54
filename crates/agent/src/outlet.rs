//! Where events go when they are judged: the spool, and from it the ledger.
//!
//! Promises of whoever implements it: what is taken is sent until the ledger has answered about
//! it, byte for byte as it was given, the parts of an act in one request.

/// An event that is ready: its bytes never change again, so that whatever is sent twice is known
/// again.
#[derive(Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its id.
    pub event_id: [u8; 16],
    /// The submission, single-object encoded.
    pub submission: Vec<u8>,
}

impl AsRef<[u8]> for Ready {
    fn as_ref(&self) -> &[u8] {
        &self.submission
    }
}

/// Shows no submission: personal records are in it.
impl std::fmt::Debug for Ready {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Ready({} bytes)", self.submission.len())
    }
}

/// Events that are recorded together or not at all: one, or the parts of an act.
pub type Unit = Vec<Ready>;

/// How long what is taken may still be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// As the agent is set up.
    AsSetUp,
    /// Not at all: it is on the disk before it counts as taken.
    OnDisk,
}

/// Why nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// Whether it is for want of room, which comes back when the ledger takes events again.
    pub is_full: bool,
    /// For people.
    pub why: String,
}

/// The way to the ledger.
pub trait Outlet: Send + Sync {
    /// Takes all of these, or none. May wait for the disk.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing of them is kept then.
    fn take(&self, units: &[Unit], keep: Keep) -> Result<(), NotTaken>;
}
