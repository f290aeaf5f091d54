//! The lifecycle against tables written by hand, the published vectors, and random histories.
//!
//! The tables here say what is right; `vectors/lifecycle.json` is what the code does, in a form
//! that another language can run. The tables cover every cell of the vectors, so neither confirms
//! itself. `UPDATE_VECTORS=1` rewrites the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ledgerline_proof::entry::Handle;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{
    Birth, Fact, Revocation, State, TokenFacts, TokenState, Violation, as_of, happened,
    happened_at, in_event_order, known, known_at,
};
use ledgerline_proof::statement::{Activation, Detail, Mfa, Selector, Statement, Target};
use ledgerline_proof::vocabulary::{
    EventType, HandleKind, Outcome, PersonalRole, TargetKind, TokenKind,
};
use proptest::prelude::*;

/// Times of the tables: acts happen before expiry, or once it is reached.
const BEFORE: i64 = 80;
const REACHED: i64 = 120;

/// The rows: how a token comes into each state. `?` stands for the token kind.
const SETUPS: &[(&str, &str)] = &[
    ("UNKN", ""),
    ("PEND", "ISSUED@10 kind=? exp=100 guard=mfa deadline=60"),
    ("PNBF", "ISSUED@10 kind=? exp=100 nbf=90"),
    ("ACTV", "ISSUED@10 kind=? exp=100"),
    ("SPNT", "ISSUED@10 kind=? exp=100; ORIGIN@40 state=SPENT"),
    ("SUSP", "ISSUED@10 kind=? exp=100; SUSPENDED@40"),
    ("SUPR", "ISSUED@10 kind=? exp=100; ROTATED@40"),
    ("SGRC", "ISSUED@10 kind=? exp=100; ROTATED@40 grace=90"),
    ("EXPD", "ISSUED@10 kind=? exp=100; EXPIRED@100 exp=100"),
    ("REVK", "ISSUED@10 kind=? exp=100; REVOKED@40"),
];

/// The columns: the act put to the token, at `@` = BEFORE or REACHED.
const ACTS: &[(&str, &str)] = &[
    ("ISSUE", "ISSUED@ kind=? exp=100"),
    ("ISSUE+A", "ISSUED@ kind=? exp=100 guard=mfa deadline=150"),
    ("ISSUE+N", "ISSUED@ kind=? exp=100 nbf=190"),
    ("MFA-met", "ACTIVATED@ done=55"),
    ("MFA-late", "ACTIVATED@ done=70"),
    ("MFA-none", "ACTIVATED@"),
    ("USE", "USED@"),
    ("ACCESS", "RESOURCE_ACCESSED@"),
    ("REFRESH", "REFRESHED@"),
    ("REFR+200", "REFRESHED@ exp=200"),
    ("ROTATE", "ROTATED@"),
    ("ROTATE+G", "ROTATED@ grace=130"),
    ("SUSPEND", "SUSPENDED@"),
    ("REINST", "REINSTATED@"),
    ("EXPIRE", "EXPIRED@"),
    ("REVOKE", "REVOKED@"),
    ("OR-UNKN", "ORIGIN@ kind=? exp=100 state=UNKNOWN"),
    ("OR-PEND", "ORIGIN@ kind=? exp=100 state=PENDING"),
    ("OR-ACTV", "ORIGIN@ kind=? exp=100 state=ACTIVE"),
    ("OR-SPNT", "ORIGIN@ kind=? exp=100 state=SPENT"),
    ("OR-SUSP", "ORIGIN@ kind=? exp=100 state=SUSPENDED"),
    ("OR-SUPR", "ORIGIN@ kind=? exp=100 state=SUPERSEDED"),
    ("OR-EXPD", "ORIGIN@ kind=? exp=100 state=EXPIRED"),
    ("OR-REVK", "ORIGIN@ kind=? exp=100 state=REVOKED"),
];

/// Before expiry, any kind that is neither a code nor a refresh token. A cell is the state after,
/// and behind `!` what is off: un unknown_token, di duplicate_issue, ir issued_after_revoke, al
/// activation_late, au activation_unproven, ur use_after_revoke, ue use_after_expiry, ub
/// use_before_activation, us use_while_suspended, cr code_reuse, rr refresh_reuse, ro
/// use_after_rotation, oo out_of_order.
const TABLES_BEFORE: &[&str] = &[
    "
         ISSUE    ISSUE+A  ISSUE+N  MFA-met  MFA-late MFA-none USE      ACCESS   REFRESH  REFR+200
    UNKN actv     pend     pend     unkn!un  unkn!un  unkn!un  unkn!un  unkn!un  unkn!un  unkn!un
    PEND pend!di  pend!di  pend!di  actv     pend!al  pend!au  pend!ub  pend!ub  pend!ub  pend!ub
    PNBF pend!di  pend!di  pend!di  actv     actv     actv     pend!ub  pend!ub  pend!ub  pend!ub
    ACTV actv!di  actv!di  actv!di  actv!oo  actv!oo  actv!oo  actv     actv     actv     actv
    SPNT spnt!di  spnt!di  spnt!di  spnt!oo  spnt!oo  spnt!oo  spnt!cr  spnt!cr  spnt!cr  spnt!cr
    SUSP susp!di  susp!di  susp!di  susp!oo  susp!oo  susp!oo  susp!us  susp!us  susp!us  susp!us
    SUPR supr!di  supr!di  supr!di  supr!oo  supr!oo  supr!oo  supr!ro  supr!ro  supr!rr  supr!rr
    SGRC supr!di  supr!di  supr!di  supr!oo  supr!oo  supr!oo  supr     supr     supr     supr
    EXPD expd!di  expd!di  expd!di  expd!oo  expd!oo  expd!oo  expd     expd     expd     actv
    REVK revk!di  revk!di  revk!di  revk!oo  revk!oo  revk!oo  revk!ur  revk!ur  revk!ur  revk!ur
    ",
    "
         ROTATE   ROTATE+G SUSPEND  REINST   EXPIRE   REVOKE
    UNKN supr!un  supr!un  susp!un  unkn!un  expd!un  revk!un
    PEND supr     supr     susp     pend!oo  expd     revk
    PNBF supr     supr     susp     pend!oo  expd     revk
    ACTV supr     supr     susp     actv!oo  expd     revk
    SPNT supr     supr     susp     spnt!oo  expd     revk
    SUSP supr     supr     susp     actv     expd     revk
    SUPR supr!oo  supr!oo  susp     supr!oo  expd     revk
    SGRC supr     supr     susp     supr!oo  expd     revk
    EXPD expd     expd     expd     expd!oo  expd     revk
    REVK revk!oo  revk!oo  revk     revk!oo  revk     revk
    ",
    TABLE_ORIGIN,
];

