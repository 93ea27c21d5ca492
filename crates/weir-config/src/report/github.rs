//! Problems as GitHub workflow commands, which show them beside the lines of a pull request.

use weir_model::{Problem, Severity};

/// One line per problem: `::error file=...,line=...,col=...,endColumn=...,title=CODE::message`.
pub fn github(problems: &[Problem]) -> String {
    problems.iter().map(|problem| line(problem) + "\n").collect()
}

fn line(problem: &Problem) -> String {
    let command = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(file) = &problem.origin.file {
        properties.push(format!("file={}", property(file)));
    }
    if problem.origin.line > 0 {
        let (line, column) = (problem.origin.line, problem.origin.column);
        properties.push(format!("line={line},col={column}"));
        if problem.span_length > 0 {
            properties.push(format!(
                "endColumn={}",
                column.saturating_add(problem.span_length)
            ));
        }
    }
    properties.push(format!("title={}", property(problem.code)));
    let mut message = problem.message.clone();
    let label = Some(&problem.label).filter(|label| !label.is_empty());
    for (name, text) in [
        ("", label),
        ("help: ", problem.help.as_ref()),
        ("effect: ", problem.effect.as_ref()),
    ] {
        if let Some(text) = text {
            message += &format!("\n{name}{text}");
        }
    }
    format!("::{command} {}::{}", properties.join(","), data(&message))
}

/// Escapes the message of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use weir_model::Origin;

    use super::*;

    #[test]
    fn commands_name_the_place_and_escape_the_rest() {
        let problem = Problem {
            severity: Severity::Warning,
            code: "W0101",
            message: "100% \"x\"".to_owned(),
            origin: Origin::new("a,b.yaml".into(), 4, 2),
            span_length: 3,
            label: String::new(),
            help: Some("a: b".to_owned()),
            effect: None,
            object: None,
        };
        let nowhere = Problem {
            origin: Origin::default(),
            severity: Severity::Error,
            help: None,
            ..problem.clone()
        };
        assert_eq!(
            github(&[problem, nowhere]),
            "::warning file=a%2Cb.yaml,line=4,col=2,endColumn=5,title=W0101::100%25 \"x\"%0Ahelp: a: b\n\
             ::error title=W0101::100%25 \"x\"\n"
        );
    }
}
