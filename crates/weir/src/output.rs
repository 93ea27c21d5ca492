//! Writing to standard output and standard error, and deciding about colour.

use std::io::{self, IsTerminal, Write};

use crate::error::{CommandError, Exit};
use crate::flags::Color;

/// Prints to standard output. A reader that went away (`weir check | head`) ends the command quietly.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::new(Exit::Failed, "cannot write to standard output").why(error))
        }
        _ => Ok(()),
    }
}

/// Prints an error to standard error.
pub(crate) fn print_error(error: &CommandError, color: bool) {
    let label = if color { "\x1b[1;31merror\x1b[0m" } else { "error" };
    // Nobody is left to tell when standard error cannot be written.
    let _unheard = writeln!(io::stderr().lock(), "{label}: {error}");
}

/// Whether to colour what goes to standard output.
pub(crate) fn color_stdout(color: Color) -> bool {
    decide(color, io::stdout().is_terminal())
}

/// Whether to colour what goes to standard error.
pub(crate) fn color_stderr(color: Color) -> bool {
    decide(color, io::stderr().is_terminal())
}

/// NO_COLOR counts when it is set and not empty (no-color.org); an explicit flag beats it.
fn decide(color: Color, terminal: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}
