//! The bytes of a journal segment.
//!
//! ```text
//! segment file  journal/<8 digits>.seg
//!
//!   0  8   magic "LGRSEG" 00 01
//!   8  16  ledger id
//!  24  4   segment number
//!  28  8   first index: the ledger's size when the segment was begun
//!  36  32  root at that size
//!  68  32  MAC of the last COMMIT before the segment (zeros in segment 0)
//! 100  4   CRC32C of the 100 bytes above
//! 104      frames, then zeros to the end of the file
//!
//! frame
//!   0  4   length of the body
//!   4  1   type: 1 BATCH 2 ENTRY 3 SEALED 4 ATTACHMENT 5 COMMIT 6 SEALED_ERASED (0 is no frame)
//!   5  4   CRC32C over ledger id ‖ segment ‖ offset of the frame (8) ‖ length ‖ type ‖ body
//!   9      body
//!
//! BATCH          first index (8) ‖ number of ENTRY frames (4) ‖ writer epoch (8)
//! ENTRY          the leaf
//! SEALED         index (8) ‖ n (1) ‖ slot handle (16) ‖ nonce (12) ‖ ciphertext
//! SEALED_ERASED  index (8) ‖ n (1) ‖ slot handle (16) ‖ zeros
//! ATTACHMENT     index (8) ‖ SHA-256 (32) ‖ length of media type (2) ‖ media type ‖ data
//! COMMIT         MAC (32) ‖ size (8) ‖ root (32) ‖ writer epoch (8)
//!                ‖ stream table (its count of marks first, see [`crate::streams`])
//!                ‖ length (2) ‖ signature of the previous commit's checkpoint
//!     MAC = HMAC-SHA256(journal key, "ledgerline/commit/v1\0" ‖ previous COMMIT's MAC
//!                       ‖ body after MAC)
//! ```
//!
//! All numbers are big-endian. A batch is BATCH, its ENTRY, SEALED and ATTACHMENT frames, COMMIT;
//! it never spans segments. The offset in the CRC makes a frame worthless anywhere else; the MAC
//! chain makes the sequence of commits worthless to anyone without the journal key.

use ledgerline_proof::hash::{Hash, HmacKey, domain};

use crate::streams::StreamTable;

/// Bytes of a segment's header.
pub const HEADER_BYTES: usize = 104;
/// Bytes in front of a frame's body.
pub const FRAME_BYTES: usize = 9;
/// Body length of a BATCH frame.
pub const BATCH_BODY_BYTES: usize = 20;
/// Bytes of a SEALED body before the nonce.
pub const SEALED_PREFIX_BYTES: usize = 25;
/// Longest body of any frame: an attachment of 1 MiB with its prefix.
pub const MAX_BODY_BYTES: usize = (1 << 20) + 4096;
const MAGIC: [u8; 8] = *b"LGRSEG\x00\x01";

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameType {
    /// Opens a batch.
    Batch = 1,
    /// A leaf.
    Entry = 2,
    /// A sealed personal record.
    Sealed = 3,
    /// An attachment.
    Attachment = 4,
    /// Closes a batch.
    Commit = 5,
    /// A sealed personal record, erased in place.
    SealedErased = 6,
}

impl FrameType {
    fn from_byte(byte: u8) -> Option<Self> {
        use FrameType::{Attachment, Batch, Commit, Entry, Sealed, SealedErased};
        [Batch, Entry, Sealed, Attachment, Commit, SealedErased]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A segment's header, parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The ledger.
    pub ledger_id: [u8; 16],
    /// Position of the segment.
    pub number: u32,
    /// Size of the ledger when it was begun.
    pub first_index: u64,
    /// Root at that size.
    pub root: Hash,
    /// MAC of the last COMMIT before it.
    pub previous_mac: Hash,
}

impl SegmentHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.ledger_id);
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.first_index.to_be_bytes());
        bytes.extend_from_slice(self.root.as_bytes());
        bytes.extend_from_slice(self.previous_mac.as_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes.try_into().expect("the fields above add up to the header")
    }

    /// Reads a header; `None` when magic or CRC do not hold.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        let crc = u32::from_be_bytes(array(&bytes[100..]));
        if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..100]) != crc {
            return None;
        }
        Some(Self {
            ledger_id: array(&bytes[8..]),
            number: u32::from_be_bytes(array(&bytes[24..])),
            first_index: u64::from_be_bytes(array(&bytes[28..])),
            root: Hash(array(&bytes[36..])),
            previous_mac: Hash(array(&bytes[68..])),
        })
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes[..N].try_into().expect("the caller checked the length")
}

/// The file of a segment.
#[must_use]
pub fn segment_path(number: u32) -> String {
    format!("journal/{number:08}.seg")
}

