//! The commands that ask a running weir.

use std::path::Path;

use super::api::start;
use crate::harness::{
    ADMIN, Admin, Backends, Client, Folder, Gateway, Process, ROUTE, TOKEN, free_port, gateway_and_service,
    weir,
};

#[test]
fn op11_status_shows_all_and_its_exit_code_says_how_it_is() {
    let backends = Backends::start(2);
    let (gateway, admin) = start(&backends);
    let mut client = Client::connect(gateway.address);
    for _ in 0..4 {
        client.get("/", &[]).pod();
    }
    let at = ["--admin", &admin.address.to_string()];
    let shown = weir(&[&["status"][..], &at].concat(), "");
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in [
        "healthy  generation 1, as on disk",
        "default/eg/",
        "httproute/default/only/rule/0",
        "backend service/default/backend/3000  2 of 2 serving",
        &format!("127.0.0.1:{}", backends.ports()[1]),
    ] {
        assert!(shown.stdout.contains(part), "{part}\n{}", shown.stdout);
    }
    assert!(!shown.stdout.contains('\x1b'), "no colours but on a terminal");
    assert!(
        shown.stdout.lines().all(|line| line == line.trim_end()),
        "{}",
        shown.stdout
    );

    let json = weir(&[&["status", "-o", "json"][..], &at].concat(), "");
    let value: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(value["schema"], "weir.status/v1");

    let broken = gateway_and_service(gateway.address.port(), &backends.ports())
        + &ROUTE.replace("kind: HTTPRoute", "kind: [");
    gateway.rewrite(&broken, "running differs from disk");
    let shown = weir(&[&["status"][..], &at].concat(), "");
    assert_eq!(shown.code, Some(1), "{shown:?}");
    assert!(
        shown.stdout.contains("running differs from disk"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("error["), "{}", shown.stdout);
}

#[test]
fn op11_nobody_there_is_4() {
    let nobody = format!("127.0.0.1:{}", free_port());
    for arguments in [
        vec!["status"],
        vec!["reload"],
        vec!["endpoint", "drain", "10.0.0.1:80"],
    ] {
        let finished = weir(&[&arguments[..], &["--admin", &nobody]].concat(), "");
        assert_eq!(finished.code, Some(4), "{finished:?}");
        assert!(
            finished.stderr.contains("cannot reach a running weir"),
            "{}",
            finished.stderr
        );
    }
    let finished = weir(&["healthcheck", "--admin", &nobody], "");
    assert_eq!(finished.code, Some(1), "{finished:?}");
}

#[test]
fn hc18_endpoint_asks_with_the_token_and_without_it_on_the_socket() {
    let backends = Backends::start(2);
    let folder = Folder::new();
    let port = free_port();
    let path = folder.write(
        "weir.yaml",
        &(gateway_and_service(port, &backends.ports()) + ROUTE),
    );
    let socket = format!("unix:{}", folder.path().join("admin.sock").display());
    let arguments = [
        &["run", "-c", path.to_str().expect("UTF-8")][..],
        &ADMIN,
        &["--admin", &socket],
    ]
    .concat();
    let process = Process::start(&arguments);
    process.stderr.wait_after(0, "generation 1 in force");
    let mut admin = Admin::of(&process);
    let (first, second) = (
        format!("127.0.0.1:{}", backends.ports()[0]),
        format!("default/backend/127.0.0.1:{}", backends.ports()[1]),
    );
    let tcp = admin.address.to_string();
    let refused = weir(&["endpoint", "drain", &first, "--admin", &tcp], "");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("WEIR_ADMIN_TOKEN"), "{}", refused.stderr);
    let token = folder.write("token", &format!("{TOKEN}\n"));
    let token = token.to_str().expect("UTF-8");
    let done = weir(
        &[
            "endpoint",
            "drain",
            &first,
            "--for",
            "10m",
            "--reason",
            "new disk",
            "--admin",
            &tcp,
            "--admin-token-file",
            token,
        ],
        "",
    );
    assert_eq!(
        (done.code, &*done.stdout),
        (Some(0), &*format!("{first}: draining\n")),
        "{done:?}"
    );
    let done = weir(&["endpoint", "maint", &second, "--admin", &socket], "");
    assert_eq!(done.code, Some(0), "{done:?}");
    let decided = admin.get("/status").json()["overrides"].clone();
    assert_eq!(
        (&decided[0]["usage"], &decided[0]["reason"]),
        (&"draining".into(), &"new disk".into())
    );
    assert_eq!(decided[1]["usage"], "disabled");
    let shown = weir(&["status", "--admin", &socket], "").stdout;
    assert!(
        shown.contains("decided by hand") && shown.contains("new disk"),
        "{shown}"
    );
}

