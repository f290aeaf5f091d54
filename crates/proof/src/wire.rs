//! The one canonical Avro binary encoding, read and written without copying.
//!
//! Promises: every value has exactly one encoding here, and `take` refuses every other encoding of
//! it (overlong varints, array blocks that are split or sized, bad UTF-8, bytes left over). So
//! `encode(decode(bytes)) == bytes` for every input that decodes, which is what lets a signature or
//! a leaf hash over the bytes stand for the value.
//!
//! Assumes: the caller knows the schema. A record is its fields in schema order; which record it
//! is, the fingerprint in front of it tells (see the module `schema`).
//!
//! Refuses: Avro maps and floats (never used), negative array block counts, unknown enum positions.
//!
//! ```text
//! long, int   zigzag, then 7 bits a byte, low group first, high bit = more follows; minimal length
//! string      long length, then that many bytes of UTF-8
//! bytes       long length, then that many bytes
//! fixed(N)    N bytes
//! null | T    0x00, or 0x02 followed by T
//! array of T  0x00 when empty; else long count, the items, 0x00  (one block, never more)
//! enum        long position of the symbol
//! boolean     0x00 or 0x01
//! ```
//!
//! Why not an Avro crate: a lenient decoder cannot tell two encodings of one value apart, and
//! decoding a statement costs several times the hashing of it.
//! `docs/decisions/0002-own-avro-reader.md` has the figures; the crate `apache-avro` is the oracle
//! in the tests.

use thiserror::Error;

/// The version of a record that has no later one.
pub const FIRST_VERSION: u8 = 1;

/// Why bytes are not the canonical encoding of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the bytes end inside a value at offset {0}")]
    Truncated(usize),
    /// The value is readable but not in its one canonical form.
    #[error("non-canonical encoding at offset {at}: {what}")]
    NonCanonical {
        /// Offset of the first wrong byte.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A value lies outside what its type allows.
    #[error("value out of range at offset {at}: {what}")]
    OutOfRange {
        /// Offset just behind the value.
        at: usize,
        /// Which type refused it.
        what: &'static str,
    },
    /// The record kind or version is not one this kernel knows.
    #[error("unknown schema fingerprint {0:016x}")]
    UnknownSchema(u64),
}

impl DecodeError {
    /// The stable code that interfaces report for this refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated(_) => "truncated",
            Self::NonCanonical { .. } => "non_canonical",
            Self::OutOfRange { .. } => "out_of_range",
            Self::UnknownSchema(_) => "unknown_schema",
        }
    }

    /// The same error with its offset counted from `by` bytes earlier.
    pub(crate) fn shifted(self, by: usize) -> Self {
        match self {
            Self::Truncated(at) => Self::Truncated(at + by),
            Self::NonCanonical { at, what } => Self::NonCanonical { at: at + by, what },
            Self::OutOfRange { at, what } => Self::OutOfRange { at: at + by, what },
            Self::UnknownSchema(_) => self,
        }
    }
}

/// The reader has refused the bytes; it knows why ([`Reader::why`]). Without a size of its own, so
/// that what is read travels in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(());