/// With expiry reached at the time of the act. Only what is written differs from "unchanged by
/// time": late activations, uses after expiry, and the revocation that comes too late to matter.
const TABLES_REACHED: &[&str] = &[
    "
         ISSUE    ISSUE+A  ISSUE+N  MFA-met  MFA-late MFA-none USE      ACCESS   REFRESH  REFR+200
    UNKN actv     pend     pend     unkn!un  unkn!un  unkn!un  unkn!un  unkn!un  unkn!un  unkn!un
    PEND pend!di  pend!di  pend!di  pend!al  pend!al  pend!al  pend!ue  pend!ue  pend!ue  pend!ub
    PNBF pend!di  pend!di  pend!di  pend!al  pend!al  pend!al  pend!ue  pend!ue  pend!ue  pend
    ACTV actv!di  actv!di  actv!di  actv!oo  actv!oo  actv!oo  actv!ue  actv!ue  actv!ue  actv
    SPNT spnt!di  spnt!di  spnt!di  spnt!oo  spnt!oo  spnt!oo  spnt!cr  spnt!cr  spnt!cr  spnt!cr
    SUSP susp!di  susp!di  susp!di  susp!oo  susp!oo  susp!oo  susp!ue  susp!ue  susp!ue  susp!us
    SUPR supr!di  supr!di  supr!di  supr!oo  supr!oo  supr!oo  supr!ro  supr!ro  supr!rr  supr!rr
    SGRC supr!di  supr!di  supr!di  supr!oo  supr!oo  supr!oo  supr!ro  supr!ro  supr!rr  supr!rr
    EXPD expd!di  expd!di  expd!di  expd!oo  expd!oo  expd!oo  expd!ue  expd!ue  expd!ue  actv
    REVK revk!di  revk!di  revk!di  revk!oo  revk!oo  revk!oo  revk!ur  revk!ur  revk!ur  revk!ur
    ",
    "
         ROTATE   ROTATE+G SUSPEND  REINST   EXPIRE   REVOKE
    UNKN supr!un  supr!un  susp!un  unkn!un  expd!un  revk!un
    PEND supr     supr     susp     pend!oo  expd     expd
    PNBF supr     supr     susp     pend!oo  expd     expd
    ACTV supr     supr     susp     actv!oo  expd     expd
    SPNT supr     supr     susp     spnt!oo  expd     expd
    SUSP supr     supr     susp     actv     expd     expd
    SUPR supr!oo  supr!oo  susp     supr!oo  expd     expd
    SGRC supr!oo  supr!oo  susp     supr!oo  expd     expd
    EXPD expd     expd     expd     expd!oo  expd     expd
    REVK revk!oo  revk!oo  revk     revk!oo  revk     revk
    ",
    TABLE_ORIGIN,
];

/// An ORIGIN, whether or not expiry is reached: what it asserts of a new token; never a way back.
const TABLE_ORIGIN: &str = "
         OR-UNKN  OR-PEND  OR-ACTV  OR-SPNT  OR-SUSP  OR-SUPR  OR-EXPD  OR-REVK
    UNKN unkn     pend     actv     spnt     susp     supr     expd     revk
    PEND pend     pend     pend     spnt     susp     supr     expd     revk
    PNBF pend     pend     pend     spnt     susp     supr     expd     revk
    ACTV actv     actv     actv     spnt     susp     supr     expd     revk
    SPNT spnt     spnt     spnt     spnt     susp     supr     expd     revk
    SUSP susp     susp     susp     susp     susp     supr     expd     revk
    SUPR supr     supr     supr     supr     supr     supr     expd     revk
    SGRC supr     supr     supr     supr     supr     supr     expd     revk
    EXPD expd     expd     expd     expd     expd     expd     expd     revk
    REVK revk     revk!oo  revk!oo  revk     revk     revk     revk     revk
";

/// Where codes differ from the tables above: one permitted use, while ACTIVE, spends them.
const CODE_BEFORE: &str = "
         USE      ACCESS
    ACTV spnt     spnt
";

/// Where refresh tokens differ: any use outside the grace is a reuse.
const REFRESH_BEFORE: &str = "
         USE      ACCESS
    SUPR supr!rr  supr!rr
";
const REFRESH_REACHED: &str = "
         USE      ACCESS
    SUPR supr!rr  supr!rr
    SGRC supr!rr  supr!rr
";

/// The state at a time, `*` where the token is active then.
const TABLE_TIME: &str = "
         20       80       90       95       99       100      120
    UNKN unkn     unkn     unkn     unkn     unkn     unkn     unkn
    PEND pend     pend     pend     pend     pend     expd     expd
    PNBF pend     pend     actv*    actv*    actv*    expd     expd
    ACTV actv*    actv*    actv*    actv*    actv*    expd     expd
    SPNT spnt     spnt     spnt     spnt     spnt     expd     expd
    SUSP susp     susp     susp     susp     susp     expd     expd
    SUPR supr     supr     supr     supr     supr     expd     expd
    SGRC supr*    supr*    supr     supr     supr     expd     expd
    EXPD actv*    actv*    actv*    actv*    actv*    expd     expd
    REVK revk     revk     revk     revk     revk     revk     revk
";

const KINDS: &[TokenKind] = &[TokenKind::Access, TokenKind::AuthCode, TokenKind::Refresh];

