//! Problems as JSON, for programs.

use serde_json::{Map, Value, json};
use weir_model::{Problem, Severity};

use super::Summary;
use crate::status::{self, Status};

/// The schema's name and version: fields may be added to a version, never removed or changed.
const SCHEMA: &str = "weir.check/v1";

/// One JSON object on several lines: `schema`, `ok`, `summary`, `files`, `problems`, `statuses`. Lines and columns count
/// from 1, in characters; absent parts are left out.
pub fn json(problems: &[Problem], summary: &Summary, statuses: &[Status]) -> String {
    let files: Vec<_> = summary.files.iter().map(|file| Value::from(&**file)).collect();
    let value = json!({
        "schema": SCHEMA,
        "ok": summary.errors == 0,
        "summary": {
            "errors": summary.errors,
            "warnings": summary.warnings,
            "notes": summary.notes,
            "objects": summary.objects,
        },
        "files": files,
        "problems": problems.iter().map(problem).collect::<Vec<_>>(),
        "statuses": status::to_json(statuses),
    });
    format!("{value:#}\n")
}

fn problem(problem: &Problem) -> Value {
    let mut fields = Map::new();
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    fields.insert("severity".to_owned(), severity.into());
    fields.insert("code".to_owned(), problem.code.into());
    fields.insert("message".to_owned(), problem.message.as_str().into());
    if let Some(file) = &problem.origin.file {
        fields.insert("file".to_owned(), (&**file).into());
    }
    if problem.origin.line > 0 {
        fields.insert("line".to_owned(), problem.origin.line.into());
        fields.insert("column".to_owned(), problem.origin.column.into());
        fields.insert("length".to_owned(), problem.span_length.into());
    }
    let label = Some(&problem.label).filter(|label| !label.is_empty());
    for (name, value) in [
        ("label", label),
        ("help", problem.help.as_ref()),
        ("effect", problem.effect.as_ref()),
    ] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value.as_str().into());
        }
    }
    if let Some(object) = &problem.object {
        let mut name = Map::new();
        name.insert("kind".to_owned(), (&*object.kind).into());
        if !object.namespace.is_empty() {
            name.insert("namespace".to_owned(), (&*object.namespace).into());
        }
        name.insert("name".to_owned(), (&*object.name).into());
        fields.insert("object".to_owned(), name.into());
    }
    fields.into()
}

#[cfg(test)]
mod tests {
    use weir_model::{ObjectName, Origin};

    use super::*;

    #[test]
    fn json_has_a_schema_and_leaves_absent_parts_out() {
        let whole = Problem {
            severity: Severity::Error,
            code: "E0207",
            message: "no \"x\"".to_owned(),
            origin: Origin::new("a.yaml".into(), 4, 2),
            span_length: 3,
            label: "here".to_owned(),
            help: Some("make it".to_owned()),
            effect: None,
            object: Some(ObjectName::new("GatewayClass", "", "eg")),
        };
        let bare = Problem {
            origin: Origin::default(),
            label: String::new(),
            help: None,
            object: None,
            ..whole.clone()
        };
        let problems = [whole, bare];
        let shown = json(&problems, &Summary::new(vec!["a.yaml".into()], 1, &problems), &[]);
        let value: Value = serde_json::from_str(&shown).expect("JSON");
        let expected = json!({
            "schema": "weir.check/v1",
            "ok": false,
            "summary": {"errors": 2, "warnings": 0, "notes": 0, "objects": 1},
            "files": ["a.yaml"],
            "problems": [
                {"severity": "error", "code": "E0207", "message": "no \"x\"", "file": "a.yaml", "line": 4,
                 "column": 2, "length": 3, "label": "here", "help": "make it",
                 "object": {"kind": "GatewayClass", "name": "eg"}},
                {"severity": "error", "code": "E0207", "message": "no \"x\""},
            ],
            "statuses": []
        });
        assert_eq!(value, expected);
    }
}
