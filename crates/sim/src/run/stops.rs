//! How a run of the node ends, and how the next one begins.

use ledgerline_proof::control::ControlKind;
use ledgerline_proof::schema::Leaf;
use ledgerline_world::disk::{Disk, parent};
use ledgerline_world::patience::TRIES;

use super::check::{Check, Trouble};
use super::following::Readers;
use super::node::{CREDENTIALS, Node};
use super::{Outcome, Run};
use crate::{Faults, Shortage, Storm};

impl Run {
    /// Ends the node in one of the ways it can end.
    pub(super) fn stop(&mut self) -> Outcome {
        match self.random.below(5) {
            0 => {
                let clean = self.shut_down()?;
                self.between()?;
                self.reopen(clean)
            }
            // In the middle of the next writing call or the one after.
            1 => {
                let after = self.random.below(12);
                self.note(format!("the power will go in {after} calls"));
                self.faulty = true;
                let faults = Faults { power_off_after: Some(after), ..Faults::default() };
                self.disk.set_faults(faults);
                Ok(())
            }
            _ => self.fall_over(),
        }
    }

    /// The process or the machine dies now.
    pub(super) fn fall_over(&mut self) -> Outcome {
        self.die();
        self.between()
    }

    fn die(&mut self) {
        self.node = None;
        self.readers = Readers::default();
        self.refusals = 0;
        let powerless = self.disk.free_bytes().is_err();
        let crash = powerless || self.random.chance(500);
        self.note(if crash { "power cut" } else { "kill" }.to_owned());
        if crash {
            self.disk.crash(&mut self.random);
        } else {
            self.disk.kill();
        }
        if !self.shares_disk {
            // Another machine; sometimes it goes down too.
            if crash && self.random.chance(200) {
                self.head.crash(&mut self.random);
            } else {
                self.head.kill();
            }
        }
        self.quiet();
    }

    /// No faults any more.
    pub(super) fn quiet(&mut self) {
        self.disk.set_faults(Faults::default());
        self.head.set_faults(Faults::default());
    }

    /// While the node is down: files that may be lost are lost, and copies are tried.
    fn between(&mut self) -> Outcome {
        if self.random.chance(self.temper.probe) {
            self.probe()?;
        }
        let lost: &[&str] = match self.random.below(16) {
            0 => &["tree", "index", "vault/map", "followers/findings", "followers/expiry"],
            1 => &["tree"],
            2 => &["index"],
            3 => &["vault/map"],
            4 => &["followers/findings"],
            5 => &["followers/expiry"],
            6 => &["followers/summaries-"],
            _ => &[],
        };
        for what in lost {
            self.lose(what).map_err(|error| format!("cannot remove {what}: {error}"))?;
            self.tally.add("derived files lost", 1);
        }
        Ok(())
    }

    fn lose(&mut self, what: &str) -> std::io::Result<()> {
        self.note(format!("lose {what}"));
        if let Some((room, front)) = what.rsplit_once('/').filter(|_| what.ends_with('-')) {
            for name in self.disk.list(room)?.iter().filter(|name| name.starts_with(front)) {
                self.disk.remove(&format!("{room}/{name}"))?;
            }
            return Ok(());
        }
        if !self.disk.exists(what)? {
            return Ok(());
        }
        if what.contains('/') {
            self.disk.remove(what)?;
            return self.disk.sync_dir(parent(what));
        }
        for name in self.disk.list(what)? {
            self.disk.remove(&format!("{what}/{name}"))?;
        }
        self.disk.sync_dir(what)
    }

    /// As `serve` ends: a last block, the head store, the vault's map. False when it fell over.
    pub(super) fn shut_down(&mut self) -> Result<bool, String> {
        self.note("shut down".to_owned());
        self.quiet();
        let faulty = self.faulty;
        self.commit_all()?;
        let Some(node) = &mut self.node else { return Ok(false) };
        let sealed = node.planner.seal_if_due(true);
        if let Err(error) = sealed {
            return if faulty { self.fall_over().map(|()| false) } else { Err(error.to_string()) };
        }
        if let Some(node) = &mut self.node {
            node.take();
        }
        self.commit_all()?;
        let Some(node) = &mut self.node else { return Ok(false) };
        let published = node.rest.rooms.published();
        if let Err(error) = node.rest.head.write(published.checkpoint.as_bytes()) {
            // On a shared disk the power may have gone already.
            return if faulty { self.fall_over().map(|()| false) } else { Err(error.to_string()) };
        }
        match node.rest.rooms.vault.snapshot(node.rest.rooms.position(published.size)) {
            Err(error) if !faulty => {
                return Err(format!("the vault's map cannot be written: {error}"));
            }
            _ => {}
        }
        self.node = None;
        self.readers = Readers::default();
        self.disk.kill();
        if !self.shares_disk {
            self.head.kill();
        }
        self.tally.add("clean shutdowns", 1);
        Ok(true)
    }

    /// Opens the ledger, after some attempts that fail half-way, and holds it against the model.
    /// After a clean shutdown (`clean`) nothing may have been added.
    pub(super) fn reopen(&mut self, clean: bool) -> Outcome {
        let mut clean = clean;
        let attempts = if self.random.chance(300) { self.random.below(3) } else { 0 };
        for _ in 0..attempts {
            clean = false;
            self.attempt();
            if self.node.is_some() {
                break;
            }
            self.die();
        }
        self.quiet();
        if self.node.is_none() {
            let opened = Node::open(&self.world, &self.config, self.pace);
            self.node = Some(opened.map_err(|error| format!("reopen refused: {error}"))?);
        }
        self.faulty = false;
        self.openings += 1;
        self.tally.add("reopens", 1);
        self.absorb(clean)?;
        self.note_checkpoints()?;
        let size = self.model.size();
        self.note(format!("open at {size}"));
        let Some(node) = &self.node else { return Ok(()) };
        let check = Check { node, model: &self.model, vault_is_older: false };
        check.whole().map_err(Trouble::text)?;
        self.register_all()
    }

