//! One record of a log, read by the rules of its identifiers.

use std::borrow::Cow;

use ledgerline_secret_scan::{holds_secret, may_name_secret};
use serde_json_borrow::Value;

use crate::record::{Identifier, Rule, time};
use crate::token_id::is_jws;
use crate::{Millis, Naming, Problem};

/// Longest text that a quarantined record shows.
const SHOWN_BYTES_MAX: usize = 200;

/// A record and what may be read of it. Places are JSON pointers (RFC 6901).
pub struct Record<'v> {
    value: &'v Value<'v>,
    identifiers: &'static [Identifier],
    naming: &'v Naming,
}

impl<'v> Record<'v> {
    pub(super) fn new<'a: 'v>(
        value: &'v Value<'a>,
        identifiers: &'static [Identifier],
        naming: &'v Naming,
    ) -> Self {
        Self { value: shortened(value), identifiers, naming }
    }

    /// Whether something other than null stands there.
    pub fn has(&self, at: &str) -> bool {
        find(self.value, at).is_some_and(|value| !value.is_null())
    }

    /// A text whose rule is [`Rule::Safe`]; `None` when it is absent, empty or no text.
    pub fn safe(&self, at: &str) -> Option<&'v str> {
        self.assert_rule(at, Rule::Safe);
        text(find(self.value, at)?)
    }

    /// As [`Self::safe`], for what must be there.
    pub fn needs(&self, at: &'static str) -> Result<&'v str, Problem> {
        self.safe(at).ok_or(Problem::Missing(at))
    }

    /// A whole number whose rule is [`Rule::Safe`], also one that stands in a text.
    pub fn number(&self, at: &str) -> Option<i64> {
        self.assert_rule(at, Rule::Safe);
        let value = find(self.value, at)?;
        value.as_i64().or_else(|| text(value)?.parse().ok())
    }

    /// Whether `true` stands there.
    pub fn is_true(&self, at: &str) -> bool {
        self.assert_rule(at, Rule::Safe);
        find(self.value, at).is_some_and(|value| value.as_bool() == Some(true))
    }

    /// When something is, as RFC 3339 or without a zone in UTC.
    pub fn time(&self, at: &str) -> Option<Millis> {
        time(self.safe(at)?)
    }

    /// The first of several places where a text stands.
    pub fn safe_at(&self, places: &[&str]) -> Option<&'v str> {
        places.iter().find_map(|at| self.safe(at))
    }

    /// As [`Self::safe_at`], for a personal record.
    pub fn personal_at(&self, places: &[&str]) -> Option<&'v str> {
        places.iter().find_map(|at| self.personal(at))
    }

    /// Refuses a record in which anything looks like a bearer value: in a text of it, or as a
    /// member of a name that holds them.
    pub fn refuse_secrets(&self) -> Result<(), Problem> {
        if holds_any(self.value) { Err(Problem::Secret("the record")) } else { Ok(()) }
    }

    /// Whether `true` or `false` stands there.
    pub fn is_truth(&self, at: &str) -> bool {
        self.assert_rule(at, Rule::Safe);
        find(self.value, at).is_some_and(|value| value.as_bool().is_some())
    }

    /// The token id (`t1`) of a bearer value.
    ///
    /// # Errors
    /// [`Problem::WeakToken`] for one of fewer than 128 bits.
    pub fn hashed(&self, at: &'static str) -> Result<Option<String>, Problem> {
        self.assert_rule(at, Rule::Hash);
        let Some(value) = find(self.value, at).and_then(text) else { return Ok(None) };
        self.naming.bearer(value).map(Some).ok_or(Problem::WeakToken(at))
    }

    /// The digest of what may be presented to somebody, such as a cookie's session: `jh:` and 43
    /// characters, as in the id of a wide target.
    pub fn digested(&self, at: &str) -> Option<String> {
        self.assert_rule(at, Rule::Hash);
        let whole = self.naming.jti_digest(find(self.value, at).and_then(text)?);
        Some(whole.rsplitn(3, ':').take(2).fold(String::new(), |end, part| {
            if end.is_empty() { part.to_owned() } else { format!("{part}:{end}") }
        }))
    }

    /// A text whose rule is [`Rule::Hash`], for an adapter whose source may have hashed it already,
    /// and which looks whether it did.
    pub fn hashed_by_source(&self, at: &str) -> Option<&'v str> {
        self.assert_rule(at, Rule::Hash);
        text(find(self.value, at)?)
    }

    /// A value for a personal record.
    pub fn personal(&self, at: &str) -> Option<&'v str> {
        self.assert_rule(at, Rule::Personal);
        text(find(self.value, at)?)
    }

    /// The texts of a list whose rule (that of `at` with `/*`) is [`Rule::Safe`], or the words of
    /// a text.
    pub fn list(&self, at: &str) -> Vec<String> {
        self.assert_rule(at, Rule::Safe);
        match find(self.value, at) {
            Some(Value::Array(each)) => {
                each.iter().filter_map(text).map(ToOwned::to_owned).collect()
            }
            Some(Value::Str(words)) => {
                words.split_ascii_whitespace().map(ToOwned::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The parts of a list or the members of an object, as records of the same rules whose places
    /// begin at the part. `under` is the pointer with `*` for the part.
    pub fn each(&self, at: &str) -> Vec<Part<'v>> {
        match find(self.value, at) {
            Some(Value::Array(each)) => {
                each.iter().map(|value| Part { name: "", value: shortened(value) }).collect()
            }
            Some(Value::Object(members)) => {
                let part = |(name, value): (&'v str, &'v Value<'_>)| Part {
                    name,
                    value: shortened(value),
                };
                members.iter().map(part).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A text of a part of [`Self::each`]; `rule` is the pointer of its rule.
    pub fn safe_of(&self, part: &Part<'v>, at: &str, rule: &str) -> Option<&'v str> {
        self.assert_rule(rule, Rule::Safe);
        text(find(part.value, at)?)
    }

    /// As [`Self::safe_of`], for a personal record.
    pub fn personal_of(&self, part: &Part<'v>, at: &str, rule: &str) -> Option<&'v str> {
        self.assert_rule(rule, Rule::Personal);
        text(find(part.value, at)?)
    }

    /// Where its ids stand.
    pub fn naming(&self) -> &'v Naming {
        self.naming
    }

    fn assert_rule(&self, at: &str, rule: Rule) {
        debug_assert!(
            self.identifiers.iter().any(|one| one.rule == rule && covers(one.at, at)),
            "{at} is read as {rule:?}, and the table has no such rule"
        );
    }
}

/// A part of a list, or a member of an object.
pub struct Part<'v> {
    /// Of a member its name, of an element nothing.
    pub name: &'v str,
    value: &'v Value<'v>,
}

/// `Value` keeps its texts in `Cow`s, over which it is covariant.
fn shortened<'v, 'a: 'v>(value: &'v Value<'a>) -> &'v Value<'v> {
    value
}

fn text<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::Str(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// What a pointer names.
pub fn find<'v>(value: &'v Value<'v>, at: &str) -> Option<&'v Value<'v>> {
    at.split('/').skip(1).try_fold(value, |value, step| {
        let step: Cow<'_, str> = if step.contains('~') {
            step.replace("~1", "/").replace("~0", "~").into()
        } else {
            step.into()
        };
        match value {
            Value::Object(members) => members.get(&step),
            Value::Array(each) => each.get(step.parse::<usize>().ok()?),
            _ => None,
        }
    })
}

/// Whether any text looks like a secret, by itself or by the name of its member.
fn holds_any(value: &Value<'_>) -> bool {
    match value {
        Value::Str(text) => holds_secret(text.as_bytes()),
        Value::Array(each) => each.iter().any(holds_any),
        Value::Object(members) => members.iter().any(|(name, value)| {
            let named = match value {
                Value::Str(text) if !text.is_empty() && *text != "-" => {
                    holds_credentials(name)
                        || may_name_secret(name)
                            && holds_secret(format!("{name}={text}").as_bytes())
                }
                _ => false,
            };
            named || holds_secret(name.as_bytes()) || holds_any(value)
        }),
        _ => false,
    }
}

/// How the names of members end that hold what is presented as a credential.
const CREDENTIALS: &[&str] = &[
    "authorization",
    "cookie",
    "password",
    "access_token",
    "refresh_token",
    "id_token",
    "bearer_token",
    "client_secret",
    "api_key",
];

/// Whether a name is one of those, alone or as its last words; in any case, with any mark between.
fn holds_credentials(name: &str) -> bool {
    let name = name.as_bytes();
    CREDENTIALS.iter().any(|end| {
        let Some(before) = name.len().checked_sub(end.len()) else { return false };
        let alike = |(one, other): (&u8, u8)| match other {
            b'_' => !one.is_ascii_alphanumeric(),
            _ => one.eq_ignore_ascii_case(&other),
        };
        name[before..].iter().zip(end.bytes()).all(alike)
            && (before == 0 || !name[before - 1].is_ascii_alphanumeric())
    })
}

/// Whether a rule's place covers another: `*` stands for one step, a trailing `/*` for the place
/// itself, too.
fn covers(rule: &str, at: &str) -> bool {
    let (mut steps, mut others) = (rule.split('/'), at.split('/'));
    loop {
        match (steps.next(), others.next()) {
            (None, None) => return true,
            (Some("*"), None) => return steps.next().is_none(),
            (Some(step), Some(other)) if step == "*" || step == other => {}
            _ => return false,
        }
    }
}

/// A record without what may be secret or personal: its structure, and the values whose rule is
/// [`Rule::Safe`]; of the others their kind and length.
pub fn scrubbed(value: &Value<'_>, identifiers: &[Identifier]) -> String {
    let mut place = String::new();
    let value = scrub(value, identifiers, &mut place);
    value.to_string()
}

fn scrub(value: &Value<'_>, identifiers: &[Identifier], place: &mut String) -> serde_json::Value {
    let is_safe =
        |place: &str| identifiers.iter().any(|one| one.rule == Rule::Safe && covers(one.at, place));
    let end = place.len();
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(_) if is_safe(place) => value.clone().into(),
        Value::Number(_) => "(a number)".into(),
        Value::Str(text) if is_safe(place) && may_be_shown(text) => text.as_ref().into(),
        Value::Str(text) => format!("(a text of {} bytes)", text.len()).into(),
        Value::Array(each) => {
            let parts = each.iter().map(|part| {
                place.push_str("/*");
                let part = scrub(part, identifiers, place);
                place.truncate(end);
                part
            });
            parts.collect::<Vec<_>>().into()
        }
        Value::Object(members) => {
            let mut out = serde_json::Map::new();
            for (number, (name, value)) in members.iter().enumerate() {
                place.push('/');
                place.push_str(&name.replace('~', "~0").replace('/', "~1"));
                let is_known = identifiers.iter().any(|one| is_on_the_way(one.at, place));
                // A member's name can be a value, such as a map of tokens.
                let shown = if is_known || is_word(name) {
                    name.to_owned()
                } else {
                    format!("(member {number})")
                };
                out.insert(shown, scrub(value, identifiers, place));
                place.truncate(end);
            }
            out.into()
        }
    }
}

/// Whether a text looks like what its rule says it is: an altered record may have a token where an
/// id belongs, and a token is long or has a JOSE header (`eyJ` is base64 of `{"`).
fn may_be_shown(text: &str) -> bool {
    text.len() <= SHOWN_BYTES_MAX
        && !is_jws(text)
        && !text.contains("eyJ")
        && !holds_secret(text.as_bytes())
}

/// Whether a rule's place is this one or lies within it, and names its last step.
fn is_on_the_way(rule: &str, at: &str) -> bool {
    let (mut steps, mut is_named) = (rule.split('/'), false);
    let is_on = at.split('/').all(|other| {
        let step = steps.next();
        is_named = step == Some(other);
        is_named || step == Some("*")
    });
    is_on && is_named
}

/// A name as programs give them to members: short, of letters.
fn is_word(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-');
    (1..=32).contains(&name.len()) && name.bytes().all(sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &[Identifier] = &[
        Identifier { at: "/id", rule: Rule::Safe },
        Identifier { at: "/details/token", rule: Rule::Hash },
        Identifier { at: "/who", rule: Rule::Personal },
        Identifier { at: "/list/*", rule: Rule::Safe },
        Identifier { at: "/map/*/kept", rule: Rule::Safe },
        Identifier { at: "/odd/a~1b", rule: Rule::Safe },
    ];

    #[test]
    fn reads_by_the_rules() {
        let naming = Naming::new("eu", "idp").expect("sound names");
        let json = r#"{"id":"x","details":{"token":"AAAAAAAAAAAAAAAAAAAAAA"},"who":"alice",
            "list":["a","b"],"map":{"m":{"kept":"k"}},"odd":{"a/b":"7"}}"#;
        let value: Value<'_> = serde_json::from_str(json).expect("JSON");
        let record = Record::new(&value, RULES, &naming);
        assert_eq!(record.safe("/id"), Some("x"));
        assert_eq!(record.safe("/odd/a~1b"), Some("7"));
        assert_eq!(record.number("/odd/a~1b"), Some(7));
        assert_eq!(record.personal("/who"), Some("alice"));
        assert_eq!(record.list("/list"), ["a", "b"]);
        let hashed = record.hashed("/details/token").expect("strong").expect("there");
        assert!(hashed.starts_with("eu:idp:t1:"), "{hashed}");
        let parts = record.each("/map");
        assert_eq!(parts[0].name, "m");
        assert_eq!(record.safe_of(&parts[0], "/kept", "/map/*/kept"), Some("k"));
    }

    #[test]
    fn members_that_hold_credentials_are_known_by_their_names() {
        for (name, expected) in [
            ("authorization", true),
            ("Authorization", true),
            ("http-authorization", true),
            ("set-cookie", true),
            ("access-token", true),
            ("ACCESS_TOKEN", true),
            ("id_token", true),
            ("valid_token", false),
            ("preauthorization", false),
            ("token", false),
            ("path", false),
        ] {
            assert_eq!(holds_credentials(name), expected, "{name}");
        }
    }

    #[test]
    #[should_panic(expected = "no such rule")]
    fn a_hashed_value_cannot_be_read_in_clear() {
        let naming = Naming::new("eu", "idp").expect("sound names");
        let value: Value<'_> = serde_json::from_str("{}").expect("JSON");
        Record::new(&value, RULES, &naming).safe("/details/token");
    }

    #[test]
    fn a_token_where_an_id_belongs_is_not_shown() {
        for odd in ["eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln", &"x".repeat(201), "id eyJhIjoxfQ"] {
            let json = format!(r#"{{"id":"{odd}"}}"#);
            let value: Value<'_> = serde_json::from_str(&json).expect("JSON");
            assert!(!scrubbed(&value, RULES).contains(odd), "{odd}");
        }
    }

    #[test]
    fn a_scrubbed_record_keeps_its_structure_and_what_is_safe() {
        let json = r#"{"id":"x","details":{"token":"SECRET","n":5,"new":true},"who":"alice",
            "list":["a"],"map":{"SECRETSECRETSECRETSECRETSECRETSECRET":{"kept":"k","other":"o"},
            "s3cret":1},"odd":{"a/b":"7"}}"#;
        let value: Value<'_> = serde_json::from_str(json).expect("JSON");
        let out = scrubbed(&value, RULES);
        for hidden in ["SECRET", "alice", "s3cret", "\"o\"", "5,"] {
            assert!(!out.contains(hidden), "{hidden} in {out}");
        }
        for kept in
            ["\"id\":\"x\"", "[\"a\"]", "\"kept\":\"k\"", "a text of 6 bytes", "\"7\"", "true"]
        {
            assert!(out.contains(kept), "{kept} not in {out}");
        }
    }
}
