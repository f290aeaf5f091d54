//! Slots: random handles with wrapped keys, made ahead of need.
//!
//! Promises: a slot is given out only after its file and its folder entry were synced, so taking
//! one needs no fsync. An erased slot holds no key bytes and is never given out again.
//!
//! Files `slots-<first position, 10 digits>`, each written whole (beside, synced, renamed), so a
//! torn one never has its name. They are never rewritten, except that an erasure overwrites one
//! record. **Must not be lost**: without them no personal record opens.
//!
//! ```text
//! header (68)                                  numbers are big-endian
//!   0  magic       8   "llslots1"
//!   8  vault id   16   random, the same in all files of a vault
//!  24  number      8   position of the first record
//!  32  count       4   records that follow
//!  36  nonce      12
//!  48  tag        16   AES-256-GCM-SIV(KEK, nonce, "", purpose 1 || bytes 0..36): is this our KEK?
//!  64  CRC-32      4   over bytes 0..64
//! record (84)
//!   0  handle     16   random
//!  16  state       1   1 live, 2 erased
//!  17  zero        3
//!  20  nonce      12   zero when erased
//!  32  wrapped    48   key (32) under the KEK, purpose 2 || u64 position || handle;
//!                    zero when erased
//!  80  CRC-32      4   over u64 position || bytes 0..80
//! ```

use std::sync::Arc;

use ledgerline_world::disk::File;
use ledgerline_world::entropy::{Entropy, random};
use zeroize::Zeroizing;

use super::seal::{Cipher, NONCE, NotAuthentic, TAG, purpose};

/// Bytes of a header, here and in the map.
pub(super) const HEADER: usize = 68;
/// Bytes of a slot record.
pub(super) const RECORD: usize = 84;
/// Magic of a slot file.
pub(super) const MAGIC: [u8; 8] = *b"llslots1";
/// A slot file has at most this many records (5.5 MB, made in about 0.4 s).
pub(super) const MAX_FILE_SLOTS: u32 = 65_536;
/// Positions stay below this: 90 GB of slots.
pub(super) const MAX_SLOTS: u32 = 1 << 30;
const WRAPPED: usize = 32 + TAG;

/// Something in a file that no writer of ours leaves there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flaw {
    pub offset: u64,
    pub what: &'static str,
}

/// Says that a header is whole but made under another KEK.
pub(super) const OTHER_KEK: &str = "made under another key-encryption key";

/// What is known of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Never given out.
    Free,
    /// Given out, to whom is not known.
    Taken,
    /// Given out to the person or chain with the entry's key.
    Mapped,
    /// Erased for ever.
    Erased,
    /// Its record does not hold. Never given out; an erasure may still finish it.
    Damaged,
}

/// The head of a slot file or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub vault_id: [u8; 16],
    pub number: u64,
    pub count: u32,
}

impl Header {
    pub fn encode(&self, magic: [u8; 8], kek: &Cipher, entropy: &dyn Entropy) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&magic);
        bytes[8..24].copy_from_slice(&self.vault_id);
        bytes[24..32].copy_from_slice(&self.number.to_be_bytes());
        bytes[32..36].copy_from_slice(&self.count.to_be_bytes());
        let nonce = random::<NONCE>(entropy);
        let tag = kek.wrap(&nonce, purpose::HEADER, &[&bytes[..36]], &[]);
        bytes[36..48].copy_from_slice(&nonce);
        bytes[48..64].copy_from_slice(&tag);
        let crc = crc32fast::hash(&bytes[..64]);
        bytes[64..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Splits a file into header and records.
    pub fn parse<'a>(
        bytes: &'a [u8],
        magic: [u8; 8],
        kek: &Cipher,
    ) -> Result<(Self, &'a [u8]), Flaw> {
        let flaw = |offset, what| Flaw { offset, what };
        let short = flaw(bytes.len() as u64, "shorter than a header");
        let (head, body) = bytes.split_first_chunk::<HEADER>().ok_or(short)?;
        if head[..8] != magic {
            return Err(flaw(0, "magic number does not match"));
        }
        if head[64..] != crc32fast::hash(&head[..64]).to_be_bytes() {
            return Err(flaw(0, "header is damaged"));
        }
        let nonce = &array::<NONCE>(head, 36);
        if kek.unwrap(nonce, purpose::HEADER, &[&head[..36]], &head[48..64]).is_err() {
            return Err(flaw(36, OTHER_KEK));
        }
        let number = u64::from_be_bytes(array(head, 24));
        let count = u32::from_be_bytes(array(head, 32));
        Ok((Self { vault_id: array(head, 8), number, count }, body))
    }
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[offset..offset + N]);
    array
}