    /// One attempt to open on a disk that fails.
    fn attempt(&mut self) {
        let rate = *self.random.choose(&[5, 20, 100]);
        let mut faults = Faults::default();
        match self.random.below(6) {
            0 => faults.write_error_per_mille = rate,
            1 => faults.sync_error_per_mille = rate,
            2 => faults.entry_error_per_mille = rate,
            3 => faults.read_error_per_mille = rate,
            4 => faults.disk_full_after = Some(self.random.below(20_000)),
            _ => faults.power_off_after = Some(self.random.below(60)),
        }
        self.note(format!("try to open under {faults:?}"));
        self.disk.set_faults(faults);
        match Node::open(&self.world, &self.config, self.pace) {
            Ok(node) => self.node = Some(node),
            Err(error) => {
                self.tally.add("opens that failed under faults", 1);
                self.note(format!("it fails: {error}"));
            }
        }
    }

    /// Takes over what recovery kept: the batch in doubt, whole or not at all, and RECOVERED.
    fn absorb(&mut self, clean: bool) -> Outcome {
        let Some(node) = &self.node else { return Ok(()) };
        let size = node.rest.rooms.published().size;
        let known = self.model.size();
        if size < known {
            return Err(format!("{known} leaves were acknowledged, {size} are left"));
        }
        let reader = &node.rest.rooms.reader;
        let tail: Result<Vec<Vec<u8>>, _> = (known..size).map(|index| reader.leaf(index)).collect();
        let tail = tail.map_err(|error| format!("the tail cannot be read: {error}"))?;
        let doubt = std::mem::take(&mut self.in_doubt);
        let streams = self.streams_in_doubt.take();
        let mut first = 0;
        if known == 0 {
            let is_block = |leaf: &Vec<u8>| matches!(Leaf::decode(leaf), Ok(Leaf::Block(_)));
            first = tail.iter().position(is_block).map_or(0, |at| at + 1);
        } else if !doubt.is_empty() && tail.starts_with(&doubt) {
            self.tally.add("batches in doubt that were kept", 1);
            first = doubt.len();
            self.streams = streams.unwrap_or_default();
        } else if !doubt.is_empty() {
            self.tally.add("batches in doubt that were not", 1);
        }
        if node.rest.streams != self.streams {
            let (found, wanted) = (&node.rest.streams, &self.streams);
            return Err(format!("streams go on at {found:?} instead of {wanted:?}"));
        }
        let (commit, rest) = tail.split_at(first);
        let recovered = |leaf: &Vec<u8>| {
            let control = Leaf::decode(leaf);
            matches!(control, Ok(Leaf::Control(control)) if control.kind == ControlKind::Recovered)
        };
        if !rest.iter().all(recovered) {
            return Err(format!("recovery at {known} made up {} leaves", rest.len()));
        }
        if clean && !tail.is_empty() {
            return Err("a clean start recovered something".into());
        }
        self.adopt_all(commit)?;
        rest.chunks(1).try_for_each(|leaf| self.adopt_all(leaf))
    }

    fn register_all(&mut self) -> Outcome {
        let Some(node) = &mut self.node else { return Ok(()) };
        for credential in &CREDENTIALS {
            node.register(credential).map_err(|error| error.to_string())?;
        }
        self.commit_all()
    }

    /// Faults from here on, until the next stop or for good.
    /// Does a piece of the node's work, sometimes while the world fails for a while. A storm is no
    /// fault that excuses anything: what the node's threads do waits for it, and goes on.
    pub(super) fn in_storm(
        &mut self,
        kinds: &[Shortage],
        work: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        if self.faulty || self.node.is_none() || !self.random.chance(self.temper.storm) {
            return work(self);
        }
        let of = *self.random.choose(kinds);
        let calls = 1 + u32::try_from(self.random.below(u64::from(TRIES) / 2)).expect("small");
        // The first piece of work that a storm hits waits until it is over: so it begins anywhere.
        let after = u32::try_from(self.random.below(12)).expect("small");
        let storm = Storm { of, after, calls };
        self.note(format!("{storm:?}"));
        let faults = Faults { storm: Some(storm), ..Faults::default() };
        let failed = |run: &Self| run.disk.counts().storms + run.head.counts().storms;
        let before = (failed(self), self.model.size());
        self.disk.set_faults(faults.clone());
        self.head.set_faults(faults);
        let done = work(self);
        self.quiet();
        let (stood, grown) = (failed(self) > before.0, self.model.size() > before.1);
        self.tally.add("storms outlasted", u64::from(stood));
        self.tally.add("storms outlasted by a commit", u64::from(stood && grown));
        match &self.node {
            None => Err("a storm ended the node".into()),
            Some(_) => done,
        }
    }

    pub(super) fn begin_faults(&mut self) {
        let rate = *self.random.choose(&[2, 10, 50]);
        let mut faults = Faults::default();
        match self.random.below(7) {
            0 => faults.write_error_per_mille = rate,
            1 => faults.short_write_per_mille = rate,
            2 => faults.sync_error_per_mille = rate,
            3 => faults.entry_error_per_mille = rate,
            4 => faults.read_error_per_mille = rate,
            5 => faults.disk_full_after = Some(self.random.below(30_000)),
            _ => faults.power_off_after = Some(self.random.below(200)),
        }
        self.note(format!("faults: {faults:?}"));
        self.faulty = true;
        self.disk.set_faults(faults);
    }
}
