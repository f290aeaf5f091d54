//! Sealing: the one module that calls the cipher (AES-256-GCM-SIV, RFC 8452).
//!
//! Promises: what [`seal`] closed, [`open`] opens under the same key, statement, position and
//! handle, and under nothing else. Sealed lengths tell the length of a record only to within 64
//! bytes.
//!
//! Assumes: nonces are random. Should one repeat under a key, RFC 8452 gives away only whether two
//! records of the same statement are equal.
//!
//! Refuses: a padding other than the canonical one, so a record has one sealed form per nonce.
//!
//! ```text
//! sealed  = nonce (12) || AES-256-GCM-SIV(slot key, nonce, padded, aad)     ciphertext || tag (16)
//! padded  = record || 0x80 || 0x00 ...        to the next multiple of 64; never without the 0x80
//! aad     = "ledgerline/sealed/v1\0" || SHA-256(statement) || u8 n || slot handle (16)
//! wrapped = AES-256-GCM-SIV(KEK, nonce, key, "ledgerline/vault/v1\0" || u8 purpose || ...)
//! ```
//!
//! Purposes of the second domain: 1 file header, 2 slot key, 3 producer secret, 4 name of a
//! secret's file (the only one that is hashed).

use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, Key, KeyInit, Nonce, Tag};
use ledgerline_proof::hash::{Hash, domain};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a nonce.
pub(super) const NONCE: usize = 12;
/// Bytes of a tag.
pub(super) const TAG: usize = 16;
/// Records are padded to a multiple of this.
const PAD: usize = 64;

/// Purpose bytes of `ledgerline/vault/v1`.
pub(super) mod purpose {
    pub const HEADER: u8 = 1;
    pub const SLOT_KEY: u8 = 2;
    pub const SECRET: u8 = 3;
    pub const SECRET_NAME: u8 = 4;
}

/// The bytes do not open: other key, other associated data, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAuthentic;

/// A key with its schedule, wiped when dropped.
pub(super) struct Cipher(Aes256GcmSiv);

impl Cipher {
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Aes256GcmSiv::new(<&Key<Aes256GcmSiv>>::from(key)))
    }

    /// Encrypts in place and returns the tag.
    fn close(&self, nonce: &[u8; NONCE], aad: &[u8], bytes: &mut [u8]) -> [u8; TAG] {
        let tag = self.0.encrypt_inout_detached(&Nonce::from(*nonce), aad, bytes.into());
        tag.expect("records are far below the 64 GiB that the cipher takes").into()
    }

    /// Decrypts in place. On failure `bytes` hold no plaintext.
    fn reveal(
        &self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), NotAuthentic> {
        let nonce = Nonce::from(*nonce);
        let opened = self.0.decrypt_inout_detached(&nonce, aad, bytes.into(), &Tag::from(*tag));
        opened.map_err(|_| NotAuthentic)
    }

    /// Ciphertext and tag of a key or secret.
    pub fn wrap(&self, nonce: &[u8; NONCE], purpose: u8, about: &[&[u8]], key: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(key.len() + TAG);
        bytes.extend_from_slice(key);
        let tag = self.close(nonce, &vault_aad(purpose, about), &mut bytes);
        bytes.extend_from_slice(&tag);
        bytes
    }

    /// What [`Cipher::wrap`] wrapped with the same nonce, purpose and parts.
    pub fn unwrap(
        &self,
        nonce: &[u8; NONCE],
        purpose: u8,
        about: &[&[u8]],
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
        let (bytes, tag) = wrapped.split_last_chunk::<TAG>().ok_or(NotAuthentic)?;
        let mut key = Zeroizing::new(bytes.to_vec());
        self.reveal(nonce, &vault_aad(purpose, about), &mut key, tag)?;
        Ok(key)
    }
}

fn vault_aad(purpose: u8, about: &[&[u8]]) -> Vec<u8> {
    let mut aad = [domain::VAULT, &[purpose]].concat();
    about.iter().for_each(|part| aad.extend_from_slice(part));
    aad
}

const SEALED_AAD: usize = domain::SEALED.len() + 32 + 1 + 16;

fn sealed_aad(handle: &[u8; 16], n: u8, statement: &Hash) -> [u8; SEALED_AAD] {
    let mut aad = [0; SEALED_AAD];
    let (name, rest) = aad.split_at_mut(domain::SEALED.len());
    name.copy_from_slice(domain::SEALED);
    rest[..32].copy_from_slice(&statement.0);
    rest[32] = n;
    rest[33..].copy_from_slice(handle);
    aad
}

