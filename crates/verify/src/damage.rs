//! Frames that do not hold: where exactly, and what they most likely were.
//!
//! Promises: a single flipped bit anywhere in a frame is found exactly. The CRC is linear, so what
//! is wrong with it tells the one bit that would make it right; with that bit put right in memory
//! everything behind the frame is checked as if nothing had happened, and the roots say whether the
//! guess was right.
//!
//! Refuses: to guess more than one bit. A frame that was changed more is taken as it stands when
//! the frame behind it holds (then the tree says which entry differs), else everything up to the
//! next batch is lost.

use std::io;

use ledgerline_journal::format::{
    BATCH_BODY_BYTES, FRAME_BYTES, Frame, FrameBinding, FrameType, HEADER_BYTES, MAX_BODY_BYTES,
    SegmentHeader,
};

use super::readonly::Patched;

/// The reflected Castagnoli polynomial.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Bytes that put a frame right.
pub(super) struct Mend {
    /// Offset of the byte that was changed; of the frame when it is not known.
    pub offset: u64,
    /// Whether exactly one bit was put right.
    pub exact: bool,
    /// Where the bytes go.
    pub patch_at: u64,
    /// The bytes.
    pub patch: Vec<u8>,
}

/// What to do about the frame at `at`, if anything can be done.
pub(super) fn mend(file: &Patched, binding: FrameBinding, at: u64) -> io::Result<Option<Mend>> {
    let head = file.read_up_to(at, FRAME_BYTES)?;
    if head.len() < FRAME_BYTES {
        return Ok(None);
    }
    if let Some(mend) = flipped_in_head(file, binding, at, &head)? {
        return Ok(Some(mend));
    }
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let Some(kind) = frame_type(head[4]).filter(|_| length <= MAX_BODY_BYTES) else {
        return Ok(None);
    };
    let bytes = file.read_up_to(at, FRAME_BYTES + length)?;
    if bytes.len() < FRAME_BYTES + length || binding.take(&bytes, at).is_some() {
        // A whole frame that stands where it must not, or one that the file ends in: nothing to
        // mend.
        return Ok(None);
    }
    let mut right = Vec::with_capacity(bytes.len());
    binding.put(&mut right, at, kind, &[&bytes[FRAME_BYTES..]]);
    let crc_at = FRAME_BYTES - 4;
    let crc = |frame: &[u8]| {
        let bytes = frame[crc_at..FRAME_BYTES].try_into().expect("four bytes");
        u32::from_be_bytes(bytes)
    };
    let syndrome = crc(&right) ^ crc(&bytes);
    if syndrome.is_power_of_two() {
        let byte = crc_at + 3 - syndrome.trailing_zeros() as usize / 8;
        let patch = vec![right[byte]];
        let offset = at + byte as u64;
        return Ok(Some(Mend { offset, exact: true, patch_at: offset, patch }));
    }
    if let Some((from_end, mask)) = flipped_bit(syndrome, length) {
        let byte = bytes.len() - 1 - from_end;
        let offset = at + byte as u64;
        let patch = vec![bytes[byte] ^ mask];
        return Ok(Some(Mend { offset, exact: true, patch_at: offset, patch }));
    }
    let next = at + bytes.len() as u64;
    let is_last = kind == FrameType::Commit;
    if is_last || frame_at(file, binding, next)?.is_some() {
        let patch = right[crc_at..FRAME_BYTES].to_vec();
        return Ok(Some(Mend { offset: at, exact: false, patch_at: at + crc_at as u64, patch }));
    }
    Ok(None)
}

/// One bit of length or type. Tried one by one, since a wrong length hides the end of the frame.
fn flipped_in_head(
    file: &Patched,
    binding: FrameBinding,
    at: u64,
    head: &[u8],
) -> io::Result<Option<Mend>> {
    for bit in 0..40 {
        let (byte, mask) = (bit / 8, 1u8 << (bit % 8));
        let mut tried = head.to_vec();
        tried[byte] ^= mask;
        let length = u32::from_be_bytes([tried[0], tried[1], tried[2], tried[3]]) as usize;
        if length > MAX_BODY_BYTES || frame_type(tried[4]).is_none() {
            continue;
        }
        let mut frame = file.read_up_to(at, FRAME_BYTES + length)?;
        frame[byte] ^= mask;
        if binding.take(&frame, at).is_some() {
            let offset = at + byte as u64;
            let patch = vec![tried[byte]];
            return Ok(Some(Mend { offset, exact: true, patch_at: offset, patch }));
        }
    }
    Ok(None)
}

/// The bit among the last `count` bytes of the checked bytes whose flip changes the CRC by
/// `syndrome`: the byte, counted from the end, and the bit.
fn flipped_bit(syndrome: u32, count: usize) -> Option<(usize, u8)> {
    let zero_bit = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
    let zero_byte = |crc: u32| (0..8).fold(crc, |crc, _| zero_bit(crc));
    let mut effects: [u32; 8] = std::array::from_fn(|bit| zero_byte(1 << bit));
    for from_end in 0..count {
        if let Some(bit) = effects.iter().position(|effect| *effect == syndrome) {
            return Some((from_end, 1 << bit));
        }
        effects = effects.map(zero_byte);
    }
    None
}

