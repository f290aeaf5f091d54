//! Erasing a person: the key is destroyed, then the sealed frames are zeroed in place.
//!
//! Promises: nothing is zeroed before its ERASED event is durable. Zeroing is the only write into a
//! sealed segment; what is to be zeroed is written down first, so that a crash in the middle is
//! finished at the next start and never looks like damage. Chain and signatures verify after as
//! before: they cover commitments and digests, not the frames.
//!
//! ```text
//! erasures/zeroed     CRC32C (4) ‖ index of the last ERASED whose frames were all zeroed (8)
//! erasures/pending    CRC32C (4) ‖ { segment (4) ‖ offset (8) ‖ body length (4) ‖ prefix (25) }*
//! ```

use std::collections::BTreeSet;
use std::io;

use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, HandleKind};
use ledgerline_world::disk::{Disk, File, OpenMode, read_whole, replace_durably};

use crate::format::{
    FRAME_BYTES, FrameBinding, FrameType, MAX_BODY_BYTES, SEALED_PREFIX_BYTES, SealedRecord,
    segment_path,
};
use crate::recovery::{RecoverError, list_segments};
use crate::scan::{Scanned, ScannedBatch, SegmentScan};

/// The note of what is to be zeroed.
pub const PENDING: &str = "erasures/pending";
const ITEM_BYTES: usize = 16 + SEALED_PREFIX_BYTES;
/// Longest such note.
pub const MAX_PENDING_BYTES: u64 = 1 << 30;

/// The note of what was zeroed.
pub const ZEROED: &str = "erasures/zeroed";

/// A frame to be zeroed.
pub struct Doomed {
    /// The segment.
    pub segment: u32,
    /// Where the frame begins in it.
    pub offset: u64,
    /// Bytes of its body.
    pub body_bytes: u32,
    /// The part of the body that stays.
    pub prefix: [u8; SEALED_PREFIX_BYTES],
}

/// The handle that an ERASED leaf names.
#[must_use]
pub fn erased_handle(leaf: &[u8]) -> Option<[u8; 16]> {
    let Ok(Leaf::Entry(entry)) = Leaf::decode(leaf) else { return None };
    let statement: Statement<'_> = decode_object(Kind::Statement, entry.statement).ok()?;
    let person = entry.handles.iter().find(|handle| handle.kind == HandleKind::Person)?;
    (statement.event_type == EventType::Erased).then_some(person.id)
}

/// The tenant whose events carry records of a slot, read from the journal below `size`: a slot is
/// one person of one tenant. `None` when no event does.
///
/// # Errors
/// Whatever the disk says.
pub fn tenant_of(
    disk: &dyn Disk,
    slot: &[u8; 16],
    size: u64,
) -> Result<Option<String>, RecoverError> {
    committed(disk, size, |batch| {
        let mut sealed = batch.sealed().filter(|(_, record)| record.slot == *slot);
        let (index, _) = sealed.next()?;
        let at = usize::try_from(index.saturating_sub(batch.head.first_index)).ok()?;
        let (_, leaf) = batch.leaves().nth(at)?;
        let Ok(Leaf::Entry(entry)) = Leaf::decode(leaf) else { return None };
        let statement = decode_object::<Statement<'_>>(Kind::Statement, entry.statement).ok()?;
        Some(statement.tenant.to_owned())
    })
}

