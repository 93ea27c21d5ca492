//! The default times of tenants, from a tenants file as it is written to the real data plane, in virtual time (row KT24).
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use weir_config::resource::ResourceSet;
use weir_config::translate::{Options as Translating, translate};
use weir_model::{Action, Config, Forward};
use weir_net::simulation::{Notice, SocketId, World};
use weir_proxy::Options;
use weir_proxy::simulation::Plane;

const SECOND_US: u64 = 1_000_000;
/// Timers and sweeps are this much late at most.
const LATE_US: u64 = SECOND_US;
const ROOM: usize = 64 * 1024;
const REQUEST: &str = "GET /t/ HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// One tenant over one service, with these further lines.
fn config(tenant: &str) -> Config {
    let text = format!(
        "\
server: {{address: 127.0.0.1, port: 8080}}
tenants:
  - name: t
    path_prefix: /t/
    services: [{{name: s, url: 'http://10.0.0.1:80', health_type: none}}]
{tenant}
"
    );
    let set = ResourceSet::from_texts([("tenants.yaml", &*text)]);
    let translation = translate(&set, &Translating::files());
    assert_eq!((set.problems.len(), translation.problems.len()), (0, 0));
    Config::clone(&translation.config)
}

/// What a backend does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backend {
    /// It takes no connection and refuses none.
    Deaf,
    /// It takes requests and says nothing.
    Silent,
    /// It answers at once.
    Good,
}

/// A client, weir and a backend. What happens is noted with its time.
struct Stage {
    plane: Plane,
    world: World,
    backend: Backend,
    client: Option<SocketId>,
    /// What the client has been told.
    told: Vec<u8>,
    /// When the client was told something first.
    told_us: Option<u64>,
    /// When weir closed a connection.
    closed_us: BTreeMap<SocketId, u64>,
    /// Connections to the backend.
    dialled: Vec<SocketId>,
}

impl Stage {
    fn new(tenant: &str, backend: Backend) -> Self {
        let world = World::enter(7);
        let options = Options {
            workers: 1,
            seed: Some(7),
            reason_header: true,
            ..Options::default()
        };
        let mut plane = Plane::start(options).expect("a plane");
        plane.publish(config(tenant).into());
        let mut stage = Self {
            plane,
            world,
            backend,
            client: None,
            told: Vec::new(),
            told_us: None,
            closed_us: BTreeMap::new(),
            dialled: Vec::new(),
        };
        stage.run_for(SECOND_US);
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let client = stage.world.knock(at(8080), at(1024), ROOM, 0);
        stage.client = Some(client.expect("weir listens"));
        stage.run_for(SECOND_US);
        stage
    }

    /// The client's bytes arrive; the time at which they do.
    fn send(&mut self, text: &str) -> u64 {
        let client = self.client.expect("a client");
        assert!(self.world.arrive(client, text.as_bytes()), "weir listens on");
        (self.told_us, self.told) = (None, Vec::new());
        self.world.now_us()
    }

    fn run_for(&mut self, span_us: u64) {
        let end_us = self.world.now_us() + span_us;
        loop {
            self.settle();
            let loops = 0..self.plane.loops();
            let patience = loops.map(|index| self.plane.patience(index)).min();
            let patience_us = patience.unwrap_or(Duration::MAX).as_micros();
            let next_us = u64::try_from(patience_us).unwrap_or(u64::MAX).max(1);
            let next_us = self.world.now_us().saturating_add(next_us);
            if next_us > end_us {
                return self.world.advance_to(end_us);
            }
            self.world.advance_to(next_us);
        }
    }

    /// Lets everything happen that can happen now.
    fn settle(&mut self) {
        loop {
            for index in 0..self.plane.loops() {
                self.plane.look(index);
                while self.plane.poll_next(index) {}
            }
            let notices = self.world.take_notices();
            let is_at_rest = notices.is_empty();
            notices.into_iter().for_each(|notice| self.heed(notice));
            if is_at_rest && !(0..self.plane.loops()).any(|index| self.plane.is_ready(index)) {
                return;
            }
        }
    }

    fn heed(&mut self, notice: Notice) {
        let now_us = self.world.now_us();
        match notice {
            Notice::Dialled { socket, .. } => {
                self.dialled.push(socket);
                if self.backend != Backend::Deaf {
                    self.world.open(socket, ROOM);
                }
            }
            Notice::Wrote(socket) => {
                let bytes = self.world.collect(socket, ROOM);
                self.world.grant(socket, bytes.len());
                if Some(socket) == self.client {
                    self.told_us.get_or_insert(now_us);
                    self.told.extend(bytes);
                } else if self.backend == Backend::Good && bytes.ends_with(b"\r\n\r\n") {
                    self.world.arrive(socket, ANSWER);
                }
            }
            Notice::Closed { socket, .. } => {
                self.closed_us.insert(socket, now_us);
            }
            Notice::Read(_) | Notice::Shut(_) => {}
        }
    }

