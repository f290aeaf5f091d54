//! Names in the vault: how a person, a chain or a value becomes a key or a handle, and the file
//! that keeps the keys between restarts.
//!
//! Promises: without the vault key nothing here leads from a key or handle back to a value, not
//! even by guessing. Whoever holds the vault key can test guesses and link events
//! (docs/explanation/trust.md).
//!
//! ```text
//! map key  = HMAC-SHA256(vault key, "ledgerline/handle/v1\0" || u8 kind || fields)
//! kinds    HandleKind positions: fields = lp(tenant) || lp(issuer) || lp(canonical value)
//!          0xff, never a HandleKind: fields = chain key bytes, where no person is known
//! handle   = first 16 bytes of the map key with an empty issuer (all kinds but PERSON)
//! ```
//!
//! Only the first 16 bytes of a person's or chain's map key are kept. Two of a million collide with
//! a chance of 2^-89.
//!
//! Canonical values. Persons, devices, user agents and resources: byte for byte, nothing is trimmed
//! or folded, because only the issuer knows which spellings mean the same. Addresses and prefixes:
//! parsed and written again (`2001:DB8::0` = `2001:db8::`, `::ffff:192.0.2.1` = `192.0.2.1` =
//! `192.0.2.1:443`, see address.rs; host bits of a prefix cleared); what does not parse stays byte
//! for byte. Handles of older entries stay as they are: ports, brackets and zones were part of the
//! value then, and IPv4-mapped addresses lay in `::/64`.
//!
//! The file `map` is the snapshot; it may be lost, since the engine redoes it from the journal:
//! ```text
//! header (68, see slots.rs; magic "llvmap01"; number = ledger size it covers)
//! record (24) for slot 0, 1, ...
//!   0  state     1   0 free, 1 taken without a key, 2 taken with a key, 3 erased
//!   1  zero      3
//!   4  map key  16   zero unless state is 2
//!  20  CRC-32    4   over u64 position || bytes 0..20
//! ```
//! Records have fixed places so that an erasure clears one in place. The CRCs guard against
//! accidents: who can write this file can lead new records to a wrong slot, but can read nothing.

use std::borrow::Cow;
use std::net::IpAddr;

use ledgerline_proof::hash::{Hash, HmacKey, domain};
use ledgerline_proof::vocabulary::HandleKind;

use super::address::address;
use super::seal::Cipher;
use super::slots::{Flaw, HEADER, Header, State, with_crc};

/// Name of the snapshot in the vault's folder.
pub(super) const FILE: &str = "vault/map";
/// Magic of the snapshot.
pub(super) const MAGIC: [u8; 8] = *b"llvmap01";
/// Bytes of a record.
pub(super) const RECORD: usize = 24;
const CHAIN_KIND: u8 = 0xff;

/// The first 16 bytes of a map key.
pub(super) type MapKey = [u8; 16];

/// Makes map keys and handles.
pub(super) struct Names(HmacKey);

impl Names {
    pub fn new(vault_key: &[u8; 32]) -> Self {
        Self(HmacKey::new(vault_key))
    }

    pub fn person(&self, tenant: &str, issuer: &str, user_id: &str) -> MapKey {
        self.named(HandleKind::Person, tenant, issuer, user_id)
    }

    pub fn chain(&self, chain: &[u8]) -> MapKey {
        first_half(&self.0.mac(&[domain::HANDLE, &[CHAIN_KIND], chain]))
    }

    pub fn handle(&self, kind: HandleKind, tenant: &str, value: &str) -> [u8; 16] {
        assert!(kind != HandleKind::Person, "a person's handle is a random slot, never computed");
        self.named(kind, tenant, "", &canonical(kind, value))
    }

    fn named(&self, kind: HandleKind, tenant: &str, issuer: &str, value: &str) -> MapKey {
        let (tenant, issuer, value) = (tenant.as_bytes(), issuer.as_bytes(), value.as_bytes());
        first_half(&self.0.mac(&[
            domain::HANDLE,
            &[kind.position()],
            &length_prefix(tenant),
            tenant,
            &length_prefix(issuer),
            issuer,
            &length_prefix(value),
            value,
        ]))
    }
}

