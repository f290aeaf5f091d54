//! Runs seeded simulations of the whole engine: `cargo xtask sim --seeds 1000 --start 0`.
//!
//! Prints what really happened, so that runs that test nothing are visible. Exits 1 at the first
//! seed that fails, with every step up to the failure and how to run it again.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

use std::process::ExitCode;
use std::time::Instant;

use ledgerline_sim::{Tally, run};

struct Options {
    seeds: u64,
    start: u64,
    verbose: bool,
    keep_going: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options { seeds: 100, start: 0, verbose: false, keep_going: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or(format!("{word} needs a number"))?;
            value.parse::<u64>().map_err(|error| format!("{word} {value}: {error}"))
        };
        match word.as_str() {
            "--seeds" => options.seeds = number()?,
            "--start" => options.start = number()?,
            "--verbose" => options.verbose = true,
            "--keep-going" => options.keep_going = true,
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\nusage: sim [--seeds N] [--start S] [--verbose] [--keep-going]");
            return ExitCode::from(64);
        }
    };
    let began = Instant::now();
    let (mut tally, mut failed) = (Tally::default(), 0_u64);
    for seed in options.start..options.start.saturating_add(options.seeds) {
        match run(seed) {
            Ok(held) => {
                if options.verbose {
                    for (number, step) in held.trace.iter().enumerate() {
                        println!("{number:>5}  {step}");
                    }
                }
                tally.join(&held.tally);
            }
            Err(failure) if options.keep_going => {
                eprintln!("seed {seed} failed: {}", failure.what);
                failed += 1;
            }
            Err(failure) => {
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
        let done = seed - options.start + 1;
        if done.is_multiple_of(100) {
            println!("{done} seeds in {:.1} s", began.elapsed().as_secs_f64());
        }
    }
    println!("{tally}");
    let millis = began.elapsed().as_millis() / u128::from(options.seeds.max(1));
    println!("{} seeds, {millis} ms a seed, {failed} failed", options.seeds);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
