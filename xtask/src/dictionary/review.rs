//! The comparison of two editions: which versions of which records differ, how, and whether what
//! was ever written can still be read.
//!
//! The rule is BACKWARD_TRANSITIVE: the newest schema of a record reads what every version of it
//! wrote, since entries stay for ever. Forward (an old reader reads what the newest schema writes)
//! is reported and does not affect the verdict: where it is broken, an auditor needs a newer
//! `check`.
//!
//! Promises: an incompatible verdict names the change and the rule, or the version that the newest
//! schema cannot read. A version that is gone, or a record, is incompatible as well.

use sha2::{Digest as _, Sha256};

use super::avro::{Refused, short};
use super::changes::{Change, changes};
use super::edition::{Edition, Version};
use super::page::{self, RowChange};
use super::resolution::{Broken, broken};

/// Two editions, compared.
pub struct Review<'e> {
    pub old: &'e Edition,
    pub new: &'e Edition,
    /// The records that differ, by name.
    pub records: Vec<RecordReview<'e>>,
    /// Rows of the data dictionary that differ; none where one side has no dictionary.
    pub rows: Option<Vec<RowChange>>,
}

/// One record that differs.
pub struct RecordReview<'e> {
    /// Its full name, in the new edition where it is there.
    pub name: String,
    pub pairs: Vec<Pair<'e>>,
    /// Files of versions that the new edition does not have any more.
    pub gone: Vec<&'e Version>,
    /// The newest version against every other.
    pub readings: Vec<Reading<'e>>,
    /// What the kernel refuses in versions that changed or are new.
    pub refused: Vec<(&'e str, Refused)>,
}

/// One version that changed or is new, with what stood in its place.
pub struct Pair<'e> {
    /// None for a record that is new.
    pub before: Option<&'e Version>,
    pub after: &'e Version,
    /// Whether the file of a published version was changed.
    pub is_in_place: bool,
    pub changes: Vec<Judged>,
}

/// A change, and what of old and new it breaks.
pub struct Judged {
    pub change: Change,
    /// Why the newest schema cannot read what was written before.
    pub backward: Vec<Broken>,
    /// Why an older reader cannot read what the newest schema writes.
    pub forward: Vec<Broken>,
}

/// What of one version the newest cannot read, and the other way round.
pub struct Reading<'e> {
    pub version: &'e Version,
    /// Whether the version is the old edition's text of a file that changed.
    pub is_former: bool,
    pub backward: Vec<Broken>,
    pub forward: Vec<Broken>,
}

impl RecordReview<'_> {
    /// Whether BACKWARD_TRANSITIVE holds.
    pub fn is_compatible(&self) -> bool {
        self.gone.is_empty()
            && self.refused.is_empty()
            && self.readings.iter().all(|reading| reading.backward.is_empty())
    }

    /// Whether every older reader takes what the newest schema writes.
    pub fn is_forward_compatible(&self) -> bool {
        self.readings.iter().all(|reading| reading.forward.is_empty())
    }

    /// How many differences the record has.
    pub fn change_count(&self) -> usize {
        self.gone.len() + self.pairs.iter().map(|pair| pair.changes.len().max(1)).sum::<usize>()
    }
}

impl Review<'_> {
    /// Whether every record is compatible.
    pub fn is_compatible(&self) -> bool {
        self.records.iter().all(RecordReview::is_compatible)
    }

    /// Whether nothing differs, neither in the schemas nor in the data dictionary.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.rows.as_ref().is_none_or(Vec::is_empty)
    }
}

/// Compares two editions.
pub fn review<'e>(old: &'e Edition, new: &'e Edition) -> Review<'e> {
    let mut names: Vec<&str> = new.schemas.iter().map(name_of).collect();
    let former = |version: &&Version| successor_name(version, old, new).is_none();
    let is_whole = old.is_whole && new.is_whole;
    names.extend(old.schemas.iter().filter(|one| is_whole && former(one)).map(name_of));
    names.retain(|name| is_whole || is_in_both(name, old, new));
    names.sort_unstable();
    names.dedup();
    let records = names.into_iter().filter_map(|name| record(name, old, new)).collect();
    let pages = old.dictionary.as_deref().zip(new.dictionary.as_deref());
    Review { old, new, records, rows: pages.map(|(old, new)| page::differences(old, new)) }
}

/// Whether there is anything to compare: a single file has to hold a record of the other edition.
pub fn have_a_record_in_common(old: &Edition, new: &Edition) -> bool {
    let is_whole = old.is_whole && new.is_whole;
    is_whole || new.schemas.iter().any(|one| is_in_both(name_of(one), old, new))
}

