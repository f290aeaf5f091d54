//! `query triage`: thousands of leaked tokens from a file, those that are alive first.
//!
//! Promises: tokens are hashed here. Only digests are sent; no token is printed, not even in an
//! error: a token is told by the number of its line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use ledgerline_proof::token_id::{TokenId, t1_value};
use serde_json::{Value, json};

use super::Context;
use super::evidence::{Proof, ProofArgs};
use super::lookup::{Narrow, Places, claims, is_signed, tell};
use super::past::{list, rows, text};
use super::pasted;
use super::proof_file::write_proof_of;
use super::several;
use crate::client::Client;
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit, Failure};
use crate::input::Lines;

/// Tokens of one call.
const BATCH: usize = 500;
/// Longest line, and most lines.
const LINE_MAX: usize = 64 << 10;
const LINES_MAX: u64 = 1_000_000;
/// Longest JSON document, or text in an encoding of two bytes a character.
const WHOLE_MAX: u64 = 64 << 20;

/// Arguments of `query triage`.
#[derive(Args)]
pub struct TriageArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    narrow: Narrow,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
    /// Look for JWTs by the jti they carry also under --region and --issuer [default: global, idp],
    /// which the server's register need not have. Only for issuers whose jti is not the bearer
    /// value: it is sent.
    #[arg(long)]
    jti: bool,
    /// A proof is of at most 500 tokens.
    #[command(flatten)]
    proof: ProofArgs,
    /// A file with one token, or token id, on a line; `-` for standard input.
    file: PathBuf,
}

/// One token of the file.
struct Entry {
    line: u64,
    question: Value,
    /// What else it may be, when it is unknown: the line as it stands, another issuer's jti.
    otherwise: Vec<Value>,
    /// Whether it is a JWT: nothing here verifies its signature.
    signed: bool,
}

/// What is asked, and what was answered.
struct Triage<'a> {
    client: Client,
    args: &'a TriageArgs,
    places: Option<Places>,
    batch: Vec<Entry>,
    found: Vec<Value>,
    proven: Vec<Value>,
    unwrapped: u64,
    taken: usize,
}

/// Asks, batch by batch.
///
/// # Errors
/// An error when the file cannot be read; whatever the server says.
pub fn run(context: &mut Context, args: &TriageArgs) -> CommandResult {
    let proof = args.proof.open()?;
    let client = context.client(args.client.clone())?;
    let input: Box<dyn BufRead> = if args.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let open = File::open(&args.file);
        Box::new(BufReader::new(open.with_context(|| format!("{}", args.file.display()))?))
    };
    let (batch, found, proven) = Default::default();
    let mut triage =
        Triage { client, args, places: None, batch, found, proven, unwrapped: 0, taken: 0 };
    each_text(input, |number, text| match text {
        Some(text) => triage.take(number, text),
        None => {
            // What it is nobody looked at: it does not end the others.
            triage.found.push(json!({ "line": number, "status": "unreadable" }));
            Ok(())
        }
    })?;
    while !triage.batch.is_empty() {
        triage.ask()?;
    }
    if triage.unwrapped > 0 {
        let wrapping = "Bearer, quotes, names, JSON, addresses";
        tell(&[format!(
            "{} tokens were taken out of their wrapping ({wrapping})",
            triage.unwrapped
        )]);
    }
    let mut found = triage.found;
    found.sort_by_key(|one| ((rank(one) + 1) % 6, one["line"].as_u64()));
    let count = |wanted: u8| found.iter().filter(|one| rank(one) == wanted).count();
    let exit = match (count(1) + count(5), count(3)) {
        (1.., _) => Exit::Incomplete,
        (0, 1..) => Exit::Unknown,
        (0, 0) => Exit::Ok,
    };
    let mut answer = json!({
        "question": "triage",
        "alive": count(0),
        "dead": count(2),
        "unknown": count(3),
        "weak": count(4),
        "unreadable": count(1),
        "differing": count(5),
        "tokens": found,
    });
    let mut written = None;
    if let Some(Proof { file, since }) = proof {
        let body = json!({
            "tokens": triage.proven, "tenant": args.tenant, "proof": true, "previous_size": since,
        });
        let client = &triage.client;
        let ask = || client.post_for_bytes("/v1/triage", &body).map(Some);
        let proof = write_proof_of(client, ask, file)?;
        answer["proof"] = proof.value();
        written = Some(proof);
    }
    let proof = written.as_ref().map_or_else(String::new, |written| written.lines(&answer));
    context.screen.show(&answer, |answer| format!("{}{proof}", shown(answer)))?;
    Ok(written.map_or(exit, |written| written.exit(exit)))
}

