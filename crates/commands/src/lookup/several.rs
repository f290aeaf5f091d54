//! What was pasted and is recorded under several ids that nobody joined: at several issuers that
//! have its digest, or by its digest and by the jti that it carries.
//!
//! Promises: where those records differ in whether it may be used, no answer is that of one of them
//! alone: every record is named with its state, on top or as `records`, `differs` is true, and the
//! exit code is 3. None is left out because another is first.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Named, Narrow};
use crate::{Context, own_times};
use ledgerline_terminal::exit::{Exit, Failure};
use ledgerline_terminal::render::text;

/// Leaves out of an answer what --region and --issuer do not mean.
pub fn narrow_down(answer: &mut Value, narrow: &Narrow) {
    let Some(all) = answer["records"].as_array().filter(|all| !all.is_empty()) else { return };
    let fits = |one: &&Value| narrow.takes(one["token_id"].as_str().unwrap_or_default());
    let left: Vec<Value> = all.iter().filter(fits).cloned().collect();
    if left.len() == all.len() {
        return;
    }
    let Some(first) = left.first().cloned() else {
        *answer = json!({ "status": "unknown" });
        return;
    };
    // Whose the other facts are is not told.
    let differs = left.iter().any(|one| one["alive"] != first["alive"]);
    let known = |name: &str| if differs { Value::Null } else { first[name].clone() };
    *answer = json!({
        "status": "known",
        "token_id": first["token_id"],
        "alive": known("alive"),
        "state": known("state"),
        "differs": differs,
        "claimed_by_several": left.len() > 1,
        "records": if left.len() > 1 { left } else { Vec::new() },
    });
}

/// The records that some answers about one pasted token name, those that may be used first.
#[must_use]
pub fn records(answers: &[&Value]) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for answer in answers {
        let own = answer["records"].as_array().filter(|own| !own.is_empty()).cloned();
        let one = |name: &str| answer[name].clone();
        let alone = || {
            vec![json!({
                "token_id": one("token_id"), "state": one("state"), "alive": one("alive"),
            })]
        };
        for record in own.unwrap_or_else(alone) {
            if all.iter().all(|known| known["token_id"] != record["token_id"]) {
                all.push(record);
            }
        }
    }
    all.sort_by_key(|one| one["alive"] != true);
    all
}

/// Whether records differ in whether the token may be used, or one was not read.
#[must_use]
pub fn differ(answers: &[&Value], records: &[Value]) -> bool {
    answers.iter().any(|one| one["differs"] == true)
        || records.iter().any(|one| one["alive"] != records[0]["alive"])
}

/// What people are told on top.
#[must_use]
pub fn head(records: &[Value]) -> String {
    let front = |one: &Value| {
        let id = one["token_id"].as_str().unwrap_or_default();
        id.splitn(3, ':').take(2).collect::<Vec<_>>().join(":")
    };
    let why = match records.iter().map(front).collect::<BTreeSet<_>>().len() {
        0 | 1 => "nobody said that they are one token, and no signature was checked",
        _ => "claimed by several issuers: whose it is cannot be told from its digest",
    };
    let mut out = format!(
        "DIFFERS: it is recorded under several ids, and they do not agree on whether it may be \
         used\n({why}).\n"
    );
    for one in records {
        out.push_str(&format!("  {}  {}\n", text(one, "/state"), text(one, "/token_id")));
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

    /// Says it in an answer.
    pub fn mark(&self, answer: &mut Value) {
        self.mark_times(answer);
        if !self.differing.is_empty() && answer.is_object() {
            answer["differs"] = true.into();
            answer["records"] = self.differing.clone().into();
        }
    }

    /// Says in an answer what its own times say against it.
    pub fn mark_times(&self, answer: &mut Value) {
        if let Some(token) = &self.token {
            own_times::mark(answer, token);
        }
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
