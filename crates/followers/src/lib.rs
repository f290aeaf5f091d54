//! Followers: they read what was committed, in order, and state what follows from it.
//!
//! Promises: each begins where its position file says, may be stopped anywhere, and states
//! everything once for ever.
//!
//! Refuses: to know who records its statements.
//!
//! # How a follower is written
//!
//! A follower reads leaves from where it ended, and gives back what is to be recorded, or does
//! something with them. It starts no thread, reads no clock and opens no file: [`Runner`] calls it,
//! has its statements recorded, and keeps its position. This one states of every REVOKED that it
//! was looked at:
//!
//! ```
//! use ledgerline_followers::follower::{Follower, Interrupted, Next, Reach, Step, Unusable};
//! use ledgerline_followers::position::Position;
//! use ledgerline_proof::decode::read_event;
//! use ledgerline_proof::own_statement::OwnStatement;
//! use ledgerline_proof::vocabulary::EventType;
//! use ledgerline_view::view::View;
//!
//! #[derive(Default)]
//! struct Looked {
//!     entries: u64,
//! }
//!
//! impl Follower for Looked {
//!     // Also the name of its file, followers/looked.
//!     fn name(&self) -> &'static str {
//!         "looked"
//!     }
//!
//!     fn begin(&mut self) {
//!         self.entries = 0;
//!     }
//!
//!     fn resume(&mut self, view: &View, saved: &Position) -> Result<(), Unusable> {
//!         // An origin that the position does not name was not begun; `?` refuses one beyond it.
//!         self.entries = saved.in_newest(view)?.unwrap_or(0);
//!         Ok(())
//!     }
//!
//!     fn reach(&self, view: &View) -> Reach {
//!         Reach { position: self.entries, of: view.size() }
//!     }
//!
//!     fn step(&mut self, view: &View, _now: i64) -> Result<Step, Interrupted> {
//!         let mut statements = Vec::new();
//!         let end = view.size().min(self.entries + 256);
//!         view.each_leaf(self.entries..end, |index, leaf| {
//!             let revoked = read_event(leaf, |_, one| {
//!                 let is_it = one.event_type == EventType::Revoked;
//!                 let target = &one.target;
//!                 is_it.then(|| (one.tenant.to_owned(), target.kind, target.id.to_owned()))
//!             });
//!             if let Some((tenant, kind, id)) = revoked.flatten() {
//!                 // By what it is about, never by the time: it is recorded once.
//!                 let name = format!("looked/{index}");
//!                 let own = OwnStatement::new(&tenant, name, EventType::AdminAct);
//!                 let detail = vec![("act", "looked".to_owned())];
//!                 statements.push(OwnStatement { target: Some((kind, id)), detail, ..own });
//!             }
//!             Ok(true)
//!         })?;
//!         self.entries = end;
//!         let next = if end < view.size() { Next::Behind } else { Next::Rest };
//!         Ok(Step { statements, next, is_done_outside: false })
//!     }
//!
//!     fn position(&self, view: &View) -> Option<Position> {
//!         Some(Position::of_log(&view.identity().origin, self.entries))
//!     }
//! }
//! assert_eq!(Looked::default().name(), "looked");
//! ```
//!
//! `Node::follow` runs it on a thread of whoever calls. The simulator's `follower_contract` checks
//! it over a ledger: cut off between any two steps it loses nothing and says nothing twice, and a
//! lost position is named. `crates/sim/tests/followers.rs` has one like this in it.

pub mod findings;
pub mod follower;
pub mod pace;
pub mod position;
pub mod reported;
pub mod verification;

pub use self::follower::{Follower, Recorder, Runner};
