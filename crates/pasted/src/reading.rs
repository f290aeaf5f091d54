//! The token in what somebody pasted.
//!
//! ```text
//! Bearer …          Authorization: Bearer …      curl -H 'authorization: bearer …' https://…
//! "…"  '…'  `…`     {"access_token":"…"}         https://app.test/cb#access_token=…&state=…
//! TOKEN=…           export TOKEN="…"             a mail in which one JWT stands
//! blanks, line ends of any system, a byte order mark, UTF-16, characters nobody sees
//! ```
//!
//! Promises: pure, and the same for every command. Each thing that was taken away is told as a
//! note, which never holds a part of the token. Where the text can be read in more than one way
//! (a token in two lines, or two tokens; quotes around a token, or a token with quotes) each way is
//! a [`Reading`], the likeliest first: whoever looks tokens up decides by what the ledger knows.
//!
//! Whatever else may be a token in the text is among its [`candidates`](crate::candidates).
//!
//! Refuses: to guess. A text in which nothing looks like a token is read as the token itself.

use serde_json::Value;

/// Most tokens taken out of one text.
const TOKENS_MAX: usize = 64;
/// What a token in the middle of other words has at least.
const AMONG_WORDS_MIN: usize = 20;
/// From this length on, lines that end alike are taken for one line that somebody's screen broke.
const WRAPPED_MIN: usize = 48;

/// How a note ends that says that nothing else marks a token.
const LOOKS_LIKE: &str = "look like a token";

/// One way to read a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// The tokens, each once, in order.
    pub tokens: Vec<String>,
    /// What was taken away or found, for people; never a part of a token.
    pub notes: Vec<String>,
    /// Whether nothing marks the tokens but their look.
    pub guessed: bool,
}

/// The ways to read what was pasted, the likeliest first. Empty for a text without any character.
#[must_use]
pub fn read(bytes: &[u8]) -> Vec<Reading> {
    let mut notes = Vec::new();
    let text = decoded(bytes, &mut notes);
    let trimmed = text.trim();
    if trimmed.len() != text.trim_end_matches(['\r', '\n']).len() {
        notes.push("blanks or line ends around it were left out".to_owned());
    }
    let shown = visible(trimmed, &mut notes);
    let mut readings = Vec::new();
    if shown.is_empty() {
        return readings;
    }
    for (tokens, more) in ways(&shown) {
        let guessed = more.iter().any(|note| note.ends_with(LOOKS_LIKE));
        let notes = notes.iter().cloned().chain(more).collect();
        add(&mut readings, Reading { tokens, notes, guessed });
    }
    // A token may hold what was taken for its wrapping.
    for verbatim in [shown.as_str(), text.trim_end_matches(['\r', '\n'])] {
        let notes = vec!["read as it stands, with all its characters".to_owned()];
        add(&mut readings, Reading { tokens: vec![verbatim.to_owned()], notes, guessed: false });
    }
    readings
}

/// The tokens of a whole JSON text; `None` when it is none, or names no token.
#[must_use]
pub fn json_tokens(bytes: &[u8]) -> Option<Vec<String>> {
    let (tokens, _) = json(decoded(bytes, &mut Vec::new()).trim())?;
    Some(tokens)
}

/// A text in whatever encoding it is, as UTF-8 without a byte order mark.
#[must_use]
pub fn as_utf8(bytes: &[u8]) -> String {
    decoded(bytes, &mut Vec::new())
}

/// The text without what nobody sees.
#[must_use]
pub fn shown_text(bytes: &[u8]) -> String {
    visible(decoded(bytes, &mut Vec::new()).trim(), &mut Vec::new())
}

fn add(readings: &mut Vec<Reading>, mut reading: Reading) {
    let mut seen = Vec::new();
    reading.tokens.retain(|token| {
        !token.is_empty() && !seen.contains(token) && {
            seen.push(token.clone());
            seen.len() <= TOKENS_MAX
        }
    });
    let known = |one: &Reading| one.tokens == reading.tokens;
    if !reading.tokens.is_empty() && !readings.iter().any(known) {
        readings.push(reading);
    }
}

