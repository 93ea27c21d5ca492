//! What is said about tenants files.

use super::get;
use crate::harness::{Backends, Client, Folder, Gateway, free_port, weir, weir_in};

/// What is wrong, a tenant with `@` before the place of its problem, and the code.
const MISTAKES: [(&str, &str, &str); 16] = [
    ("name", "@{domains: [a.example]}", "E0102"),
    ("reach", "@{name: a}", "E0401"),
    ("domain", "{name: a, domains: [@'a b']}", "E0402"),
    ("prefix start", "{name: a, path_prefix: @api/}", "E0403"),
    ("prefix end", "{name: a, path_prefix: @/api}", "E0403"),
    ("prefix inside", "{name: a, path_prefix: @/a//b/}", "E0403"),
    (
        "url",
        "{name: a, path_prefix: /, services: [{name: s, url: @'h:80'}]}",
        "E0404",
    ),
    (
        "health",
        "{name: a, path_prefix: /, services: [{name: s, url: 'http://h', health: @up}]}",
        "E0403",
    ),
    (
        "services",
        "{name: a, path_prefix: /, services: [{name: s, url: 'http://h'}, {name: @s, url: 'http://g'}]}",
        "E0405",
    ),
    (
        "canary",
        "{name: a, path_prefix: /, canary: @{services: [s]}}",
        "E0105",
    ),
    (
        "pattern",
        "{name: a, path_prefix: /, routes: [{pattern: @x}]}",
        "E0410",
    ),
    (
        "unknown service",
        "{name: a, path_prefix: /, routes: [{pattern: /x, backend: @s}]}",
        "E0413",
    ),
    ("script", "{name: a, path_prefix: /, @lua_routes: x.lua}", "E0408"),
    (
        "interval",
        "{name: a, path_prefix: /, health_interval: @soon}",
        "E0103",
    ),
    ("misspelt", "{name: a, path_prefix: /, @domans: [a]}", "E0114"),
    (
        "variable",
        "{name: a, path_prefix: @'/${WEIR_TEST_UNSET}/'}",
        "E0407",
    ),
];

