//! The rules about producers: numbers that are missing, heartbeats that do not come, tokens that a
//! heartbeat names, and what was refused.
//!
//! ```text
//! source_gap            (source, source_instance): source_seq is not gapless. Withdrawn when the
//!                       missing ones arrive. Judged from the first number that arrives
//! source_silent         a HEARTBEAT declared detail `interval_s`, and nothing came from the source
//!                       for three times as long, by the times of leaves: blocks come when nothing
//!                       else does, so it is noticed within a minute. `stopping` = "true" takes
//!                       the interval back, as 0 does
//! unknown_token         a HEARTBEAT links to a token that nobody issued here; once a token.
//!                       Withdrawn when its ISSUED or ORIGIN arrives
//! revoke_not_propagated a HEARTBEAT links to a token whose revocation lies behind it by more than
//!                       uncertainty and propagation window; once per token, revocation and source
//! by code of REFUSED    event_id_conflict, secret_refused, bad_signature, unauthorised_source
//! ```
//!
//! Assumes: `interval_s` is a whole number of seconds, at most a day; 0 takes it back. Refuses: to
//! hold it against a source that the ledger itself did not run.

use ledgerline_proof::hash::Hash;
use ledgerline_proof::lifecycle::{Violation, is_permitted_birth};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, TargetKind};
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_view::view::{QueryError, View};

use super::aliases::each_id;
use super::follower_state::{Boot, Numbered};
use super::record::{Note, withdrawn};
use super::revised::raise_again;
use super::rules::{Finding, Rule, Subject, behind};
use super::token_state::{Act, Boundary, cite, clock_ahead};
use super::{Judge, Known, term_of};

/// Longest interval that can be declared, in seconds.
const MAX_INTERVAL_S: i64 = 86_400;
const SECOND: i64 = 1_000_000_000;

/// The rule that a refusal's code is a finding of.
fn refusal(code: &str) -> Option<Rule> {
    match code {
        "event_id_conflict" => Some(Rule::EventIdConflict),
        "secret_refused" => Some(Rule::SecretRefused),
        "bad_signature" | "wrong_deployment" | "wrong_alg" => Some(Rule::BadSignature),
        "out_of_grant" | "wrong_source" | "wrong_tenant" | "unknown_key" | "retired_key"
        | "signature_required" | "forbidden" => Some(Rule::UnauthorisedSource),
        _ => None,
    }
}

impl Judge {
    /// Lets time pass up to a leaf's.
    pub(super) fn pass_time(&mut self, at: i64, notes: &mut Vec<Note>) {
        self.memory.tick(at);
        for (tenant, last, quiet) in self.memory.silent() {
            let source = last.source.clone();
            let target = Subject { tenant: &tenant, kind: TargetKind::Source, target: &source };
            let mut finding = Finding::about(Rule::SourceSilent, target, vec![last], at);
            finding.gap_ms = Some(quiet / 1_000_000);
            notes.push(Note::Raised(finding));
        }
    }

    /// An act on something wider than a token, by a clock that is ahead: about the source.
    pub(super) fn clock(&mut self, act: &Act<'_, '_>, notes: &mut Vec<Note>) {
        let Some(found) = clock_ahead(act, &self.windows) else { return };
        let (tenant, source) = (act.statement.tenant, act.statement.source);
        if self.memory.tell_clock((tenant, source), found.noticed_at) {
            let target = (TargetKind::Source, source.to_owned());
            notes.push(Note::Raised(Finding { kind: target.0, target: target.1, ..found }));
        }
    }

    /// What an entry says of who wrote it.
    pub(super) fn producer(
        &mut self,
        view: &View,
        index: u64,
        act: &Act<'_, '_>,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let statement = act.statement;
        if statement.source == LEDGER_SOURCE {
            notes.extend(refused(act));
            return Ok(());
        }
        let heartbeat = statement.event_type == EventType::Heartbeat;
        let declared = statement.detail("interval_s").filter(|_| heartbeat);
        // Whoever says that it stops promises nothing any more.
        let stops = heartbeat && statement.detail("stopping") == Some("true");
        let declared = if stops { Some("0") } else { declared };
        let declared = declared.and_then(|text| text.parse().ok());
        let declared = declared.filter(|seconds| (0..=MAX_INTERVAL_S).contains(seconds));
        let who = (statement.tenant, statement.source);
        self.memory.heard(who, statement.event_id, declared.map(|seconds| seconds * SECOND));
        self.number(act, notes);
        // A refused ISSUED makes no token known.
        if is_permitted_birth(statement) {
            self.no_longer_unknown(view, index, act, notes)?;
        }
        if heartbeat {
            for token in statement.links.iter().filter_map(|link| link.token) {
                self.held(view, index, act, token, notes)?;
            }
        }
        Ok(())
    }

