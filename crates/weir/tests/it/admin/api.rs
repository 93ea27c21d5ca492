//! Health, metrics, the picture, the configuration, and who may ask (rows OP04 to OP06, OP12).

use std::time::{Duration, Instant};

use crate::harness::{
    ADMIN, Admin, Backends, Client, Folder, Gateway, PATIENCE, Process, ROUTE, TOKEN, free_port,
    gateway_and_service, weir,
};

/// A gateway over these backends with an admin API.
pub(super) fn start(backends: &Backends) -> (Gateway, Admin) {
    let port = free_port();
    let config = gateway_and_service(port, &backends.ports()) + ROUTE;
    let gateway = Gateway::start_with(port, &config, &ADMIN);
    let admin = Admin::of_gateway(&gateway);
    (gateway, admin)
}

/// The metrics once they have this line.
pub(super) fn wait_for_metric(admin: &mut Admin, line: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = String::from_utf8(admin.get("/metrics").body).expect("text");
        if metrics.lines().any(|other| other == line) {
            return metrics;
        }
        assert!(Instant::now() < deadline, "{line}\n{metrics}");
    }
}

#[test]
fn op04_op05_op06_what_is_answered() {
    let backends = Backends::start(1);
    let (gateway, mut admin) = start(&backends);
    let mut client = Client::connect(gateway.address);
    for _ in 0..10 {
        client.get("/", &[]).pod();
    }
    for path in ["/livez", "/healthz", "/readyz"] {
        let answer = admin.get(path);
        assert_eq!((answer.status, &*answer.body), (200, &b"ok\n"[..]), "{path}");
    }
    let ready = admin.get("/readyz?verbose").json();
    assert_eq!(ready, serde_json::json!({"ready": true, "reasons": []}));

    let route = "httproute/default/only/rule/0";
    // A request is counted when its answer is out, a moment after the client has it.
    let counted = format!(
        "http_server_request_duration_seconds_count{{http_route=\"{route}\",url_scheme=\"http\",http_request_method=\"GET\",network_protocol_version=\"1.1\",http_response_status_code=\"200\"}} 10"
    );
    let metrics = wait_for_metric(&mut admin, &counted);
    for line in [
        format!("weir_requests_total{{route=\"{route}\",code_class=\"2xx\"}} 10"),
        format!(
            "weir_endpoint_requests_total{{backend=\"service/default/backend/3000\",endpoint=\"127.0.0.1:{}\",code_class=\"2xx\"}} 10",
            backends.ports()[0]
        ),
        "weir_config_in_sync 1".to_owned(),
        "weir_config_last_reload_success 1".to_owned(),
        format!("weir_listener_up{{listener=\"{}\"}} 1", gateway.address),
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line}\n{metrics}");
    }

    let status = admin.get("/status").json();
    assert_eq!(status["schema"], "weir.status/v1");
    assert_eq!(status["status"], "healthy");
    assert_eq!(status["routes"][0]["key"], route);
    assert_eq!(status["backends"][0]["endpoints"][0]["share_percent"], 100.0);

    let config = admin.get("/config").json();
    assert_eq!(config["schema"], "weir.config/v1");
    assert_eq!(config["in_sync"], true);
    let origin = config["routes"][0]["origin"].as_str().expect("an origin");
    assert!(origin.contains("weir.yaml:"), "{origin}");
}

#[test]
fn op04_changes_need_the_token_and_pages_are_refused() {
    let backends = Backends::start(1);
    let (_gateway, mut admin) = start(&backends);
    let right = format!("Bearer {TOKEN}");
    for (method, headers, status) in [
        ("GET", vec![], 200),
        ("POST", vec![], 405),
        (
            "GET",
            vec![("authorization", "Bearer something-else-entirely")],
            401,
        ),
        ("GET", vec![("origin", "http://evil.example")], 403),
    ] {
        // A path that takes GET only: what is refused is refused before that counts.
        let status = if method == "POST" { 403 } else { status };
        assert_eq!(
            admin.ask(method, "/status", &headers).status,
            status,
            "{method} {headers:?}"
        );
    }
    assert_eq!(
        admin.ask("POST", "/status", &[("authorization", &right)]).status,
        405
    );
    let rebound = admin.ask("GET", "/status", &[("host", "evil.example")]);
    assert!(rebound.status == 400 || rebound.status == 421, "{rebound:?}");
    assert_eq!(admin.get("/nothing").status, 404);
}

#[test]
fn op04_a_chosen_address_in_use_is_an_error_and_an_open_one_needs_a_real_token() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let path = folder.write("weir.yaml", &(gateway_and_service(free_port(), &[1]) + ROUTE));
    let path = path.to_str().expect("UTF-8");
    let refused = weir(&["run", "-c", path, "--admin", &address], "");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("cannot open the admin API"),
        "{}",
        refused.stderr
    );

    let open = weir(&["run", "-c", path, "--admin", "0.0.0.0:0"], "");
    assert_eq!(open.code, Some(2), "{open:?}");
    assert!(
        open.stderr.contains("would be open to other machines"),
        "{}",
        open.stderr
    );
    let short = weir(
        &[
            "run",
            "-c",
            path,
            "--admin",
            "0.0.0.0:0",
            "--admin-token",
            "short",
        ],
        "",
    );
    assert_eq!(short.code, Some(2), "{short:?}");
}

