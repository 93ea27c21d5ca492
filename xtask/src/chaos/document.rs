//! The policies of docs/resilience.md.

use std::fs;

use crate::repository;

/// The first YAML block under a heading.
pub(crate) fn policy(heading: &str) -> Result<String, String> {
    let path = repository::root().join("docs/resilience.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    block(&text, heading).ok_or_else(|| format!("{}: no YAML under {heading:?}", path.display()))
}

fn block(text: &str, heading: &str) -> Option<String> {
    let (_, section) = text.split_once(&format!("\n## {heading}\n"))?;
    let section = section.split("\n## ").next()?;
    let (_, block) = section.split_once("\n```yaml\n")?;
    let (block, _) = block.split_once("```")?;
    Some(block.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_belongs_to_its_heading() {
        let text = "# A\n\n## B\n\nwords\n\n## C\n\n```yaml\na: b\n```\n\n```yaml\nc: d\n```\n";
        assert_eq!(block(text, "C").as_deref(), Some("a: b\n"));
        assert_eq!(block(text, "B"), None);
        assert_eq!(block(text, "D"), None);
    }
}
