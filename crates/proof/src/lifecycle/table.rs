//! The table itself: one token's state, and what each act does to it.
//!
//! Promises: `apply` allocates only for ISSUED and ORIGIN, takes constant time otherwise, and
//! keeps these: once REVOKED always REVOKED; EXPIRED only with a known `expires_at`; a recorded
//! `revoked_at` before `expires_at` always means REVOKED.
//!
//! Assumes: nothing about the order of the facts. An act that arrives late is judged by its own
//! time, one by a clock that is ahead as if it happened when it was recorded
//! ([`Fact::effective_at`]): such a clock keeps nothing alive.

use super::{DETAIL_STATE, Fact, Revocation, State, Transition, Violation};
use crate::statement::Statement;
use crate::vocabulary::{EventType, Outcome, TokenKind};

/// Whether an event may change the state of its token: a permitted act, but no mere use. A use
/// spends a code: it counts where it calls its token one, and every permitted use counts of a
/// token whose birth did.
#[must_use]
pub fn changes_state(statement: &Statement<'_>) -> bool {
    let is_act = match statement.event_type {
        EventType::Used | EventType::ResourceAccessed => {
            statement.token_kind.is_some_and(TokenKind::is_code)
        }
        EventType::Issued
        | EventType::Origin
        | EventType::Activated
        | EventType::Refreshed
        | EventType::Rotated
        | EventType::Suspended
        | EventType::Reinstated
        | EventType::Expired
        | EventType::Revoked => true,
        _ => false,
    };
    is_act && statement.outcome == Outcome::Allow
}

/// Whether an event says that its target is revoked: a permitted REVOKED, or an ORIGIN of a token
/// that was revoked before the ledger knew it.
#[must_use]
pub fn is_revocation(statement: &Statement<'_>) -> bool {
    let asserts = || {
        let state = statement.detail.iter().find(|detail| detail.key == DETAIL_STATE);
        state.is_some_and(|detail| State::from_symbol(detail.value) == Some(State::Revoked))
    };
    statement.outcome == Outcome::Allow
        && match statement.event_type {
            EventType::Revoked => true,
            EventType::Origin => asserts(),
            _ => false,
        }
}

/// How the ledger first learnt of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Birth {
    /// Not yet: no permitted ISSUED or ORIGIN was applied.
    None,
    /// By its ISSUED.
    Issued,
    /// By an ORIGIN: its lineage is incomplete.
    Origin,
}

/// Where one token stands after the facts applied so far. Times are Unix nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenState {
    /// The state by the entries alone. Ask [`TokenState::state_at`] for the state at a time.
    pub state: State,
    /// While on hold, the state before; else UNKNOWN.
    pub suspended_from: State,
    /// Once replaced, the state before; else UNKNOWN. Grace is only for what was usable.
    pub superseded_from: State,
    /// While EXPIRED, the state beneath; else UNKNOWN.
    pub expired_from: State,
    /// How the ledger first learnt of it.
    pub birth: Birth,
    /// `occurred_at` of the ISSUED or ORIGIN that `birth` means.
    pub born_at: Option<i64>,
    /// Whether an activation is outstanding. PENDING without it waits for `not_before` only.
    pub awaits_activation: bool,
    /// Whether the activation needs MFA.
    pub mfa_required: bool,
    /// By when it must be activated, inclusive.
    pub activation_deadline: Option<i64>,
    /// What sort of token it is, from its birth.
    pub token_kind: Option<TokenKind>,
    /// Its `iat`, else when its ISSUED occurred.
    pub issued_at: Option<i64>,
    /// Usable from here on.
    pub not_before: Option<i64>,
    /// Usable until here, exclusive. Moves later by REFRESHED, earlier by EXPIRED.
    pub expires_at: Option<i64>,
    /// Once SUPERSEDED: usable until here, exclusive.
    pub grace_until: Option<i64>,
    /// When the earliest revocation occurred, also one that came after expiry.
    pub revoked_at: Option<i64>,
    /// When the latest REFRESHED occurred.
    pub last_refreshed_at: Option<i64>,
    /// The OAuth client, from its birth.
    pub client: Option<Box<str>>,
    /// The audiences, from its birth.
    pub audiences: Vec<Box<str>>,
    /// Lowest index applied.
    pub first_index: Option<u64>,
    /// Highest index applied.
    pub last_index: Option<u64>,
    /// When the current state (beneath any expiry) began. Older acts arrived late: not judged by
    /// it.
    pub since: i64,
    /// Whether a permitted use came before the birth. A code so used is born SPENT.
    pub presented: bool,
}

