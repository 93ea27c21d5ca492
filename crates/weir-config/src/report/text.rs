//! Problems as text with the source line, for people.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Element, Level, Origin as Place, Renderer, Snippet};
use weir_model::{Problem, Severity};

/// Lines longer than this (bytes) are not shown: minified JSON.
const LINE_MAX: usize = 2000;

/// How text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// With colours, as ANSI escape codes.
    pub color: bool,
    /// Problems less severe than this are left out.
    pub severity_min: Severity,
    /// Only that many are shown, the most severe first in doubt; the rest is counted.
    pub problems_max: usize,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            color: false,
            severity_min: Severity::Note,
            problems_max: 200,
        }
    }
}

/// The texts of files, to quote from. Files are asked for once.
pub struct SourceTexts<'r> {
    read: Box<ReadText<'r>>,
    files: HashMap<Arc<str>, Option<Lines>>,
}

type ReadText<'r> = dyn FnMut(&str) -> Option<String> + 'r;

struct Lines {
    text: String,
    /// Where each line starts.
    starts: Vec<usize>,
}

impl<'r> SourceTexts<'r> {
    /// Texts as `read` gives them by the file's name as it stands in problems; `None` for a file that is gone.
    pub fn new(read: impl FnMut(&str) -> Option<String> + 'r) -> Self {
        Self {
            read: Box::new(read),
            files: HashMap::new(),
        }
    }

    /// A line without its end, counted from 1.
    fn line(&mut self, file: &Arc<str>, line: u32) -> Option<&str> {
        if !self.files.contains_key(file) {
            let text = (self.read)(file);
            self.files.insert(file.clone(), text.map(Lines::new));
        }
        self.files.get(file)?.as_ref()?.line(line)
    }
}

impl Lines {
    fn new(text: String) -> Self {
        // A byte order mark takes no column.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let starts = [0]
            .into_iter()
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1))
            .collect();
        Self { text, starts }
    }

    fn line(&self, line: u32) -> Option<&str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let end = self
            .starts
            .get(index + 1)
            .map_or(self.text.len(), |next| next - 1);
        Some(self.text.get(start..end)?.trim_end_matches('\r'))
    }
}

/// Renders problems in the order given, each ending in an empty line.
pub fn text(problems: &[Problem], sources: &mut SourceTexts<'_>, options: TextOptions) -> String {
    let renderer = if options.color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let shown = || {
        problems
            .iter()
            .filter(|problem| problem.severity >= options.severity_min)
    };
    let total = shown().count();
    // The severe ones first, in what can be shown; what is shown stays in order.
    let mut rest = options.problems_max;
    let mut room = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let found = shown().filter(|problem| problem.severity == severity).count();
        let taken = found.min(rest);
        rest -= taken;
        taken
    });
    let mut out = String::new();
    let mut count = 0;
    for problem in shown() {
        let left = &mut room[match problem.severity {
            Severity::Error => 0,
            Severity::Warning => 1,
            Severity::Note => 2,
        }];
        if *left > 0 {
            *left -= 1;
            count += 1;
            out += &one(problem, sources, &renderer);
            out += "\n\n";
        }
    }
    if count < total {
        out += &format!("... and {} more problems\n\n", total - count);
    }
    out
}

