//! The program `ledgerline`. All of it is in the library beside; this is its door.

use std::process::ExitCode;

/// Events are allocated by one thread and freed by another, which the system's allocator does
/// slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ledgerline::cli::main()
}
