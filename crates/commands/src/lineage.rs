//! `lineage`: what a token came of, and what came of it.

use clap::{Args, ValueEnum};
use ledgerline_api::answer::Answer;
use ledgerline_api::question::{Edge, Lineage, Relative};
use ledgerline_client::{Answered, ClientError};
use ledgerline_pasted::paste::in_the_history;
use ledgerline_proof::token_id::{TokenId, looks_like_token};

use crate::Context;
use crate::lookup::Narrow;
use crate::question::{About, Ask, Moment, Said};
use ledgerline_terminal::exit::{CommandResult, Failure};
use ledgerline_terminal::render::{cell, cells, rows, table};

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
    args.moment.about(context, about, more, None, relatives)
}

fn path(answer: &Answered) -> Result<Said, ClientError> {
    let form: Answer<'_, Lineage<'_>> = answer.form()?;
    let steps = form.body.steps.as_ref();
    let steps = steps.ok_or_else(|| answer.garbled("a path without its steps"))?;
    let mut out = String::new();
    for step in steps {
        let (from, to) = (cell(&step.from), cell(&step.to));
        let (relation, strength) = (cell(&step.edge.relation), cell(&step.edge.strength));
        let arrow = if step.from == step.edge.child { "<-" } else { "->" };
        out.push_str(&format!("{from}\n  {arrow} {relation} ({strength}) {to}\n"));
    }
    if steps.is_empty() {
        out.push_str("the two are one token\n");
    }
    Ok(Said::of(&form, out))
}

fn relatives(answer: &Answered) -> Result<Said, ClientError> {
    let form: Answer<'_, Lineage<'_>> = answer.form()?;
    let (Some(tokens), Some(edges)) = (&form.body.tokens, &form.body.edges) else {
        return Err(answer.garbled("a lineage without its tokens or edges"));
    };
    Ok(Said::of(&form, tree(tokens, edges)))
}

/// Tokens with their depth, and the edges between them.
#[must_use]
pub fn tree(tokens: &[Relative<'_>], edges: &[Edge<'_>]) -> String {
    let row = |one: &Relative<'_>| {
        vec![
            cell(&one.depth),
            cell(&one.token.token_id),
            cell(&one.relation),
            cell(&one.strength),
            cell(&one.token.happened.token_kind),
            cell(&one.token.happened.state),
            cell(&one.token.known.active),
            cell(&one.token.proof_state),
        ]
    };
    let tokens: Vec<Vec<String>> = tokens.iter().map(row).collect();
    let head = ["DEPTH", "TOKEN", "BY", "STRENGTH", "KIND", "STATE", "ACTIVE", "PROOF"];
    let edges = rows(
        "edges",
        edges,
        &[
            ("CHILD", |one| cell(&one.child)),
            ("RELATION", |one| cell(&one.relation)),
            ("PARENT", |one| cell(&one.parent)),
            ("STRENGTH", |one| cell(&one.strength)),
            ("WHY", |one| cell(&one.why)),
            ("ACTORS", |one| cells(&one.actors)),
        ],
    );
    format!("{}\n{edges}", table(&head, &tokens))
}
