//! The page that is signed.
//!
//! Promises: the same two editions give the same page, so that it can be kept beside the signature
//! and made again. The verdict is the last line. Refuses to shorten: a doc of which a few words
//! changed is shown around them, and nothing else is left out.

use std::fmt::Write as _;

use super::avro::{Schema, Shape, short};
use super::changes::{Change, What};
use super::edition::{Edition, Version};
use super::page::{self, TEXT};
use super::resolution::{Broken, ROOT};
use super::review::{Judged, Pair, Reading, RecordReview, Review, sha256};
use super::sensitive::{Class, class};

/// Words shown on each side of those that changed in a long text.
const CONTEXT_WORDS: usize = 6;

/// The page.
pub fn markdown(review: &Review) -> String {
    let mut out = String::from("# Schema review\n\n| | before | after |\n|---|---|---|\n");
    let (old, new) = (review.old, review.new);
    row(&mut out, &["compared", &old.label, &new.label]);
    row(&mut out, &["schemas", &files(old), &files(new)]);
    row(&mut out, &["data dictionary", has_dictionary(old), has_dictionary(new)]);
    out.push_str(
        "\nRule: BACKWARD_TRANSITIVE (Avro 1.12, \"Schema Resolution\"): the newest schema of a \
         record reads\nwhat every version of it wrote. *Forward*: readers of older versions read \
         what the newest writes.\nForward compatibility is reported and does not affect the \
         verdict.\n",
    );
    if review.is_empty() {
        out.push_str("\nNo difference.\n");
    }
    if !review.records.is_empty() {
        summary(&mut out, review);
    }
    for record in &review.records {
        put_record(&mut out, record);
    }
    dictionary(&mut out, review);
    sign_off(&mut out, review);
    out
}

fn row(out: &mut String, cells: &[&str]) {
    let cell = |text: &&str| {
        let text = text.replace('|', "\\|");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let cells: Vec<String> = cells.iter().map(cell).collect();
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

fn files(edition: &Edition) -> String {
    edition.schemas.iter().map(|one| format!("`{}`", one.file)).collect::<Vec<_>>().join(", ")
}

fn has_dictionary(edition: &Edition) -> &'static str {
    if edition.dictionary.is_some() { "yes" } else { "none beside the schemas: not compared" }
}

fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "**no**" }
}

fn summary(out: &mut String, review: &Review) {
    out.push_str("\n| record | differences | backward | forward |\n|---|---:|---|---|\n");
    for record in &review.records {
        let name = format!("`{}`", record.name);
        let count = record.change_count().to_string();
        let (backward, forward) = (record.is_compatible(), record.is_forward_compatible());
        row(out, &[&name, &count, yes_or_no(backward), yes_or_no(forward)]);
    }
}

fn put_record(out: &mut String, record: &RecordReview) {
    let _ = writeln!(out, "\n## {}", record.name);
    for version in &record.gone {
        let _ = writeln!(
            out,
            "\n**Removed: `{}`.** Entries written under it stay, and nothing here reads them.",
            version.file
        );
    }
    for pair in &record.pairs {
        put_pair(out, pair);
    }
    if !record.refused.is_empty() {
        out.push_str("\nThe kernel refuses these schemas:\n\n");
        for (file, refused) in &record.refused {
            let _ = writeln!(out, "- `{file}`, `{}`: {}", refused.at, refused.what);
        }
    }
    if !record.readings.is_empty() {
        out.push_str(
            "\n### The newest version against every other\n\n\
             | version | backward: newest reads it | forward: it reads the newest |\n\
             |---|---|---|\n",
        );
        for Reading { version, is_former, backward, forward } in &record.readings {
            let former = if *is_former { " as it was before" } else { "" };
            let name = format!("`{}`{former}", version.file);
            row(out, &[&name, &verdict(backward), &verdict(forward)]);
        }
    }
}

fn put_pair(out: &mut String, pair: &Pair) {
    let after = pair.after;
    match pair.before {
        Some(_) if pair.is_in_place => {
            let _ = writeln!(out, "\n### `{}`, changed in place", after.file);
        }
        Some(before) => {
            let _ = writeln!(out, "\n### `{}`, against `{}`", after.file, before.file);
        }
        None => {
            let _ = writeln!(out, "\n### `{}`, a new record", after.file);
        }
    }
    pins(out, pair);
    match pair.before {
        Some(before) if pair.changes.is_empty() => {
            let _ = writeln!(out, "\nOnly the spelling of the text differs from {}.", before.file);
        }
        Some(before) => changes(out, pair, before),
        None => fields(out, &after.schema),
    }
}

