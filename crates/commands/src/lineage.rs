//! `lineage`: what a token came of, and what came of it.

use clap::{Args, ValueEnum};
use ledgerline_pasted::paste::in_the_history;
use ledgerline_proof::token_id::{TokenId, looks_like_token};
use serde_json::Value;

use crate::Context;
use crate::lookup::Narrow;
use crate::question::{About, Ask, Moment, list, rows, text};
use ledgerline_terminal::exit::{CommandResult, Failure};
use ledgerline_terminal::render::table;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    Ancestors,
    Descendants,
    Family,
}

/// Arguments of `lineage`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline lineage eu-west-1:idp:jti:4f0c
  ledgerline lineage --direction ancestors eu-west-1:idp:jti:4f0c
  ledgerline lineage --to eu-west-1:idp:jti:9b1e eu-west-1:idp:jti:4f0c")]
pub struct LineageArgs {
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    narrow: Narrow,
    /// Which way.
    #[arg(long, value_enum, default_value = "family", conflicts_with = "to")]
    direction: Direction,
    /// Show a path to this token instead.
    #[arg(long, value_name = "TOKEN")]
    to: Option<String>,
    /// Edges to go at most.
    #[arg(long)]
    depth: Option<u32>,
    /// Tokens to show at most.
    #[arg(long)]
    tokens: Option<u32>,
    /// Follow only links with both ids named by the source, every stated link, or also what has a
    /// family, grant or session in common [default: stated].
    #[arg(long, value_parser = ["asserted", "stated", "joined"])]
    strength: Option<String>,
    /// Token id, or `-` to read the token itself from standard input.
    #[arg(value_name = "TOKEN")]
    token: String,
}

/// Shows the lineage.
///
/// # Errors
/// Usage for a raw token; an error when the ledger knows no such token.
pub fn run(context: &mut Context, args: LineageArgs) -> CommandResult {
    let (narrow, depth, tokens) = (&args.narrow, args.depth, args.tokens);
    let strength = args.strength.as_ref();
    let more =
        |ask: Ask| ask.with("depth", depth).with("tokens", tokens).with("strength", strength);
    let about = About { token: &args.token, narrow, what: "lineage" };
    if let Some(to) = &args.to {
        if TokenId::parse(to).is_err() {
            return Err(match looks_like_token(to) {
                true => in_the_history(),
                false => Failure::usage("--to is a token id: region:issuer:form:value"),
            });
        }
        let more = |ask: Ask| more(ask).with("direction", Some("path")).with("to", Some(to));
        return args.moment.about(context, about, more, None, path);
    }
    let direction = match args.direction {
        Direction::Ancestors => "ancestors",
        Direction::Descendants => "descendants",
        Direction::Family => "family",
    };
    let more = |ask: Ask| more(ask).with("direction", Some(direction));
    args.moment.about(context, about, more, None, tree)
}

fn path(answer: &Value) -> String {
    let mut out = String::new();
    for step in list(answer, "steps") {
        let (from, to) = (text(step, "/from"), text(step, "/to"));
        let (relation, strength) = (text(step, "/relation"), text(step, "/strength"));
        let arrow = if step["from"] == step["child"] { "<-" } else { "->" };
        out.push_str(&format!("{from}\n  {arrow} {relation} ({strength}) {to}\n"));
    }
    if out.is_empty() { "the two are one token\n".to_owned() } else { out }
}

/// Tokens with their depth, and the edges between them.
pub fn tree(answer: &Value) -> String {
    let found: Vec<Vec<String>> = list(answer, "tokens")
        .map(|token| {
            [
                "/depth",
                "/token_id",
                "/relation",
                "/strength",
                "/happened/token_kind",
                "/happened/state",
                "/known/active",
                "/proof_state",
            ]
            .map(|pointer| text(token, pointer))
            .to_vec()
        })
        .collect();
    let head = ["DEPTH", "TOKEN", "BY", "STRENGTH", "KIND", "STATE", "ACTIVE", "PROOF"];
    let edges = rows(
        answer,
        "edges",
        &[
            ("CHILD", "/child"),
            ("RELATION", "/relation"),
            ("PARENT", "/parent"),
            ("STRENGTH", "/strength"),
            ("WHY", "/why"),
            ("ACTORS", "/actors"),
        ],
    );
    format!("{}\n{edges}", table(&head, &found))
}