/// Histories in ledger order: name | facts | known | happened | at=final state, `*` active |
/// violations in ledger order | violations in event order.
const HISTORIES: &str = "
late issue            | USED@20; ISSUED@10 exp=100 | actv | actv | 50=actv* | un | -
late revocation       | ISSUED@10 exp=100; USED@50; REVOKED@40 | revk | revk | 60=revk | - | ur
late use              | ISSUED@10 exp=100; REVOKED@40; USED@30 | revk | revk | 60=revk | - | -
use at the revocation | ISSUED@10; REVOKED@40; USED@40 | revk | revk | 60=revk | ur | ur
revoked before issued | ISSUED@10 exp=100; REVOKED@5 | revk | revk | 60=revk | - | un ir
issue arrives last    | REVOKED@40; ISSUED@10 exp=100 | revk | revk | 60=revk | un | -
issued after revoke   | REVOKED@5; ISSUED@10 exp=100 | revk | revk | 60=revk | un ir | un ir
revoked twice         | ISSUED@10 exp=100; REVOKED@110; REVOKED@90 | revk | revk | 60=revk | - | -
duplicate issue       | ISSUED@10 exp=100; ISSUED@20 exp=500 | actv | actv | 150=expd | di | di
earlier issue is late | ISSUED@20 exp=500; ISSUED@10 exp=100 | actv | actv | 150=expd | di | di
prolonged, told late  | ISSUED@10 exp=100; EXPIRED@100 exp=100; REFRESHED@90 exp=200 | actv \
    | actv \
    | 150=actv* | - | -
prolonged after expiry| ISSUED@10 exp=100; EXPIRED@100 exp=100; REFRESHED@110 exp=200 | actv \
    | actv \
    | 150=actv* | - | -
not prolonged         | ISSUED@10 exp=100; REFRESHED@50 exp=90 | actv | actv | 95=actv* | - | -
expiry learnt         | ISSUED@10; REFRESHED@50 exp=90 | actv | actv | 95=expd | - | -
ended early           | ISSUED@10 exp=100; EXPIRED@50 | expd | expd | 60=expd | - | -
ended early, exp told | ISSUED@10 exp=100; EXPIRED@50 exp=100 | expd | expd | 60=expd | - | -
ended, then prolonged | ISSUED@10 exp=100; EXPIRED@50; REFRESHED@70 exp=90 | actv | actv \
    | 80=actv* | - | -
revoked at expiry     | ISSUED@10 exp=100; REVOKED@100 | expd | expd | 120=expd | - | -
revoked too late, lift| ISSUED@10 exp=100; REVOKED@100; REFRESHED@90 exp=200 | revk | revk \
    | 95=revk | - | -
revoked after all that| ISSUED@10 exp=100; REVOKED@250; REFRESHED@90 exp=200 | expd | expd \
    | 220=expd | - | -
refreshed when revoked| ISSUED@10 exp=100; REVOKED@50; REFRESHED@60 exp=200 | revk | revk \
    | 95=revk | ur | ur
revoked under expired | ISSUED@10 exp=100; EXPIRED@100 exp=100; REVOKED@99 | revk | revk \
    | 120=revk | - | -
activated, told late  | ISSUED@10 exp=100 guard=mfa; EXPIRED@100 exp=100; ACTIVATED@50 done=49 \
    | expd | expd | 60=actv* | - | -
activated under hold  | ISSUED@10 guard=mfa; SUSPENDED@20; ACTIVATED@30 done=29; REINSTATED@40 \
    | pend | pend | 60=pend | oo | oo
activation in time    | ISSUED@10 guard=mfa deadline=60; ACTIVATED@70 done=60 | actv | actv \
    | 80=actv* | - | -
deadline without mfa  | ISSUED@10 guard=approval deadline=60; ACTIVATED@61 | pend | pend \
    | 80=pend | al | al
both waits            | ISSUED@10 guard=mfa nbf=90; ACTIVATED@50 done=49; USED@60 | actv | actv \
    | 80=actv | ub | ub
code use told first   | USED@20; ISSUED@10 kind=AUTH_CODE exp=100 | spnt | spnt | 50=spnt | un | -
code use by slow clock| ISSUED@20 kind=AUTH_CODE exp=100; USED@19 | spnt | spnt | 50=spnt \
    | oo | un
code used twice       | ISSUED@10 kind=DEVICE_CODE; USED@20; USED@30 | spnt | spnt | 50=spnt \
    | cr | cr
code used when refused| ISSUED@10 kind=AUTH_CODE; USED/DENY@20; USED/ERROR@30 | actv | actv \
    | 50=actv* | - | -
code used too late    | ISSUED@10 kind=AUTH_CODE exp=20; USED@20; REFRESHED@21 exp=90 | actv \
    | actv \
    | 50=actv* | ue | ue
code use, expiry first| ISSUED@10 kind=AUTH_CODE exp=60; EXPIRED@60 exp=60; USED@20 | expd \
    | expd \
    | 50=spnt | - | -
code after its wait   | ISSUED@10 kind=AUTH_CODE nbf=20; USED@30 | spnt | spnt | 50=spnt | - | -
hold outlives rotation| ISSUED@10; SUSPENDED@20; ROTATED@30 grace=90; REINSTATED@40 | supr \
    | supr \
    | 50=supr | oo | oo
hold over replacement | ISSUED@10; ROTATED@20 grace=90; SUSPENDED@30; REINSTATED@40 | supr \
    | supr \
    | 50=supr* | - | -
hold over expiry      \
    | ISSUED@10 exp=100; SUSPENDED@50; EXPIRED@100 exp=100; REFRESHED@110 exp=200 \
    | susp | susp | 150=susp | us | us
hold told first       | SUSPENDED@20; ISSUED@10 exp=100; REINSTATED@30 | actv | actv | 50=actv* \
    | un | -
replaced, told first  | ROTATED@20 grace=60; ISSUED@10 exp=100 | supr | supr | 50=supr* | un | -
replaced when pending | ISSUED@10 guard=mfa; ROTATED@20 grace=90 | supr | supr | 50=supr | - | -
replaced, never issued| ROTATED@20 grace=90 | supr | supr | 50=supr | un | un
refresh reuse         | ISSUED@10 kind=REFRESH; REFRESHED@20; ROTATED@20; REFRESHED@25 | supr \
    | supr \
    | 50=supr | rr | rr
refresh in its grace  | ISSUED@10 kind=REFRESH; REFRESHED@20; ROTATED@20 grace=30; REFRESHED@25 \
    | supr | supr | 50=supr | - | -
grace is not stretched| ISSUED@10; ROTATED@20 grace=30; ROTATED@25 grace=90 | supr | supr \
    | 50=supr | - | -
refresh told late     | ISSUED@10 kind=REFRESH; ROTATED@20; REFRESHED@15 | supr | supr | 50=supr \
    | - | -