/// What `find` first finds in the batches committed below `size`.
fn committed<T>(
    disk: &dyn Disk,
    size: u64,
    mut find: impl FnMut(&ScannedBatch) -> Option<T>,
) -> Result<Option<T>, RecoverError> {
    for header in list_segments(disk)?.headers {
        let file = disk.open(&segment_path(header.number), OpenMode::Read)?;
        let mut scan = SegmentScan::new(file.as_ref(), &header)?;
        while let Scanned::Batch(batch) = scan.next_batch()? {
            if batch.commit.size > size {
                break;
            }
            if let Some(found) = find(&batch) {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// Zeroes every sealed frame of these slots in the batches committed below `size`. Returns how
/// many.
///
/// # Errors
/// Whatever the disk says; the rest is finished at the next start.
pub fn zero_frames(
    disk: &dyn Disk,
    ledger_id: &[u8; 16],
    slots: &BTreeSet<[u8; 16]>,
    size: u64,
) -> Result<u64, RecoverError> {
    // The list of an earlier zeroing that failed half-way would be replaced: finish it first. A
    // frame that it left torn would also hide those behind it.
    finish_pending(disk, ledger_id)?;
    let mut doomed = Vec::new();
    committed(disk, size, |batch| {
        for frame in batch.frames().filter(|frame| frame.kind == FrameType::Sealed) {
            let Some((index, record)) = SealedRecord::decode(&frame) else { continue };
            if slots.contains(&record.slot) {
                doomed.push(Doomed {
                    segment: batch.segment,
                    offset: frame.offset,
                    body_bytes: u32::try_from(frame.body.len()).expect("frames are bounded"),
                    prefix: record.prefix(index),
                });
            }
        }
        None::<()>
    })?;
    if doomed.is_empty() {
        return Ok(0);
    }
    write_pending(disk, &doomed)?;
    zero(disk, ledger_id, &doomed)?;
    Ok(doomed.len() as u64)
}

/// Finishes a zeroing that a crash interrupted.
///
/// # Errors
/// Whatever the disk says; `InvalidData` when the list is damaged, for it was written whole.
pub fn finish_pending(disk: &dyn Disk, ledger_id: &[u8; 16]) -> io::Result<()> {
    let bytes = match read_whole(disk, PENDING, MAX_PENDING_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let doomed = read_pending(&bytes).ok_or_else(|| {
        let what = format!("{PENDING} is damaged; run `ledgerline verify --data DIR`");
        io::Error::new(io::ErrorKind::InvalidData, what)
    })?;
    // The list must outlive the frames that it lets be torn, and its name may never have been
    // synced.
    disk.sync_dir("erasures")?;
    zero(disk, ledger_id, &doomed)
}

/// Notes that the frames of every ERASED up to `index` are zeroed.
///
/// # Errors
/// Whatever the disk says; the next start zeroes them again.
pub fn note_zeroed(disk: &dyn Disk, index: u64) -> io::Result<()> {
    disk.create_dir("erasures")?;
    let bytes = index.to_be_bytes();
    let crc = crc32c::crc32c(&bytes).to_be_bytes();
    replace_durably(disk, ZEROED, &[&crc[..], &bytes].concat())
}

/// The last ERASED whose frames are known to be zeroed. A lost or damaged note only costs time.
///
/// # Errors
/// Whatever the disk says, but for a note that is missing.
pub fn zeroed_until(disk: &dyn Disk) -> io::Result<Option<u64>> {
    let bytes = match read_whole(disk, ZEROED, 1024) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((crc, index)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let whole = crc32c::crc32c(index).to_be_bytes() == *crc;
    Ok(index.try_into().ok().filter(|_| whole).map(u64::from_be_bytes))
}

fn zero(disk: &dyn Disk, ledger_id: &[u8; 16], doomed: &[Doomed]) -> io::Result<()> {
    for same_segment in doomed.chunk_by(|a, b| a.segment == b.segment) {
        let segment = same_segment[0].segment;
        let file = disk.open(&segment_path(segment), OpenMode::Write)?;
        let binding = FrameBinding::new(ledger_id, segment);
        for one in same_segment {
            if !stands_there(file.as_ref(), one)? {
                continue;
            }
            let zeros = vec![0; one.body_bytes as usize - SEALED_PREFIX_BYTES];
            let mut frame = Vec::new();
            binding.put(&mut frame, one.offset, FrameType::SealedErased, &[&one.prefix, &zeros]);
            file.write_all_at(&frame, one.offset)?;
        }
        file.sync()?;
    }
    disk.remove(PENDING)?;
    disk.sync_dir("erasures")
}

/// Whether the frame that the list names is there, sealed, half erased or erased. The list is
/// believed for nothing else: a wrong one must not write over a leaf.
fn stands_there(file: &dyn File, one: &Doomed) -> io::Result<bool> {
    let mut found = [0; FRAME_BYTES + SEALED_PREFIX_BYTES];
    let end = one.offset.checked_add(FRAME_BYTES as u64 + u64::from(one.body_bytes));
    if end.is_none_or(|end| file.len().is_ok_and(|length| end > length)) {
        return Ok(false);
    }
    file.read_exact_at(&mut found, one.offset)?;
    let sealed = [FrameType::Sealed as u8, FrameType::SealedErased as u8].contains(&found[4]);
    Ok(sealed && found[..4] == one.body_bytes.to_be_bytes() && found[FRAME_BYTES..] == one.prefix)
}

fn write_pending(disk: &dyn Disk, doomed: &[Doomed]) -> io::Result<()> {
    disk.create_dir("erasures")?;
    let mut items = Vec::with_capacity(doomed.len() * ITEM_BYTES);
    for one in doomed {
        items.extend_from_slice(&one.segment.to_be_bytes());
        items.extend_from_slice(&one.offset.to_be_bytes());
        items.extend_from_slice(&one.body_bytes.to_be_bytes());
        items.extend_from_slice(&one.prefix);
    }
    let crc = crc32c::crc32c(&items).to_be_bytes();
    replace_durably(disk, PENDING, &[&crc[..], &items].concat())
}

/// The frames of a list; `None` when the list is damaged.
#[must_use]
pub fn read_pending(bytes: &[u8]) -> Option<Vec<Doomed>> {
    let (crc, items) = bytes.split_first_chunk::<4>()?;
    if crc32c::crc32c(items).to_be_bytes() != *crc || items.len() % ITEM_BYTES != 0 {
        return None;
    }
    let read = |item: &[u8]| {
        let (segment, rest) = item.split_first_chunk::<4>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (length, prefix) = rest.split_first_chunk::<4>()?;
        let body_bytes = u32::from_be_bytes(*length);
        (SEALED_PREFIX_BYTES + 1..=MAX_BODY_BYTES).contains(&(body_bytes as usize)).then_some(())?;
        Some(Doomed {
            segment: u32::from_be_bytes(*segment),
            offset: u64::from_be_bytes(*offset),
            body_bytes,
            prefix: prefix.try_into().ok()?,
        })
    };
    items.chunks_exact(ITEM_BYTES).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledgerline_world::fake::SimDisk;

    /// A list that names a leaf, a place behind the end, another record's frame or an impossible
    /// length writes over nothing; one that names a sealed frame erases it.
    #[test]
    fn a_wrong_pending_list_writes_over_nothing() {
        let binding = FrameBinding::new(&[3; 16], 0);
        let prefix =
            SealedRecord { n: 0, slot: [5; 16], sealed: Vec::new(), erased: false }.prefix(9);
        let mut segment = Vec::new();
        binding.put(&mut segment, 0, FrameType::Entry, &[&prefix, &[1; 40]]);
        let sealed_at = segment.len() as u64;
        binding.put(&mut segment, 0, FrameType::Sealed, &[&prefix, &[2; 40]]);
        let other =
            SealedRecord { n: 1, slot: [5; 16], sealed: Vec::new(), erased: false }.prefix(9);
        let check = |offset, body_bytes, prefix, erased: bool| {
            let disk = SimDisk::new(1);
            disk.write(&segment_path(0), &segment).unwrap();
            write_pending(&disk, &[Doomed { segment: 0, offset, body_bytes, prefix }]).unwrap();
            finish_pending(&disk, &[3; 16]).unwrap();
            let found = disk.read(&segment_path(0)).unwrap();
            assert_eq!(found != segment, erased, "offset {offset}, {body_bytes} bytes");
            assert_eq!(found.len(), segment.len());
            assert!(!disk.exists(PENDING).unwrap());
        };
        check(sealed_at, 65, prefix, true);
        check(sealed_at, 65, other, false);
        check(sealed_at, 64, prefix, false);
        check(sealed_at + 9, 65, prefix, false);
        check(segment.len() as u64, 65, prefix, false);
        check(u64::MAX, 65, prefix, false);
        check(0, 65, prefix, false);
        // A length that no frame has makes the list damaged, and the start is refused.
        let disk = SimDisk::new(1);
        disk.write(&segment_path(0), &segment).unwrap();
        let doomed = Doomed { segment: 0, offset: sealed_at, body_bytes: u32::MAX, prefix };
        write_pending(&disk, &[doomed]).unwrap();
        assert!(finish_pending(&disk, &[3; 16]).is_err());
        assert_eq!(disk.read(&segment_path(0)).unwrap(), segment);
    }
}
