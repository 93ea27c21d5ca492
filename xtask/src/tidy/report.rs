//! Runs all rules and prints what they find.

use std::fmt;
use std::path::Path;

use super::tree::Tree;
use super::{cycles, documents, layers, length, names, panics, pure, unsafety, words};
use crate::flags::Flags;
use crate::repository;

/// A place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// The file, from the repository's root.
    pub(crate) path: String,
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What is wrong and what to do.
    pub(crate) advice: String,
    /// Whether it is only a warning.
    pub(crate) is_warning: bool,
}

impl Violation {
    /// A violation that fails the check.
    pub(crate) fn new(path: &str, line: usize, rule: &'static str, advice: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            rule,
            advice: advice.into(),
            is_warning: false,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_warning { "warning: " } else { "" };
        write!(
            out,
            "{}:{}: {kind}{}: {}",
            self.path, self.line, self.rule, self.advice
        )
    }
}

/// `cargo xtask tidy`: prints every violation; fails when there is one that is not a warning.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    Flags::read(arguments, &[], &[])?;
    let violations = check(&repository::root())?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations
        .iter()
        .filter(|violation| !violation.is_warning)
        .count()
    {
        0 => Ok(()),
        1 => Err("1 house rule is broken, see above".to_owned()),
        count => Err(format!("{count} house rules are broken, see above")),
    }
}

/// All violations in the tree, in the order of files and lines.
fn check(root: &Path) -> Result<Vec<Violation>, String> {
    let tree = Tree::read(root)?;
    let mut violations = Vec::new();
    for source in &tree.sources {
        violations.extend(length::check(source));
        violations.extend(names::check(source));
        violations.extend(panics::check(source));
        violations.extend(pure::check(source, &tree.packages));
        violations.extend(unsafety::check(source));
        violations.extend(documents::check_source(source));
    }
    violations.extend(length::check_functions(&tree.sources, &tree.ratchet));
    violations.extend(cycles::check(&tree));
    violations.extend(layers::check(&tree.packages));
    violations.extend(documents::check(&tree.texts));
    violations.extend(words::check(&tree.texts));
    violations.sort();
    violations.dedup();
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_follows_the_house_rules() {
        let violations = check(&repository::root()).expect("the tree can be read");
        let broken: Vec<String> = violations
            .iter()
            .filter(|violation| !violation.is_warning)
            .map(Violation::to_string)
            .collect();
        assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    }
}
