//! A hub on this machine, for tests: a few files of one data set.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::Hub;

/// A hub that serves as long as it lives.
pub(crate) struct Served {
    endpoint: String,
    state: Arc<Mutex<State>>,
}

struct State {
    repository: String,
    revision: String,
    files: Vec<(String, Vec<u8>)>,
    ranges: Vec<Range<u64>>,
    /// Every answer with bytes from here on in the file breaks off there.
    cut: Option<usize>,
}

impl Served {
    /// Serves `files` (path and content) of a data set.
    pub(crate) fn new(repository: &str, revision: &str, files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect();
        let state = State { repository: repository.into(), revision: revision.into(), files, ranges: Vec::new(), cut: None };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::downgrade(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(state) = shared.upgrade() else { break };
                // What goes wrong here, the client sees as a connection that broke off.
                let _ = stream.and_then(|stream| answer(stream, &state));
            }
        });
        Self { endpoint, state }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn hub(&self) -> Hub {
        Hub::connect(&self.endpoint).unwrap()
    }

    /// Lets every download break off at this byte of its file.
    pub(crate) fn cut_after(&self, bytes: Option<usize>) {
        self.state.lock().unwrap().cut = bytes;
    }

    /// The ranges that were asked for.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        self.state.lock().unwrap().ranges.clone()
    }
}

/// Answers one request and closes the connection.
fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_ascii_lowercase()),
        }
    }
    let header = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body)?;
    let mut words = lines.first().map(|line| line.split(' ')).into_iter().flatten();
    let head_only = words.next() == Some("head");
    let target = words.next().unwrap_or_default();
    let range = header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let range = range.map(|(first, last)| first.parse::<u64>().unwrap()..last.parse::<u64>().unwrap() + 1);
    let mut state = state.lock().unwrap();
    let mut stream = reader.into_inner();
    if *target == format!("/api/datasets/{}/paths-info/{}", state.repository, state.revision) {
        respond(&mut stream, "200 OK", listing(&state.files, &String::from_utf8_lossy(&body)).as_bytes(), usize::MAX)
    } else if let Some(content) = state.content(target) {
        let range = range.unwrap_or(0..content.len() as u64);
        let (start, end) = (range.start as usize, range.end as usize);
        if head_only {
            return respond(&mut stream, "200 OK", &content, 0);
        }
        state.ranges.push(range);
        respond(&mut stream, "206 Partial Content", &content[start..end], state.cut.map_or(usize::MAX, |cut| cut.saturating_sub(start)))
    } else {
        respond(&mut stream, "404 Not Found", b"", usize::MAX)
    }
}

impl State {
    fn content(&self, target: &str) -> Option<Vec<u8>> {
        let path = target.strip_prefix(&format!("/datasets/{}/resolve/{}/", self.repository, self.revision))?;
        self.files.iter().find(|(known, _)| known.eq_ignore_ascii_case(path)).map(|(_, content)| content.clone())
    }
}

/// Those of the files that the request names, as the hub lists them.
fn listing(files: &[(String, Vec<u8>)], request: &str) -> String {
    let entry = |(path, content): &(String, Vec<u8>)| format!(r#"{{"type": "file", "oid": "0", "size": {}, "path": "{path}"}}"#, content.len());
    let asked = files.iter().filter(|(path, _)| request.contains(path.as_str()));
    format!("[{}]", asked.map(entry).collect::<Vec<_>>().join(", "))
}

/// Sends at most `most` bytes of the content that is promised.
fn respond(stream: &mut TcpStream, status: &str, content: &[u8], most: usize) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", content.len())?;
    stream.write_all(&content[..content.len().min(most)])
}
