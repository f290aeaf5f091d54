//! The way from a decoded body to the verdicts: who may, the submit path, one verdict a record.
//!
//! Promises: [`Doors::submit`] returns when everything that was taken is durable. Records that the
//! door itself refused have their place among the verdicts, and are counted as refusals of the
//! credential, as those of intake are. A body with an event that is refused for now only (a key or
//! the vault cannot be had) is answered by 503 as a whole: its sender repeats it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::verdicts::verdict;
use ledgerline_api::BODY_BYTES_MAX;
use ledgerline_api::ingest::Verdicts;
use ledgerline_api::problem::status_of_event;
use ledgerline_gate::body::{INLINE_BODY_BYTES, read_body};
use ledgerline_gate::lanes;
use ledgerline_gate::{Shown, credential};
use ledgerline_ledger::intake::{
    BodyForm, EventAnswer, EventError, EventStatus, Reply, SubmitAnswer, SubmitError,
};
use ledgerline_view::registry::{Caller, Roles};

use crate::Doors;
use crate::tally::Door;

/// Most records of one body.
pub const RECORDS_MAX: usize = 10_000;

/// A record as an event in the JSON form of the interface, or why it is none.
pub type Record = Result<String, EventError>;

/// What a body was taken apart into.
pub struct Decoded {
    /// In their order.
    pub records: Vec<Record>,
    /// Whether it was a single one, whose refusal is the refusal of the body.
    pub is_lone: bool,
    /// What else is to be said of it.
    pub notes: Notes,
}

/// How foreign records became events, where one is not the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Records that were read.
    pub records: u64,
    /// Those that gave an event or completed one.
    pub mapped: u64,
    /// Those that stand in the event of another one.
    pub joined: u64,
    /// Those with nothing for the ledger.
    pub skipped: u64,
    /// Those that cannot be read: which, from 1, and why.
    pub refused: Vec<(u64, String)>,
}

/// 413 for a body of too many records.
pub fn too_many() -> Problem {
    let detail = format!("a body has at most {RECORDS_MAX} records; send several");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// What became of a body.
pub struct Taken {
    /// One for each record, in order.
    pub verdicts: Vec<EventAnswer>,
    /// The receipt, when anything was handed in.
    pub checkpoint: Option<Arc<str>>,
    /// Whether it was a single one.
    pub is_lone: bool,
    /// What else is to be said of it.
    pub notes: Notes,
}

impl Taken {
    /// How many were refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.verdicts.iter().filter(|one| one.status == EventStatus::Refused).count()
    }

    /// Why the sender has to send all of it again: something was refused that will be taken later.
    /// What was taken of it is not recorded twice.
    #[must_use]
    pub fn passing(&self) -> Option<Problem> {
        let errors = self.verdicts.iter().filter_map(|one| one.error.as_ref());
        let passing = |error: &&EventError| {
            status_of_event(error.code) == StatusCode::SERVICE_UNAVAILABLE.as_u16()
        };
        let error = errors.into_iter().find(passing)?;
        Some(Problem::unavailable(error.code, "some of it cannot be taken now: send it all again"))
    }

    /// The refusal of a body of which nothing was taken.
    pub fn refusal_of_all(&mut self) -> Option<EventError> {
        let is_none_taken = self.verdicts.len() == self.refused();
        self.verdicts.first_mut().filter(|_| is_none_taken)?.error.take()
    }

    /// The refusal of the lone record.
    pub fn lone_refusal(&mut self) -> Option<EventError> {
        match &mut self.verdicts[..] {
            [only] if self.is_lone && only.status == EventStatus::Refused => only.error.take(),
            _ => None,
        }
    }

    /// The verdicts as `POST /v1/events` answers them.
    ///
    /// # Errors
    /// The refusal of a lone record.
    pub fn answer(mut self) -> Result<Response, Problem> {
        if let Some(error) = self.lone_refusal() {
            return Err(error.into());
        }
        json(&Verdicts {
            events: self.verdicts.iter().map(|one| verdict(one, None)).collect(),
            checkpoint: self.checkpoint.as_deref().map(Into::into),
        })
    }
}