/// The number of the segment in a file of this name; `None` for any other file.
#[must_use]
pub fn segment_number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".seg")?.parse().ok()?;
    (segment_path(number).strip_prefix("journal/") == Some(name)).then_some(number)
}

/// No segment is longer: places within one are told in 32 bits, and what stands behind the last of
/// them is one batch's.
pub const MAX_SEGMENT_BYTES: u64 = 1 << 33;

/// Binds CRCs to one segment of one ledger.
#[derive(Debug, Clone, Copy)]
pub struct FrameBinding {
    seed: u32,
}

/// A frame found at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its type.
    pub kind: FrameType,
    /// Its body.
    pub body: &'a [u8],
    /// Offset of its first byte in the segment.
    pub offset: u64,
}

impl Frame<'_> {
    /// Offset of the byte behind it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + (FRAME_BYTES + self.body.len()) as u64
    }
}

impl FrameBinding {
    /// The binding of one segment.
    #[must_use]
    pub fn new(ledger_id: &[u8; 16], segment: u32) -> Self {
        let seed = crc32c::crc32c_append(crc32c::crc32c(ledger_id), &segment.to_be_bytes());
        Self { seed }
    }

    fn crc(self, offset: u64, head: &[u8], body: &[u8]) -> u32 {
        let crc = crc32c::crc32c_append(self.seed, &offset.to_be_bytes());
        crc32c::crc32c_append(crc32c::crc32c_append(crc, head), body)
    }

    /// Appends a frame to `out`, whose first byte will be written at `base` of the segment.
    ///
    /// # Panics
    /// When the body exceeds [`MAX_BODY_BYTES`].
    pub fn put(self, out: &mut Vec<u8>, base: u64, kind: FrameType, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        assert!(length <= MAX_BODY_BYTES, "frame bodies are bounded before they get here");
        let start = out.len();
        out.extend_from_slice(&u32::try_from(length).expect("bounded above").to_be_bytes());
        out.push(kind as u8);
        out.extend_from_slice(&[0; 4]);
        for part in parts {
            out.extend_from_slice(part);
        }
        let (head, body) = out[start..].split_at(FRAME_BYTES);
        let crc = self.crc(base + start as u64, &head[..5], body);
        out[start + 5..start + FRAME_BYTES].copy_from_slice(&crc.to_be_bytes());
    }

    /// The frame at `offset`, where `bytes` begins; `None` when there is no whole, valid frame.
    #[must_use]
    pub fn take(self, bytes: &[u8], offset: u64) -> Option<Frame<'_>> {
        let head = bytes.get(..FRAME_BYTES)?;
        let length = u32::from_be_bytes(array(head)) as usize;
        let kind = FrameType::from_byte(head[4])?;
        if length > MAX_BODY_BYTES {
            return None;
        }
        let body = bytes.get(FRAME_BYTES..FRAME_BYTES + length)?;
        let crc = u32::from_be_bytes(array(&head[5..]));
        (self.crc(offset, &head[..5], body) == crc).then_some(Frame { kind, body, offset })
    }
}

/// The body of a BATCH frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHead {
    /// Index of its first entry.
    pub first_index: u64,
    /// How many entries follow.
    pub entry_count: u32,
    /// Which run of the writer wrote it.
    pub epoch: u64,
}

impl BatchHead {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; BATCH_BODY_BYTES] {
        let mut bytes = [0; BATCH_BODY_BYTES];
        bytes[..8].copy_from_slice(&self.first_index.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.entry_count.to_be_bytes());
        bytes[12..].copy_from_slice(&self.epoch.to_be_bytes());
        bytes
    }

    /// Reads the body.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let body: &[u8; BATCH_BODY_BYTES] = body.try_into().ok()?;
        Some(Self {
            first_index: u64::from_be_bytes(array(body)),
            entry_count: u32::from_be_bytes(array(&body[8..])),
            epoch: u64::from_be_bytes(array(&body[12..])),
        })
    }
}

/// The body of a COMMIT frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRecord {
    /// Chains it to every commit before.
    pub mac: Hash,
    /// Size of the ledger with this batch.
    pub size: u64,
    /// Root at that size.
    pub root: Hash,
    /// Which run of the writer wrote it.
    pub epoch: u64,
    /// How far every stream was read, with this batch.
    pub streams: StreamTable,
    /// Signature of the previous commit's checkpoint; empty in the first.
    pub previous_signature: Vec<u8>,
}

impl CommitRecord {
    /// The record with the MAC that continues the chain from `previous_mac`.
    ///
    /// # Panics
    /// When the signature exceeds 65,535 bytes.
    #[must_use]
    pub fn sealed(mut self, key: &HmacKey, previous_mac: &Hash) -> Self {
        self.mac = key.mac(&[domain::COMMIT, previous_mac.as_bytes(), &self.rest()]);
        self
    }