impl Default for TokenState {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl TokenState {
    /// A token of which nothing is recorded.
    pub const UNKNOWN: Self = Self {
        state: State::Unknown,
        suspended_from: State::Unknown,
        superseded_from: State::Unknown,
        expired_from: State::Unknown,
        birth: Birth::None,
        born_at: None,
        awaits_activation: false,
        mfa_required: false,
        activation_deadline: None,
        token_kind: None,
        issued_at: None,
        not_before: None,
        expires_at: None,
        grace_until: None,
        revoked_at: None,
        last_refreshed_at: None,
        client: None,
        audiences: Vec::new(),
        first_index: None,
        last_index: None,
        since: i64::MIN,
        presented: false,
    };

    /// Takes the next fact of this token. Never fails; what is off comes back in the transition.
    pub fn apply(&mut self, fact: &Fact<'_>) -> Transition {
        self.first_index = Some(self.first_index.map_or(fact.index, |at| at.min(fact.index)));
        self.last_index = Some(self.last_index.map_or(fact.index, |at| at.max(fact.index)));
        let from = self.state;
        let violation = if fact.outcome == Outcome::Allow { self.act(fact) } else { None };
        self.assert_invariants(from);
        Transition { from, to: self.state, violation }
    }

    /// Takes a revocation of a session, grant, subject, client or key that the token belongs to,
    /// as the token's own REVOKED at the revocation's effective time. Does nothing when the
    /// selector leaves the token out. Whether the token belongs to the target is the caller's to
    /// know.
    ///
    /// A covered token whose ISSUED comes late is born REVOKED: apply the ISSUED, then this.
    pub fn cover(&mut self, revocation: &Revocation<'_>) -> Transition {
        let from = self.state;
        let mut violation = None;
        let audiences = self.audiences.iter().map(AsRef::as_ref);
        if revocation.selects(self.issued_at, self.client.as_deref(), audiences) {
            let issued = self.birth == Birth::Issued;
            let effective_at = revocation.effective_at;
            violation = (issued && self.born_at.is_some_and(|born| effective_at <= born))
                .then_some(Violation::IssuedAfterRevoke);
            self.revoke(effective_at);
        }
        self.assert_invariants(from);
        Transition { from, to: self.state, violation }
    }

    /// Whether the token is usable at `at_nanos`, given whether a revocation of something it
    /// belongs to is in force: (ACTIVE, or PENDING only for not_before, or SUPERSEDED before
    /// grace_until) and not_before <= at < expires_at and not covered. An EXPIRED entry makes no
    /// difference.
    #[must_use]
    pub fn is_active(&self, at_nanos: i64, covering: bool) -> bool {
        let within = |(begin, end)| begin <= at_nanos && at_nanos < end;
        !covering && self.usable_between().is_some_and(within)
    }

    /// From when until before when the token is usable as far as its own acts go, Unix nanoseconds;
    /// `None` when it is not at all.
    #[must_use]
    pub fn usable_between(&self) -> Option<(i64, i64)> {
        let fit = |state| match state {
            State::Active => true,
            // Without a not_before nothing says when its wait would end.
            State::Pending => !self.awaits_activation && self.not_before.is_some(),
            _ => false,
        };
        let (usable, grace) = match self.beneath() {
            State::Superseded => (fit(self.superseded_from), self.grace_until.unwrap_or(i64::MIN)),
            state => (fit(state), i64::MAX),
        };
        let end = grace.min(self.expires_at.unwrap_or(i64::MAX));
        usable.then_some((self.not_before.unwrap_or(i64::MIN), end))
    }

    /// The state at `at_nanos`: REVOKED stays; from expires_at on it is EXPIRED, whether or not
    /// an entry says so; a token that waited for its not_before only is ACTIVE from then on.
    #[must_use]
    pub fn state_at(&self, at_nanos: i64) -> State {
        if self.state == State::Revoked {
            return State::Revoked;
        }
        if self.is_past(at_nanos) {
            return State::Expired;
        }
        let begun = self.not_before.is_some_and(|begin| begin <= at_nanos);
        match self.beneath() {
            State::Pending if begun && !self.awaits_activation => State::Active,
            state => state,
        }
    }

