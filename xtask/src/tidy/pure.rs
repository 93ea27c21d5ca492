//! Pure code: decisions take time and randomness as arguments and touch no file, socket, thread or process. And in all
//! code: whoever waits or measures uses monotonic time.

use super::manifest::Package;
use super::report::Violation;
use super::source::Source;
use super::syntax;

/// What pure code does not say.
const FORBIDDEN: [&str; 14] = [
    "tokio",
    "fs",
    "Instant::now",
    "SystemTime",
    "thread_rng",
    "getrandom",
    "rand",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "std::thread",
    "std::env",
    "std::process",
];
/// The highest layer that is pure as a whole.
const PURE_LAYER: u64 = 1;
/// Folders of other crates that are pure as well.
const PURE_FOLDERS: [&str; 1] = ["crates/weir-config/src/translate/"];

/// Who may ask what time of day it is: what people read of it, when session tokens end, and how old files and directories are. It jumps, so nothing is
/// timed by it (reliability: a clock set back must not stop deadlines).
const WALL_CLOCK_FILES: [&str; 5] = [
    "crates/weir-net/src/wall.rs",
    "crates/weir/src/log.rs",
    "crates/weir-echo/src/answer.rs",
    "crates/weir-config/src/source/documents.rs",
    "crates/weir-config/src/source/identity.rs",
];

/// The rules on one file.
pub(crate) fn check(source: &Source, packages: &[Package]) -> Vec<Violation> {
    let mut violations = check_wall_clock(source);
    violations.extend(check_pure(source, packages));
    violations
}

fn check_wall_clock(source: &Source) -> Vec<Violation> {
    if !source.path.starts_with("crates/") || WALL_CLOCK_FILES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    syntax::find_words(source.production(), "SystemTime")
        .map(|at| {
            let advice = "SystemTime jumps: use the clock of weir-net, or wall.rs for what people read";
            Violation::new(&source.path, source.line(at), "wall-clock", advice)
        })
        .collect()
}

fn check_pure(source: &Source, packages: &[Package]) -> Vec<Violation> {
    let of_pure_crate = packages.iter().any(|package| {
        package.layer.is_some_and(|layer| layer <= PURE_LAYER)
            && source.path.starts_with(&format!("{}/src/", package.folder))
    });
    if !of_pure_crate && !PURE_FOLDERS.iter().any(|folder| source.path.starts_with(folder)) {
        return Vec::new();
    }
    FORBIDDEN
        .iter()
        .flat_map(|word| syntax::find_words(source.production(), word).map(move |at| (at, word)))
        .map(|(at, word)| {
            let advice = format!("{word} in pure code: take what it gives as an argument");
            Violation::new(&source.path, source.line(at), "pure", advice)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row31_nothing_is_timed_by_the_wall_clock() {
        for (path, text, count) in [
            ("crates/weir-proxy/src/a.rs", "let now = SystemTime::now();", 1),
            ("crates/weir-net/src/wall.rs", "let now = SystemTime::now();", 0),
            ("crates/weir-proxy/src/a.rs", "let now = Instant::now();", 0),
            (
                "crates/weir-proxy/src/a.rs",
                "#[cfg(test)]\nmod tests { use std::time::SystemTime; }",
                0,
            ),
        ] {
            assert_eq!(check(&Source::new(path, text), &[]).len(), count, "{path} {text}");
        }
    }

    #[test]
    fn pure_crates_do_nothing_but_decide() {
        let packages = [
            Package::sample("crates/weir-wire", 0, &[]),
            Package::sample("crates/weir-net", 2, &[]),
        ];
        for (path, text, count) in [
            ("crates/weir-wire/src/a.rs", "use tokio::net;", 1),
            ("crates/weir-wire/src/a.rs", "use std::{fs, str};", 1),
            ("crates/weir-wire/src/a.rs", "let now = Instant::now();", 1),
            (
                "crates/weir-wire/src/a.rs",
                "fn f(now: Instant, offset: usize) {}",
                0,
            ),
            (
                "crates/weir-wire/src/a.rs",
                "// tokio\n#[cfg(test)]\nmod tests { use std::fs; }",
                0,
            ),
            ("crates/weir-net/src/a.rs", "use tokio::net;", 0),
            ("crates/weir-config/src/source/a.rs", "use std::fs;", 0),
            ("crates/weir-config/src/translate/a.rs", "use std::fs;", 1),
        ] {
            assert_eq!(
                check(&Source::new(path, text), &packages).len(),
                count,
                "{path} {text}"
            );
        }
    }
}