refused, never seen   | USED/DENY@10 | unkn | unkn | 50=unkn | - | -
only ALLOW counts     | ISSUED@10; REVOKED/DENY@20; SUSPENDED/ERROR@30; EXPIRED/NONE@40 \
    | actv | actv \
    | 50=actv* | - | -
refused issue         | ISSUED/DENY@10; USED@20 | unkn | unkn | 50=unkn | un | un
origin, issue is late | ORIGIN@50 state=SUSPENDED; ISSUED@10 exp=100 | susp | susp | 60=susp \
    | - | -
origin says revoked   | ISSUED@10 exp=100; ORIGIN@50 state=REVOKED | revk | revk | 60=revk | - | -
origin lifts no hold  | ISSUED@10; SUSPENDED@20; ORIGIN@30 state=ACTIVE | susp | susp | 60=susp \
    | - | -
origin then issued    | ORIGIN@10 state=ACTIVE; ISSUED@20 | actv | actv | 60=actv* | di | di
two origins           | ORIGIN@10 state=ACTIVE; ORIGIN@20 state=SPENT | spnt | spnt | 60=spnt \
    | di | di
origin without a state| ORIGIN@10 exp=100; USED@20 | unkn | unkn | 60=unkn | - | -
origin, pending on nbf| ORIGIN@10 state=PENDING nbf=50 | pend | pend | 60=actv* | - | -
origin, just pending  | ORIGIN@10 state=PENDING | pend | pend | 60=pend | - | -
origin expired, lifted| ORIGIN@50 state=EXPIRED; REFRESHED@60 exp=90 | actv | actv | 70=actv* \
    | - | -
late origin of revoked| REVOKED@20; ORIGIN@10 state=ACTIVE | revk | revk | 60=revk | un | -
";

fn state_of(short: &str) -> State {
    match short {
        "unkn" => State::Unknown,
        "pend" => State::Pending,
        "actv" => State::Active,
        "spnt" => State::Spent,
        "susp" => State::Suspended,
        "supr" => State::Superseded,
        "expd" => State::Expired,
        "revk" => State::Revoked,
        other => panic!("no state {other}"),
    }
}

fn violation_of(short: &str) -> Violation {
    match short {
        "un" => Violation::UnknownToken,
        "di" => Violation::DuplicateIssue,
        "ir" => Violation::IssuedAfterRevoke,
        "al" => Violation::ActivationLate,
        "au" => Violation::ActivationUnproven,
        "ur" => Violation::UseAfterRevoke,
        "ue" => Violation::UseAfterExpiry,
        "ub" => Violation::UseBeforeActivation,
        "us" => Violation::UseWhileSuspended,
        "cr" => Violation::CodeReuse,
        "rr" => Violation::RefreshReuse,
        "ro" => Violation::UseAfterRotation,
        "oo" => Violation::OutOfOrder,
        other => panic!("no violation {other}"),
    }
}

/// Parses `TYPE[/OUTCOME]@TIME key=value...`.
fn fact(text: &str, index: u64, kind: Option<TokenKind>, at: i64) -> Fact<'_> {
    let mut words = text.split_whitespace();
    let (act, time) = words.next().and_then(|word| word.split_once('@')).expect("TYPE@TIME");
    let (event_type, outcome) = act.split_once('/').unwrap_or((act, "ALLOW"));
    let time = if time.is_empty() { at } else { number(time) };
    let event_type = EventType::from_symbol(event_type).expect("an event type");
    let mut fact = Fact::new(index, event_type, Hlc::at(time));
    fact.outcome = Outcome::from_symbol(outcome).expect("an outcome");
    for word in words {
        let (key, value) = word.split_once('=').expect("key=value");
        match key {
            "kind" if value == "?" => fact.token_kind = kind,
            "kind" => fact.token_kind = Some(TokenKind::from_symbol(value).expect("a kind")),
            "exp" => fact.expires_at = Some(number(value)),
            "nbf" => fact.not_before = Some(number(value)),
            "grace" => fact.grace_until = Some(number(value)),
            "deadline" => fact.activation_deadline = Some(number(value)),
            "done" => fact.mfa_completed_at = Some(number(value)),
            "state" => fact.asserted_state = Some(State::from_symbol(value).expect("a state")),
            "guard" => {
                fact.has_activation = true;
                fact.mfa_required = value == "mfa";
            }
            other => panic!("no key {other}"),
        }
    }
    fact
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

fn facts(text: &str, kind: Option<TokenKind>) -> Vec<Fact<'_>> {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts.zip(0..).map(|(part, index)| fact(part, index, kind, 0)).collect()
}

type Cells<'a> = BTreeMap<(&'a str, &'a str), &'a str>;

/// Reads a table into (row, column) -> cell; later tables override earlier ones.
fn read_table<'a>(cells: &mut Cells<'a>, table: &'a str) {
    let mut lines = table.lines().filter(|line| !line.trim().is_empty());
    let columns: Vec<&str> = lines.next().expect("a header").split_whitespace().collect();
    for line in lines {
        let mut words = line.split_whitespace();
        let row = words.next().expect("a row name");
        let values: Vec<&str> = words.collect();
        assert_eq!(values.len(), columns.len(), "{line}");
        cells.extend(columns.iter().zip(values).map(|(column, cell)| ((row, *column), cell)));
    }
}

fn tables(kind: TokenKind, at: i64) -> Cells<'static> {
    let mut cells = Cells::new();
    for table in if at == BEFORE { TABLES_BEFORE } else { TABLES_REACHED } {
        read_table(&mut cells, table);
    }
    match (kind, at) {
        (TokenKind::AuthCode, BEFORE) => read_table(&mut cells, CODE_BEFORE),
        (TokenKind::Refresh, BEFORE) => read_table(&mut cells, REFRESH_BEFORE),
        (TokenKind::Refresh, REACHED) => read_table(&mut cells, REFRESH_REACHED),
        _ => {}
    }
    assert_eq!(cells.len(), SETUPS.len() * ACTS.len(), "every cell is written");
    cells
}