impl Doors {
    /// The producer that calls, by its API key.
    ///
    /// # Errors
    /// 401, 403; both count into the block.
    pub fn producer(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let found = credential::caller(headers, |bearer| match self.gate.shown(bearer) {
            Shown::Key(key) => self.node.authenticate(key),
            Shown::Proven(key_id) => self.node.proven(key_id),
        });
        let caller = found.inspect_err(|problem| self.node.count_refusal("", problem.code))?;
        if !caller.roles().has(Roles::PRODUCER) {
            self.node.count_refusal(caller.key_id(), "forbidden");
            return Err(SubmitError::Forbidden.into());
        }
        Ok(caller)
    }

    /// Reads a body, decodes it and hands it in; when all of it is durable or refused, its
    /// verdicts.
    ///
    /// # Errors
    /// A refusal of the body as a whole.
    pub async fn take<F>(
        self: &Arc<Self>,
        door: Door,
        caller: Caller,
        headers: &HeaderMap,
        body: Body,
        decode: F,
    ) -> Result<Taken, Problem>
    where
        F: FnOnce(&Bytes, &Caller) -> Result<Decoded, Problem> + Send + 'static,
    {
        let read = read_body(&self.gate, headers, body, BODY_BYTES_MAX).await;
        let (body, room) = self.counted(&caller, read)?;
        let taken = self.take_read(door, caller, body, decode).await;
        drop(room);
        taken
    }

    /// The same of a body that was read.
    ///
    /// # Errors
    /// A refusal of the body as a whole.
    pub async fn take_read<F>(
        self: &Arc<Self>,
        door: Door,
        caller: Caller,
        body: Bytes,
        decode: F,
    ) -> Result<Taken, Problem>
    where
        F: FnOnce(&Bytes, &Caller) -> Result<Decoded, Problem> + Send + 'static,
    {
        let (size, is_small) = (body.len(), body.len() <= INLINE_BODY_BYTES);
        let doors = Arc::clone(self);
        let (reply, receive) = lanes::reply_here();
        let work = move || {
            let refused = |problem: &Problem| {
                doors.node.count_refusal(caller.key_id(), problem.code);
                doors.tally.add(door, "refused", 1);
            };
            let decoded = decode(&body, &caller).inspect_err(refused)?;
            let is_handed_in = doors.put(&caller, &decoded, reply)?;
            Ok((decoded, is_handed_in))
        };
        let (decoded, is_handed_in) =
            if is_small { work()? } else { self.gate.parse(size, work).await? };
        let answer = match is_handed_in {
            true => Some(receive.await.map_err(|_| stopped("the ledger stopped meanwhile"))?),
            false => None,
        };
        self.whole(door, decoded, answer)
    }

    /// Hands in what was decoded already.
    ///
    /// # Errors
    /// A refusal of all of it.
    pub async fn hand_in(
        &self,
        door: Door,
        caller: &Caller,
        decoded: Decoded,
    ) -> Result<Taken, Problem> {
        let (reply, receive) = lanes::reply_here();
        let answer = match self.put(caller, &decoded, reply)? {
            true => Some(receive.await.map_err(|_| stopped("the ledger stopped meanwhile"))?),
            false => None,
        };
        self.whole(door, decoded, answer)
    }

    /// What a caller asks for and does not get before its body is looked at: an access, too.
    ///
    /// # Errors
    /// That of `looked`.
    pub fn counted<T>(&self, caller: &Caller, looked: Result<T, Problem>) -> Result<T, Problem> {
        looked.inspect_err(|problem| self.node.count_unread(caller, problem.code))
    }