/// A cursor over encoded bytes. Owned by one decode; every `take_*` advances it or fails.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    version: u8,
    refused: Option<DecodeError>,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::of_version(bytes, FIRST_VERSION)
    }

    /// Starts at the first byte of a record of a later version.
    #[must_use]
    pub fn of_version(bytes: &'a [u8], version: u8) -> Self {
        Self { bytes, at: 0, version, refused: None }
    }

    /// Which version the record was written in: fields of later ones are not there.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Ends the decode: every byte must have been read.
    ///
    /// # Errors
    /// `NonCanonical` when bytes are left over.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.at == self.bytes.len() {
            return Ok(());
        }
        Err(DecodeError::NonCanonical { at: self.at, what: "trailing bytes" })
    }

    /// Why it refused, to be asked after a [`Refused`].
    #[must_use]
    pub fn why(self) -> DecodeError {
        self.refused.unwrap_or(DecodeError::Truncated(self.at))
    }

    #[cold]
    fn refuse(&mut self, error: DecodeError) -> Refused {
        self.refused = Some(error);
        Refused(())
    }

    #[cold]
    fn truncated(&mut self) -> Refused {
        self.refuse(DecodeError::Truncated(self.at))
    }

    #[cold]
    pub(crate) fn non_canonical(&mut self, what: &'static str) -> Refused {
        self.refuse(DecodeError::NonCanonical { at: self.at, what })
    }

    #[cold]
    pub(crate) fn out_of_range(&mut self, what: &'static str) -> Refused {
        self.refuse(DecodeError::OutOfRange { at: self.at, what })
    }

    /// The next `len` bytes, borrowed.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn take_slice(&mut self, len: usize) -> Result<&'a [u8], Refused> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some((slice, _)) = rest.split_at_checked(len) else { return Err(self.truncated()) };
        self.at += len;
        Ok(slice)
    }

    #[inline]
    fn take_byte(&mut self) -> Result<u8, Refused> {
        let Some(byte) = self.bytes.get(self.at) else { return Err(self.truncated()) };
        self.at += 1;
        Ok(*byte)
    }

    /// A zigzag varint of minimal length.
    ///
    /// # Errors
    /// When the bytes end in it, or it is overlong or overflows.
    #[inline]
    pub fn take_long(&mut self) -> Result<i64, Refused> {
        let first = self.take_byte()?;
        if first < 0x80 { Ok(unzigzag(u64::from(first))) } else { self.take_long_behind(first) }
    }

    /// The rest of a varint of several bytes.
    #[inline(never)]
    fn take_long_behind(&mut self, first: u8) -> Result<i64, Refused> {
        let mut raw = u64::from(first & 0x7f);
        for shift in (7..=63).step_by(7) {
            let byte = self.take_byte()?;
            if shift == 63 && byte > 1 {
                return Err(self.non_canonical("varint overflows 64 bits"));
            }
            raw |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if byte == 0 {
                    return Err(self.non_canonical("overlong varint"));
                }
                return Ok(unzigzag(raw));
            }
        }
        Err(self.non_canonical("varint overflows 64 bits"))
    }

    /// A non-negative long that counts bytes or items, at most what is left (every item of every
    /// array used here takes at least one byte, so a count above that is a lie).
    #[inline]
    pub(crate) fn take_length(&mut self) -> Result<usize, Refused> {
        let long = self.take_long()?;
        let Ok(length) = usize::try_from(long) else {
            return Err(self.non_canonical("negative length"));
        };
        if length > self.bytes.len() - self.at {
            return Err(self.truncated());
        }
        Ok(length)
    }
}

#[inline]
fn unzigzag(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -((raw & 1).cast_signed())
}

/// Appends the minimal zigzag varint of `value`.
#[inline]
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while raw >= 0x80 {
        out.push(low_byte(raw) | 0x80);
        raw >>= 7;
    }
    out.push(low_byte(raw));
}

#[inline]
const fn low_byte(raw: u64) -> u8 {
    raw.to_le_bytes()[0]
}

/// The length of something in memory as an Avro long.
#[inline]
fn long_length(length: usize) -> i64 {
    i64::try_from(length).expect("nothing in memory is longer than i64::MAX bytes")
}

/// A value with one canonical encoding. `put` and `take` mirror each other.
pub trait Wire<'a>: Sized {
    /// Appends the canonical encoding.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads the canonical encoding, and only that.
    ///
    /// # Errors
    /// When the bytes are no such encoding; the reader says why.
    fn take(reader: &mut Reader<'a>) -> Result<Self, Refused>;
    /// The version it is written in: the first one that can say it, so that also across versions
    /// there is one encoding.
    #[inline]
    fn version(&self) -> u8 {
        FIRST_VERSION
    }
}

/// The canonical encoding of `value` alone.
pub fn encode<'a, T: Wire<'a>>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    value.put(&mut out);
    out
}

/// Decodes a whole slice as one `T`.
///
/// # Errors
/// Any [`DecodeError`], trailing bytes included.
pub fn decode<'a, T: Wire<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    decode_version(bytes, FIRST_VERSION)
}

