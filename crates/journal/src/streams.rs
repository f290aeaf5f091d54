//! Stream positions: how far a ledger has read the streams it takes events from.
//!
//! ```text
//! table   count (2) ‖ count × mark, in ascending order of (stream id, name, part), each once
//! mark    stream id (16) ‖ lp(name) ‖ lp(part) ‖ lp(next) ‖ leader epoch (4, signed) ‖ state (1)
//!
//!                stream id               name          part             next
//!   Kafka        topic id                cluster id    partition (4)    offset (8)
//!   Kinesis      hash of the stream's    stream ARN    shard id, text   sequence number, text
//!                ARN and creation time
//! state   0 OPEN   1 ENDED: nothing comes behind `next`, for ever
//! ```
//!
//! Promises: a table is in its one order and within its bounds, so it has one encoding and always
//! fits into a COMMIT. A stream is known by its id, not by its name: one that was made again under
//! its old name is another one. A position is opaque: it says where reading goes on, and nothing is
//! ever counted with it (markers of transactions take offsets, so offsets have gaps).
//!
//! Refuses: to open what has ended, and a table beyond its bounds.

/// Most parts (partitions, shards) that one ledger reads.
pub const MAX_MARKS: usize = 1024;
/// Most bytes of an encoded table. It stands in every commit.
pub const MAX_TABLE_BYTES: usize = 64 << 10;
/// Longest name, part or position.
pub const MAX_FIELD_BYTES: usize = 512;
/// Bytes of a mark beside its three fields.
const MARK_BYTES: usize = 16 + 3 * 2 + 4 + 1;
/// What stands for the leader epoch of a system that has none.
pub const NO_LEADER_EPOCH: i32 = -1;

/// Names a stream for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    /// What is never given to another stream: Kafka's topic id.
    pub id: [u8; 16],
    /// Where it is: Kafka's cluster id.
    pub name: Box<str>,
}

/// Where reading goes on: the position of the *next* record, never of the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextPosition(Box<[u8]>);

impl NextPosition {
    /// The position in the words of its system.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The position in the words of its system.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum StreamState {
    /// Records may come behind the position.
    Open = 0,
    /// None will: a shard that was split or merged, and read to its end.
    Ended = 1,
}

/// How far one part of a stream was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamMark {
    /// The stream.
    pub stream: StreamId,
    /// Its partition or shard.
    pub part: Box<[u8]>,
    /// Where reading goes on.
    pub next: NextPosition,
    /// Epoch of the leader that the last record came from; [`NO_LEADER_EPOCH`] for none.
    pub leader_epoch: i32,
    /// Whether more may come.
    pub state: StreamState,
}

impl StreamMark {
    fn key(&self) -> (&StreamId, &[u8]) {
        (&self.stream, &self.part)
    }

    fn encoded_len(&self) -> usize {
        MARK_BYTES + self.stream.name.len() + self.part.len() + self.next.0.len()
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stream.id);
        for field in [self.stream.name.as_bytes(), &self.part, &self.next.0] {
            let length = u16::try_from(field.len()).expect("a table's fields are bounded");
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(field);
        }
        out.extend_from_slice(&self.leader_epoch.to_be_bytes());
        out.push(self.state as u8);
    }
}

/// Why marks are not taken into a table, which is unchanged then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A name, part or position is too long.
    #[error("a stream's name, part or position is longer than {MAX_FIELD_BYTES} bytes")]
    Field,
    /// More parts, or longer ones, than a commit has room for.
    #[error("a ledger reads at most {MAX_MARKS} parts of streams, {MAX_TABLE_BYTES} bytes in all")]
    Table,
    /// What has ended does not go on.
    #[error("a part of a stream that has ended does not go on")]
    Ended,
}

/// How far every part of every stream was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamTable {
    marks: Vec<StreamMark>,
}

impl StreamTable {
    /// Bytes of a table that says nothing.
    pub const EMPTY_BYTES: usize = 2;

    /// The marks, in their order.
    #[must_use]
    pub fn marks(&self) -> &[StreamMark] {
        &self.marks
    }

    /// How far a part of a stream was read.
    #[must_use]
    pub fn mark(&self, stream: &StreamId, part: &[u8]) -> Option<&StreamMark> {
        let found = self.marks.binary_search_by(|mark| mark.key().cmp(&(stream, part)));
        found.ok().map(|at| &self.marks[at])
    }

