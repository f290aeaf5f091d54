//! A known token in whatever form it is pasted, through the real binary and a real server: the form
//! is never a reason to call it unknown.

mod running;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use running::{Server, event, stderr, stdout};
use serde_json::{Value, json};

/// One of each kind of look.
const TOKENS: &[&str] = &[
    "tGzv3JOkF0XG5Qx2TlKWIA-9f_1c.8",
    "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiIxIiwiaXNzIjoiaHR0cHM6Ly9pZHAifQ.c2lnbmF0dXJlc2lnbmF0dXJl",
    "q83vEjRWeJ+rze8SNFZ4/q83vEjRWeJA==",
    "17|Wf0aKq3bVx9rTn5mLs7cYd2eHg8jPu4i",
    "5f2b9c1d7e3a4f60b8c2d1e09f7a6b5c4d3e2f105f2b9c1d7e3a4f60b8c2d1e09f7a6b5c4d3e2f10",
];

/// Forms with `@` for the token, `¶P` for it in percent coding, `¶B` for it and `¶U` for
/// `alice:` and it in base64, `¶1` and `¶2` for its halves.
const FORMS: &[&str] = &[
    "@",
    "[\"@\"]",
    "@,",
    "@;",
    "@.",
    "@|",
    "\"@",
    "@'",
    "`@`.",
    "[@]",
    "{@}",
    "**@**",
    "- @",
    "> @",
    "| token | @ |",
    "(token: @)",
    "\u{2014} @",
    "\u{201e}@\u{201c}",
    "\u{201a}@\u{2018}",
    "\u{2039}@\u{203a}",
    "\u{300c}@\u{300d}",
    "\u{ff02}@\u{ff02}",
    "Bearer%20¶P",
    "?access_token=Bearer%20¶P",
    "https://a.test/?next=%2Fcb%3Faccess_token%3D¶P",
    "%7B%22access_token%22%3A%22¶P%22%7D",
    "access_token=¶P&state=1",
    "https://a.test/cb?code=¶P&state=1",
    "https://a.test/cb?x=1&amp;access_token=¶P&amp;y=2",
    "<https://a.test/?token=¶P>",
    "https://a.test/reset/¶P",
    "access_token: >-\n  @\n",
    "access_token: |\n  @\n",
    "authorization:\n  token: @\n",
    "tokens:\n  - @\n",
    "<token>@</token>",
    "<ns:AccessToken xsi:type=\"s\">@</ns:AccessToken>",
    "&quot;@&quot;",
    "curl -u alice:@ https://api.test/x",
    "curl --user alice:@ https://api.test/x",
    "curl -u @: https://api.test/x",
    "curl -HAuthorization:\\ Bearer\\ @ https://api.test/x",
    "wget --header=\"Authorization: Bearer @\" https://api.test/x",
    "Authorization: Basic ¶U",
    "data:\n  token: ¶B",
    "Authorization: Token token=\"@\"",
    "Authorization: ApiKey @",
    "Authorization: \"Bearer @\"",
    "Authorization=Bearer @",
    "authorization\nBearer @",
    "Authorization: Bearer\r\n  @\r\nAccept: */*\r\n",
    "X-Api-Key: @",
    "x-api-key:@",
    "{\"value\":\"@\"}",
    "{\"credential\":\"@\"}",
    "{\"data\":{\"secret\":\"@\"}}",
    "{\"a\":1}\n{\"access_token\":\"@\"}",
    "{\"access_token\":\"@\",}",
    "{'access_token':'@'}",
    "\"{\\\"access_token\\\":\\\"@\\\"}\"",
    "\"\\n@\\n\"",
    "id,token\n1,@",
    "alice,@,2026",
    "\"id\",\"token\"\n\"1\",\"@\"",
    "id;token\n1;@",
    "id\ttoken\n1\t@",
    "Authorization: Bearer ¶1\r\n ¶2",
    "Authorization: Bearer ¶1\r\n\t¶2\r\nAccept: */*\r\n\r\n",
    "> ¶1\n> ¶2",
    "Hello,\n\nhere it is:\n¶1\n¶2\nBest regards",
    "¶1=\r\n¶2",
    "¶1\\\n¶2",
    "¶1 ¶2",
    "'¶1' + '¶2'",
    "\"¶1\" +\n    \"¶2\"",
    "\u{1b}[32m@\u{1b}[0m",
    "\u{1b}]0;x\u{7}@",
    "'Bearer ' + '@'",
    "Cookie: sid=@; theme=dark",
    "Set-Cookie: sid=@; Path=/; HttpOnly",
    "Sec-WebSocket-Protocol: bearer, @",
    "2026-11-29T10:00:00Z GET /x?sid=¶P 200",
    "10.0.0.1 - - [29/Nov/2026:10:00:00 +0000] \"GET /x?t=¶P HTTP/1.1\" 200 12",
    "token := \"@\"",
    "literal:@",
    "cat <<EOF\n@\nEOF",
    "Not-this-One-0123456789abcdef0123456789 @",
    "here: @ and Not-this-One-0123456789abcdef0123456789",
];

