//! One side of a review: the schemas and the data dictionary of a revision, a folder or a file.
//!
//! Promises: a name that is a path is read as one, anything else is asked of git. In a revision and
//! in a checkout the schemas are those of the kernel, wherever its folder lay at the time; in any
//! other folder they are its `*.avsc`. Refuses, as bad usage, what is neither; a text that is no
//! schema is an error that names the file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Misused;
use super::avro::Schema;
use crate::process;

/// Where schemas lie in a revision: below `crates`, in a folder of this name, or with the kernel's
/// older name.
const SCHEMA_FOLDERS: [&str; 2] = ["crates/proof/schemas/", "crates/ledgerline-proof/schemas/"];
const DICTIONARY: &str = "data-dictionary.md";
/// How far above a folder of schemas the root of its checkout is looked for.
const ANCESTORS_MAX: usize = 4;

/// One side of a review.
#[derive(Debug)]
pub struct Edition {
    /// As it was asked for, and the commit where it is a revision.
    pub label: String,
    /// By file name.
    pub schemas: Vec<Version>,
    /// The text of the data dictionary, where there is one.
    pub dictionary: Option<String>,
    /// Whether these are all schemas there are: not so of a single file.
    pub is_whole: bool,
}

/// One schema file.
#[derive(Debug)]
pub struct Version {
    /// Without its folder, such as `entry.v2.avsc`.
    pub file: String,
    /// From the file's name; 0 where it tells none.
    pub number: u32,
    pub text: String,
    pub schema: Schema,
}

/// Reads what `name` stands for.
///
/// # Errors
/// [`Misused`] when it is neither a revision nor a path, or holds no schema.
pub fn load(name: &str) -> Result<Edition> {
    let path = Path::new(name);
    let edition = if path.is_dir() {
        of_folder(name, path)
    } else if path.is_file() {
        let schemas = vec![version(path, &read(path)?)?];
        Ok(Edition { label: code(name), schemas, dictionary: None, is_whole: false })
    } else {
        of_revision(name)
    }?;
    if edition.schemas.is_empty() {
        return Err(Misused(format!("there is no Avro schema (*.avsc) in `{name}`")).into());
    }
    Ok(edition)
}

fn of_folder(name: &str, folder: &Path) -> Result<Edition> {
    let kernels = SCHEMA_FOLDERS.iter().map(|inner| folder.join(inner)).find(|at| at.is_dir());
    let at = kernels.as_deref().unwrap_or(folder);
    let mut schemas = Vec::new();
    for path in files_of(at)? {
        if path.extension().is_some_and(|extension| extension == "avsc") {
            schemas.push(version(&path, &read(&path)?)?);
        }
    }
    let dictionary = dictionary_near(at).map(|path| read(&path)).transpose()?;
    Ok(Edition { label: code(name), schemas, dictionary, is_whole: true })
}

/// The data dictionary in the folder itself, or in the `docs` of the checkout around it.
fn dictionary_near(folder: &Path) -> Option<PathBuf> {
    let own = folder.join(DICTIONARY);
    if own.is_file() {
        return Some(own);
    }
    let folder = folder.canonicalize().ok()?;
    let docs = folder.ancestors().take(ANCESTORS_MAX).map(|above| above.join("docs"));
    docs.filter(|docs| docs.is_dir()).find_map(|docs| {
        let below = files_of(&docs).ok()?.into_iter().filter(|path| path.is_dir());
        let folders = std::iter::once(docs.clone()).chain(below);
        folders.map(|folder| folder.join(DICTIONARY)).find(|path| path.is_file())
    })
}

fn of_revision(name: &str) -> Result<Edition> {
    let commit = format!("{name}^{{commit}}");
    // `--end-of-options`: a name that begins with a dash is a name, not a flag of git.
    let asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
    let commit = process::output(process::command("git", &asked)).map_err(|_| {
        Misused(format!("`{name}` is neither a folder, a file, nor a revision of this repository"))
    })?;
    let commit = commit.trim();
    let listed = ["ls-tree", "-r", "-z", "--name-only", commit];
    let listed = process::output(process::command("git", &listed))?;
    let show = |path: &str| {
        process::output(process::command("git", &["show", &format!("{commit}:{path}")]))
    };
    let paths = || listed.split_terminator('\0');
    let is_schema = |path: &&str| {
        path.ends_with(".avsc") && SCHEMA_FOLDERS.iter().any(|folder| path.starts_with(folder))
    };
    let mut schemas = Vec::new();
    for path in paths().filter(is_schema) {
        schemas.push(version(Path::new(path), &show(path)?)?);
    }
    let is_dictionary =
        |path: &&str| path.starts_with("docs/") && path.rsplit('/').next() == Some(DICTIONARY);
    let dictionary = paths().find(is_dictionary).map(show).transpose()?;
    let label = format!("{} (commit {})", code(name), commit.get(..12).unwrap_or(commit));
    Ok(Edition { label, schemas, dictionary, is_whole: true })
}

fn version(path: &Path, text: &str) -> Result<Version> {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let file = file.unwrap_or_default();
    let schema = Schema::parse(text).with_context(|| format!("{file} is no schema of a record"))?;
    Ok(Version { number: number(&file), file, text: text.to_owned(), schema })
}

/// 2 of `entry.v2.avsc`.
fn number(file: &str) -> u32 {
    let mut parts = file.split('.').filter_map(|part| part.strip_prefix('v'));
    parts.find_map(|digits| digits.parse().ok()).unwrap_or(0)
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()));
    let paths = listed?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_name() {
        assert_eq!(number("entry.v2.avsc"), 2);
        assert_eq!(number("entry.v12.avsc"), 12);
        assert_eq!(number("vault.avsc"), 0);
    }

    #[test]
    fn what_is_nothing_is_bad_usage() {
        for name in ["no-such-revision", "--all", "", "HEAD:README.md"] {
            let error = load(name).expect_err(name);
            assert!(error.is::<Misused>(), "{name}: {error:#}");
        }
    }

    #[test]
    fn the_checkout_and_its_folder_of_schemas_are_the_same() {
        let root = process::root();
        let whole = load(&root.to_string_lossy()).expect("the checkout");
        let folder = load(&root.join(SCHEMA_FOLDERS[0]).to_string_lossy()).expect("the folder");
        let files = |edition: &Edition| {
            edition.schemas.iter().map(|one| one.file.clone()).collect::<Vec<_>>()
        };
        assert_eq!(files(&whole), files(&folder));
        assert!(files(&whole).contains(&"entry.v2.avsc".to_owned()));
        assert!(whole.dictionary.is_some() && whole.dictionary == folder.dictionary);
    }
}