/// What comes first: what is alive or may be, then what is not.
fn rank(one: &Value) -> u8 {
    match (one["status"].as_str(), one["alive"].as_bool()) {
        (_, Some(true)) => 0,
        // Some record of it may be used: it is not dead.
        (Some("known"), None) => 5,
        (Some("unreadable"), _) => 1,
        (Some("known"), _) => 2,
        (Some("unknown"), _) => 3,
        _ => 4,
    }
}

/// Calls `each` with the tokens of a JSON document, or with the lines of any other file.
fn each_text(
    mut input: Box<dyn BufRead>,
    mut each: impl FnMut(u64, Option<&[u8]>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let begin = input.fill_buf()?;
    let first = begin.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_whole = matches!(first, Some(b'{' | b'[' | 0xff | 0xfe | 0xef));
    if !is_whole {
        return each_line(input, each);
    }
    let mut whole = Vec::new();
    (&mut input).take(WHOLE_MAX).read_to_end(&mut whole)?;
    if let Some(tokens) = pasted::json_tokens(&whole) {
        let lines = (1..).zip(tokens);
        return lines.into_iter().try_for_each(|(n, token)| each(n, Some(token.as_bytes())));
    }
    let text = pasted::as_utf8(&whole).into_bytes();
    each_line(Box::new(Cursor::new(text).chain(input)), each)
}

/// Calls `each` with the number and text of every line that is not empty; without its text for one
/// that is longer than a token may be.
fn each_line(
    mut input: Box<dyn BufRead>,
    mut each: impl FnMut(u64, Option<&[u8]>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut lines = Lines::new(LINE_MAX);
    let mut line = |number, line: Option<&[u8]>| {
        if number > LINES_MAX {
            return Err(Failure::error(format!("more than {LINES_MAX} lines: give them in parts")));
        }
        match line.map(<[u8]>::trim_ascii) {
            Some([]) => Ok(()),
            text => each(number, text),
        }
    };
    loop {
        let piece = input.fill_buf()?;
        let length = piece.len();
        if length == 0 {
            return lines.end(&mut line);
        }
        lines.push(piece, &mut line)?;
        input.consume(length);
    }
}

impl Triage<'_> {
    /// Takes the tokens of one line.
    fn take(&mut self, line: u64, text: &[u8]) -> Result<(), Failure> {
        let readings = pasted::read(text);
        let first = readings.first().map(|one| one.tokens.as_slice()).unwrap_or_default();
        let alone = first.len() == 1;
        let mut tokens = first.to_vec();
        // Words among which nothing looks like a token are none.
        tokens.retain(|token| !token.contains(char::is_whitespace));
        if tokens.is_empty() {
            self.found.push(json!({ "line": line, "status": "weak" }));
        }
        for token in tokens {
            let mut questions = self.questions(&token)?;
            if text.trim_ascii() != token.as_bytes() {
                self.unwrapped += 1;
                let verbatim = alone.then(|| t1_value(text.trim_ascii()).ok()).flatten();
                questions.extend(verbatim.map(|digest| json!({ "digest": digest })));
            }
            if questions.is_empty() {
                self.found.push(json!({ "line": line, "status": "weak" }));
                continue;
            }
            let question = questions.remove(0);
            self.batch.push(Entry {
                line,
                question,
                otherwise: questions,
                signed: is_signed(&token),
            });
            self.taken += 1;
            if self.args.proof.proof.is_some() && self.taken > BATCH {
                let why = format!("a proof is of at most {BATCH} tokens: give them in parts");
                return Err(Failure::usage(why));
            }
            if self.batch.len() == BATCH {
                self.ask()?;
            }
        }
        Ok(())
    }

    /// What is asked about a token, the likeliest first; nothing for one that is too short.
    fn questions(&mut self, token: &str) -> Result<Vec<Value>, Failure> {
        if let Ok(id) = TokenId::parse(token) {
            return Ok(vec![json!({ "id": id.as_str() })]);
        }
        let Ok(digest) = t1_value(token.as_bytes()) else { return Ok(Vec::new()) };
        let mut ids = Vec::new();
        if claims(token).is_some_and(|claims| claims["jti"].is_string()) {
            let places = match self.places.take() {
                Some(places) => places,
                None => {
                    let told = self.args.jti.then_some(&self.args.narrow);
                    Places::registered(&self.client, told)?
                }
            };
            ids = places.ids(token);
            self.places = Some(places);
        }
        let mut ids = ids.into_iter();
        let mut questions = vec![json!({ "digest": digest })];
        if let Some(id) = ids.next() {
            questions[0]["id"] = id.into();
        }
        questions.extend(ids.map(|id| json!({ "id": id })));
        Ok(questions)
    }

    /// Asks for a batch; what the server did not reach stays in it.
    fn ask(&mut self) -> Result<(), Failure> {
        let tokens: Vec<&Value> = self.batch.iter().map(|one| &one.question).collect();
        let mut body = json!({ "tokens": tokens });
        if let Some(tenant) = &self.args.tenant {
            body["tenant"] = tenant.as_str().into();
        }
        let mut answer = self.client.post_json("/v1/triage", &body)?;
        let answers = match answer["tokens"].take() {
            Value::Array(list) if list.len() == self.batch.len() => list,
            _ => return Err(self.client.garbled("not one answer for each token").into()),
        };
        let mut reached = false;
        let mut left = Vec::new();
        for (mut entry, mut one) in self.batch.drain(..).zip(answers) {
            if one["status"] == "not_reached" {
                left.push(entry);
                continue;
            }
            reached = true;
            if self.args.narrow.is_narrow() {
                several::narrow_down(&mut one, &self.args.narrow);
            }
            let id = one["token_id"].as_str();
            if id.is_some_and(|id| !self.args.narrow.takes(id)) {
                one = json!({ "status": "unknown" });
            }
            if one["status"] == "unknown" && !entry.otherwise.is_empty() {
                entry.question = entry.otherwise.remove(0);
                left.push(entry);
                continue;
            }
            if self.args.proof.proof.is_some() {
                self.proven.push(entry.question);
            }
            one["line"] = entry.line.into();
            if entry.signed && one["status"] != "unknown" {
                one["signature"] = "not_verified".into();
            }
            self.found.push(one);
        }
        if !reached {
            return Err(self.client.garbled("no answer at all").into());
        }
        self.batch = left;
        Ok(())
    }
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
        ("SIGNATURE", "/signature"),
    ];
    let counts = ["alive", "dead", "unknown", "weak", "unreadable", "differing"];
    let counts = counts.map(|name| format!("{} {name}", text(answer, &format!("/{name}"))));
    let all = list(answer, "tokens").count();
    let mut out = String::new();
    for one in list(answer, "tokens").filter(|one| one["differs"] == true) {
        let records = one["records"].as_array().map(Vec::as_slice).unwrap_or_default();
        out.push_str(&format!("line {}: {}", text(one, "/line"), several::head(records)));
    }
    let table = rows(answer, "tokens", &columns);
    out.push_str(&format!("{table}\n\n{all} tokens: {}\n", counts.join(", ")));
    let unborn = list(answer, "tokens").filter(|one| one["birth"] == "UNKNOWN").count();
    if unborn > 0 {
        out.push_str(&format!(
            "{unborn} of them were never issued here: other acts are recorded\n"
        ));
    }
    if list(answer, "tokens").any(|one| one["signature"] == "not_verified") {
        out.push_str(
            "SIGNATURE not_verified: header and claims are those of the token; who made the \
             signature was not checked\n",
        );
    }
    out
}
