//! The binary as a command that ends by itself.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::PATIENCE;

/// What a command left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary under test, without anything from the environment that it would listen to.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for (name, _) in std::env::vars_os() {
        let is_ours = name.to_string_lossy().starts_with("WEIR_");
        if is_ours
            || ["NO_COLOR", "POD_NAME", "NAMESPACE", "SERVICE_NAME"]
                .iter()
                .any(|other| name == *other)
        {
            command.env_remove(name);
        }
    }
    // Many run side by side; those that want it say where.
    command.env("WEIR_ADMIN", "off");
    command
}

/// Runs `weir` with these arguments in a folder, to its end.
pub(crate) fn weir_in(folder: &Path, arguments: &[&str]) -> Finished {
    finish(binary().current_dir(folder).args(arguments), "")
}

/// Runs `weir` with these arguments and some standard input, to its end.
pub(crate) fn weir(arguments: &[&str], input: &str) -> Finished {
    finish(binary().args(arguments), input)
}

fn finish(command: &mut Command, input: &str) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A command that does not read its input closes it.
    let _unread = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let stdout = read_all(child.stdout.take().expect("piped"));
    let stderr = read_all(child.stderr.take().expect("piped"));
    let outputs = [stdout, stderr].map(|output| output.recv_timeout(PATIENCE));
    if outputs.iter().any(Result::is_err) {
        child.kill().expect("a child");
        panic!("the command does not end: {command:?}");
    }
    let [stdout, stderr] = outputs.map(|output| String::from_utf8(output.expect("checked")).expect("UTF-8"));
    // Its outputs have ended, so it has or is about to.
    Finished {
        code: child.wait().expect("a child").code(),
        stdout,
        stderr,
    }
}

/// Everything until the other end closes.
fn read_all(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("a pipe");
        // Nobody waits any more when the test has failed.
        let _late = sender.send(bytes);
    });
    receiver
}
