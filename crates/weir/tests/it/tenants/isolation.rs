//! What one tenant's overload does to another one (row KT20).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::get;
use crate::harness::{Client, Gateway, RaisedAtEnd, answer_of, free_port, scripted};

/// Requests that the service of both tenants works on at a time.
const SEATS: usize = 8;
/// How long each takes.
const SERVICE: Duration = Duration::from_millis(20);
/// Clients of the tenant that is to be left alone, and what each asks in a slice.
const QUIET_CLIENTS: usize = 4;
const QUIET_REQUESTS: usize = 25;
/// Clients of the other one: with the four above three times what the service has seats for.
const LOUD_CLIENTS: usize = 20;
/// Slices with and without the load, by turns.
const PAIRS: usize = 4;
/// What a busy machine may add to either side: its time slices, not weir's doing.
const FLOOR: Duration = Duration::from_millis(3);
/// A machine may be busy with something else for a while.
const ATTEMPTS: usize = 3;

/// A service that works on [`SEATS`] requests at a time; the others wait.
fn service() -> u16 {
    let seats = Arc::new((Mutex::new(SEATS), Condvar::new()));
    scripted(move |_| {
        let (free, changed) = &*seats;
        let taken = free.lock().expect("no panic");
        let mut taken = changed.wait_while(taken, |free| *free == 0).expect("no panic");
        *taken -= 1;
        drop(taken);
        std::thread::sleep(SERVICE);
        *free.lock().expect("no panic") += 1;
        changed.notify_one();
        answer_of("backend", 200, "")
    })
}

/// The 99th percentile of a slice of the quiet tenant's requests, all of which must be answered.
fn slice(gateway: &Gateway) -> Duration {
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let ask = || {
            let mut client = Client::connect(gateway.address);
            let mut one = || {
                let begun = Instant::now();
                assert_eq!(get(&mut client, "h", "/quiet/").status, 200);
                begun.elapsed()
            };
            (0..QUIET_REQUESTS).map(|_| one()).collect::<Vec<_>>()
        };
        let clients: Vec<_> = (0..QUIET_CLIENTS).map(|_| scope.spawn(ask)).collect();
        let times = clients.into_iter().map(|client| client.join().expect("answers"));
        times.flatten().collect()
    });
    times.sort_unstable();
    times[times.len() * 99 / 100 - 1]
}

/// The same while the other tenant has more requests than it may have at a time.
fn slice_under_load(gateway: &Gateway, refused: &AtomicUsize) -> Duration {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..LOUD_CLIENTS {
            scope.spawn(|| {
                let mut client = Client::connect(gateway.address);
                while !is_over.load(Ordering::Relaxed) {
                    if get(&mut client, "h", "/loud/").status == 503 {
                        refused.fetch_add(1, Ordering::Relaxed);
                        // It keeps coming, but leaves this machine to the others.
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
        let _over = RaisedAtEnd(&is_over);
        slice(gateway)
    })
}

/// The middle of what the slices of each kind had, without and with the load. One disturbed slice is no matter.
fn measure(gateway: &Gateway, refused: &AtomicUsize) -> (Duration, Duration) {
    let (mut alone, mut beside): (Vec<_>, Vec<_>) = (0..PAIRS)
        .map(|_| (slice(gateway), slice_under_load(gateway, refused)))
        .unzip();
    alone.sort_unstable();
    beside.sort_unstable();
    (alone[PAIRS / 2], beside[PAIRS / 2])
}

#[test]
fn kt20_one_tenants_overload_leaves_the_others_99th_percentile_alone() {
    let (port, service) = (free_port(), service());
    let services =
        format!("services: [{{name: backend, url: 'http://127.0.0.1:{service}', health_type: none}}]");
    // Both may have what there is, but the loud one no more than half of it.
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - name: quiet
    path_prefix: /quiet/
    {services}
  - name: loud
    path_prefix: /loud/
    throttle: 4
    {services}
"
    );
    let gateway = Gateway::start(port, &config);
    let refused = AtomicUsize::new(0);
    let mut measured = Vec::new();
    let is_alone = (0..ATTEMPTS).any(|_| {
        let (alone, beside) = measure(&gateway, &refused);
        measured.push((alone, beside));
        beside <= alone.mul_f64(1.2) + FLOOR
    });
    assert!(is_alone, "without and with the other's load: {measured:?}");
    assert!(refused.into_inner() > 500, "there was an overload");
}
