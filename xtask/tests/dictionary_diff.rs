//! `cargo xtask dictionary-diff` from outside: exit codes, and what stands on the page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

fn diff(old: &str, new: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["dictionary-diff", old, new]).current_dir(root());
    command.output().expect("it starts")
}

#[track_caller]
fn page(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// A copy of today's schemas and their data dictionary, in a folder of this test.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn new(name: &str) -> Copy {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        for file in fs::read_dir(root().join("crates/proof/schemas")).expect("the schemas") {
            let path = file.expect("a file").path();
            fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("a copy");
        }
        Copy { folder }
    }

    fn path(&self) -> &str {
        self.folder.to_str().expect("a path in UTF-8")
    }

    /// A new version of a schema, made of an old one.
    fn alter(&self, from: &str, to: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.folder.join(from)).expect(from);
        assert!(text.contains(old), "{from} has no {old}");
        fs::write(self.folder.join(to), text.replacen(old, new, 1)).expect(to);
    }
}

const SCHEMAS: &str = "crates/proof/schemas";

#[test]
fn a_revision_does_not_differ_from_itself() {
    let page = page(&diff("HEAD", "HEAD"), 0);
    assert!(page.contains("\nNo difference.\n"), "{page}");
    assert!(page.ends_with("Verdict: **no difference** in the schemas.\n"), "{page}");
    assert!(page.contains("| reviewer | date | decision"), "{page}");
}

#[test]
fn a_field_without_default_is_incompatible() {
    let copy = Copy::new("without-default");
    let field = r#""fields": [{"name": "user_email", "type": "string", "doc": "Whose."},"#;
    copy.alter("statement.v1.avsc", "statement.v2.avsc", r#""fields": ["#, field);
    let page = page(&diff(SCHEMAS, copy.path()), 2);
    let row = "| `Statement.user_email` | added |  | user_email `string`, no default. Whose. | \
               **no**: READER_FIELD_MISSING_DEFAULT_VALUE at `Statement.user_email`: the reader \
               asks for `user_email` and has no default | yes | **sounds personal, outside the \
               sealed record** |";
    assert!(page.contains(row), "{page}");
    // The kernel's own pin of version 1 stands on the page as the one before.
    let pin = "5327fb1027701c7abe177ef2e2f6389c24b5d366b9b7a9d5298e92b5f56f4d34";
    assert!(page.contains(pin), "{page}");
    assert!(page.contains("seen by the privacy office"), "{page}");
    let verdict = "Verdict: **incompatible** (BACKWARD_TRANSITIVE) in `dev.ledgerline.Statement`.";
    assert!(page.trim_end().ends_with(verdict), "{page}");
}

#[test]
fn a_new_version_that_reads_the_old_ones_is_compatible() {
    let copy = Copy::new("compatible");
    let symbols = r#""symbols": ["OTHER", "ALLOW", "#;
    let more = r#""symbols": ["OTHER", "MAYBE", "ALLOW", "#;
    copy.alter("statement.v1.avsc", "statement.v2.avsc", symbols, more);
    let page_text = fs::read_to_string(root().join("docs/reference/data-dictionary.md"));
    // The page may move; a copy beside the schemas is read first.
    let page_text = page_text.expect("the data dictionary");
    let added = page_text.replace("## Outcome\n\nHow the act ended.", "## Outcome\n\nHow it went.");
    assert_ne!(page_text, added, "the dictionary has the outcomes");
    fs::write(copy.folder.join("data-dictionary.md"), added).expect("a page");
    let page = page(&diff("HEAD", copy.path()), 0);
    assert!(page.contains("| `Outcome.MAYBE` | added |  | MAYBE | yes | yes |"), "{page}");
    assert!(page.contains("| Outcome | `(text)` | no | How the act ended. Only"), "{page}");
    assert!(page.contains("not in the new data dictionary:\n\n- `Outcome.MAYBE`\n"), "{page}");
    assert!(page.contains("Verdict: **compatible** (BACKWARD_TRANSITIVE), "), "{page}");
}

#[test]
fn a_published_text_that_was_changed_is_told() {
    let copy = Copy::new("in-place");
    copy.alter(
        "refusal.v1.avsc",
        "refusal.v1.avsc",
        "When it was refused",
        "When it was turned away",
    );
    let page = page(&diff(SCHEMAS, copy.path()), 0);
    assert!(page.contains("### `refusal.v1.avsc`, changed in place"), "{page}");
    assert!(page.contains("**A published text was changed.**"), "{page}");
    assert!(page.contains("No ledger announced the text"), "{page}");
}

#[test]
fn bad_usage_has_its_own_code() {
    for (old, new) in [("HEAD", "no-such-revision"), ("docs", "HEAD"), ("", "HEAD")] {
        let output = diff(old, new);
        assert_eq!(output.status.code(), Some(64), "{old} {new}");
        assert!(output.stdout.is_empty(), "{old} {new}");
        assert!(!output.stderr.is_empty(), "{old} {new}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = command.args(["dictionary-diff", "HEAD"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(64));
    let broken = Copy::new("broken");
    fs::write(broken.folder.join("block.v2.avsc"), "{").expect("a file");
    assert_eq!(diff("HEAD", broken.path()).status.code(), Some(1), "no bad usage, but an error");
}
