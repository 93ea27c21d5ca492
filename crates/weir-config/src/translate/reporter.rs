//! Collecting problems on the way, and the wording that several of them share.

use weir_model::Problem;

use crate::resource::Placed;
use crate::yaml::Finding;

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    problems: Vec<Problem>,
}

impl Reporter {
    /// Adds what was found in one object.
    pub(crate) fn add(&mut self, placed: &Placed, finding: Finding) {
        let origin = placed.origin(finding.span);
        let mut problem = finding.at(origin);
        problem.object = Some(placed.resource.object.clone());
        self.problems.push(problem);
    }

    /// All problems, in the order of [`sort`].
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        sort(&mut self.problems);
        self.problems
    }

    /// Adds problems that somebody else collected.
    pub(crate) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
    }
}

/// Puts problems in the order in which a person reads the files; drops repetitions.
pub(crate) fn sort(problems: &mut Vec<Problem>) {
    let place = |problem: &Problem| (problem.origin.line, problem.origin.column, problem.code);
    problems.sort_by(|left, right| {
        let files = left.origin.file.cmp(&right.origin.file);
        files
            .then_with(|| place(left).cmp(&place(right)))
            .then_with(|| left.message.cmp(&right.message))
    });
    problems.dedup_by(|later, earlier| {
        later.origin.file == earlier.origin.file && place(later) == place(earlier) && later == earlier
    });
}

/// What it means for a route's traffic that one of its rules answers 500.
pub(crate) fn rule_answers(index: usize, count: usize) -> String {
    match count {
        0 | 1 => "the route answers 500: this is its only rule".to_string(),
        2 => format!("rule {} of 2 answers 500; the other rule is served", index + 1),
        _ => format!(
            "rule {} of {count} answers 500; the other {} rules are served",
            index + 1,
            count - 1
        ),
    }
}

/// What it means for a rule's traffic that one of its destinations answers 500.
pub(crate) fn share_answers(index: usize, count: usize, weight: u32, weights: u64) -> String {
    let rule = if count > 1 {
        format!("of rule {} of {count}", index + 1)
    } else {
        "of the rule".to_string()
    };
    match u64::from(weight) {
        0 => format!("none: its weight is 0, so it gets no requests {rule}"),
        weight if weight == weights => format!("all requests {rule} are answered 500"),
        weight => {
            let percent = 100.0 * weight as f64 / weights as f64;
            format!("{percent:.3}")
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_string()
                + &format!(" % of the requests {rule} are answered 500; the rest is forwarded")
        }
    }
}

/// `one`, `one and two`, `one, two and three`.
pub(crate) fn listed<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_string(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// A problem's message as the message of a condition.
pub(crate) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase()).into_iter();
    let mut sentence: String = first.chain(letters).collect();
    sentence.push('.');
    sentence
}