#[test]
fn op11_reload_and_healthcheck() {
    let backends = Backends::start(1);
    let (gateway, admin) = start(&backends);
    let at = ["--admin", &admin.address.to_string(), "--admin-token", TOKEN];
    let reloaded = weir(&[&["reload"][..], &at].concat(), "");
    assert_eq!(
        (reloaded.code, &*reloaded.stdout),
        (Some(0), "generation 1 in force: 0 errors, 0 warnings\n")
    );
    let checked = weir(&[&["healthcheck"][..], &at].concat(), "");
    assert_eq!(
        (checked.code, &*checked.stdout),
        (Some(0), &*format!("ok: {}/readyz\n", admin.address))
    );
    let url = format!("http://{}/livez", admin.address);
    assert_eq!(weir(&["healthcheck", "--url", &url], "").code, Some(0));
    let broken = gateway_and_service(gateway.address.port(), &backends.ports())
        + &ROUTE.replace("kind: HTTPRoute", "kind: [");
    gateway.rewrite(&broken, "running differs from disk");
    let reloaded = weir(&[&["reload"][..], &at].concat(), "");
    assert_eq!(reloaded.code, Some(3), "{reloaded:?}");
}

#[test]
fn op15_other_programs_command_lines_start_it() {
    let backends = Backends::start(1);
    let folder = Folder::new();
    let port = free_port();
    let file = format!(
        "tenants:\n  - name: api\n    path_prefix: /api/\n    services: [{{name: s, url: 'http://127.0.0.1:{}'}}]\n",
        backends.ports()[0]
    );
    let path = folder.write("config.yaml", &file);
    let path = path.to_str().expect("UTF-8");
    let address = format!("127.0.0.1:{port}");
    let process = Process::start(&["-config", path, "-addr", &address]);
    process.stderr.wait_after(0, "generation 1 in force");
    assert_eq!(
        Client::connect(([127, 0, 0, 1], port).into())
            .get("/api/", &[])
            .status,
        200
    );
    drop(process);

    let process = Process::start(&[
        "--grpc-port=5005",
        "--health-probe-bind-address=127.0.0.1:0",
        "--metrics-bind-address=127.0.0.1:0",
        "--leader-elect",
        "--log-level=info",
        "-c",
        path,
        "--addr",
        &address,
    ]);
    for part in [
        "--grpc-port has no effect",
        "--leader-elect has no effect",
        "health on 127.0.0.1:",
        "metrics on 127.0.0.1:",
    ] {
        process.stderr.wait_after(0, part);
    }
    process.stderr.wait_after(0, "generation 1 in force");
}

/// The documentation's own examples: every line that asks is asked, and answered.
#[test]
fn op11_every_example_of_the_documentation_works() {
    let backends = Backends::start(2);
    let port = free_port();
    let folder = Folder::new();
    let socket = format!("unix:{}", folder.path().join("admin.sock").display());
    let config = gateway_and_service(port, &backends.ports())
        + ROUTE
        + &format!(
            "---\nserver: {{port: {}}}\ntenants:\n  - name: api\n    path_prefix: /api/\n    services: [{{name: s, url: 'http://127.0.0.1:{}'}}]\n",
            free_port(),
            backends.ports()[0]
        );
    let flags = [&ADMIN[..], &["--admin", &socket]].concat();
    let gateway = Gateway::start_with(port, &config, &flags);
    let mut admin = Admin::of_gateway(&gateway);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/admin.md");
    let documented = std::fs::read_to_string(path).expect("docs/admin.md");
    let endpoint = format!("127.0.0.1:{}", backends.ports()[1]);
    let mut asked = 0;
    for line in documented
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
    {
        let line = line.replace("10.0.0.7:9000", &endpoint);
        if let Some((_, target)) = line
            .strip_prefix("curl ")
            .and_then(|rest| rest.split_once("127.0.0.1:19000"))
        {
            let target = target.trim_matches('\'');
            let answer = if line.contains("-X POST") {
                admin.post(target)
            } else {
                admin.get(target)
            };
            assert_eq!(answer.status, 200, "{line}: {answer:?}");
            asked += 1;
        } else if let Some(arguments) = line
            .strip_prefix("weir ")
            .filter(|rest| !rest.starts_with("run") && !rest.contains("--watch"))
        {
            let mut arguments: Vec<&str> = arguments.split(' ').filter(|word| !word.is_empty()).collect();
            arguments.extend(["--admin", &socket]);
            let finished = weir(&arguments, "");
            assert_eq!(finished.code, Some(0), "{line}: {finished:?}");
            asked += 1;
        }
    }
    assert!(asked >= 15, "{asked} examples were found");
}