#[test]
fn op04_narrow_doors_say_whether_it_is_well_and_nothing_else() {
    let port = free_port();
    let flags = [
        "--health-address",
        "127.0.0.1:0",
        "--metrics-address",
        "127.0.0.1:0",
    ];
    let gateway = Gateway::start_with(port, &(gateway_and_service(port, &[1]) + ROUTE), &flags);
    let place = |what: &str| {
        let line = gateway.process.stderr.wait_after(0, &format!("{what} on "));
        line.rsplit_once(' ')
            .expect("an address")
            .1
            .parse()
            .expect("an address")
    };
    for (what, path, status) in [
        ("health", "/readyz", 200),
        ("health", "/metrics", 404),
        ("metrics", "/livez", 200),
        ("metrics", "/metrics", 200),
        ("metrics", "/config", 404),
    ] {
        let mut client = Client::connect(place(what));
        assert_eq!(client.get(path, &[]).status, status, "{what} {path}");
    }
}

#[test]
fn op12_while_it_drains_it_is_alive_and_not_ready() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = gateway_and_service(port, &backends.ports()) + ROUTE;
    let flags = [&ADMIN[..], &["--drain-delay", "60s"]].concat();
    let mut gateway = Gateway::start_with(port, &config, &flags);
    let mut admin = Admin::of_gateway(&gateway);
    assert_eq!(admin.get("/readyz").status, 200);
    gateway.process.signal("TERM");
    gateway.process.stderr.wait_after(0, "about to drain");
    assert_eq!(admin.get("/livez").status, 200);
    let ready = admin.get("/readyz?verbose");
    assert_eq!(
        (ready.status, &ready.json()["reasons"][0]),
        (503, &"draining".into())
    );
    // Whoever has not heard yet is served.
    Client::connect(gateway.address).get("/", &[]).pod();
    let second = Instant::now();
    gateway.process.signal("TERM");
    assert_eq!(
        gateway.process.wait().code(),
        Some(5),
        "the second signal ends it at once"
    );
    assert!(second.elapsed() < Duration::from_secs(30) && PATIENCE < Duration::from_secs(60));
}

#[test]
fn op12_the_end_in_its_order() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = gateway_and_service(port, &backends.ports()) + ROUTE;
    let flags = [&ADMIN[..], &["--drain-delay", "300ms", "--drain-timeout", "20s"]].concat();
    let mut gateway = Gateway::start_with(port, &config, &flags);
    let mut admin = Admin::of_gateway(&gateway);
    let mut busy = Client::connect(gateway.address);
    busy.send("GET /?t=1500ms HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    while backends.requests()[0] == 0 {
        std::thread::yield_now();
    }
    let begun = Instant::now();
    gateway.process.signal("TERM");
    gateway.process.stderr.wait_after(0, "about to drain");
    assert_eq!(admin.get("/readyz").status, 503);
    Client::connect(gateway.address).get("/", &[]).pod();
    gateway.process.stderr.wait_after(0, "draining: finishing");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(admin.get("/livez").status, 200, "it answers to the end");
    assert_eq!(busy.response("GET").pod(), "backend-1");
    assert_eq!(gateway.process.wait().code(), Some(0));
    assert!(std::net::TcpStream::connect(admin.address).is_err());
}

#[test]
fn kt28_a_reload_that_is_asked_for_says_what_came_of_it() {
    let backends = Backends::start(1);
    let (gateway, mut admin) = start(&backends);
    let reloaded = admin.post("/reload").json();
    assert_eq!(
        (&reloaded["generation_running"], &reloaded["in_sync"]),
        (&1.into(), &true.into())
    );
    let port = gateway.address.port();
    let broken = gateway_and_service(port, &backends.ports()) + &ROUTE.replace("kind: HTTPRoute", "kind: [");
    gateway.rewrite(&broken, "running differs from disk");
    let reloaded = admin.post("/reload").json();
    assert_eq!(reloaded["in_sync"], false, "{reloaded:#}");
    assert!(reloaded["errors"].as_u64() > Some(0), "{reloaded:#}");
    let status = admin.get("/status").json();
    assert_eq!(status["status"], "degraded");
    assert_eq!(status["config"]["reloads_bad"], 1);
    Client::connect(gateway.address).get("/", &[]).pod();
}

#[test]
fn op04_the_socket_takes_changes_without_a_token() {
    let folder = Folder::new();
    let path = folder.write("weir.yaml", &(gateway_and_service(free_port(), &[1]) + ROUTE));
    let socket = folder.path().join("admin.sock");
    let place = format!("unix:{}", socket.display());
    let process = Process::start(&["run", "-c", path.to_str().expect("UTF-8"), "--admin", &place]);
    process.stderr.wait_after(0, "generation 1 in force");
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).expect("it listens");
    use std::io::{Read as _, Write as _};
    let request = "POST /reload HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
