//! The command line itself: help, versions, exit codes, messages.

use crate::harness::{Folder, example_on, weir};

/// The help of every command, as users see it. `WEIR_BLESS=1` rewrites it.
#[test]
fn op11_help_says_what_it_said() {
    let mut shown = String::new();
    for command in [
        "",
        "run",
        "proxy",
        "check",
        "explain",
        "status",
        "reload",
        "endpoint",
        "endpoint drain",
        "healthcheck",
        "echo",
        "demo",
        "completions",
        "version",
    ] {
        let mut arguments: Vec<&str> = command.split_terminator(' ').collect();
        arguments.push("--help");
        let help = weir(&arguments, "");
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{command}");
        shown.push_str(&format!("===== weir {command} --help\n{}\n", help.stdout));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/help.txt");
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(path, &shown).expect("the snapshot is written");
    }
    let expected = std::fs::read_to_string(path).expect("the snapshot is read");
    assert!(
        shown == expected,
        "the help has changed; look at it and bless it with WEIR_BLESS=1:\n{shown}"
    );
}

#[test]
fn op11_wrong_usage_exits_with_2_and_says_why() {
    for (arguments, part) in [
        (vec!["nonsense"], "nonsense"),
        (vec!["echo", "--listen", "nowhere"], "expected ADDRESS:PORT"),
        (vec!["echo", "--error-rate", "101%"], "0% to 100%"),
        (vec!["echo", "--delay", "5"], "250ms"),
        (vec!["proxy", "--from", ":8080"], "--to"),
        (
            vec!["proxy", "--from", ":0", "--to", "a:1"],
            "--from needs a port",
        ),
        (
            vec!["proxy", "--from", ":8080", "--to", "http://a:1"],
            "without a scheme",
        ),
        (
            vec!["proxy", "--from", ":8080", "--to", "a:1", "--lb", "best"],
            "expected least",
        ),
        (vec!["run", "--threads", "0"], "1..=1024"),
        (vec!["run", "--log", "loud"], "expected error, warn"),
        (vec!["run", "-q", "-v"], "cannot be used with"),
        (vec!["explain", "ftp://h/"], "http://"),
        (vec!["explain", "http://h/", "-H", "nocolon"], "NAME: VALUE"),
        (vec!["explain", "http://h/", "--cookie", "novalue"], "NAME=VALUE"),
        (vec!["explain", "http://h/%zz"], "400"),
    ] {
        let finished = weir(&arguments, "");
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?} {finished:?}"
        );
        assert!(
            finished.stderr.contains(part),
            "{arguments:?} {}",
            finished.stderr
        );
    }
}

#[test]
fn op11_without_a_configuration_it_says_how_to_get_one() {
    let folder = Folder::new();
    for command in [vec!["run"], vec!["check"], vec!["explain", "http://h/"]] {
        let mut arguments = vec!["--color", "never"];
        arguments.extend(&command);
        let finished = crate::harness::weir_in(folder.path(), &arguments);
        assert_eq!(finished.code, Some(3), "{command:?} {finished:?}");
        assert_eq!(
            finished.stderr,
            "error: no configuration found\n  where: ./weir.yaml and /etc/weir\n  \
             next: name one with -c, or write an example to start from: weir demo --write .\n"
        );
    }
}

#[test]
fn op11_weir_yaml_of_the_folder_is_the_default() {
    let folder = Folder::new();
    folder.write("weir.yaml", &example_on(8080, &[9001, 9002, 9003, 9004]));
    let checked = crate::harness::weir_in(folder.path(), &["check"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stdout.contains("weir.yaml: 0 errors"), "{checked:?}");
    let explained = crate::harness::weir_in(folder.path(), &["explain", "http://www.example.com:8080/round"]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
}

#[test]
fn op11_the_version_is_text_or_json() {
    let text = weir(&["version"], "");
    assert_eq!(text.code, Some(0));
    assert!(
        text.stdout
            .starts_with(concat!("weir ", env!("CARGO_PKG_VERSION"))),
        "{text:?}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&weir(&["version", "-o", "json"], "").stdout).expect("JSON");
    assert_eq!(json["schema"], "weir.version/v1");
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn op11_completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = weir(&["completions", shell], "");
        assert_eq!(script.code, Some(0));
        assert!(
            script.stdout.contains("explain") && script.stdout.contains("drain-timeout"),
            "{shell}"
        );
    }
}

#[test]
fn op11_colour_is_used_when_asked_for_only() {
    let check = |flag: &str| {
        let folder = Folder::new();
        let path = folder.write("weir.yaml", "kind: [\n");
        weir(&["check", path.to_str().expect("UTF-8"), "--color", flag], "").stdout
    };
    assert!(check("always").contains("\x1b["));
    assert!(!check("never").contains("\x1b["));
    assert!(!check("auto").contains("\x1b["), "not a terminal");
}
