//! The published vectors and the data dictionary: generated, compared, and run from the files
//! alone.
//!
//! `UPDATE_VECTORS=1 cargo test -p ledgerline-proof --test schema_vectors` rewrites them.

#[path = "records/dictionary.rs"]
mod dictionary;
#[path = "records/examples.rs"]
mod examples;
#[path = "records/strategies.rs"]
mod strategies;

use std::path::{Path, PathBuf};

use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::hash::{Hash, domain, leaf_hash, sha256};
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{self, Kind, Leaf, Schema, SchemaSet};
use ledgerline_proof::signature::{Alg, SigningContext, StatementKey, StatementSigner};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::submission::{Batch, Submission};
use ledgerline_proof::vocabulary::TargetKind;
use serde_json::Value as Json;

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn vectors(name: &str) -> PathBuf {
    crate_folder().join("vectors").join(name)
}

/// Compares a published file with what the kernel generates now, or rewrites it.
fn check_published(path: &Path, generated: &str) {
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, generated).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap_or_default();
    assert!(published == generated, "{} differs; see this file's head", path.display());
}

fn check_published_json(path: &Path, generated: &Json) {
    let text = format!("{generated:#}\n");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        check_published(path, &text);
    }
    // By value: another crate of the build may switch the order of keys in serde_json.
    assert!(read(path) == *generated, "{} differs; see this file's head", path.display());
}

fn read(path: &Path) -> Json {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default()
}

#[test]
fn published_files_are_current() {
    check_published_json(&vectors("entries.json"), &examples::entries());
    check_published_json(&vectors("schemas.json"), &examples::schemas());
    let docs = crate_folder().join("../../docs/reference/data-dictionary.md");
    check_published(&docs, &dictionary::markdown());
}

/// The page lists every domain string, and none that the kernel does not have.
#[test]
fn the_format_page_lists_the_domains() {
    let page = crate_folder().join("../../docs/reference/format.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `ledgerline/"));
    let listed: Vec<&str> = rows.map(|row| row.split('/').next().unwrap()).collect();
    assert_eq!(listed, domain::ALL.map(|(purpose, _)| purpose));
}

fn hex(json: &Json) -> Vec<u8> {
    let text = json.as_str().unwrap_or_else(|| panic!("{json} is no hex text"));
    assert!(text.len().is_multiple_of(2));
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn hash(json: &Json) -> Hash {
    Hash::from_hex(json.as_str().unwrap()).unwrap()
}

fn list<'a>(json: &'a Json, key: &str) -> &'a [Json] {
    let list = json[key].as_array().unwrap_or_else(|| panic!("no list `{key}`"));
    assert!(!list.is_empty(), "`{key}` is empty");
    list
}

#[test]
fn good_records_decode_to_what_the_vectors_say() {
    for record in list(&read(&vectors("entries.json")), "records") {
        let name = &record["name"];
        let object = hex(&record["object"]);
        let kind = schema::kind_of(&object).unwrap();
        assert_eq!(kind.name(), record["kind"], "{name}");
        assert_eq!(
            examples::view(kind, &object[schema::HEADER_BYTES..]),
            record["value"],
            "{name}"
        );
        match kind {
            Kind::Statement => {
                let statement: Statement<'_> = schema::decode_object(kind, &object).unwrap();
                assert_eq!(schema::encode_object(kind, &statement), object, "{name}");
                let valid = record["valid"].as_bool().unwrap();
                assert_eq!(statement.validate().is_ok(), valid, "{name}");
            }
            Kind::Personal => {
                let personal: PersonalRecord<'_> = schema::decode_object(kind, &object).unwrap();
                assert_eq!(schema::encode_object(kind, &personal), object, "{name}");
                assert_eq!(commitment(&object), hash(&record["commitment"]), "{name}");
            }
            Kind::Entry | Kind::Block | Kind::Control => {
                assert_eq!(Leaf::decode(&object).unwrap().encode(), object, "{name}");
                assert_eq!(leaf_hash(&object), hash(&record["event_hash"]), "{name}");
            }
            Kind::Refusal => {
                assert_eq!(leaf_hash(&object), hash(&record["leaf_hash"]), "{name}");
            }
            Kind::Submission => assert_eq!(Submission::decode(&object).unwrap().encode(), object),
        }
    }
}

fn code_of(kind: Kind, object: &[u8]) -> &'static str {
    let decoded = match kind {
        Kind::Statement => schema::decode_object::<Statement<'_>>(kind, object)
            .map(|statement| statement.validate().map_or_else(|error| error.code(), |()| "")),
        Kind::Personal => schema::decode_object::<PersonalRecord<'_>>(kind, object)
            .map(|personal| personal.validate().map_or_else(|error| error.code(), |()| "")),
        Kind::Entry | Kind::Block | Kind::Control => Leaf::decode(object).map(|_| ""),
        Kind::Submission => {
            return Submission::decode(object).map_or_else(|error| error.code(), |_| "");
        }
        Kind::Refusal => {
            schema::decode_object::<ledgerline_proof::block::Refusal<'_>>(kind, object).map(|_| "")
        }
    };
    decoded.unwrap_or_else(|error| error.code())
}

