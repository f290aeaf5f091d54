//! What was pasted and is recorded under several ids that nobody joined: at several issuers that
//! have its digest, or by its digest and by the jti that it carries.
//!
//! Promises: where those records differ in whether it may be used, no answer is that of one of them
//! alone: every record is named with its state, on top or as `records`, `differs` is true, and the
//! exit code is 3. None is left out because another is first.

use std::collections::BTreeSet;

use ledgerline_api::triage::{Knowledge, TokenRecord, TriagedToken};
use serde::Serialize;

use super::{Named, Narrow};
use crate::Context;
use crate::own_times::{self, OwnTimes};
use ledgerline_terminal::exit::{Exit, Failure};
use ledgerline_terminal::render::cell;

/// Leaves out of an answer what --region and --issuer do not mean.
pub fn narrow_down(answer: &mut TriagedToken<'static>, narrow: &Narrow) {
    let all = answer.records.len();
    answer.records.retain(|one| narrow.takes(&one.token_id));
    let left = &mut answer.records;
    if left.len() == all {
        return;
    }
    let Some(first) = left.first().cloned() else {
        *answer = TriagedToken::only(Knowledge::Unknown);
        return;
    };
    // Whose the other facts are is not told.
    let differs = left.iter().any(|one| one.alive != first.alive);
    let is_several = left.len() > 1;
    *answer = TriagedToken {
        token_id: Some(first.token_id),
        alive: first.alive.filter(|_| !differs),
        state: first.state.filter(|_| !differs),
        differs: Some(differs),
        claimed_by_several: Some(is_several),
        records: if is_several { std::mem::take(left) } else { Vec::new() },
        ..TriagedToken::only(Knowledge::Known)
    };
}

/// The records that some answers about one pasted token name, those that may be used first.
#[must_use]
pub fn records(answers: &[&TriagedToken<'static>]) -> Vec<TokenRecord<'static>> {
    let mut all: Vec<TokenRecord<'static>> = Vec::new();
    for answer in answers {
        let alone = answer.token_id.clone().filter(|_| answer.records.is_empty());
        let (state, alive) = (answer.state, answer.alive);
        let alone = alone.map(|token_id| TokenRecord { token_id, state, alive });
        for record in answer.records.iter().cloned().chain(alone) {
            if all.iter().all(|known| known.token_id != record.token_id) {
                all.push(record);
            }
        }
    }
    all.sort_by_key(|one| one.alive != Some(true));
    all
}

/// Whether records differ in whether the token may be used, or one was not read.
#[must_use]
pub fn differ(answers: &[&TriagedToken<'static>], records: &[TokenRecord<'_>]) -> bool {
    answers.iter().any(|one| one.differs == Some(true))
        || records.iter().any(|one| one.alive != records[0].alive)
}

/// What a document says of the token that it is about, beside what the server sent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Marks {
    #[serde(flatten)]
    own: OwnTimes,
    #[serde(skip_serializing_if = "Option::is_none")]
    differs: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    records: Vec<TokenRecord<'static>>,
}

/// What people are told on top.
#[must_use]
pub fn head(records: &[TokenRecord<'_>]) -> String {
    let front =
        |one: &TokenRecord<'_>| one.token_id.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
    let why = match records.iter().map(front).collect::<BTreeSet<_>>().len() {
        0 | 1 => "nobody said that they are one token, and no signature was checked",
        _ => "claimed by several issuers: whose it is cannot be told from its digest",
    };
    let mut out = format!(
        "DIFFERS: it is recorded under several ids, and they do not agree on whether it may be \
         used\n({why}).\n"
    );
    for one in records {
        out.push_str(&format!("  {}  {}\n", cell(&one.state), cell(&one.token_id)));
    }
    out
}

impl Named {
    /// Its id, and the others that are to be shown or ended with it.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [&self.id].into_iter().chain(&self.others).map(String::as_str)
    }

    /// Says on top that the records differ, if they do, and what its own times say against it.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn warn(&self, context: &mut Context) -> Result<(), Failure> {
        self.warn_of_times(context)?;
        if !self.differing.is_empty() && !context.screen.is_json() {
            context.screen.line(&head(&self.differing))?;
        }
        Ok(())
    }

    /// Says on top what its own times say against it.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn warn_of_times(&self, context: &mut Context) -> Result<(), Failure> {
        let times = self.token.as_deref().map(own_times::words).unwrap_or_default();
        let lines = times.lines().filter(|_| !context.screen.is_json()).collect::<Vec<_>>();
        Ok(lines.into_iter().try_for_each(|line| context.screen.line(line))?)
    }

    /// What an answer says of it.
    #[must_use]
    pub fn marks(&self) -> Marks {
        let differs = (!self.differing.is_empty()).then_some(true);
        Marks { own: self.own_times(), differs, records: self.differing.clone() }
    }

    /// What its own times say against it.
    #[must_use]
    pub fn own_times(&self) -> OwnTimes {
        self.token.as_deref().map(OwnTimes::of).unwrap_or_default()
    }

    /// The exit code of an answer about it.
    #[must_use]
    pub fn exit(&self, exit: Exit) -> Exit {
        if self.differing.is_empty() { exit } else { Exit::Incomplete }
    }

    /// The exit code of the answers about each of its ids: what is unknown of one alone, as of an
    /// earlier size, or incomplete in one, is not known of it.
    #[must_use]
    pub fn exit_of(&self, each: &[Exit]) -> Exit {
        match each {
            [] => Exit::Unknown,
            [first, rest @ ..] if rest.iter().all(|one| one == first) => match first {
                Exit::Unknown => Exit::Unknown,
                other => self.exit(*other),
            },
            _ => Exit::Incomplete,
        }
    }
}