    /// The status of the answer, and its reason.
    fn answer(&self) -> (String, String) {
        let told = String::from_utf8_lossy(&self.told);
        let status = told.get(9..12).unwrap_or_default().to_owned();
        let reason = told.lines().find_map(|line| line.strip_prefix("x-weir-reason: "));
        (status, reason.unwrap_or_default().to_owned())
    }
}

fn forward(config: &Config) -> &Forward {
    let rules = config.routes.iter().flat_map(|route| &route.rules);
    let mut forwards = rules.filter_map(|rule| match &rule.action {
        Action::Forward(forward) => Some(forward),
        Action::Redirect(_) | Action::Answer(_) => None,
    });
    forwards.next().expect("a rule that forwards")
}

#[test]
fn kt24_a_tenant_that_says_nothing_has_keystones_times() {
    for (tenant, request_s, connect_s, idle_s) in [
        ("", Some(60), 10, Some(120)),
        ("    timeouts: {request: 5s, connect: 1s}", Some(5), 1, Some(120)),
        ("    timeouts: {request: 0}", None, 10, Some(120)),
        (
            "    policy: {timeout: {http: {connectionIdleTimeout: 7s, requestTimeout: 8s}}}",
            Some(8),
            10,
            Some(7),
        ),
        (
            "    policy: {timeout: {http: {connectionIdleTimeout: 0s}}}",
            Some(60),
            10,
            None,
        ),
        // The standard of other policies, when it is said.
        (
            "    policy: {timeout: {http: {connectionIdleTimeout: 60s}}}",
            Some(60),
            10,
            Some(60),
        ),
    ] {
        let config = config(tenant);
        let rules = config.routes.iter().flat_map(|route| &route.rules);
        let forwards = rules.filter(|rule| matches!(rule.action, Action::Forward(_)));
        let timeouts: Vec<_> = forwards.map(|rule| &rule.timeouts).collect();
        let seconds = |span: Option<Duration>| span.map(|span| span.as_secs());
        let idle = forward(&config).upstream.connection.idle_timeout;
        assert_eq!(timeouts.len(), 1, "{tenant}");
        assert_eq!(
            (
                seconds(timeouts[0].request),
                timeouts[0].connect.as_secs(),
                seconds(idle)
            ),
            (request_s, connect_s, idle_s),
            "{tenant}"
        );
    }
}

#[test]
fn kt24_connecting_takes_ten_seconds_and_a_request_sixty_at_most() {
    for (backend, after_s, reason) in [
        (Backend::Deaf, 10, "connect_timeout"),
        (Backend::Silent, 60, "request_timeout"),
    ] {
        let mut stage = Stage::new("", backend);
        let sent_us = stage.send(REQUEST);
        stage.run_for(after_s * SECOND_US - 1);
        assert_eq!((stage.told_us, stage.dialled.len()), (None, 1), "{reason}");
        stage.run_for(LATE_US);
        assert_eq!(stage.answer(), ("504".to_owned(), reason.to_owned()));
        let late_us = stage.told_us.expect("told") - sent_us - after_s * SECOND_US;
        assert!(late_us < LATE_US, "{late_us}");
    }
}

#[test]
fn kt24_a_head_takes_ten_seconds_at_most() {
    let mut stage = Stage::new("", Backend::Good);
    let client = stage.client.expect("a client");
    stage.send(REQUEST);
    stage.run_for(SECOND_US);
    assert_eq!(stage.answer().0, "200");
    // Byte by byte: it is the whole head that counts.
    let begun_us = stage.send("G");
    for byte in ["E", "T", " "] {
        stage.run_for(3 * SECOND_US);
        stage.send(byte);
    }
    stage.run_for(SECOND_US - 1);
    assert_eq!((stage.told_us, stage.closed_us.get(&client)), (None, None));
    stage.run_for(LATE_US);
    assert_eq!(stage.answer().0, "408");
    let late_us = stage.told_us.expect("told") - begun_us - 10 * SECOND_US;
    assert!(late_us < LATE_US, "{late_us}");
}

#[test]
fn kt24_an_unused_connection_to_a_service_is_kept_for_two_minutes() {
    let mut stage = Stage::new("", Backend::Good);
    for _ in 0..3 {
        stage.send(REQUEST);
        // Just inside of what a client's own connection may be idle.
        stage.run_for(50 * SECOND_US);
        assert_eq!(
            (&*stage.answer().0, stage.dialled.len()),
            ("200", 1),
            "one connection"
        );
    }
    let used_us = stage.send(REQUEST);
    let connection = stage.dialled[0];
    stage.run_for(120 * SECOND_US - 1);
    assert_eq!(stage.closed_us.get(&connection), None);
    // Whoever looks through pools does so now and then.
    stage.run_for(30 * SECOND_US);
    let closed_us = stage.closed_us.get(&connection).copied();
    let unused_us = closed_us.expect("closed in the end") - used_us;
    assert!(unused_us >= 120 * SECOND_US, "{unused_us}");
}
