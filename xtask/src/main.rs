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
mod process;
mod tidy;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::chores::{BenchArgs, FuzzArgs, SimArgs};
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
    /// Write the kernel's test vectors anew (look at the difference before you commit it).
    Vectors,
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not returned from main: a backtrace of this program would bury the one line.
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Ci => ci::run(),
        Chore::Tidy(args) => tidy::run(&args),
        Chore::Bench(args) => chores::bench(&args),
        Chore::Sim(args) => chores::sim(&args),
        Chore::Fuzz(args) => chores::fuzz(&args),
        Chore::Vectors => chores::vectors(),
    }
}
