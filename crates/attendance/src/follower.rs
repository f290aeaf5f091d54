//! Attendance as a follower.

use ledgerline_followers::findings::record::Note;
use ledgerline_followers::follower::{Follower, Interrupted, Next, Reach, Step, Unusable};
use ledgerline_followers::position::Position;
use ledgerline_proof::control::ControlKind;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::schema::Leaf;
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_view::view::{QueryError, View};

use crate::expected::Policy;
use crate::held::{At, Suspects};
use crate::memory::Memory;

/// Entries of a usual step.
const STEP_ENTRIES: u64 = 256;
/// Tokens that are judged in a step, each by its life.
const STEP_JUDGED: usize = 64;
/// Notes after which a step ends early.
const STEP_NOTES: usize = 256;

/// Records who is missing, what, and which key is too old.
pub struct AttendanceFollower {
    policy: Policy,
    memory: Memory,
    position: u64,
    suspects: Suspects,
    most: u64,
    news: Option<String>,
    told: bool,
}

impl AttendanceFollower {
    /// The name of its position file.
    pub const NAME: &'static str = "attendance";

    /// One that expects what a policy says.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            memory: Memory::default(),
            position: 0,
            suspects: Suspects::default(),
            most: STEP_ENTRIES,
            news: None,
            told: false,
        }
    }

    /// Reads at most so many entries a step from now on.
    pub const fn read(&mut self, most: u64) {
        self.most = most;
    }

    fn go_on(&mut self, position: u64, memory: Memory) {
        (self.position, self.memory) = (position, memory);
        self.suspects = Suspects::default();
        // Who is no longer expected by the settings is no longer missed.
        let listed = |who: &(String, String)| self.policy.expected.contains(who);
        self.memory.expected.retain(|who, one| one.has_key() || listed(who));
        self.memory.heard.retain(listed);
    }

    fn leaf(
        &mut self,
        view: &View,
        index: u64,
        leaf: &[u8],
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let judged = read_event(leaf, |entry, statement| {
            let at = At { index, nanos: entry.recorded_at.nanos };
            self.pass_time(at.nanos, notes);
            self.memory.ended(statement, at.nanos, notes);
            if statement.source == LEDGER_SOURCE {
                return Ok(());
            }
            let who = (statement.tenant, statement.source);
            self.memory.came(&self.policy, who, at.nanos, notes);
            self.memory.holder(view, statement, at, &mut self.suspects, notes)
        });
        if let Some(judged) = judged {
            return judged;
        }
        match Leaf::decode(leaf) {
            Ok(Leaf::Block(block)) => self.pass_time(block.sealed_at.nanos, notes),
            Ok(Leaf::Control(control)) => {
                let at = control.recorded_at.nanos;
                self.pass_time(at, notes);
                if let Some(added) = &control.key_added {
                    let taken = self.memory.key_added(added, at);
                    self.tell(taken);
                }
                let ends = [ControlKind::KeyRetired, ControlKind::KeyCompromised];
                if let Some(ended) = control.key_ended.filter(|_| ends.contains(&control.kind)) {
                    self.memory.key_ended(&ended, at, notes);
                }
            }
            Ok(Leaf::Entry(entry)) => self.pass_time(entry.recorded_at.nanos, notes),
            Err(_) => {}
        }
        Ok(())
    }

    fn pass_time(&mut self, at: i64, notes: &mut Vec<Note>) {
        if self.memory.tick(at) {
            self.memory.silent(at, notes);
            self.memory.late(&self.policy, at, notes);
        }
    }

    /// What lies beyond a bound is said once a start.
    fn tell(&mut self, taken: Result<(), &'static str>) {
        if let Err(what) = taken
            && !std::mem::replace(&mut self.told, true)
        {
            self.news = Some(what.to_owned());
        }
    }

    /// Judges some of those that may be missing.
    fn judge(&mut self, view: &View, notes: &mut Vec<Note>) -> Result<(), QueryError> {
        for _ in 0..STEP_JUDGED {
            let Some(one) = self.suspects.list.pop_front() else { break };
            self.memory.judge(view, &one, &mut self.suspects, notes)?;
            if self.suspects.list.is_empty() {
                self.suspects.rest(&one, notes);
            }
        }
        Ok(())
    }

    /// Expects those that the settings name, from when all was read.
    fn expect(&mut self) {
        let missing = self.policy.expected.iter().filter(|who| !self.memory.heard.contains(who));
        let missing: Vec<_> = missing.cloned().collect();
        for who in missing {
            let taken = self.memory.expect(who, None);
            self.tell(taken);
        }
    }
}

impl Follower for AttendanceFollower {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn begin(&mut self) {
        self.go_on(0, Memory::default());
    }

    fn resume(&mut self, view: &View, saved: &Position) -> Result<(), Unusable> {
        // What is remembered is of one origin: a new one is read from its beginning.
        match saved.in_newest(view)? {
            None => self.begin(),
            Some(position) => {
                let memory = Memory::from_bytes(&saved.state).ok_or(Unusable::State)?;
                self.go_on(position, memory);
            }
        }
        Ok(())
    }

    fn reach(&self, view: &View) -> Reach {
        Reach { position: self.position, of: view.size() }
    }

    fn step(&mut self, view: &View, _: i64) -> Result<Step, Interrupted> {
        let mut notes = Vec::new();
        self.judge(view, &mut notes)?;
        if self.suspects.list.is_empty() {
            let end = view.size().min(self.position.saturating_add(self.most));
            view.each_leaf(self.position..end, |index, leaf| {
                self.leaf(view, index, leaf, &mut notes)?;
                self.position += 1;
                Ok::<_, QueryError>(self.suspects.list.is_empty() && notes.len() < STEP_NOTES)
            })?;
        }
        let is_behind = self.position < view.size() || !self.suspects.list.is_empty();
        if !is_behind {
            self.expect();
        }
        let statements = notes.iter().map(Note::statement).collect();
        let next = if is_behind { Next::Behind } else { Next::Rest };
        Ok(Step { statements, next, is_done_outside: false })
    }

    fn position(&self, view: &View) -> Option<Position> {
        // Those that are to be judged follow from an entry that was read.
        let is_whole = self.suspects.list.is_empty();
        let at = || Position::of_log(&view.identity().origin, self.position);
        is_whole.then(|| at().with(self.memory.to_bytes()))
    }

    fn news(&mut self) -> Option<String> {
        self.news.take()
    }
}