/// The text, whatever wrote it.
fn decoded(bytes: &[u8], notes: &mut Vec<String>) -> String {
    let wide = |bytes: &[u8], of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| of([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let (text, note) = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => (String::from_utf8_lossy(rest).into_owned(), true),
        [0xff, 0xfe, rest @ ..] => (wide(rest, u16::from_le_bytes), true),
        [0xfe, 0xff, rest @ ..] => (wide(rest, u16::from_be_bytes), true),
        _ => (String::from_utf8_lossy(bytes).into_owned(), false),
    };
    if note {
        notes.push("a byte order mark was left out".to_owned());
    }
    text
}

/// Without what nobody sees: zero-width characters, blanks that are not the ordinary one, and what
/// colours a terminal.
fn visible(text: &str, notes: &mut Vec<String>) -> String {
    let plain = without_colours(text);
    let hidden = |c: char| {
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
            || matches!(c, '\u{feff}' | '\u{ad}')
            || (c.is_control() && !c.is_whitespace())
    };
    let mut shown = String::with_capacity(text.len());
    for c in plain.chars().filter(|c| !hidden(*c)) {
        shown.push(if c.is_whitespace() && !"\r\n\t".contains(c) { ' ' } else { c });
    }
    let shown = shown.trim().to_owned();
    if shown != text {
        notes.push("characters that nobody sees were left out".to_owned());
    }
    shown
}

/// Without the control sequences of a terminal (ECMA-48): `ESC [ … m`, `ESC ] … BEL`.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        let ended = |end: fn(char) -> bool| {
            let at = behind.char_indices().skip(1).find(|(_, c)| end(*c));
            at.map_or("", |(at, c)| &behind[at + c.len_utf8()..])
        };
        rest = match behind.chars().next() {
            Some('[') => ended(|c| ('\u{40}'..='\u{7e}').contains(&c)),
            Some(']') => ended(|c| matches!(c, '\u{7}' | '\\')),
            _ => behind,
        };
    }
    plain + rest
}

type Way = (Vec<String>, Vec<String>);

/// The ways to read a text without blanks around it.
fn ways(text: &str) -> Vec<Way> {
    if let Some(way) = json(text) {
        return vec![way];
    }
    let (bare, unquoted) = unwrapped(text);
    if bare != text {
        let ways = ways(bare).into_iter();
        return ways.map(|(tokens, notes)| (tokens, [unquoted.clone(), notes].concat())).collect();
    }
    if !text.contains(char::is_whitespace) && marked_pair(text).is_none() && !is_address(text) {
        return vec![(vec![text.to_owned()], Vec::new())];
    }
    let mut ways = Vec::new();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let plain = lines.len() > 1 && lines.iter().all(|line| !line.contains(char::is_whitespace));
    if let Some(joined) = joined(&lines).filter(|_| plain) {
        ways.push((vec![joined], vec![format!("{} lines were put together", lines.len())]));
    }
    ways.push(scanned(text));
    ways
}

/// The text within quotes, or in front of the comma of a list.
fn unwrapped(text: &str) -> (&str, Vec<String>) {
    const PAIRS: [(char, char); 9] = [
        ('"', '"'),
        ('\'', '\''),
        ('`', '`'),
        ('\u{201c}', '\u{201d}'),
        ('\u{201e}', '\u{201c}'),
        ('\u{2018}', '\u{2019}'),
        ('\u{ab}', '\u{bb}'),
        ('<', '>'),
        ('(', ')'),
    ];
    let ended = text.trim_end_matches([',', ';']);
    for (open, close) in PAIRS {
        let inner = ended.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        if let Some(inner) = inner.map(str::trim).filter(|inner| !inner.contains([open, close])) {
            return (inner, vec!["quotes around it were left out".to_owned()]);
        }
    }
    (text, Vec::new())
}

