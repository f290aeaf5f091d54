//! The recording of a real identity provider that lies in `tests/recording`, unpacked.
//!
//! `LEDGERLINE_RECORDING` names another folder of the same files. A clone alone has all that the
//! tests need.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flate2::read::GzDecoder;

/// The folder with the recording's files.
pub fn recording() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| named().unwrap_or_else(unpacked)).clone()
}

fn named() -> Option<PathBuf> {
    std::env::var_os("LEDGERLINE_RECORDING").filter(|name| !name.is_empty()).map(PathBuf::from)
}

/// Unpacks into the test's own folder below `target`. Test programs run beside each other: each
/// file gets its name only when it is whole.
fn unpacked() -> PathBuf {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledgerline/tests/recording");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recording");
    std::fs::create_dir_all(&folder).expect("a folder below target");
    for entry in std::fs::read_dir(&packed).expect("tests/recording") {
        let from = entry.expect("an entry").path();
        let name =
            from.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        let beside = folder.join(format!("{name}.{}", std::process::id()));
        if let Some(plain) = name.strip_suffix(".gz") {
            let mut packed = GzDecoder::new(std::fs::File::open(&from).expect("a packed file"));
            let mut out = std::fs::File::create(&beside).expect("a new file");
            std::io::copy(&mut packed, &mut out).expect("gzip");
            std::fs::rename(&beside, folder.join(plain)).expect("a rename");
        } else {
            std::fs::copy(&from, &beside).expect("a copy");
            std::fs::rename(&beside, folder.join(&name)).expect("a rename");
        }
    }
    folder
}
