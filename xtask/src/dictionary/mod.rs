//! `dictionary-diff`: two editions of the schemas, compared on one page that somebody signs.
//!
//! Promises: one Markdown page on standard output: what was added, removed and changed, by record
//! and field; whether it is compatible, by which rule not; which of it is personal or identifies;
//! the pins before and after; what the data dictionary says of it; a place to sign. It ends with 0
//! when nothing or only compatible changes were found, with 2 when an incompatible one was. Bad
//! usage is told apart ([`Misused`], 64).
//!
//! It reads schema texts by itself: the chores import nobody (`xtask/src/tidy/house.rs`), and a
//! review that asked the kernel would find right whatever the kernel does. A test holds its
//! canonical form against the kernel's vectors.

mod avro;
mod changes;
mod edition;
mod page;
mod report;
mod resolution;
mod review;
mod sensitive;

use anyhow::Result;

/// Arguments of `dictionary-diff`.
#[derive(Debug, clap::Args)]
pub struct DictionaryArgs {
    /// A revision of this repository, a checkout, a folder of Avro schemas, or one schema file.
    old: String,
    /// The same, of what is reviewed. A name that is a path is read as a path.
    new: String,
}

/// A command line that asks for nothing that exists.
#[derive(Debug)]
pub struct Misused(String);

impl std::fmt::Display for Misused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misused {}

/// Prints the page. Gives whether every change is compatible.
///
/// # Errors
/// [`Misused`]; when a schema cannot be read, or git fails.
pub fn run(args: &DictionaryArgs) -> Result<bool> {
    let (old, new) = (edition::load(&args.old)?, edition::load(&args.new)?);
    if !review::have_a_record_in_common(&old, &new) {
        let what = format!("`{}` and `{}` have no record in common", args.old, args.new);
        return Err(Misused(what).into());
    }
    let review = review::review(&old, &new);
    print!("{}", report::markdown(&review));
    Ok(review.is_compatible())
}
