//! A log read over HTTP as C2SP tiles.
//!
//! Promises: what comes back has the length its address says; nothing else about it is believed. A
//! partial tile that is gone is cut from the full one, as the specification asks of clients.

use ledgerline_proof::hash::Hash;
use ledgerline_proof::tile::{TileAddress, TileKind, decode_bundle, decode_tile, width_in};

use crate::{Client, ClientError};

/// Reads tiles of one server.
pub struct RemoteLog<'c> {
    client: &'c Client,
}

impl<'c> RemoteLog<'c> {
    /// A reader; nothing is sent yet.
    #[must_use]
    pub fn new(client: &'c Client) -> Self {
        Self { client }
    }

    /// The published checkpoint, as sent.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn checkpoint(&self) -> Result<Vec<u8>, ClientError> {
        let note = self.client.get_bytes("/checkpoint")?;
        note.ok_or_else(|| self.client.garbled("there is no checkpoint"))
    }

    /// The bytes of a tile or bundle, exactly as wide as the address says.
    ///
    /// # Errors
    /// [`ClientError`], also when the server does not have it.
    pub fn tile(&self, address: &TileAddress) -> Result<Vec<u8>, ClientError> {
        if let Some(bytes) = self.client.get_bytes(&format!("/{address}"))? {
            return self.checked(address, bytes);
        }
        let full = self.client.get_bytes(&format!("/{}", address.full()))?;
        let missing = || self.client.garbled(&format!("{address} is missing"));
        let mut bytes = full.ok_or_else(missing)?;
        let kept = match address.kind() {
            TileKind::Hashes(_) => usize::from(address.width()) * 32,
            TileKind::Entries => {
                let entries = decode_bundle(&bytes, 256).map_err(|_| missing())?;
                let kept = entries.iter().take(usize::from(address.width()));
                kept.map(|entry| entry.len() + 2).sum()
            }
        };
        bytes.truncate(kept);
        self.checked(address, bytes)
    }

    fn checked(&self, address: &TileAddress, bytes: Vec<u8>) -> Result<Vec<u8>, ClientError> {
        let fits = match address.kind() {
            TileKind::Hashes(_) => decode_tile(&bytes, address.width()).is_ok(),
            TileKind::Entries => decode_bundle(&bytes, address.width()).is_ok(),
        };
        let garbled = || self.client.garbled(&format!("{address} does not have its width"));
        if fits { Ok(bytes) } else { Err(garbled()) }
    }

    /// Leaf hashes of the level-0 tile `number` in a tree of `size` leaves; empty beyond it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn leaf_hashes(&self, number: u64, size: u64) -> Result<Vec<Hash>, ClientError> {
        let Some(address) = self.address(TileKind::Hashes(0), number, size)? else {
            return Ok(Vec::new());
        };
        let bytes = self.tile(&address)?;
        decode_tile(&bytes, address.width()).map_err(|_| self.client.garbled("a tile is cut"))
    }

    /// Leaves of the bundle `number` in a tree of `size` leaves; empty beyond it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn leaves(&self, number: u64, size: u64) -> Result<Vec<Vec<u8>>, ClientError> {
        let Some(address) = self.address(TileKind::Entries, number, size)? else {
            return Ok(Vec::new());
        };
        let bytes = self.tile(&address)?;
        let leaves = decode_bundle(&bytes, address.width());
        let leaves = leaves.map_err(|_| self.client.garbled("an entry bundle is cut"))?;
        Ok(leaves.into_iter().map(<[u8]>::to_vec).collect())
    }

    fn address(
        &self,
        kind: TileKind,
        number: u64,
        size: u64,
    ) -> Result<Option<TileAddress>, ClientError> {
        let Some(width) = width_in(kind, number, size) else { return Ok(None) };
        let address = TileAddress::new(kind, number, width);
        address.map(Some).map_err(|_| self.client.garbled("the tree is too large"))
    }
}
