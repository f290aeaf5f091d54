//! What gave no event, set aside for somebody to look at: where it stands, and its shape.
//!
//! ```text
//! {"at":"…","tail":"provider","file":"events.ndjson","line":17,"bytes":240,
//!  "code":"unknown_shape","detail":"…","shape":{"time":"text 24","event":"text 13"}}
//! ```
//!
//! Promises: no value of a line is kept: of texts their length, of numbers that they are some, of
//! names of members only plain words. The files are bounded: beyond [`FILE_BYTES_MAX`] the newer
//! one becomes the older one, and what was in that is gone.
//!
//! Assumes: the line itself is still in its file when somebody looks.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use ledgerline_api::time_text;
use serde_json::{Map, Value, json};

use crate::state::append_private;

/// Bytes of one file; there are two.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Longest shape, in bytes.
const SHAPE_BYTES_MAX: usize = 2048;
/// Members and items of one value that a shape shows.
const WIDTH_MAX: usize = 32;
const DEPTH_MAX: usize = 4;

/// The files.
pub struct Aside {
    file: PathBuf,
    older: PathBuf,
    writing: Mutex<()>,
}

/// Where something stands that gave no event.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// The tail.
    pub tail: &'p str,
    /// Name of its file.
    pub file: &'p str,
    /// Line, from 1.
    pub line: u64,
}

impl Aside {
    /// In a state folder.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        let (file, older) = (state.join("aside.ndjson"), state.join("aside.1.ndjson"));
        Self { file, older, writing: Mutex::default() }
    }

    /// Sets something aside. What cannot be written is counted all the same, and logged.
    pub fn put(&self, now: i64, place: Place<'_>, line: &[u8], code: &str, detail: &str) {
        let mut entry = json!({
            "at": time_text::rfc3339(now),
            "tail": place.tail,
            "file": place.file,
            "line": place.line,
            "bytes": line.len(),
            "code": code,
            "detail": detail,
        });
        if let Some(shape) = shape_of(line) {
            entry["shape"] = shape;
        }
        self.write(&entry);
    }

    /// Sets aside that the ledger refused an event for good.
    pub fn refused(&self, now: i64, event_id: &str, code: &str) {
        self.write(&json!({ "at": time_text::rfc3339(now), "event_id": event_id, "code": code }));
    }

    fn write(&self, entry: &Value) {
        let mut text = entry.to_string();
        text.push('\n');
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let write = || {
            if fs::metadata(&self.file).is_ok_and(|found| found.len() > FILE_BYTES_MAX) {
                fs::rename(&self.file, &self.older)?;
            }
            append_private(&self.file)?.write_all(text.as_bytes())
        };
        if let Err(error) = write() {
            tracing::error!(code = "aside_failed", %error, "what is set aside cannot be written");
        }
    }
}

/// The shape of what may be a JSON value.
fn shape_of(line: &[u8]) -> Option<Value> {
    let shape = shape(&serde_json::from_slice(line).ok()?, 0);
    (shape.to_string().len() <= SHAPE_BYTES_MAX).then_some(shape)
}

fn shape(value: &Value, depth: usize) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => "yes or no".into(),
        Value::Number(_) => "number".into(),
        Value::String(text) => format!("text {}", text.len()).into(),
        Value::Array(items) if depth < DEPTH_MAX => {
            items.iter().take(WIDTH_MAX).map(|item| shape(item, depth + 1)).collect()
        }
        Value::Object(members) if depth < DEPTH_MAX => {
            let mut shown = Map::new();
            for (name, value) in members.iter().take(WIDTH_MAX) {
                shown.insert(plain(name), shape(value, depth + 1));
            }
            shown.into()
        }
        Value::Array(items) => format!("list {}", items.len()).into(),
        Value::Object(members) => format!("object {}", members.len()).into(),
    }
}

/// A name that is a plain word; of any other only its length, for it may be a secret.
fn plain(name: &str) -> String {
    let is_word = name.len() <= 32
        && name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_.-".contains(&byte));
    if is_word { name.to_owned() } else { format!("name {}", name.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let aside = Aside::new(folder.path());
        let place = Place { tail: "provider", file: "events.ndjson", line: 7 };
        for line in [
            r#"{"token":"s3cret","n":4711,"deep":[{"a":{"b":{"c":{"d":"s3cret"}}}}]}"#,
            r#"{"s3cret":1}"#,
            "s3cret",
            r#"{"torn":"s3cret"#,
        ] {
            aside.put(0, place, line.as_bytes(), "unknown_shape", "why");
        }
        let text = fs::read_to_string(folder.path().join("aside.ndjson")).unwrap();
        assert_eq!(text.lines().count(), 4);
        assert!(!text.contains("s3cret") && !text.contains("4711"), "{text}");
        assert!(text.contains(r#""token":"text 6""#), "{text}");
        assert!(text.contains(r#""line":7"#), "{text}");
    }

    #[test]
    fn the_files_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let aside = Aside::new(folder.path());
        let place = Place { tail: "t", file: "f", line: 1 };
        fs::write(&aside.file, vec![b'x'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]).unwrap();
        aside.put(0, place, b"{}", "code", "why");
        assert!(fs::metadata(&aside.file).unwrap().len() < 1000);
        assert!(fs::metadata(&aside.older).unwrap().len() > FILE_BYTES_MAX);
    }
}
