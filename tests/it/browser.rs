//! A headless Chromium, driven through its own debugging protocol
//! (`--remote-debugging-pipe`: one JSON object per message, each ended by a zero byte).

#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test's browser may panic, and a test says that it was skipped"
)]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// One page of a browser that ends with it.
pub struct Page {
    process: Child,
    commands: ChildStdin,
    messages: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    /// What the page wrote to the console, and the errors nobody caught.
    pub console: Vec<Value>,
    _profile: TempDir,
}

impl Page {
    /// Opens a file; `None` where there is no Chromium.
    pub fn open(file: &Path) -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let chromium = ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .find(|name| {
                let version = Command::new(name).arg("--version").output();
                version.is_ok_and(|output| output.status.success())
            })?;
        // Chromium reads commands from descriptor 3 and writes messages to 4.
        let mut process = Command::new("sh")
            .args([
                "-c",
                r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#,
            ])
            .args([chromium, "--headless", "--no-sandbox", "--disable-gpu"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut page = Self {
            commands: process.stdin.take().unwrap(),
            messages: BufReader::new(process.stdout.take().unwrap()),
            process,
            session: None,
            last: 0,
            console: Vec::new(),
            _profile: profile,
        };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = page.call("Target.attachToTarget", attach);
        page.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        page.call("Runtime.enable", json!({}));
        page.call("Log.enable", json!({}));
        page.call("Page.enable", json!({}));
        page.call(
            "Page.navigate",
            json!({"url": format!("file://{}", file.display())}),
        );
        page.wait_for("document.readyState === 'complete'");
        Some(page)
    }

    /// The value of an expression in the page; a promise is waited for.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let reply = self.call(
            "Runtime.evaluate",
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
        );
        assert!(reply["exceptionDetails"].is_null(), "{expression}: {reply}");
        reply["result"]["value"].clone()
    }

    /// Waits until an expression holds.
    pub fn wait_for(&mut self, expression: &str) {
        for _ in 0..600 {
            if self.evaluate(expression) == Value::Bool(true) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("never came true: {expression}");
    }

    /// Types text where the focus is.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Presses a key by its DOM name and its virtual code, such as `Enter` and 13.
    pub fn press(&mut self, key: &str, code: u32) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({
                "type": kind, "key": key, "code": key,
                "windowsVirtualKeyCode": code, "text": text,
            });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Sets what the page is told of its surroundings: `light` or `dark`, and the window in pixels.
    pub fn show_as(&mut self, scheme: &str, width: u32, height: u32) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
    }

    /// A picture of the window: a PNG, in base64.
    pub fn screenshot(&mut self) -> String {
        let reply = self.call("Page.captureScreenshot", json!({"format": "png"}));
        reply["data"].as_str().unwrap().to_owned()
    }

    /// Sends a command of the protocol and waits for its reply.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        write!(self.commands, "{command}\0").unwrap();
        self.commands.flush().unwrap();
        loop {
            let mut bytes = Vec::new();
            self.messages.read_until(0, &mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser ended during {method}");
            let message: Value = serde_json::from_slice(&bytes).unwrap();
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            let event = message["method"].as_str().unwrap_or_default();
            if [
                "Runtime.consoleAPICalled",
                "Runtime.exceptionThrown",
                "Log.entryAdded",
            ]
            .contains(&event)
                // A slow machine has Chromium warn of its own drawing.
                && (event != "Log.entryAdded" || message["params"]["entry"]["level"] == "error")
            {
                self.console.push(message);
            }
        }
    }
}

#[test]
fn a_page_is_read_and_typed_into() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let html = "<h1>Title</h1><input autofocus><script>console.log(1)</script>";
    std::fs::write(&file, html).unwrap();
    let Some(mut page) = Page::open(&file) else {
        eprintln!("skipped: there is no Chromium");
        return;
    };
    page.show_as("dark", 800, 600);
    assert_eq!(
        page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches"),
        true
    );
    page.evaluate("document.querySelector('input').focus()");
    page.write("typed");
    page.press("Enter", 13);
    page.wait_for("document.querySelector('input').value === 'typed'");
    assert!(page.screenshot().starts_with("iVBOR"), "a PNG in base64");
    assert_eq!(page.console.len(), 1);
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
