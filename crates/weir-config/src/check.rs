//! Checking a configuration: everything that is wrong with it, at once.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use weir_model::Problem;

use crate::report::{self, SourceTexts, Summary, TextOptions};
use crate::resource::ResourceSet;
use crate::source::FileSource;
use crate::translate::{Options, Translation, translate};

/// What checking found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// Everything that is wrong, in the order of the files and lines.
    pub problems: Vec<Problem>,
    /// How much was read and how much of it is wrong.
    pub summary: Summary,
    /// What the configuration means.
    pub translation: Translation,
}

/// Reads and translates files and directories as `weir run` would, and serves nothing.
pub fn check(paths: &[PathBuf]) -> CheckReport {
    let loaded = FileSource::new(paths.to_vec()).load();
    check_resources(&loaded.resources, loaded.files)
}

/// Translates resources that were read from these files.
pub fn check_resources(resources: &ResourceSet, files: Vec<Arc<str>>) -> CheckReport {
    let translation = translate(resources, &Options::files());
    let mut problems: Vec<_> = resources
        .problems
        .iter()
        .chain(&translation.problems)
        .cloned()
        .collect();
    // Stable: problems of one place stay in the order of the stages.
    problems.sort_by(|left, right| {
        let place = |problem: &Problem| (problem.origin.line, problem.origin.column);
        left.origin
            .file
            .cmp(&right.origin.file)
            .then_with(|| place(left).cmp(&place(right)))
    });
    let summary = Summary::new(files, resources.objects.len(), &problems);
    CheckReport {
        problems,
        summary,
        translation,
    }
}

impl CheckReport {
    /// Whether anything as written cannot be served: `weir check` exits with 3.
    pub fn has_errors(&self) -> bool {
        self.summary.errors > 0
    }

    /// The problems with their source lines as the files have them now, and the summary line.
    pub fn text(&self, options: TextOptions) -> String {
        let mut sources = SourceTexts::new(|file| fs::read_to_string(file).ok());
        format!(
            "{}{}\n",
            report::text(&self.problems, &mut sources, options),
            self.summary
        )
    }

    /// The status of every object that has one, several lines each: what Kubernetes would show of it.
    pub fn statuses_text(&self) -> String {
        self.translation
            .statuses
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// The schema `weir.check/v1`.
    pub fn json(&self) -> String {
        report::json(&self.problems, &self.summary, &self.translation.statuses)
    }

    /// GitHub workflow commands.
    pub fn github(&self) -> String {
        report::github(&self.problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::scratch::Scratch;

    const SHOP: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: eg}
spec:
  gatewayClassName: eg
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: eg}]
  rules:
    - matches: [{path: {value: /cart}}]
      backendRefs:
        - name: cart
          port: 80
---
apiVersion: v1
kind: Service
metadata: {name: carts}
spec: {ports: [{port: 80}]}
";

    #[test]
    fn a_check_shows_place_cause_help_and_effect() {
        let scratch = Scratch::new();
        scratch.write("shop.yaml", SHOP);
        let path = scratch.path("shop.yaml");
        let report = check(std::slice::from_ref(&path));
        assert!(report.has_errors());
        let text = report
            .text(TextOptions::default())
            .replace(&*path.to_string_lossy(), "shop.yaml");
        for part in [
            "  --> shop.yaml:16:17\n",
            "16 |         - name: cart\n   |                 ^^^^",
            "= help: did you mean carts?",
            "= effect: ",
            "shop.yaml: 1 error, 0 warnings, 1 note (3 objects)\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(report.json().contains("\"schema\": \"weir.check/v1\""));
        assert!(report.github().contains("line=16,col=17,endColumn=21,"));
        let lines: Vec<_> = report
            .problems
            .iter()
            .map(|problem| problem.origin.line)
            .collect();
        assert!(lines.is_sorted(), "{lines:?}");
    }

    #[test]
    fn a_path_that_does_not_exist_is_an_error() {
        let report = check(&[PathBuf::from("/nonexistent/weir.yaml")]);
        assert!(report.has_errors());
        let text = report.text(TextOptions::default());
        assert!(
            text.ends_with("/nonexistent/weir.yaml: 1 error, 0 warnings (0 objects)\n"),
            "{text}"
        );
    }
}
