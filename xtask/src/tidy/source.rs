//! One Rust file.

use super::syntax;

/// A Rust file with its production part and its functions.
pub(crate) struct Source {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    /// As written.
    pub(crate) text: String,
    /// Code only; comments and the insides of literals are blank.
    pub(crate) code: String,
    /// Comments only.
    pub(crate) comments: String,
    /// Byte offset at which the tests begin.
    production_end: usize,
    line_starts: Vec<usize>,
}

/// A function with a body.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`, counted from 1.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace, both included.
    pub(crate) lines: usize,
}

impl Source {
    /// Reads a file.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let layers = syntax::separate(text);
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let mut source = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: layers.code,
            comments: layers.comments,
            production_end: text.len(),
            line_starts,
        };
        source.production_end = if source.is_test_file() {
            0
        } else {
            source.tests_begin()
        };
        source
    }

    /// Files that this one declares as modules of tests: `#[cfg(test)] mod NAME;`.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let (folder, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let folder = match name.strip_suffix(".rs") {
            Some("lib" | "main" | "mod") | None => folder.to_owned(),
            Some(module) => format!("{folder}/{module}"),
        };
        let declared = self.test_items().filter_map(|(_, item)| {
            let (_, rest) = item.split_once("mod ")?;
            rest.strip_suffix(';')
        });
        declared
            .flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")])
            .collect()
    }

    /// Makes the whole file part of the tests.
    pub(crate) fn set_test_file(&mut self) {
        self.production_end = 0;
    }

    /// Code of the production part: up to the tests at the end of the file; nothing of a file of tests.
    pub(crate) fn production(&self) -> &str {
        &self.code[..self.production_end]
    }

    /// Lines of the production part.
    pub(crate) fn production_lines(&self) -> usize {
        self.text[..self.production_end].lines().count()
    }

    /// The line of a byte offset, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// The code of a line, counted from 1.
    pub(crate) fn code_line(&self, line: usize) -> &str {
        self.slice(&self.code, line)
    }

    /// The comments of a line, counted from 1.
    pub(crate) fn comment_line(&self, line: usize) -> &str {
        self.slice(&self.comments, line)
    }

    /// Whether the file is the crate's `lib.rs` or a folder's `mod.rs`.
    pub(crate) fn is_table_of_contents(&self) -> bool {
        self.path.ends_with("/src/lib.rs") || (self.path.ends_with("/mod.rs") && !self.is_test_file())
    }

    /// Functions of the production part.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let code = self.production();
        syntax::find_words(code, "fn")
            .filter_map(|at| {
                let name: String = code[at + 2..]
                    .trim_start()
                    .chars()
                    .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                    .collect();
                let open = body(code, at)?;
                let last = self.line(syntax::closing(code, open) - 1);
                // The type `fn(..)` has no name.
                (!name.is_empty()).then(|| Function {
                    name,
                    line: self.line(at),
                    lines: last - self.line(at) + 1,
                })
            })
            .collect()
    }

    fn is_test_file(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let folders = ["/tests/", "/benches/", "/examples/"];
        folders.iter().any(|folder| self.path.contains(folder))
            || ["fuzz/", "examples/"]
                .iter()
                .any(|folder| self.path.starts_with(folder))
            || name == "tests.rs"
            || name.ends_with("_tests.rs")
    }

    /// Where `#[cfg(test)] mod NAME {` stands at the left margin.
    fn tests_begin(&self) -> usize {
        let opens = |item: &str| item.contains("mod ") && item.ends_with('{');
        self.test_items()
            .find(|(_, item)| opens(item))
            .map_or(self.code.len(), |(at, _)| at)
    }

    /// Modules under `#[cfg(test)]` at the left margin, each from `mod` to its `{` or `;`.
    fn test_items(&self) -> impl Iterator<Item = (usize, &str)> {
        let marker = "#[cfg(test)]";
        let at_margin = |at: &usize| *at == 0 || self.code.as_bytes()[at - 1] == b'\n';
        self.code
            .match_indices(marker)
            .map(|(at, _)| at)
            .filter(at_margin)
            .filter_map(move |at| {
                let mut rest = self.code[at + marker.len()..].trim_start();
                // Further attributes may stand between.
                while rest.starts_with("#[") {
                    rest = rest[syntax::closing(rest, 1)..].trim_start();
                }
                let item = &rest[..=rest.find(['{', ';'])?];
                let is_module =
                    item.starts_with("mod ") || (item.starts_with("pub(") && item.contains(") mod "));
                is_module.then_some((at, item))
            })
    }

    fn slice<'a>(&self, text: &'a str, line: usize) -> &'a str {
        let Some(start) = line.checked_sub(1).and_then(|index| self.line_starts.get(index)) else {
            return "";
        };
        text[*start..].lines().next().unwrap_or("")
    }
}

/// Where the body of the function at `at` opens; `None` for a declaration without one.
fn body(code: &str, at: usize) -> Option<usize> {
    let mut offset = at;
    while let Some(byte) = code.as_bytes().get(offset) {
        match byte {
            b'{' => return Some(offset),
            b';' => return None,
            b'(' | b'[' => offset = syntax::closing(code, offset),
            _ => offset += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_names_and_lengths() {
        let text = "trait A { fn none(&self) -> [u8; 4]; }\nfn one() {}\nfn three(f: fn(u8) -> u8) -> [u8; 2]\nwhere\n{\n  \"}\";\n}\n#[cfg(test)]\nmod tests { fn test() {} }\n";
        let source = Source::new("crates/a/src/b.rs", text);
        let found: Vec<_> = source
            .functions()
            .into_iter()
            .map(|f| (f.name, f.line, f.lines))
            .collect();
        assert_eq!(found, [("one".to_owned(), 2, 1), ("three".to_owned(), 3, 5)]);
        assert_eq!(source.production_lines(), 7);
    }

    #[test]
    fn production_ends_where_tests_begin() {
        for (path, text, lines) in [
            ("crates/a/src/b.rs", "a\n#[cfg(test)]\nuse x;\nb\n", 4),
            (
                "crates/a/src/b.rs",
                "a\n#[cfg(test)]\n#[allow(x)]\nmod tests {\nb\n",
                1,
            ),
            ("crates/a/src/b.rs", "a\n// #[cfg(test)]\nmod x;\n", 3),
            ("crates/a/src/b/tests.rs", "a\n", 0),
            ("crates/a/tests/it/main.rs", "a\n", 0),
            ("crates/a/examples/b.rs", "a\n", 0),
        ] {
            assert_eq!(Source::new(path, text).production_lines(), lines, "{path} {text}");
        }
    }

    #[test]
    fn modules_of_tests_are_files_of_tests() {
        for (path, text, first) in [
            (
                "crates/a/src/lib.rs",
                "#[cfg(test)]\nmod world;\nmod b;\n",
                Some("crates/a/src/world.rs"),
            ),
            (
                "crates/a/src/b.rs",
                "#[cfg(test)]\npub(crate) mod tests;\n",
                Some("crates/a/src/b/tests.rs"),
            ),
            ("crates/a/src/b.rs", "#[cfg(test)]\nmod tests {}\n", None),
            ("crates/a/src/b.rs", "mod tests;\n", None),
        ] {
            let found = Source::new(path, text).test_modules();
            assert_eq!(found.first().map(String::as_str), first, "{path} {text}");
        }
    }
}