/// Lines that are one token which a screen or a mail broke; `None` when they are not.
fn joined(lines: &[&str]) -> Option<String> {
    let whole = lines.concat();
    let (last, before) = lines.split_last()?;
    let first = before.first()?;
    let dots = whole.matches('.').count();
    let one_jose = whole.starts_with("eyJ")
        && (dots == 2 || dots == 4)
        && whole.matches("eyJ").count() <= 2
        && lines.iter().filter(|line| line.matches('.').count() >= 2).count() == 0;
    let even = first.len() >= WRAPPED_MIN && before.iter().all(|line| line.len() == first.len());
    (one_jose || (even && last.len() < first.len() && dots <= 4)).then_some(whole)
}

/// The tokens of a JSON text; `None` when it is none, or names no token.
fn json(text: &str) -> Option<Way> {
    let starts = text.starts_with(['{', '[']);
    let value: Value = serde_json::from_str(text).ok().filter(|_| starts)?;
    let mut way = (Vec::new(), Vec::new());
    members(&value, &mut way);
    (!way.0.is_empty()).then_some(way)
}

fn members(value: &Value, way: &mut Way) {
    match value {
        Value::Array(list) => list.iter().for_each(|one| members(one, way)),
        Value::Object(object) => {
            let part = |name: &str| object.get(name).and_then(Value::as_str);
            if let (Some(head), Some(body), Some(signature)) =
                (part("protected"), part("payload"), part("signature"))
            {
                way.0.push(format!("{head}.{body}.{signature}"));
                way.1.push("a signature in JSON was put into the compact form".to_owned());
            }
            for (name, one) in object {
                match one.as_str() {
                    Some(text) if is_token_name(name) => {
                        let (tokens, notes) = value_of(text);
                        way.0.extend(tokens);
                        way.1.extend(notes);
                        way.1.push(format!("the member {} of the JSON was taken", shown(name)));
                    }
                    _ => members(one, way),
                }
            }
        }
        _ => {}
    }
}

/// What stands where a token is expected: it may have its scheme in front.
fn value_of(text: &str) -> Way {
    match text.trim().split_once(char::is_whitespace) {
        Some((scheme, token)) if is_scheme(scheme) => {
            (vec![token.trim().to_owned()], vec![scheme_note(scheme)])
        }
        _ => (vec![text.trim().to_owned()], Vec::new()),
    }
}

/// Whether a member, variable, header or parameter of this name holds a token.
fn is_token_name(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    let other = ["csrftoken", "xsrftoken", "nexttoken", "pagetoken", "continuationtoken"];
    !other.iter().any(|end| name.ends_with(end))
        && (["token", "jwt", "bearer"].iter().any(|end| name.ends_with(end))
            || name == "authorization"
            || name == "proxyauthorization")
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "dpop", "token", "jwt"].iter().any(|one| word.eq_ignore_ascii_case(one))
}

fn scheme_note(scheme: &str) -> String {
    format!("`{}` in front of it was left out", shown(scheme))
}

/// A name for a note: it is no token, and cannot be one.
fn shown(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '?' };
    let short = name.len() < AMONG_WORDS_MIN;
    if short { name.chars().map(plain).collect() } else { "of a long name".to_owned() }
}

/// `name=value` or `name:value` with the name of a token.
fn marked_pair(word: &str) -> Option<(&str, &str)> {
    let at = word.find(['=', ':'])?;
    let (name, value) = (&word[..at], &word[at + 1..]);
    let value = value.strip_prefix('>').unwrap_or(value);
    let last = name.rsplit(['$', ':', '.', '{', '[', '(', '?', '&', '#']).next().unwrap_or(name);
    is_token_name(last).then_some((last, value))
}

/// Whether a word is an address or a form, with parameters in it.
fn is_address(word: &str) -> bool {
    let mut pairs = word.split(['?', '#', '&']);
    let several = word.contains(['?', '#', '&']);
    word.contains("://") || (several && pairs.any(|pair| marked_pair(pair).is_some()))
}