fn pasted(form: &str, token: &str) -> String {
    let percent = percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC);
    let (one, other) = token.split_at(token.len() / 2);
    form.replace("¶P", &percent.to_string())
        .replace("¶B", &STANDARD.encode(token))
        .replace("¶U", &STANDARD.encode(format!("alice:{token}")))
        .replace("¶1", one)
        .replace("¶2", other)
        .replace('@', token)
}

struct World {
    server: Server,
    key: String,
}

fn id_of(server: &Server, token: &str) -> String {
    let args = ["token-id", "--region", "eu", "--issuer", "idp"];
    stdout(&server.run_with("", &args, token.as_bytes())).trim().to_owned()
}

/// All of [`TOKENS`] are known.
fn world() -> World {
    let server = Server::start();
    for (n, token) in TOKENS.iter().enumerate() {
        let mut issued = event(&format!("i{n}"), "ISSUED", "x");
        issued["token_id"] = id_of(&server, token).into();
        issued["token_kind"] = "ACCESS".into();
        server.record(&server.admin, &[issued]);
    }
    let key = server.key("", "desk", &["responder"]);
    World { server, key }
}

impl World {
    fn ask(&self, args: &[&str], text: &str) -> (Option<i32>, Value, String) {
        let args = [args, &["-o", "json"]].concat();
        let output = self.server.run_with(&self.key, &args, text.as_bytes());
        let (out, err) = (stdout(&output), stderr(&output));
        for token in TOKENS {
            let longest = token.split('.').max_by_key(|part| part.len()).unwrap_or(token);
            assert!(!out.contains(longest) && !err.contains(longest), "a token was printed");
        }
        (output.status.code(), serde_json::from_str(&out).unwrap_or(Value::Null), err)
    }
}

#[test]
fn the_form_of_a_paste_made_a_known_token_unknown() {
    let world = world();
    let size = || world.server.get("/v1/status", &world.server.admin).json()["size"].clone();
    world.server.wait_for_block();
    let before = size();
    let mut missed = Vec::new();
    for token in TOKENS {
        let id = id_of(&world.server, token);
        for form in FORMS {
            let (exit, answer, err) = world.ask(&["trace", "-"], &pasted(form, token));
            if (exit, &answer["token_id"]) != (Some(0), &json!(id)) {
                missed.push(format!("{form:?} of {}…: {exit:?} {err}", &token[..4]));
            }
        }
    }
    assert_eq!(missed.len(), 0, "{}", missed.join("\n"));
    assert_eq!(size(), before, "a look-up is no use, and leaves no entry");
}

#[test]
fn several_known_tokens_in_any_form_are_refused_by_their_number() {
    let world = world();
    let (one, other) = (TOKENS[0], TOKENS[4]);
    for form in [
        "@,#",
        "@ #",
        "@\n#",
        "[\"@\",\"#\"]",
        "Authorization: Bearer @\r\nX-Other: #\r\n",
        "Authorization: Bearer @\nAuthorization: Bearer #\n",
        "Cookie: a=@; b=#",
        "{\"value\":\"@\",\"credential\":\"#\"}",
        "<a>@</a><b>#</b>",
        "token=@ id=eu:idp:t1:%",
    ] {
        let id = id_of(&world.server, other);
        let digest = id.rsplit(':').next().unwrap_or_default();
        let text = form.replace('@', one).replace('#', other).replace('%', digest);
        for command in [&["trace", "-"][..], &["introspect", "-"], &["revoke", "--dry-run", "-"]] {
            let (exit, answer, err) = world.ask(command, &text);
            assert_eq!((exit, &answer), (Some(64), &Value::Null), "{command:?} {form:?}: {err}");
            assert!(err.contains("holds 2 "), "{form:?}: {err}");
        }
    }
    // The same token twice, or a token and its own id, is one.
    let id = id_of(&world.server, one);
    for text in [format!("{one}\n{one}"), format!("token={one} id={id}")] {
        let (exit, answer, err) = world.ask(&["trace", "-"], &text);
        assert_eq!((exit, &answer["token_id"]), (Some(0), &json!(id)), "{err}");
    }
}

#[test]
fn an_unknown_paste_says_how_much_was_looked_up_and_why_it_may_be_the_reason() {
    let world = world();
    let torn = &TOKENS[1][..60];
    for (text, hint) in [
        ("tGzv3JOkF0XG5Qx2TlKWIA...", "cut off"),
        ("tGzv3JOkF0XG5Qx2TlKWIA\u{2026}", "cut off"),
        (torn, "a JWT in it looks cut off"),
        ("please look at Not-this-One-0123456789abcdef0123456789", "words"),
    ] {
        let (exit, answer, _) = world.ask(&["trace", "-"], text);
        assert_eq!((exit, &answer["status"]), (Some(4), &json!("unknown")), "{text}: {answer}");
        assert!(answer["hints"].to_string().contains(hint), "{text}: {answer}");
        assert!(answer["looked_up"].as_u64() >= Some(1), "{answer}");
        assert_eq!(answer["tenant"], "", "{answer}");
        let shown = world.server.run_with(&world.key, &["trace", "-"], text.as_bytes());
        let shown = stdout(&shown);
        assert!(shown.contains("the paste may be the reason") && shown.contains(hint), "{shown}");
        assert!(shown.contains("in the default tenant"), "{shown}");
    }
    for text in ["", " \n", "short"] {
        for command in [&["trace", "-"][..], &["introspect", "-"], &["revoke", "-"]] {
            let (exit, _, err) = world.ask(command, text);
            assert_eq!(exit, Some(64), "{command:?} {text:?}: {err}");
        }
    }
}