fn length_prefix(bytes: &[u8]) -> [u8; 2] {
    let length = u16::try_from(bytes.len());
    length.expect("names are bounded to 1024 bytes when they are parsed").to_be_bytes()
}

fn first_half(mac: &Hash) -> MapKey {
    *mac.0.first_chunk().expect("a hash has 32 bytes")
}

/// The one spelling of a value; see the module documentation.
fn canonical(kind: HandleKind, value: &str) -> Cow<'_, str> {
    let parsed = match kind {
        HandleKind::Addr => address(value).map(|ip| ip.to_string()),
        HandleKind::Net => canonical_prefix(value),
        _ => None,
    };
    parsed.map_or(Cow::Borrowed(value), Cow::Owned)
}

fn canonical_prefix(value: &str) -> Option<String> {
    let (network, length) = value.split_once('/')?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let length: u32 = length.parse().ok().filter(|_| digits)?;
    Some(match network.parse::<IpAddr>().ok()? {
        IpAddr::V4(ip) => {
            let host_bits = 32_u32.checked_sub(length)?;
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            format!("{}/{length}", IpAddr::from((ip.to_bits() & mask).to_be_bytes()))
        }
        IpAddr::V6(ip) if length >= 96 && ip.to_ipv4_mapped().is_some() => {
            return canonical_prefix(&format!("{}/{}", ip.to_canonical(), length - 96));
        }
        IpAddr::V6(ip) => {
            let host_bits = 128_u32.checked_sub(length)?;
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            format!("{}/{length}", IpAddr::from((ip.to_bits() & mask).to_be_bytes()))
        }
    })
}

/// One record of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MapRecord {
    pub state: State,
    pub key: MapKey,
}

impl MapRecord {
    pub const ERASED: Self = Self { state: State::Erased, key: [0; 16] };

    /// A damaged slot is written as taken: it must not be given out, and nobody may be led to it.
    pub fn new(state: State, key: &MapKey) -> Self {
        match state {
            State::Mapped => Self { state, key: *key },
            State::Damaged => Self { state: State::Taken, key: [0; 16] },
            State::Free | State::Taken | State::Erased => Self { state, key: [0; 16] },
        }
    }

    pub fn encode(&self, position: u32) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[0] = match self.state {
            State::Free => 0,
            State::Taken | State::Damaged => 1,
            State::Mapped => 2,
            State::Erased => 3,
        };
        bytes[4..20].copy_from_slice(&self.key);
        with_crc(position, bytes)
    }

    /// Refuses anything that [`MapRecord::encode`] does not write.
    fn decode(position: u32, bytes: &[u8; RECORD]) -> Result<Self, &'static str> {
        let states = [State::Free, State::Taken, State::Mapped, State::Erased];
        let state = *states.get(usize::from(bytes[0])).ok_or("map record of no known state")?;
        let mut key = [0; 16];
        key.copy_from_slice(&bytes[4..20]);
        let record = Self { state, key };
        if record.encode(position) != *bytes || Self::new(state, &key) != record {
            return Err("map record is damaged");
        }
        Ok(record)
    }
}

/// Where the record of a slot lies.
pub(super) fn record_offset(position: u32) -> u64 {
    HEADER as u64 + u64::from(position) * RECORD as u64
}

/// A snapshot, read.
pub(super) struct Snapshot {
    pub as_of: u64,
    pub records: Vec<Result<MapRecord, Flaw>>,
}

