//! A backend that is slow and one that fails at once: a trap for whoever counts requests in flight.

use std::net::SocketAddrV4;
use std::time::Duration;

use peers::pace::{self, Arrivals, Outcome, Plan};
use peers::queue::{Backend, Queues};

use super::stage::{ROUTE, target};
use crate::docs::policy_under;
use crate::harness::{Gateway, free_port, gateway_and_service};

/// Ten backends that do fifty requests a second each; the fourth does five, the eighth answers 503 at once.
fn backends() -> Vec<Backend> {
    let backend = |index| Backend {
        address: SocketAddrV4::new([127, 0, 0, 1].into(), free_port()),
        seats: 2,
        service: Duration::from_millis(match index {
            3 => 400,
            7 => 0,
            _ => 40,
        }),
        status: if index == 7 { 503 } else { 200 },
    };
    (0..10).map(backend).collect()
}

/// What becomes of a load with this balancer, and which part of it met the trap.
fn measure(policy: &str) -> (Outcome, f64) {
    let backends = backends();
    let queues = Queues::start(&backends, 1).expect("the ports are free");
    let ports: Vec<u16> = backends.iter().map(|backend| backend.address.port()).collect();
    let port = free_port();
    let gateway = Gateway::start(port, &(gateway_and_service(port, &ports) + ROUTE + policy));
    let plan = Plan {
        arrivals: Arrivals::Random,
        ..Plan::new(target(&gateway), 240.0, Duration::from_secs(4))
    };
    let outcome = pace::run(&plan).expect("this machine works");
    let requests = queues.requests();
    let trapped = requests[7] as f64 / requests.iter().sum::<u64>() as f64;
    (outcome, trapped)
}

#[test]
fn bx01_adaptive_keeps_away_from_the_slow_and_from_those_that_fail_at_once() {
    let policy = policy_under("docs/resilience.md", "Backends that are not alike");
    let (adaptive, trapped) = measure(&policy);
    let (least_request, often_trapped) = measure(&policy.replace("Adaptive", "LeastRequest"));
    assert!(trapped < 0.04, "{trapped}");
    assert!(often_trapped > 0.1, "{often_trapped}: it is a trap");
    let (quick, slow) = (adaptive.latency(0.99), least_request.latency(0.99));
    assert!(quick < slow.mul_f64(0.7), "{quick:?} {slow:?}");
}
