//! Event ids: UUIDs that follow from what they name, and what a UUIDv7 says of its time.
//!
//! Promises: the same act has the same id for whoever derives it, so that a retry, a follower that
//! starts anew and the verifier agree.

use crate::hash::{DomainHasher, domain};

/// The event id of an act that has a native id: a UUIDv8 over its identity.
///
/// # Panics
/// When a name exceeds 65,535 bytes, which validated ones cannot.
#[must_use]
pub fn derived_event_id(tenant: &str, source: &str, native_id: &str, part: i32) -> [u8; 16] {
    let digest = DomainHasher::new(domain::EVENT_ID)
        .lp(tenant.as_bytes())
        .lp(source.as_bytes())
        .lp(native_id.as_bytes())
        .u16(u16::try_from(part).unwrap_or(u16::MAX))
        .finish();
    let mut id: [u8; 16] = digest.0[..16].try_into().expect("a digest has 32 bytes");
    id[6] = (id[6] & 0x0f) | 0x80;
    id[8] = (id[8] & 0x3f) | 0x80;
    id
}

/// Milliseconds since 1970 in a UUIDv7; `None` for other versions.
#[must_use]
pub fn uuid_v7_millis(id: &[u8; 16]) -> Option<u64> {
    let millis = [0, 0, id[0], id[1], id[2], id[3], id[4], id[5]];
    (id[6] >> 4 == 7).then(|| u64::from_be_bytes(millis))
}