    /// The state without regard to expiry.
    #[must_use]
    pub const fn beneath(&self) -> State {
        match self.state {
            State::Expired => self.expired_from,
            state => state,
        }
    }

    fn act(&mut self, fact: &Fact<'_>) -> Option<Violation> {
        let at = fact.effective_at();
        let stranger = (self.birth == Birth::None).then_some(Violation::UnknownToken);
        let violation = match fact.event_type {
            EventType::Issued => return self.issue(fact),
            EventType::Origin => return self.adopt(fact),
            EventType::Used | EventType::ResourceAccessed => return self.make_use(fact),
            EventType::Refreshed => return self.refresh(fact),
            EventType::Activated => self.activate(fact),
            EventType::Rotated => self.rotate(fact),
            EventType::Suspended => {
                self.suspend(at);
                None
            }
            EventType::Reinstated => self.reinstate(at),
            EventType::Expired => {
                self.expire(fact);
                None
            }
            EventType::Revoked => {
                self.revoke(at);
                None
            }
            _ => return None,
        };
        stranger.or(violation)
    }

    /// ISSUED. Only the first one counts; one that arrives late fills in what is still unknown
    /// and does not undo what happened since.
    fn issue(&mut self, fact: &Fact<'_>) -> Option<Violation> {
        let at = fact.occurred_at.nanos;
        let younger_than_origin = self.birth == Birth::Origin && self.born_at < Some(at);
        if self.birth == Birth::Issued || younger_than_origin {
            // What the first one left open, an expiry say: the order of two logs of one act does
            // not matter. What is known already stays.
            self.learn(fact);
            return Some(Violation::DuplicateIssue);
        }
        self.learn(fact);
        self.issued_at = self.issued_at.or(Some(at));
        self.birth = Birth::Issued;
        self.born_at = Some(at);
        let waits = fact.has_activation || fact.not_before.is_some_and(|begin| begin > at);
        let born = match waits {
            true => State::Pending,
            false if self.presented && self.is_code(fact) => State::Spent,
            false => State::Active,
        };
        if self.bear(born, at) {
            self.awaits_activation = fact.has_activation;
        }
        let revoked = self.revoked_at.is_some_and(|revoked| revoked <= at);
        revoked.then_some(Violation::IssuedAfterRevoke)
    }

    /// ORIGIN. On a token not yet known it sets the asserted state. On a known one it can only
    /// end more, never lift a hold, an expiry or a revocation.
    fn adopt(&mut self, fact: &Fact<'_>) -> Option<Violation> {
        let at = fact.effective_at();
        let again = self.birth == Birth::Origin;
        if !again {
            self.learn(fact);
        }
        if self.birth == Birth::None {
            self.birth = Birth::Origin;
            self.born_at = Some(at);
        }
        let asserted = fact.asserted_state.unwrap_or(State::Unknown);
        let revoked_before = self.state == State::Revoked && self.since <= at;
        let unknown = self.beneath() == State::Unknown;
        if unknown || (asserted > State::Active && asserted > self.state) {
            self.assert_state(asserted, fact);
        }
        if again {
            return Some(Violation::DuplicateIssue);
        }
        let living = matches!(asserted, State::Pending | State::Active);
        (revoked_before && living).then_some(Violation::OutOfOrder)
    }

    fn assert_state(&mut self, asserted: State, fact: &Fact<'_>) {
        let at = fact.effective_at();
        // What a token on hold, replaced or expired was before, nobody says: take it as usable.
        let before = match self.beneath() {
            State::Unknown => State::Active,
            state => state,
        };
        match asserted {
            State::Revoked => {
                self.revoked_at = Some(self.revoked_at.map_or(at, |revoked| revoked.min(at)));
                self.state = State::Revoked;
                self.since = at;
            }
            State::Expired => {
                self.settle(before, at);
                self.expires_at = Some(self.expires_at.map_or(at, |end| end.min(at)));
                self.veil();
            }
            State::Suspended => {
                self.suspended_from = before;
                self.settle(State::Suspended, at);
            }
            State::Superseded => {
                self.superseded_from = before;
                self.grace_until = fact.grace_until;
                self.settle(State::Superseded, at);
            }
            State::Pending => {
                let begins = fact.not_before.is_some_and(|begin| begin > at);
                self.awaits_activation = fact.has_activation || !begins;
                self.settle(State::Pending, at);
            }
            State::Unknown | State::Active | State::Spent => self.settle(asserted, at),
        }
    }