    fn rest(&self) -> Vec<u8> {
        let beside = self.streams.encoded_len() + self.previous_signature.len();
        let mut bytes = Vec::with_capacity(50 + beside);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(self.root.as_bytes());
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        self.streams.put(&mut bytes);
        let length = u16::try_from(self.previous_signature.len()).expect("signatures are short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.previous_signature);
        bytes
    }

    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&self.mac.as_bytes()[..], &self.rest()].concat()
    }

    /// Reads the body without judging the MAC.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (fixed, rest) = body.split_at_checked(80)?;
        let (streams, rest) = StreamTable::take(rest)?;
        let (length, signature) = rest.split_at_checked(2)?;
        if signature.len() != usize::from(u16::from_be_bytes(array(length))) {
            return None;
        }
        Some(Self {
            mac: Hash(array(fixed)),
            size: u64::from_be_bytes(array(&fixed[32..])),
            root: Hash(array(&fixed[40..])),
            epoch: u64::from_be_bytes(array(&fixed[72..])),
            streams,
            previous_signature: signature.to_vec(),
        })
    }

    /// Whether the MAC continues the chain from `previous_mac`.
    #[must_use]
    pub fn holds(&self, key: &HmacKey, previous_mac: &Hash) -> bool {
        let rest = self.rest();
        let parts = [domain::COMMIT, &previous_mac.as_bytes()[..], &rest];
        key.verify(&parts, self.mac.as_bytes()).is_ok()
    }
}

/// A sealed record in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRecord {
    /// Which personal commitment of the statement it opens.
    pub n: u8,
    /// The slot whose key sealed it.
    pub slot: [u8; 16],
    /// Nonce and ciphertext; zeros once erased.
    pub sealed: Vec<u8>,
    /// Whether it was erased.
    pub erased: bool,
}

impl SealedRecord {
    /// What the entry's `sealed_digests` says: SHA-256 of nonce and ciphertext.
    #[must_use]
    pub fn digest(&self) -> Hash {
        ledgerline_proof::hash::sha256(&self.sealed)
    }

    /// The bytes in front of nonce and ciphertext.
    #[must_use]
    pub fn prefix(&self, index: u64) -> [u8; SEALED_PREFIX_BYTES] {
        let mut bytes = [0; SEALED_PREFIX_BYTES];
        bytes[..8].copy_from_slice(&index.to_be_bytes());
        bytes[8] = self.n;
        bytes[9..].copy_from_slice(&self.slot);
        bytes
    }

    /// Reads a SEALED or SEALED_ERASED body: the entry's index and the record.
    #[must_use]
    pub fn decode(frame: &Frame<'_>) -> Option<(u64, Self)> {
        let erased = match frame.kind {
            FrameType::Sealed => false,
            FrameType::SealedErased => true,
            _ => return None,
        };
        let prefix = frame.body.get(..SEALED_PREFIX_BYTES)?;
        let sealed = frame.body[SEALED_PREFIX_BYTES..].to_vec();
        if erased && sealed.iter().any(|byte| *byte != 0) {
            return None;
        }
        let record = Self { n: prefix[8], slot: array(&prefix[9..]), sealed, erased };
        Some((u64::from_be_bytes(array(prefix)), record))
    }
}

/// An attachment in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentRecord {
    /// SHA-256 of the data.
    pub digest: Hash,
    /// Media type.
    pub media_type: String,
    /// The data.
    pub data: Vec<u8>,
}

impl AttachmentRecord {
    /// The bytes in front of the data.
    ///
    /// # Panics
    /// When the media type exceeds 65,535 bytes.
    #[must_use]
    pub fn prefix(&self, index: u64) -> Vec<u8> {
        let mut bytes = index.to_be_bytes().to_vec();
        bytes.extend_from_slice(self.digest.as_bytes());
        let length = u16::try_from(self.media_type.len()).expect("media types are short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(self.media_type.as_bytes());
        bytes
    }

    /// Reads the body: the entry's index and the attachment.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<(u64, Self)> {
        let fixed = body.get(..42)?;
        let length = usize::from(u16::from_be_bytes(array(&fixed[40..])));
        let media_type = std::str::from_utf8(body.get(42..42 + length)?).ok()?.to_owned();
        let data = body[42 + length..].to_vec();
        let record = Self { digest: Hash(array(&fixed[8..])), media_type, data };
        Some((u64::from_be_bytes(array(fixed)), record))
    }
}

/// A leaf with what travels beside it.
#[derive(Debug, Clone, Default)]
pub struct JournalLeaf {
    /// The leaf's bytes.
    pub bytes: Vec<u8>,
    /// Its sealed personal records.
    pub sealed: Vec<SealedRecord>,
    /// Its attachments.
    pub attachments: Vec<AttachmentRecord>,
}