    /// Takes marks up, each in the place of the one before of its part.
    ///
    /// # Errors
    /// [`StreamError`]; the table is unchanged then.
    pub fn advance(&mut self, marks: &[StreamMark]) -> Result<(), StreamError> {
        let mut next = self.marks.clone();
        for mark in marks {
            let StreamMark { stream, part, next: position, .. } = mark;
            let fields = [stream.name.len(), part.len(), position.0.len()];
            if fields.into_iter().any(|length| length > MAX_FIELD_BYTES) {
                return Err(StreamError::Field);
            }
            match next.binary_search_by(|known| known.key().cmp(&mark.key())) {
                Ok(at) if next[at].state == StreamState::Ended && next[at] != *mark => {
                    return Err(StreamError::Ended);
                }
                Ok(at) => next[at] = mark.clone(),
                Err(at) => next.insert(at, mark.clone()),
            }
        }
        if Self::is_too_large(&next) {
            // Parts that ended long ago make room; those of this call are news.
            next.retain(|one| {
                let is_news = marks.iter().any(|mark| mark.key() == one.key());
                one.state == StreamState::Open || is_news
            });
        }
        if Self::is_too_large(&next) {
            return Err(StreamError::Table);
        }
        self.marks = next;
        Ok(())
    }

    fn is_too_large(marks: &[StreamMark]) -> bool {
        let bytes = marks.iter().map(StreamMark::encoded_len).sum::<usize>();
        marks.len() > MAX_MARKS || Self::EMPTY_BYTES + bytes > MAX_TABLE_BYTES
    }

    /// The first part that `later` forgets, goes on with after its end, or calls open again: a
    /// writer does none of it. A part that has ended may be forgotten.
    #[must_use]
    pub fn contradicted_by<'t>(&'t self, later: &Self) -> Option<&'t StreamMark> {
        self.marks.iter().find(|mark| match later.mark(&mark.stream, &mark.part) {
            None => mark.state == StreamState::Open,
            Some(now) => mark.state == StreamState::Ended && now != *mark,
        })
    }

    /// Bytes of the encoded table.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        Self::EMPTY_BYTES + self.marks.iter().map(StreamMark::encoded_len).sum::<usize>()
    }

    /// Appends the encoded table.
    ///
    /// # Panics
    /// Never: [`MAX_MARKS`] and [`MAX_FIELD_BYTES`] fit into their lengths.
    pub fn put(&self, out: &mut Vec<u8>) {
        let count = u16::try_from(self.marks.len()).expect("a table is bounded");
        out.extend_from_slice(&count.to_be_bytes());
        self.marks.iter().for_each(|mark| mark.put(out));
    }

    /// Reads a table from the front of `bytes`; gives it with what follows. `None` when it is cut
    /// off, out of order, or beyond its bounds.
    #[must_use]
    pub fn take(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut cursor = Cursor(bytes);
        let count = usize::from(u16::from_be_bytes(cursor.array()?));
        if count > MAX_MARKS {
            return None;
        }
        let mut marks: Vec<StreamMark> = Vec::new();
        for _ in 0..count {
            let mark = cursor.mark()?;
            if marks.last().is_some_and(|before| before.key() >= mark.key()) {
                return None;
            }
            marks.push(mark);
        }
        let whole = bytes.len() - cursor.0.len() <= MAX_TABLE_BYTES;
        whole.then_some((Self { marks }, cursor.0))
    }
}

