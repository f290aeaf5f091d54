//! The queue between callers and the worker: bounded, and where events get their numbers.
//!
//! Promises: number, time and place in the queue are given in one short critical section, so the
//! order of the numbers is the order of the events, and a number is used up only by an event that
//! was taken, or, when events are given up, on purpose. Nothing is allocated here.
//!
//! Refuses: events when `events` or `bytes` are reached.

use ledgerline_api::event::Event;

/// Ranges of given-up numbers that are kept.
const MAX_GAPS: usize = 16;

/// An event that was taken.
pub(crate) struct Slot {
    pub seq: Option<i64>,
    pub id: Option<[u8; 16]>,
    pub at: i64,
    /// One event, or the parts of an act.
    pub events: Taken,
}

pub(crate) enum Taken {
    One(Box<Event<'static>>),
    Act(Vec<Event<'static>>),
}

impl Taken {
    /// Events that get a number here: all but one that brought an instance of its own.
    pub fn numbered(&self) -> usize {
        match self {
            Self::One(event) => usize::from(event.source_instance.is_none()),
            Self::Act(events) => events.len(),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Act(events) => events.len(),
        }
    }
}

/// What an event got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    pub seq: Option<i64>,
    pub id: Option<[u8; 16]>,
    pub ticket: u64,
    /// Whether half of the queue is used: the worker should not wait for its turn.
    pub is_urgent: bool,
}

pub(crate) struct Slots {
    queue: Vec<Slot>,
    events: usize,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
    next_seq: i64,
    /// Events that got an id and no number.
    others: i64,
    next_ticket: u64,
    last_at: i64,
    gaps: Vec<(i64, i64)>,
    pub closed: bool,
    boot: [u8; 8],
}

impl Slots {
    /// `boot` is random: it makes the ids of this run its own.
    pub fn new(max_events: usize, max_bytes: usize, boot: [u8; 8]) -> Self {
        Self {
            queue: Vec::with_capacity(max_events),
            events: 0,
            bytes: 0,
            max_events,
            max_bytes,
            next_seq: 0,
            others: 0,
            next_ticket: 1,
            last_at: 0,
            gaps: Vec::new(),
            closed: false,
            boot,
        }
    }

    pub fn len(&self) -> usize {
        self.events
    }

    /// What waits, an act as one.
    pub fn units(&self) -> usize {
        self.queue.len()
    }

    pub fn next_seq(&self) -> i64 {
        self.next_seq
    }

    pub fn gaps(&self) -> &[(i64, i64)] {
        &self.gaps
    }

    pub fn last_ticket(&self) -> u64 {
        self.next_ticket - 1
    }

