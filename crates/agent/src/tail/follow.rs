//! One file that is followed, a step at a time.
//!
//! ```text
//! reading   renamed or copied files that are not read to their end, the oldest first, then the
//!           current one:
//!             over      nobody writes to it any more: read to its end
//!             renamed   the writer may still hold it: read on until it was quiet for `late`
//!             current   what the path names
//! a step    pending events are handed over, or the first of these that has more is read on
//! ```
//!
//! A renamed file that was read to its end is looked at again whenever the tail begins and whenever
//! the path becomes another file: what was appended in between is read from there on.
//!
//! A file was cut when it is shorter than what was read of it, or no longer begins as it did. Then
//! a copy is looked for, whose rest is read first.
//!
//! Promises: as the module above. An adapter's memory is made again after a restart by reading the
//! last `replay_lines` lines once more, without a word about what comes of them: their events are
//! safe already.
//!
//! Assumes: no act of an adapter needs lines that are further apart than that.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Instant;

use super::With;
use super::file::{self, Input, PIECE_BYTES};
use super::lines::{Line, Lines};
use super::mapping::{Mapped, Mapping};
use super::position::{Done, End, HEAD_BYTES, Mark, Position, Spot};
use crate::aside::Place;
use crate::clock;
use crate::counts::Door;
use crate::outlet::Keep;
use crate::settings::TailSettings;

/// By which the time of a file may lag behind the clock.
const STAMP_SECONDS: i64 = 1;
/// Files that were read to their end and are remembered.
const DONE_MAX: usize = 8;
/// Places of a replay that are kept apart.
const SAMPLES: u64 = 32;

/// Whether a step did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There may be more to do at once.
    Moved,
    /// There is nothing to do for now.
    Idle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Over,
    /// With the moment from which on nothing came.
    Renamed(Instant),
    Current,
}

/// A file that is being read.
struct Reading {
    /// Which content this is: it stays the same when the content is found under another name.
    serial: u64,
    input: Input,
    mark: Mark,
    lines: Lines,
    role: Role,
    name: String,
}

/// A place that the adapter's memory may begin at.
struct Sample {
    serial: u64,
    offset: u64,
    line: u64,
    /// Lines of this tail before it.
    age: u64,
}

/// What was read and is not safe.
#[derive(Default)]
struct Pending {
    mapped: Mapped,
    file: String,
    lines: u64,
    is_taken: bool,
}

/// One tail.
pub struct Follower {
    settings: TailSettings,
    with: With,
    file: PathBuf,
    position: Option<Position>,
    mapping: Mapping,
    reading: Vec<Reading>,
    samples: VecDeque<Sample>,
    /// Marks of contents that are not read any more and that samples are of.
    gone: BTreeMap<u64, Mark>,
    next_serial: u64,
    lines_seen: u64,
    /// Lines with nothing for the ledger that were read again.
    skipped_before: u64,
    pending: Option<Pending>,
    /// What was logged last, so that it is logged once.
    trouble: String,
    buffer: Vec<u8>,
}

impl Follower {
    /// A follower that has not looked at anything.
    #[must_use]
    pub fn new(settings: TailSettings, with: With) -> Self {
        let file = with.state.path().join("tails").join(format!("{}.json", settings.name));
        let mapping = Mapping::new(&settings, &with.recorded_as);
        let (position, reading, pending, trouble) = Default::default();
        let (samples, gone, next_serial, lines_seen, skipped_before) = Default::default();
        let buffer = vec![0; PIECE_BYTES];
        Self {
            settings,
            with,
            file,
            position,
            mapping,
            reading,
            samples,
            gone,
            next_serial,
            lines_seen,
            skipped_before,
            pending,
            trouble,
            buffer,
        }
    }

