//! The personal record: what a statement commits to and the vault can erase.
//!
//! Promises: the commitment binds every byte; the random salt in front makes the commitment useless
//! for guessing what was erased. No other digest of personal content exists anywhere.

use crate::hash::{DomainHasher, Hash, domain};
use crate::statement::{Detail, MAX_LIST_ITEMS, MAX_STRING_BYTES, StatementError};
use crate::wire::wire_record;

/// Most bytes that all strings of one record have together: a record must fit where a leaf fits, so
/// that a journal can seal it and a bundle can disclose it.
pub const MAX_RECORD_STRING_BYTES: usize = 60_000;

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
        for attribute in &self.attributes {
            if attribute.key.len().max(attribute.value.len()) > MAX_STRING_BYTES {
                let (field, limit) = ("attributes", MAX_STRING_BYTES);
                return Err(StatementError::BadString { field, limit });
            }
        }
        let named = fields.iter().filter_map(|(_, value)| *value).map(str::len);
        let free = self.attributes.iter().map(|one| one.key.len() + one.value.len());
        if named.chain(free).sum::<usize>() > MAX_RECORD_STRING_BYTES {
            let why = "a personal record has at most 60000 bytes of text";
            return Err(StatementError::BadField { field: "personal", why });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Kind, encode_object};

    #[test]
    fn a_record_is_bounded_in_every_string_and_as_a_whole() {
        let check = |length: usize, count: usize, code: Option<&str>| {
            let value = "v".repeat(length);
            let keys: Vec<String> = (0..count).map(|n| format!("{n:04}")).collect();
            let attributes = keys.iter().map(|key| Detail { key, value: &value }).collect();
            let (user_id, ip, user_agent, device, resource) = (Some("u"), None, None, None, None);
            let record = PersonalRecord {
                salt: [1; 32],
                user_id,
                ip,
                user_agent,
                device,
                resource,
                attributes,
            };
            let found = record.validate().map_err(|error| error.code());
            assert_eq!(found.err(), code, "{count} attributes of {length} bytes");
            let size = encode_object(Kind::Personal, &record).len();
            assert!(code.is_some() || size <= crate::entry::MAX_ENTRY_BYTES, "{size} bytes");
        };
        check(MAX_STRING_BYTES, 1, None);
        check(MAX_STRING_BYTES + 1, 1, Some("bad_field"));
        check(2 << 20, 1, Some("bad_field"));
        check(1, MAX_LIST_ITEMS, None);
        check(1, MAX_LIST_ITEMS + 1, Some("too_many_items"));
        check(MAX_STRING_BYTES, 58, None);
        check(MAX_STRING_BYTES, 59, Some("bad_field"));
        check(230, 256, None);
        check(231, 256, Some("bad_field"));
    }
}