#[test]
fn every_act_on_every_state_does_what_the_tables_say() {
    for kind in KINDS {
        for at in [BEFORE, REACHED] {
            let cells = tables(*kind, at);
            for (row, setup) in SETUPS {
                let before = known(&facts(setup, Some(*kind)));
                for (column, act) in ACTS {
                    let cell = cells[&(*row, *column)];
                    let (state, off) = cell.split_once('!').unzip();
                    let expected = (state_of(state.unwrap_or(cell)), off.map(violation_of));
                    let mut after = before.clone();
                    let done = after.apply(&fact(act, 9, Some(*kind), at));
                    let found = (after.state, done.violation);
                    assert_eq!(found, expected, "{kind} {row} {column} at {at}");
                    assert_eq!((done.from, done.to), (before.state, after.state));
                }
            }
        }
    }
}

#[test]
fn nothing_but_a_permitted_lifecycle_act_does_anything() {
    for (row, setup) in SETUPS {
        let before = known(&facts(setup, Some(TokenKind::AuthCode)));
        let inert = |mut fact: Fact<'_>| {
            fact.index = before.last_index.unwrap_or(0);
            let mut after = before.clone();
            let done = after.apply(&fact);
            assert_eq!(done.violation, None, "{row} {fact:?}");
            after.first_index = before.first_index;
            after.last_index = before.last_index;
            assert_eq!(after, before, "{row} {fact:?}");
        };
        for (_, act) in ACTS {
            for outcome in Outcome::ALL.iter().filter(|outcome| **outcome != Outcome::Allow) {
                let mut fact = fact(act, 9, Some(TokenKind::AuthCode), BEFORE);
                fact.outcome = *outcome;
                inert(fact);
            }
        }
        for event_type in EventType::ALL.iter().filter(|event_type| !event_type.is_lifecycle()) {
            inert(Fact::new(9, *event_type, Hlc::at(BEFORE)));
        }
    }
}

#[test]
fn time_decides_expiry_and_activity() {
    let mut cells = Cells::new();
    read_table(&mut cells, TABLE_TIME);
    assert_eq!(cells.len(), SETUPS.len() * 7);
    for ((row, at), cell) in cells {
        let setup = SETUPS.iter().find(|(name, _)| *name == row).expect("a setup").1;
        let state = known(&facts(setup, Some(TokenKind::Access)));
        let at = number(at);
        assert_eq!(state.state_at(at), state_of(cell.trim_end_matches('*')), "{row} at {at}");
        assert_eq!(state.is_active(at, false), cell.ends_with('*'), "{row} at {at}");
        assert!(!state.is_active(at, true), "{row} at {at}: covered");
    }
}

struct History {
    name: &'static str,
    facts: Vec<Fact<'static>>,
    known: State,
    happened: State,
    at: i64,
    at_end: State,
    active: bool,
    known_violations: Vec<Violation>,
    happened_violations: Vec<Violation>,
}

fn histories() -> Vec<History> {
    let violations = |text: &str| {
        text.split_whitespace().filter(|word| *word != "-").map(violation_of).collect()
    };
    let read = |line: &'static str| {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, text, known, happened, end, in_ledger_order, in_event_order] = columns[..]
        else {
            panic!("seven columns: {line}")
        };
        let (at, end) = end.split_once('=').expect("at=state");
        History {
            name,
            facts: facts(text, None),
            known: state_of(known),
            happened: state_of(happened),
            at: number(at),
            at_end: state_of(end.trim_end_matches('*')),
            active: end.ends_with('*'),
            known_violations: violations(in_ledger_order),
            happened_violations: violations(in_event_order),
        }
    };
    HISTORIES.lines().filter(|line| !line.is_empty()).map(read).collect()
}

fn violations<'f>(facts: impl IntoIterator<Item = &'f Fact<'f>>) -> Vec<Violation> {
    let mut state = TokenState::UNKNOWN;
    facts.into_iter().filter_map(|fact| state.apply(fact).violation).collect()
}

#[test]
fn histories_come_out_as_written() {
    for history in histories() {
        let (name, facts) = (history.name, &history.facts);
        let final_state = happened(facts);
        assert_eq!(known(facts).state, history.known, "{name}: known");
        assert_eq!(final_state.state, history.happened, "{name}: happened");
        assert_eq!(final_state.state_at(history.at), history.at_end, "{name}: at {}", history.at);
        assert_eq!(final_state.is_active(history.at, false), history.active, "{name}: active");
        assert_eq!(violations(facts), history.known_violations, "{name}: known violations");
        let ordered = in_event_order(facts);
        assert_eq!(violations(ordered), history.happened_violations, "{name}: happened violations");
    }
}

#[test]
fn as_of_cuts_by_index_and_at_cuts_by_time() {
    let text = "ISSUED@10 exp=100; USED@50; SUSPENDED@70; REVOKED@40";
    let facts = facts(text, None);
    let by_size: Vec<State> = (0..=5).map(|size| known_at(&facts, size).state).collect();
    use State::{Active, Revoked, Suspended, Unknown};
    assert_eq!(by_size, [Unknown, Active, Active, Suspended, Revoked, Revoked]);
    let by_time = [9, 10, 39, 40, 70].map(|at| happened_at(&facts, at).state);
    assert_eq!(by_time, [Unknown, Active, Active, Revoked, Revoked]);
    assert_eq!(happened_at(as_of(&facts, 3), 60).state, Active, "the revocation was not yet known");
    assert_eq!(happened_at(as_of(&facts, 3), 70).state, Suspended);
}

#[test]
fn a_late_issue_fills_in_under_what_came_first() {
    let cases = [
        ("SUSPENDED@20; ISSUED@10; REINSTATED@30", true),
        ("SUSPENDED@20; ISSUED@10 guard=mfa; REINSTATED@30", false),
        ("ROTATED@20 grace=60; ISSUED@10", true),
        ("ROTATED@20 grace=60; ISSUED@10 guard=mfa", false),
        ("ROTATED@20 grace=60; SUSPENDED@25; ISSUED@10; REINSTATED@30", true),
        ("ROTATED@20 grace=60; SUSPENDED@25; ISSUED@10", false),
        ("SUSPENDED@20; ROTATED@25 grace=60; ISSUED@10; REINSTATED@30", false),
        ("EXPIRED@60 exp=60; ISSUED@10 exp=90", true),
        ("EXPIRED@40; ISSUED@10 exp=90", false),
    ];
    for (text, active) in cases {
        let state = known(&facts(text, None));
        assert_eq!(state.is_active(50, false), active, "{text}");
        let held = state.beneath() == State::Suspended;
        assert_eq!(state.suspended_from != State::Unknown, held, "{text}");
    }
}

