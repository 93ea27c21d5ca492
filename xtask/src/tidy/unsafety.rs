//! `unsafe` in one file of the product, and never without its reason.

use super::report::Violation;
use super::source::Source;
use super::{statement, syntax};

/// The only file of the product that may.
const ALLOWED: &str = "crates/weir-net/src/sys.rs";

/// The rule on one file. The yardsticks in `peers/` call the kernel directly, and a test may bring an allocator
/// that counts; both give reasons too.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let allowed = source.path == ALLOWED
        || source.path.starts_with("peers/")
        || (source.path.starts_with("crates/") && source.path.contains("/tests/"));
    syntax::find_words(&source.code, "unsafe")
        .filter_map(|at| {
            let line = source.line(at);
            let advice = if !allowed {
                format!("unsafe belongs in {ALLOWED} only")
            } else if !statement::is_justified(source, line, "SAFETY:") {
                "needs // SAFETY: above, saying why it is sound".to_owned()
            } else {
                return None;
            };
            Some(Violation::new(&source.path, line, "unsafe", advice))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_has_its_place_and_its_reason() {
        let bare = "fn f() { unsafe { g() } }";
        let justified = "fn f() {\n    // SAFETY: g is sound.\n    unsafe { g() }\n}";
        for (path, text, count) in [
            ("crates/weir-net/src/sys.rs", justified, 0),
            ("crates/weir-net/src/sys.rs", bare, 1),
            ("crates/weir-net/src/dial.rs", justified, 1),
            ("crates/weir-wire/src/lib.rs", "#![forbid(unsafe_code)]", 0),
            ("crates/weir/tests/it/main.rs", justified, 0),
            ("peers/src/poll.rs", justified, 0),
            ("peers/src/poll.rs", bare, 1),
            ("xtask/src/main.rs", justified, 1),
        ] {
            assert_eq!(check(&Source::new(path, text)).len(), count, "{path} {text}");
        }
    }
}
