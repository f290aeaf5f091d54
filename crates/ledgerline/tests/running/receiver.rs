//! A small real HTTP server on this machine that remembers what it was sent and answers as a test
//! says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What was sent.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// Status, media type, body.
pub type Said = (u16, &'static str, String);

/// A running server; it ends with the test's process.
pub struct Receiver {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// Answers every request with what `say` makes of it and of the number of those before.
    pub fn start(say: impl Fn(&Received, usize) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let received = Arc::new(Mutex::new(Vec::new()));
        let (say, kept) = (Arc::new(say), Arc::clone(&received));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (say, kept) = (Arc::clone(&say), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream, say.as_ref(), &kept));
            }
        });
        Self { url, received }
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }

    /// Waits for at least so many requests.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} of {count} requests came", self.received().len());
    }
}

fn serve(
    stream: TcpStream,
    say: &(impl Fn(&Received, usize) -> Said + ?Sized),
    kept: &Mutex<Vec<Received>>,
) {
    let mut reader = BufReader::new(stream);
    // Whoever hangs up has had enough.
    while let Some(request) = read(&mut reader) {
        let mut list = kept.lock().expect("no panic");
        let (status, media_type, body) = say(&request, list.len());
        list.push(request);
        drop(list);
        let head = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let stream = reader.get_mut();
        if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { method, path, headers, body })
}
