//! The trait of a follower, and the one runner that has it catch up.
//!
//! ```text
//! view ──▶ Follower::step ──▶ statements ──▶ Recorder ──▶ durable ──▶ position saved, at its time
//!   ▲                                           │
//!   └────────────── committed ◀─────────────────┘     a crash anywhere: on from the position saved
//! ```
//!
//! Promises: a position is saved only when everything that the steps before it stated is durable,
//! and nothing is saved behind a step that failed or a statement that was not recorded. A follower
//! whose position is lost, damaged or ahead of the ledger begins with the first entry, and
//! [`Start`] says so, and how far behind it is.
//!
//! Assumes: one runner a follower.

use std::fmt;
use std::io;
use std::sync::Arc;

use ledgerline_proof::own_statement::OwnStatement;
use ledgerline_view::view::{QueryError, View};
use ledgerline_world::clock::Clock;
use ledgerline_world::disk::Disk;

use crate::pace::{Load, Pace};
use crate::position::{self, Ahead, Found, Position};

/// The position is saved so often while it moves: what was read since is read again after a crash.
const SAVE_NANOS: u64 = 5_000_000_000;
/// And so seldom while it does not, for what is remembered beside it.
const SAVE_STILL_NANOS: u64 = 600_000_000_000;

/// One who reads what is committed, in order, and states what follows, or does something with it.
///
/// What a step states has to follow from the ledger, under native ids that follow from it too:
/// after a crash the same is stated again, and recognised. What is done outside happens at least
/// once.
pub trait Follower {
    /// Its name, that of its position file too.
    fn name(&self) -> &'static str;

    /// Begins with the first entry, and forgets what it knew.
    fn begin(&mut self);

    /// Goes on where a position says.
    ///
    /// # Errors
    /// [`Unusable`]; it begins with the first entry then.
    fn resume(&mut self, view: &View, saved: &Position) -> Result<(), Unusable>;

    /// Reads a position file of before the one format of all.
    fn take_over(&self, _view: &View, _older: &[u8]) -> Option<Position> {
        None
    }

    /// How far it is.
    fn reach(&self, view: &View) -> Reach;

    /// Reads on a little: some milliseconds at most, for it shares its core.
    ///
    /// # Errors
    /// [`Interrupted`]; it goes on from the position saved last then.
    fn step(&mut self, view: &View, now: i64) -> Result<Step, Interrupted>;

    /// Where it could go on after a restart, once everything that it stated is recorded; `None`
    /// when it cannot say so now, or never does.
    fn position(&self, view: &View) -> Option<Position>;

    /// What the log is to be told of it, once: that something derived was lost and is made anew.
    fn news(&mut self) -> Option<String> {
        None
    }
}

/// What came of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// What is to be recorded.
    pub statements: Vec<OwnStatement>,
    /// Whether there is more to do.
    pub next: Next,
    /// Whether something was done outside, which nobody would recognise if it were done again.
    pub is_done_outside: bool,
}

/// When the next step is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Next {
    /// After a rest: it has caught up.
    #[default]
    Rest,
    /// At its pace: it is behind.
    Behind,
    /// At once: what took the time was somebody outside.
    AtOnce,
}

/// How far a follower is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// Entries that it has dealt with.
    pub position: u64,
    /// Entries that there are.
    pub of: u64,
}

impl Reach {
    /// Entries that it has not dealt with.
    #[must_use]
    pub const fn behind(self) -> u64 {
        self.of.saturating_sub(self.position)
    }
}

/// Why a saved position is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It lies beyond the ledger.
    Ahead(Ahead),
    /// What is remembered beside it does not parse.
    State,
}

impl From<Ahead> for Unusable {
    fn from(ahead: Ahead) -> Self {
        Self::Ahead(ahead)
    }
}

/// Why a step came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Interrupted(pub String);

impl From<QueryError> for Interrupted {
    fn from(error: QueryError) -> Self {
        Self(error.to_string())
    }
}

