//! A check's report as a person reads it: the same words for the table and for the page.
//!
//! Promises: every text of the ledger or of the bundle has lost its control, bidirectional and
//! invisible characters ([`printable`]). Nothing that only the bundle's maker says is repeated as
//! if it were proven. A state is always one "as of the last entry shown".

use std::collections::BTreeMap;

use ledgerline_api::time_text::rfc3339;
use ledgerline_proof::bundle::{INCOMPLETE, SignedDecimal};
use ledgerline_proof::check::{
    CheckReport, ClaimKind, EntryReport, EventReport, LifecycleReport, PersonalReport, ShownChain,
    SignatureState, Status, Verdict,
};

use super::expect::Expected;
use ledgerline_terminal::render::{detail_words, printable};

/// What is shown.
pub struct Reading {
    /// In capitals.
    pub verdict: &'static str,
    /// What the verdict means.
    pub meaning: &'static str,
    /// In what the answer fell short when it was asked for, by its maker's word.
    pub incomplete: Vec<String>,
    /// Names and values.
    pub head: Vec<(&'static str, String)>,
    /// What the states stand on.
    pub as_of: String,
    /// The states of each token.
    pub states: Vec<State>,
    /// What the entries are.
    pub title: &'static str,
    /// What happened, by index.
    pub entries: Vec<Entry>,
    /// Whose word how many entries are.
    pub signed: Vec<String>,
    /// The claims that are proven, by name.
    pub proven: Vec<String>,
    /// The claims that are not: name, and how they stand.
    pub open: Vec<(String, String)>,
    /// What the maker says to be missing, in the maker's words.
    pub maker_says: Vec<String>,
    /// What nothing here proves.
    pub not_proven: Vec<String>,
}

/// Where a token stands.
pub struct State {
    /// Its ids.
    pub token: String,
    /// In words.
    pub words: String,
}

/// An entry.
pub struct Entry {
    /// Index in the ledger.
    pub index: String,
    /// When it happened, by its producer.
    pub time: String,
    /// Type and outcome.
    pub act: String,
    /// What it befell.
    pub target: String,
    /// Names and values of what else is told.
    pub facts: Vec<(&'static str, String)>,
    /// What is wrong or off about it.
    pub remark: String,
}

impl Reading {
    /// Of a report.
    #[must_use]
    pub fn of(report: &CheckReport, expected: &Expected) -> Self {
        let (verdict, meaning) = match report.verdict {
            _ if expected.differs() => (
                "NOT AS EXPECTED",
                "the bundle may hold, but it does not answer what you expect it to",
            ),
            Verdict::Proven => ("PROVEN", "everything below follows from the key you trust"),
            Verdict::Incomplete => {
                ("INCOMPLETE", "nothing contradicts it, but not everything follows; see below")
            }
            Verdict::Failed => ("FAILED", "it is contradicted: do not rely on anything in it"),
        };
        let claims = report.claims.iter();
        // The same names as in JSON.
        let name = |kind: ClaimKind| match serde_json::to_value(kind) {
            Ok(serde_json::Value::String(name)) => name,
            _ => format!("{kind:?}"),
        };
        let open = claims.clone().filter_map(|claim| match &claim.status {
            Status::Proven => None,
            Status::NotProven(why) => {
                Some((name(claim.claim), format!("not proven: {}", printable(why))))
            }
            Status::Failed(why) => Some((name(claim.claim), format!("FAILED: {}", printable(why)))),
        });
        let proven = claims.filter(|claim| claim.status.is_proven()).map(|one| name(one.claim));
        Self {
            verdict,
            meaning,
            incomplete: incomplete(report),
            head: head(report, expected),
            as_of: last_shown(report),
            // What is contradicted has no state that anybody should read.
            states: if report.verdict == Verdict::Failed { Vec::new() } else { states(report) },
            title: if report.verdict == Verdict::Failed {
                "What the bundle shows, whose check FAILED"
            } else {
                "What happened"
            },
            entries: report.entries.iter().map(|entry| entry_of(report, entry)).collect(),
            signed: signed(report),
            proven: proven.collect(),
            open: open.collect(),
            not_proven: report.not_proven.iter().map(|text| printable(text)).collect(),
            maker_says: report.maker_says.iter().map(|text| printable(text)).collect(),
        }
    }
}

/// In what it falls short; what only its maker says is called that.
fn incomplete(report: &CheckReport) -> Vec<String> {
    let says = |text: &str| {
        let said = |said: &String| said.strip_prefix(INCOMPLETE).unwrap_or(said) == text;
        report.maker_says.iter().any(said)
    };
    let words = report.incomplete.iter().map(|text| match report.status(ClaimKind::Lifecycle) {
        Some(Status::NotProven(_)) if !says(text) => printable(text),
        _ => format!("{} (its maker says so)", printable(text)),
    });
    words.collect()
}

fn time(nanos: SignedDecimal) -> String {
    rfc3339(nanos.0)
}

fn head(report: &CheckReport, expected: &Expected) -> Vec<(&'static str, String)> {
    let mut head = Vec::new();
    if let Some(question) = &report.question {
        let fits = report.status(ClaimKind::Query).is_some_and(Status::is_proven);
        head.push(match &question.sentence {
            Some(sentence) if fits => ("question", printable(sentence)),
            Some(sentence) => {
                let sentence = printable(sentence);
                ("question", format!("{sentence} (the bundle says so; what it shows does not)"))
            }
            None => ("question", "none that can be checked; its text is not shown".to_owned()),
        });
        let tenant = match printable(&question.tenant) {
            tenant if tenant.is_empty() => "the default one (\"\")".to_owned(),
            tenant => tenant,
        };
        head.push(("tenant", tenant));
    }
    head.extend(expected.lines());
    let Some(tree) = &report.tree else { return head };
    head.push(("ledger", printable(&tree.origin)));
    let closed = time(tree.recorded_at);
    head.push(("as of", format!("size {}, closed by a block of {closed}", tree.size)));
    head.push(("root", tree.root.to_string()));
    for key in &tree.signed_by {
        head.push(("signed by", format!("{}, a key that you trust", printable(key))));
    }
    for witness in &tree.cosigned_by {
        let seconds = i64::try_from(witness.time.0).unwrap_or(0).saturating_mul(1_000_000_000);
        let (name, at) = (printable(&witness.name), rfc3339(seconds));
        head.push(("witness", format!("{name}, at {at}")));
    }
    let continues = match &tree.continues {
        Some(one) if one.held => {
            format!("the checkpoint that you hold (size {}): same log", one.size)
        }
        Some(one) => format!("size {}, by the bundle; you hold no checkpoint of it", one.size),
        None => match report.status(ClaimKind::Consistency) {
            Some(Status::Failed(_)) => "NOT the checkpoint that you hold".to_owned(),
            Some(_) => "not known: see what is not proven".to_owned(),
            None => "not compared: no older checkpoint was given (--since)".to_owned(),
        },
    };
    head.push(("continues", continues));
    head
}

fn last_shown(report: &CheckReport) -> String {
    let Some(last) = report.entries.last() else {
        return "no entry is shown".to_owned();
    };
    let (index, at) = (last.index, time(last.recorded_at));
    format!("as of the last entry shown (index {index}, recorded {at})")
}

fn states(report: &CheckReport) -> Vec<State> {
    let words = |states: &LifecycleReport| {
        let active = if states.active { "active" } else { "not active" };
        let mut words = format!("known {} ({active}), happened {}", states.known, states.happened);
        if !states.covered_by.is_empty() {
            let list: Vec<_> = states.covered_by.iter().map(ToString::to_string).collect();
            words.push_str(&format!("; covered by the revocation at {}", list.join(", ")));
        }
        words
    };
    let own = report.lifecycle.as_ref().map(|states| {
        let token = report.question.as_ref().and_then(|one| one.token.as_deref());
        State { token: printable(token.unwrap_or_default()), words: words(states) }
    });
    let lives = report.lives.iter().map(|life| {
        let words = words(&life.states) + &reach(&life.shown);
        State { token: printable(&life.ids.join(" = ")), words }
    });
    own.into_iter().chain(lives).collect()
}

/// How far each chain of a token with several ids is shown: a state is as of each of them.
fn reach(shown: &[ShownChain]) -> String {
    if shown.len() < 2 {
        return String::new();
    }
    let each = shown.iter().map(|one| match one.last_index {
        Some(last) => format!("{} up to entry {last}", printable(&one.id)),
        None => {
            format!("NO ENTRY of {}: that there is none is its maker's word", printable(&one.id))
        }
    });
    format!("; shown are {}", each.collect::<Vec<_>>().join(", "))
}

fn entry_of(report: &CheckReport, entry: &EntryReport) -> Entry {
    let mut facts = Vec::new();
    let mut read = Entry {
        index: entry.index.to_string(),
        time: "unreadable".to_owned(),
        act: "?".to_owned(),
        target: String::new(),
        facts: Vec::new(),
        remark: remark(entry),
    };
    if let Some(event) = &entry.event {
        read.time = time(event.occurred_at);
        read.act = format!("{} {}", event.event_type, event.outcome);
        let kind = event.target_kind.to_lowercase();
        read.target = match event.target.as_str() {
            "" => kind,
            id => format!("{kind} {}", printable(id)),
        };
        facts.extend(circumstances(event));
    }
    facts.push(("who", who(entry)));
    facts.push(("from", from(report, entry)));
    facts.push(("recorded", time(entry.recorded_at)));
    if let (Some(known), Some(happened)) = (entry.known, entry.happened)
        && report.verdict != Verdict::Failed
    {
        facts.push(("state after", format!("known {known}, happened {happened}")));
    }
    read.facts = facts;
    read
}

fn circumstances(event: &EventReport) -> Vec<(&'static str, String)> {
    let it = &event.circumstances;
    let mut facts = Vec::new();
    let mut say = |name, text: Option<&str>| {
        facts.extend(text.map(|text| (name, printable(text))));
    };
    say("reason", it.reason.as_deref());
    say("kind", it.token_kind);
    say("service", it.service.as_deref());
    say("seen from", it.vantage);
    say("endpoint", it.endpoint.as_deref());
    say("action", it.action.as_deref());
    say("resource", it.resource.as_deref());
    say("client", it.client_id.as_deref());
    say("session", it.session_id.as_deref());
    say("grant", it.grant_id.as_deref());
    let list = |list: &[String]| (!list.is_empty()).then(|| list.join(" "));
    say("scopes", list(&it.scopes).as_deref());
    say("audience", list(&it.audience).as_deref());
    say("expires", it.expires_at.map(time).as_deref());
    say("effective", it.effective_at.map(time).as_deref());
    say("also named", list(&it.also_known_as).as_deref());
    let detail: Vec<_> = it.detail.iter().map(|one| (&*one.key, &*one.value)).collect();
    let detail = detail_words(&detail);
    say("says", (!detail.is_empty()).then_some(detail.as_str()));
    say("links", (!it.links.is_empty()).then(|| it.links.join("; ")).as_deref());
    facts
}

/// Whose word the entry is.
fn who(entry: &EntryReport) -> String {
    let event = entry.event.as_ref();
    let source = event.map_or_else(|| "?".to_owned(), |event| printable(&event.source));
    let by = event.and_then(|event| event.credential.as_deref()).map(printable);
    let by = by.map(|key| format!(", submitted with API key {key}")).unwrap_or_default();
    match &entry.signature {
        SignatureState::LedgerOwn => "the ledger itself".to_owned(),
        SignatureState::CredentialOnly { .. } => format!("source {source}{by}; not signed"),
        signature => format!("source {source}{by}; {}", signature_words(signature)),
    }
}

/// How an entry is signed, in words.
pub fn signature_words(signature: &SignatureState) -> String {
    let ended = |at: &Option<ledgerline_proof::bundle::Decimal>| {
        at.map(|at| format!(" (key declared compromised at index {at})")).unwrap_or_default()
    };
    match signature {
        SignatureState::Proven { key_id, compromised_at } => {
            format!("signed with Ed25519 by key {}{}", printable(key_id), ended(compromised_at))
        }
        SignatureState::ProvenToKeyHolder { key_id, compromised_at } => format!(
            "signed with HMAC by key {}, which convinces only who holds the key{}",
            printable(key_id),
            ended(compromised_at)
        ),
        SignatureState::KeyHolderOnly { key_id } => {
            format!("HMAC of key {}, not checked: the secret was not given", printable(key_id))
        }
        SignatureState::CredentialOnly { credential } => match credential {
            Some(key) => format!("not signed: attested only by API key {}", printable(key)),
            None => "not signed, and attested by no API key".to_owned(),
        },
        SignatureState::LedgerOwn => "the ledger's own statement".to_owned(),
        SignatureState::NotProven { key_id, why } => {
            format!("signature of key {} not proven: {}", printable(key_id), printable(why))
        }
        SignatureState::Failed { key_id, why } => {
            format!("signature of key {} does NOT hold: {}", printable(key_id), printable(why))
        }
    }
}

/// From where it was done, as far as records were disclosed and are the ones committed to.
fn from(report: &CheckReport, entry: &EntryReport) -> String {
    let own = |one: &&PersonalReport| one.index == entry.index && one.status.is_proven();
    let told = report.personal.iter().filter(own).flat_map(|one| {
        let role = one.role.unwrap_or("?").to_lowercase();
        let pairs = one.fields.iter().zip(&one.values);
        let pairs = pairs.map(|(name, value)| format!("{}={}", printable(name), printable(value)));
        pairs.map(move |pair| format!("{role} {pair}")).collect::<Vec<_>>()
    });
    let told: Vec<String> = told.collect();
    match (told.is_empty(), entry.commitments) {
        (false, _) => told.join(", "),
        (true, 0) => "nothing personal was recorded".to_owned(),
        (true, _) => "not disclosed".to_owned(),
    }
}

fn remark(entry: &EntryReport) -> String {
    let mut remarks: Vec<String> = entry.violation.iter().map(|one| (*one).to_owned()).collect();
    for (name, status) in [("rules", &entry.rules), ("chain", &entry.chain)] {
        if let Status::Failed(why) = status {
            remarks.push(format!("{name}: {}", printable(why)));
        }
    }
    remarks.join("; ")
}

/// Who signed what, with how many entries.
fn signed(report: &CheckReport) -> Vec<String> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for entry in &report.entries {
        let source = entry.event.as_ref().map(|event| printable(&event.source));
        let of = match (&entry.signature, source) {
            (SignatureState::LedgerOwn, _) | (_, None) => String::new(),
            (_, Some(source)) => format!("source {source}: "),
        };
        *counts.entry(format!("{of}{}", signature_words(&entry.signature))).or_default() += 1;
    }
    let line = |(words, count): (String, u64)| {
        format!("{count} {}, {words}", if count == 1 { "entry" } else { "entries" })
    };
    counts.into_iter().map(line).collect()
}
