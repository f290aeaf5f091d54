//! The table of formats: how issuers mark what they hand out.
//!
//! Promises: one row a mark. A row says what the mark looks like, what may stand before it, and
//! what must follow; a secret is longer and never shorter than its row asks. Marks of three or four
//! characters ask for more, since a random value of 43 characters begins with one now and then.
//!
//! The facts (marks, alphabets, lengths) were gathered from the issuers' own pages and from the
//! rules of gitleaks (MIT) and Nosey Parker (Apache-2.0); see docs/decisions.

use super::issuers;
use super::shapes::{self, Mark};

/// What may stand before a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Anything: what follows leaves no doubt.
    Any,
    /// No letter and no digit.
    Joined,
    /// Nothing that ids and digests are written in.
    Apart,
}

/// What must stand behind a mark.
#[derive(Clone, Copy)]
pub(super) enum Rest {
    /// At least so many characters of an alphabet.
    Run(fn(u8) -> bool, usize),
    /// So many characters of an alphabet, at least and at most, and then none of it.
    Between(fn(u8) -> bool, usize, usize),
    /// What the function says of the mark in its text.
    Shape(fn(Mark<'_>) -> bool),
}

/// One row.
pub(super) struct Format {
    /// The mark, as it is written.
    pub(super) mark: &'static str,
    /// Whether only this writing counts: marks of letters alone stand in words, too.
    pub(super) exact: bool,
    /// What may stand before.
    pub(super) left: Left,
    /// What must stand behind.
    pub(super) rest: Rest,
}

/// `[0-9A-Fa-f]`.
pub(super) fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}
/// `[0-9A-Za-z]`.
pub(super) fn alnum(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}
/// `[0-9A-Z]`.
pub(super) fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}
/// base64url: what secrets, ids and digests are written in.
pub(super) fn url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
/// base64url and dots.
pub(super) fn dotted(byte: u8) -> bool {
    url(byte) || byte == b'.'
}
/// base64 of either alphabet, padded or not.
pub(super) fn base64(byte: u8) -> bool {
    url(byte) || matches!(byte, b'+' | b'/' | b'=')
}

const fn row(mark: &'static str, left: Left, rest: Rest) -> Format {
    Format { mark, exact: false, left, rest }
}

const fn exact(mark: &'static str, left: Left, rest: Rest) -> Format {
    Format { mark, exact: true, left, rest }
}

/// A mark that no word has, and sixteen characters or more.
const fn plain(mark: &'static str) -> Format {
    row(mark, Joined, Run(dotted, 16))
}

/// Whatever a name is set to: the name itself says that it is secret.
const fn named(name: &'static str) -> Format {
    row(name, Any, Shape(shapes::assigned))
}

use Left::{Any, Apart, Joined};
use Rest::{Between, Run, Shape};

