//! The binary as a command that ends by itself.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

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
    let output = child.wait_with_output().expect("the binary ends");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
