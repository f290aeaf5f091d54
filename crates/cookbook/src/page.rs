//! The page of events, in Markdown: the table of this module, and what the schema of an event says
//! about its members.

use std::fmt::Write as _;

use ledgerline_api::event::Event;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::{NEEDED, Nested, OWN_TYPES, RECIPES, RECORDS, RELATIONS, Recipe};

/// Where the page stands in the repository.
pub const PLACE: &str = "docs/reference/events.md";

/// Longest line of prose.
const COLUMNS: usize = 100;

const HEAD: &str = "# Events

What a producer sends with `POST /v1/events`, type by type, with an example of each. How to send
them is in [integrate](../how-to/integrate.md), what is answered in [http](http.md), what to do
about a refusal in [errors](errors.md).

This page is written by `LEDGERLINE_WRITE=1 cargo test -p ledgerline-cookbook`, from the table in
`crates/cookbook` and the comments in `crates/api/src/event.rs`. A test sends every example to a
server, and takes out what is needed to see it refused.

## The smallest event

```json
{
  \"native_id\": \"req-8801\",
  \"type\": \"USED\",
  \"token_id\": \"eu:idp:jti:4f0c\",
  \"occurred_at\": \"2026-01-02T10:12:30Z\"
}
```

Every event needs:
";

const AFTER_NEEDED: &str = "
Nothing else is refused for being absent. But the ledger acts upon much more: below, each type has a
table of what it does with which field, and so of what is lost without it. Any other field may stand
in any event. Unknown fields are refused, `null` is the same as absent.

`tenant` and `source` come from the API key and are refused in an event.
";

/// The members of a form, and the forms they refer to.
struct Forms(Map<String, Value>);

impl Forms {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().for_deserialize();
        let mut generator = settings.into_generator();
        let _ = generator.subschema_for::<Event<'_>>();
        Self(generator.take_definitions(true))
    }

    /// The members of a form that a producer may send, by name.
    fn members(&self, form: &str) -> Vec<(&str, &Value)> {
        let members = self.0.get(form).and_then(|form| form["properties"].as_object());
        let sent = members.into_iter().flatten();
        sent.filter(|(_, member)| member["readOnly"] != true)
            .map(|(name, member)| (name.as_str(), member))
            .collect()
    }

    /// The form that a member of an event holds, or a list of it.
    fn within(&self, member: &str) -> Option<&str> {
        let schema = &self.0.get("Event")?["properties"][member];
        reference(schema).or_else(|| reference(&schema["items"]))
    }

    /// The words of a closed list.
    fn words(&self, name: &str) -> Vec<&str> {
        let words = self.0.get(name).and_then(|form| form["enum"].as_array());
        words.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// What sort of value a member has.
    fn value(&self, schema: &Value) -> String {
        if let Some(name) = reference(schema) {
            let words = self.words(name);
            return match words.is_empty() {
                true => "object".to_owned(),
                false => {
                    words[1..].iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ")
                }
            };
        }
        let first = match &schema["type"] {
            Value::Array(types) => types.first().and_then(Value::as_str),
            one => one.as_str(),
        };
        match (first, schema["format"].as_str()) {
            (Some("array"), _) => format!("list of {}", self.value(&schema["items"])),
            (Some("string"), Some("date-time")) => "RFC 3339 time".to_owned(),
            (Some("string"), Some("uuid")) => "UUID".to_owned(),
            (Some("object"), _) => "object of strings".to_owned(),
            (Some(name), _) => name.to_owned(),
            (None, _) => "object".to_owned(),
        }
    }
}

/// The form that a schema refers to, also one that may be absent.
fn reference(schema: &Value) -> Option<&str> {
    let either = schema["anyOf"].as_array().into_iter().flatten();
    let name = std::iter::once(schema).chain(either).find_map(|one| one["$ref"].as_str())?;
    name.rsplit('/').next()
}

/// A description on one line of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn described(schema: &Value) -> String {
    cell(schema["description"].as_str().unwrap_or_default())
}

/// The words of a text; code within backticks is one.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut within_code = false;
    for part in text.split_whitespace() {
        match words.last_mut().filter(|_| within_code) {
            Some(last) => last.extend([" ", part]),
            None => words.push(part.to_owned()),
        }
        within_code ^= part.matches('`').count() % 2 == 1;
    }
    words
}

/// Adds a paragraph, its lines cut between words. `indent` stands before all lines but the first.
fn paragraph(out: &mut String, text: &str, indent: &str) {
    let mut column = 0;
    for word in words(text) {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > COLUMNS {
            let _ = write!(out, "\n{indent}");
            column = indent.len();
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(&word);
        column += length;
    }
    out.push('\n');
}

fn example(out: &mut String, text: &str) {
    let _ = write!(out, "\n```json\n{text}\n```\n");
}

fn codes(names: &[&str], between: &str) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(between)
}

fn needed(out: &mut String, forms: &Forms) {
    out.push_str("\n| needed | value | meaning |\n|---|---|---|\n");
    let members = forms.members("Event");
    for either in NEEDED {
        let mut values = Vec::new();
        let mut meanings = Vec::new();
        for name in either {
            let Some((_, schema)) = members.iter().find(|(member, _)| member == name) else {
                continue;
            };
            values.push(match *name {
                "type" => "a word, see [types](#types)".to_owned(),
                _ => forms.value(schema),
            });
            meanings.push(match either.len() {
                1 => described(schema),
                _ => format!("`{name}`: {}", described(schema)),
            });
        }
        values.dedup();
        let (values, meanings) = (values.join(" or "), meanings.join(" "));
        let _ = writeln!(out, "| {} | {values} | {meanings} |", codes(either, " or "));
    }
}

