//! What can go wrong in the vault. No variant carries a key or a personal value.

use std::io;

use ledgerline_world::patience::MayPass;

/// Why the vault could not do something. No variant carries a key or a personal value.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no slot file.
    #[error("no vault here; restore the folder 'vault' from a backup")]
    Missing,
    /// A vault is to be created where there is one.
    #[error("there is a vault already")]
    Exists,
    /// The slots were wrapped under another key-encryption key.
    #[error("{file} was made under another key-encryption key; restore the key file that fits")]
    WrongKek {
        /// Path below the data directory.
        file: String,
    },
    /// A file that must not be lost is damaged.
    #[error("{file} is damaged at byte {offset} ({what}); restore it from a backup")]
    Damaged {
        /// Path below the data directory.
        file: String,
        /// Where the damaged part begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Slot files are missing at the end.
    #[error(
        "{there} slots are here, but the map knows {known}; restore the slot files (or remove \
         vault/map to go on without them: their personal records stay closed)"
    )]
    SlotsLost {
        /// Slots found.
        there: u32,
        /// Slots that the map covers.
        known: u32,
    },
    /// The vault has no slot with this handle; it was restored from a copy older than the slot.
    #[error("the vault has no such slot")]
    UnknownSlot,
    /// Freshly made slots do not read back.
    #[error("slots do not read back from the disk")]
    Unreadable,
    /// More slots than positions.
    #[error("the vault is full")]
    Full,
    /// A key id or secret is too long.
    #[error("{what} has more than {limit} bytes")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Longest allowed length in bytes.
        limit: usize,
    },
    /// The key id has another secret, which may have signed events.
    #[error("the key id has another secret already; use a new key id")]
    SecretExists,
    /// The disk failed.
    #[error("{file}: {source}")]
    Io {
        /// Path below the data directory.
        file: String,
        /// What the disk said.
        source: io::Error,
    },
}

impl MayPass for VaultError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.may_pass())
    }
}

/// Why a sealed record does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its slot was erased: it will never open.
    #[error("the personal record was erased")]
    Erased,
    /// The vault has no slot with this handle.
    #[error("the vault has no slot for the personal record")]
    UnknownSlot,
    /// The sealed bytes or the slot were changed, or belong to another statement or position.
    #[error("the personal record or its slot is damaged")]
    Damaged,
    /// The disk failed.
    #[error("the slot cannot be read: {0}")]
    Io(io::ErrorKind),
}
