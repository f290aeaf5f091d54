//! How a summary is written: values as bytes.
//!
//! Promises: what is read is what was written. Counts, texts and words are written as the kernel
//! writes them ([`ledgerline_proof::wire`]), times in eight bytes, fields in the order of the lists
//! of [`kept`](crate::kept), which name every one: a field that is added and not named does not
//! compile.
//!
//! Refuses: bytes that are no such writing, cut off ones among them.

use std::rc::Rc;

use ledgerline_index::Term;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{Birth, Fact, State, TokenState};
use ledgerline_proof::vocabulary::{EventType, Outcome, Relation, TokenKind};
use ledgerline_proof::wire::{Reader, Wire, put_long};

/// A value that a summary keeps.
pub trait Kept: Sized {
    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads it.
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// A struct, by all its fields.
#[macro_export]
macro_rules! kept {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::Kept for $type {
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($crate::Kept::write($field, out);)*
            }
            #[inline]
            fn read(from: &mut $crate::Reader<'_>) -> Option<Self> {
                Some(Self { $($field: $crate::Kept::read(from)?),* })
            }
        }
    };
}

/// What the kernel writes already.
macro_rules! as_the_kernel {
    ($($type:ty),*) => {
        $(impl Kept for $type {
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                Wire::put(self, out);
            }
            #[inline]
            fn read(from: &mut Reader<'_>) -> Option<Self> {
                Wire::take(from).ok()
            }
        })*
    };
}
as_the_kernel!(bool, i32, Relation);

/// Times, mostly: whole they are as short as in parts, and quicker.
impl Kept for i64 {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Kept::read(from).map(Self::from_be_bytes)
    }
}

kept!(Hlc { nanos, logical });

/// Places and counts.
impl Kept for u64 {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        put_long(out, self.cast_signed());
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.take_long().ok().map(i64::cast_unsigned)
    }
}

/// Numbers that are small.
macro_rules! within_u64 {
    ($($type:ty),*) => {
        $(impl Kept for $type {
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                u64::try_from(*self).unwrap_or(u64::MAX).write(out);
            }
            #[inline]
            fn read(from: &mut Reader<'_>) -> Option<Self> {
                Self::try_from(u64::read(from)?).ok()
            }
        })*
    };
}
within_u64!(u8, u32, usize);

impl<const N: usize> Kept for [u8; N] {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Wire::take(from).ok()
    }
}

impl Kept for Hash {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Kept::read(from).map(Self)
    }
}

impl Kept for Term {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.kind);
        let hash = self.hash;
        out.extend_from_slice(&hash.to_le_bytes());
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let [kind] = Kept::read(from)?;
        Some(Self { kind, hash: u128::from_le_bytes(Kept::read(from)?) })
    }
}

/// A text, where it lies.
pub fn text<'a>(from: &mut Reader<'a>) -> Option<&'a str> {
    Wire::take(from).ok()
}

impl Kept for Box<str> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        Wire::put(&&**self, out);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        text(from).map(Self::from)
    }
}

impl Kept for String {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        Wire::put(&&**self, out);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        text(from).map(Self::from)
    }
}

impl<T: Kept> Kept for Option<T> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        self.iter().for_each(|one| one.write(out));
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        if bool::read(from)? { T::read(from).map(Some) } else { Some(None) }
    }
}

impl<T: Kept, U: Kept> Kept for (T, U) {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some((T::read(from)?, U::read(from)?))
    }
}

fn put_list<T: Kept>(list: &[T], out: &mut Vec<u8>) {
    list.len().write(out);
    list.iter().for_each(|one| one.write(out));
}

impl<T: Kept> Kept for Vec<T> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        put_list(self, out);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let count = usize::read(from)?;
        let mut list = Self::with_capacity(count.min(64));
        for _ in 0..count {
            list.push(T::read(from)?);
        }
        Some(list)
    }
}

impl<T: Kept> Kept for Box<[T]> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        put_list(self, out);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Vec::read(from).map(Into::into)
    }
}

impl<T: Kept> Kept for Rc<[T]> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        put_list(self, out);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Vec::read(from).map(Into::into)
    }
}

impl<T: Kept> Kept for Box<T> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        T::read(from).map(Self::new)
    }
}

const fn birth_number(birth: Birth) -> u8 {
    match birth {
        Birth::None => 0,
        Birth::Issued => 1,
        Birth::Origin => 2,
    }
}

const fn birth_of(number: u8) -> Option<Birth> {
    match number {
        0 => Some(Birth::None),
        1 => Some(Birth::Issued),
        2 => Some(Birth::Origin),
        _ => None,
    }
}

/// Times, most of which are not known: which are, then they.
fn write_times<const N: usize>(times: [Option<i64>; N], out: &mut Vec<u8>) {
    let known = times.iter().rev().fold(0_u8, |bits, one| bits << 1 | u8::from(one.is_some()));
    out.push(known);
    times.into_iter().flatten().for_each(|one| one.write(out));
}