/// The tokens of a text of several words.
fn scanned(text: &str) -> Way {
    let text = text.replace("\\\"", "\"").replace("\\\n", " ").replace("\\\r\n", " ");
    let quotes = "\"'`\u{201c}\u{201d}\u{201e}\u{2018}\u{2019}\u{ab}\u{bb}<>(){}[]";
    let split = |c: char| c.is_whitespace() || quotes.contains(c);
    let words = text.split(split).map(|word| word.trim_matches([',', ';']));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut scan = Scan { words: &words, at: 0, way: Way::default() };
    while scan.at < words.len() {
        scan.step();
    }
    let (tokens, notes) = scan.way;
    if !tokens.is_empty() {
        return (tokens, notes);
    }
    among(&words)
}

/// Tokens that no name or scheme marks: words that can hardly be anything else.
fn among(words: &[&str]) -> Way {
    let jose = |word: &&&str| word.starts_with("eyJ") && word.contains('.');
    let tight = |word: &&&str| {
        let (digit, letter) = (|b: u8| b.is_ascii_digit(), |b: u8| b.is_ascii_alphabetic());
        word.len() >= AMONG_WORDS_MIN
            && word.is_ascii()
            && word.bytes().any(digit)
            && word.bytes().any(letter)
            && !word.contains("://")
    };
    // A user's or client's own secret is no token.
    let basic = |at: &usize| *at > 0 && words[at - 1].eq_ignore_ascii_case("basic");
    let words: Vec<&str> = (0..words.len()).filter(|at| !basic(at)).map(|at| words[at]).collect();
    let clean = |word: &&str| word.trim_end_matches(['.', ':', '!', '?']).to_owned();
    let mut found: Vec<String> = words.iter().filter(jose).map(clean).collect();
    if found.is_empty() {
        found = words.iter().filter(tight).map(clean).collect();
    }
    let note = format!("{} of {} words {LOOKS_LIKE}", found.len(), words.len());
    let notes = if found.is_empty() { Vec::new() } else { vec![note] };
    (found, notes)
}

/// A walk over words.
struct Scan<'t> {
    words: &'t [&'t str],
    at: usize,
    way: Way,
}

impl Scan<'_> {
    fn step(&mut self) {
        let word = self.words[self.at];
        self.at += 1;
        if is_address(word) {
            return self.address(word);
        }
        if let Some((name, value)) = marked_pair(word) {
            let (name, value) = (name.to_owned(), value.to_owned());
            return self.named(&name, &value);
        }
        // `name = value`, and `name : value` once quotes are gone.
        let next = self.words.get(self.at).copied().unwrap_or_default();
        let name = word.rsplit(['$', ':', '.']).next().unwrap_or(word);
        if ["=", ":", "=>", ":="].contains(&next) && is_token_name(name) {
            self.at += 1;
            return self.named(name, "");
        }
        let is_real = !word.eq_ignore_ascii_case("token") && !word.eq_ignore_ascii_case("jwt");
        if is_scheme(word) && is_real && self.words.get(self.at).is_some() {
            self.take(scheme_note(word));
        }
    }

    /// What a name promises: beside it, or in the next word, behind a scheme perhaps.
    fn named(&mut self, name: &str, value: &str) {
        let note = format!("what stands behind {} was taken", shown(name));
        if value.is_empty() || is_scheme(value) || value.eq_ignore_ascii_case("basic") {
            let next = self.words.get(self.at).copied().unwrap_or_default();
            let scheme = if value.is_empty() { next } else { value };
            if value.is_empty() && (is_scheme(next) || next.eq_ignore_ascii_case("basic")) {
                self.at += 1;
            }
            if scheme.eq_ignore_ascii_case("basic") {
                self.at += 1;
                return;
            }
            return self.take(note);
        }
        let value = value.trim_start_matches("Bearer%20").trim_start_matches("Bearer+");
        self.way.0.push(unescaped(value));
        self.way.1.push(note);
    }

    fn take(&mut self, note: String) {
        if let Some(word) = self.words.get(self.at) {
            self.at += 1;
            self.way.0.push((*word).to_owned());
            self.way.1.push(note);
        }
    }

    /// The parameters of an address or a form.
    fn address(&mut self, word: &str) {
        for pair in word.split(['?', '#', '&']) {
            let Some((name, value)) = pair.split_once('=') else { continue };
            if is_token_name(name) && !value.is_empty() {
                self.way.0.push(unescaped(value));
                self.way.1.push(format!("the parameter {} of the address was taken", shown(name)));
            }
        }
    }
}

