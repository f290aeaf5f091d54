//! A batch: what the sequencer has planned and the publisher makes durable, whole.
//!
//! Promises: nothing but what was planned since the batch before.

use ledgerline_index::{EventTime, Posting, Term};
use ledgerline_journal::format::JournalLeaf;
use ledgerline_journal::streams::StreamTable;
use ledgerline_journal::tree_store::TreeAddition;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::tree::Frontier;

use crate::intake::{Reply, SubmitAnswer};

/// What the publisher must do once a batch is durable, in order.
#[derive(Debug, Clone)]
pub enum Effect {
    /// A control leaf at this index changes the registry.
    Control(u64),
    /// The key of this handle is destroyed.
    Erase([u8; 16]),
    /// The batch ends with this block: its checkpoint is the published one.
    Block {
        /// Height.
        height: u64,
    },
}

/// An answer that waits for the batch to be durable.
pub struct WaitingReply {
    /// To whom.
    pub reply: Reply,
    /// The answer, its checkpoint still to come.
    pub answer: SubmitAnswer,
}

impl WaitingReply {
    /// Calls the reply with its answer.
    pub fn answer(self) {
        (self.reply)(self.answer);
    }
}

/// A batch ready to be written.
pub struct PlannedBatch {
    /// Its leaves. Empty when it only carries answers about duplicates and refusals.
    pub leaves: Vec<JournalLeaf>,
    /// What it adds to the tree; positions are filled in by the journal.
    pub addition: TreeAddition,
    /// Size with it.
    pub size: u64,
    /// Root with it.
    pub root: Hash,
    /// What its leaves can be found by.
    pub postings: Vec<Posting>,
    /// When its events occurred.
    pub times: Vec<EventTime>,
    /// What a [`ledgerline_view::committed::CommitObserver`] hears: what a token's state may change
    /// by.
    pub changes: Vec<Term>,
    /// What follows from it.
    pub effects: Vec<Effect>,
    /// Who waits for it.
    pub replies: Vec<WaitingReply>,
    /// How many events it records.
    pub event_count: u64,
    /// How far every stream was read with it, when that moved.
    pub streams: Option<StreamTable>,
}

impl PlannedBatch {
    /// None yet, at a frontier.
    #[must_use]
    pub fn empty_at(frontier: &Frontier) -> Self {
        let first_index = frontier.size();
        Self {
            leaves: Vec::new(),
            addition: TreeAddition { first_index, ..TreeAddition::default() },
            size: first_index,
            root: Hash::ZERO,
            postings: Vec::new(),
            times: Vec::new(),
            changes: Vec::new(),
            effects: Vec::new(),
            replies: Vec::new(),
            event_count: 0,
            streams: None,
        }
    }
}
