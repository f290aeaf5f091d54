//! What the reader expects a bundle to be about: a token, a question.
//!
//! Promises: a token given on standard input is hashed here and never shown. A bundle about
//! something else is told from the expected one whatever its verdict.
//!
//! Assumes: the `jti` of a JWT is not verified here; it only compares. Ids that an entry gives a
//! token count only under the same region and issuer: what another issuer says of a token is not
//! this token's name.

use ledgerline_proof::check::{CheckReport, ClaimKind, Status};
use ledgerline_proof::token_id::{TokenId, jti_hash_value, looks_like_token, t1_value};
use serde_json::{Value, json};

use ledgerline_pasted::paste::in_the_history;
use ledgerline_pasted::{self as pasted, Paste};
use ledgerline_terminal::exit::Failure;
use ledgerline_terminal::render::printable;

/// A token as it is expected.
pub enum Wanted {
    /// By its id.
    Id(String),
    /// By what was computed from it: the ends of ids that it may have.
    Computed {
        /// The ends.
        ends: Vec<String>,
        /// Whether it is a JWT, of which they cover header and claims alone.
        signed: bool,
    },
}

impl Wanted {
    /// Reads the argument: an id, or `-` for the token on standard input.
    ///
    /// # Errors
    /// Usage for a raw token or what is no id.
    pub fn read(argument: &str) -> Result<Self, Failure> {
        if argument == "-" {
            return Self::of_paste(&pasted::read_paste()?);
        }
        match TokenId::parse(argument) {
            Ok(id) => Ok(Self::Id(id.as_str().to_owned())),
            Err(_) if looks_like_token(argument) => Err(in_the_history()),
            Err(error) => Err(Failure::usage(error)),
        }
    }

    /// Of what was pasted, in every way to read it.
    fn of_paste(paste: &Paste) -> Result<Self, Failure> {
        if let Ok(id) = TokenId::parse(paste.only()?) {
            return Ok(Self::Id(id.as_str().to_owned()));
        }
        let mut ends = Vec::new();
        let mut weak = None;
        let mut signed = false;
        for token in paste.tokens() {
            match t1_value(token.as_bytes()) {
                Ok(digest) => ends.push(format!(":t1:{digest}")),
                Err(error) => weak = weak.or(Some(error)),
            }
            signed |= pasted::is_signed(token);
            let claims = pasted::claims(token);
            if let Some(jti) = claims.as_ref().and_then(|claims| claims["jti"].as_str()) {
                ends.push(format!(":jti:{jti}"));
                ends.push(format!(":jh:{}", jti_hash_value(jti)));
            }
        }
        match weak {
            Some(error) if ends.is_empty() => Err(Failure::usage(error)),
            _ => Ok(Self::Computed { ends, signed }),
        }
    }

    fn is(&self, id: &str) -> bool {
        match self {
            Self::Id(wanted) => wanted == id,
            Self::Computed { ends, .. } => TokenId::parse(id).is_ok_and(|id| {
                let front = id.region().len() + 1 + id.issuer().len();
                ends.iter().any(|end| id.as_str()[front..] == **end)
            }),
        }
    }
}

/// What is expected, and how the bundle compares.
#[derive(Default)]
pub struct Expected {
    token: Option<(bool, String)>,
    /// Whether that rests on the header and claims of a JWT alone.
    unsigned: bool,
    question: Option<bool>,
}

impl Expected {
    /// Compares.
    #[must_use]
    pub fn compare(report: &CheckReport, token: Option<&Wanted>, question: Option<&str>) -> Self {
        let unsigned = matches!(token, Some(Wanted::Computed { signed: true, .. }));
        let token = token.map(|wanted| compare_token(report, wanted));
        let question = question.map(|wanted| {
            let asked = report.question.as_ref();
            let fits = report.status(ClaimKind::Query).is_some_and(Status::is_proven);
            let sentence = asked.and_then(|one| one.sentence.as_deref());
            fits && (sentence == Some(wanted) || asked.and_then(|one| one.name) == Some(wanted))
        });
        Self { token, unsigned, question }
    }

    /// Whether the bundle is about something else.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.token.as_ref().is_some_and(|(is_it, _)| !is_it) || self.question == Some(false)
    }

    /// As lines for people.
    pub fn lines(&self) -> impl Iterator<Item = (&'static str, String)> {
        let token = self.token.as_ref().map(|(_, words)| ("expected", words.clone()));
        let question = self.question.map(|is_it| match is_it {
            true => ("expected", "the question is the expected one".to_owned()),
            false => ("expected", "ANOTHER QUESTION than the expected one".to_owned()),
        });
        let unsigned = self.unsigned.then(|| {
            let words = "only header and claims of the JWT were compared: its SIGNATURE WAS NOT \
                         VERIFIED, a forged one would look the same";
            ("expected", words.to_owned())
        });
        token.into_iter().chain(unsigned).chain(question)
    }

    /// As JSON; null when nothing was expected.
    #[must_use]
    pub fn value(&self) -> Value {
        if self.token.is_none() && self.question.is_none() {
            return Value::Null;
        }
        let mut value = json!({
            "token": self.token.as_ref().map(|(is_it, _)| is_it),
            "question": self.question,
        });
        if self.unsigned {
            value["signature"] = "not_verified".into();
        }
        value
    }
}

fn compare_token(report: &CheckReport, wanted: &Wanted) -> (bool, String) {
    let fits = report.status(ClaimKind::Query).is_some_and(Status::is_proven);
    if !fits {
        return (false, "the bundle does not fit its question: no token is sure".to_owned());
    }
    let asked = report.question.as_ref();
    if let Some(about) = asked.and_then(|one| one.token.as_deref()) {
        if names_of(report, about).iter().any(|id| wanted.is(id)) {
            return (true, format!("the token is the expected one ({})", printable(about)));
        }
        return (false, format!("ANOTHER TOKEN than the expected one: {}", printable(about)));
    }
    let one_event = asked.is_some_and(|one| one.name == Some("event"));
    let lives = report.lives.iter().flat_map(|life| life.ids.iter().map(String::as_str));
    let targets = report.entries.iter().filter_map(|entry| entry.event.as_ref());
    let targets = targets.filter(|event| event.target_kind == "TOKEN");
    let targets = targets.map(|event| event.target.as_str()).filter(|_| one_event);
    if lives.chain(targets).any(|id| wanted.is(id)) {
        return (true, "the expected token is among those shown".to_owned());
    }
    (false, "the expected token is NOT among those shown".to_owned())
}

/// The ids of the token under its own region and issuer.
fn names_of<'r>(report: &'r CheckReport, about: &'r str) -> Vec<&'r str> {
    let front = |id: &str| {
        let id = TokenId::parse(id).ok()?;
        Some((id.region().to_owned(), id.issuer().to_owned()))
    };
    let of_lives = report.lives.iter().find(|life| life.ids.iter().any(|id| id == about));
    let of_lives = of_lives.into_iter().flat_map(|life| &life.ids);
    let own = report.entries.iter().filter_map(|entry| entry.event.as_ref());
    let own = own.filter(|event| event.target == about && event.outcome == "ALLOW");
    let own = own.flat_map(|event| &event.circumstances.also_known_as);
    let all = of_lives.chain(own).map(String::as_str);
    let all = all.filter(|id| front(id).is_some() && front(id) == front(about));
    std::iter::once(about).chain(all).collect()
}