#[test]
fn kt08_every_rule_is_an_error_with_its_place() {
    for (what, tenant, code) in MISTAKES {
        let text = format!("tenants:\n  - {}\n", tenant.replace('@', ""));
        let column = 5 + tenant.find('@').expect("a marked place") as u64;
        let checked = weir(&["check", "-o", "json", "-"], &text);
        let report: serde_json::Value = serde_json::from_str(&checked.stdout).expect("JSON");
        let problems = report["problems"].as_array().expect("a list");
        let found: Vec<_> = problems
            .iter()
            .filter(|problem| problem["severity"] == "error")
            .map(|problem| {
                (
                    problem["line"].as_u64(),
                    problem["column"].as_u64(),
                    problem["code"].as_str(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [(Some(2), Some(column), Some(code))],
            "{what}: {problems:#?}"
        );
        assert_eq!(checked.code, Some(3), "{what}");
    }
}

#[test]
fn kt08_all_errors_are_shown_at_once() {
    let tenants: String = MISTAKES
        .iter()
        .zip(b'a'..)
        .map(|((_, tenant, _), letter)| {
            let own = format!("name: {}", char::from(letter));
            let prefix = format!("path_prefix: /{}/,", char::from(letter));
            format!(
                "  - {}\n",
                tenant
                    .replace('@', "")
                    .replace("name: a", &own)
                    .replace("path_prefix: /,", &prefix)
            )
        })
        .collect();
    let checked = weir(&["check", "-"], &format!("tenants:\n{tenants}"));
    for (what, _, code) in MISTAKES {
        assert!(
            checked.stdout.contains(&format!("error[{code}]")),
            "{what}: {}",
            checked.stdout
        );
    }
    let shown = checked.stdout.matches("error[").count();
    assert_eq!(
        (shown, checked.code),
        (MISTAKES.len(), Some(3)),
        "{}",
        checked.stdout
    );
}

#[test]
fn kt08_compression_has_levels_from_1_to_9() {
    for level in 0..=10 {
        let text = format!("compression: {{level: {level}}}\ntenants: [{{name: a, path_prefix: /}}]\n");
        let checked = weir(&["check", "-o", "json", "-"], &text);
        let report: serde_json::Value = serde_json::from_str(&checked.stdout).expect("JSON");
        let problems = report["problems"].as_array().expect("a list").iter();
        let found: Vec<_> = problems
            .filter(|problem| problem["severity"] == "error")
            .map(|problem| (&problem["line"], &problem["column"], &problem["code"]))
            .map(|(line, column, code)| (line.as_u64(), column.as_u64(), code.as_str()))
            .collect();
        let (expected, code) = match level {
            1..=9 => (vec![], 0),
            _ => (vec![(Some(1), Some(22), Some("E0103"))], 3),
        };
        assert_eq!(found, expected, "{level}");
        assert_eq!(checked.code, Some(code), "{level}");
    }
}

#[test]
fn kt01_unknown_keys_are_warnings_with_a_hint() {
    let text = "tenants:\n  - name: a\n    path_prefix: /\n    services: [{name: s, url: 'http://h', helth: /x}]\ncompresion: {}\n";
    let checked = weir(&["check", "-"], text);
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
    for part in [
        "<stdin>:4:43",
        "an entry of services has no field \"helth\"",
        "did you mean \"health\"?",
        "<stdin>:5:1",
        "did you mean \"compression\"?",
    ] {
        assert!(checked.stdout.contains(part), "{part}: {}", checked.stdout);
    }
}

#[test]
fn kt09_both_places_of_a_conflict_are_named() {
    let folder = Folder::new();
    folder.write(
        "a.yaml",
        "tenants:\n  - {name: first, domains: [x.example], path_prefix: /a/}\n  - {name: one, path_prefix: /}\n",
    );
    folder.write(
        "b.yaml",
        "# second\ntenants:\n  - {name: second, domains: [y.example, X.example], path_prefix: /a/}\n  - {name: one, path_prefix: /b/}\n",
    );
    let checked = weir_in(folder.path(), &["check", "."]);
    for part in [
        "b.yaml:3:41",
        "domain x.example with path /a/ already belongs to tenant first",
        "first claims it at ./a.yaml:2:29",
        "Tenant one is defined twice",
        "the first definition is at ./a.yaml:3:12",
    ] {
        assert!(checked.stdout.contains(part), "{part}: {}", checked.stdout);
    }
    assert_eq!(checked.code, Some(3));
}

#[test]
fn a_document_that_misses_its_tenants_is_told_so() {
    let checked = weir(&["check", "-"], "tenant:\n  - {name: a}\n");
    assert!(checked.stdout.contains("under \"tenants\""), "{}", checked.stdout);
    let empty = weir(&["check", "-"], "tenants: []\n");
    assert_eq!(empty.code, Some(0), "{}", empty.stdout);
    assert!(empty.stdout.contains("N0411"), "{}", empty.stdout);
}

#[test]
fn kt29_variables_come_from_the_environment_and_from_env_files() {
    let folder = Folder::new();
    folder.write(".env", "PREFIX=api\nGATEWAY_PORT=8123\n");
    folder.write(
        "t.yaml",
        "tenants:\n  - {name: a, path_prefix: '/${PREFIX}/', services: [{name: s, url: 'http://${BACKEND:-10.0.0.1}:80'}]}\n",
    );
    let explained = weir_in(folder.path(), &["-c", "t.yaml", "explain", "http://h/api/x"]);
    for part in ["on 0.0.0.0:8123", "Tenant a", "10.0.0.1:80"] {
        assert!(explained.stdout.contains(part), "{part}: {explained:?}");
    }
}

/// A file in which nearly everything is wrong: what is not is served, and nobody gets what was another's.
#[test]
fn kt08_kt09_kt29_what_is_good_of_a_bad_file_is_served() {
    let backends = Backends::start(3);
    let port = free_port();
    let service = |number: usize| {
        format!(
            "services: [{{name: s, url: 'http://127.0.0.1:{}', health_type: none}}]",
            backends.ports()[number - 1]
        )
    };
    let (one, two, three) = (service(1), service(2), service(3));
    let config = format!(
        "\
server: {{port: {port}}}
colour: red
tenants:
  - {{name: first, domains: [a.example, b.example], {one}, colour: red}}
  - {{name: second, domains: [B.example, c.example], {two}}}
  - {{name: third, domains: [b.example], {three}}}
  - {{name: start, path_prefix: start/, {three}}}
  - {{name: inside, path_prefix: /in//side/, {three}}}
  - {{name: up, path_prefix: /up/../, {three}}}
  - {{name: unset, path_prefix: '/${{WEIR_TEST_UNSET}}/', {three}}}
  - {{name: unsaid, path_prefix: /unsaid/, services: [{{name: s, url: 'http://${{WEIR_TEST_UNSET}}:80'}}]}}
  - {{name: first, path_prefix: /again/, {three}}}
  - {{name: rest, path_prefix: /rest/, {three}}}
"
    );
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    for (host, target, pod) in [
        ("a.example", "/", Some(1)),
        ("b.example", "/", Some(1)),
        ("c.example", "/", Some(2)),
        ("x.example", "/rest/", Some(3)),
        ("x.example", "/", None),
        ("x.example", "/start/", None),
        ("x.example", "/in/side/", None),
        ("x.example", "/up/", None),
        ("x.example", "//", None),
        ("x.example", "/$%7BWEIR_TEST_UNSET%7D/", None),
        ("x.example", "/unsaid/", None),
        ("x.example", "/again/", None),
    ] {
        let response = get(&mut client, host, target);
        match pod {
            Some(number) => assert_eq!(response.pod(), format!("backend-{number}"), "{host} {target}"),
            None => assert_eq!(response.status, 404, "{host} {target}"),
        }
    }
}
