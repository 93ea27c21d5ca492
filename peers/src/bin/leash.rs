//! Runs a program that cannot outlive whoever started it.
//!
//! `leash PROGRAM ARGUMENTS...` runs the program in a process group of its own and kills the whole group when
//! the leash's standard input ends, which is when its parent closes the pipe or dies in whatever way. Also lifts
//! the limit on open files, so that every program under measurement has the same.
#![allow(unsafe_code, reason = "process groups and signals")]
#![allow(clippy::print_stderr, reason = "a command-line program")]

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: leash PROGRAM ARGUMENTS...");
        return ExitCode::from(2);
    };
    peers::raise_file_limit(65_536);
    let child = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("leash: {}: {error}", program.display());
            return ExitCode::FAILURE;
        }
    };
    let group = child.id() as i32;
    // A Ctrl-C reaches the leash too; its parent decides what that means, by closing the pipe.
    // SAFETY: ignoring a signal installs no code that could run in a signal's context.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // Any end of standard input, an error included, means that the parent is gone.
        let _ = std::io::stdin().lock().read_to_end(&mut rest);
        // SAFETY: takes no pointer. The group exists as long as its leader has not been waited for.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    });
    let status = child.wait();
    // SAFETY: takes no pointer. Ends what the program left behind in its group.
    unsafe { libc::kill(-group, libc::SIGKILL) };
    match status.ok().and_then(|status| status.code()) {
        Some(code) => ExitCode::from(code as u8),
        None => ExitCode::FAILURE,
    }
}