/// The name of a heading as links have it.
fn anchor(heading: &str) -> String {
    heading.to_lowercase()
}

fn index(out: &mut String) {
    out.push_str("\n## Types\n\n| type | sent by | effect |\n|---|---|---|\n");
    for recipe in RECIPES {
        let (name, sender) = (recipe.event_type.symbol(), recipe.sender);
        let effect = recipe.effect.split_inclusive(". ").next().unwrap_or_default().trim_end();
        let _ = writeln!(out, "| [{name}](#{}) | {sender} | {effect} |", anchor(name));
    }
    let own: Vec<&str> = OWN_TYPES.iter().map(|own| own.event_type.symbol()).collect();
    out.push('\n');
    let text = "Only the ledger writes [the others](#types-that-only-the-ledger-writes):";
    paragraph(out, &format!("{text} {}.", own.join(", ")), "");
}

fn recipe(out: &mut String, forms: &Forms, recipe: &Recipe) {
    let _ = write!(out, "\n### {}\n\n", recipe.event_type.symbol());
    let targets: Vec<&str> = recipe.targets.iter().map(|kind| kind.symbol()).collect();
    let refused =
        if recipe.only_these { "; about anything else it is refused (`no_effect`)" } else { "" };
    for (what, text) in [
        ("Sent by", recipe.sender.to_owned()),
        ("When", recipe.when.to_owned()),
        ("About", format!("{}{refused}.", targets.join(", "))),
        ("Effect", recipe.effect.to_owned()),
    ] {
        paragraph(out, &format!("- **{what}:** {text}"), "  ");
    }
    out.push_str("\n| field | value | what the ledger does with it |\n|---|---|---|\n");
    let members = forms.members("Event");
    for one in recipe.acted {
        let schema = members.iter().find(|(name, _)| *name == one.field);
        let value = schema.map_or_else(String::new, |(_, schema)| forms.value(schema));
        let _ = writeln!(out, "| {} | {value} | {} |", named(one.field), cell(one.upon));
    }
    if !recipe.also.is_empty() {
        out.push('\n');
        paragraph(out, &format!("Also of use: {}.", codes(recipe.also, ", ")), "");
    }
    example(out, recipe.example);
    if let Some(state) = recipe.state {
        let _ = write!(out, "\nThe token is {} then.\n", state.symbol());
    }
}

/// A field, with a link to its record if it is one.
fn named(field: &str) -> String {
    match RECORDS.iter().any(|record| record.member == field) {
        true => format!("[`{field}`](#{})", anchor(field)),
        false => format!("`{field}`"),
    }
}

fn rows(out: &mut String, forms: &Forms, form: &str, needed: &[&[&str]]) {
    out.push_str("\n| field | | value | meaning |\n|---|---|---|---|\n");
    for (name, schema) in forms.members(form) {
        let either = needed.iter().find(|either| either.contains(&name));
        let mark = match either {
            Some([_]) => "needed",
            Some(_) => "one of these",
            None => "",
        };
        let value = forms.value(schema);
        let _ = writeln!(out, "| `{name}` | {mark} | {value} | {} |", described(schema));
    }
}

fn record(out: &mut String, forms: &Forms, record: &Nested) {
    let _ = write!(out, "\n### {}\n\n", record.member);
    paragraph(out, record.text, "");
    let Some(form) = forms.within(record.member) else { return };
    rows(out, forms, form, record.needed);
    if record.member == "links" {
        out.push_str("\n| relation | upon | the other end |\n|---|---|---|\n");
        for edge in RELATIONS {
            let name = edge.relation.symbol();
            let _ = writeln!(out, "| `{name}` | {} | {} |", edge.upon, edge.other);
        }
    }
    let nested = forms.members(form);
    for (name, inner) in nested.iter().filter_map(|(name, one)| Some((name, reference(one)?))) {
        if forms.words(inner).is_empty() {
            let _ = write!(out, "\nIn `{name}`:\n");
            rows(out, forms, inner, &[&["source"], &["event_id"]]);
        }
    }
    let _ = write!(out, "\nIn an event of the type {}, for example:\n", record.within.symbol());
    example(out, record.example);
}

fn own_types(out: &mut String) {
    out.push_str("\n## Types that only the ledger writes\n\n");
    let text = "They stand in answers, feeds and proofs, under the source `ledger`. An event of \
                one of these types that is sent is refused as `out_of_grant`. Besides, the ledger \
                writes REVOKED in the name of whoever asks for it, USED (vantage INTROSPECTION) \
                of whoever introspects, and ADMIN_ACT of what its own administrators do.";
    paragraph(out, text, "");
    out.push_str("\n| type | written when | about | detail |\n|---|---|---|---|\n");
    for own in OWN_TYPES {
        let name = own.event_type.symbol();
        let when = own.when.unwrap_or("reserved: this version never writes it");
        let _ = writeln!(out, "| {name} | {when} | {} | {} |", own.target, codes(own.detail, ", "));
    }
}

/// The page.
#[must_use]
pub fn page() -> String {
    let forms = Forms::new();
    let mut out = HEAD.to_owned();
    needed(&mut out, &forms);
    out.push_str(AFTER_NEEDED);
    index(&mut out);
    RECIPES.iter().for_each(|one| recipe(&mut out, &forms, one));
    out.push_str("\n## Records within an event\n");
    RECORDS.iter().for_each(|one| record(&mut out, &forms, one));
    out.push_str("\n## All fields\n");
    rows(&mut out, &forms, "Event", &NEEDED);
    own_types(&mut out);
    out
}
