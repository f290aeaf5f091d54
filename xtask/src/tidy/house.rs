//! The house: which crates there are, what each may use, and which rules hold in it.
//!
//! One table, read by every rule that asks where a file lies, and drawn in ARCHITECTURE.md. A crate
//! is a promise of absence, so a new one is refused until it has a row. Ordered from the ground up:
//! a crate uses rows above its own alone.

/// One workspace member.
pub struct Crate {
    pub package: &'static str,
    /// Folder of the manifest, from the repository root.
    pub folder: &'static str,
    pub kind: Kind,
    /// Workspace crates it may use, in tests too.
    pub uses: &'static [&'static str],
}

/// What rules hold in a crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Arithmetic over bytes: touches nothing of the world.
    Kernel,
    /// Reaches the world through its rooms alone; no async, no protocol, no vendor.
    Engine,
    /// What runs at the edge.
    Program,
    /// Chores.
    Chores,
}

pub const CRATES: &[Crate] = &[
    Crate { package: "ledgerline-proof", folder: "crates/proof", kind: Kind::Kernel, uses: &[] },
    Crate {
        package: "ledgerline-secret-scan",
        folder: "crates/secret_scan",
        kind: Kind::Engine,
        uses: &["ledgerline-proof"],
    },
    Crate {
        package: "ledgerline-api",
        folder: "crates/api",
        kind: Kind::Engine,
        uses: &["ledgerline-proof"],
    },
    Crate {
        package: "ledgerline-statements",
        folder: "crates/statements",
        kind: Kind::Engine,
        uses: &["ledgerline-proof", "ledgerline-secret-scan", "ledgerline-api"],
    },
    Crate {
        package: "ledgerline-client",
        folder: "crates/client",
        kind: Kind::Program,
        uses: &["ledgerline-proof"],
    },
    Crate {
        package: "ledgerline-emitter",
        folder: "sdk/emitter",
        kind: Kind::Program,
        uses: &["ledgerline-proof", "ledgerline-api"],
    },
    Crate {
        package: "ledgerline-set-poll",
        folder: "crates/set_poll",
        kind: Kind::Program,
        uses: &["ledgerline-client"],
    },
    Crate {
        package: "ledgerline-terminal",
        folder: "crates/terminal",
        kind: Kind::Program,
        uses: &["ledgerline-proof", "ledgerline-client"],
    },
    Crate {
        package: "ledgerline-pasted",
        folder: "crates/pasted",
        kind: Kind::Program,
        uses: &["ledgerline-proof", "ledgerline-terminal"],
    },
    Crate {
        package: "ledgerline-adapter",
        folder: "crates/adapter",
        kind: Kind::Program,
        uses: &[
            "ledgerline-proof",
            "ledgerline-secret-scan",
            "ledgerline-api",
            "ledgerline-statements",
        ],
    },
    Crate {
        package: "ledgerline-issuer-logs",
        folder: "crates/issuer_logs",
        kind: Kind::Program,
        uses: &["ledgerline-proof", "ledgerline-api", "ledgerline-adapter"],
    },
    Crate {
        package: "ledgerline-tables",
        folder: "crates/tables",
        kind: Kind::Program,
        uses: &["ledgerline-proof", "ledgerline-api", "ledgerline-adapter"],
    },
    Crate {
        package: "ledgerline-sources",
        folder: "crates/sources",
        kind: Kind::Program,
        uses: &[
            "ledgerline-proof",
            "ledgerline-api",
            "ledgerline-adapter",
            "ledgerline-issuer-logs",
            "ledgerline-tables",
        ],
    },
    Crate { package: "ledgerline-world", folder: "crates/world", kind: Kind::Engine, uses: &[] },
    Crate {
        package: "ledgerline-issuers",
        folder: "crates/issuers",
        kind: Kind::Program,
        uses: &["ledgerline-proof", "ledgerline-api", "ledgerline-client", "ledgerline-world"],
    },
    Crate {
        package: "ledgerline-check",
        folder: "crates/check",
        kind: Kind::Program,
        uses: &[
            "ledgerline-proof",
            "ledgerline-api",
            "ledgerline-world",
            "ledgerline-terminal",
            "ledgerline-pasted",
        ],
    },
    Crate {
        package: "ledgerline-agent",
        folder: "crates/agent",
        kind: Kind::Program,
        uses: &[
            "ledgerline-proof",
            "ledgerline-api",
            "ledgerline-statements",
            "ledgerline-emitter",
            "ledgerline-client",
            "ledgerline-sources",
            "ledgerline-tables",
            "ledgerline-terminal",
        ],
    },
    Crate {
        package: "ledgerline-delivery",
        folder: "crates/delivery",
        kind: Kind::Program,
        uses: &[
            "ledgerline-api",
            "ledgerline-client",
            "ledgerline-sources",
            "ledgerline-tables",
            "ledgerline-terminal",
        ],
    },
    Crate {
        package: "ledgerline-commands",
        folder: "crates/commands",
        kind: Kind::Program,
        uses: &[
            "ledgerline-delivery",
            "ledgerline-proof",
            "ledgerline-api",
            "ledgerline-client",
            "ledgerline-tables",
            "ledgerline-issuers",
            "ledgerline-world",
            "ledgerline-terminal",
            "ledgerline-pasted",
        ],
    },
    Crate {
        package: "ledgerline-vault",
        folder: "crates/vault",
        kind: Kind::Engine,
        uses: &["ledgerline-world", "ledgerline-proof"],
    },
    Crate {
        package: "ledgerline-index",
        folder: "crates/index",
        kind: Kind::Engine,
        uses: &["ledgerline-world", "ledgerline-proof"],
    },
    Crate {
        package: "ledgerline-journal",
        folder: "crates/journal",
        kind: Kind::Engine,
        uses: &["ledgerline-world", "ledgerline-proof"],
    },
    Crate {
        package: "ledgerline-view",
        folder: "crates/view",
        kind: Kind::Engine,
        uses: &[
            "ledgerline-world",
            "ledgerline-proof",
            "ledgerline-journal",
            "ledgerline-index",
            "ledgerline-vault",
        ],
    },
    Crate {
        package: "ledgerline-prover",
        folder: "crates/prover",
        kind: Kind::Engine,
        uses: &[
            "ledgerline-proof",
            "ledgerline-journal",
            "ledgerline-index",
            "ledgerline-vault",
            "ledgerline-view",
        ],
    },
    Crate {
        package: "ledgerline-questions",
        folder: "crates/questions",
        kind: Kind::Engine,
        uses: &["ledgerline-proof", "ledgerline-journal", "ledgerline-index", "ledgerline-view"],
    },
    Crate {
        package: "ledgerline-introspection",
        folder: "crates/introspection",
        kind: Kind::Engine,
        uses: &["ledgerline-proof", "ledgerline-index", "ledgerline-view", "ledgerline-questions"],
    },
    Crate {
        package: "ledgerline-disclosure",
        folder: "crates/disclosure",
        kind: Kind::Engine,
        uses: &[
            "ledgerline-proof",
            "ledgerline-journal",
            "ledgerline-index",
            "ledgerline-vault",
            "ledgerline-view",
            "ledgerline-questions",
        ],
    },
    Crate {
        package: "ledgerline-verify",
        folder: "crates/verify",
        kind: Kind::Engine,
        uses: &[
            "ledgerline-world",
            "ledgerline-proof",
            "ledgerline-journal",
            "ledgerline-index",
            "ledgerline-vault",
            "ledgerline-view",
        ],
    },
    Crate {
        package: "ledgerline-ledger",
        folder: "crates/ledger",
        kind: Kind::Engine,
        uses: &[
            "ledgerline-world",
            "ledgerline-statements",
            "ledgerline-proof",
            "ledgerline-secret-scan",
            "ledgerline-journal",
            "ledgerline-index",
            "ledgerline-vault",
            "ledgerline-view",
        ],
    },
    Crate {
        package: "ledgerline-summaries",
        folder: "crates/summaries",
        kind: Kind::Engine,
        uses: &["ledgerline-world", "ledgerline-proof", "ledgerline-index"],
    },
    Crate {
        package: "ledgerline-followers",
        folder: "crates/followers",
        kind: Kind::Engine,
        uses: &[
            "ledgerline-world",
            "ledgerline-proof",
            "ledgerline-index",
            "ledgerline-summaries",
            "ledgerline-view",
            "ledgerline-questions",
            "ledgerline-verify",
        ],
    },
    Crate {
        package: "ledgerline-expiry",
        folder: "crates/expiry",
        kind: Kind::Engine,
        uses: &["ledgerline-proof", "ledgerline-index", "ledgerline-view", "ledgerline-followers"],
    },
    Crate {
        package: "ledgerline-attendance",
        folder: "crates/attendance",
        kind: Kind::Engine,
        uses: &[
            "ledgerline-proof",
            "ledgerline-view",
            "ledgerline-questions",
            "ledgerline-followers",
        ],
    },
    Crate {
        package: "ledgerline-node",
        folder: "crates/node",
        kind: Kind::Engine,
        uses: &[
            "ledgerline-world",
            "ledgerline-proof",
            "ledgerline-journal",
            "ledgerline-index",
            "ledgerline-vault",
            "ledgerline-view",
            "ledgerline-questions",
            "ledgerline-introspection",
            "ledgerline-disclosure",
            "ledgerline-verify",
            "ledgerline-ledger",
            "ledgerline-followers",
            "ledgerline-expiry",
            "ledgerline-attendance",
        ],
    },
    Crate {
        package: "ledgerline-answers",
        folder: "crates/answers",
        kind: Kind::Program,
        uses: &[
            "ledgerline-proof",
            "ledgerline-api",
            "ledgerline-view",
            "ledgerline-prover",
            "ledgerline-questions",
            "ledgerline-ledger",
            "ledgerline-followers",
            "ledgerline-node",
        ],
    },
    Crate {
        package: "ledgerline-webhook",
        folder: "crates/webhook",
        kind: Kind::Program,
        uses: &[
            "ledgerline-proof",
            "ledgerline-api",
            "ledgerline-client",
            "ledgerline-view",
            "ledgerline-questions",
            "ledgerline-followers",
            "ledgerline-node",
            "ledgerline-answers",
        ],
    },
    Crate {
        package: "ledgerline-gate",
        folder: "crates/gate",
        kind: Kind::Program,
        uses: &[
            "ledgerline-api",
            "ledgerline-client",
            "ledgerline-view",
            "ledgerline-ledger",
            "ledgerline-answers",
        ],
    },
    Crate {
        package: "ledgerline-doors",
        folder: "crates/doors",
        kind: Kind::Program,
        uses: &[
            "ledgerline-proof",
            "ledgerline-api",
            "ledgerline-client",
            "ledgerline-sources",
            "ledgerline-issuers",
            "ledgerline-statements",
            "ledgerline-view",
            "ledgerline-ledger",
            "ledgerline-node",
            "ledgerline-answers",
            "ledgerline-gate",
        ],
    },
    Crate {
        package: "ledgerline-http",
        folder: "crates/http",
        kind: Kind::Program,
        uses: &[
            "ledgerline-proof",
            "ledgerline-api",
            "ledgerline-index",
            "ledgerline-view",
            "ledgerline-prover",
            "ledgerline-questions",
            "ledgerline-introspection",
            "ledgerline-disclosure",
            "ledgerline-ledger",
            "ledgerline-followers",
            "ledgerline-expiry",
            "ledgerline-attendance",
            "ledgerline-node",
            "ledgerline-issuers",
            "ledgerline-answers",
            "ledgerline-webhook",
            "ledgerline-gate",
            "ledgerline-doors",
        ],
    },
    Crate {
        package: "ledgerline-sim",
        folder: "crates/sim",
        kind: Kind::Engine,
        uses: &[
            "ledgerline-world",
            "ledgerline-proof",
            "ledgerline-journal",
            "ledgerline-index",
            "ledgerline-vault",
            "ledgerline-view",
            "ledgerline-prover",
            "ledgerline-questions",
            "ledgerline-introspection",
            "ledgerline-verify",
            "ledgerline-ledger",
            "ledgerline-followers",
            "ledgerline-expiry",
            "ledgerline-attendance",
            "ledgerline-node",
        ],
    },
    Crate {
        package: "ledgerline-cookbook",
        folder: "crates/cookbook",
        kind: Kind::Program,
        uses: &["ledgerline-proof", "ledgerline-api"],
    },
    Crate {
        package: "ledgerline-servers",
        folder: "crates/servers",
        kind: Kind::Chores,
        uses: &[],
    },
    Crate {
        package: "ledgerline",
        folder: "crates/ledgerline",
        kind: Kind::Program,
        uses: &[
            "ledgerline-webhook",
            "ledgerline-gate",
            "ledgerline-doors",
            "ledgerline-http",
            "ledgerline-client",
            "ledgerline-terminal",
            "ledgerline-check",
            "ledgerline-commands",
            "ledgerline-delivery",
            "ledgerline-agent",
            "ledgerline-set-poll",
            "ledgerline-issuers",
            "ledgerline-api",
            "ledgerline-proof",
            "ledgerline-world",
            "ledgerline-vault",
            "ledgerline-journal",
            "ledgerline-view",
            "ledgerline-verify",
            "ledgerline-ledger",
            "ledgerline-followers",
            "ledgerline-node",
            "ledgerline-sim",
            "ledgerline-cookbook",
            "ledgerline-servers",
            "ledgerline-emitter",
        ],
    },
    Crate { package: "xtask", folder: "xtask", kind: Kind::Chores, uses: &["ledgerline-servers"] },
    Crate {
        package: "ledgerline-fuzz",
        folder: "fuzz",
        kind: Kind::Program,
        uses: &[
            "ledgerline-proof",
            "ledgerline-world",
            "ledgerline-vault",
            "ledgerline-index",
            "ledgerline-journal",
            "ledgerline-view",
            "ledgerline-verify",
            "ledgerline-ledger",
            "ledgerline-sim",
        ],
    },
];