/// Who has the statements of followers recorded.
pub trait Recorder {
    /// Has them recorded, each once for ever, and returns when they are durable, however long it
    /// takes.
    ///
    /// # Errors
    /// [`NotRecorded`] when the ledger takes nothing any more; some may be recorded all the same.
    fn record(&mut self, statements: Vec<OwnStatement>) -> Result<(), NotRecorded>;
}

/// The ledger takes nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotRecorded;

/// How a follower began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Began {
    /// With the first entry: nothing was saved.
    Anew,
    /// Where it ended.
    Resumed,
    /// Where it ended, by a file of before the one format of all.
    TakenOver,
    /// With the first entry: what was saved cannot be believed.
    Damaged(&'static str),
    /// With the first entry: what was saved lies beyond the ledger.
    Ahead(Ahead),
    /// With the first entry: what was saved cannot be read.
    Unread(String),
}

/// A beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Whose.
    pub name: &'static str,
    /// How.
    pub began: Began,
    /// From where.
    pub reach: Reach,
}

impl Start {
    /// Whether what was saved is lost, so that everything is read again.
    #[must_use]
    pub const fn is_loss(&self) -> bool {
        matches!(self.began, Began::Damaged(_) | Began::Ahead(_) | Began::Unread(_))
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, began, reach } = self;
        match began {
            Began::Anew => write!(f, "{name} begins")?,
            Began::Resumed => write!(f, "{name} goes on")?,
            Began::TakenOver => write!(f, "{name} goes on, by a position file of an older form,")?,
            Began::Damaged(why) => {
                write!(f, "the position file of {name} is damaged ({why}): it begins anew")?;
            }
            Began::Ahead(Ahead { position, of }) => write!(
                f,
                "the position file of {name} says entry {position} of {of}, as of another copy of \
                 this ledger: it begins anew"
            )?,
            Began::Unread(why) => {
                write!(f, "the position file of {name} cannot be read ({why}): it begins anew")?;
            }
        }
        let Reach { position, of } = reach;
        write!(f, " at entry {position} of {of}, {} behind", reach.behind())
    }
}

/// What came of a runner's step.
#[derive(Debug)]
pub struct Ran {
    /// How it began, when it did.
    pub start: Option<Start>,
    /// How many statements were recorded.
    pub recorded: usize,
    /// When the next step is due.
    pub next: Next,
    /// How far the follower is.
    pub reach: Reach,
    /// Why the position was not saved although it was time: it is tried again.
    pub unsaved: Option<io::Error>,
    /// What the log is to be told.
    pub news: Option<String>,
}

/// Why a runner's step came to nothing. The next one begins at the position saved last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The follower could not go on.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// Its statements were not recorded.
    #[error("the ledger takes nothing any more")]
    NotRecorded,
}

/// Runs one follower, step by step, without a thread of its own.
pub struct Runner<F> {
    follower: F,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    pace: Pace,
    /// How it began, and what the log is to be told, until a step was taken.
    untold: Option<Start>,
    news: Option<String>,
    /// What was saved, while it is running.
    saved: Option<Saved>,
    last: Next,
}

struct Saved {
    position: u64,
    at: u64,
}