/// As [`decode`], of a record that was written in a given version.
///
/// # Errors
/// As [`decode`], and `NonCanonical` when an earlier version can say it.
pub fn decode_version<'a, T: Wire<'a>>(bytes: &'a [u8], version: u8) -> Result<T, DecodeError> {
    let mut reader = Reader::of_version(bytes, version);
    match T::take(&mut reader) {
        Ok(value) => finish_version(reader, &value).map(|()| value),
        Err(Refused(())) => Err(reader.why()),
    }
}

fn finish_version<'a, T: Wire<'a>>(reader: Reader<'a>, value: &T) -> Result<(), DecodeError> {
    let (at, version) = (reader.at, reader.version);
    reader.finish()?;
    if value.version() == version {
        return Ok(());
    }
    Err(DecodeError::NonCanonical { at, what: "an earlier version can say it" })
}

/// As [`decode_version`], for values that are large and only looked at: they are read where they
/// lie.
///
/// # Errors
/// As [`decode_version`].
pub fn decode_with<'a, T: Wire<'a>, R>(
    bytes: &'a [u8],
    version: u8,
    look: impl FnOnce(&T) -> R,
) -> Result<R, DecodeError> {
    let mut reader = Reader::of_version(bytes, version);
    match &T::take(&mut reader) {
        Ok(value) => finish_version(reader, value).map(|()| look(value)),
        Err(Refused(())) => Err(reader.why()),
    }
}

impl Wire<'_> for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        put_long(out, *self);
    }
    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        reader.take_long()
    }
}

impl Wire<'_> for i32 {
    fn put(&self, out: &mut Vec<u8>) {
        put_long(out, i64::from(*self));
    }
    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        let long = reader.take_long()?;
        Self::try_from(long).map_err(|_| reader.out_of_range("int"))
    }
}

impl Wire<'_> for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        match reader.take_byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(reader.non_canonical("boolean above one")),
        }
    }
}

impl<const N: usize> Wire<'_> for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        let slice = reader.take_slice(N)?;
        Ok(slice.try_into().expect("take_slice returned exactly N bytes"))
    }
}

impl<'a> Wire<'a> for &'a [u8] {
    fn put(&self, out: &mut Vec<u8>) {
        put_long(out, long_length(self.len()));
        out.extend_from_slice(self);
    }
    #[inline]
    fn take(reader: &mut Reader<'a>) -> Result<Self, Refused> {
        let length = reader.take_length()?;
        reader.take_slice(length)
    }
}

impl<'a> Wire<'a> for &'a str {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().put(out);
    }
    #[inline]
    fn take(reader: &mut Reader<'a>) -> Result<Self, Refused> {
        let bytes = <&[u8]>::take(reader)?;
        std::str::from_utf8(bytes).map_err(|_| reader.non_canonical("string is not UTF-8"))
    }
}

impl<'a, T: Wire<'a>> Wire<'a> for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0x00),
            Some(value) => {
                out.push(0x02);
                value.put(out);
            }
        }
    }
    #[inline]
    fn take(reader: &mut Reader<'a>) -> Result<Self, Refused> {
        match reader.take_byte()? {
            0x00 => Ok(None),
            0x02 => Ok(Some(T::take(reader)?)),
            _ => Err(reader.non_canonical("union branch is neither null nor the value")),
        }
    }
}

impl<'a, T: Wire<'a>> Wire<'a> for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put_long(out, long_length(self.len()));
            for item in self {
                item.put(out);
            }
        }
        out.push(0x00);
    }
    #[inline]
    fn take(reader: &mut Reader<'a>) -> Result<Self, Refused> {
        let count = reader.take_length()?;
        if count == 0 {
            return Ok(Self::new());
        }
        let mut items = Self::with_capacity(count.min(64));
        for _ in 0..count {
            items.push(T::take(reader)?);
        }
        if reader.take_byte()? != 0x00 {
            return Err(reader.non_canonical("array split into several blocks"));
        }
        Ok(items)
    }
}