#[test]
fn as_of_an_earlier_size_is_not_as_of_now() {
    let world = world();
    let id = id_of(&world.server, TOKENS[4]);
    for args in [
        &["trace", "--as-of", "1", &id][..],
        &["lineage", "--as-of", "1", &id],
        &["blast-radius", "--as-of", "1", &id],
    ] {
        let (exit, answer, err) = world.ask(args, "");
        assert_eq!((exit, &answer["recorded_since"]), (Some(4), &json!(true)), "{args:?} {err}");
        let shown = stdout(&world.server.run(&world.key, args));
        assert!(shown.starts_with("UNKNOWN AS OF 1: "), "{shown}");
        assert!(shown.contains("it was recorded since"), "{shown}");
    }
    let (exit, answer, _) = world.ask(&["trace", "eu:idp:jti:nobody"], "");
    assert_eq!(
        (exit, &answer["recorded_since"], &answer["tenant"]),
        (Some(4), &json!(null), &json!(""))
    );
}

#[test]
fn in_whatever_form_a_token_that_two_issuers_claim_was_one_of_them() {
    let world = world();
    let id = id_of(&world.server, TOKENS[3]);
    let other = id.replacen(":idp:", ":evil:", 1);
    for (n, kind) in ["ISSUED", "REVOKED"].into_iter().enumerate() {
        let mut one = event(&format!("e{n}"), kind, "x");
        one["token_id"] = other.clone().into();
        world.server.record(&world.server.admin, &[one]);
    }
    // Also beside its ids: they are all about what was pasted.
    for form in ["@", "Cookie: sid=@; theme=dark", "token=@ id=^", "id=^ or else % of @"] {
        let text = form.replace('@', TOKENS[3]).replace('^', &other).replace('%', &id);
        for command in ["trace", "introspect", "blast-radius"] {
            let (exit, answer, err) = world.ask(&[command, "-"], &text);
            assert_eq!((exit, &answer["differs"]), (Some(3), &json!(true)), "{form:?}: {err}");
            assert_eq!(answer["records"].as_array().map(Vec::len), Some(2), "{form:?}: {answer}");
            assert_eq!(answer["token_id"], id, "what lives is first: {answer}");
        }
    }
    // As of when the other claim was not yet recorded, that one alone is unknown.
    let size = world.server.get(&format!("/v1/tokens/{id}/events"), &world.key).json();
    let last = size["events"][0]["index"].as_u64().expect("an index") + 1;
    let args = ["trace", "--as-of", &last.to_string(), "-"];
    let output = world.server.run_with(&world.key, &args, TOKENS[3].as_bytes());
    let shown = stdout(&output);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(shown.contains("UNKNOWN AS OF") && shown.contains("ISSUED"), "{shown}");
}

#[test]
fn the_document_about_a_token_with_several_ids_was_about_the_first_alone() {
    let world = world();
    let id = id_of(&world.server, TOKENS[3]);
    let other = id.replacen(":idp:", ":evil:", 1);
    let mut claim = event("e0", "ISSUED", "x");
    claim["token_id"] = other.clone().into();
    world.server.record(&world.server.admin, &[claim]);
    let life = world.server.get(&format!("/v1/tokens/{id}/events"), &world.key).json();
    let then = (life["events"][0]["index"].as_u64().expect("an index") + 1).to_string();
    for command in ["trace", "lineage", "blast-radius"] {
        let (_, answer, err) = world.ask(&[command, "-"], TOKENS[3]);
        let others = answer["others"].as_array().expect("the others");
        assert_eq!(others.len(), 1, "{command}: {err}");
        let one = &others[0];
        let (about, is_known) = (one.to_string(), &one["status"]);
        assert_eq!(is_known, "known", "{command}: {about}");
        assert!(about.contains(&other) || about.contains(&id), "{command}: {about}");
        // As of when the other claim was not yet recorded, that is said of it.
        let (exit, answer, err) = world.ask(&[command, "--as-of", &then, "-"], TOKENS[3]);
        let both = [&answer, &answer["others"][0]].map(|one| one["status"].clone());
        assert!(both.contains(&json!("unknown")), "{command}: {answer} {err}");
        assert!(both.contains(&json!("known")), "{command}: {answer} {err}");
        assert_eq!(exit, Some(3), "{command}: {answer} {err}");
    }
}