fn one(problem: &Problem, sources: &mut SourceTexts<'_>, renderer: &Renderer) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = level
        .primary_title(clean(&problem.message))
        .id(problem.code)
        .elements([] as [Element<'_>; 0]);
    if let Some(file) = &problem.origin.file {
        let (line, column) = (problem.origin.line, problem.origin.column);
        let quoted = sources.line(file, line).filter(|text| text.len() <= LINE_MAX);
        group = match quoted {
            Some(text) => {
                let label = (!problem.label.is_empty()).then(|| clean(&problem.label));
                let span = underline(text, column, problem.span_length);
                let annotation = AnnotationKind::Primary.span(span).label(label);
                let snippet = Snippet::source(text.to_owned())
                    .path(clean(file))
                    .line_start(line as usize);
                group.element(snippet.annotation(annotation))
            }
            None => {
                let place = Place::path(clean(file));
                let place = if line > 0 {
                    place.line(line as usize).char_column(column as usize)
                } else {
                    place
                };
                let label = (!problem.label.is_empty()).then(|| Level::NOTE.message(clean(&problem.label)));
                group.element(place).elements(label)
            }
        };
    }
    let help = problem.help.as_ref().map(|help| Level::HELP.message(clean(help)));
    let effect = problem
        .effect
        .as_ref()
        .map(|effect| Level::NOTE.with_name("effect").message(clean(effect)));
    renderer.render(&[group.elements(help).elements(effect)])
}

/// The bytes of a line to underline: `length` characters from `column`, one at least, inside the line.
fn underline(line: &str, column: u32, length: u32) -> Range<usize> {
    let byte_of = |character: usize| {
        line.char_indices()
            .nth(character)
            .map_or(line.len(), |(byte, _)| byte)
    };
    let first = column.saturating_sub(1) as usize;
    let start = byte_of(first);
    start..byte_of(first.saturating_add(length.max(1) as usize)).max(start)
}

/// Text from a file, without what could steer a terminal.
fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .flat_map(|c| {
                if c.is_control() {
                    c.escape_default().collect()
                } else {
                    vec![c]
                }
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use weir_model::Origin;

    use super::*;

    const SOURCE: &str = "kind: HTTPRoute\nspec:\n  rules:\n    - backendRefs:\n        - name: ünï\n\tx";

    fn problem(line: u32, column: u32, length: u32) -> Problem {
        Problem {
            severity: Severity::Error,
            code: "E0207",
            message: "no \"ünï\"".to_owned(),
            origin: Origin::new("shop.yaml".into(), line, column),
            span_length: length,
            label: "not found".to_owned(),
            help: Some("make it".to_owned()),
            effect: Some("rule 1 answers 500".to_owned()),
            object: None,
        }
    }

    fn shown(problems: &[Problem], options: TextOptions) -> String {
        let mut sources = SourceTexts::new(|name| (name == "shop.yaml").then(|| SOURCE.to_owned()));
        text(problems, &mut sources, options)
    }

    #[test]
    fn a_problem_shows_its_line_help_and_effect() {
        let expected = "error[E0207]: no \"ünï\"
 --> shop.yaml:5:17
  |
5 |         - name: ünï
  |                 ^^^ not found
  |
  = help: make it
  = effect: rule 1 answers 500

";
        assert_eq!(shown(&[problem(5, 17, 3)], TextOptions::default()), expected);
    }

    #[test]
    fn places_that_cannot_be_quoted_are_named() {
        let gone = Problem {
            origin: Origin::new("gone.yaml".into(), 5, 17),
            ..problem(0, 0, 0)
        };
        let file = Problem {
            origin: Origin::new("gone.yaml".into(), 0, 0),
            help: None,
            effect: None,
            ..problem(0, 0, 0)
        };
        let nowhere = Problem {
            origin: Origin::default(),
            help: None,
            effect: None,
            ..problem(0, 0, 0)
        };
        for (problem, expected) in [
            (
                gone,
                "error[E0207]: no \"ünï\"\n--> gone.yaml:5:17\n = note: not found\n = help: make it\n = effect: rule 1 answers 500\n\n",
            ),
            (
                file,
                "error[E0207]: no \"ünï\"\n--> gone.yaml\n = note: not found\n\n",
            ),
            (nowhere, "error[E0207]: no \"ünï\"\n\n"),
        ] {
            assert_eq!(shown(&[problem], TextOptions::default()), expected);
        }
    }

    #[test]
    fn any_place_can_be_shown() {
        for line in 0..9 {
            for column in [0, 1, 2, 18, 19, 20, 21, u32::MAX] {
                for length in [0, 1, 3, u32::MAX] {
                    assert!(!shown(&[problem(line, column, length)], TextOptions::default()).is_empty());
                }
            }
        }
    }

    #[test]
    fn only_so_many_are_shown_the_severe_ones_first() {
        let note = Problem {
            severity: Severity::Note,
            code: "N0005",
            ..problem(1, 1, 1)
        };
        let problems = [note.clone(), problem(1, 1, 1), note];
        let options = TextOptions {
            problems_max: 1,
            ..TextOptions::default()
        };
        let text = shown(&problems, options);
        assert!(
            text.starts_with("error") && text.ends_with("... and 2 more problems\n\n"),
            "{text}"
        );
        let options = TextOptions {
            problems_max: 2,
            ..TextOptions::default()
        };
        assert!(
            shown(&problems, options).starts_with("note"),
            "what is shown stays in order"
        );
        let options = TextOptions {
            severity_min: Severity::Warning,
            ..TextOptions::default()
        };
        assert!(!shown(&problems, options).contains("N0005"));
    }

    #[test]
    fn text_from_files_cannot_steer_the_terminal() {
        let problem = Problem {
            message: "a\u{1b}[31mb\nc".to_owned(),
            ..problem(5, 17, 3)
        };
        assert!(shown(&[problem], TextOptions::default()).starts_with("error[E0207]: a\\u{1b}[31mb\\nc\n"));
    }
}