/// Declares an Avro record: a struct whose fields are encoded in the order they are written.
macro_rules! wire_record {
    ($(#[$meta:meta])* pub struct $name:ident<$lt:lifetime> {
        $($(#[$fmeta:meta])* pub $field:ident: $ty:ty,)*
    } $(version $version:path)?) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name<$lt> { $($(#[$fmeta])* pub $field: $ty,)* }
        impl<$lt> $crate::wire::Wire<$lt> for $name<$lt> {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::wire::Wire::put(&self.$field, out);)*
            }
            fn take(
                reader: &mut $crate::wire::Reader<$lt>,
            ) -> Result<Self, $crate::wire::Refused> {
                Ok(Self { $($field: $crate::wire::Wire::take(reader)?,)* })
            }
            $(fn version(&self) -> u8 {
                $version(self)
            })?
        }
    };
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$fmeta:meta])* pub $field:ident: $ty:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }
        impl<'a> $crate::wire::Wire<'a> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::wire::Wire::put(&self.$field, out);)*
            }
            fn take(
                reader: &mut $crate::wire::Reader<'a>,
            ) -> Result<Self, $crate::wire::Refused> {
                Ok(Self { $($field: $crate::wire::Wire::take(reader)?,)* })
            }
        }
    };
}
pub(crate) use wire_record;

/// Declares an Avro enum: the discriminant is the wire position, symbols are only ever appended.
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$vmeta:meta])* $variant:ident = $position:literal $symbol:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $position,)* }
        impl $name {
            /// Every value, in wire order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The symbol in schemas, JSON and every interface.
            #[must_use]
            pub const fn symbol(self) -> &'static str {
                match self { $(Self::$variant => $symbol,)* }
            }
            /// The wire position.
            #[must_use]
            pub const fn position(self) -> u8 { self as u8 }
            /// The value at a wire position.
            #[must_use]
            pub const fn from_position(position: u8) -> Option<Self> {
                match position { $($position => Some(Self::$variant),)* _ => None }
            }
            /// The value with this symbol, exactly spelt.
            #[must_use]
            pub fn from_symbol(symbol: &str) -> Option<Self> {
                match symbol { $($symbol => Some(Self::$variant),)* _ => None }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.symbol())
            }
        }
        impl $crate::wire::Wire<'_> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $crate::wire::put_long(out, i64::from(self.position()));
            }
            #[inline]
            fn take(
                reader: &mut $crate::wire::Reader<'_>,
            ) -> Result<Self, $crate::wire::Refused> {
                let position = reader.take_long()?;
                u8::try_from(position)
                    .ok()
                    .and_then(Self::from_position)
                    .ok_or_else(|| reader.out_of_range(concat!("enum ", stringify!($name))))
            }
        }
    };
}
pub(crate) use wire_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_have_one_encoding() {
        for value in [0, 1, -1, 63, 64, -64, -65, 8191, i64::MAX, i64::MIN, 1 << 40] {
            let bytes = encode(&value);
            assert_eq!(decode::<i64>(&bytes), Ok(value), "{value}");
            let mut overlong = bytes.clone();
            *overlong.last_mut().unwrap() |= 0x80;
            overlong.push(0);
            assert!(decode::<i64>(&overlong).is_err(), "overlong {value} was accepted");
        }
    }

    #[test]
    fn every_other_encoding_is_refused() {
        let check = |name: &str, bytes: &[u8], code: &str| {
            let error = decode::<Vec<&str>>(bytes).expect_err(name);
            assert_eq!(error.code(), code, "{name}");
        };
        check("split array", &[2, 2, b'a', 2, 2, b'b', 0], "non_canonical");
        check("negative block count", &[1, 4, 2, b'a', 0], "non_canonical");
        check("count beyond the bytes", &[0x80, 0x80, 0x01], "truncated");
        check("bad UTF-8", &[2, 2, 0xff, 0], "non_canonical");
        check("trailing bytes", &[0, 0], "non_canonical");
        check("missing end", &[2, 2, b'a'], "truncated");
        check("empty", &[], "truncated");
        check("varint over 64 bits", &[0xff; 11], "non_canonical");
    }
}