/// All rows. Rows whose marks begin alike stand one by one; none is the beginning of another.
pub(super) static FORMATS: &[Format] = &[
    // This ledger's API keys.
    row("llk_", Joined, Shape(shapes::own_key)),
    // JOSE: a header, whatever white space its JSON has; base64 of a JWT.
    exact("eyJ", Any, Shape(shapes::jose)),
    exact("eyA", Any, Shape(shapes::jose)),
    exact("ewo", Any, Shape(shapes::jose)),
    exact("ew0", Any, Shape(shapes::jose)),
    exact("ewk", Any, Shape(shapes::jose)),
    exact("IHsi", Any, Shape(shapes::jose)),
    exact("Cnsi", Any, Shape(shapes::jose)),
    exact("DQp7", Any, Shape(shapes::jose)),
    exact("ZXlK", Any, Shape(shapes::base64_of_jose)),
    exact("SUhz", Any, Shape(shapes::base64_of_jose)),
    exact("Q25z", Any, Shape(shapes::base64_of_jose)),
    exact("RFFw", Any, Shape(shapes::base64_of_jose)),
    exact("ZXlB", Any, Shape(shapes::base64_of_jose)),
    exact("ZXdv", Any, Shape(shapes::base64_of_jose)),
    exact("ZXcw", Any, Shape(shapes::base64_of_jose)),
    exact("ZXdr", Any, Shape(shapes::base64_of_jose)),
    exact("WlhsS", Any, Shape(shapes::twice_base64_of_jose)),
    exact("WlhsQ", Any, Shape(shapes::twice_base64_of_jose)),
    exact("Wlhkd", Any, Shape(shapes::twice_base64_of_jose)),
    exact("Wlhjd", Any, Shape(shapes::twice_base64_of_jose)),
    exact("Wlhkc", Any, Shape(shapes::twice_base64_of_jose)),
    exact("U1Voe", Any, Shape(shapes::twice_base64_of_jose)),
    exact("UTI1e", Any, Shape(shapes::twice_base64_of_jose)),
    exact("UkZGd", Any, Shape(shapes::twice_base64_of_jose)),
    row("65794a", Any, Shape(shapes::hex_of_jose)),
    row("657941", Any, Shape(shapes::hex_of_jose)),
    row("65776f", Any, Shape(shapes::hex_of_jose)),
    row("657730", Any, Shape(shapes::hex_of_jose)),
    row("65776b", Any, Shape(shapes::hex_of_jose)),
    row("49487369", Any, Shape(shapes::hex_of_jose)),
    row("436e7369", Any, Shape(shapes::hex_of_jose)),
    row("44517037", Any, Shape(shapes::hex_of_jose)),
    // COSE, SAML, macaroons, biscuits.
    exact("0oRDoQE", Apart, Shape(issuers::macaroon)),
    exact("0YRDoQE", Apart, Shape(issuers::macaroon)),
    exact("PHNhbWw", Any, Run(base64, 100)),
    exact("PHNhbWx", Any, Run(base64, 100)),
    exact("MDAx", Apart, Shape(issuers::macaroon)),
    exact("AgE", Apart, Shape(shapes::second_macaroon)),
    row("biscuit:", Joined, Run(base64, 80)),
    // A private JWK.
    row("\"kty\"", Any, Shape(shapes::private_jwk)),
    // PASETO and PASERK.
    row(".local.", Any, Shape(shapes::paseto)),
    row(".public.", Any, Shape(shapes::paseto)),
    row(".secret.", Any, Shape(shapes::paseto)),
    row(".secret-wrap.", Any, Shape(shapes::paseto)),
    // Private keys: PEM, its base64, bare DER and OpenSSH, PuTTY, age.
    row("-----begin", Any, Shape(shapes::pem)),
    exact("LS0tLS1CRUdJTi", Any, Shape(shapes::base64_of_pem)),
    exact("MIGHAgEAMBMGByqGSM49", Any, Run(base64, 40)),
    exact("MC4CAQAwBQYDK2VwBCIEI", Any, Run(base64, 40)),
    exact("ADANBgkqhkiG9w0BAQEFAASC", Any, Run(base64, 40)),
    exact("MIIEowIBAAKCAQEA", Any, Run(base64, 40)),
    exact("MIIEpAIBAAKCAQEA", Any, Run(base64, 40)),
    exact("IBAAKBgQ", Any, Shape(shapes::der_key)),
    exact("IBAAKCAQEA", Any, Shape(shapes::der_key)),
    exact("IBAAKCAYEA", Any, Shape(shapes::der_key)),
    exact("IBAAKCAgEA", Any, Shape(shapes::der_key)),
    exact("IBAzCC", Any, Shape(shapes::der_key)),
    exact("MHcCAQEEI", Any, Run(base64, 40)),
    exact("MHQCAQEEI", Any, Run(base64, 40)),
    exact("MIGkAgEBBD", Any, Run(base64, 40)),
    exact("MIHcAgEBBE", Any, Run(base64, 40)),
    exact("AgEAMBAGByqGSM49", Any, Run(base64, 40)),
    exact("MC4CAQAwBQYDK2VuBCIEI", Any, Run(base64, 40)),
    exact("MFECAQEwBQYDK2VwBCIEI", Any, Run(base64, 40)),
    exact("qhkiG9w0BBQ0w", Any, Run(base64, 40)),
    exact("CSqGSIb3DQEFDTB", Any, Run(base64, 40)),
    exact("b3BlbnNzaC1rZXktdjE", Any, Run(base64, 40)),
    row("putty-user-key-file", Any, Run(|_| true, 1)),
    row("age-secret-key-1", Any, Run(alnum, 40)),
    // HTTP: schemes with what they carry, passwords in URLs, names with their values.
    row("basic", Joined, Shape(shapes::basic)),
    row("bearer", Joined, Shape(shapes::bearer)),
    row("dpop", Joined, Shape(shapes::bearer)),
    row("ssws", Joined, Shape(shapes::bearer)),
    row("negotiate", Joined, Shape(shapes::bearer)),
    row("ntlm", Joined, Shape(shapes::bearer)),
    row("hawk id=", Joined, Run(|byte| byte != b'\n', 16)),
    row("digest username=", Joined, Run(|byte| byte != b'\n', 16)),
    row("cookie:", Joined, Shape(shapes::cookies)),
    row("jsessionid=", Joined, Shape(shapes::cookies)),
    row("phpsessid=", Joined, Shape(shapes::cookies)),
    row("connect.sid=", Joined, Shape(shapes::cookies)),
    row(".aspxauth=", Any, Shape(shapes::cookies)),
    row("_session=", Any, Shape(shapes::cookies)),
    row("://", Any, Shape(shapes::userinfo)),
    row("secret-token:", Any, Run(|byte| byte.is_ascii_graphic(), 8)),
    named("access_token"),
    named("accesstoken"),
    named("refresh_token"),
    named("refreshtoken"),
    named("id_token"),
    named("session_token"),
    named("subject_token"),
    named("actor_token"),
    named("logout_token"),
    row("assertion=", Joined, Shape(shapes::set_to)),
    row("token=", Joined, Shape(shapes::set_to)),
    row("token: ", Joined, Shape(shapes::set_to)),
    row("secret=", Joined, Shape(shapes::set_to)),
    row("secret: ", Joined, Shape(shapes::set_to)),
    row("code=", Joined, Shape(shapes::set_to)),
    row("privatekey = ", Joined, Shape(shapes::set_to)),
    row("privatekey=", Joined, Shape(shapes::set_to)),
    named("&signature="),
    named("sessiontoken"),
    named("auth_token"),
    named("private_token"),
    named("access-token"),
    named("auth-token"),
    named("vault-token"),
    named("private-token"),
    named("samlresponse"),
    named("?token="),
    named("&token="),
    named("?secret="),
    named("&secret="),
    named("?code="),
    named("&code="),
    named("client_secret"),
    named("clientsecret"),
    named("client_assertion"),
    named("code_verifier"),
    named("device_code"),
    named("api_key"),
    row("apikey", Any, Shape(shapes::api_key)),
    named("api-key"),
    named("password"),
    named("passwd"),
    row("pwd=", Joined, Shape(shapes::assigned)),
    named("aws_secret"),
    named("secretaccesskey"),
    named("secret_access_key"),
    named("accountkey"),
    named("sharedaccesskey"),
    named("x-amz-s"),
    named("x-goog-signature"),
    named("sig="),
    // Slack.
    row("xox", Joined, Shape(shapes::slack)),
    row("xapp-", Joined, Shape(shapes::slack_app)),
    row("xwfp-", Joined, Run(url, 16)),
    row("hooks.slack.com/", Any, Shape(shapes::webhook)),
    row("discord.com/api/webhooks/", Any, Shape(shapes::webhook)),
    row("discordapp.com/api/webhooks/", Any, Shape(shapes::webhook)),
    row(".webhook.office.com/", Any, Shape(shapes::webhook)),
    row("hooks.zapier.com/hooks/catch/", Any, Run(|byte| url(byte) || byte == b'/', 12)),
    row("mfa.", Apart, Between(url, 80, 90)),
    // GitLab, the old form and the routable one.
    plain("glpat-"),
    plain("gldt-"),
    plain("glrt-"),
    plain("glrtr-"),
    plain("glptt-"),
    plain("glft-"),
    plain("glimt-"),
    plain("glagent-"),
    plain("glsoat-"),
    plain("glcbt-"),
    plain("glffct-"),
    plain("gloas-"),
    plain("glwt-"),
    row("gr1348941", Joined, Run(url, 16)),
    // Ory, Vault, Terraform, Okta's scheme stands above.
    row("ory_", Joined, Shape(shapes::ory)),
    row("hvs.", Joined, Run(url, 16)),
    row("hvb.", Joined, Run(url, 16)),
    row("hvr.", Joined, Run(url, 16)),
    row(".atlasv1.", Any, Run(url, 40)),
    // GitHub and registries of packages.
    row("ghp_", Joined, Shape(shapes::github)),
    row("gho_", Joined, Shape(shapes::github)),
    row("ghu_", Joined, Shape(shapes::github)),
    row("ghs_", Joined, Shape(shapes::github)),
    row("ghr_", Joined, Shape(shapes::github)),
    row("github_pat_", Joined, Run(url, 16)),
    row("npm_", Joined, Shape(shapes::github)),
    row("pypi-", Joined, Run(url, 16)),
    row("rubygems_", Joined, Run(hex, 32)),
    row("clojars_", Joined, Run(alnum, 40)),
    row("dckr_", Joined, Shape(shapes::docker)),
    exact("AKCp", Apart, Run(alnum, 69)),
    exact("cmVmdGtu", Apart, Run(base64, 50)),
    row("packagist_", Joined, Shape(shapes::ory)),
    exact("oy2", Apart, Shape(issuers::nuget)),
    exact("cio", Apart, Between(alnum, 32, 32)),
    // Amazon.
    exact("AKIA", Apart, Between(upper, 16, 16)),
    exact("ASIA", Apart, Between(upper, 16, 16)),
    exact("ABIA", Apart, Between(upper, 16, 16)),
    exact("ACCA", Apart, Between(upper, 16, 16)),
    exact("IQoJb3JpZ2lu", Any, Run(base64, 40)),
    exact("FwoGZXIvYXdz", Any, Run(base64, 40)),
    exact("FQoGZXIvYXdz", Any, Run(base64, 40)),
    exact("ABSKQmVkcm9ja0FQSUtleS", Any, Run(base64, 40)),
    row("bedrock-api-key-", Any, Run(base64, 40)),
    exact("Atzr|", Joined, Run(base64, 60)),
    exact("Atza|", Joined, Run(base64, 60)),
    row("amzn1.oa2-cs.v1.", Joined, Run(hex, 32)),
    row("amzn.mws.", Joined, Run(url, 32)),
    // Google.
    row("ya29.", Joined, Run(dotted, 20)),
    exact("AIza", Apart, Between(url, 35, 35)),
    exact("1//", Apart, Shape(shapes::google_refresh)),
    exact("4/0A", Apart, Run(url, 60)),
    exact("GOOG1", Apart, Between(upper, 50, 62)),
    exact(":APA91b", Any, Run(url, 100)),
    exact("AQ.Ab8", Apart, Run(url, 40)),
    row("gocspx-", Joined, Run(url, 16)),
    // Payments and shops.
    row("sk_live_", Joined, Run(alnum, 16)),
    row("sk_test_", Joined, Run(alnum, 16)),
    row("rk_live_", Joined, Run(alnum, 16)),
    row("rk_test_", Joined, Run(alnum, 16)),
    row("sk_org_live_", Joined, Run(alnum, 16)),
    row("sk_org_test_", Joined, Run(alnum, 16)),
    row("ek_live_", Joined, Run(alnum, 16)),
    row("ek_test_", Joined, Run(alnum, 16)),
    row("_secret_", Any, Shape(issuers::stripe_client)),
    exact("$production$", Any, Run(alnum, 16)),
    exact("$sandbox$", Any, Run(alnum, 16)),
    row("pdl_live_apikey_", Joined, Run(url, 40)),
    row("pdl_sdbx_apikey_", Joined, Run(url, 40)),
    exact("live_", Apart, Shape(issuers::live)),
    row("whsec_", Joined, Run(base64, 16)),
    row("shpat_", Joined, Run(alnum, 16)),
    row("shprt_", Joined, Run(alnum, 16)),
    row("shpss_", Joined, Run(alnum, 16)),
    row("shpca_", Joined, Run(alnum, 16)),
    row("shppa_", Joined, Run(alnum, 16)),
    row("shpua_", Joined, Run(alnum, 16)),
    row("shptka_", Joined, Run(alnum, 16)),
    row("sq0", Joined, Shape(shapes::square)),
    exact("EAAA", Apart, Between(url, 60, 60)),
    row("shippo_", Joined, Run(url, 24)),
    row("duffel_", Joined, Run(url, 40)),
    row("flwseck", Joined, Run(url, 16)),
    exact("EZAK", Apart, Run(alnum, 54)),
    exact("EZTK", Apart, Run(alnum, 54)),
    row("access-sandbox-", Joined, Run(url, 36)),
    row("access-production-", Joined, Run(url, 36)),
    row("access-development-", Joined, Run(url, 36)),
    // Models.
    row("sk-", Joined, Shape(shapes::sk)),
    row("hf_", Apart, Between(alnum, 34, 39)),
    row("api_org_", Joined, Run(alnum, 34)),
    row("gsk_", Apart, Between(alnum, 48, 56)),
    row("xai-", Joined, Run(alnum, 60)),
    row("pplx-", Joined, Run(alnum, 40)),
    exact("r8_", Apart, Between(alnum, 37, 37)),
    exact("sess-", Apart, Shape(issuers::sess)),
    row("lsv2_pt_", Joined, Run(hex, 32)),
    row("lsv2_sk_", Joined, Run(hex, 32)),
    row("pcsk_", Joined, Run(url, 40)),
    row("nvapi-", Joined, Run(url, 40)),
    row("tvly-", Joined, Run(url, 32)),
    row("tgp_v1_", Joined, Run(url, 40)),
    exact("sk_", Apart, Between(hex, 48, 48)),
    row("csk-", Apart, Between(alnum, 48, 48)),
    row("jina_", Joined, Run(alnum, 50)),
    row("wandb_v1_", Joined, Run(url, 40)),
    // Networks of people.
    exact("EAA", Apart, Run(alnum, 100)),
    exact("IGQV", Apart, Run(url, 100)),
    exact("IGAA", Apart, Run(url, 100)),
    exact("WPL_AP", Joined, Run(|byte| dotted(byte) || byte == b'=', 16)),
    exact("AAAAAAAAAAAAAAAAAAAAA", Apart, Shape(issuers::twitter)),
    // Mail, chat, telephone.
    row("sg.", Apart, Shape(shapes::sendgrid)),
    row("key-", Apart, Between(hex, 32, 32)),
    row("-us", Any, Shape(shapes::mailchimp)),
    row("xkeysib-", Joined, Run(hex, 32)),
    row("xsmtpsib-", Joined, Run(hex, 32)),
    exact(":AA", Any, Shape(shapes::telegram)),
    exact("re_", Apart, Shape(issuers::resend)),
    row("mlsn.", Joined, Run(hex, 64)),
    // Clouds and their tools.
    row("dop_v1_", Joined, Run(alnum, 16)),
    row("doo_v1_", Joined, Run(alnum, 16)),
    row("dor_v1_", Joined, Run(alnum, 16)),
    row("tskey-", Joined, Run(url, 12)),
    row("dapi", Apart, Between(hex, 32, 32)),
    exact("dose", Apart, Between(hex, 32, 32)),
    row("napi_", Apart, Between(alnum, 60, 70)),
    row("vcp_", Apart, Between(alnum, 50, 60)),
    row("vca_", Apart, Between(alnum, 50, 60)),
    row("vci_", Apart, Between(alnum, 50, 60)),
    row("vcr_", Apart, Between(alnum, 50, 60)),
    row("vck_", Apart, Between(alnum, 50, 60)),
    row("cfut_", Apart, Between(alnum, 40, 56)),
    row("cfat_", Apart, Between(alnum, 40, 56)),
    exact("AKID", Apart, Between(alnum, 32, 32)),
    exact("AQVN", Apart, Between(url, 35, 38)),
    exact("y0_", Apart, Between(url, 50, 60)),
    exact("t1.", Apart, Shape(issuers::yandex_iam)),
    exact("JQQJ99", Any, Shape(issuers::azure)),
    exact("AzFu", Any, Shape(issuers::azure_function)),
    exact(".AgAB", Any, Shape(issuers::entra_refresh)),
    exact("EwB", Apart, Shape(issuers::ticket)),
    row("nbp_", Apart, Between(alnum, 36, 36)),
    exact("cflt", Apart, Between(base64, 56, 64)),
    row("essu_", Joined, Run(base64, 40)),
    exact("st.", Apart, Shape(issuers::infisical)),
    exact("A3-", Apart, Shape(issuers::one_password)),
    row("secret-live-", Joined, Run(base64, 30)),
    row("secret-test-", Joined, Run(base64, 30)),
    exact("xprv", Apart, Between(alnum, 100, 112)),
    exact("nsec1", Apart, Between(alnum, 58, 58)),
    exact("ST-", Apart, Shape(issuers::cas)),
    exact("TGT-", Apart, Shape(issuers::cas)),
    row("pscale_", Joined, Run(dotted, 16)),
    row("fm1r_", Joined, Run(base64, 40)),
    row("fm1a_", Joined, Run(base64, 40)),
    row("fm2_", Joined, Run(base64, 60)),
    row("fo1_", Apart, Between(url, 40, 48)),
    row("sbp_", Joined, Shape(shapes::supabase)),
    row("sb_secret_", Joined, Run(url, 16)),
    row("hrku-", Joined, Run(url, 32)),
    exact("LTAI", Apart, Between(alnum, 20, 20)),
    row("pul-", Apart, Between(hex, 40, 40)),
    row("v1.0-", Apart, Shape(shapes::cloudflare)),
    row("sl.", Apart, Run(dotted, 100)),
    row("mdb_sa_", Joined, Run(url, 24)),
    row("vercel_blob_", Joined, Run(url, 24)),
    row("nfp_", Apart, Between(alnum, 36, 36)),
    row("rnd_", Apart, Between(alnum, 28, 32)),
    row("ver:1-hint:", Any, Run(base64, 16)),
    // What watches, and what builds.
    row("glsa_", Joined, Run(url, 32)),
    row("glc_", Apart, Run(base64, 44)),
    exact("eyJrIjoi", Any, Run(base64, 40)),
    row("nrak-", Joined, Run(alnum, 16)),
    row("nrii-", Joined, Run(url, 16)),
    row("nrra-", Joined, Run(alnum, 16)),
    exact("NRAL", Any, Shape(issuers::new_relic)),
    row("ddapp_", Joined, Run(alnum, 30)),
    row("ddpat_", Joined, Run(alnum, 30)),
    row("phx_", Apart, Between(alnum, 40, 50)),
    row("phs_", Apart, Between(alnum, 40, 50)),
    row("snyk_uat.", Joined, Run(dotted, 40)),
    row("snyk_sat.", Joined, Run(dotted, 40)),
    row("hcaik_", Joined, Run(alnum, 50)),
    row("hcamk_", Joined, Run(alnum, 50)),
    row("bkct_", Joined, Run(url, 40)),
    row("sntrys_", Joined, Run(base64, 16)),
    row("sntryu_", Joined, Run(hex, 32)),
    row("dp.", Joined, Shape(shapes::doppler)),
    row("dt0c01.", Joined, Run(dotted, 24)),
    row("dt0s0", Joined, Shape(shapes::dynatrace)),
    row("squ_", Apart, Between(hex, 40, 40)),
    row("sqp_", Apart, Between(hex, 40, 40)),
    row("sqa_", Apart, Between(hex, 40, 40)),
    row("sgp_", Joined, Run(url, 40)),
    row("ccipat_", Joined, Run(url, 24)),
    row("ccipri_", Joined, Run(url, 24)),
    row("bkua_", Joined, Run(hex, 40)),
    row("pnu_", Apart, Between(alnum, 36, 36)),
    row("rdme_", Joined, Run(alnum, 40)),
    // Work.
    exact("ATATT", Apart, Run(base64, 40)),
    exact("ATCTT", Apart, Run(base64, 40)),
    exact("ATBB", Apart, Between(alnum, 28, 36)),
    row("lin_", Joined, Shape(shapes::linear)),
    row("secret_", Apart, Between(alnum, 43, 43)),
    row("ntn_", Apart, Between(alnum, 40, 56)),
    row("pmak-", Joined, Run(url, 24)),
    row("figd_", Joined, Run(url, 32)),
    row("figu_", Joined, Run(url, 32)),
    row("cfpat-", Joined, Run(url, 40)),
    row("tfp_", Apart, Run(dotted, 50)),
    row("fio-u-", Joined, Run(url, 40)),
    exact("pat", Apart, Shape(shapes::airtable)),
    row("pat-na", Apart, Shape(issuers::hubspot)),
    row("pat-eu", Apart, Shape(issuers::hubspot)),
    row("pat-ap", Apart, Shape(issuers::hubspot)),
    exact("ATTA", Apart, Between(alnum, 60, 76)),
    exact("pk_", Apart, Shape(issuers::clickup)),
    row("figo_", Joined, Run(url, 32)),
    exact("dG9rO", Apart, Run(base64, 40)),
    exact("!AQ", Any, Shape(issuers::salesforce)),
    exact("5Aep861", Apart, Run(dotted, 60)),
    row("n8n_api_", Joined, Run(url, 40)),
    exact("retool_01", Joined, Run(alnum, 24)),
    exact("msh", Any, Shape(issuers::rapidapi)),
    exact("sk.eyJ", Joined, Run(base64, 40)),
    exact("ops_eyJ", Joined, Run(base64, 100)),
];
