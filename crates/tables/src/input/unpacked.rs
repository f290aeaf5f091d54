//! Bytes as they were before they were packed with gzip, told by their first bytes.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

/// How a packed file, or text in another encoding, begins.
const STRANGE: [(&[u8], &str); 6] = [
    (b"\x28\xb5\x2f\xfd", "it is packed with zstd: unpack it first (gzip is read as it is)"),
    (b"\xfd7zXZ", "it is packed with xz: unpack it first (gzip is read as it is)"),
    (b"BZh", "it is packed with bzip2: unpack it first (gzip is read as it is)"),
    (b"PK\x03\x04", "it is a zip archive: unpack it first (gzip is read as it is)"),
    (b"\xff\xfe", "it is UTF-16: write it as UTF-8"),
    (b"\xfe\xff", "it is UTF-16: write it as UTF-8"),
];
const GZIP: &[u8] = b"\x1f\x8b";
/// Bytes that tell them all apart.
const HEAD_BYTES: usize = 5;

type Whole<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Reads what was packed, or what was not as it is. Several members of gzip are one file.
pub struct Unpacked<R: Read> {
    form: Form<R>,
}

enum Form<R: Read> {
    Unknown(Option<R>),
    Plain(Whole<R>),
    Gzip(Box<MultiGzDecoder<Whole<R>>>),
}

impl<R: Read> Unpacked<R> {
    /// Nothing is read yet.
    pub fn new(input: R) -> Self {
        Self { form: Form::Unknown(Some(input)) }
    }

    fn decide(mut input: R) -> io::Result<Form<R>> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        // A pipe may bring one line now and the next one tomorrow: no byte more is waited for than
        // these beginnings need.
        while head.len() < HEAD_BYTES && is_beginning(&head) {
            let mut byte = [0];
            match input.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => head.push(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if let Some((_, why)) = STRANGE.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, *why));
        }
        let is_packed = head.starts_with(GZIP);
        let whole = Cursor::new(head).chain(input);
        if is_packed {
            return Ok(Form::Gzip(Box::new(MultiGzDecoder::new(whole))));
        }
        Ok(Form::Plain(whole))
    }
}

/// Whether more bytes could make one of the beginnings of these.
fn is_beginning(head: &[u8]) -> bool {
    let magics = STRANGE.iter().map(|(magic, _)| *magic).chain([GZIP]);
    magics.into_iter().any(|magic| head.len() < magic.len() && magic.starts_with(head))
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Form::Unknown(input) = &mut self.form {
            let Some(input) = input.take() else { return Ok(0) };
            self.form = Self::decide(input)?;
        }
        match &mut self.form {
            Form::Unknown(_) => Ok(0),
            Form::Plain(input) => input.read(out),
            Form::Gzip(input) => input.read(out).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    io::Error::new(error.kind(), "the packed file is cut off")
                }
                _ => error,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::default());
        out.write_all(text.as_bytes()).expect("memory");
        out.finish().expect("memory")
    }

    fn read(bytes: &[u8]) -> (String, Option<String>) {
        let (mut out, mut input) = (Vec::new(), Unpacked::new(bytes));
        let error = input.read_to_end(&mut out).err().map(|error| error.to_string());
        (String::from_utf8_lossy(&out).into_owned(), error)
    }

    #[test]
    fn packed_and_plain_say_the_same() {
        for text in ["", "{", "{\"a\":1}\n", "B", "BZ", "P", "\u{feff}jti\n"] {
            assert_eq!(read(text.as_bytes()), (text.to_owned(), None));
            assert_eq!(read(&packed(text)), (text.to_owned(), None));
        }
        let both = [packed("one\n"), packed("two\n")].concat();
        assert_eq!(read(&both), ("one\ntwo\n".to_owned(), None));
    }

    #[test]
    fn a_torn_packed_file_is_not_a_short_one() {
        let whole = packed(&"a line of some length\n".repeat(5000));
        let (text, error) = read(&whole[..whole.len() / 2]);
        assert!(text.starts_with("a line"), "what came before the tear is read");
        assert_eq!(error.as_deref(), Some("the packed file is cut off"));
    }

    #[test]
    fn what_is_packed_otherwise_is_named() {
        for (bytes, word) in [
            (&b"\x28\xb5\x2f\xfd\x00"[..], "zstd"),
            (b"\xfd7zXZ\x00", "xz"),
            (b"BZh91AY", "bzip2"),
            (b"PK\x03\x04\x14", "zip"),
            (b"\xff\xfe{\x00", "UTF-16"),
            (b"\xfe\xff\x00{", "UTF-16"),
        ] {
            let (_, error) = read(bytes);
            assert!(error.as_deref().is_some_and(|why| why.contains(word)), "{word}: {error:?}");
        }
    }
}