    /// Does one thing.
    pub fn step(&mut self) -> Step {
        let done = self.advance();
        let step = match done {
            Ok(step) => {
                if step == Step::Moved && !self.trouble.is_empty() {
                    tracing::info!(tail = self.settings.name, "goes on");
                    self.trouble.clear();
                }
                step
            }
            Err(error) => {
                let why = format!("{error:#}");
                if self.trouble != why {
                    tracing::error!(code = "tail_stuck", tail = self.settings.name, why);
                    self.trouble = why;
                }
                Step::Idle
            }
        };
        self.tell();
        step
    }

    fn advance(&mut self) -> anyhow::Result<Step> {
        if self.pending.is_some() {
            return self.hand_over();
        }
        if self.position.is_none() {
            self.resume()?;
            return Ok(Step::Moved);
        }
        // Before anything is read: what comes to be from here on is not seen by this step.
        let now = clock::unix_nanos() / 1_000_000_000;
        for at in 0..self.reading.len() {
            let next = self.reading[at].lines.next();
            let count = self.reading[at].input.read_at(next, &mut self.buffer)?;
            if self.was_cut(at)? {
                self.cut(at)?;
                return Ok(Step::Moved);
            }
            if count > 0 {
                if let Role::Renamed(quiet_since) = &mut self.reading[at].role {
                    *quiet_since = Instant::now();
                }
                self.take(at, count)?;
                return self.hand_over();
            }
            match self.reading[at].role {
                Role::Over => return self.finish(at),
                Role::Renamed(since) if since.elapsed() > self.settings.late => {
                    return self.finish(at);
                }
                Role::Renamed(_) => {}
                Role::Current => return self.look_for_another(at, now),
            }
        }
        let has_current = self.reading.last().is_some_and(|one| one.role == Role::Current);
        if has_current { Ok(Step::Idle) } else { self.begin_at_path() }
    }

    /// Whether a file is no longer what was read of it.
    fn was_cut(&self, at: usize) -> anyhow::Result<bool> {
        let (Some(position), reading) = (&self.position, &self.reading[at]) else {
            return Ok(false);
        };
        let Input::Plain(file) = &reading.input else { return Ok(false) };
        let is_short = file.metadata()?.len() < reading.lines.next();
        Ok(is_short || !file::begins_as(file, &reading.mark, position)?)
    }

    /// A file was cut: the rest of what it was is in a copy, or gone.
    fn cut(&mut self, at: usize) -> anyhow::Result<()> {
        let Some(position) = &self.position else { return Ok(()) };
        let reading = &self.reading[at];
        let (mark, (offset, line)) = (reading.mark.clone(), reading.lines.whole());
        let itself = Some((mark.dev, mark.ino));
        let copy = match mark.head_bytes {
            0 => None,
            _ => file::find(&self.settings.path, &mark, position, itself)?,
        };
        let serial = reading.serial;
        let fresh = self.serial();
        let reading = &mut self.reading[at];
        (reading.serial, reading.lines) = (fresh, Lines::default());
        reading.mark = Mark { dev: mark.dev, ino: mark.ino, ..Mark::default() };
        match copy {
            Some((sibling, input)) => {
                let mark = Mark { dev: sibling.dev, ino: sibling.ino, ..mark };
                let (lines, role) = (Lines::new(offset, line), Role::Over);
                let name = name_of(&sibling.path);
                self.reading.insert(at, Reading { serial, input, mark, lines, role, name });
            }
            None => {
                self.lost("the file was cut, and there is no copy of what it was");
                self.gone.insert(serial, mark);
            }
        }
        Ok(())
    }

    fn lost(&self, what: &str) {
        let tail = &self.settings.name;
        tracing::warn!(code = "tail_lost", tail, what, "lines may be gone that were not read");
        self.with.counts.tail(tail, |counts| counts.lost += 1);
    }

    fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    /// Takes what was read into the buffer.
    fn take(&mut self, at: usize, count: usize) -> anyhow::Result<()> {
        let reading = &mut self.reading[at];
        let mut pending = Pending { file: reading.name.clone(), ..Pending::default() };
        let (mapping, judge, seen) = (&mut self.mapping, &self.with.judge, &mut self.lines_seen);
        let (samples, serial) = (&mut self.samples, reading.serial);
        let replay_lines = self.settings.replay_lines;
        reading.lines.push(&self.buffer[..count], &mut |line| {
            sample(samples, replay_lines, Sample::at(serial, &line, *seen));
            *seen += 1;
            pending.lines += 1;
            mapping.line(serial, &line, judge, &mut pending.mapped);
        });
        self.learn_head(at)?;
        self.pending = Some(pending);
        Ok(())
    }

    /// Knows a file by more of its first bytes, as far as they are read.
    fn learn_head(&mut self, at: usize) -> anyhow::Result<()> {
        let Some(position) = &self.position else { return Ok(()) };
        let reading = &mut self.reading[at];
        let known = reading.lines.whole().0.min(HEAD_BYTES);
        if let Input::Plain(file) = &reading.input
            && known > reading.mark.head_bytes
        {
            let bytes = file::first_bytes(file, known)?;
            reading.mark.head = position.head_of(&bytes);
            reading.mark.head_bytes = bytes.len() as u64;
        }
        Ok(())
    }

    /// A file is read to its end.
    fn finish(&mut self, at: usize) -> anyhow::Result<Step> {
        let mut reading = self.reading.remove(at);
        let mut pending = Pending { file: reading.name.clone(), ..Pending::default() };
        let (mapping, judge) = (&mut self.mapping, &self.with.judge);
        let serial = reading.serial;
        reading.lines.finish(&mut |line| {
            pending.lines += 1;
            mapping.line(serial, &line, judge, &mut pending.mapped);
        });
        mapping.file_ends(serial, judge, &mut pending.mapped);
        let tail = &self.settings.name;
        tracing::info!(tail, file = reading.name, "is read to its end");
        if let Some(position) = &mut self.position {
            let (offset, line) = reading.lines.whole();
            position
                .done
                .push(Done { mark: reading.mark.clone(), end: Some(End { offset, line }) });
            let count = position.done.len();
            position.done.drain(..count.saturating_sub(DONE_MAX));
        }
        self.gone.insert(reading.serial, reading.mark);
        self.pending = Some(pending);
        self.hand_over()
    }

