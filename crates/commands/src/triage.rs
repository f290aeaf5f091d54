//! `query triage`: thousands of leaked tokens from a file, those that are alive first.
//!
//! Promises: tokens are hashed here. Only digests are sent; no token is printed, not even in an
//! error: a token is told by the number of its line. All that a line may be read as is looked up.

mod line;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use ledgerline_api::token::Birth;
use ledgerline_api::triage::{self as api, Knowledge, Leaked, Triaged, TriagedToken};
use ledgerline_client::Client;
use ledgerline_pasted::{self as pasted, claims, tell};
use ledgerline_proof::token_id::{MIN_TOKEN_BYTES, TokenId, t1_value};
use ledgerline_tables::input::Lines;
use serde::Serialize;
use serde_with::skip_serializing_none;

use self::line::{Hit, Line, Row, Rows};
use crate::ClientSettings;
use crate::Context;
use crate::lookup::{Narrow, Places, batch, several};
use crate::proof_file::{self, Written, write_proof_of};
use crate::question::unknown_tenant;
use ledgerline_terminal::evidence::{Proof, ProofArgs};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{Column, cell, rows};

/// Tokens of one call.
const BATCH: usize = 500;
/// Longest line, and most lines.
const LINE_MAX: usize = 64 << 10;
const LINES_MAX: u64 = 1_000_000;
const IN_PARTS: &str = "a proof is of at most 500 tokens: give them in parts";
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

/// One question about something in a line.
struct Asked {
    line: u64,
    token: String,
    question: Leaked,
}

/// What is asked, and what was answered.
struct Triage<'a> {
    client: Client,
    args: &'a TriageArgs,
    places: Option<Places>,
    batch: Vec<Asked>,
    /// Lines of which answers are awaited.
    lines: BTreeMap<u64, Line>,
    found: Vec<Row>,
    proven: Vec<Leaked>,
    unwrapped: u64,
    taken: usize,
    left_out: usize,
    /// The tenant that was asked, and whether anything is known of it.
    tenant: Option<String>,
    tenant_known: Option<bool>,
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
    let mut triage = Triage::new(client, args);
    each_text(input, |number, text| match text {
        Some(text) => triage.take(number, text),
        None => {
            // What it is nobody looked at: it does not end the others.
            triage.found.push(Row::only(number, Knowledge::Unreadable));
            Ok(())
        }
    })?;
    while !triage.batch.is_empty() {
        triage.ask()?;
    }
    check_any(&args.file, &triage.found)?;
    if triage.unwrapped > 0 {
        let wrapping = "Bearer, quotes, names, JSON, addresses";
        tell(&[format!(
            "{} tokens were taken out of their wrapping ({wrapping})",
            triage.unwrapped
        )]);
    }
    let written = triage.proof(proof)?;
    let answer = triage.document(written.as_ref());
    let proof = written.as_ref().map_or_else(String::new, |written| written.lines(None));
    context.screen.show(&answer, |answer| format!("{}{proof}", shown(answer)))?;
    let exit = answer.exit();
    Ok(written.map_or(exit, |written| written.exit(exit)))
}

/// What is said of all, as a document.
#[skip_serializing_none]
#[derive(Serialize)]
struct Document {
    question: &'static str,
    #[serialize_always]
    tenant: Option<String>,
    #[serialize_always]
    tenant_known: Option<bool>,
    alive: usize,
    dead: usize,
    unknown: usize,
    weak: usize,
    unreadable: usize,
    differing: usize,
    left_out: usize,
    tokens: Vec<Row>,
    proof: Option<proof_file::About>,
}

impl Document {
    fn exit(&self) -> Exit {
        match (self.unreadable + self.differing + self.left_out, self.unknown) {
            (1.., _) => Exit::Incomplete,
            (0, 1..) => Exit::Unknown,
            (0, 0) => Exit::Ok,
        }
    }
}

/// Refuses a list without a token: that none is alive is said of tokens that were looked up.
fn check_any(file: &Path, found: &[Row]) -> Result<(), Failure> {
    let name = match file.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => file.display().to_string(),
    };
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "{name} is empty, as an export that failed leaves it: nothing was looked up"
        )));
    }
    if found.iter().all(|one| one.token().is_none()) {
        return Err(Failure::usage(format!(
            "all that {name} holds is shorter than a token may be ({MIN_TOKEN_BYTES} bytes): \
             nothing was looked up"
        )));
    }
    Ok(())
}