/// Without the escapes of an address, where there are any.
fn unescaped(value: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded.map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPAQUE: &str = "tGzv3JOkF0XG5Qx2TlKWIA-9f_1c.8";
    const JWT: &str =
        "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiIxIiwiaXNzIjoiaHR0cHM6Ly9pZHAifQ.c2lnbmF0dXJl";

    /// Forms with `@` for the token: the first reading is the token alone.
    const FORMS: &[&str] = &[
        "@",
        "@\n",
        "@\r\n",
        "  @\t",
        "\n\n@\n\n",
        "\u{feff}@",
        "\u{200b}@\u{a0}",
        "\"@\"",
        "'@'",
        "`@`",
        "\u{201c}@\u{201d}",
        "\u{2018}@\u{2019}",
        "\u{ab}@\u{bb}",
        "\" @ \"",
        "'\"@\"'",
        "\"@\",",
        "<@>",
        "Bearer @",
        "bearer  @\r\n",
        "BEARER\t@",
        "\"Bearer @\"",
        "DPoP @",
        "Authorization: Bearer @",
        "authorization:bearer @",
        "Authorization: Bearer \"@\"",
        "Authorization: token @",
        "  Authorization:   Bearer   @  ",
        "'Authorization: Bearer @'",
        "Authorization: @",
        "GET /x HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer @\r\nAccept: */*\r\n\r\n",
        "> Authorization: Bearer @",
        "curl -H 'Authorization: Bearer @' https://api.test/orders",
        "curl https://api.test/v1/a1b2c3d4e5f6a7b8c9d0 -H \"authorization: Bearer @\" -X POST",
        "curl -s \\\n  -H 'Authorization: Bearer @' \\\n  https://api.test/x",
        "curl --oauth2-bearer x -H \"X-Access-Token: @\"",
        "curl -d 'token=@' https://as.test/introspect",
        "curl -d token=@ -d token_type_hint=refresh_token https://as.test/introspect",
        "https://app.test/cb#access_token=@&token_type=Bearer&expires_in=3600",
        "https://app.test/cb?state=abc&access_token=@",
        "/cb?access_token=@&x=1",
        "token=@&token_type_hint=access_token",
        "access_token=@",
        "TOKEN=@",
        "export TOKEN=@",
        "export ACCESS_TOKEN=\"@\"",
        "API_TOKEN='@'",
        "$env:TOKEN = \"@\"",
        "set TOKEN=@",
        "# .env\nHOST=a.test\nACCESS_TOKEN=@\nPORT=8080\n",
        "token: @",
        "access_token: \"@\"",
        "const accessToken = \"@\";",
        "{'access_token': '@', 'token_type': 'Bearer'}",
        "{\"access_token\":\"@\"}",
        "{\n  \"access_token\": \"@\",\n  \"token_type\": \"Bearer\",\n  \"expires_in\": 3600\n}\n",
        "{\"refresh_token\":\"@\"}",
        "{\"id_token\":\"@\"}",
        "{\"token\":\"@\"}",
        "{\"data\":[{\"session\":{\"accessToken\":\"@\"}}]}",
        "{\"headers\":{\"Authorization\":\"Bearer @\"}}",
        "{\"request\":\"curl\",\"authorization\":\"bearer @\"}",
        "\"access_token\": \"@\",",
        "{\\\"access_token\\\":\\\"@\\\"}",
        "{\"access_token\":\"@\", ...",
        "Cookie: theme=dark; access_token=@; lang=en",
        "level=info msg=\"denied\" token=@ path=/x",
    ];

    fn first(text: &str) -> Reading {
        read(text.as_bytes()).into_iter().next().unwrap_or_default()
    }

    #[test]
    fn a_token_is_found_in_what_people_paste_and_no_note_repeats_it() {
        for token in [OPAQUE, JWT] {
            for form in FORMS {
                let text = form.replace('@', token);
                let reading = first(&text);
                assert_eq!(reading.tokens, [token], "{form:?}");
                let notes = reading.notes.join("\n");
                let parts = (0..token.len() - 8).map(|at| &token[at..at + 8]);
                assert_eq!(parts.filter(|part| notes.contains(part)).count(), 0, "{form}: {notes}");
                let plain = form.trim_end_matches(['\r', '\n']) == "@";
                assert_eq!(reading.notes.is_empty(), plain, "{form:?}: {notes}");
            }
            for words in ["Our customer sent this: @. Please revoke it!", "leaked\n@\n(see case 9)"]
            {
                assert_eq!(first(&words.replace('@', token)).tokens, [token], "{words}");
            }
        }
    }

    #[test]
    fn utf_16_of_a_clipboard_is_read() {
        for of in [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes] {
            let text = format!("\u{feff}Bearer {OPAQUE}\r\n");
            let bytes: Vec<u8> = text.encode_utf16().flat_map(of).collect();
            assert_eq!(read(&bytes)[0].tokens, [OPAQUE]);
        }
    }

    #[test]
    fn a_broken_line_is_one_token_and_two_lines_are_two() {
        let (a, rest) = JWT.split_at(30);
        let (b, c) = rest.split_at(30);
        for text in [format!("{a}\n{b}\n{c}"), format!("  {a}\r\n  {b}\r\n  {c}\r\n")] {
            assert_eq!(first(&text).tokens, [JWT], "{text}");
        }
        let long = "a1".repeat(70);
        let broken = format!("{}\n{}\n{}", &long[..64], &long[64..128], &long[128..]);
        assert_eq!(first(&broken).tokens, [long]);
        let two = format!("{OPAQUE}\n{JWT}\n");
        assert_eq!(first(&two).tokens, [JWT], "a JWT among other words");
        let (one, other) = (format!("{OPAQUE}a"), format!("{OPAQUE}b"));
        assert_eq!(first(&format!("{one}\n{other}")).tokens, [one, other]);
        let jwts = format!("{JWT}\n{JWT}x");
        assert_eq!(first(&jwts).tokens, [JWT.to_owned(), format!("{JWT}x")]);
    }

    #[test]
    fn several_tokens_of_one_text_are_several() {
        let text = format!("{{\"access_token\":\"{JWT}\",\"refresh_token\":\"{OPAQUE}\"}}");
        assert_eq!(first(&text).tokens, [JWT, OPAQUE]);
        let same = format!("{{\"access_token\":\"{JWT}\",\"id_token\":\"{JWT}\"}}");
        assert_eq!(first(&same).tokens, [JWT]);
    }

    #[test]
    fn a_token_with_odd_characters_is_read_as_it_stands_too() {
        for token in ["\"quoted-and-0dd-enough\"", "token=0f-something-else-1", "a,b 0c'd;e{f}g"] {
            let readings = read(format!("{token}\n").as_bytes());
            assert!(readings.iter().any(|one| one.tokens == [token]), "{token}: {readings:?}");
        }
        let padded = " 0123456789abcdef0123 ";
        let readings = read(padded.as_bytes());
        assert_eq!(readings[0].tokens, [padded.trim()]);
        assert!(readings.iter().any(|one| one.tokens == [padded]), "{readings:?}");
        // A value with the signs of a pair is a value.
        for token in ["abcdefghij0123456789==", "eu:9f86d081884c7d65:9a2f", "v1.local/a+b=0123456"]
        {
            assert_eq!(first(token).tokens, [token]);
        }
    }

    #[test]
    fn nothing_is_read_from_nothing() {
        for text in ["", "\n", " \r\n\t", "\u{feff}", "\u{200b}"] {
            assert_eq!(read(text.as_bytes()), [], "{text:?}");
        }
        let basic = first("Authorization: Basic dXNlcjpwYXNzd29yZA==");
        assert!(!basic.tokens.contains(&"dXNlcjpwYXNzd29yZA==".to_owned()), "{basic:?}");
    }
}
