//! Looks for bearer values, in every way they may have been written.
//!
//! Promises: a value is found raw, in base64 of either alphabet and at any place in what was
//! encoded, in hexadecimal, and escaped for URLs and JSON, in a part or in every letter. Of a JWT
//! the signature alone is looked for too. What it looks at is every byte of every file.

use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Shorter ones stand somewhere by chance.
const LEAST: usize = 12;

/// Where a secret was found, without the secret.
#[derive(Debug)]
pub struct Found {
    pub file: PathBuf,
    /// Which secret, by its place in the list.
    pub secret: usize,
    pub form: &'static str,
}

/// The secrets, ready to be looked for.
pub struct Hunt {
    patterns: AhoCorasick,
    /// Of each pattern: the secret and the form.
    origins: Vec<(usize, &'static str)>,
}

impl Hunt {
    pub fn new(secrets: &[String]) -> Self {
        let (mut patterns, mut origins) = (Vec::new(), Vec::new());
        for (place, secret) in secrets.iter().enumerate() {
            assert!(secret.len() >= LEAST, "secret {place} is too short to be looked for");
            let signature = secret.split('.').nth(2);
            for (form, bytes) in
                forms(secret).into_iter().chain(signature.into_iter().flat_map(forms))
            {
                patterns.push(bytes);
                origins.push((place, form));
            }
        }
        assert!(!patterns.is_empty(), "nothing is looked for");
        Self { patterns: AhoCorasick::new(patterns).expect("small enough"), origins }
    }

    /// Every file below a folder, or the file itself; how many bytes were looked at.
    pub fn files(&self, path: &Path, found: &mut Vec<Found>) -> u64 {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).expect("readable");
            return entries.map(|one| self.files(&one.expect("one").path(), found)).sum();
        }
        let Ok(bytes) = std::fs::read(path) else {
            // Sockets and pipes hold nothing.
            assert!(!path.is_file(), "{} cannot be read", path.display());
            return 0;
        };
        // The patterns of one place may overlap: the first is enough.
        for hit in self.patterns.find_iter(&bytes) {
            let (secret, form) = self.origins[hit.pattern().as_usize()];
            found.push(Found { file: path.to_owned(), secret, form });
        }
        bytes.len().try_into().expect("a length")
    }

    /// Panics with every place where one was found, below any of the folders.
    pub fn nowhere(&self, folders: &[&Path]) {
        let mut found = Vec::new();
        let bytes: u64 = folders.iter().map(|folder| self.files(folder, &mut found)).sum();
        assert!(bytes > 100_000, "only {bytes} bytes were looked at");
        assert!(found.is_empty(), "secrets are written: {found:#?}");
    }
}

/// A value in the ways it may be written.
fn forms(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let each = |write: &dyn Fn(u8) -> String| value.bytes().map(write).collect::<String>();
    let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let mut forms = vec![
        ("raw", value.to_owned()),
        ("hexadecimal", each(&|byte| format!("{byte:02x}"))),
        ("HEXADECIMAL", each(&|byte| format!("{byte:02X}"))),
        ("percent, every letter", each(&|byte| format!("%{byte:02x}"))),
        ("PERCENT, every letter", each(&|byte| format!("%{byte:02X}"))),
        ("json, every letter", each(&|byte| format!("\\u{byte:04x}"))),
        ("JSON, every letter", each(&|byte| format!("\\u{byte:04X}"))),
        ("json", value.replace('/', "\\/")),
        ("percent", percent.to_lowercase()),
        ("PERCENT", percent),
    ];
    for before in 0..3 {
        let padded = [&vec![0; before][..], value.as_bytes()].concat();
        // Letters that the bytes around the value decide as well are left out.
        let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        forms.push(("base64", STANDARD_NO_PAD.encode(&padded)[first..last].to_owned()));
        forms.push(("base64url", URL_SAFE_NO_PAD.encode(&padded)[first..last].to_owned()));
    }
    forms.into_iter().map(|(form, text)| (form, text.into_bytes())).collect()
}

/// The hunt itself, on values that were put there.
pub fn check_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = ["opaque-Value_of.the/test+A".to_owned(), "eyJh.eyJiIn0.c2lnbmF0dXJlLW9m".into()];
    let hunt = Hunt::new(&secrets);
    let check = |written: &[u8], expected: Option<usize>| {
        let path = folder.path().join("file");
        std::fs::write(&path, [b"before-".as_slice(), written, b"-after"].concat())
            .expect("a file");
        let mut found = Vec::new();
        hunt.files(folder.path(), &mut found);
        let first = found.first().map(|found| found.secret);
        assert_eq!(first, expected, "{}", String::from_utf8_lossy(written));
    };
    for (place, secret) in secrets.iter().enumerate() {
        for (_, written) in forms(secret) {
            check(&written, Some(place));
        }
        for before in ["", "a", "ab"] {
            let inside = format!("{before}{secret}, and more");
            check(STANDARD_NO_PAD.encode(&inside).as_bytes(), Some(place));
            check(URL_SAFE_NO_PAD.encode(&inside).as_bytes(), Some(place));
        }
    }
    check(b"c2lnbmF0dXJlLW9m", Some(1));
    check(b"eyJh.eyJiIn0.", None);
    check(b"opaque-Value_of", None);
}