fn is_in_both(name: &str, old: &Edition, new: &Edition) -> bool {
    old.schemas.iter().any(|one| successor_name(one, old, new) == Some(name))
}

/// SHA-256 in lowercase hex.
pub fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name_of(version: &Version) -> &str {
    &version.schema.root().name
}

/// What the record of an old version is called in the new edition: its name if that is there, else
/// what its file holds now, else what the one file holds that it is compared with.
fn successor_name<'e>(version: &Version, old: &Edition, new: &'e Edition) -> Option<&'e str> {
    let by_name = new.schemas.iter().find(|one| name_of(one) == name_of(version));
    let by_file = || new.schemas.iter().find(|one| one.file == version.file);
    let alone = || match (&old.schemas[..], &new.schemas[..]) {
        ([_], [only]) => Some(only),
        _ => None,
    };
    by_name.or_else(by_file).or_else(alone).map(name_of)
}

fn record<'e>(name: &str, old: &'e Edition, new: &'e Edition) -> Option<RecordReview<'e>> {
    let is_ours =
        |version: &&Version| successor_name(version, old, new).unwrap_or(name_of(version)) == name;
    let mut olds: Vec<&Version> = old.schemas.iter().filter(is_ours).collect();
    let mut news: Vec<&Version> = new.schemas.iter().filter(|one| name_of(one) == name).collect();
    for list in [&mut olds, &mut news] {
        list.sort_by_key(|version| version.number);
    }
    let is_whole = old.is_whole && new.is_whole;
    let gone = |version: &&Version| is_whole && !news.iter().any(|one| one.file == version.file);
    let gone: Vec<&Version> = olds.iter().copied().filter(gone).collect();
    let pairs: Vec<Pair> = news.iter().filter_map(|after| pair(after, &olds, &news)).collect();
    if gone.is_empty() && pairs.is_empty() {
        return None;
    }
    let readings = news.last().map(|newest| readings(newest, &olds, &news)).unwrap_or_default();
    let refused = pairs.iter().flat_map(|pair| {
        pair.after.schema.refused().into_iter().map(|one| (pair.after.file.as_str(), one))
    });
    let refused = refused.collect();
    let mut review = RecordReview { name: name.to_owned(), pairs, gone, readings, refused };
    judge(&mut review);
    Some(review)
}

/// A version that changed or is new; none for one that stands as it stood.
fn pair<'e>(after: &'e Version, olds: &[&'e Version], news: &[&'e Version]) -> Option<Pair<'e>> {
    let former = olds.iter().copied().find(|one| one.file == after.file);
    if former.is_some_and(|one| one.text == after.text) {
        return None;
    }
    // A new version follows the one before it, wherever that is; a file that is compared with
    // another file follows that.
    let below = |one: &&&Version| one.number < after.number;
    let before = former
        .or_else(|| olds.iter().chain(news).filter(below).max_by_key(|one| one.number).copied())
        .or_else(|| olds.last().copied());
    if before.is_some_and(|one| one.text == after.text) {
        return None;
    }
    let found = before.map(|before| changes(&before.schema, &after.schema)).unwrap_or_default();
    let unjudged = |change| Judged { change, backward: Vec::new(), forward: Vec::new() };
    let changes = found.into_iter().map(unjudged).collect();
    Some(Pair { before, after, is_in_place: former.is_some(), changes })
}

/// The newest version against every other text of the record, the old edition's first.
fn readings<'e>(
    newest: &'e Version,
    olds: &[&'e Version],
    news: &[&'e Version],
) -> Vec<Reading<'e>> {
    let mut others: Vec<&Version> = Vec::new();
    for version in olds.iter().chain(news) {
        if version.text != newest.text && !others.iter().any(|one| one.text == version.text) {
            others.push(version);
        }
    }
    let label = short(name_of(newest));
    let reading = |version: &'e Version| Reading {
        version,
        is_former: news.iter().any(|one| one.file == version.file && one.text != version.text),
        backward: broken(&version.schema, &newest.schema, label),
        forward: broken(&newest.schema, &version.schema, label),
    };
    others.into_iter().map(reading).collect()
}

/// Says of each change what it breaks: of the newest version all that any reading found at its
/// place, of others what the pair itself shows.
fn judge(review: &mut RecordReview) {
    let newest = review.pairs.iter().map(|pair| pair.after.number).max();
    for pair in &mut review.pairs {
        let Some(before) = pair.before else { continue };
        let label = short(name_of(pair.after));
        let mut backward = broken(&before.schema, &pair.after.schema, label);
        let mut forward = broken(&pair.after.schema, &before.schema, label);
        if Some(pair.after.number) == newest {
            backward.extend(review.readings.iter().flat_map(|one| one.backward.clone()));
            forward.extend(review.readings.iter().flat_map(|one| one.forward.clone()));
        }
        for judged in &mut pair.changes {
            judged.backward = at(&judged.change, &backward);
            judged.forward = at(&judged.change, &forward);
        }
    }
}

