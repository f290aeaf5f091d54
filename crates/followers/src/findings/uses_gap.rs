//! The gap in uses after a crash: introspections that were seen and not yet recorded.
//!
//! ```text
//! followers/uses   a position file of no log; its state:
//!   state          i64 from ‖ u64 window ‖ u16 n ‖ n × lp(tenant)               big-endian
//!   of before      u32 CRC-32C of the state ‖ state
//!   written        before the first use of a tenant is answered, and after every recording
//!   removed        when nothing waits for being recorded
//! FINDING_RAISED   rule source_gap, one for each tenant of a file that is found at a start;
//!                  about = "introspection uses from … to …"
//! ```
//!
//! Promises: uses noted at or behind `from` may be missing if the file is there, and none are if it
//! is not. A start that is cut off raises the same finding again, under the same name. A damaged
//! file is told like one that names no tenant: for the tenant "".
//!
//! Refuses: more than [`TENANTS_MAX`] tenants; what is beyond them is told for the tenant "".

use std::collections::BTreeSet;
use std::io;

use ledgerline_proof::hash::{DomainHasher, Hash, domain};
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_world::disk::Disk;

use super::rules::Rule;
use crate::position::{self, Found, Position, without_old_checksum};

/// The name of the file.
const NAME: &str = "uses";
/// Most tenants that are named.
pub const TENANTS_MAX: usize = 1000;

/// Uses that wait in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// None from before wait, Unix nanoseconds.
    pub from: i64,
    /// How long they usually wait, nanoseconds.
    pub window: u64,
    /// Whose they are.
    pub tenants: BTreeSet<String>,
}

/// What may be missing in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The tenant.
    pub tenant: String,
    /// From when on, Unix nanoseconds.
    pub from: i64,
    /// Until when at the latest: the start that found it.
    pub to: i64,
    /// At most so much of that time is missing, nanoseconds.
    pub window: u64,
}

impl Gap {
    /// Its name as a finding: by tenant and beginning.
    #[must_use]
    pub fn id(&self) -> Hash {
        let place = format!("introspection/{}", self.from);
        DomainHasher::new(domain::FINDING)
            .lp(Rule::SourceGap.code().as_bytes())
            .u16(Rule::SourceGap.version())
            .lp(self.tenant.as_bytes())
            .u8(TargetKind::Ledger.position())
            .lp(b"")
            .u16(0)
            .lp(place.as_bytes())
            .finish()
    }
}

impl Waiting {
    /// The gaps that a crash left, as the start at `now` sees them.
    #[must_use]
    pub fn gaps(&self, now: i64) -> Vec<Gap> {
        let gap = |tenant: &str| Gap {
            tenant: tenant.to_owned(),
            from: self.from,
            to: now.max(self.from),
            window: self.window,
        };
        match self.tenants.len() {
            0 => vec![gap("")],
            _ => self.tenants.iter().map(|tenant| gap(tenant)).collect(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut tenants: BTreeSet<&str> = self.tenants.iter().map(String::as_str).collect();
        if tenants.len() > TENANTS_MAX {
            tenants = tenants.into_iter().take(TENANTS_MAX - 1).chain([""]).collect();
        }
        let mut rest = [self.from.to_be_bytes(), self.window.to_be_bytes()].concat();
        let length = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
        rest.extend(length(tenants.len()));
        for tenant in tenants {
            rest.extend(length(tenant.len()));
            rest.extend(tenant.as_bytes());
        }
        rest
    }

    fn read(state: &[u8]) -> Option<Self> {
        let (from, rest) = state.split_first_chunk::<8>()?;
        let (window, rest) = rest.split_first_chunk::<8>()?;
        let (count, mut rest) = rest.split_first_chunk::<2>()?;
        let mut tenants = BTreeSet::new();
        for _ in 0..u16::from_be_bytes(*count) {
            let (length, more) = rest.split_first_chunk::<2>()?;
            let (tenant, more) = more.split_at_checked(u16::from_be_bytes(*length).into())?;
            tenants.insert(String::from_utf8(tenant.to_vec()).ok()?);
            rest = more;
        }
        let (from, window) = (i64::from_be_bytes(*from), u64::from_be_bytes(*window));
        rest.is_empty().then_some(Self { from, window, tenants })
    }
}

/// What waited when the process ended; `None` when nothing did.
///
/// # Errors
/// Whatever the disk says, but for a file that is missing or damaged.
pub fn load(disk: &dyn Disk) -> io::Result<Option<Waiting>> {
    let read = match position::load(disk, NAME)? {
        Found::Nothing => return Ok(None),
        Found::Position(saved) => Waiting::read(&saved.state),
        Found::Older(bytes) => without_old_checksum(&bytes).and_then(Waiting::read),
        Found::Damaged(_) => None,
    };
    Ok(Some(read.unwrap_or_default()))
}

/// Says durably what waits.
///
/// # Errors
/// Whatever the disk says.
pub fn save(disk: &dyn Disk, waiting: &Waiting) -> io::Result<()> {
    position::save(disk, NAME, &Position::default().with(waiting.bytes()))
}

/// Says durably that nothing waits.
///
/// # Errors
/// Whatever the disk says.
pub fn clear(disk: &dyn Disk) -> io::Result<()> {
    position::clear(disk, NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledgerline_world::disk::{OpenMode, replace_durably};
    use ledgerline_world::fake::SimDisk;

    #[test]
    fn what_waits_is_told_once_and_damage_is_told_too() {
        let disk = SimDisk::new(1);
        assert_eq!(load(&disk).expect("a disk"), None);
        clear(&disk).expect("nothing to clear");
        let tenants = BTreeSet::from([String::new(), "acme".to_owned()]);
        let waiting = Waiting { from: 7, window: 10, tenants };
        save(&disk, &waiting).expect("a disk");
        assert_eq!(load(&disk).expect("a disk").as_ref(), Some(&waiting));
        let gaps = waiting.gaps(5);
        assert_eq!(gaps.iter().map(|gap| &*gap.tenant).collect::<Vec<_>>(), ["", "acme"]);
        assert!(gaps.iter().all(|gap| gap.to == 7));
        assert_ne!(gaps[0].id(), gaps[1].id());
        assert_eq!(gaps[1].id(), waiting.gaps(99)[1].id(), "the same at a later start");
        let file = disk.open("followers/uses", OpenMode::Write).expect("a file");
        file.write_all_at(&[1], 6).expect("a disk");
        let damaged = load(&disk).expect("a disk").expect("something waited");
        assert_eq!(damaged.gaps(9)[0].tenant, "");
        let state = waiting.bytes();
        let older = [&crc32c::crc32c(&state).to_be_bytes()[..], &state].concat();
        replace_durably(&disk, "followers/uses", &older).expect("a disk");
        assert_eq!(load(&disk).expect("a disk").as_ref(), Some(&waiting), "of before");
        clear(&disk).expect("a disk");
        assert_eq!(load(&disk).expect("a disk"), None);
        let many = (0..TENANTS_MAX + 5).map(|n| format!("t{n}")).collect();
        save(&disk, &Waiting { tenants: many, ..waiting }).expect("a disk");
        let read = load(&disk).expect("a disk").expect("something waits").tenants;
        assert!(read.len() == TENANTS_MAX && read.contains(""));
    }
}
