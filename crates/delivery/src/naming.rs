//! Region and issuer of token ids that a file does not name in full.

use clap::Args;

/// Under which names ids stand.
#[derive(Args, Clone)]
pub struct Naming {
    /// Home region of the issuer.
    #[arg(long, default_value = "global")]
    pub region: String,
    /// Alias of the issuer.
    #[arg(long, default_value = "idp")]
    pub issuer: String,
}