    fn number(&mut self, act: &Act<'_, '_>, notes: &mut Vec<Note>) {
        let statement = act.statement;
        let (Some(instance), Some(seq)) = (statement.source_instance, statement.source_seq) else {
            return;
        };
        let (tenant, source) = (statement.tenant, statement.source);
        let who = Boot { tenant, source, instance };
        let at = act.entry.recorded_at.nanos;
        match self.memory.number(who, seq) {
            Numbered::Nothing => {}
            Numbered::Filled(finding) => {
                notes.push(withdrawn(statement.tenant, finding, "the missing events arrived", at));
            }
            Numbered::Missing((first, last)) => {
                let target = Subject { tenant, kind: TargetKind::Source, target: source };
                let id = uuid::Uuid::from_bytes(instance);
                let finding = Finding {
                    place: Some(format!("instance {id} source_seq {first} to {last}")),
                    ..Finding::about(Rule::SourceGap, target, vec![cite(statement)], at)
                };
                self.memory.gap(who, (first, last), &finding.id());
                notes.push(Note::Raised(finding));
            }
        }
    }

    /// A token that a heartbeat named before it was issued here.
    fn no_longer_unknown(
        &mut self,
        view: &View,
        index: u64,
        act: &Act<'_, '_>,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        if self.memory.held.is_empty() {
            return Ok(());
        }
        let (tenant, own) = (act.statement.tenant, act.statement.target.id);
        let ids = self.ids_of(view, (tenant, own), index + 1)?;
        for id in each_id(&ids).filter(|id| *id != own).chain([own]) {
            if let Some(finding) = self.memory.held.remove(&(tenant.to_owned(), id.to_owned())) {
                let (note, at) = ("its birth arrived", act.entry.recorded_at.nanos);
                notes.push(withdrawn(tenant, Hash(finding), note, at));
            }
        }
        Ok(())
    }

    /// A token that a heartbeat names as held.
    fn held(
        &mut self,
        view: &View,
        index: u64,
        act: &Act<'_, '_>,
        token: &str,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let statement = act.statement;
        let key = (statement.tenant.to_owned(), token.to_owned());
        let named = (statement.tenant, token);
        let Known { birth, ends, .. } = self.known(view, index, &term_of(view, named), named)?;
        let kind = TargetKind::Token;
        let target = Subject { tenant: statement.tenant, kind, target: token };
        let at = act.entry.recorded_at.nanos;
        if birth.is_none() {
            if ends.is_empty() && !self.memory.held.contains_key(&key) {
                let rule = Rule::Lifecycle(Violation::UnknownToken);
                let finding = Finding::about(rule, target, vec![cite(statement)], at);
                if self.memory.hold(key, finding.id().0) {
                    notes.push(Note::Raised(finding));
                }
            }
            return Ok(());
        }
        let now = statement.occurred_at.nanos;
        let before = |one: &&Boundary| one.place < act.place && one.at <= now;
        let Some(first) = ends.iter().filter(before).min_by_key(|one| (one.at, one.place)) else {
            return Ok(());
        };
        let gap = now.saturating_sub(first.at);
        let own = self.windows.believed(statement.source, statement.time_uncertainty_ns);
        let uncertain = own.saturating_add(first.uncertainty(&self.windows));
        let spread = self.windows.propagation_nanos;
        let explained = behind(gap, uncertain, spread, super::rules::Explanation::Propagation);
        // A heartbeat comes again: what may be explained is not told before it cannot be.
        if explained.is_none() {
            let finding = Finding {
                place: Some(format!("held by {}", statement.source)),
                gap_ms: Some(gap.div_euclid(1_000_000)),
                ..Finding::about(Rule::RevokeNotPropagated, target, vec![first.event.clone()], at)
            };
            raise_again(view, finding, act, notes)?;
        }
        Ok(())
    }
}

/// A refusal that is a finding.
fn refused(act: &Act<'_, '_>) -> Option<Note> {
    let statement: &Statement<'_> = act.statement;
    if statement.event_type != EventType::Refused {
        return None;
    }
    let code = statement.detail("code")?;
    let rule = refusal(code)?;
    let count = statement.detail("count").unwrap_or("1");
    let by = statement.detail("credential").unwrap_or("nobody");
    let (kind, target) = (statement.target.kind, statement.target.id);
    let target = Subject { tenant: statement.tenant, kind, target };
    Some(Note::Raised(Finding {
        about: Some(format!("{code} {count} times, credential {by}")),
        ..Finding::about(rule, target, vec![cite(statement)], act.entry.recorded_at.nanos)
    }))
}