#[test]
fn bad_records_are_refused_with_their_code() {
    for bad in list(&read(&vectors("entries.json")), "refused") {
        let kind = Kind::from_name(bad["kind"].as_str().unwrap()).unwrap();
        assert_eq!(code_of(kind, &hex(&bad["object"])), bad["error"], "{}", bad["name"]);
    }
}

#[test]
fn chains_start_where_the_vectors_say() {
    for chain in list(&read(&vectors("entries.json")), "chains") {
        let kind = TargetKind::from_symbol(chain["kind"].as_str().unwrap()).unwrap();
        let id = hex(&chain["id"]);
        let key = ChainKey { kind, tenant: chain["tenant"].as_str().unwrap(), id: &id };
        assert_eq!(key.start(&hash(&chain["genesis_hash"])), hash(&chain["start"]));
    }
}

#[test]
fn signatures_are_judged_as_the_vectors_say() {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let mut verdicts = [0; 2];
    for case in list(&read(&vectors("entries.json")), "signatures") {
        let alg = Alg::from_name(&text(&case["alg"])).unwrap();
        let (deployment, key_id) = (text(&case["deployment"]), text(&case["key_id"]));
        let (statement, value) = (hex(&case["statement"]), hex(&case["value"]));
        let context = SigningContext::new(alg, &deployment, &key_id);
        assert_eq!(context.message(&statement), hex(&case["message"]), "{}", case["name"]);
        let secret = hex(&case["secret"]);
        let (key, signer) = match alg {
            Alg::HmacSha256 => (
                StatementKey::hmac(&secret, &deployment, &key_id),
                StatementSigner::hmac(&secret, &deployment, &key_id),
            ),
            Alg::Ed25519 => (
                StatementKey::ed25519(&hex(&case["public"]), &deployment, &key_id).unwrap(),
                StatementSigner::ed25519(&secret.try_into().unwrap(), &deployment, &key_id),
            ),
        };
        let valid = case["valid"].as_bool().unwrap();
        assert_eq!(key.verify(&statement, &value).is_ok(), valid, "{}", case["name"]);
        assert_eq!(signer.sign(&statement) == value, valid, "{}", case["name"]);
        verdicts[usize::from(valid)] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > 1), "both verdicts occur");
}

#[test]
fn batches_split_as_the_vectors_say() {
    for batch in list(&read(&vectors("entries.json")), "batches") {
        let body = hex(&batch["body"]);
        let (good, bad): (Vec<_>, Vec<_>) = Batch::new(&body).partition(Result::is_ok);
        let frames: Vec<_> = batch["frames"].as_array().unwrap().iter().map(hex).collect();
        assert_eq!(good.into_iter().map(Result::unwrap).collect::<Vec<_>>(), frames);
        let code = bad.first().map(|error| error.unwrap_err().code());
        assert_eq!(code, batch["error"].as_str(), "{}", batch["name"]);
    }
}

#[test]
fn schemas_and_their_versions_are_those_of_the_vectors() {
    let published = read(&vectors("schemas.json"));
    for pin in list(&published, "pinned") {
        let kind = Kind::from_name(pin["name"].as_str().unwrap()).unwrap();
        let file = crate_folder().join(pin["file"].as_str().unwrap());
        let text = std::fs::read_to_string(file).unwrap();
        let fingerprint = hex(&pin["fingerprint"]).try_into().unwrap();
        assert_eq!(SchemaSet::new().text(fingerprint), Some(&*text));
        assert_eq!(Kind::from_fingerprint(fingerprint), Some(kind));
        assert_eq!(sha256(text.as_bytes()), hash(&pin["sha256"]));
        assert_eq!(schema::fingerprint(&text).unwrap()[..], hex(&pin["fingerprint"]));
        assert_eq!(Schema::parse(&text).unwrap().canonical_form(), pin["canonical_form"]);
    }
    for version in list(&published, "versions") {
        let kind = Kind::from_name(version["name"].as_str().unwrap()).unwrap();
        let text = version["text"].as_str().unwrap();
        let mut set = SchemaSet::new();
        let record = ledgerline_proof::control::SchemaText {
            name: kind.name(),
            fingerprint: hex(&version["fingerprint"]).try_into().unwrap(),
            sha256: hash(&version["sha256"]),
            text,
        };
        set.announce(&record).unwrap();
        let object = hex(&version["object"]);
        let body = set.body(kind, &object).unwrap();
        assert_eq!(body, hex(&version["body_read_as_v1"]));
        assert_eq!(examples::view(kind, &body), version["value_read_as_v1"]);
    }
}
