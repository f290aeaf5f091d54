//! Tokens that holders name as held: rounds of HEARTBEATs, and what is missing from them.
//!
//! ```text
//! holder   (tenant, source, source_instance): a process that says which tokens it holds
//! round    HEARTBEAT × held_parts; the tokens are those that the parts link to. detail:
//!          held_round   counts the holder's rounds
//!          held_part    from 0;  held_parts   how many there are
//!          held_tokens  of the whole round;  held_digest   tells two sets of them apart
//!          held_same    "true": one part without links, for the set of the round before
//! missing  in round A, not in B, not in C: the next two that came whole. Then, by all that the
//!          ledger held when C was whole: neither past its expiry nor revoked (itself or by
//!          something wider), replaced or spent
//! ```
//!
//! Promises: a round of which a part is missing says nothing, and that is said (`held_unwatched`).
//! Nothing is held against a holder that says `stopping`, nor against its tokens. What was missing
//! and is named again by any holder of the tenant in full, or whose end arrives, is withdrawn.
//!
//! Memory: 8 bytes for each part of the last two rounds of a holder and of the one that is coming;
//! while rounds are compared, 16 bytes for each token of three of them. Bounded by [`HOLDERS_MAX`],
//! [`PARTS_MAX`] and [`TOKENS_MAX`]; of the missing tokens [`OPEN_MAX`] can be withdrawn. A round
//! names [`NAMED_MAX`] missing tokens one by one; more of them are one finding about the source.
//!
//! Assumes: parts of one instance come in order, though perhaps late.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use ledgerline_followers::findings::record::{Note, withdrawn};
use ledgerline_followers::findings::rules::{Cited, Finding, Rule, Subject};
use ledgerline_proof::decode::read_event;
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_proof::lifecycle::State;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind};
use ledgerline_questions::life::{Judgement, stands_of};
use ledgerline_view::view::{QueryError, View};
use uuid::Uuid;

use crate::memory::{Holder, HolderKey, Memory, Round, Told, Unwatched};

/// Holders at a time: of all tenants, and of one.
pub const HOLDERS_MAX: usize = 4096;
const HOLDERS_OF_TENANT: usize = 1024;
/// Tokens of one round.
pub const TOKENS_MAX: u64 = 262_144;
/// Parts of one round.
const PARTS_OF_ROUND: u32 = 2048;
/// Parts that are remembered: of all tenants, and of one.
pub const PARTS_MAX: usize = 65_536;
const PARTS_OF_TENANT: usize = 32_768;
/// Missing tokens that can be withdrawn: of all tenants, and of one.
pub const OPEN_MAX: usize = 65_536;
const OPEN_OF_TENANT: usize = 16_384;
/// Missing tokens of a round that are named one by one.
pub const NAMED_MAX: u64 = 256;
/// A holder that declares no interval is silent after three times as long.
const USUAL_INTERVAL: i64 = 200_000_000_000;
const SECOND: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// A token that may be missing; judged by what the ledger held below an index.
#[derive(Debug, Clone)]
pub(crate) struct Suspect {
    holder: HolderKey,
    token: String,
    named_in: (u64, [u8; 16]),
    gone_in: (u64, [u8; 16]),
    below: u64,
    at: i64,
}

/// What is to be judged before the next entry is read.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    pub(crate) list: std::collections::VecDeque<Suspect>,
    named: u64,
    unnamed: u64,
}

/// A part as it says itself.
struct Part {
    round: Round,
    part: u32,
    is_same: bool,
}

impl Part {
    /// `None` for what does not say all of it, or contradicts itself.
    fn of(statement: &Statement<'_>) -> Option<Self> {
        let number = |key| statement.detail(key)?.parse::<u64>().ok();
        let (part, part_count) = (number("held_part")?, number("held_parts")?);
        let round = Round {
            number: number("held_round")?,
            digest: statement.detail("held_digest")?.to_owned(),
            tokens: number("held_tokens")?,
            part_count: u32::try_from(part_count).ok()?,
            parts: Vec::new(),
            event: statement.event_id,
        };
        let is_same = statement.detail("held_same") == Some("true");
        let is_one = part < part_count && (!is_same || part_count == 1);
        is_one.then_some(Self { round, part: u32::try_from(part).ok()?, is_same })
    }
}

/// Which entry it is, and when it was recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) index: u64,
    pub(crate) nanos: i64,
}

/// Tells tokens of a tenant apart.
fn name_of(token: &str) -> u128 {
    let digest = sha256(token.as_bytes());
    let (head, _) = digest.0.split_first_chunk::<16>().expect("32 bytes");
    u128::from_be_bytes(*head)
}