/// Fills the last four bytes of a record with its CRC.
pub(super) fn with_crc<const N: usize>(position: u32, mut record: [u8; N]) -> [u8; N] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&u64::from(position).to_be_bytes());
    crc.update(&record[..N - 4]);
    record[N - 4..].copy_from_slice(&crc.finalize().to_be_bytes());
    record
}

/// A slot record that holds.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// A wrapped key.
    Live { handle: [u8; 16], nonce: [u8; NONCE], wrapped: [u8; WRAPPED] },
    /// No key any more.
    Erased { handle: [u8; 16] },
}

impl Record {
    pub fn encode(&self, position: u32) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..16].copy_from_slice(self.handle());
        bytes[16] = 2;
        if let Self::Live { nonce, wrapped, .. } = self {
            bytes[16] = 1;
            bytes[20..32].copy_from_slice(nonce);
            bytes[32..80].copy_from_slice(wrapped);
        }
        with_crc(position, bytes)
    }

    /// Refuses anything that [`Record::encode`] does not write.
    pub fn decode(position: u32, bytes: &[u8; RECORD]) -> Result<Self, &'static str> {
        let handle = array(bytes, 0);
        let record = match bytes[16] {
            1 => Self::Live { handle, nonce: array(bytes, 20), wrapped: array(bytes, 32) },
            2 => Self::Erased { handle },
            _ => return Err("slot of no known state"),
        };
        if record.encode(position) == *bytes { Ok(record) } else { Err("slot is damaged") }
    }

    pub fn handle(&self) -> &[u8; 16] {
        match self {
            Self::Live { handle, .. } | Self::Erased { handle } => handle,
        }
    }

    /// The key of a live slot.
    pub fn unwrap(&self, position: u32, kek: &Cipher) -> Result<Cipher, NotAuthentic> {
        let Self::Live { handle, nonce, wrapped } = self else { return Err(NotAuthentic) };
        unwrap(position, handle, nonce, wrapped, kek)
    }
}

fn unwrap(
    position: u32,
    handle: &[u8; 16],
    nonce: &[u8; NONCE],
    wrapped: &[u8],
    kek: &Cipher,
) -> Result<Cipher, NotAuthentic> {
    let about: [&[u8]; 2] = [&u64::from(position).to_be_bytes(), handle];
    let key = kek.unwrap(nonce, purpose::SLOT_KEY, &about, wrapped)?;
    key.as_array().map(Cipher::new).ok_or(NotAuthentic)
}

/// Whether a damaged record still wraps a key for this handle, whatever else is wrong with it.
pub(super) fn wraps_key_of(
    position: u32,
    bytes: &[u8; RECORD],
    handle: &[u8; 16],
    kek: &Cipher,
) -> bool {
    unwrap(position, handle, &array(bytes, 20), &bytes[32..80], kek).is_ok()
}

/// The handle written in a record, damaged or not.
pub(super) fn written_handle(bytes: &[u8; RECORD]) -> [u8; 16] {
    array(bytes, 0)
}

/// Path of the slot file that starts at a position.
pub(super) fn path(first: u32) -> String {
    format!("vault/slots-{first:010}")
}

