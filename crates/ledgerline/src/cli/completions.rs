//! `completions`: a script that completes the command line in a shell.

use std::io;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use ledgerline_terminal::exit::{CommandResult, Exit};

/// Arguments of `completions`.
#[derive(Args)]
#[command(after_help = "Example:
  ledgerline completions bash > ledgerline.bash")]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// None of its own.
pub fn run(args: &CompletionsArgs) -> CommandResult {
    clap_complete::generate(args.shell, &mut Cli::command(), "ledgerline", &mut io::stdout());
    Ok(Exit::Ok)
}