// ---- the published vectors

fn json_fact(fact: &Fact<'_>) -> String {
    let mut out = format!(
        "{{\"index\": {}, \"type\": \"{}\", \"outcome\": \"{}\", \"occurred_at\": {}",
        fact.index, fact.event_type, fact.outcome, fact.occurred_at.nanos
    );
    let times = [
        ("not_before", fact.not_before),
        ("expires_at", fact.expires_at),
        ("grace_until", fact.grace_until),
        ("activation_deadline", fact.activation_deadline),
        ("mfa_completed_at", fact.mfa_completed_at),
    ];
    for (key, value) in times {
        if let Some(value) = value {
            write!(out, ", \"{key}\": {value}").expect("a string takes it");
        }
    }
    let words = [
        ("token_kind", fact.token_kind.map(TokenKind::symbol)),
        ("asserted_state", fact.asserted_state.map(State::symbol)),
        ("has_activation", fact.has_activation.then_some("yes")),
        ("mfa_required", fact.mfa_required.then_some("yes")),
    ];
    for (key, value) in words {
        match value {
            Some("yes") => write!(out, ", \"{key}\": true").expect("a string takes it"),
            Some(word) => write!(out, ", \"{key}\": \"{word}\"").expect("a string takes it"),
            None => {}
        }
    }
    out + "}"
}

fn json_list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

fn json_violation(violation: Option<Violation>) -> String {
    violation.map_or("null".to_owned(), |violation| format!("\"{violation}\""))
}

/// All acts of the matrix: the columns, and every type that does nothing.
fn matrix_acts(kind: TokenKind, at: i64) -> Vec<(String, Fact<'static>)> {
    let columns = ACTS.iter().map(|(name, act)| ((*name).to_owned(), fact(act, 9, Some(kind), at)));
    let others = EventType::ALL.iter().filter(|event_type| !event_type.is_lifecycle());
    let others = others.map(|inert| (inert.to_string(), Fact::new(9, *inert, Hlc::at(at))));
    columns.chain(others).collect()
}

/// The state after an act, and what is off about it.
type MatrixResult = (State, Option<Violation>);

/// One line per (kind, time, state, act): the outcomes grouped by what they do.
fn matrix_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for kind in KINDS {
        for at in [BEFORE, REACHED] {
            for (row, setup) in SETUPS {
                let before = known(&facts(setup, Some(*kind)));
                for (column, act) in matrix_acts(*kind, at) {
                    let mut results: Vec<(MatrixResult, Vec<String>)> = Vec::new();
                    for outcome in Outcome::ALL {
                        let done = before.clone().apply(&Fact { outcome: *outcome, ..act.clone() });
                        let result = (done.to, done.violation);
                        let symbol = format!("\"{outcome}\"");
                        match results.iter_mut().find(|(known, _)| *known == result) {
                            Some((_, outcomes)) => outcomes.push(symbol),
                            None => results.push((result, vec![symbol])),
                        }
                    }
                    let results = results.into_iter().map(|((to, violation), outcomes)| {
                        let (outcomes, off) = (json_list(outcomes), json_violation(violation));
                        format!("[{outcomes}, \"{to}\", {off}]")
                    });
                    lines.push(format!(
                        "[\"{kind}\", {at}, \"{row}\", \"{column}\", {}]",
                        json_list(results)
                    ));
                }
            }
        }
    }
    lines
}

fn vectors() -> String {
    let mut sections = Vec::new();
    let mut section = |name: &str, lines: Vec<String>| {
        sections.push(format!("\"{name}\": [\n{}\n]", lines.join(",\n")));
    };
    let placed = Some(TokenKind::Other);
    section(
        "setups",
        SETUPS
            .iter()
            .map(|(row, setup)| {
                let state = known(&facts(setup, placed));
                let facts = json_list(facts(setup, placed).iter().map(json_fact));
                let times = [20, 80, 90, 95, 99, 100, 120].map(|at| {
                    format!("[{at}, \"{}\", {}]", state.state_at(at), state.is_active(at, false))
                });
                let at = json_list(times);
                format!(
                    "{{\"name\": \"{row}\", \"state\": \"{}\", \"facts\": {facts}, \"at\": {at}}}",
                    state.state
                )
            })
            .collect(),
    );
    section(
        "acts",
        matrix_acts(TokenKind::Other, 0)
            .iter()
            .map(|(name, fact)| format!("{{\"name\": \"{name}\", \"fact\": {}}}", json_fact(fact)))
            .collect(),
    );
    section("matrix", matrix_lines());
    section(
        "histories",
        histories()
            .iter()
            .map(|history| {
                let facts = &history.facts;
                let off = |violations: Vec<Violation>| {
                    json_list(violations.into_iter().map(|violation| format!("\"{violation}\"")))
                };
                let state = happened(facts);
                format!(
                    "{{\"name\": \"{}\", \"facts\": {}, \"known\": \"{}\", \"happened\": \"{}\", \
                     \"at\": [{}, \"{}\", {}], \"known_violations\": {}, \
                     \"happened_violations\": {}}}",
                    history.name,
                    json_list(facts.iter().map(json_fact)),
                    known(facts).state,
                    state.state,
                    history.at,
                    state.state_at(history.at),
                    state.is_active(history.at, false),
                    off(violations(facts)),
                    off(violations(in_event_order(facts))),
                )
            })
            .collect(),
    );
    let about = "Lifecycle of a token. setups: facts in ledger order that bring a token \
         into a state, the state, and [time, state at it, active at it]. acts: \
         one more fact; its occurred_at is \
         the time of the matrix line, and token_kind OTHER stands for the kind of the line, here \
         and in the setups. matrix: [kind, time, setup, act, [[outcomes, state after, \
         violation]...]]. histories: facts in ledger order; at = [time, state, active] of \
         happened. Absent fields are null or false.";
    format!("{{\n\"about\": \"{about}\",\n{}\n}}\n", sections.join(",\n"))
}

#[test]
fn the_published_vectors_are_what_the_code_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/lifecycle.json");
    let text = vectors();
    serde_json::from_str::<serde_json::Value>(&text).expect("the vectors are JSON");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(path, &text).expect("the vectors can be written");
    }
    let published = std::fs::read_to_string(path).expect("the vectors are published");
    assert!(published == text, "vectors/lifecycle.json differs; UPDATE_VECTORS=1 rewrites it");
}

