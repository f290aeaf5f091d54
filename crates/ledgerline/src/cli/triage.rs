//! `query triage`: thousands of leaked tokens from a file, those that are alive first.
//!
//! Promises: tokens are hashed here. Only digests are sent; no token is printed, not even in an
//! error: a token is told by the number of its line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use ledgerline_proof::token_id::{TokenId, from_jti, t1_value};
use serde_json::{Value, json};

use super::Context;
use super::past::{list, rows, text, write_proof_of};
use super::token_id::Naming;
use crate::client::Client;
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit, Failure};

/// Tokens of one call.
const BATCH: usize = 500;
/// Longest line, and most lines.
const LINE_MAX: usize = 64 << 10;
const LINES_MAX: u64 = 1_000_000;

/// Arguments of `query triage`.
#[derive(Args)]
pub struct TriageArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    naming: Naming,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
    /// Also look for JWTs by the jti they carry, under --region and --issuer. Only for issuers
    /// whose jti is not the bearer value: it is sent.
    #[arg(long)]
    jti: bool,
    /// Also write the proof bundle of where they stand, for `ledgerline check`: of at most 500
    /// tokens.
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// A file with one token, or token id, on a line; `-` for standard input.
    file: PathBuf,
}

/// Asks, batch by batch.
///
/// # Errors
/// An error when the file cannot be read; whatever the server says.
pub fn run(context: &mut Context, args: &TriageArgs) -> CommandResult {
    let client = context.client(args.client.clone())?;
    let input: Box<dyn BufRead> = if args.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let open = File::open(&args.file);
        Box::new(BufReader::new(open.with_context(|| format!("{}", args.file.display()))?))
    };
    let mut found = Vec::new();
    let mut batch: Vec<(u64, Value)> = Vec::new();
    let mut proven = Vec::new();
    each_line(input, |number, line| {
        match question(line, args) {
            Some(token) => {
                if args.proof.is_some() {
                    proven.push(token.clone());
                }
                batch.push((number, token));
            }
            None => found.push(json!({ "line": number, "status": "weak" })),
        }
        if proven.len() > BATCH {
            let why = format!("a proof is of at most {BATCH} tokens: give them in parts");
            return Err(Failure::usage(why));
        }
        if batch.len() == BATCH { ask(&client, args, &mut batch, &mut found) } else { Ok(()) }
    })?;
    while !batch.is_empty() {
        ask(&client, args, &mut batch, &mut found)?;
    }
    let rank = |one: &Value| match (one["status"].as_str(), one["alive"].as_bool()) {
        (_, Some(true)) => 0,
        (Some("unreadable"), _) => 1,
        (Some("known"), _) => 2,
        (Some("unknown"), _) => 3,
        _ => 4,
    };
    found.sort_by_key(|one| (rank(one), one["line"].as_u64()));
    let count = |wanted: u8| found.iter().filter(|one| rank(one) == wanted).count();
    let incomplete = count(1) > 0;
    let answer = json!({
        "question": "triage",
        "alive": count(0),
        "dead": count(2),
        "unknown": count(3),
        "weak": count(4),
        "unreadable": count(1),
        "tokens": found,
    });
    let mut written = String::new();
    if let Some(file) = &args.proof {
        let body = json!({ "tokens": proven, "tenant": args.tenant, "proof": true });
        let ask = || client.post_for_bytes("/v1/triage", &body).map(Some);
        write_proof_of(&client, ask, file)?;
        written = format!("the proof is in {}\n", file.display());
    }
    context.screen.show(&answer, |answer| format!("{}{written}", shown(answer)))?;
    Ok(if incomplete { Exit::Incomplete } else { Exit::Ok })
}

/// Calls `each` with the number and text of every line that is not empty.
fn each_line(
    mut input: Box<dyn BufRead>,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = (&mut input).take(LINE_MAX as u64 + 2).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        let text = line.trim_ascii();
        if text.len() > LINE_MAX {
            return Err(Failure::error(format!("line {number} is longer than a token may be")));
        }
        if number > LINES_MAX {
            return Err(Failure::error(format!("more than {LINES_MAX} lines: give them in parts")));
        }
        if !text.is_empty() {
            each(number, text)?;
        }
    }
    Ok(())
}

/// What is asked about a token; `None` for one that is too short to be one.
fn question(line: &[u8], args: &TriageArgs) -> Option<Value> {
    let id = std::str::from_utf8(line).ok().and_then(|text| TokenId::parse(text).ok());
    if let Some(id) = id {
        return Some(json!({ "id": id.as_str() }));
    }
    let digest = t1_value(line).ok()?;
    let jti = args.jti.then(|| jti_of(line)).flatten();
    let Naming { region, issuer } = &args.naming;
    let id = jti.and_then(|jti| from_jti(region, issuer, &jti).ok());
    Some(match id {
        Some(id) => json!({ "digest": digest, "id": id }),
        None => json!({ "digest": digest }),
    })
}

/// The jti in the payload of a JWT, unverified: it only helps to find the token.
fn jti_of(token: &[u8]) -> Option<String> {
    let mut parts = token.split(|byte| *byte == b'.');
    let (_, payload) = (parts.next()?, parts.next()?);
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    payload["jti"].as_str().map(str::to_owned)
}

/// Asks for a batch; what the server did not reach stays in it.
fn ask(
    client: &Client,
    args: &TriageArgs,
    batch: &mut Vec<(u64, Value)>,
    found: &mut Vec<Value>,
) -> Result<(), Failure> {
    let tokens: Vec<&Value> = batch.iter().map(|(_, token)| token).collect();
    let mut body = json!({ "tokens": tokens });
    if let Some(tenant) = &args.tenant {
        body["tenant"] = tenant.as_str().into();
    }
    let mut answer = client.post_json("/v1/triage", &body)?;
    let answers = match answer["tokens"].take() {
        Value::Array(list) if list.len() == batch.len() => list,
        _ => return Err(client.garbled("not one answer for each token").into()),
    };
    let before = batch.len();
    let mut left = Vec::new();
    for ((number, token), mut one) in batch.drain(..).zip(answers) {
        if one["status"] == "not_reached" {
            left.push((number, token));
        } else {
            one["line"] = number.into();
            found.push(one);
        }
    }
    if left.len() == before {
        return Err(client.garbled("no answer at all").into());
    }
    *batch = left;
    Ok(())
}

fn shown(answer: &Value) -> String {
    let columns = [
        ("LINE", "/line"),
        ("STATUS", "/status"),
        ("ALIVE", "/alive"),
        ("STATE", "/state"),
        ("TOKEN", "/token_id"),
        ("OWNER", "/owner"),
        ("CLIENT", "/client_id"),
        ("LAST USED", "/last_used_at"),
        ("EXPIRES", "/expires_at"),
    ];
    let counts = ["alive", "dead", "unknown", "weak", "unreadable"];
    let counts = counts.map(|name| format!("{} {name}", text(answer, &format!("/{name}"))));
    let all = list(answer, "tokens").count();
    format!("{}\n\n{all} tokens: {}\n", rows(answer, "tokens", &columns), counts.join(", "))
}
