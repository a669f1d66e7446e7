//! A headless Chromium, spoken to in the DevTools protocol over a pipe: `--remote-debugging-pipe` reads messages from file descriptor 3 and writes them to 4, each
//! ended by a zero byte. No port is opened and no driver is needed.

use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--remote-debugging-pipe",
];

/// A browser with one page open. It ends with this value.
pub struct Browser {
    process: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    last: u64,
    session: Option<String>,
    /// What the page has done: requests, exceptions, messages of the console.
    pub events: RefCell<Vec<Value>>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a file in a window of so many pixels; `None`, with a word why, where there is no Chromium.
    pub fn open(file: &Path, width: u32) -> Option<Self> {
        let found = NAMES.iter().find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()));
        let Some(name) = found else {
            eprintln!("left out: there is no Chromium here to look at the page with");
            return None;
        };
        let mut browser = Self::start(name);
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let session = browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = session["sessionId"].as_str().map(str::to_string);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(width);
        browser.go(file);
        Some(browser)
    }

    fn start(name: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh", name]).args(ARGUMENTS);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        // A group of its own: the browser's processes end with it.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut process = command.spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { process, input, messages, last: 0, session: None, events: RefCell::default(), _profile: profile }
    }

    /// Calls a method of the protocol and waits for its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        self.until(method, |message, id| message["id"] == id).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Waits for a message; keeps the events before it.
    fn until(&mut self, what: &str, is_it: impl Fn(&Value, u64) -> bool) -> Result<Value, String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left).map_err(|error| format!("no {what} from the browser: {error}"))?;
            let found = is_it(&message, self.last);
            if found && message["error"].is_object() {
                return Err(message["error"].to_string());
            }
            if message["method"].is_string() {
                self.events.borrow_mut().push(message.clone());
            }
            if found {
                return Ok(message["result"].clone());
            }
        }
    }

    /// Goes to a file and waits until it is loaded.
    pub fn go(&mut self, file: &Path) {
        self.events.borrow_mut().clear();
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        if !self.events.borrow().iter().any(|event| event["method"] == "Page.loadEventFired") {
            self.until("end of loading", |message, _| message["method"] == "Page.loadEventFired").unwrap();
        }
    }

    /// Gives the window so many pixels across.
    pub fn resize(&mut self, width: u32) {
        self.call("Emulation.setDeviceMetricsOverride", json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false }));
    }

    /// Sets a feature of the medium, such as `prefers-color-scheme`.
    pub fn prefer(&mut self, feature: &str, value: &str) {
        self.call("Emulation.setEmulatedMedia", json!({ "features": [{ "name": feature, "value": value }] }));
    }

    /// The value of a JavaScript expression; promises are waited for.
    pub fn value(&mut self, expression: &str) -> Value {
        let result = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// The same as text.
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().map_or_else(|| value.to_string(), str::to_string)
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while self.value(expression) != json!(true) {
            assert!(Instant::now() < end, "never came true: {expression}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Presses and releases a key.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            " " => (32, " "),
            "End" => (35, ""),
            "Home" => (36, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            other => (0, other),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let of = |kind: &str| json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code, "text": if kind == "keyUp" { "" } else { text } });
        self.call("Input.dispatchKeyEvent", of(kind));
        self.call("Input.dispatchKeyEvent", of("keyUp"));
    }

    /// Moves the pointer to a share of an element's box, from its upper left corner.
    pub fn point(&mut self, selector: &str, (x, y): (f64, f64)) {
        let place = self.value(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const b = e.getBoundingClientRect(); return [b.x + b.width * {x}, b.y + b.height * {y}]; }})()"
        ));
        self.call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": place[0], "y": place[1] }));
    }

    /// What the page complained of, and what it asked for besides itself.
    pub fn complaints(&self) -> Vec<String> {
        let of = |event: &Value| {
            let (method, of) = (event["method"].as_str()?, &event["params"]);
            match method {
                "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded" => Some(of.to_string()),
                "Network.requestWillBeSent" => {
                    let address = of["request"]["url"].as_str()?;
                    (!address.starts_with("data:") && of["type"] != "Document").then(|| address.to_string())
                }
                _ => None,
            }
        };
        self.events.borrow().iter().filter_map(of).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        let close = format!("{}\0", json!({ "id": self.last + 1, "method": "Browser.close" }));
        let asked = self.input.write_all(close.as_bytes());
        let end = Instant::now() + Duration::from_secs(10);
        while asked.is_ok() && Instant::now() < end && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