// ---- random histories

fn any_fact() -> impl Strategy<Value = Fact<'static>> {
    let time = || prop::option::weighted(0.5, 0_i64..60);
    let outcome = prop_oneof![6 => Just(Outcome::Allow), 1 => prop::sample::select(Outcome::ALL)];
    let kind = prop::option::of(prop::sample::select(KINDS));
    let state = prop::option::of(prop::sample::select(State::ALL));
    let guards = (any::<bool>(), any::<bool>(), time(), time());
    let act = prop_oneof![
        8 => prop::sample::select(&EventType::ALL[1..=11]),
        1 => prop::sample::select(EventType::ALL),
    ];
    (act, outcome, kind, state, (time(), time(), time()), guards).prop_map(
        |(event_type, outcome, token_kind, asserted_state, times, guards)| Fact {
            outcome,
            token_kind,
            asserted_state,
            not_before: times.0,
            expires_at: times.1,
            grace_until: times.2,
            has_activation: guards.0,
            mfa_required: guards.0 && guards.1,
            activation_deadline: guards.2.filter(|_| guards.0),
            mfa_completed_at: guards.3,
            ..Fact::new(0, event_type, Hlc::at(0))
        },
    )
}

/// A history whose ledger order is its time order; times are distinct.
fn any_history() -> impl Strategy<Value = Vec<Fact<'static>>> {
    prop::collection::vec((any_fact(), 1_i64..9), 0..16).prop_map(|steps| {
        let mut at = 0;
        let placed = steps.into_iter().zip(0..).map(|((fact, step), index)| {
            at += step;
            Fact { index, occurred_at: Hlc::at(at), recorded_at: Hlc::at(at), ..fact }
        });
        placed.collect()
    })
}

/// The same facts recorded in another order.
fn any_arrival() -> impl Strategy<Value = (Vec<Fact<'static>>, Vec<Fact<'static>>)> {
    any_history().prop_flat_map(|facts| {
        let shuffled = Just(facts.clone()).prop_shuffle().prop_map(|mut shuffled| {
            for (fact, index) in shuffled.iter_mut().zip(0..) {
                fact.index = index;
            }
            shuffled
        });
        (Just(facts), shuffled)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn revoked_is_terminal_and_never_active((_, facts) in any_arrival(), at in 0_i64..200) {
        let mut state = TokenState::UNKNOWN;
        let mut revoked = false;
        for fact in &facts {
            let done = state.apply(fact);
            prop_assert_eq!(done.to, state.state);
            prop_assert!(!revoked || done.to == State::Revoked);
            revoked = done.to == State::Revoked;
            let ended = state.revoked_at.is_some_and(|revoked| {
                state.expires_at.is_none_or(|end| revoked < end)
            });
            prop_assert!(!ended || revoked, "revoked before its expiry, yet {}", state.state);
            prop_assert!(!revoked || !state.is_active(at, false));
        }
    }

    #[test]
    fn known_is_happened_when_events_arrive_in_time(facts in any_history(), cut in 0_u64..16) {
        prop_assert_eq!(known(&facts), happened(&facts));
        let last = as_of(&facts, cut).last().map_or(-1, |fact| fact.occurred_at.nanos);
        prop_assert_eq!(known_at(&facts, cut), happened_at(&facts, last));
    }

    #[test]
    fn the_order_of_arrival_does_not_change_what_happened((facts, shuffled) in any_arrival()) {
        let expected = happened(&facts);
        let mut found = happened(&shuffled);
        found.first_index = expected.first_index;
        found.last_index = expected.last_index;
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn an_active_token_is_in_a_usable_state((_, facts) in any_arrival(), at in 0_i64..200) {
        let state = known(&facts);
        let seen = state.state_at(at);
        if state.is_active(at, false) {
            prop_assert!(matches!(seen, State::Active | State::Superseded), "{seen}");
            prop_assert!(facts.iter().any(|fact| fact.outcome == Outcome::Allow
                && matches!(fact.event_type, EventType::Issued | EventType::Origin)));
        }
        prop_assert!(!state.is_active(at, true));
        prop_assert!(state.expires_at.is_none_or(|end| at < end || seen >= State::Expired));
    }

    #[test]
    fn a_derived_expired_entry_makes_no_difference((_, facts) in any_arrival(), at in 0_i64..200) {
        let mut state = known(&facts);
        if let Some(end) = state.expires_at {
            let before = (state.state_at(at), state.is_active(at, false));
            let mut derived = Fact::new(99, EventType::Expired, Hlc::at(end));
            derived.expires_at = Some(end);
            state.apply(&derived);
            prop_assert_eq!((state.state_at(at), state.is_active(at, false)), before);
        }
    }
}

// ---- facts of statements, and wide revocations

fn statement<'a>(kind: TargetKind, id: &'a str, act: EventType, at: i64) -> Statement<'a> {
    Statement::new([7; 16], "idp", Target { kind, id }, act, Hlc::at(at))
}

/// It was active, and PENDING at the same time.
#[test]
fn a_token_taken_over_as_pending_without_a_time_is_never_active() {
    let mut origin = Fact::new(0, EventType::Origin, Hlc::at(10));
    origin.asserted_state = Some(State::Pending);
    let state = known(&[origin]);
    assert_eq!((state.state_at(193), state.is_active(193, false)), (State::Pending, false));
}

#[test]
fn a_fact_takes_what_the_statement_says() {
    let id = "eu:idp:jti:a";
    let mut origin = statement(TargetKind::Token, id, EventType::Origin, 10);
    origin.detail = vec![Detail { key: "state", value: "SUSPENDED" }];
    origin.audience = vec!["api"];
    origin.client_id = Some("shop");
    let mut state = known(&[Fact::of(&origin, 3, Hlc::at(11))]);
    assert_eq!((state.state, state.birth), (State::Suspended, Birth::Origin));
    assert_eq!((state.client.as_deref(), state.first_index), (Some("shop"), Some(3)));
    assert_eq!(state.audiences, [Box::from("api")]);
    origin.detail = vec![Detail { key: "state", value: "suspended" }];
    assert_eq!(Fact::of(&origin, 3, Hlc::at(11)).asserted_state, None, "symbols are exact");

    let mut issued = statement(TargetKind::Token, id, EventType::Issued, 10);
    issued.activation = Some(Activation { requires: vec!["mfa"], deadline: Some(60) });
    let fact = Fact::of(&issued, 0, Hlc::at(10));
    assert!(fact.has_activation && fact.mfa_required);
    state = known(&[fact]);
    let mut activated = statement(TargetKind::Token, id, EventType::Activated, 50);
    activated.mfa = Some(Mfa { methods: vec!["otp"], acr: None, completed_at: Some(61) });
    let late = state.apply(&Fact::of(&activated, 1, Hlc::at(50)));
    assert_eq!(late.violation, Some(Violation::ActivationLate));

    // The ledger's EXPIRED is derived; a producer's ends the token early.
    for (source, expected) in [("ledger", State::Active), ("idp", State::Expired)] {
        let mut expired = statement(TargetKind::Token, id, EventType::Expired, 50);
        expired.source = source;
        let mut state = known(&facts("ISSUED@10 exp=100", None));
        state.apply(&Fact::of(&expired, 1, Hlc::at(50)));
        assert_eq!(state.state, expected, "{source}");
    }
}

/// A token of session s1, grant g1, client shop, key k1 and person 9, issued at 100 for `api`.
fn bound_token() -> TokenFacts<'static> {
    let mut issued = statement(TargetKind::Token, "eu:idp:jti:a", EventType::Issued, 100);
    issued.session_id = Some("s1");
    issued.grant_id = Some("eu:idp:g1");
    issued.client_id = Some("shop");
    issued.issuer_kid = Some("k1");
    issued.audience = vec!["api", "mail"];
    TokenFacts::of(&issued, &[person(9)]).expect("a token")
}