fn pins(out: &mut String, pair: &Pair) {
    out.push_str("\n| pin | before | after |\n|---|---|---|\n");
    let of = |version: Option<&Version>, pin: &dyn Fn(&Version) -> String| {
        version.map(|version| format!("`{}`", sha256(&pin(version)))).unwrap_or_default()
    };
    let canonical = |version: &Version| version.schema.canonical_form();
    let text = |version: &Version| version.text.clone();
    let after = Some(pair.after);
    let form = "SHA-256 of the canonical form";
    row(out, &[form, &of(pair.before, &canonical), &of(after, &canonical)]);
    row(out, &["SHA-256 of the text", &of(pair.before, &text), &of(after, &text)]);
    if pair.is_in_place {
        out.push_str(
            "\n**A published text was changed.** Ledgers that announced it hold the SHA-256 of \
             the text before:\nto them this is another schema under the same version. A change \
             belongs in a new version.\n",
        );
    }
}

fn changes(out: &mut String, pair: &Pair, before: &Version) {
    out.push_str(
        "\n| where | change | before | after | backward | forward | sensitive |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Judged { change, backward, forward } in &pair.changes {
        let place = if change.at == ROOT { "the record" } else { &change.at };
        let (old, new) = around_difference(&change.before, &change.after);
        let class = class_of(change, pair.after, before).word();
        let what = change.what.word();
        let (backward, forward) = (verdict(backward), verdict(forward));
        row(out, &[&format!("`{place}`"), what, &old, &new, &backward, &forward, class]);
    }
}

/// The fields of a record that is new.
fn fields(out: &mut String, schema: &Schema) {
    out.push_str("\n| field | type | default | doc | sensitive |\n|---|---|---|---|---|\n");
    for named in &schema.types {
        let Shape::Record(fields) = &named.shape else { continue };
        let owner = short(&named.name);
        for field in fields {
            let place = format!("`{owner}.{}`", field.name);
            let of = field.of.to_string();
            let default = field.default.as_ref().map(ToString::to_string).unwrap_or_default();
            let class = class(&schema.root().name, owner, &field.name, &of).word();
            row(out, &[&place, &of, &default, &field.doc, class]);
        }
    }
}

fn verdict(broken: &[Broken]) -> String {
    if broken.is_empty() {
        return "yes".to_owned();
    }
    let told: Vec<String> = broken
        .iter()
        .map(|Broken { at, rule, what }| format!("{rule} at `{at}`: {what}"))
        .collect();
    format!("**no**: {}", told.join("; "))
}

/// The class of the field that a change is about, in the version that has it.
fn class_of(change: &Change, after: &Version, before: &Version) -> Class {
    let Some((owner, name)) = change.at.split_once('.') else { return Class::Plain };
    let in_schema = |schema: &Schema| {
        let named = schema.types.iter().find(|named| short(&named.name) == owner)?;
        let Shape::Record(fields) = &named.shape else { return None };
        let field = fields.iter().find(|field| field.name == name)?;
        Some(class(&schema.root().name, owner, name, &field.of.to_string()))
    };
    in_schema(&after.schema).or_else(|| in_schema(&before.schema)).unwrap_or(Class::Plain)
}

/// Two texts, each with the words that differ and some around them.
fn around_difference(before: &str, after: &str) -> (String, String) {
    let old: Vec<&str> = before.split_whitespace().collect();
    let new: Vec<&str> = after.split_whitespace().collect();
    let same_start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let ends = old[same_start..].iter().rev().zip(new[same_start..].iter().rev());
    let same_end = ends.take_while(|(old, new)| old == new).count();
    let cut = |words: &[&str]| {
        let first = same_start.saturating_sub(CONTEXT_WORDS);
        let last = (words.len() - same_end + CONTEXT_WORDS).min(words.len());
        let (front, back) =
            (if first > 0 { "… " } else { "" }, if last < words.len() { " …" } else { "" });
        format!("{front}{}{back}", words[first..last].join(" "))
    };
    if before.is_empty() || after.is_empty() {
        return (before.to_owned(), after.to_owned());
    }
    (cut(&old), cut(&new))
}