/// What is still to be read.
struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn field(&mut self) -> Option<&'b [u8]> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        (length <= MAX_FIELD_BYTES).then_some(taken)
    }

    fn mark(&mut self) -> Option<StreamMark> {
        let id = self.array()?;
        let name = std::str::from_utf8(self.field()?).ok()?.into();
        let part = self.field()?.into();
        let next = NextPosition(self.field()?.into());
        let leader_epoch = i32::from_be_bytes(self.array()?);
        let state = match self.array::<1>()?[0] {
            0 => StreamState::Open,
            1 => StreamState::Ended,
            _ => return None,
        };
        Some(StreamMark { stream: StreamId { id, name }, part, next, leader_epoch, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(id: u8, part: &[u8], next: &[u8]) -> StreamMark {
        StreamMark {
            stream: StreamId { id: [id; 16], name: "cluster".into() },
            part: part.into(),
            next: NextPosition::new(next),
            leader_epoch: 7,
            state: StreamState::Open,
        }
    }

    fn encoded(table: &StreamTable) -> Vec<u8> {
        let mut out = Vec::new();
        table.put(&mut out);
        assert_eq!(out.len(), table.encoded_len());
        out
    }

    #[test]
    fn a_table_has_one_order_whatever_order_its_marks_came_in() {
        let (a, b, c) = (mark(1, b"0", b"5"), mark(1, b"1", b"6"), mark(2, b"0", b"7"));
        let mut forwards = StreamTable::default();
        forwards.advance(&[a.clone(), b.clone(), c.clone()]).unwrap();
        let mut backwards = StreamTable::default();
        backwards.advance(&[c]).unwrap();
        backwards.advance(&[b, a]).unwrap();
        assert_eq!(forwards, backwards);
        let bytes = encoded(&forwards);
        assert_eq!(StreamTable::take(&bytes), Some((forwards, &[][..])));
    }

    #[test]
    fn what_is_read_is_canonical_and_no_byte_can_be_missing() {
        let mut table = StreamTable::default();
        table.advance(&[mark(1, b"0", b"5"), mark(1, b"1", b"6")]).unwrap();
        let bytes = encoded(&table);
        for end in 0..bytes.len() {
            assert_eq!(StreamTable::take(&bytes[..end]), None, "cut at {end}");
        }
        let one = (bytes.len() - 2) / 2;
        let swapped = [&bytes[..2], &bytes[2 + one..], &bytes[2..2 + one]].concat();
        assert_eq!(StreamTable::take(&swapped), None, "out of order");
        let twice = [&bytes[..2 + one], &bytes[2..2 + one]].concat();
        assert_eq!(StreamTable::take(&twice), None, "one part twice");
        let mut state = bytes.clone();
        *state.last_mut().unwrap() = 2;
        assert_eq!(StreamTable::take(&state), None, "a state that is none");
    }

    #[test]
    fn a_table_is_bounded_in_fields_parts_and_bytes() {
        let mut table = StreamTable::default();
        let long = mark(1, &[0; MAX_FIELD_BYTES + 1], b"");
        assert_eq!(table.advance(&[long]), Err(StreamError::Field));
        assert_eq!(MAX_MARKS, 1024);
        let many: Vec<_> = (0..=1024u32).map(|n| mark(1, &n.to_be_bytes(), b"")).collect();
        assert_eq!(table.advance(&many), Err(StreamError::Table));
        table.advance(&many[1..]).unwrap();
        let wide: Vec<_> = (0..200u8).map(|n| mark(n, &[n], &[n; MAX_FIELD_BYTES])).collect();
        let before = table.clone();
        assert_eq!(table.advance(&wide), Err(StreamError::Table));
        assert_eq!(table, before, "what is refused changes nothing");
        assert!(encoded(&table).len() <= MAX_TABLE_BYTES);
    }

    /// A table that kept every part that ever ended would be full one day, and take no more.
    #[test]
    fn parts_that_ended_make_room_and_open_ones_do_not() {
        let mut table = StreamTable::default();
        let open: Vec<_> = (0..1024u32).map(|n| mark(1, &n.to_be_bytes(), b"1")).collect();
        table.advance(&open).unwrap();
        let new = mark(2, b"new", b"1");
        assert_eq!(table.advance(std::slice::from_ref(&new)), Err(StreamError::Table));
        let ended = StreamMark { state: StreamState::Ended, ..open[7].clone() };
        table.advance(&[ended]).unwrap();
        assert_eq!(table.marks().len(), 1024, "until the room is needed it is kept");
        let before = table.clone();
        table.advance(std::slice::from_ref(&new)).unwrap();
        assert_eq!(table.mark(&new.stream, &new.part), Some(&new));
        assert_eq!(table.mark(&open[7].stream, &open[7].part), None);
        assert_eq!(before.contradicted_by(&table), None);
    }

    #[test]
    fn what_has_ended_stays_so() {
        let mut table = StreamTable::default();
        let ended = StreamMark { state: StreamState::Ended, ..mark(1, b"shard", b"9") };
        table.advance(&[mark(1, b"other", b"1"), ended.clone()]).unwrap();
        assert_eq!(table.advance(&[mark(1, b"shard", b"9")]), Err(StreamError::Ended));
        table.advance(std::slice::from_ref(&ended)).unwrap();
        let mut open_only = StreamTable::default();
        open_only.advance(&[mark(1, b"other", b"2")]).unwrap();
        assert_eq!(table.contradicted_by(&open_only), None, "an ended part may be forgotten");
        assert_eq!(open_only.contradicted_by(&StreamTable::default()), open_only.marks().first());
        let mut again = open_only.clone();
        again.advance(&[mark(1, b"shard", b"9")]).unwrap();
        assert_eq!(table.contradicted_by(&again), Some(&ended));
    }
}
