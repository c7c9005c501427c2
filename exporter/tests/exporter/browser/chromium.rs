//! A headless Chromium, driven by its debugging protocol: JSON over a web socket, each command with a number and its answer.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::http::PLENTY;

/// A browser with one page; it ends when this is dropped.
pub(crate) struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    page: String,
    number: u64,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None`, with a word, where there is no Chromium.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|it| it.status.success());
        let Some(name) = names.into_iter().find(is_there) else {
            eprintln!("skipped: {test}: needs Chromium (Debian: chromium)");
            return None;
        };
        let profile = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(name);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--hide-scrollbars", "--remote-debugging-port=0", "about:blank"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).env("HOME", profile.path());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut said = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let address = said.find_map(|line| Some(line.strip_prefix("DevTools listening on ")?.to_owned()));
        let address = address.expect("it says where it listens");
        // What else it says has to be read, or it would wait.
        std::thread::spawn(move || said.for_each(drop));
        let host = address.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).expect("an address");
        let stream = TcpStream::connect(host).expect("it listens");
        stream.set_read_timeout(Some(PLENTY)).expect("it can be set");
        let (socket, _) = tungstenite::client(&address, stream).expect("a web socket");
        let mut browser = Self { child, socket, page: String::new(), number: 0, _profile: profile };
        let target = browser.command("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.command("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        attached["sessionId"].as_str().expect("a session").clone_into(&mut browser.page);
        Some(browser)
    }

    fn command(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut command = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.page.is_empty() {
            command["sessionId"] = json!(self.page);
        }
        self.socket.send(Message::text(command.to_string())).expect("sent");
        loop {
            let Message::Text(text) = self.socket.read().expect("an answer") else { continue };
            let answer: Value = serde_json::from_str(&text).expect("JSON");
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// What a JavaScript expression comes to.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.command("Runtime.evaluate", &parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) fn comes(&mut self, expression: &str) {
        let until = Instant::now() + PLENTY;
        while self.value(expression) != true {
            let text = self.value("document.body?.innerText");
            assert!(Instant::now() < until, "{expression} is not so: {text}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    pub(crate) fn open(&mut self, url: &str) {
        let result = self.command("Page.navigate", &json!({ "url": url }));
        assert!(result["errorText"].is_null(), "{url}: {result}");
        self.comes(&format!("location.href === {} && document.readyState === 'complete'", json!(url)));
    }

    /// Types as at a keyboard, at what has the focus.
    pub(crate) fn types(&mut self, text: &str) {
        self.command("Input.insertText", &json!({ "text": text }));
    }

    /// From now on no script of a page runs.
    pub(crate) fn without_scripts(&mut self) {
        self.command("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// Pictures of the page in `directory`: wide and narrow, light and dark.
    pub(crate) fn pictures(&mut self, directory: &Path, name: &str) {
        for (size, width, height) in [("wide", 1280, 900), ("narrow", 400, 900)] {
            let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
            self.command("Emulation.setDeviceMetricsOverride", &metrics);
            for scheme in ["light", "dark"] {
                let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
                self.command("Emulation.setEmulatedMedia", &json!({ "features": features }));
                let picture = self.command("Page.captureScreenshot", &json!({ "format": "png" }));
                let picture = picture["data"].as_str().expect("a picture").to_owned();
                let bytes =
                    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, picture).expect("base64");
                std::fs::write(directory.join(format!("{name}-{size}-{scheme}.png")), bytes).expect("written");
            }
        }
        self.command("Emulation.clearDeviceMetricsOverride", &json!({}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Both fail where it has ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