/// Seals a record; the result is drawn in the module documentation.
pub(super) fn seal(
    cipher: &Cipher,
    handle: &[u8; 16],
    n: u8,
    statement: &Hash,
    record: &[u8],
    nonce: &[u8; NONCE],
) -> Vec<u8> {
    let padded = (record.len() / PAD + 1) * PAD;
    let mut sealed = Vec::with_capacity(NONCE + padded + TAG);
    sealed.extend_from_slice(nonce);
    sealed.extend_from_slice(record);
    sealed.push(0x80);
    sealed.resize(NONCE + padded, 0);
    let tag = cipher.close(nonce, &sealed_aad(handle, n, statement), &mut sealed[NONCE..]);
    sealed.extend_from_slice(&tag);
    sealed
}

/// Opens what [`seal`] sealed.
pub(super) fn open(
    cipher: &Cipher,
    handle: &[u8; 16],
    n: u8,
    statement: &Hash,
    sealed: &[u8],
) -> Result<Vec<u8>, NotAuthentic> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or(NotAuthentic)?;
    let (bytes, tag) = rest.split_last_chunk::<TAG>().ok_or(NotAuthentic)?;
    if bytes.is_empty() || bytes.len() % PAD != 0 {
        return Err(NotAuthentic);
    }
    let mut record = bytes.to_vec();
    cipher.reveal(nonce, &sealed_aad(handle, n, statement), &mut record, tag)?;
    match unpadded_length(&record) {
        Some(length) => record.truncate(length),
        None => {
            record.zeroize();
            return Err(NotAuthentic);
        }
    }
    Ok(record)
}

/// Length before the padding, when the padding is the shortest possible.
fn unpadded_length(padded: &[u8]) -> Option<usize> {
    let last = padded.iter().rposition(|byte| *byte != 0)?;
    (padded[last] == 0x80 && padded.len() - last <= PAD).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE_1: [u8; NONCE] = [1; NONCE];
    const HANDLE: [u8; 16] = [7; 16];

    fn check(record: &[u8], padded: usize) {
        let cipher = Cipher::new(&[9; 32]);
        let statement = ledgerline_proof::hash::sha256(b"statement");
        let sealed = seal(&cipher, &HANDLE, 0, &statement, record, &NONCE_1);
        assert_eq!(sealed.len(), NONCE + padded + TAG);
        assert_eq!(open(&cipher, &HANDLE, 0, &statement, &sealed).as_deref(), Ok(record));
        assert_eq!(open(&cipher, &[8; 16], 0, &statement, &sealed), Err(NotAuthentic));
        assert_eq!(open(&cipher, &HANDLE, 1, &statement, &sealed), Err(NotAuthentic));
        assert_eq!(open(&cipher, &HANDLE, 0, &Hash::ZERO, &sealed), Err(NotAuthentic));
        let other = Cipher::new(&[10; 32]);
        assert_eq!(open(&other, &HANDLE, 0, &statement, &sealed), Err(NotAuthentic));
        for cut in 0..sealed.len() {
            assert_eq!(open(&cipher, &HANDLE, 0, &statement, &sealed[..cut]), Err(NotAuthentic));
            let mut bad = sealed.clone();
            bad[cut] ^= 1 << (cut % 8);
            assert_eq!(open(&cipher, &HANDLE, 0, &statement, &bad), Err(NotAuthentic));
        }
    }

    #[test]
    fn records_of_every_length_around_a_block() {
        for (length, padded) in [(0, 64), (1, 64), (63, 64), (64, 128), (65, 128), (127, 128)] {
            check(&vec![0x80; length], padded);
            check(&vec![0; length], padded);
        }
    }

    #[test]
    fn only_the_shortest_padding_is_taken() {
        let long = [&[0x80][..], &[0; 127]].concat();
        let marked = [&[b'x'; 63][..], &[0x80]].concat();
        for (padded, length) in [
            (&marked[..], Some(63)),
            (&long, None),
            (&long[..64], Some(0)),
            (&[0; 64], None),
            (&[0x81; 64], None),
        ] {
            assert_eq!(unpadded_length(padded), length);
        }
    }

    /// RFC 8452 appendix C.2, an AES-256 case with eight bytes of plaintext and one of associated
    /// data.
    #[test]
    fn cipher_is_rfc_8452() {
        let mut key = [0; 32];
        key[0] = 1;
        let mut nonce = [0; NONCE];
        nonce[0] = 3;
        let mut bytes = [2, 0, 0, 0, 0, 0, 0, 0];
        let tag = Cipher::new(&key).close(&nonce, &[1], &mut bytes);
        let result: String = bytes.iter().chain(&tag).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(result, "1de22967237a813291213f267e3b452f02d01ae33e4ec854");
    }
}
