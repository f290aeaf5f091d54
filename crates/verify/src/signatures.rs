//! Which of the kept checkpoint signatures are checked.
//!
//! Every commit keeps the log's signature of the checkpoint before it. Roots are computed again
//! from the entries whatever is signed, so a signature adds one thing: that the log, and nobody
//! else, vouched for that root. A later signed root vouches for all entries before it. An Ed25519
//! check costs ten times what a small commit costs otherwise, so on a ledger written one event at a
//! time a verification would do little else.
//!
//! Promises: with [`Signatures::Every`] each kept signature is checked. With
//! [`Signatures::Chosen`]: those of checkpoints that end in a block (the ones that are published),
//! the newest of a walk or step, those of a first commit and behind gaps, and of the others about
//! one in [`SAMPLED_ONE_IN`], which nobody can know beforehand who does not know the seed. What is
//! counted as checked was checked.

use ledgerline_proof::checkpoint::{self, Checkpoint};
use ledgerline_proof::hash::Hash;
use ledgerline_proof::note::VerifierKey;
use ledgerline_world::entropy::{Entropy, random};

use super::report::Check;

/// Of the signatures that need not be checked, about one in so many is.
pub const SAMPLED_ONE_IN: u64 = 64;

/// Which kept checkpoint signatures a verification checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// Each.
    Every,
    /// Those of blocks, the newest, and a sample.
    Chosen {
        /// Chooses the sample. To be drawn anew for each verification, from the system's entropy:
        /// whoever knows it knows which signatures are not looked at.
        seed: u64,
    },
}

/// What is checked in every case, as a report names it.
pub(super) const SIGNATURES_CHECK: &str =
    "checkpoint signatures: of blocks, the newest, and a sample";

/// What a report says of the signatures of all origins together: whether each was checked.
pub(super) fn every_signature(checked: u64, kept: u64) -> Check {
    let done = checked >= kept;
    let note = format!(
        "{checked} of {kept} were: those of blocks, the newest, and of the others one in \
         {SAMPLED_ONE_IN} by chance; --all-signatures checks each"
    );
    let note = if done { String::new() } else { note };
    Check { what: "every checkpoint signature", done, note }
}

impl Signatures {
    /// With a sample that nobody knows beforehand.
    #[must_use]
    pub fn chosen(entropy: &dyn Entropy) -> Self {
        Self::Chosen { seed: u64::from_le_bytes(random(entropy)) }
    }

    /// Whether the signature of the checkpoint of `size` is checked, wherever it stands.
    pub(super) const fn wants(self, size: u64, ends_in_block: bool) -> bool {
        match self {
            Self::Every => true,
            Self::Chosen { seed } => {
                ends_in_block || mixed(seed ^ size).is_multiple_of(SAMPLED_ONE_IN)
            }
        }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit depends on every bit.
const fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A signature kept in a commit, of the checkpoint before it.
pub(super) struct Kept {
    pub size: u64,
    pub root: Hash,
    pub signature: Vec<u8>,
    /// Where the commit's batch begins, and with which entry.
    pub segment: u32,
    pub start: u64,
    pub base: u64,
    /// Whether it was checked, and holds or is a finding already.
    pub checked: bool,
}

impl Kept {
    /// Whether the log signed this checkpoint.
    pub fn holds(&self, origin: &str, log_key: &VerifierKey) -> bool {
        let checkpoint = Checkpoint::new(origin, self.size, self.root);
        checkpoint.ok().zip(self.signature.as_slice().try_into().ok()).is_some_and(
            |(checkpoint, signature): (Checkpoint, &[u8; 64])| {
                let note = checkpoint.with_signature(log_key, signature);
                note.is_ok_and(|note| {
                    checkpoint::open(&note.to_bytes(), std::slice::from_ref(log_key)).is_ok()
                })
            },
        )
    }

    /// What is said of one that does not hold.
    pub fn complaint(&self) -> String {
        let size = self.size;
        format!("the kept signature of the checkpoint of size {size} does not hold")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_about_one_in_so_many_and_another_with_another_seed() {
        let chosen = |seed| -> Vec<u64> {
            let signatures = Signatures::Chosen { seed };
            (0..64_000).filter(|size| signatures.wants(*size, false)).collect()
        };
        let (one, other) = (chosen(1), chosen(2));
        for sample in [&one, &other] {
            assert!((800..1200).contains(&sample.len()), "{} of 64,000", sample.len());
        }
        let both = one.iter().filter(|size| other.contains(size)).count();
        assert!(both < 60, "{both} sizes stand in both samples");
        assert!((0..64_000).all(|size| Signatures::Chosen { seed: 1 }.wants(size, true)));
        assert!((0..64_000).all(|size| Signatures::Every.wants(size, false)));
    }
}