/// Hands out the tokens of a round.
fn each_token(view: &View, round: &Round, each: &mut dyn FnMut(&str)) -> Result<(), QueryError> {
    view.each_at(&round.parts, &mut |_, leaf| {
        read_event(&leaf, |_, one| {
            one.links.iter().filter_map(|link| link.token).for_each(&mut *each);
        });
    })
}

/// The tokens of a round by name, ascending, each once.
fn names(view: &View, round: &Round) -> Result<Vec<u128>, QueryError> {
    let mut names = Vec::with_capacity(usize::try_from(round.tokens).unwrap_or(0));
    each_token(view, round, &mut |token| names.push(name_of(token)))?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Whether a holder may remember so many parts more.
fn has_room(memory: &Memory, tenant: &str, more: u32) -> bool {
    let of = |one: &Holder| -> usize {
        one.rounds.iter().chain(&one.coming).map(|round| round.parts.len()).sum()
    };
    let all: usize = memory.holders.values().map(of).sum();
    let its = memory.holders.iter().filter(|(key, _)| key.0 == tenant);
    let own: usize = its.map(|(_, one)| of(one)).sum();
    let more = more as usize;
    all + more <= PARTS_MAX && own + more <= PARTS_OF_TENANT
}

fn unwatched(key: &HolderKey, holder: &mut Holder, why: Unwatched, at: i64, notes: &mut Vec<Note>) {
    if holder.told.as_ref().is_some_and(|told| told.why == why) {
        return;
    }
    watched_again(key, holder, at, notes);
    let events = vec![Cited { source: key.1.clone(), event_id: holder.last_event }];
    let finding = not_watched(key, why, events, at);
    holder.told = Some(Told { why, finding: finding.id().0 });
    notes.push(Note::Raised(finding));
}

fn not_watched(key: &HolderKey, why: Unwatched, events: Vec<Cited>, at: i64) -> Finding {
    let (tenant, source, instance) = key;
    let subject = Subject { tenant, kind: TargetKind::Source, target: source };
    let place = format!("instance {}", Uuid::from_bytes(*instance));
    Finding::about(Rule::HeldUnwatched, subject, events, at).saying(place, why.words().to_owned())
}

fn watched_again(key: &HolderKey, holder: &mut Holder, at: i64, notes: &mut Vec<Note>) {
    if let Some(told) = holder.told.take() {
        notes.push(withdrawn(&key.0, Hash(told.finding), "it is watched again", at));
    }
}

impl Memory {
    /// A producer's event: its instance is there. A HEARTBEAT may say what it holds, or that it
    /// stops.
    pub(crate) fn holder(
        &mut self,
        view: &View,
        statement: &Statement<'_>,
        at: At,
        suspects: &mut Suspects,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let Some(instance) = statement.source_instance else { return Ok(()) };
        let is_beat = statement.event_type == EventType::Heartbeat;
        let holds = is_beat && statement.detail("held_tokens").is_some();
        if self.holders.is_empty() && !holds {
            return Ok(());
        }
        let key = (statement.tenant.to_owned(), statement.source.to_owned(), instance);
        if is_beat && statement.detail("stopping") == Some("true") {
            if let Some(mut gone) = self.holders.remove(&key) {
                watched_again(&key, &mut gone, at.nanos, notes);
            }
            return Ok(());
        }
        if !self.holders.contains_key(&key) {
            if !holds {
                return Ok(());
            }
            if !self.room_for_holder(&key.0) {
                // Nothing of it is remembered, so this is said again, and recognised.
                let why = Unwatched::TooMany;
                notes.push(Note::Raised(not_watched(&key, why, Vec::new(), at.nanos)));
                return Ok(());
            }
        }
        let ran = self.ran;
        let one = self.holders.entry(key.clone()).or_default();
        (one.heard, one.last_event) = (ran, statement.event_id);
        if one.told.as_ref().is_some_and(|told| told.why == Unwatched::Silent) {
            watched_again(&key, one, at.nanos, notes);
        }
        let declared = statement.detail("interval_s").filter(|_| is_beat);
        let declared = declared.and_then(|text| text.parse::<i64>().ok());
        if let Some(seconds) = declared.filter(|seconds| (1..=DAY_SECONDS).contains(seconds)) {
            one.interval = seconds * SECOND;
        }
        if holds { self.part(view, &key, statement, at, suspects, notes) } else { Ok(()) }
    }

    /// Whether there is room for a new holder of a tenant; one that went silent goes for it.
    fn room_for_holder(&mut self, tenant: &str) -> bool {
        let is_gone =
            |one: &Holder| one.told.as_ref().is_some_and(|told| told.why == Unwatched::Silent);
        let own = self.holders.keys().filter(|key| key.0 == tenant).count();
        if own < HOLDERS_OF_TENANT && self.holders.len() < HOLDERS_MAX {
            return true;
        }
        let mut gone = self
            .holders
            .iter()
            .filter(|(key, one)| is_gone(one) && (own < HOLDERS_OF_TENANT || key.0 == tenant));
        let quietest = gone.by_ref().min_by_key(|(_, one)| one.heard).map(|(key, _)| key.clone());
        quietest.is_some_and(|key| self.holders.remove(&key).is_some())
    }

    /// A part of a round.
    fn part(
        &mut self,
        view: &View,
        key: &HolderKey,
        statement: &Statement<'_>,
        at: At,
        suspects: &mut Suspects,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let Some(part) = Part::of(statement) else {
            self.told(key, Unwatched::Incomplete, at, notes);
            return Ok(());
        };
        let has_room = has_room(self, &key.0, part.round.part_count);
        let Some(one) = self.holders.get_mut(key) else { return Ok(()) };
        let number = part.round.number;
        match one.rounds.last().map(|last| number.cmp(&last.number)) {
            None | Some(Ordering::Greater) => {}
            Some(Ordering::Equal) => return Ok(()),
            // Rounds come in order: the holder began to count anew, or had counted wrongly. What
            // it held before cannot be compared with this.
            Some(Ordering::Less) => {
                one.rounds.clear();
                one.coming = None;
                unwatched(key, one, Unwatched::Incomplete, at.nanos, notes);
            }
        }
        let is_coming = one.coming.as_ref().is_some_and(|round| {
            let known = (round.number, &round.digest, round.tokens, round.part_count);
            known == (number, &part.round.digest, part.round.tokens, part.round.part_count)
        });
        if !is_coming && one.coming.take().is_some() {
            unwatched(key, one, Unwatched::Incomplete, at.nanos, notes);
        }
        if part.round.tokens > TOKENS_MAX || part.round.part_count > PARTS_OF_ROUND || !has_room {
            one.rounds.clear();
            unwatched(key, one, Unwatched::TooMany, at.nanos, notes);
            return Ok(());
        }
        if part.is_same {
            let same = |last: &&Round| {
                (&last.digest, last.tokens) == (&part.round.digest, part.round.tokens)
            };
            let Some(last) = one.rounds.last().filter(same) else {
                unwatched(key, one, Unwatched::Incomplete, at.nanos, notes);
                return Ok(());
            };
            let round = Round { parts: last.parts.clone(), ..part.round };
            return self.whole(view, key, round, None, at, suspects, notes);
        }
        let event = part.round.event;
        let round = one.coming.get_or_insert(part.round);
        // Each once, in order: what comes again or too early leaves it incomplete.
        if part.part as usize == round.parts.len() {
            round.parts.push(at.index);
            round.event = event;
        }
        if round.parts.len() < round.part_count as usize {
            return Ok(());
        }
        let Some(round) = one.coming.take() else { return Ok(()) };
        let names = names(view, &round)?;
        if names.len() as u64 != round.tokens {
            unwatched(key, one, Unwatched::Incomplete, at.nanos, notes);
            return Ok(());
        }
        self.whole(view, key, round, Some(&names), at, suspects, notes)
    }

    fn told(&mut self, key: &HolderKey, why: Unwatched, at: At, notes: &mut Vec<Note>) {
        if let Some(one) = self.holders.get_mut(key) {
            unwatched(key, one, why, at.nanos, notes);
        }
    }

    /// A round is whole: what is missing from it and the one before is suspected.
    #[expect(clippy::too_many_arguments, reason = "where, what, and two lists that grow")]
    fn whole(
        &mut self,
        view: &View,
        key: &HolderKey,
        round: Round,
        named: Option<&[u128]>,
        at: At,
        suspects: &mut Suspects,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        self.named_again(&key.0, named.unwrap_or_default(), at.nanos, notes);
        let Some(one) = self.holders.get_mut(key) else { return Ok(()) };
        watched_again(key, one, at.nanos, notes);
        if let [before, last] = &one.rounds[..]
            && before.digest != last.digest
            && before.digest != round.digest
        {
            let last_names = names(view, last)?;
            let new = match named {
                Some(names) => names,
                None => &last_names,
            };
            let is_in = |list: &[u128], name| list.binary_search(&name).is_ok();
            let mut seen = BTreeSet::new();
            each_token(view, before, &mut |token| {
                let name = name_of(token);
                if !is_in(&last_names, name) && !is_in(new, name) && seen.insert(name) {
                    suspects.list.push_back(Suspect {
                        holder: key.clone(),
                        token: token.to_owned(),
                        named_in: (before.number, before.event),
                        gone_in: (round.number, round.event),
                        below: at.index + 1,
                        at: at.nanos,
                    });
                }
            })?;
            (suspects.named, suspects.unnamed) = (0, 0);
        }
        one.rounds.push(round);
        if one.rounds.len() > 2 {
            one.rounds.remove(0);
        }
        Ok(())
    }

    /// What was missing and is held again.
    fn named_again(&mut self, tenant: &str, names: &[u128], at: i64, notes: &mut Vec<Note>) {
        if self.open.is_empty() || names.is_empty() {
            return;
        }
        let of = (tenant.to_owned(), u128::MIN)..=(tenant.to_owned(), u128::MAX);
        let again = self.open.range(of).map(|(key, _)| key.clone());
        let again: Vec<_> = again.filter(|key| names.binary_search(&key.1).is_ok()).collect();
        for key in again {
            if let Some(finding) = self.open.remove(&key) {
                notes.push(withdrawn(tenant, Hash(finding), "it is held again", at));
            }
        }
    }

    /// An act that ends a token that was missing.
    pub(crate) fn ended(&mut self, statement: &Statement<'_>, at: i64, notes: &mut Vec<Note>) {
        if self.open.is_empty() || statement.outcome != Outcome::Allow {
            return;
        }
        let ends = matches!(
            statement.event_type,
            EventType::Revoked | EventType::Expired | EventType::Rotated
        );
        if statement.target.kind != TargetKind::Token || !ends {
            return;
        }
        for id in
            std::iter::once(statement.target.id).chain(statement.also_known_as.iter().copied())
        {
            let key = (statement.tenant.to_owned(), name_of(id));
            if let Some(finding) = self.open.remove(&key) {
                let note = "its end arrived";
                notes.push(withdrawn(statement.tenant, Hash(finding), note, at));
            }
        }
    }

    /// Those that are silent by now. What they hold is forgotten.
    pub(crate) fn silent(&mut self, at: i64, notes: &mut Vec<Note>) {
        let ran = self.ran;
        for (key, one) in &mut self.holders {
            let interval = if one.interval > 0 { one.interval } else { USUAL_INTERVAL };
            if ran.saturating_sub(one.heard) > interval.saturating_mul(3) {
                one.rounds.clear();
                one.coming = None;
                unwatched(key, one, Unwatched::Silent, at, notes);
            }
        }
    }

    /// Judges a suspect.
    pub(crate) fn judge(
        &mut self,
        view: &View,
        one: &Suspect,
        suspects: &mut Suspects,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let (tenant, source, instance) = &one.holder;
        if has_end(view, tenant, one)? {
            return Ok(());
        }
        if suspects.named >= NAMED_MAX {
            suspects.unnamed += 1;
            return Ok(());
        }
        suspects.named += 1;
        let cited = |event_id| Cited { source: source.clone(), event_id };
        let subject = Subject { tenant, kind: TargetKind::Token, target: &one.token };
        let (first, last) = (one.named_in.0, one.gone_in.0);
        let place = format!("instance {}", Uuid::from_bytes(*instance));
        let about = format!("held in round {first}, in no later one up to {last}");
        let events = vec![cited(one.gone_in.1), cited(one.named_in.1)];
        let finding = Finding::about(Rule::HeldTokenMissing, subject, events, one.at);
        let finding = finding.saying(place, about);
        let key = (tenant.clone(), name_of(&one.token));
        let of = (tenant.clone(), u128::MIN)..=(tenant.clone(), u128::MAX);
        if self.open.len() < OPEN_MAX && self.open.range(of).count() < OPEN_OF_TENANT {
            self.open.insert(key, finding.id().0);
        }
        notes.push(Note::Raised(finding));
        Ok(())
    }
}

impl Suspects {
    /// What is said of the rest of a round, once all of it is judged.
    pub(crate) fn rest(&mut self, last: &Suspect, notes: &mut Vec<Note>) {
        if self.unnamed == 0 {
            return;
        }
        let (tenant, source, instance) = &last.holder;
        let subject = Subject { tenant, kind: TargetKind::Source, target: source };
        let events = vec![Cited { source: source.clone(), event_id: last.gone_in.1 }];
        let place = format!("instance {}", Uuid::from_bytes(*instance));
        let about = format!("{} tokens more, beside those named", self.unnamed);
        let finding = Finding::about(Rule::HeldTokenMissing, subject, events, last.at);
        notes.push(Note::Raised(finding.saying(place, about)));
        self.unnamed = 0;
    }
}

/// Whether a token had come to an end.
fn has_end(view: &View, tenant: &str, one: &Suspect) -> Result<bool, QueryError> {
    let (ids, as_of) = (BTreeSet::from([one.token.clone()]), view.up_to(one.below));
    let judgement = Judgement { at: one.at, by: i64::MAX };
    let Some(stands) = stands_of(view, tenant, &ids, &as_of, judgement, None)? else {
        return Ok(false);
    };
    let ended = matches!(
        stands.known.state_at(one.at),
        State::Revoked | State::Expired | State::Superseded | State::Spent
    );
    Ok(ended || !stands.covered_by.is_empty())
}
