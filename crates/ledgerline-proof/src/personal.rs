//! The personal record: what a statement commits to and the vault can erase.
//!
//! Promises: the commitment binds every byte; the random salt in front makes the commitment useless
//! for guessing what was erased. No other digest of personal content exists anywhere.

use crate::hash::{DomainHasher, Hash, domain};
use crate::statement::{Detail, MAX_LIST_ITEMS, MAX_STRING_BYTES, StatementError};
use crate::wire::wire_record;

wire_record! {
    /// The personal part of one event. `salt` comes first and is random per record.
    pub struct PersonalRecord<'a> {
        /// 32 random bytes.
        pub salt: [u8; 32],
        /// The person, as the issuer names it.
        pub user_id: Option<&'a str>,
        /// Network address.
        pub ip: Option<&'a str>,
        /// User agent.
        pub user_agent: Option<&'a str>,
        /// Device id.
        pub device: Option<&'a str>,
        /// Concrete resource.
        pub resource: Option<&'a str>,
        /// Free attributes, keys strictly ascending.
        pub attributes: Vec<Detail<'a>>,
    }
}

/// The commitment to a personal record's bytes (single-object encoding).
#[must_use]
pub fn commitment(record_bytes: &[u8]) -> Hash {
    DomainHasher::new(domain::PERSONAL).bytes(record_bytes).finish()
}

impl PersonalRecord<'_> {
    /// Checks limits and the order of attributes.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn validate(&self) -> Result<(), StatementError> {
        let fields = [
            ("user_id", self.user_id),
            ("ip", self.ip),
            ("user_agent", self.user_agent),
            ("device", self.device),
            ("resource", self.resource),
        ];
        for (field, value) in fields {
            if value.is_some_and(|value| value.len() > MAX_STRING_BYTES) {
                return Err(StatementError::BadString { field, limit: MAX_STRING_BYTES });
            }
        }
        if self.attributes.len() > MAX_LIST_ITEMS {
            return Err(StatementError::LongList { field: "attributes" });
        }
        let ascending =
            self.attributes.windows(2).all(|pair| pair[0].key.as_bytes() < pair[1].key.as_bytes());
        if !ascending {
            let why = "keys must strictly ascend by bytes";
            return Err(StatementError::BadField { field: "attributes", why });
        }
        Ok(())
    }
}
