//! Damage, tried on copies of the disks: the ledger must notice it or not care.
//!
//! Promises: a copy that opens says nothing wrong about any leaf, keeps what the head store has
//! seen, and opens no erased record. It may refuse to open, and it may refuse to read.

use std::sync::Arc;

use ledgerline_journal::head_store::HeadStore;
use ledgerline_journal::recovery::RecoverError;
use ledgerline_ledger::opening::{OpenError, World};
use ledgerline_world::disk::Disk;

use super::check::{Check, Trouble};
use super::node::Node;
use super::{Outcome, Run};
use crate::{Faults, SimDisk};

impl Run {
    /// One kind of damage. The node is down.
    pub(super) fn probe(&mut self) -> Outcome {
        if self.model.size() == 0 {
            return Ok(());
        }
        match self.random.below(7) {
            0 => self.probe_older_copy(),
            5 | 6 => self.probe_new_origin(),
            1 => self.probe_bit(),
            2 => self.probe_truncation(),
            3 => self.probe_rot_on_the_way(),
            _ => self.probe_older_vault(),
        }
    }

    pub(super) fn fork(&mut self) -> (SimDisk, SimDisk, World) {
        let disk = self.disk.fork(self.random.bits());
        let head = match self.shares_disk {
            true => disk.clone(),
            false => self.head.fork(self.random.bits()),
        };
        let world = World {
            disk: Arc::new(disk.clone()),
            head_disk: Arc::new(head.clone()),
            ..self.world.clone()
        };
        (disk, head, world)
    }

    /// The size the head store has seen; 0 when it cannot be read.
    pub(super) fn head_size(&self, head: &SimDisk) -> u64 {
        use ledgerline_proof::checkpoint::Checkpoint;
        use ledgerline_proof::note::Note;
        let note = HeadStore::new(Arc::new(head.clone())).note().ok().flatten();
        let note = note.and_then(|note| Note::parse(&note).ok());
        let checkpoint = note.and_then(|note| Checkpoint::parse(note.text()).ok());
        checkpoint.map_or(0, |checkpoint| checkpoint.size())
    }

    /// An older copy of the whole data directory, with the newer head elsewhere.
    fn probe_older_copy(&mut self) -> Outcome {
        if self.copies.is_empty() || self.shares_disk {
            return Ok(());
        }
        let (size, snapshot) = self.random.choose(&self.copies).clone();
        let (disk, head, world) = self.fork();
        disk.restore(&snapshot);
        let seen = self.head_size(&head);
        match Node::open(&world, &self.config, self.pace) {
            Err(OpenError::Recover(RecoverError::BehindHead { .. })) if seen > size => {
                self.tally.add("probe: older copy refused", 1);
                Ok(())
            }
            Err(error) => Err(format!("an older copy was refused: {error}")),
            Ok(_) if seen > size => {
                Err(format!("a copy of {size} leaves opened behind a head of {seen}"))
            }
            Ok(_) => Ok(()),
        }
    }

    /// One flipped bit somewhere.
    fn probe_bit(&mut self) -> Outcome {
        let (disk, head, world) = self.fork();
        let files: Vec<(String, Vec<u8>)> =
            disk.image().into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
        let (path, bytes) = self.random.choose(&files).clone();
        let offset = self.random.below(bytes.len() as u64);
        let bit = u8::try_from(self.random.below(8)).expect("less than 8");
        self.note(format!("on a copy: flip bit {bit} of byte {offset} of {path}"));
        disk.flip_bit(&path, offset, bit).map_err(|error| error.to_string())?;
        let least = self.least_kept(&head);
        self.judge_copy(least, &world, "probe: bit refused", "probe: bit survived")
    }

    /// The newest segment loses its end.
    fn probe_truncation(&mut self) -> Outcome {
        let (disk, head, world) = self.fork();
        let image = disk.image();
        let mut segments = image.iter().filter(|(path, _)| path.ends_with(".seg"));
        let Some((path, bytes)) = segments.next_back() else { return Ok(()) };
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let keep = self.random.index(end + 1);
        self.note(format!("on a copy: cut {path} at {keep} of {end}"));
        let mut short = bytes[..keep].to_vec();
        if self.random.chance(500) {
            short.resize(bytes.len(), 0);
        }
        disk.write(path, &short).map_err(|error| error.to_string())?;
        let least = self.head_size(&head);
        self.judge_copy(least, &world, "probe: cut refused", "probe: cut survived")
    }

