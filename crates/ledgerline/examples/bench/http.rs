//! The least HTTP/1.1 client that can load a server: raw TCP, one request in flight a connection.
//!
//! Promises: a response is read to its end before it is judged. Assumes answers with a
//! `content-length`, which all answers of the server under test have. Refuses anything else.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest header section that is looked through, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The start of a response, parsed.
struct Head {
    status: u16,
    bytes: usize,
    body_bytes: usize,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a whole request and reads the whole response: its status and body.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            self.more().await?;
            if let Some(head) = parse_head(&self.buffer)? {
                break head;
            }
        };
        while self.buffer.len() < head.bytes + head.body_bytes {
            self.more().await?;
        }
        Ok((head.status, &self.buffer[head.bytes..]))
    }

    async fn more(&mut self) -> io::Result<()> {
        self.buffer.reserve(4096);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The head, once all of it is there.
fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let searched = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let Some(end) = searched.windows(4).position(|four| four == b"\r\n\r\n") else {
        let is_whole = bytes.len() < HEAD_BYTES_MAX;
        return if is_whole { Ok(None) } else { Err(bad("a head without an end")) };
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| bad("a head that is no text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    match (status, length) {
        (Some(status), Some(body_bytes)) => Ok(Some(Head { status, bytes: end + 4, body_bytes })),
        _ => Err(bad("a response without status or content-length")),
    }
}

/// Appends the head of a POST of events.
pub fn put_post(out: &mut Vec<u8>, key: &str, media_type: &str, body_bytes: usize) {
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
         content-type: {media_type}\r\ncontent-length: {body_bytes}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
}

/// The request that any server answers fastest.
pub const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: bench\r\n\r\n";