/// What comes first: what is alive or may be, then what is not.
fn rank(one: &Row) -> u8 {
    let Some(token) = one.token() else { return 4 };
    match (token.status, token.alive) {
        (_, Some(true)) => 0,
        // Some record of it may be used: it is not dead.
        (Knowledge::Known, None) => 5,
        (Knowledge::Unreadable | Knowledge::NotReached, _) => 1,
        (Knowledge::Known, _) => 2,
        (Knowledge::Unknown, _) => 3,
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

impl<'a> Triage<'a> {
    fn new(client: Client, args: &'a TriageArgs) -> Self {
        Self {
            client,
            args,
            places: None,
            batch: Vec::new(),
            lines: BTreeMap::new(),
            found: Vec::new(),
            proven: Vec::new(),
            unwrapped: 0,
            taken: 0,
            left_out: 0,
            tenant: None,
            tenant_known: None,
        }
    }

    /// Takes the tokens of one line.
    fn take(&mut self, number: u64, text: &[u8]) -> Result<(), Failure> {
        let (line, tokens) = Line::new(number, text);
        let (count, wrapped) = line.count();
        self.unwrapped += wrapped;
        self.taken += count;
        if self.args.proof.proof.is_some() && self.taken > BATCH {
            return Err(Failure::usage(IN_PARTS));
        }
        self.look_up(line, tokens)?;
        while self.batch.len() >= BATCH {
            self.ask()?;
        }
        Ok(())
    }

    /// Asks for things in a line, and for whatever else may be a token in it once they are
    /// answered; at last takes what is said of it.
    fn look_up(&mut self, mut line: Line, mut tokens: Vec<String>) -> Result<(), Failure> {
        let number = line.number();
        loop {
            for token in tokens {
                let questions = self.questions(&token)?;
                line.asks(&token, &questions);
                let ask = |question| Asked { line: number, token: token.clone(), question };
                self.batch.extend(questions.into_iter().map(ask));
            }
            if line.open > 0 {
                self.lines.insert(number, line);
                return Ok(());
            }
            tokens = line.more();
            if tokens.is_empty() {
                break;
            }
        }
        let Rows { rows, proven, left_out } = line.rows();
        self.found.extend(rows);
        if self.args.proof.proof.is_some() {
            self.proven.extend(proven);
        }
        self.left_out += left_out;
        Ok(())
    }

    /// What is asked about a token, the likeliest first; nothing for one that is too short.
    fn questions(&mut self, token: &str) -> Result<Vec<Leaked>, Failure> {
        let by_id = |id: String| Leaked { id: Some(id), digest: None };
        if let Ok(id) = TokenId::parse(token) {
            return Ok(vec![by_id(id.as_str().to_owned())]);
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
        let mut questions = vec![Leaked { digest: Some(digest), id: ids.next() }];
        questions.extend(ids.map(by_id));
        Ok(questions)
    }

    /// Asks for a batch; what the server did not reach stays in it.
    fn ask(&mut self) -> Result<(), Failure> {
        let later = self.batch.split_off(self.batch.len().min(BATCH));
        let asked = std::mem::replace(&mut self.batch, later);
        let tokens = asked.iter().map(|one| one.question.clone()).collect();
        let body = batch(tokens, self.args.tenant.as_deref());
        let answer = self.client.post_json("/v1/triage", &body)?;
        let Triaged { tenant, tenant_known, tokens, .. } = answer.form()?;
        (self.tenant, self.tenant_known) = (Some(tenant.into_owned()), Some(tenant_known));
        if tokens.len() != asked.len() {
            return Err(answer.garbled("not one answer for each token").into());
        }
        let mut reached = false;
        for (asked, found) in asked.into_iter().zip(tokens) {
            if found.status == Knowledge::NotReached {
                self.batch.push(asked);
                continue;
            }
            reached = true;
            self.answered(asked, found.into_owned())?;
        }
        if !reached {
            return Err(answer.garbled("no answer at all").into());
        }
        Ok(())
    }

    /// Takes one answer; with the last one about a line what is said of it.
    fn answered(&mut self, asked: Asked, mut answer: TriagedToken<'static>) -> Result<(), Failure> {
        let Asked { line: number, token, question } = asked;
        let narrow = &self.args.narrow;
        if narrow.is_narrow() {
            several::narrow_down(&mut answer, narrow);
        }
        let is_other = answer.token_id.as_deref().is_some_and(|id| !narrow.takes(id));
        let Some(line) = self.lines.get_mut(&number) else { return Ok(()) };
        line.open -= 1;
        if answer.status != Knowledge::Unknown && !is_other {
            line.hit(Hit { token, question, answer });
        }
        if line.open > 0 {
            return Ok(());
        }
        let Some(mut line) = self.lines.remove(&number) else { return Ok(()) };
        let more = line.more();
        self.look_up(line, more)
    }

    /// Writes the proof of those that are known, where one is wanted.
    fn proof(&mut self, wanted: Option<Proof>) -> Result<Option<Written>, Failure> {
        let Some(Proof { file, since: previous_size }) = wanted else { return Ok(None) };
        if self.proven.len() > BATCH {
            return Err(Failure::usage(IN_PARTS));
        }
        let body = batch(std::mem::take(&mut self.proven), self.args.tenant.as_deref());
        let body = api::Triage { proof: true, previous_size, ..body };
        let ask = || self.client.post_for_bytes("/v1/triage", &body).map(Some);
        write_proof_of(&self.client, ask, file).map(Some)
    }

    /// What is said of all.
    fn document(self, written: Option<&Written>) -> Document {
        let Self { found: mut tokens, tenant, tenant_known, left_out, .. } = self;
        tokens.sort_by_key(|one| ((rank(one) + 1) % 6, one.line));
        let count = |wanted: u8| tokens.iter().filter(|one| rank(one) == wanted).count();
        Document {
            question: "triage",
            tenant,
            tenant_known,
            alive: count(0),
            dead: count(2),
            unknown: count(3),
            weak: count(4),
            unreadable: count(1),
            differing: count(5),
            left_out,
            proof: written.map(Written::about),
            tokens,
        }
    }
}

/// Why the exit code is not 0.
fn why(answer: &Document) -> String {
    let (unread, differing) = (answer.unreadable, answer.differing);
    let (left_out, not_known) = (answer.left_out, answer.unknown);
    let tenant = answer.tenant.as_deref().zip(answer.tenant_known);
    let unknown = tenant.and_then(|(tenant, is_known)| unknown_tenant(tenant, is_known));
    let mut out = unknown.unwrap_or_default();
    if unread > 0 {
        out.push_str(&format!(
            "INCOMPLETE: {unread} lines or tokens were not read: nothing is said of them\n"
        ));
    }
    if differing > 0 {
        out.push_str(&format!(
            "INCOMPLETE: the records of {differing} tokens do not agree on whether they may be \
             used\n"
        ));
    }
    if left_out > 0 {
        out.push_str(&format!(
            "INCOMPLETE: {left_out} more things in lines of which nothing is known may be a token \
             and were not looked up: give shorter lines\n"
        ));
    }
    let weak = answer.weak;
    if weak > 0 {
        out.push_str(&format!(
            "{weak} lines hold nothing that is long enough for a token: not looked up\n"
        ));
    }
    if not_known > 0 {
        out.push_str(&format!(
            "UNKNOWN: nothing is recorded about {not_known} of them. That does not mean that they \
             are dead: they may well\nbe alive at their issuer\n"
        ));
    }
    out
}

fn shown(answer: &Document) -> String {
    fn of(row: &Row, cell: fn(&TriagedToken<'static>) -> String) -> String {
        row.token().map_or_else(|| "-".to_owned(), cell)
    }
    let tokens = &answer.tokens;
    let mut columns: Vec<Column<Row>> = vec![
        ("LINE", |row| cell(&row.line)),
        ("STATUS", Row::status),
        ("ALIVE", |row| of(row, |one| cell(&one.alive))),
        ("STATE", |row| of(row, |one| cell(&one.state))),
        ("TOKEN", |row| of(row, |one| cell(&one.token_id))),
        ("OWNER", |row| of(row, |one| cell(&one.owner))),
        ("CLIENT", |row| of(row, |one| cell(&one.client_id))),
        ("LAST USED", |row| of(row, |one| cell(&one.last_used_at))),
        ("EXPIRES", |row| of(row, |one| cell(&one.expires_at))),
        ("SIGNATURE", |row| cell(&row.signature)),
    ];
    if tokens.iter().any(|one| one.own.exp_passed.is_some()) {
        columns.push(("OWN EXP PASSED", |row| cell(&row.own.exp_passed)));
    }
    if tokens.iter().any(|one| one.own.nbf_ahead.is_some()) {
        columns.push(("OWN NBF AHEAD", |row| cell(&row.own.nbf_ahead)));
    }
    let counts = [
        (answer.alive, "alive"),
        (answer.dead, "dead"),
        (answer.unknown, "unknown"),
        (answer.weak, "weak"),
        (answer.unreadable, "unreadable"),
        (answer.differing, "differing"),
    ];
    let counts = counts.map(|(count, name)| format!("{count} {name}"));
    let mut out = String::new();
    for row in tokens {
        if let Some(one) = row.token().filter(|one| one.differs == Some(true)) {
            out.push_str(&format!("line {}: {}", row.line, several::head(&one.records)));
        }
    }
    let (table, all) = (rows("tokens", tokens, &columns), tokens.len());
    out.push_str(&format!("{table}\n\n{all} tokens: {}\n", counts.join(", ")));
    let known = tokens.iter().filter_map(Row::token);
    let unborn = known.filter(|one| one.birth == Some(Birth::Unknown)).count();
    if unborn > 0 {
        out.push_str(&format!(
            "{unborn} of them were never issued here: other acts are recorded\n"
        ));
    }
    if tokens.iter().any(|one| one.signature.is_some()) {
        out.push_str(
            "SIGNATURE not_verified: header and claims are those of the token; who made the \
             signature was not checked\n",
        );
    }
    out.push_str(&why(answer));
    out
}