    fn judge_copy(
        &mut self,
        least: u64,
        world: &World,
        refused: &'static str,
        survived: &'static str,
    ) -> Outcome {
        let node = match Node::open(world, &self.config, self.pace) {
            Ok(node) => node,
            Err(error) => {
                self.note(format!("refused: {error}"));
                self.tally.add(refused, 1);
                return Ok(());
            }
        };
        self.tally.add(survived, 1);
        self.says_nothing_wrong(&node, least, false)
    }

    /// How much a copy with rotten bytes must keep. Excused: rot in the last batch, beyond what the
    /// head store has seen, looks like a torn write.
    fn least_kept(&self, head: &SimDisk) -> u64 {
        let last = self.model.commits.last().copied().unwrap_or(0);
        if last >= self.head_size(head) { last } else { self.model.size() }
    }

    /// Reads everything of a copy that must have kept `least` leaves. Errors are honest, when not
    /// the whole must be readable; wrong answers never are.
    fn says_nothing_wrong(&self, node: &Node, least: u64, whole: bool) -> Outcome {
        let size = node.rest.rooms.published().size;
        if size < least {
            return Err(format!("a copy has {size} leaves of {least}"));
        }
        let check = Check { node, model: &self.model, vault_is_older: true };
        for index in 0..size.min(self.model.size()) {
            let leaf = check.leaf(index);
            let cut = index >= least && self.model.commits.contains(&index);
            if cut && matches!(leaf, Err(Trouble::Wrong(_))) {
                break;
            }
            // A batch in doubt may hold an erasure that the copy has finished and the model does
            // not know of.
            let doubt = !self.in_doubt.is_empty();
            let personal = if doubt { Ok(()) } else { check.personal(index) };
            for checked in [leaf, personal] {
                match checked {
                    Err(Trouble::Wrong(what)) if what.contains("does not open") && !whole => {}
                    Err(Trouble::Error(_)) if !whole => {}
                    Err(trouble) => return Err(format!("on a copy: {}", trouble.text())),
                    Ok(()) => {}
                }
            }
        }
        Ok(())
    }

    /// Bytes that are wrong on their way from the disk and right the next time.
    fn probe_rot_on_the_way(&mut self) -> Outcome {
        let (disk, head, world) = self.fork();
        let least = self.least_kept(&head);
        let rate = *self.random.choose(&[5, 30]);
        self.note(format!("on a copy: read rot, {rate} per mille"));
        disk.set_faults(Faults { read_rot_per_mille: rate, ..Faults::default() });
        let opened = Node::open(&world, &self.config, self.pace);
        self.tally.add("fault: read rot", disk.counts().read_rots);
        let survived = opened.is_ok();
        drop(opened);
        disk.set_faults(Faults::default());
        disk.kill();
        self.tally.add("probe: rot on the way survived", u64::from(survived));
        let node = Node::open(&world, &self.config, self.pace)
            .map_err(|error| format!("rot on the way became damage: {error}"))?;
        self.says_nothing_wrong(&node, least, true)
    }

    /// An older copy of the vault comes back: what was erased since stays erased.
    fn probe_older_vault(&mut self) -> Outcome {
        if self.copies.is_empty() {
            return Ok(());
        }
        let (_, snapshot) = self.random.choose(&self.copies).clone();
        let (disk, _, world) = self.fork();
        let mutable = |path: &str| path.starts_with("vault/slots-") || path == "vault/map";
        let failed = |error: std::io::Error| error.to_string();
        for (path, _) in disk.image().iter().filter(|(path, _)| mutable(path)) {
            disk.remove(path).map_err(failed)?;
        }
        for (path, bytes) in snapshot.files().iter().filter(|(path, _)| mutable(path)) {
            disk.write(path, bytes).map_err(failed)?;
        }
        self.note("on a copy: an older vault".to_owned());
        let node = Node::open(&world, &self.config, self.pace)
            .map_err(|error| format!("an older copy of the vault was refused: {error}"))?;
        self.tally.add("probe: older vault", 1);
        self.says_nothing_wrong(&node, self.model.size(), true)
    }
}
