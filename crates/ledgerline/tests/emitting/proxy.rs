//! The network between a service and its ledger: it can be cut, slow, or answer by itself.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It reaches the ledger.
    Open,
    /// The connection ends before it is read.
    Cut,
    /// It reaches the ledger, and the answer is lost.
    LosesAnswers,
    /// Nobody answers, for longer than anybody waits.
    Silent,
    /// It takes a while each way.
    Slow,
    /// Answered by this status, and it reaches nobody.
    Answers(u16),
}

struct State {
    way: Way,
    ledger: String,
}

/// The proxy.
pub struct Proxy {
    state: Arc<Mutex<State>>,
    pub url: String,
}

impl Proxy {
    /// To a ledger by its URL.
    pub fn start(ledger: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State { way: Way::Open, ledger: address(ledger) }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || carry(stream, &shared));
            }
        });
        Self { state, url }
    }

    pub fn set(&self, way: Way) {
        self.state.lock().expect("a lock").way = way;
    }

    /// The ledger is somewhere else now.
    pub fn moved(&self, ledger: &str) {
        self.state.lock().expect("a lock").ledger = address(ledger);
    }
}

fn address(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

/// Carries the requests of one connection, until it ends or something goes wrong.
fn carry(mut client: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    loop {
        let request = message(&mut reader)?;
        let (way, ledger) = {
            let state = state.lock().expect("a lock");
            (state.way, state.ledger.clone())
        };
        match way {
            Way::Cut => return None,
            Way::Silent => {
                thread::sleep(Duration::from_secs(8));
                return None;
            }
            Way::Answers(status) => {
                let head =
                    format!("HTTP/1.1 {status} x\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
                client.write_all(head.as_bytes()).ok()?;
                continue;
            }
            Way::Slow => thread::sleep(Duration::from_millis(400)),
            Way::Open | Way::LosesAnswers => {}
        }
        let mut upstream = TcpStream::connect(ledger).ok()?;
        upstream.write_all(&request).ok()?;
        let answer = message(&mut BufReader::new(upstream))?;
        if way == Way::LosesAnswers {
            return None;
        }
        client.write_all(&answer).ok()?;
    }
}

/// One message of HTTP/1.1 with a content length.
fn message(from: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    loop {
        let begin = bytes.len();
        if from.read_until(b'\n', &mut bytes).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&bytes[begin..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    from.take(length).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
