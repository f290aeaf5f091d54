//! The real servers that tests run against: which there are, installing them, where they lie.
//!
//! Promises: the same folder and the same pins as the tests use, which install what is missing by
//! themselves; this does it beforehand, where there is a network. Refuses a name it does not know.

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use ledgerline_servers::{PACKAGES, cache, find};

/// Arguments of `servers`.
#[derive(Debug, Args)]
pub struct ServersArgs {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List them, and which of them are installed.
    List,
    /// Install by name, unless it is there as it is pinned.
    Install {
        /// As `list` says them.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Print where one lies. Fails when it is not installed.
    Path {
        /// As `list` says it.
        name: String,
    },
}

/// Lists, installs or finds.
///
/// # Errors
/// When a name is unknown, the package cannot be installed here, or the one asked for is not there.
pub fn run(args: &ServersArgs) -> Result<()> {
    let cache = cache()?;
    match &args.act {
        Act::List => {
            for one in PACKAGES {
                let is = if one.place(&cache).is_some() { "installed" } else { "-" };
                println!("{:15} {is:10} {}", one.name, one.about);
            }
            println!("\nbelow {} (LEDGERLINE_SERVERS names another folder)", cache.display());
        }
        Act::Install { names } => {
            for name in names {
                let place = find(name)?.ensure(&cache);
                println!("{}", place.with_context(|| format!("installing {name}"))?.display());
            }
        }
        Act::Path { name } => {
            let place = find(name)?.place(&cache);
            let cure = || format!("not installed: `cargo xtask servers install {name}`");
            println!("{}", place.with_context(cure)?.display());
        }
    }
    Ok(())
}
