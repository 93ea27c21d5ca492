//! Command lines of the programs that weir takes the place of (row OP15): Go programs write long flags with one dash, and
//! have no commands.

use std::ffi::OsString;

/// Long flags that are understood with one dash too.
const ONE_DASH: [&str; 10] = [
    "config",
    "addr",
    "log-level",
    "grpc-port",
    "health-probe-bind-address",
    "metrics-bind-address",
    "leader-elect",
    "metrics-secure",
    "enable-http2",
    "extension-grpc-port",
];

/// Flags that a command line without a command may begin with: it means `run`.
const OF_RUN: [&str; 9] = [
    "addr",
    "grpc-port",
    "health-probe-bind-address",
    "metrics-bind-address",
    "leader-elect",
    "metrics-secure",
    "enable-http2",
    "extension-grpc-port",
    "enable-extension-server",
];

/// The arguments, the program's name first, as weir writes them.
pub(crate) fn rewrite(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let first = arguments
        .get(1)
        .and_then(|first| first.to_str())
        .unwrap_or_default();
    let is_foreign = one_dash(first).is_some()
        || first
            .strip_prefix("--")
            .is_some_and(|flag| OF_RUN.contains(&name(flag)));
    let end = arguments
        .iter()
        .position(|argument| argument == "--")
        .unwrap_or(arguments.len());
    for argument in arguments.iter_mut().take(end).skip(1) {
        if let Some(flag) = argument.to_str().and_then(one_dash) {
            *argument = format!("--{flag}").into();
        }
    }
    if is_foreign {
        arguments.insert(1, "run".into());
    }
    arguments
}

/// The flag of an argument with one dash, and its value if it has one.
fn one_dash(argument: &str) -> Option<&str> {
    let flag = argument.strip_prefix('-')?;
    ONE_DASH.contains(&name(flag)).then_some(flag)
}

fn name(flag: &str) -> &str {
    flag.split('=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op15_other_programs_command_lines_are_understood() {
        for (given, expected) in [
            (
                "weir -config c.yaml -addr :8080",
                "weir run --config c.yaml --addr :8080",
            ),
            ("weir -config=c.yaml", "weir run --config=c.yaml"),
            (
                "weir --grpc-port=5005 --leader-elect=false",
                "weir run --grpc-port=5005 --leader-elect=false",
            ),
            ("weir run -config c.yaml", "weir run --config c.yaml"),
            (
                "weir -c c.yaml explain http://h/",
                "weir -c c.yaml explain http://h/",
            ),
            ("weir --config c.yaml check", "weir --config c.yaml check"),
            ("weir run -- -addr", "weir run -- -addr"),
            ("weir", "weir"),
        ] {
            let rewritten = rewrite(given.split(' ').map(OsString::from));
            let rewritten: Vec<&str> = rewritten.iter().filter_map(|one| one.to_str()).collect();
            assert_eq!(rewritten.join(" "), expected, "{given}");
        }
    }
}
