//! The data dictionary, made from the schema texts alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ledgerline_proof::schema::Kind;
use serde_json::Value as Json;

/// `docs/reference/data-dictionary.md`.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Data dictionary\n\n\
         Every record of the ledger, version 1, generated from the schemas in\n\
         `crates/proof/schemas` (a test compares this file with them). How records\n\
         become bytes is in [format.md](format.md). Fields are encoded in the order \
         of the tables.\n\n\
         `cargo xtask dictionary-diff OLD NEW` compares two revisions of the schemas, or two\n\
         folders of them, field by field: what changed, whether records written before can still\n\
         be read (BACKWARD_TRANSITIVE), which fields are personal or identify something, and\n\
         what changed on this page. It prints one page for the quarterly review to sign, and\n\
         ends with 2 when a change is incompatible.\n",
    );
    let mut done = BTreeSet::new();
    let (mut records, mut words, mut fixed) = (String::new(), String::new(), String::new());
    for kind in Kind::ALL {
        let json: Json = serde_json::from_str(kind.text()).unwrap();
        let fingerprint: String =
            kind.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(
            records,
            "\n## {}\n\n`{}`, fingerprint `{fingerprint}`",
            text(&json, "name"),
            kind.name()
        );
        let _ = writeln!(records, "SHA-256 of the text `{}`", kind.sha256());
        section(&json, true, &mut done, &mut records, &mut words, &mut fixed);
    }
    let _ = write!(out, "{records}\n# Enums\n{words}\n# Fixed\n\n");
    let _ = write!(out, "| type | bytes | meaning |\n|---|---|---|\n{fixed}");
    out
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {json}"))
}

/// Writes a type, then every type that is defined inside it, each once.
fn section(
    json: &Json,
    outermost: bool,
    done: &mut BTreeSet<String>,
    records: &mut String,
    words: &mut String,
    fixed: &mut String,
) {
    if let Json::Array(branches) = json {
        return branches
            .iter()
            .for_each(|branch| section(branch, false, done, records, words, fixed));
    }
    let Some(sort) = json.get("type").and_then(Json::as_str) else { return };
    if sort == "array" {
        return section(&json["items"], false, done, records, words, fixed);
    }
    let name = text(json, "name");
    if !done.insert(name.to_owned()) {
        return;
    }
    match sort {
        "record" => {
            if !outermost {
                let _ = writeln!(records, "\n### {name}");
            }
            let _ = writeln!(records, "\n{}\n", text(json, "doc"));
            records.push_str("| field | type | default | meaning |\n|---|---|---|---|\n");
            let fields = json["fields"].as_array().unwrap();
            for field in fields {
                let default =
                    field.get("default").map_or(String::new(), |json| format!("`{json}`"));
                let (name, sort) = (text(field, "name"), spelt(&field["type"]));
                let _ =
                    writeln!(records, "| `{name}` | {sort} | {default} | {} |", text(field, "doc"));
            }
            for field in fields {
                section(&field["type"], false, done, records, words, fixed);
            }
        }
        "enum" => enumeration(json, name, words),
        _ => {
            let _ = writeln!(fixed, "| {name} | {} | {} |", json["size"], text(json, "doc"));
        }
    }
}

/// The doc of an enum is one sentence, then `SYMBOL: meaning` for each symbol.
fn enumeration(json: &Json, name: &str, out: &mut String) {
    let doc = text(json, "doc");
    let symbols: Vec<&str> =
        json["symbols"].as_array().unwrap().iter().map(|symbol| symbol.as_str().unwrap()).collect();
    let (head, mut rest) = doc.split_once(&format!(" {}: ", symbols[0])).unwrap();
    let _ = writeln!(out, "\n## {name}\n\n{head} Default {}.\n", text(json, "default"));
    out.push_str("| position | symbol | meaning |\n|---|---|---|\n");
    for (position, symbol) in symbols.iter().enumerate() {
        let (meaning, behind) = match symbols.get(position + 1) {
            Some(next) => rest.split_once(&format!(" {next}: ")).unwrap(),
            None => (rest, ""),
        };
        let _ = writeln!(out, "| {position} | `{symbol}` | {meaning} |");
        rest = behind;
    }
}

fn spelt(json: &Json) -> String {
    match json {
        Json::String(name) => name.clone(),
        Json::Array(branches) => branches.iter().map(spelt).collect::<Vec<_>>().join(" or "),
        _ if json["type"] == "array" => format!("array of {}", spelt(&json["items"])),
        _ => text(json, "name").to_owned(),
    }
}