fn frame_type(byte: u8) -> Option<FrameType> {
    use FrameType::{Attachment, Batch, Commit, Entry, Sealed, SealedErased};
    [Batch, Entry, Sealed, Attachment, Commit, SealedErased]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
}

/// A whole frame at an offset: its type and body.
pub(super) fn frame_at(
    file: &Patched,
    binding: FrameBinding,
    at: u64,
) -> io::Result<Option<(FrameType, Vec<u8>)>> {
    let head = file.read_up_to(at, FRAME_BYTES)?;
    let Some(length) = head.first_chunk::<4>().map(|head| u32::from_be_bytes(*head) as usize)
    else {
        return Ok(None);
    };
    if length > MAX_BODY_BYTES || head.len() < FRAME_BYTES {
        return Ok(None);
    }
    let bytes = file.read_up_to(at, FRAME_BYTES + length)?;
    Ok(binding.take(&bytes, at).map(|Frame { kind, body, .. }| (kind, body.to_vec())))
}

/// Offset of the next whole BATCH frame at or behind `from`.
pub(super) fn next_batch(
    file: &Patched,
    binding: FrameBinding,
    from: u64,
) -> io::Result<Option<u64>> {
    const BLOCK: usize = 1 << 20;
    const BATCH_FRAME: usize = FRAME_BYTES + BATCH_BODY_BYTES;
    let mark = [0, 0, 0, u8::try_from(BATCH_BODY_BYTES).expect("small"), FrameType::Batch as u8];
    let mut from = from;
    loop {
        let bytes = file.read_up_to(from, BLOCK + BATCH_FRAME)?;
        if bytes.len() < BATCH_FRAME {
            return Ok(None);
        }
        let found = bytes.windows(mark.len()).enumerate().take(BLOCK).find(|(at, window)| {
            *window == mark && binding.take(&bytes[*at..], from + *at as u64).is_some()
        });
        if let Some((at, _)) = found {
            return Ok(Some(from + at as u64));
        }
        from += BLOCK as u64;
    }
}

/// A segment header in which one bit was flipped, and the offset of that bit's byte.
pub(super) fn mend_header(bytes: &[u8; HEADER_BYTES]) -> Option<(SegmentHeader, u64)> {
    (0..HEADER_BYTES * 8).find_map(|bit| {
        let mut tried = *bytes;
        tried[bit / 8] ^= 1 << (bit % 8);
        SegmentHeader::decode(&tried).map(|header| (header, (bit / 8) as u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledgerline_world::disk::{Disk as _, OpenMode, RealDisk};

    #[test]
    fn every_flipped_bit_of_a_frame_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(folder.path()).unwrap();
        let binding = FrameBinding::new(&[3; 16], 7);
        let mut frames = vec![0; HEADER_BYTES];
        binding.put(&mut frames, 0, FrameType::Entry, &[b"some body that is long enough"]);
        let end = frames.len();
        binding.put(&mut frames, 0, FrameType::Commit, &[&[9; 84]]);
        let at = HEADER_BYTES;
        for bit in at * 8..end * 8 {
            let mut bad = frames.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let file = disk.open("frames", OpenMode::Create).unwrap();
            file.write_all_at(&bad, 0).unwrap();
            let mut file = Patched::new(file);
            let mend = mend(&file, binding, at as u64).unwrap().expect("one bit can be mended");
            assert_eq!((mend.offset, mend.exact), ((bit / 8) as u64, true), "bit {bit}");
            file.patch(mend.patch_at, &mend.patch);
            assert_eq!(file.read_up_to(0, bad.len()).unwrap(), frames, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_changed_more_is_taken_as_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(folder.path()).unwrap();
        let binding = FrameBinding::new(&[3; 16], 7);
        let mut frames = Vec::new();
        binding.put(&mut frames, 0, FrameType::Entry, &[b"alice may read"]);
        binding.put(&mut frames, 0, FrameType::Commit, &[&[9; 84]]);
        frames[FRAME_BYTES..FRAME_BYTES + 5].copy_from_slice(b"mallo");
        let file = disk.open("frames", OpenMode::Create).unwrap();
        file.write_all_at(&frames, 0).unwrap();
        let mut file = Patched::new(file);
        let mend = mend(&file, binding, 0).unwrap().expect("the next frame holds");
        assert!(!mend.exact);
        file.patch(mend.patch_at, &mend.patch);
        let (kind, body) = frame_at(&file, binding, 0).unwrap().expect("holds now");
        assert_eq!((kind, &body[..5]), (FrameType::Entry, &b"mallo"[..]));
    }
}