    /// Takes events, or gives them back when there is no room.
    pub fn take(&mut self, taken: Taken, weight: usize, wall: i64) -> Result<Given, Taken> {
        let count = taken.len();
        if self.events + count > self.max_events || self.bytes + weight > self.max_bytes {
            return Err(taken);
        }
        let at = self.stamp(wall);
        let (seq, id) = match &taken {
            // Its numbers are another instance's: an id it needs all the same.
            Taken::One(event) if event.source_instance.is_some() => {
                let is_named = event.event_id.is_some() || event.native_id.is_some();
                (None, (!is_named).then(|| self.other_id(at)))
            }
            Taken::One(event) => {
                let seq = self.number(1);
                let is_named = event.event_id.is_some() || event.native_id.is_some();
                (Some(seq), (!is_named).then(|| self.id(at, seq)))
            }
            Taken::Act(_) => {
                let seq = self.number(count);
                (Some(seq), Some(self.id(at, seq)))
            }
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.events += count;
        self.bytes += weight;
        self.queue.push(Slot { seq, id, at, events: taken });
        let is_urgent = self.events * 2 > self.max_events || self.bytes * 2 > self.max_bytes;
        Ok(Given { seq, id, ticket, is_urgent })
    }

    /// Uses up the numbers of events that are given up: the ledger sees that they are missing.
    pub fn give_up(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let first = self.number(count);
        let last = self.next_seq - 1;
        if let Some(gap) = self.gaps.last_mut().filter(|gap| gap.1 + 1 == first) {
            gap.1 = last;
        } else if self.gaps.len() < MAX_GAPS {
            self.gaps.push((first, last));
        }
    }

    /// A number and a time for an event of the emitter's own.
    pub fn own(&mut self, wall: i64) -> (i64, i64, [u8; 16]) {
        let at = self.stamp(wall);
        let seq = self.number(1);
        (seq, at, self.id(at, seq))
    }

    /// All that was taken, in exchange for an empty queue.
    pub fn drain(&mut self, into: &mut Vec<Slot>) {
        debug_assert!(into.is_empty(), "it becomes the queue");
        std::mem::swap(&mut self.queue, into);
        self.events = 0;
        self.bytes = 0;
    }

    /// An id without a number of this run: from the upper half of the counter.
    fn other_id(&mut self, at: i64) -> [u8; 16] {
        self.others += 1;
        self.id(at, self.others | 1 << 39)
    }

    fn number(&mut self, count: usize) -> i64 {
        let first = self.next_seq;
        self.next_seq += i64::try_from(count).unwrap_or(i64::MAX);
        first
    }

    /// The next time of the hybrid clock: never behind the last, whatever the wall clock does. Ties
    /// take the next nanosecond, since JSON carries no logical part.
    fn stamp(&mut self, wall: i64) -> i64 {
        self.last_at = wall.max(self.last_at + 1);
        self.last_at
    }

    /// A UUIDv7 (RFC 9562): milliseconds, 34 random bits of this run, and the number as its counter
    /// in the last 40. Cheap, and unique as long as a run takes fewer than 2^39 numbers.
    pub fn id(&self, at: i64, seq: i64) -> [u8; 16] {
        let millis = u64::try_from(at / 1_000_000).unwrap_or_default();
        let mut id = [0; 16];
        id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        id[6..11].copy_from_slice(&self.boot[..5]);
        id[6] = 0x70 | (id[6] & 0x0f);
        id[8] = 0x80 | (id[8] & 0x3f);
        id[11..].copy_from_slice(&seq.to_be_bytes()[3..]);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Taken {
        Taken::One(Box::default())
    }

    #[test]
    fn numbers_have_no_gap_but_those_given_up_on_purpose() {
        let mut slots = Slots::new(4, 1000, [0xff; 8]);
        let mut drained = Vec::with_capacity(4);
        for round in 0..3 {
            for n in 0..4 {
                let given = slots.take(event(), 1, 0).ok().expect("room");
                assert_eq!(given.seq, Some(round * 4 + n));
            }
            assert!(slots.take(event(), 1, 0).is_err(), "full");
            slots.drain(&mut drained);
            let at: Vec<i64> = drained.iter().map(|slot| slot.at).collect();
            assert!(at.windows(2).all(|pair| pair[0] < pair[1]), "{at:?}");
            drained.clear();
        }
        slots.give_up(1);
        slots.give_up(2);
        assert_eq!(slots.gaps(), [(12, 14)]);
        assert_eq!(slots.own(0).0, 15);
        assert!(slots.take(event(), 1001, 0).is_err(), "too heavy");
    }

    #[test]
    fn an_event_of_another_instance_has_an_id_and_no_number() {
        let mut slots = Slots::new(4, 1000, [0xff; 8]);
        let mut take = |id: Option<&'static str>| {
            let (instance, event_id) = (Some("i".into()), id.map(Into::into));
            let event = Event { source_instance: instance, event_id, ..Event::default() };
            let given = slots.take(Taken::One(Box::new(event)), 1, 0).ok().expect("room");
            assert_eq!(given.seq, None);
            given.id
        };
        let (first, second) = (take(None), take(None));
        assert!(first.is_some() && second.is_some() && first != second);
        assert_eq!(take(Some("its own")), None);
        let own = slots.take(event(), 1, 0).ok().expect("room");
        assert!(own.seq == Some(0) && own.id != first && own.id != second);
    }

    #[test]
    fn ids_are_version_7_and_all_different() {
        let slots = Slots::new(1, 1, [0xff; 8]);
        let other = Slots::new(1, 1, [0x0f; 8]);
        let mut ids = std::collections::BTreeSet::new();
        for seq in 0..1000 {
            for at in [1_700_000_000_000_000_000, 1_700_000_000_001_000_000] {
                for slots in [&slots, &other] {
                    let id = slots.id(at, seq);
                    assert_eq!(id[6] >> 4, 7);
                    assert_eq!(id[8] >> 6, 2);
                    let millis = ledgerline_proof::event_id::uuid_v7_millis(&id);
                    assert_eq!(millis, u64::try_from(at / 1_000_000).ok());
                    assert!(ids.insert(id));
                }
            }
        }
    }
}