    /// Nothing more comes of the current file: has the path become another one?
    fn look_for_another(&mut self, at: usize, now: i64) -> anyhow::Result<Step> {
        let found = match fs::metadata(&self.settings.path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Step::Idle),
            Err(error) => return Err(error.into()),
        };
        let mark = &self.reading[at].mark;
        if mark.is_of(found.dev(), found.ino()) {
            if let Some(position) = &mut self.position {
                position.looked_at = now - STAMP_SECONDS;
            }
            return Ok(Step::Idle);
        }
        if found.len() == 0 {
            return Ok(Step::Idle);
        }
        self.reading[at].role = Role::Renamed(Instant::now());
        self.begin_at_path()
    }

    /// Begins what the path names now, after what lies between it and what is known.
    fn begin_at_path(&mut self) -> anyhow::Result<Step> {
        let path = &self.settings.path;
        let (input, dev, ino) = match file::open(path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Step::Idle),
            Err(error) => return Err(anyhow::Error::new(error).context(name_of(path))),
        };
        self.read_late()?;
        self.read_between((dev, ino))?;
        if let Some(position) = &mut self.position
            && position.saved_at == 0
        {
            // What lies there when a tail begins for the first time is not its own.
            position.looked_at = clock::unix_nanos() / 1_000_000_000;
        }
        let mark = Mark { dev, ino, ..Mark::default() };
        let (serial, name) = (self.serial(), name_of(&self.settings.path));
        let (input, lines, role) = (Input::Plain(input), Lines::default(), Role::Current);
        self.reading.push(Reading { serial, input, mark, lines, role, name });
        Ok(Step::Moved)
    }

    /// Files that were read to their end and have grown since: somebody held them for longer.
    fn read_late(&mut self) -> anyhow::Result<()> {
        let Some(position) = &mut self.position else { return Ok(()) };
        if position.done.is_empty() {
            return Ok(());
        }
        let mut late = Vec::new();
        for sibling in file::siblings(&self.settings.path)? {
            let is_it = |done: &Done| done.mark.is_of(sibling.dev, sibling.ino);
            let Some(place) = position.done.iter().position(is_it) else { continue };
            let Some(End { offset, line }) = position.done[place].end else { continue };
            let Input::Plain(file) = file::open_packed(&sibling.path)? else { continue };
            // Another file may have come to the same inode.
            let is_same = file::begins_as(&file, &position.done[place].mark, position)?;
            if is_same && file.metadata()?.len() > offset {
                let mark = position.done.remove(place).mark;
                late.push((name_of(&sibling.path), file, mark, Lines::new(offset, line)));
            }
        }
        for (name, file, mark, lines) in late {
            let (tail, serial) = (&self.settings.name, self.next_serial + 1);
            tracing::info!(tail, file = name, "was written to after it was read, and is read on");
            self.next_serial = serial;
            let (input, role) = (Input::Plain(file), Role::Renamed(Instant::now()));
            self.reading.push(Reading { serial, input, mark, lines, role, name });
        }
        Ok(())
    }

    /// Files that were current and renamed while nobody looked.
    fn read_between(&mut self, current: (u64, u64)) -> anyhow::Result<()> {
        let Some(position) = &self.position else { return Ok(()) };
        if position.saved_at == 0 {
            return Ok(());
        }
        let known: Vec<Mark> = position
            .done
            .iter()
            .map(|done| &done.mark)
            .chain(self.gone.values())
            .chain(self.reading.iter().map(|one| &one.mark))
            .cloned()
            .collect();
        let mut between = Vec::new();
        for sibling in file::siblings(&self.settings.path)? {
            let is_known = |mark: &Mark| {
                mark.head_bytes > 0 && file::is_copy(&sibling.path, mark, position).unwrap_or(false)
            };
            let is_old = sibling.modified < position.looked_at;
            let is_read = |one: &Reading| one.mark.is_of(sibling.dev, sibling.ino);
            if is_old
                || !file::is_rotation(&self.settings.path, &sibling.path)
                || self.reading.iter().any(is_read)
                || (sibling.dev, sibling.ino) == current
                || known.iter().any(is_known)
            {
                continue;
            }
            between.push(sibling);
        }
        for sibling in between {
            let tail = &self.settings.name;
            let name = name_of(&sibling.path);
            tracing::info!(tail, file = name, "was renamed while nobody looked, and is read");
            let input = file::open_packed(&sibling.path)?;
            let mark = Mark { dev: sibling.dev, ino: sibling.ino, ..Mark::default() };
            let (serial, lines, role) = (self.serial(), Lines::default(), Role::Over);
            self.reading.push(Reading { serial, input, mark, lines, role, name });
        }
        Ok(())
    }

    /// Goes on where the one before ended.
    fn resume(&mut self) -> anyhow::Result<()> {
        let read = Position::read(&self.file)?;
        let (spots, replay) = match &read {
            Some(position) => (position.spots.clone(), position.replay.clone()),
            None => Default::default(),
        };
        let position = read.map_or_else(Position::new, Ok)?;
        self.reading.clear();
        for spot in &spots {
            let Some((input, mark, path)) = self.locate(&position, &spot.mark)? else {
                self.lost("a file that was not read to its end is gone");
                continue;
            };
            let is_current = path == self.settings.path;
            let role = match &input {
                _ if is_current => Role::Current,
                Input::Plain(_) => Role::Renamed(Instant::now()),
                Input::Packed { .. } => Role::Over,
            };
            let lines = Lines::new(spot.offset, spot.line);
            let (serial, name) = (self.serial(), name_of(&path));
            self.reading.push(Reading { serial, input, mark, lines, role, name });
        }
        // The current file is the last one whatever the spots say.
        self.reading.sort_by_key(|one| one.role == Role::Current);
        self.replay(&position, &replay)?;
        self.skipped_before = self.mapping.skipped();
        self.position = Some(position);
        self.read_late()?;
        self.reading.sort_by_key(|one| one.role == Role::Current);
        Ok(())
    }

    /// The file of a mark, at the path or beside it.
    fn locate(
        &self,
        position: &Position,
        mark: &Mark,
    ) -> anyhow::Result<Option<(Input, Mark, PathBuf)>> {
        let path = &self.settings.path;
        let at_path = match file::open(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if let Some((file, dev, ino)) = at_path
            && mark.is_of(dev, ino)
            && file::begins_as(&file, mark, position)?
        {
            return Ok(Some((Input::Plain(file), mark.clone(), path.clone())));
        }
        let found = file::find(path, mark, position, None)?;
        Ok(found.map(|(sibling, input)| {
            let mark = Mark { dev: sibling.dev, ino: sibling.ino, ..mark.clone() };
            (input, mark, sibling.path)
        }))
    }

    /// Makes the memory of the adapter again.
    fn replay(&mut self, position: &Position, replay: &[Spot]) -> anyhow::Result<()> {
        if !matches!(self.mapping, Mapping::Adapter(_)) {
            return Ok(());
        }
        for spot in replay {
            let Some((mut input, mark, _)) = self.locate(position, &spot.mark)? else {
                let tail = &self.settings.name;
                let what = "the adapter remembers less than it did: an older file is gone";
                tracing::warn!(code = "memory_shortened", tail, what);
                continue;
            };
            let is_same =
                |one: &&Reading| one.mark.is_of(mark.dev, mark.ino) && one.mark.head == mark.head;
            let reading = self.reading.iter().find(is_same);
            let upto = reading.map_or(u64::MAX, |one| one.lines.whole().0);
            let known = reading.map(|one| one.serial);
            let serial = known.unwrap_or_else(|| self.serial());
            if known.is_none() {
                self.gone.insert(serial, mark);
            }
            self.read_again(&mut input, spot, upto, serial)?;
        }
        Ok(())
    }

    fn read_again(
        &mut self,
        input: &mut Input,
        spot: &Spot,
        upto: u64,
        serial: u64,
    ) -> anyhow::Result<()> {
        let mut lines = Lines::new(spot.offset, spot.line);
        while lines.next() < upto {
            let room = usize::try_from(upto - lines.next()).unwrap_or(usize::MAX);
            let room = room.min(self.buffer.len());
            let count = input.read_at(lines.next(), &mut self.buffer[..room])?;
            if count == 0 {
                break;
            }
            let (mapping, judge) = (&mut self.mapping, &self.with.judge);
            let (samples, seen) = (&mut self.samples, &mut self.lines_seen);
            let replay_lines = self.settings.replay_lines;
            lines.push(&self.buffer[..count], &mut |line| {
                sample(samples, replay_lines, Sample::at(serial, &line, *seen));
                *seen += 1;
                // What comes of it is safe since the first time.
                mapping.line(serial, &line, judge, &mut Mapped::default());
            });
        }
        Ok(())
    }

    /// Hands over what is pending, and moves the position when it is safe.
    fn hand_over(&mut self) -> anyhow::Result<Step> {
        let Some(pending) = &mut self.pending else { return Ok(Step::Idle) };
        if !pending.is_taken {
            if let Err(why) = pending.mapped.judge_rest(&self.with.judge) {
                anyhow::bail!("what was read cannot be judged now: {why}");
            }
            if !pending.mapped.units.is_empty()
                && let Err(not) = self.with.outlet.take(&pending.mapped.units, Keep::OnDisk)
            {
                anyhow::bail!("what was read cannot be kept: {}", not.why);
            }
            pending.is_taken = true;
            let (name, now) = (self.settings.name.as_str(), clock::unix_nanos());
            let events: usize = pending.mapped.units.iter().map(Vec::len).sum();
            for (line, code, why, bytes) in &pending.mapped.aside {
                let place = Place { tail: name, file: &pending.file, line: *line };
                self.with.aside.put(now, place, bytes, code, why);
            }
            self.with.counts.accepted(Door::Tail, events);
            self.with.counts.tail(name, |counts| {
                counts.lines += pending.lines;
                counts.events += events as u64;
                let aside = pending.mapped.aside.len() as u64;
                counts.fruitless = if events > 0 { 0 } else { counts.fruitless + aside };
                for (_, code, _, _) in &pending.mapped.aside {
                    *counts.aside.entry(code).or_default() += 1;
                }
            });
        }
        self.save()?;
        self.pending = None;
        Ok(Step::Moved)
    }

    fn save(&mut self) -> anyhow::Result<()> {
        let held = self.mapping.holds_from();
        let marks: BTreeMap<u64, &Mark> =
            self.reading.iter().map(|one| (one.serial, &one.mark)).collect();
        let mut replay: Vec<Spot> = Vec::new();
        let mut told = Vec::new();
        for sample in &self.samples {
            let mark = marks.get(&sample.serial).copied().or(self.gone.get(&sample.serial));
            if told.contains(&sample.serial) {
                continue;
            }
            // Of later contents all lines are read again.
            let place = if told.is_empty() { (sample.offset, sample.line) } else { (0, 0) };
            told.push(sample.serial);
            if let Some(mark) = mark {
                replay.push(Spot { mark: mark.clone(), offset: place.0, line: place.1 });
            }
        }
        let oldest = self.samples.front().map_or(0, |sample| sample.serial);
        self.gone.retain(|serial, _| *serial >= oldest);
        let spots = self.reading.iter().map(|one| {
            let is_held = |(serial, _, _): &(u64, u64, u64)| *serial == one.serial;
            let held = held.filter(is_held).map(|(_, begin, line)| (begin, line));
            let (offset, line) = held.unwrap_or_else(|| one.lines.whole());
            Spot { mark: one.mark.clone(), offset, line }
        });
        let spots = spots.collect();
        let Some(position) = &mut self.position else { return Ok(()) };
        (position.spots, position.replay) = (spots, replay);
        position.saved_at = clock::unix_nanos() / 1_000_000_000;
        position.write(&self.file)
    }

    fn tell(&self) {
        let skipped = self.mapping.skipped() - self.skipped_before;
        let current = self.reading.last().filter(|one| one.role == Role::Current);
        let position = current.map_or(0, |one| one.lines.whole().0);
        let length = |one: &Reading| match &one.input {
            Input::Plain(file) => file.metadata().map_or(0, |found| found.len()),
            Input::Packed { .. } => 0,
        };
        let behind = self.reading.iter().map(|one| length(one).saturating_sub(one.lines.whole().0));
        let behind = behind.sum();
        self.with.counts.tail(&self.settings.name, |counts| {
            counts.is_there = current.is_some();
            let is_missing = self.position.is_some() && self.reading.is_empty();
            let since = counts.missing_since.unwrap_or_else(Instant::now);
            counts.missing_since = is_missing.then_some(since);
            counts.is_stuck = !self.trouble.is_empty();
            if skipped > counts.skipped {
                counts.fruitless = 0;
            }
            (counts.skipped, counts.position, counts.behind) = (skipped, position, behind);
        });
    }
}

impl Sample {
    /// The begin of a line of a content, with so many lines of the tail before it.
    fn at(serial: u64, line: &Line<'_>, age: u64) -> Self {
        Self { serial, offset: line.begin, line: line.number - 1, age }
    }
}

/// Remembers a place now and then, and forgets those that are too far back.
fn sample(samples: &mut VecDeque<Sample>, replay_lines: u64, newest: Sample) {
    let every = (replay_lines / SAMPLES).max(1);
    let age = newest.age;
    let is_other = |last: &Sample| last.serial != newest.serial || age >= last.age + every;
    if !samples.back().is_none_or(is_other) {
        return;
    }
    samples.push_back(newest);
    while samples.get(1).is_some_and(|second| age - second.age >= replay_lines) {
        samples.pop_front();
    }
}

fn name_of(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
