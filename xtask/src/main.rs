//! The repository's chores, one command each. `cargo xtask --help` lists them.
//!
//! What continuous integration runs is `cargo xtask ci` and nothing else, so a developer can run
//! the same thing. This program promises to stop at the first failure and to name what failed. It
//! assumes a git checkout and a Rust toolchain. It refuses to guess: an absent example, tool or
//! fuzz target is an error that says what is missing.

// A program for people at a terminal: printing is its whole interface.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod chores;
mod ci;
mod dictionary;
mod process;
mod servers;
mod tidy;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::chores::{BenchArgs, FuzzArgs, SimArgs};
use crate::dictionary::{DictionaryArgs, Misused};
use crate::servers::ServersArgs;
use crate::tidy::TidyArgs;

/// The repository's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

/// One chore per variant; the doc comment is its help text.
#[derive(Debug, Subcommand)]
enum Chore {
    /// Everything a change must pass: format, clippy, tidy, tests. Stops at the first failure.
    Ci,
    /// Check the house rules that the compiler and clippy do not know.
    Tidy(TidyArgs),
    /// Measure, in a release build, against a reference of the same run.
    Bench(BenchArgs),
    /// Run seeded simulations of the whole engine on a faulty disk, clock and entropy.
    Sim(SimArgs),
    /// Fuzz every target of fuzz/, or one, for a bounded time each.
    Fuzz(FuzzArgs),
    /// Install real servers of other makers, which tests run against, into the user's cache.
    Servers(ServersArgs),
    /// Write the kernel's test vectors anew (look at the difference before you commit it).
    Vectors,
    /// Compare the schemas of two revisions or folders, as a page to sign. Ends with 2 when a
    /// change is incompatible (BACKWARD_TRANSITIVE), with 64 for what is no revision or folder.
    DictionaryDiff(DictionaryArgs),
}

/// A change was found that must not be made.
const INCOMPATIBLE: u8 = 2;
/// The command line asks for nothing that exists, as the program itself says it.
const MISUSED: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_answer = !error.use_stderr();
            // Help that nobody reads, because the pipe is closed, is no failure.
            let _ = error.print();
            return if is_answer { ExitCode::SUCCESS } else { MISUSED.into() };
        }
    };
    match run(arguments.chore) {
        Ok(code) => code,
        Err(error) => {
            // Not returned from main: a backtrace of this program would bury the one line.
            eprintln!("\nerror: {error:#}");
            if error.is::<Misused>() { MISUSED.into() } else { ExitCode::FAILURE }
        }
    }
}

fn run(chore: Chore) -> Result<ExitCode> {
    match chore {
        Chore::Ci => ci::run(),
        Chore::Tidy(args) => tidy::run(&args),
        Chore::Bench(args) => chores::bench(&args),
        Chore::Sim(args) => chores::sim(&args),
        Chore::Fuzz(args) => chores::fuzz(&args),
        Chore::Servers(args) => servers::run(&args),
        Chore::Vectors => chores::vectors(),
        Chore::DictionaryDiff(args) => {
            let is_compatible = dictionary::run(&args)?;
            return Ok(if is_compatible { ExitCode::SUCCESS } else { INCOMPATIBLE.into() });
        }
    }
    .map(|()| ExitCode::SUCCESS)
}