/// What is broken at the place of a change.
fn at(change: &Change, broken: &[Broken]) -> Vec<Broken> {
    if !change.what.is_resolved() {
        return Vec::new();
    }
    let mut found: Vec<Broken> = broken.iter().filter(|one| one.at == change.at).cloned().collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::super::avro::Schema;
    use super::*;

    fn version(file: &str, text: &str) -> Version {
        let number = file.split(".v").nth(1).and_then(|rest| rest.split('.').next());
        let number = number.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let schema = Schema::parse(text).expect(text);
        Version { file: file.to_owned(), number, text: text.to_owned(), schema }
    }

    fn edition(files: &[(&str, String)]) -> Edition {
        let schemas = files.iter().map(|(file, text)| version(file, text)).collect();
        Edition { label: "here".to_owned(), schemas, dictionary: None, is_whole: true }
    }

    fn record_of(name: &str, fields: &str) -> String {
        let keep = r#"{"name":"keep","type":"int","doc":"Stays."}"#;
        let comma = if fields.is_empty() { "" } else { "," };
        format!(r#"{{"type":"record","name":"n.{name}","fields":[{keep}{comma}{fields}]}}"#)
    }

    /// What a review tells: each change with `B` and `F` where it breaks a direction, then what the
    /// whole comparison breaks.
    fn told(old: &Edition, new: &Edition) -> Vec<String> {
        let review = review(old, new);
        let mut told = Vec::new();
        for record in &review.records {
            told.extend(record.gone.iter().map(|version| format!("gone {}", version.file)));
            for Judged { change, backward, forward } in
                record.pairs.iter().flat_map(|pair| &pair.changes)
            {
                let mut line = format!("{} {}", change.at, change.what.word());
                for (mark, broken) in [("B", backward), ("F", forward)] {
                    if let Some(first) = broken.first() {
                        line += &format!(" {mark}:{}", first.rule);
                    }
                }
                told.push(line);
            }
            told.extend(record.refused.iter().map(|(_, one)| format!("refused {}", one.at)));
        }
        told.push(if review.is_compatible() { "compatible" } else { "incompatible" }.to_owned());
        told
    }

    /// One record with other fields, as a new version.
    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        let before = edition(&[("r.v1.avsc", record_of("R", old))]);
        let after =
            edition(&[("r.v1.avsc", record_of("R", old)), ("r.v2.avsc", record_of("R", new))]);
        assert_eq!(told(&before, &after), expected, "{old} -> {new}");
    }

    fn of(json: &str) -> String {
        format!(r#"{{"name":"a","type":{json}}}"#)
    }

    #[test]
    fn fields_come_and_go() {
        let (bare, with_default) = (of("\"int\""), r#"{"name":"a","type":"int","default":0}"#);
        check("", with_default, &["R.a added", "compatible"]);
        let missing = "READER_FIELD_MISSING_DEFAULT_VALUE";
        check("", &bare, &[&format!("R.a added B:{missing}"), "incompatible"]);
        // Removing breaks older readers, unless they have a default; entries are still read.
        check(&bare, "", &[&format!("R.a removed F:{missing}"), "compatible"]);
        check(with_default, "", &["R.a removed", "compatible"]);
    }

    #[test]
    fn types_widen_and_narrow() {
        let (int, long) = (of("\"int\""), of("\"long\""));
        check(&int, &long, &["R.a type F:TYPE_MISMATCH", "compatible"]);
        check(&long, &int, &["R.a type B:TYPE_MISMATCH", "incompatible"]);
        let optional = of(r#"["null","int"]"#);
        check(&int, &optional, &["R.a type F:TYPE_MISMATCH", "compatible"]);
        check(&optional, &int, &["R.a type B:TYPE_MISMATCH", "incompatible"]);
        check(&int, &of("\"float\""), &["R.a type F:TYPE_MISMATCH", "refused R.a", "incompatible"]);
        let fixed = |size| of(&format!(r#"{{"type":"fixed","name":"X","size":{size}}}"#));
        let rule = "FIXED_SIZE_MISMATCH";
        check(&fixed(8), &fixed(16), &[&format!("X size B:{rule} F:{rule}"), "incompatible"]);
    }

    #[test]
    fn symbols_come_and_go() {
        let words = |symbols: &str, rest: &str| {
            of(&format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]{rest}}}"#))
        };
        let default = ",\"default\":\"A\"";
        let (one, two) = ("\"A\"", "\"A\",\"B\"");
        check(&words(one, default), &words(two, default), &["E.B added", "compatible"]);
        let rule = "MISSING_ENUM_SYMBOLS";
        let added = format!("E.B added F:{rule}");
        check(&words(one, ""), &words(two, ""), &[&added, "compatible"]);
        let removed = format!("E.B removed B:{rule}");
        check(&words(two, ""), &words(one, ""), &[&removed, "incompatible"]);
        check(&words(two, default), &words(one, default), &["E.B removed", "compatible"]);
        check(&words(two, ""), &words("\"B\",\"A\"", ""), &["E order", "compatible"]);
    }

    #[test]
    fn words_and_meanings_change_no_byte() {
        let (old, new) = (r#"{"name":"a","type":"int","doc":"One."}"#, of("\"int\""));
        check(old, &new, &["R.a doc", "compatible"]);
        let logical = of(r#"{"type":"int","logicalType":"date"}"#);
        check(&new, &logical, &["R.a logical type", "compatible"]);
        let marked = r#"{"name":"a","type":"int","aliases":["b"]}"#;
        check(&new, marked, &["R.a property", "compatible"]);
        check(r#"{"name":"a","type":"int","default":1}"#, &new, &["R.a default", "compatible"]);
        check(&new, &of(r#"{"type":"int"}"#), &["compatible"]);
    }

    #[test]
    fn a_renamed_record_is_another() {
        let inner = |name: &str| {
            of(&format!(
                r#"["null",{{"type":"record","name":"{name}","fields":[
                    {{"name":"x","type":"int"}}]}}]"#
            ))
        };
        let rule = "MISSING_UNION_BRANCH";
        let change = format!("R.a type B:{rule} F:{rule}");
        check(&inner("I"), &inner("J"), &[&change, "J renamed", "incompatible"]);
        let rule = "NAME_MISMATCH";
        let old = edition(&[("r.v1.avsc", record_of("R", ""))]);
        let new = edition(&[("r.v1.avsc", record_of("S", ""))]);
        let renamed = format!("(record) renamed B:{rule} F:{rule}");
        assert_eq!(told(&old, &new), [&renamed, "incompatible"]);
        // What else changed in it is judged field by field all the same.
        let wider = record_of("S", r#"{"name":"a","type":"int"}"#);
        let expected = [&renamed, "S.a added B:READER_FIELD_MISSING_DEFAULT_VALUE", "incompatible"];
        assert_eq!(told(&old, &edition(&[("r.v1.avsc", wider)])), expected);
    }

    /// Version 3 reads version 2, and not version 1: what BACKWARD alone would not see.
    #[test]
    fn every_version_is_read_and_not_the_last_alone() {
        let (v1, v2) =
            (record_of("R", ""), record_of("R", r#"{"name":"a","type":"int","default":0}"#));
        let v3 = record_of("R", &of("\"int\""));
        let old = [("r.v1.avsc", v1), ("r.v2.avsc", v2)];
        let new = [old[0].clone(), old[1].clone(), ("r.v3.avsc", v3)];
        let expected = ["R.a default B:READER_FIELD_MISSING_DEFAULT_VALUE", "incompatible"];
        assert_eq!(told(&edition(&old), &edition(&new)), expected);
    }

    #[test]
    fn what_is_gone_is_missed() {
        let (r, s) = (("r.v1.avsc", record_of("R", "")), ("s.v1.avsc", record_of("S", "")));
        let r2 = ("r.v2.avsc", record_of("R", ""));
        let both = edition(&[r.clone(), s.clone()]);
        assert_eq!(told(&both, &edition(from_ref(&r))), ["gone s.v1.avsc", "incompatible"]);
        assert_eq!(told(&edition(from_ref(&r)), &both), ["compatible"], "a new record");
        let with_two = edition(&[r.clone(), r2.clone()]);
        assert_eq!(told(&with_two, &edition(from_ref(&r2))), ["gone r.v1.avsc", "incompatible"]);
        assert!(review(&both, &both).is_empty());
        // A single file is compared with what it is put beside, and misses nothing.
        let one = Edition { is_whole: false, ..edition(from_ref(&r)) };
        assert!(review(&one, &both).is_empty() && review(&both, &one).is_empty());
        let other = Edition { is_whole: false, ..edition(&[s]) };
        assert!(have_a_record_in_common(&one, &both), "R");
        assert!(!have_a_record_in_common(&other, &edition(&[r2, r])), "S is not in it");
    }
}