impl Snapshot {
    /// Reads a snapshot of the vault with this id. A bad record is reported in its place.
    pub fn parse(bytes: &[u8], kek: &Cipher, vault_id: &[u8; 16]) -> Result<Self, Flaw> {
        let (header, body) = Header::parse(bytes, MAGIC, kek)?;
        if header.vault_id != *vault_id {
            return Err(Flaw { offset: 8, what: "map of another vault" });
        }
        if body.len() as u64 != u64::from(header.count) * RECORD as u64 {
            return Err(Flaw { offset: bytes.len() as u64, what: "map has another length" });
        }
        let records = (0..header.count).zip(body.as_chunks::<RECORD>().0);
        let records = records.map(|(position, bytes)| {
            let flaw = |what| Flaw { offset: record_offset(position), what };
            MapRecord::decode(position, bytes).map_err(flaw)
        });
        Ok(Self { as_of: header.number, records: records.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_one_spelling() {
        for (kind, value, expected) in [
            (HandleKind::Addr, "2001:DB8:0::0", "2001:db8::"),
            (HandleKind::Addr, "::ffff:192.0.2.1", "192.0.2.1"),
            (HandleKind::Addr, "192.0.2.1", "192.0.2.1"),
            (HandleKind::Addr, "192.0.2.01", "192.0.2.01"),
            (HandleKind::Addr, " 192.0.2.1", "192.0.2.1"),
            (HandleKind::Addr, "[2001:DB8::1]:443", "2001:db8::1"),
            (HandleKind::Addr, "[2001:DB8::1", "[2001:DB8::1"),
            (HandleKind::Addr, "unknown", "unknown"),
            (HandleKind::Net, "192.0.2.77/24", "192.0.2.0/24"),
            (HandleKind::Net, "192.0.2.77/32", "192.0.2.77/32"),
            (HandleKind::Net, "192.0.2.77/0", "0.0.0.0/0"),
            (HandleKind::Net, "192.0.2.77/33", "192.0.2.77/33"),
            (HandleKind::Net, "192.0.2.77/+8", "192.0.2.77/+8"),
            (HandleKind::Net, "192.0.2.77/", "192.0.2.77/"),
            (HandleKind::Net, "2001:DB8::1/32", "2001:db8::/32"),
            (HandleKind::Net, "2001:DB8::1/0", "::/0"),
            (HandleKind::Net, "::ffff:192.0.2.77/120", "192.0.2.0/24"),
            (HandleKind::Net, "::ffff:192.0.2.77/64", "::/64"),
            (HandleKind::Net, "2001:DB8::1/129", "2001:DB8::1/129"),
            (HandleKind::Agent, " Curl/8 ", " Curl/8 "),
            (HandleKind::Resource, "2001:DB8::0", "2001:DB8::0"),
        ] {
            assert_eq!(canonical(kind, value), expected, "{kind:?} {value}");
        }
    }

    /// The drawing, written by hand.
    #[test]
    fn map_keys_are_as_drawn() {
        let names = Names::new(&[5; 32]);
        let check = |key: MapKey, drawn: &[u8]| {
            let mac = ledgerline_proof::hash::hmac_sha256(&[5; 32], &[drawn]);
            assert_eq!(key[..], mac.0[..16]);
        };
        check(
            names.person("t", "idp", "al"),
            b"ledgerline/handle/v1\0\x01\0\x01t\0\x03idp\0\x02al",
        );
        check(names.chain(b"abc"), b"ledgerline/handle/v1\0\xffabc");
        let addr = names.handle(HandleKind::Addr, "", "::FFFF:1.2.3.4");
        check(addr, b"ledgerline/handle/v1\0\x02\0\0\0\0\0\x071.2.3.4");
        assert!(HandleKind::from_position(CHAIN_KIND).is_none());
    }

    #[test]
    #[should_panic(expected = "never computed")]
    fn persons_are_not_computed() {
        Names::new(&[5; 32]).handle(HandleKind::Person, "", "alice");
    }

    #[test]
    fn records_are_canonical() {
        for state in [State::Free, State::Taken, State::Mapped, State::Erased, State::Damaged] {
            let record = MapRecord::new(state, &[3; 16]);
            let bytes = record.encode(9);
            assert_eq!(MapRecord::decode(9, &bytes), Ok(record));
            assert!(MapRecord::decode(10, &bytes).is_err());
            for byte in 0..RECORD {
                for bit in 0..8 {
                    let mut bad = bytes;
                    bad[byte] ^= 1 << bit;
                    assert!(MapRecord::decode(9, &bad).is_err(), "{state:?} {byte} {bit}");
                }
            }
        }
    }
}
