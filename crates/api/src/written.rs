//! JSON objects, written straight into the bytes of an answer.
//!
//! ```text
//! object(|members| {                             {
//!     members.set("index", 7_u64);                 "index":7,
//!     members.set("origin", None::<&str>);         (left out: absent)
//!     members.objects("births", …, |…| …);         "births":[{…},{…}]
//! })                                             }
//! ```
//!
//! Promises: the same JSON as a tree of `serde_json` values would give, without the tree: a page of
//! a hundred tokens has some five thousand members, each of them a node, a name and a text before.
//!
//! Assumes: no name is written twice, and names need no escapes; the latter is checked in debug
//! builds.

use std::collections::BTreeSet;

use ledgerline_proof::hash::Hash;
use serde::Serialize;
use serde_json::Value;

use crate::{time_text, uuid_text};

/// What can stand in JSON.
pub trait Json {
    /// Whether it may be left out: nothing, or a list of nothing.
    fn is_absent(&self) -> bool {
        false
    }

    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);
}

/// Appends what serde knows. Writing into memory does not fail, and nothing here is a map whose
/// names are no text.
fn serde<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

macro_rules! as_serde_has_it {
    ($($plain:ty)*) => {$(
        impl Json for $plain {
            fn write(&self, out: &mut Vec<u8>) {
                serde(self, out);
            }
        }
    )*};
}
as_serde_has_it!(str String bool u8 u16 u32 u64 usize i32 i64 f64);

impl Json for Value {
    fn is_absent(&self) -> bool {
        self.is_null() || self.as_array().is_some_and(Vec::is_empty)
    }

    fn write(&self, out: &mut Vec<u8>) {
        serde(self, out);
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn is_absent(&self) -> bool {
        (**self).is_absent()
    }

    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

impl<T: Json> Json for Option<T> {
    fn is_absent(&self) -> bool {
        self.as_ref().is_none_or(Json::is_absent)
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl<T: Json> Json for [T] {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        list(self, out, Json::write);
    }
}

impl<T: Json> Json for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        self[..].write(out);
    }
}

impl<T: Json> Json for BTreeSet<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        list(self, out, Json::write);
    }
}

/// A time, Unix nanoseconds, as RFC 3339.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub i64);

impl Json for Time {
    fn write(&self, out: &mut Vec<u8>) {
        quoted(out, |out| time_text::write(self.0, out));
    }
}

/// 16 bytes as lower-case hex.
#[derive(Debug, Clone, Copy)]
pub struct Hex(pub [u8; 16]);

impl Json for Hex {
    fn write(&self, out: &mut Vec<u8>) {
        quoted(out, |out| uuid_text::write_hex(&self.0, out));
    }
}

/// A UUID as text.
#[derive(Debug, Clone, Copy)]
pub struct Uuid(pub [u8; 16]);

impl Json for Uuid {
    fn write(&self, out: &mut Vec<u8>) {
        quoted(out, |out| uuid_text::write(&self.0, out));
    }
}

/// A hash as lower-case hex.
impl Json for Hash {
    fn write(&self, out: &mut Vec<u8>) {
        quoted(out, |out| uuid_text::write_hex(self.as_bytes(), out));
    }
}

/// A hash as `sha256:` and lower-case hex.
#[derive(Debug, Clone, Copy)]
pub struct Sha256(pub Hash);

impl Json for Sha256 {
    fn write(&self, out: &mut Vec<u8>) {
        quoted(out, |out| {
            out.extend_from_slice(b"sha256:");
            uuid_text::write_hex(self.0.as_bytes(), out);
        });
    }
}

/// A text that needs no escapes.
fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn list<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut each: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(item, out);
    }
    out.push(b']');
}

/// The members of an object that is being written.
pub struct Members<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl Members<'_> {
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        debug_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        let front: &[u8] = if self.is_first { b"\"" } else { b",\"" };
        self.is_first = false;
        self.out.extend_from_slice(front);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Sets a member, unless the value is absent or an empty list.
    pub fn set(&mut self, name: &str, value: impl Json) {
        if !value.is_absent() {
            value.write(self.name(name));
        }
    }

    /// Sets a member: `null` or an empty list where there is nothing.
    pub fn say(&mut self, name: &str, value: impl Json) {
        value.write(self.name(name));
    }

    /// Sets a time.
    pub fn time(&mut self, name: &str, nanos: Option<i64>) {
        self.set(name, nanos.map(Time));
    }

    /// Sets an object, and hands on what writing it returns.
    pub fn object<T>(&mut self, name: &str, write: impl FnOnce(&mut Members<'_>) -> T) -> T {
        braced(self.name(name), write)
    }

    /// Sets an object, unless there is nothing to write of.
    pub fn some<T>(
        &mut self,
        name: &str,
        value: Option<T>,
        write: impl FnOnce(T, &mut Members<'_>),
    ) {
        if let Some(value) = value {
            self.object(name, |members| write(value, members));
        }
    }

    /// Sets a list of plain values, unless it is empty.
    pub fn list<T: Json>(&mut self, name: &str, items: impl IntoIterator<Item = T>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            list(items, self.name(name), |item, out| item.write(out));
        }
    }

    /// Sets a list of objects, unless it is empty.
    pub fn objects<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        each: impl FnMut(T, &mut Members<'_>),
    ) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.all(name, items, each);
        }
    }

    /// Sets a list of objects, however few.
    pub fn all<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(T, &mut Members<'_>),
    ) {
        let write = |item, out: &mut Vec<u8>| braced(out, |members| each(item, members));
        list(items, self.name(name), write);
    }

    /// Sets a list of objects, unless one of them cannot be written.
    ///
    /// # Errors
    /// Of the first that cannot; what was written is then to be thrown away.
    pub fn try_all<T, E>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(T, &mut Members<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut outcome = Ok(());
        self.all(name, items, |item, members| {
            if outcome.is_ok() {
                outcome = each(item, members);
            }
        });
        outcome
    }

    /// Sets all members of an object that stands as values already.
    pub fn extend(&mut self, object: &Value) {
        for (name, value) in object.as_object().into_iter().flatten() {
            self.say(name, value);
        }
    }
}

