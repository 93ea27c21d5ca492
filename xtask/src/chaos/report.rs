//! What was found, as a table and as a file.

use serde_json::{Value, json};

use super::options::Fault;
use crate::table;

/// One figure of one fault.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    fault: &'static str,
    /// Under which policy, in a few words.
    policy: String,
    what: String,
    measured: f64,
    limit: Option<Limit>,
}

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// Not more.
    Most(f64),
    /// Not less.
    Least(f64),
}

/// Everything that was found.
#[derive(Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
}

/// Takes the findings of one fault under one policy.
pub(crate) struct Section<'r> {
    report: &'r mut Report,
    fault: Fault,
    policy: String,
}

impl Report {
    /// For what comes next.
    pub(crate) fn section(&mut self, fault: Fault, policy: &str) -> Section<'_> {
        Section {
            report: self,
            fault,
            policy: policy.to_owned(),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .findings
            .iter()
            .map(|finding| {
                let verdict = match finding.is_reached() {
                    None => "",
                    Some(true) => "reached",
                    Some(false) => "MISSED",
                };
                vec![
                    finding.fault.to_owned(),
                    finding.policy.clone(),
                    finding.what.clone(),
                    number(finding.measured),
                    finding.limit.map_or_else(String::new, Limit::text),
                    verdict.to_owned(),
                ]
            })
            .collect();
        table::text(&["fault", "policy", "what", "measured", "limit", ""], &rows)
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "fault": finding.fault,
                    "policy": finding.policy,
                    "what": finding.what,
                    "measured": finding.measured,
                    "limit": finding.limit.map(Limit::text),
                    "reached": finding.is_reached(),
                })
            })
            .collect();
        json!({ "findings": findings })
    }

    /// How many limits were missed.
    pub(crate) fn missed(&self) -> usize {
        let is_missed = |finding: &&Finding| finding.is_reached() == Some(false);
        self.findings.iter().filter(is_missed).count()
    }
}

impl Section<'_> {
    /// A figure that has no limit.
    pub(crate) fn tell(&mut self, what: &str, measured: f64) {
        self.add(what, measured, None);
    }

    /// A figure that has one.
    pub(crate) fn judge(&mut self, what: &str, measured: f64, limit: Limit) {
        self.add(what, measured, Some(limit));
    }

    fn add(&mut self, what: &str, measured: f64, limit: Option<Limit>) {
        let finding = Finding {
            fault: self.fault.name(),
            policy: self.policy.clone(),
            what: what.to_owned(),
            measured,
            limit,
        };
        let verdict = match finding.is_reached() {
            Some(false) => "  MISSED",
            _ => "",
        };
        eprintln!("  {}: {}{verdict}", finding.what, number(finding.measured));
        self.report.findings.push(finding);
    }
}

impl Finding {
    fn is_reached(&self) -> Option<bool> {
        match self.limit? {
            Limit::Most(most) => Some(self.measured <= most),
            Limit::Least(least) => Some(self.measured >= least),
        }
    }
}

impl Limit {
    fn text(self) -> String {
        match self {
            Self::Most(most) => format!("<= {}", number(most)),
            Self::Least(least) => format!(">= {}", number(least)),
        }
    }
}

/// Whole numbers as they are, others with as many decimals as say something.
fn number(value: f64) -> String {
    match value.fract() == 0.0 {
        true => format!("{value:.0}"),
        false => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_limit_is_counted_and_shown() {
        let mut report = Report::default();
        let mut section = report.section(Fault::Kill, "none");
        section.judge("GETs lost", 0.0, Limit::Most(0.0));
        section.judge("POSTs served twice", 1.0, Limit::Most(0.0));
        section.judge("requests", 99.5, Limit::Least(100.0));
        section.tell("POSTs lost", 3.0);
        assert_eq!(report.missed(), 2);
        assert_eq!(report.text().matches("MISSED").count(), 2);
        assert_eq!(report.to_json()["findings"][1]["limit"], "<= 0");
    }
}