/// What the data dictionary says of what was touched, and what else changed in it.
fn dictionary(out: &mut String, review: &Review) {
    let touched = touched(review);
    let rows = review.rows.as_deref().unwrap_or_default();
    let missing = undescribed(review, &touched);
    if rows.is_empty() && missing.is_empty() {
        return;
    }
    out.push_str("\n## Data dictionary\n");
    if !rows.is_empty() {
        out.push_str(
            "\n| heading | row | schema touched | before | after |\n|---|---|---|---|---|\n",
        );
    }
    for change in rows {
        let is_about = |place: &String| is_place(&change.heading, &change.name, place);
        let is_touched = if touched.iter().any(is_about) { "yes" } else { "no" };
        let (old, new) = around_difference(&change.before, &change.after);
        row(out, &[&change.heading, &format!("`{}`", change.name), is_touched, &old, &new]);
    }
    if !missing.is_empty() {
        out.push_str("\nTouched, and not in the new data dictionary:\n\n");
        for place in missing {
            let _ = writeln!(out, "- `{place}`");
        }
    }
}

/// The places touched that the new data dictionary does not describe.
fn undescribed<'t>(review: &Review, touched: &'t [String]) -> Vec<&'t String> {
    let Some(text) = &review.new.dictionary else { return Vec::new() };
    let rows = page::rows(text);
    let is_described =
        |place: &&String| rows.iter().any(|row| is_place(&row.heading, &row.name, place));
    touched.iter().filter(|place| !is_described(place)).collect()
}

/// The places that a schema change touched and the new edition has.
fn touched(review: &Review) -> Vec<String> {
    let pairs = review.records.iter().flat_map(|record| &record.pairs);
    let changes = pairs.flat_map(|pair| &pair.changes).map(|judged| &judged.change);
    let stays = changes.filter(|change| change.what != What::Removed && change.at != ROOT);
    let mut places: Vec<String> = stays.map(|change| change.at.clone()).collect();
    places.sort();
    places.dedup();
    places
}

/// Whether a row of the page describes a field or symbol, or a type: under its heading, or in the
/// list of fixed types.
fn is_place(heading: &str, name: &str, place: &str) -> bool {
    match place.split_once('.') {
        Some((owner, field)) => heading == owner && name == field,
        None => (heading == place && name == TEXT) || (heading == "Fixed" && name == place),
    }
}

fn sign_off(out: &mut String, review: &Review) {
    out.push_str("\n## Sign-off\n\n");
    for check in to_check(review) {
        let _ = writeln!(out, "- [ ] {check}");
    }
    out.push_str(
        "\n| reviewer | date | decision (approved, approved with conditions, rejected) | remarks \
         |\n|---|---|---|---|\n|  |  |  |  |\n|  |  |  |  |\n\n",
    );
    let count: usize = review.records.iter().map(RecordReview::change_count).sum();
    let bad = review.records.iter().filter(|record| !record.is_compatible());
    let bad: Vec<String> = bad.map(|record| format!("`{}`", record.name)).collect();
    if !bad.is_empty() {
        let _ =
            writeln!(out, "Verdict: **incompatible** (BACKWARD_TRANSITIVE) in {}.", bad.join(", "));
    } else if count > 0 {
        let _ = writeln!(
            out,
            "Verdict: **compatible** (BACKWARD_TRANSITIVE), {count} differences in {} records.",
            review.records.len()
        );
    } else {
        out.push_str("Verdict: **no difference** in the schemas.\n");
    }
}

/// What the reviewer has to look at, as far as this page can tell.
fn to_check(review: &Review) -> Vec<String> {
    let mut checks = vec!["The changes are those that were asked for.".to_owned()];
    let pairs = || review.records.iter().flat_map(|record| &record.pairs);
    let classes = |wanted: Class| {
        let of_pair = |pair: &&Pair| {
            let before = pair.before.unwrap_or(pair.after);
            pair.changes.iter().any(|one| class_of(&one.change, pair.after, before) == wanted)
        };
        pairs().any(|pair| of_pair(&pair))
    };
    if classes(Class::Personal) || classes(Class::Pseudonym) || classes(Class::SoundsPersonal) {
        checks.push("Personal fields and pseudonyms were seen by the privacy office.".to_owned());
    }
    let removes = |pair: &Pair| {
        pair.changes
            .iter()
            .any(|one| one.change.what == What::Removed && one.change.at.contains('.'))
    };
    if pairs().any(removes) {
        checks.push("What was written in removed fields and symbols is not missed.".to_owned());
    }
    if pairs().any(|pair| pair.is_in_place) {
        checks.push("No ledger announced the text that was changed in place.".to_owned());
    }
    if review.records.iter().any(|record| !record.is_forward_compatible()) {
        checks.push(
            "Readers are updated before writers: older ones cannot read what is new.".to_owned(),
        );
    }
    if pairs().any(|pair| pair.before.is_none_or(|before| before.file != pair.after.file)) {
        checks.push("The kernel pins the new texts (`crates/proof/src/schema.rs`).".to_owned());
    }
    checks
}