    /// Leaves the events for the sequencer; whether there is any. What the door refused counts.
    fn put(&self, caller: &Caller, decoded: &Decoded, reply: Reply) -> Result<bool, Problem> {
        let events = array_of(&decoded.records);
        if !events.is_empty() {
            self.node.submit(caller, BodyForm::Json, events.as_bytes(), reply)?;
        }
        let of_records = decoded.records.iter().filter_map(|one| Some(one.as_ref().err()?.code));
        let of_notes = decoded.notes.refused.iter().map(|_| "record_refused");
        for code in of_records.chain(of_notes) {
            self.node.count_refused_record(caller, code);
        }
        if events.is_empty() {
            self.node.count_asked(caller);
        }
        Ok(!events.is_empty())
    }

    fn whole(
        &self,
        door: Door,
        decoded: Decoded,
        answer: Option<SubmitAnswer>,
    ) -> Result<Taken, Problem> {
        let taken = whole(decoded, answer)?;
        self.count(door, &taken);
        match taken.passing() {
            Some(problem) => Err(problem),
            None => Ok(taken),
        }
    }

    fn count(&self, door: Door, taken: &Taken) {
        for (word, status) in [
            ("recorded", EventStatus::Recorded),
            ("duplicate", EventStatus::Duplicate),
            ("refused", EventStatus::Refused),
        ] {
            let count = taken.verdicts.iter().filter(|one| one.status == status).count();
            self.tally.add(door, word, count as u64);
        }
        self.tally.add(door, "refused", taken.notes.refused.len() as u64);
        self.tally.add(door, "skipped", taken.notes.skipped);
        self.tally.add(door, "joined", taken.notes.joined);
    }
}

/// A JSON array of the events among records; empty when there is none.
fn array_of(records: &[Record]) -> String {
    let events: Vec<&str> = records.iter().flatten().map(String::as_str).collect();
    if events.is_empty() { String::new() } else { format!("[{}]", events.join(",")) }
}

/// Puts the verdicts of intake between those of the door.
fn whole(decoded: Decoded, answer: Option<SubmitAnswer>) -> Result<Taken, Problem> {
    let mut checkpoint = None;
    let mut judged = Vec::new().into_iter();
    if let Some(answer) = answer {
        if let Some(why) = answer.stopped {
            return Err(stopped(why));
        }
        checkpoint = answer.checkpoint;
        judged = answer.events.into_iter();
    }
    let verdict = |record: Record| match record {
        Ok(_) => judged.next().ok_or_else(Problem::internal),
        Err(error) => Ok(EventAnswer::refused(None, error)),
    };
    let (is_lone, notes) = (decoded.is_lone, decoded.notes);
    let verdicts = decoded.records.into_iter().map(verdict).collect::<Result<_, _>>()?;
    Ok(Taken { verdicts, checkpoint, is_lone, notes })
}

fn stopped(why: impl Into<String>) -> Problem {
    let why: String = why.into();
    Problem::unavailable("stopped", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(codes: &[&'static str]) -> Taken {
        let refused = |code| EventAnswer::refused(None, EventError::new(code, String::new()));
        let verdicts = codes.iter().map(|code| refused(*code)).collect();
        Taken { verdicts, checkpoint: None, is_lone: false, notes: Notes::default() }
    }

    #[test]
    fn what_is_refused_for_now_only_is_sent_again() {
        let check = |codes: &[&'static str], expected: Option<&str>| {
            let problem = taken(codes).passing();
            assert_eq!(problem.as_ref().map(|one| one.code), expected, "{codes:?}");
            assert!(problem.is_none_or(|one| one.retry_after_ms.is_some()));
        };
        check(&[], None);
        check(&["out_of_grant"], None);
        check(&["out_of_grant", "vault_unavailable"], Some("vault_unavailable"));
        check(&["key_unavailable"], Some("key_unavailable"));
    }

    #[test]
    fn a_body_whose_events_are_all_refused_is_no_success() {
        let mut some = taken(&["out_of_grant", "bad_field"]);
        assert_eq!(some.refusal_of_all().map(|error| error.code), Some("out_of_grant"));
        assert!(taken(&[]).refusal_of_all().is_none());
        let mut some = taken(&["out_of_grant", "bad_field"]);
        some.verdicts[1].status = EventStatus::Recorded;
        assert!(some.refusal_of_all().is_none());
    }
}
