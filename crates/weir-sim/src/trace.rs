//! What happened, as lines, and a hash over all of them.

use std::fmt::{self, Write};

/// A trace. Lines are kept only when somebody wants to read them; the hash covers all.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Fnv,
    lines: Option<String>,
    count: u64,
}

/// The FNV-1a hash of what is written to it.
#[derive(Debug)]
struct Fnv(u64);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

impl Trace {
    pub(crate) fn new(is_kept: bool) -> Self {
        Self {
            hash: Fnv(0xcbf2_9ce4_8422_2325),
            lines: is_kept.then(String::new),
            count: 0,
        }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, now_us: u64, text: fmt::Arguments<'_>) {
        self.count += 1;
        // Neither can fail.
        let _ = writeln!(self.hash, "{now_us} {text}");
        if let Some(lines) = &mut self.lines {
            let (seconds, rest_us) = (now_us / 1_000_000, now_us % 1_000_000);
            let _ = writeln!(lines, "{seconds:>4}.{rest_us:06} {text}");
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.0
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn into_lines(self) -> String {
        self.lines.unwrap_or_default()
    }
}
