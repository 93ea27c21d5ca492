//! `kill -STOP` of one of three backends under load.

use std::time::Duration;

use super::stage::{Shop, sleep_until, under_load};
use crate::docs::policy_under;

#[test]
fn lb28_hc11_no_get_is_lost_when_a_backend_stops_answering() {
    // A backend of a machine that does many other things may need longer than the documentation grants it.
    let policy = policy_under("docs/resilience.md", "A backend stops answering");
    let patient = policy.replace("timeout: 250ms", "timeout: 700ms");
    assert_ne!(policy, patient);
    let shop = Shop::open(&patient);
    let plan = shop.plan(150.0, Duration::from_millis(3_000), 30);
    let (outcome, ()) = under_load(&plan, |begin| {
        sleep_until(begin, 300);
        shop.backends[1].signal("STOP");
        sleep_until(begin, 2_500);
        shop.backends[1].signal("CONT");
    });
    assert_eq!(outcome.lost(false), 0, "{}", outcome.losses());
    let log = &shop.gateway.process.stderr;
    let line = log.wait_after(0, "is ejected");
    assert!(line.contains(&format!(":{} ", shop.ports[1])), "{line}");
    shop.expect_posts_once();
}