/// The crate whose sources a file belongs to; none for its tests, examples and anything else.
pub fn crate_of(path: &str) -> Option<&'static Crate> {
    CRATES
        .iter()
        .find(|one| path.strip_prefix(one.folder).is_some_and(|rest| rest.starts_with("/src/")))
}

/// The kind of the crate whose sources a file belongs to.
pub fn kind_of(path: &str) -> Option<Kind> {
    crate_of(path).map(|one| one.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_uses_rows_above_its_own() {
        for (at, one) in CRATES.iter().enumerate() {
            for used in one.uses {
                let above = CRATES[..at].iter().any(|other| other.package == *used);
                assert!(above, "{} uses {used}, which does not stand above it", one.package);
            }
        }
    }

    /// Who writes knows neither who asks nor who follows, and the verifier knows no writer.
    #[test]
    fn the_walls_stand() {
        let row = |name: &str| {
            let package = format!("ledgerline-{name}");
            CRATES.iter().find(|one| one.package == package).expect("a row of the table")
        };
        for (one, other) in [
            ("ledger", "questions"),
            ("questions", "ledger"),
            ("ledger", "followers"),
            ("followers", "ledger"),
            ("verify", "ledger"),
        ] {
            assert!(!row(one).uses.contains(&row(other).package), "{one} uses {other}");
        }
    }

    #[test]
    fn only_sources_have_a_kind() {
        assert_eq!(kind_of("crates/proof/src/tree.rs"), Some(Kind::Kernel));
        assert_eq!(kind_of("crates/proof/tests/tree.rs"), None);
        assert_eq!(kind_of("crates/ledgerline-proofs/src/tree.rs"), None);
    }
}