fn braced<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Members<'_>) -> T) -> T {
    out.push(b'{');
    let result = write(&mut Members { out, is_first: true });
    out.push(b'}');
    result
}

/// An object as bytes, and what writing it returned.
pub fn object<T>(write: impl FnOnce(&mut Members<'_>) -> T) -> (Vec<u8>, T) {
    let mut out = Vec::with_capacity(1024);
    let result = braced(&mut out, write);
    (out, result)
}

/// An object as a value, where it is not bytes that are needed.
///
/// # Errors
/// Of `write`.
pub fn try_value<E>(write: impl FnOnce(&mut Members<'_>) -> Result<(), E>) -> Result<Value, E> {
    let (bytes, written) = object(write);
    let value = serde_json::from_slice(&bytes);
    debug_assert!(value.is_ok(), "what was written is JSON");
    written.map(|()| value.unwrap_or_default())
}

/// As [`try_value`], of what cannot fail.
pub fn value(write: impl FnOnce(&mut Members<'_>)) -> Value {
    let written = try_value(|members| {
        write(members);
        Ok::<_, std::convert::Infallible>(())
    });
    written.unwrap_or_else(|never| match never {})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(write: impl FnOnce(&mut Members<'_>), expected: &Value) {
        let (bytes, ()) = object(write);
        let text = String::from_utf8(bytes).expect("text");
        assert_eq!(serde_json::from_str::<Value>(&text).expect(&text), *expected, "{text}");
    }

    #[test]
    fn what_is_written_is_the_json_of_the_same_values() {
        let odd = "a \"quoted\" \\ line\nwith \u{1} and \u{2028} ü";
        check(|_| (), &json!({}));
        check(
            |members| {
                members.set("text", odd);
                members.set("number", -7_i64);
                members.set("most", u64::MAX);
                members.set("half", 0.5);
                members.set("whole", 2.0);
                members.set("yes", Some(true));
                members.set("texts", &["", odd][..]);
                members.set("value", json!({ "x": [null, 1.5, odd] }));
            },
            &json!({
                "text": odd, "number": -7, "most": u64::MAX, "half": 0.5, "whole": 2.0,
                "yes": true, "texts": ["", odd], "value": { "x": [null, 1.5, odd] },
            }),
        );
        check(
            |members| {
                members.set("id", Uuid([0xab; 16]));
                members.set("handle", Hex([0xab; 16]));
                members.set("hash", Hash([0x0f; 32]));
                members.set("digest", Sha256(Hash([0x0f; 32])));
                members.time("at", Some(1));
            },
            &json!({
                "id": uuid_text::text(&[0xab; 16]), "handle": "ab".repeat(16),
                "hash": "0f".repeat(32), "digest": format!("sha256:{}", "0f".repeat(32)),
                "at": time_text::rfc3339(1),
            }),
        );
    }

    #[test]
    fn what_is_absent_is_left_out_or_said() {
        let none: [&str; 0] = [];
        check(
            |members| {
                members.set("none", None::<&str>);
                members.set("null", Value::Null);
                members.set("nothing", Vec::<String>::new());
                members.set("empty", Some(json!([])));
                members.time("never", None);
                members.list("list", none);
                members.objects("objects", none, |_, _| ());
                members.some("some", None::<()>, |(), _| ());
            },
            &json!({}),
        );
        check(
            |members| {
                members.say("none", None::<&str>);
                members.say("nothing", Vec::<String>::new());
                members.all("all", none, |_, _| ());
                members.all("two", [1_u64, 2], |n, members| members.set("n", n));
                members.object("object", |_| ());
                members.extend(&json!({ "more": null, "list": [] }));
            },
            &json!({
                "none": null, "nothing": [], "all": [], "two": [{ "n": 1 }, { "n": 2 }],
                "object": {}, "more": null, "list": [],
            }),
        );
    }

    #[test]
    fn a_list_that_cannot_be_written_is_an_error() {
        let write = |members: &mut Members<'_>| {
            members.try_all("list", 0..3_u64, |n, members| {
                members.set("n", n);
                if n == 1 { Err("one") } else { Ok(()) }
            })
        };
        assert_eq!(try_value(write), Err("one"));
    }
}