/// The bytes of a slot file with fresh slots.
pub(super) fn fresh_file(header: &Header, kek: &Cipher, entropy: &dyn Entropy) -> Vec<u8> {
    assert!(header.count <= MAX_FILE_SLOTS && header.number < u64::from(MAX_SLOTS));
    let mut bytes = Vec::with_capacity(HEADER + header.count as usize * RECORD);
    bytes.extend_from_slice(&header.encode(MAGIC, kek, entropy));
    let first = u32::try_from(header.number).expect("bounded above");
    let mut key = Zeroizing::new([0; 32]);
    for position in first..first + header.count {
        let (handle, nonce) = (random::<16>(entropy), random::<NONCE>(entropy));
        entropy.fill(&mut *key);
        let about: [&[u8]; 2] = [&u64::from(position).to_be_bytes(), &handle];
        let wrapped = array(&kek.wrap(&nonce, purpose::SLOT_KEY, &about, &*key), 0);
        let record = Record::Live { handle, nonce, wrapped };
        bytes.extend_from_slice(&record.encode(position));
    }
    bytes
}

/// A slot file, read: its header and, in order, the raw records.
pub(super) fn parse_file<'a>(
    bytes: &'a [u8],
    first: u32,
    kek: &Cipher,
) -> Result<(Header, &'a [[u8; RECORD]]), Flaw> {
    let (header, body) = Header::parse(bytes, MAGIC, kek)?;
    if header.number != u64::from(first) || header.count > MAX_FILE_SLOTS {
        return Err(Flaw { offset: 24, what: "slot file under another name, or one is missing" });
    }
    if body.len() != header.count as usize * RECORD {
        return Err(Flaw { offset: bytes.len() as u64, what: "slot file has another length" });
    }
    Ok((header, body.as_chunks::<RECORD>().0))
}

/// Where the record of a slot lies in the file that starts at `first`.
pub(super) fn record_offset(first: u32, position: u32) -> u64 {
    HEADER as u64 + u64::from(position - first) * RECORD as u64
}

/// A slot in memory: 33 bytes; with the two tables at most 55.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub handle: [u8; 16],
    /// Zero unless the state is `Mapped`.
    pub key: [u8; 16],
    pub state: State,
}

/// The slots of one file in memory. The keys stay on disk.
pub(super) struct Run {
    pub first: u32,
    pub file: Arc<dyn File>,
    pub entries: Vec<Entry>,
}

impl Run {
    /// Entries for the records of a file. Damaged ones keep the handle they claim, because a torn
    /// erasure leaves it untouched.
    pub fn new(first: u32, file: Arc<dyn File>, records: &[[u8; RECORD]]) -> Self {
        let entry = |(position, bytes): (u32, &[u8; RECORD])| Entry {
            handle: written_handle(bytes),
            key: [0; 16],
            state: match Record::decode(position, bytes) {
                Ok(Record::Live { .. }) => State::Free,
                Ok(Record::Erased { .. }) => State::Erased,
                Err(_) => State::Damaged,
            },
        };
        Self { first, file, entries: (first..).zip(records).map(entry).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_canonical() {
        let live = Record::Live { handle: [1; 16], nonce: [2; NONCE], wrapped: [3; WRAPPED] };
        for record in [live, Record::Erased { handle: [1; 16] }] {
            let bytes = record.encode(7);
            assert!(Record::decode(7, &bytes) == Ok(record));
            assert!(Record::decode(8, &bytes).is_err());
            for bit in 0..RECORD * 8 {
                let mut bad = bytes;
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(Record::decode(7, &bad).is_err(), "bit {bit}");
            }
        }
        // A right CRC does not excuse bytes where there must be zeros.
        for offset in [17, 20, 79] {
            let mut bad = Record::Erased { handle: [1; 16] }.encode(7);
            bad[offset] = 1;
            assert!(Record::decode(7, &with_crc(7, bad)).is_err());
        }
    }
}