fn read_times<const N: usize>(from: &mut Reader<'_>) -> Option<[Option<i64>; N]> {
    let [known] = Kept::read(from)?;
    let mut times = [None; N];
    for (n, one) in times.iter_mut().enumerate() {
        if known & 1 << n != 0 {
            *one = Some(i64::read(from)?);
        }
    }
    Some(times)
}

fn kind_number(kind: Option<TokenKind>) -> u8 {
    kind.map_or(0, |kind| kind.position() + 1)
}

fn kind_of(number: u8) -> Option<Option<TokenKind>> {
    let position = number.checked_sub(1);
    position.map_or(Some(None), |position| TokenKind::from_position(position).map(Some))
}

impl Kept for TokenState {
    fn write(&self, out: &mut Vec<u8>) {
        let Self {
            state,
            suspended_from,
            superseded_from,
            expired_from,
            birth,
            born_at,
            awaits_activation,
            mfa_required,
            activation_deadline,
            token_kind,
            issued_at,
            not_before,
            expires_at,
            grace_until,
            revoked_at,
            last_refreshed_at,
            client,
            audiences,
            first_index,
            last_index,
            since,
            presented,
        } = self;
        let [birth, states @ ..] = [
            birth_number(*birth),
            state.position(),
            suspended_from.position(),
            superseded_from.position(),
            expired_from.position(),
        ];
        let flags = [*awaits_activation, *mfa_required, *presented].map(u8::from);
        let [awaits, mfa, presented] = flags;
        let flags = awaits | mfa << 1 | presented << 2;
        out.extend_from_slice(&[birth, flags, kind_number(*token_kind)]);
        out.extend_from_slice(&states);
        write_times([*born_at, *activation_deadline, *issued_at, *not_before], out);
        write_times([*expires_at, *grace_until, *revoked_at, *last_refreshed_at], out);
        client.write(out);
        audiences.write(out);
        first_index.write(out);
        last_index.write(out);
        since.write(out);
    }
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let [birth, flags, kind] = Kept::read(from)?;
        let states: [u8; 4] = Kept::read(from)?;
        let [born_at, activation_deadline, issued_at, not_before] = read_times(from)?;
        let [expires_at, grace_until, revoked_at, last_refreshed_at] = read_times(from)?;
        let state = |n: usize| State::from_position(states[n]);
        Some(Self {
            state: state(0)?,
            suspended_from: state(1)?,
            superseded_from: state(2)?,
            expired_from: state(3)?,
            birth: birth_of(birth)?,
            born_at,
            awaits_activation: flags & 1 != 0,
            mfa_required: flags & 2 != 0,
            activation_deadline,
            token_kind: kind_of(kind)?,
            issued_at,
            not_before,
            expires_at,
            grace_until,
            revoked_at,
            last_refreshed_at,
            client: Kept::read(from)?,
            audiences: Kept::read(from)?,
            first_index: Kept::read(from)?,
            last_index: Kept::read(from)?,
            since: Kept::read(from)?,
            presented: flags & 4 != 0,
        })
    }
}

/// Without client and audience: those of turns are empty.
impl Kept for Fact<'static> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let Self {
            index,
            event_type,
            outcome,
            occurred_at,
            recorded_at,
            token_kind,
            issued_at,
            not_before,
            expires_at,
            grace_until,
            has_activation,
            activation_deadline,
            mfa_required,
            mfa_completed_at,
            asserted_state,
            client_id: _,
            audience: _,
        } = self;
        let flags = u8::from(*has_activation) | u8::from(*mfa_required) << 1;
        let asserted = asserted_state.map_or(0, |state| state.position() + 1);
        let words = [event_type.position(), outcome.position(), kind_number(*token_kind)];
        out.extend_from_slice(&words);
        out.extend_from_slice(&[flags, asserted]);
        index.write(out);
        occurred_at.write(out);
        recorded_at.write(out);
        write_times([*issued_at, *not_before, *expires_at, *grace_until], out);
        write_times([*activation_deadline, *mfa_completed_at], out);
    }
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let [event_type, outcome, kind, flags, asserted] = Kept::read(from)?;
        let (index, occurred_at) = Kept::read(from)?;
        let recorded_at = Kept::read(from)?;
        let [issued_at, not_before, expires_at, grace_until] = read_times(from)?;
        let [activation_deadline, mfa_completed_at] = read_times(from)?;
        let asserted = u8::checked_sub(asserted, 1).map(State::from_position);
        let asserted_state = match asserted {
            None => None,
            Some(state) => Some(state?),
        };
        Some(Self {
            outcome: Outcome::from_position(outcome)?,
            recorded_at,
            token_kind: kind_of(kind)?,
            issued_at,
            not_before,
            expires_at,
            grace_until,
            has_activation: flags & 1 != 0,
            activation_deadline,
            mfa_required: flags & 2 != 0,
            mfa_completed_at,
            asserted_state,
            ..Self::new(index, EventType::from_position(event_type)?, occurred_at)
        })
    }
}