impl<F: Follower> Runner<F> {
    /// Of a follower that keeps its position on `disk`.
    #[must_use]
    pub fn new(follower: F, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Self {
        let pace = Pace::new(clock.monotonic_nanos(), 0);
        let (untold, news, saved) = (None, None, None);
        Self { follower, disk, clock, pace, untold, news, saved, last: Next::Rest }
    }

    /// The follower.
    pub const fn follower(&mut self) -> &mut F {
        &mut self.follower
    }

    /// A step: reads on, has what follows recorded, and saves the position when it is time.
    ///
    /// # Errors
    /// [`Failed`].
    pub fn step(&mut self, view: &View, recorder: &mut dyn Recorder) -> Result<Ran, Failed> {
        self.pace.step(self.clock.monotonic_nanos());
        let saved = match self.saved.take() {
            Some(saved) => saved,
            None => {
                let start = self.start(view);
                let at = self.clock.monotonic_nanos();
                let saved = Saved { position: start.reach.position, at };
                // A loss is told even where the steps behind it fail.
                if !self.untold.as_ref().is_some_and(Start::is_loss) {
                    self.untold = Some(start);
                }
                self.news = self.news.take().or_else(|| self.follower.news());
                saved
            }
        };
        // Until the end of this, a failure leaves nothing to be saved.
        let step = self.follower.step(view, self.clock.wall_nanos())?;
        let recorded = step.statements.len();
        if recorded > 0 {
            recorder.record(step.statements).map_err(|NotRecorded| Failed::NotRecorded)?;
        }
        let reach = self.follower.reach(view);
        let age = self.clock.monotonic_nanos().saturating_sub(saved.at);
        let is_moved = reach.position != saved.position;
        let is_time = is_moved && (step.is_done_outside || age >= SAVE_NANOS);
        self.saved = Some(saved);
        self.last = step.next;
        let unsaved = match is_time || age >= SAVE_STILL_NANOS {
            true => self.save(view).err(),
            false => None,
        };
        if let (Some(_), Some(saved)) = (&unsaved, &mut self.saved) {
            saved.at = self.clock.monotonic_nanos();
        }
        let (start, news) = (self.untold.take(), self.news.take());
        let news = news.or_else(|| self.follower.news());
        Ok(Ran { start, recorded, next: step.next, reach, unsaved, news })
    }

    fn start(&mut self, view: &View) -> Start {
        let name = self.follower.name();
        let began = match position::load(self.disk.as_ref(), name) {
            Ok(Found::Nothing) => Began::Anew,
            Ok(Found::Position(saved)) => self.resume(view, &saved, Began::Resumed),
            Ok(Found::Older(bytes)) => match self.follower.take_over(view, &bytes) {
                Some(saved) => self.resume(view, &saved, Began::TakenOver),
                None => Began::Damaged("it is no position file"),
            },
            Ok(Found::Damaged(why)) => Began::Damaged(why),
            Err(error) => Began::Unread(error.to_string()),
        };
        if !matches!(began, Began::Resumed | Began::TakenOver) {
            self.follower.begin();
        }
        Start { name, began, reach: self.follower.reach(view) }
    }

    fn resume(&mut self, view: &View, saved: &Position, how: Began) -> Began {
        match self.follower.resume(view, saved) {
            Ok(()) => how,
            Err(Unusable::Ahead(ahead)) => Began::Ahead(ahead),
            Err(Unusable::State) => Began::Damaged("what it remembers does not parse"),
        }
    }

    /// How long to rest before the next step, in nanoseconds: at most `most`, and so long when the
    /// follower has caught up.
    pub fn rest(&mut self, node: Load, most: u64) -> u64 {
        match self.last {
            Next::AtOnce => 0,
            next => {
                let now = self.clock.monotonic_nanos();
                self.pace.rest(now, node, next == Next::Behind, most)
            }
        }
    }

    /// Saves the position now, as at the end. Does nothing behind a step that failed.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn save(&mut self, view: &View) -> io::Result<()> {
        if self.saved.is_none() {
            return Ok(());
        }
        let Some(position) = self.follower.position(view) else { return Ok(()) };
        position::save(self.disk.as_ref(), self.follower.name(), &position)?;
        let position = self.follower.reach(view).position;
        self.saved = Some(Saved { position, at: self.clock.monotonic_nanos() });
        Ok(())
    }
}

impl<F: Follower + ?Sized> Follower for Box<F> {
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn begin(&mut self) {
        (**self).begin();
    }
    fn resume(&mut self, view: &View, saved: &Position) -> Result<(), Unusable> {
        (**self).resume(view, saved)
    }
    fn take_over(&self, view: &View, older: &[u8]) -> Option<Position> {
        (**self).take_over(view, older)
    }
    fn reach(&self, view: &View) -> Reach {
        (**self).reach(view)
    }
    fn step(&mut self, view: &View, now: i64) -> Result<Step, Interrupted> {
        (**self).step(view, now)
    }
    fn position(&self, view: &View) -> Option<Position> {
        (**self).position(view)
    }
    fn news(&mut self) -> Option<String> {
        (**self).news()
    }
}
