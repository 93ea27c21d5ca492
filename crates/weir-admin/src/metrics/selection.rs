//! Which metrics a scrape wants: `/metrics?scope=backend&scope=endpoint&metrics=weir_endpoint_up,...`.

use super::scope::MetricScope;
use crate::percent;

/// A part of the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Empty for all.
    scopes: Vec<MetricScope>,
    /// Names of families; empty for all.
    wanted: Vec<String>,
    /// Names of families.
    unwanted: Vec<String>,
}

impl Selection {
    /// Reads the parameters `scope` and `metrics`, each several times or with several words between commas. A name with a
    /// `-` before it is left out.
    ///
    /// # Errors
    /// What is wrong with the query, for people.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        let mut selection = Self::default();
        let pairs = percent::query(query).ok_or("the query cannot be understood")?;
        for (name, value) in &pairs {
            let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
            match name.as_str() {
                "scope" => {
                    for word in words {
                        selection.scopes.push(MetricScope::parse(word)?);
                    }
                }
                "metrics" => words.for_each(|word| match word.strip_prefix('-') {
                    Some(name) => selection.unwanted.push(name.to_owned()),
                    None => selection.wanted.push(word.to_owned()),
                }),
                other => {
                    return Err(format!(
                        "there is no parameter {other:?}: there are scope and metrics"
                    ));
                }
            }
        }
        Ok(selection)
    }

    /// Whether something of this scope may be wanted.
    pub(super) fn has_scope(&self, scope: MetricScope) -> bool {
        self.scopes.is_empty() || self.scopes.contains(&scope)
    }

    /// Whether a family of this name is wanted, if its scope is.
    pub(super) fn has_name(&self, name: &str) -> bool {
        let is_among = |names: &[String]| names.iter().any(|other| other == name);
        (self.wanted.is_empty() || is_among(&self.wanted)) && !is_among(&self.unwanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op06_a_scrape_says_what_it_wants() {
        let parse = |query: &str| Selection::parse(query).expect(query);
        let all = parse("");
        assert!(all.has_scope(MetricScope::Route) && all.has_name("weir_endpoint_up"));
        for query in [
            "scope=backend&scope=endpoint",
            "scope=backend,endpoint",
            "scope=backend%2Cendpoint",
        ] {
            let some = parse(query);
            assert!(some.has_scope(MetricScope::Endpoint), "{query}");
            assert!(!some.has_scope(MetricScope::Route), "{query}");
        }
        let some = parse("metrics=a,b&metrics=c");
        let found = ["a", "b", "c", "d"].map(|name| some.has_name(name));
        assert_eq!(found, [true, true, true, false]);
        let some = parse("metrics=-b");
        assert_eq!(["a", "b"].map(|name| some.has_name(name)), [true, false]);
        for (query, part) in [
            ("scope=server", "there is no scope \"server\""),
            ("scopes=route", "\"scopes\""),
            ("scope=%f", "understood"),
        ] {
            let error = Selection::parse(query).expect_err(query);
            assert!(error.contains(part), "{error}");
        }
    }
}