fn person(byte: u8) -> Handle {
    Handle { role: PersonalRole::Subject, kind: HandleKind::Person, id: [byte; 16] }
}

#[test]
fn a_wide_revocation_covers_what_belongs_to_its_target() {
    let check = |kind, id, handles: &[Handle], expected: bool| {
        let revoked = statement(kind, id, EventType::Revoked, 200);
        let revocation =
            Revocation::of(&revoked, handles, 5, Hlc::at(i64::MAX)).expect("a wide revocation");
        assert_eq!(revocation.covers(&bound_token()), expected, "{kind} {id}");
        assert!(!revocation.is_in_force(199) && revocation.is_in_force(200));
    };
    check(TargetKind::Session, "eu:idp:s1", &[], true);
    check(TargetKind::Session, "eu:idp:s11", &[], false);
    check(TargetKind::Session, "eu:other:s1", &[], false);
    check(TargetKind::Session, "us:idp:s1", &[], false);
    check(TargetKind::Session, "eu:idp:g1", &[], false);
    check(TargetKind::Grant, "eu:idp:g1", &[], true);
    check(TargetKind::Client, "eu:idp:shop", &[], true);
    check(TargetKind::Key, "eu:idp:k1", &[], true);
    check(TargetKind::Key, "eu:idp:k2", &[], false);
    check(TargetKind::Subject, "", &[person(9)], true);
    check(TargetKind::Subject, "", &[person(8)], false);

    let mut denied = statement(TargetKind::Session, "eu:idp:s1", EventType::Revoked, 200);
    denied.outcome = Outcome::Deny;
    assert_eq!(Revocation::of(&denied, &[], 5, Hlc::at(i64::MAX)), None);
    let own = statement(TargetKind::Token, "eu:idp:jti:a", EventType::Revoked, 200);
    assert_eq!(Revocation::of(&own, &[], 5, Hlc::at(i64::MAX)), None);
    let mut elsewhere = statement(TargetKind::Session, "eu:idp:s1", EventType::Revoked, 200);
    elsewhere.tenant = "another";
    let elsewhere =
        Revocation::of(&elsewhere, &[], 5, Hlc::at(i64::MAX)).expect("a wide revocation");
    assert!(!elsewhere.covers(&bound_token()));
}

#[test]
fn a_selector_narrows_by_every_field_it_has() {
    // issued_before, client, audience -> picks the bound token, picks a token without facts
    let cases = [
        (None, None, None, true, true),
        (Some(101), None, None, true, true),
        (Some(100), None, None, false, true),
        (None, Some("shop"), None, true, true),
        (None, Some("bank"), None, false, true),
        (None, None, Some("mail"), true, true),
        (None, None, Some("files"), false, true),
        (Some(101), Some("shop"), Some("api"), true, true),
        (Some(101), Some("shop"), Some("files"), false, true),
    ];
    let blank =
        TokenFacts { client_id: None, issued_at: None, audience: Vec::new(), ..bound_token() };
    for (issued_before, client, audience, bound, unknown) in cases {
        let mut revoked = statement(TargetKind::Session, "eu:idp:s1", EventType::Revoked, 200);
        revoked.selector = Some(Selector { issued_before, client, audience });
        let revocation =
            Revocation::of(&revoked, &[], 5, Hlc::at(i64::MAX)).expect("a wide revocation");
        assert_eq!(revocation.covers(&bound_token()), bound, "{:?}", revoked.selector);
        assert_eq!(revocation.covers(&blank), unknown, "{:?}", revoked.selector);
    }
}

#[test]
fn a_covered_token_is_revoked_unless_it_had_expired() {
    let mut revoked = statement(TargetKind::Session, "eu:idp:s1", EventType::Revoked, 50);
    revoked.selector = Some(Selector { issued_before: Some(70), client: None, audience: None });
    let revocation =
        Revocation::of(&revoked, &[], 5, Hlc::at(i64::MAX)).expect("a wide revocation");
    let cases = [
        ("ISSUED@10 exp=100", State::Revoked, None),
        ("ISSUED@10 exp=50", State::Expired, None),
        ("ISSUED@50 exp=100", State::Revoked, Some(Violation::IssuedAfterRevoke)),
        ("ISSUED@60 exp=100", State::Revoked, Some(Violation::IssuedAfterRevoke)),
        ("ISSUED@70 exp=100", State::Active, None),
        ("", State::Revoked, None),
    ];
    for (text, expected, violation) in cases {
        let mut state = known(&facts(text, None));
        let done = state.cover(&revocation);
        assert_eq!((done.to, done.violation), (expected, violation), "{text}");
        assert_eq!(state.state, expected, "{text}");
    }
}
