//! The program `ledgerline`. All of it is in the library beside; this is its door.

use std::process::ExitCode;

fn main() -> ExitCode {
    ledgerline::cli::main()
}
