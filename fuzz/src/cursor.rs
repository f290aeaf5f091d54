//! Takes a fuzz input apart. A short input is not an error: what is missing reads as zero.

/// What is left of the input.
pub struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// The next two bytes, big-endian.
    pub fn u16(&mut self) -> u16 {
        u16::from(self.u8()) << 8 | u16::from(self.u8())
    }

    /// Up to `count` bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }
}

/// Changes the bytes of a file as the input says: at most 32 steps, each a place and what happens
/// there. Places are taken modulo the length, so that every input changes something.
pub fn damage(input: &mut Cursor<'_>, bytes: &mut Vec<u8>) {
    for _ in 0..32 {
        if input.is_done() || bytes.is_empty() {
            return;
        }
        damage_once(input, bytes);
    }
}

/// One step of [`damage`].
pub fn damage_once(input: &mut Cursor<'_>, bytes: &mut Vec<u8>) {
    let step = input.u8();
    let at = usize::from(input.u16()) % bytes.len().max(1);
    let count = usize::from(input.u8());
    match step % 8 {
        0 => bytes.truncate(at),
        1 => {
            let end = bytes.len().min(at + count);
            bytes[at..end].fill(0);
        }
        2 => {
            let end = bytes.len().min(at + count);
            let copy = bytes[at..end].to_vec();
            let to = usize::from(input.u16()) % bytes.len().max(1);
            let end = bytes.len().min(to + copy.len());
            bytes[to..end].copy_from_slice(&copy[..end - to]);
        }
        3 => bytes.extend_from_slice(input.bytes(count)),
        4 => {
            let end = bytes.len().min(at + count);
            bytes.drain(at..end);
        }
        5 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (count % 8);
            }
        }
        _ => {
            let new = input.bytes(count % 32 + 1);
            let end = bytes.len().min(at + new.len());
            bytes[at..end].copy_from_slice(&new[..end - at]);
        }
    }
}