    /// ACTIVATED acts only on PENDING, and only when the factors were met by the deadline.
    fn activate(&mut self, fact: &Fact<'_>) -> Option<Violation> {
        let at = fact.occurred_at.nanos;
        if self.beneath() != State::Pending {
            return self.out_of_order(at);
        }
        if self.is_past(at) {
            return Some(Violation::ActivationLate);
        }
        let met_at = match (self.mfa_required, fact.mfa_completed_at) {
            (true, None) => return Some(Violation::ActivationUnproven),
            (true, Some(completed_at)) => completed_at,
            (false, _) => at,
        };
        if self.activation_deadline.is_some_and(|deadline| met_at > deadline) {
            return Some(Violation::ActivationLate);
        }
        self.awaits_activation = false;
        self.settle(State::Active, at);
        None
    }

    /// USED and RESOURCE_ACCESSED change nothing, but for a code that is ACTIVE at the time.
    fn make_use(&mut self, fact: &Fact<'_>) -> Option<Violation> {
        let at = fact.occurred_at.nanos;
        let violation = self.judge_use(fact);
        self.presented |= self.birth == Birth::None;
        if self.is_code(fact) && self.state_at(at) == State::Active {
            self.settle(State::Spent, at);
        }
        violation
    }

    /// REFRESHED changes no state; a later expires_at lifts EXPIRED, unless a revocation that
    /// came after the old expiry now lies before the new one. An earlier expires_at is not taken.
    fn refresh(&mut self, fact: &Fact<'_>) -> Option<Violation> {
        let at = fact.occurred_at.nanos;
        self.last_refreshed_at = self.last_refreshed_at.max(Some(at));
        let later = fact.expires_at.filter(|end| self.expires_at.is_none_or(|old| old < *end));
        if self.state != State::Revoked
            && let Some(end) = later
        {
            self.expires_at = Some(end);
            if self.state == State::Expired {
                self.state = self.expired_from;
                self.expired_from = State::Unknown;
            }
            if let Some(revoked_at) = self.revoked_at {
                self.revoke(revoked_at);
            }
        }
        // Judged by the new expiry: to prolong an expired session is not a use after expiry.
        self.judge_use(fact)
    }

    /// ROTATED. The first replacement fixes the grace; one outside the grace is out of order.
    fn rotate(&mut self, fact: &Fact<'_>) -> Option<Violation> {
        let at = fact.effective_at();
        match self.beneath() {
            State::Revoked => self.out_of_order(at),
            State::Superseded if self.is_beyond_grace(at) => self.out_of_order(at),
            State::Superseded => None,
            before => {
                self.superseded_from = before;
                self.suspended_from = State::Unknown;
                self.grace_until = fact.grace_until;
                self.settle(State::Superseded, at);
                None
            }
        }
    }

    /// SUSPENDED. One on hold already is on hold since the later of the two.
    fn suspend(&mut self, at: i64) {
        match self.beneath() {
            State::Suspended => self.since = self.since.max(at),
            State::Revoked => {}
            before => {
                self.suspended_from = before;
                self.settle(State::Suspended, at);
            }
        }
    }

    /// REINSTATED ends the holds that began before it. One that arrives late ends no newer one.
    fn reinstate(&mut self, at: i64) -> Option<Violation> {
        if self.beneath() != State::Suspended {
            return self.out_of_order(at);
        }
        if self.since > at {
            return None;
        }
        self.settle(self.suspended_from, at);
        self.suspended_from = State::Unknown;
        None
    }

    /// EXPIRED. One derived from an expiry that has meanwhile moved later says nothing any more.
    /// One that lies before the expiry it names, or names none, ends the token early.
    fn expire(&mut self, fact: &Fact<'_>) {
        let at = fact.effective_at();
        let derived_from = fact.expires_at.filter(|end| *end <= at);
        if derived_from.is_some() && self.expires_at > derived_from {
            return;
        }
        if self.state != State::Revoked {
            let end = derived_from.unwrap_or(at);
            self.expires_at = Some(self.expires_at.map_or(end, |known| known.min(end)));
            self.veil();
        }
    }

