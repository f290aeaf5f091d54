//! Short texts from outside: tile paths and token ids.

use ledgerline_proof::tile::{
    TILE_WIDTH, TileAddress, TileKind, decode_bundle, decode_tile, encode_bundle, encode_tile,
    tiles, width_in,
};
use ledgerline_proof::token_id::{
    Form, MAX_TOKEN_ID_BYTES, TokenId, from_jti, from_presented, looks_like_token, t1_value,
};
use ledgerline_proof::tree::HashAt;

use crate::cursor::Cursor;

/// A tile path, and a tile's content.
pub fn tile(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(address) = TileAddress::parse(text)
    {
        one_address(address, text);
    }
    let mut input = Cursor::new(data);
    let width = input.u16() % 300;
    let content = input.rest();
    if let Ok(hashes) = decode_tile(content, width) {
        assert_eq!(hashes.len(), usize::from(width));
        assert_eq!(encode_tile(&hashes), content);
    }
    if let Ok(entries) = decode_bundle(content, width) {
        assert_eq!(entries.len(), usize::from(width));
        assert_eq!(encode_bundle(&entries).as_deref(), Ok(content));
    }
    places(&mut Cursor::new(data));
}

fn one_address(address: TileAddress, text: &str) {
    assert_eq!(address.path(), text, "a tile with a second path");
    assert_eq!(address.full().first(), address.first());
    assert_eq!(address.is_full(), address.width() == TILE_WIDTH);
    let again = TileAddress::new(address.kind(), address.index(), address.width());
    assert_eq!(again, Ok(address));
    let last = address.first() + u64::from(address.width()) - 1;
    if address.kind() == TileKind::Hashes(0) {
        assert_eq!(address.exists_in(u64::MAX), last < u64::MAX);
        assert!(!address.exists_in(last));
    }
}

/// The tiles of a size, and the tile that holds one hash of it.
fn places(input: &mut Cursor<'_>) {
    let size = (0..8).fold(0_u64, |size, _| size << 8 | u64::from(input.u8()));
    let at = HashAt { level: input.u8() % 66, index: u64::from(input.u16()) };
    if let Some((address, position)) = TileAddress::holding(at, size) {
        assert!(position < usize::from(address.width()) && address.exists_in(size));
        assert_eq!(width_in(address.kind(), address.index(), size), Some(address.width()));
        assert_eq!(TileAddress::parse(&address.path()), Ok(address));
    }
    for address in tiles(size % 70_000).take(600) {
        assert!(address.exists_in(size % 70_000), "{address} is not of size {}", size % 70_000);
    }
}

/// A token id, a jti, and a token as it was presented.
pub fn token_id(data: &[u8]) {
    let presented = t1_value(data);
    assert_eq!(presented, t1_value(data));
    if let Ok(id) = from_presented("eu", "idp", data) {
        assert!(TokenId::parse(&id).is_ok_and(|id| id.form() == Form::T1), "{id}");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let jti = from_jti("eu", "idp", text).expect("region and alias are names");
    let parsed = TokenId::parse(&jti).expect("every jti has an id");
    assert!(matches!(parsed.form(), Form::Jti | Form::JtiHash) && jti.len() <= MAX_TOKEN_ID_BYTES);
    if let Ok(id) = TokenId::parse(text) {
        let form = match id.form() {
            Form::Jti => "jti".to_owned(),
            Form::JtiHash => "jh".to_owned(),
            Form::Accessor => "acc".to_owned(),
            Form::T1 => "t1".to_owned(),
            Form::Keyed(generation) => format!("h{generation}"),
        };
        let again = format!("{}:{}:{form}:{}", id.region(), id.issuer(), id.value());
        assert_eq!(again, text, "a token id with a second spelling");
        assert_eq!(id.as_str(), text);
        assert!(!looks_like_token(text) && text.is_ascii() && text.len() <= 256);
    }
}