    /// REVOKED outranks everything but an expiry that had been reached before.
    fn revoke(&mut self, at: i64) {
        let revoked_at = self.revoked_at.map_or(at, |earlier| earlier.min(at));
        self.revoked_at = Some(revoked_at);
        if self.state != State::Revoked && self.is_past(revoked_at) {
            self.veil();
        } else {
            self.state = State::Revoked;
            self.expired_from = State::Unknown;
            self.since = revoked_at;
        }
    }

    /// What is off about a permitted use, worst first.
    fn judge_use(&self, fact: &Fact<'_>) -> Option<Violation> {
        let at = fact.occurred_at.nanos;
        if self.state == State::Revoked && self.revoked_at.is_some_and(|revoked| revoked <= at) {
            return Some(Violation::UseAfterRevoke);
        }
        match self.birth {
            Birth::None => return Some(Violation::UnknownToken),
            Birth::Issued if self.born_at > Some(at) => return Some(Violation::OutOfOrder),
            Birth::Issued | Birth::Origin => {}
        }
        let current = self.since <= at;
        match self.beneath() {
            State::Spent => Some(Violation::CodeReuse),
            State::Superseded if current && self.is_beyond_grace(at) => {
                let refresh = self.token_kind.or(fact.token_kind) == Some(TokenKind::Refresh)
                    || fact.event_type == EventType::Refreshed;
                let reuse = Violation::RefreshReuse;
                Some(if refresh { reuse } else { Violation::UseAfterRotation })
            }
            _ if self.is_past(at) => Some(Violation::UseAfterExpiry),
            State::Suspended if current => Some(Violation::UseWhileSuspended),
            State::Pending if self.awaits_activation => Some(Violation::UseBeforeActivation),
            _ if self.not_before > Some(at) => Some(Violation::UseBeforeActivation),
            _ => None,
        }
    }

    /// Takes the token's own facts, where none are known yet. The only place that allocates.
    fn learn(&mut self, fact: &Fact<'_>) {
        self.token_kind = self.token_kind.or(fact.token_kind);
        self.issued_at = self.issued_at.or(fact.issued_at);
        self.not_before = self.not_before.or(fact.not_before);
        self.expires_at = self.expires_at.or(fact.expires_at);
        self.activation_deadline = self.activation_deadline.or(fact.activation_deadline);
        self.mfa_required |= fact.mfa_required;
        if self.client.is_none() {
            self.client = fact.client_id.map(Into::into);
        }
        if self.audiences.is_empty() {
            self.audiences = fact.audience.iter().map(|audience| (*audience).into()).collect();
        }
    }

    /// Puts the born state where UNKNOWN still stands: as the state, or under a hold or
    /// replacement that arrived first. Says whether there was such a place.
    fn bear(&mut self, born: State, at: i64) -> bool {
        use State::{Superseded, Suspended, Unknown};
        match (self.beneath(), self.suspended_from, self.superseded_from) {
            (Unknown, ..) => self.settle(born, at),
            (Suspended, Unknown, _) => self.suspended_from = born,
            (Suspended, Superseded, Unknown) | (Superseded, _, Unknown) => {
                self.superseded_from = born;
            }
            _ => return false,
        }
        true
    }

    /// Sets the state beneath any expiry. REVOKED stays.
    fn settle(&mut self, state: State, at: i64) {
        match self.state {
            State::Revoked => return,
            State::Expired => self.expired_from = state,
            _ => self.state = state,
        }
        self.since = at;
    }

    /// Lays EXPIRED over the state.
    fn veil(&mut self) {
        if self.state != State::Expired {
            self.expired_from = self.state;
            self.state = State::Expired;
        }
    }

    fn is_past(&self, at: i64) -> bool {
        self.expires_at.is_some_and(|end| end <= at)
    }

    fn is_beyond_grace(&self, at: i64) -> bool {
        self.grace_until.is_none_or(|end| end <= at)
    }

    fn is_code(&self, fact: &Fact<'_>) -> bool {
        self.token_kind.or(fact.token_kind).is_some_and(TokenKind::is_code)
    }

    /// An act that is older than the state it meets only arrived late.
    fn out_of_order(&self, at: i64) -> Option<Violation> {
        (self.since <= at).then_some(Violation::OutOfOrder)
    }

    fn assert_invariants(&self, from: State) {
        assert!(from != State::Revoked || self.state == State::Revoked, "REVOKED is terminal");
        assert!(self.state != State::Expired || self.expires_at.is_some(), "EXPIRED has an expiry");
    }
}
