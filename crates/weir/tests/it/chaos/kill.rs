//! `kill -9` of one of three backends under load.

use std::time::Duration;

use super::stage::{Shop, sleep_until, under_load};

#[test]
fn lb28_no_get_is_lost_and_no_post_served_twice_when_backends_are_killed() {
    let mut shop = Shop::documented("A backend dies");
    let plan = shop.plan(200.0, Duration::from_millis(2_400), 30);
    let (outcome, ()) = under_load(&plan, |begin| {
        for (index, at_ms) in [(0, 400), (1, 1_000), (2, 1_600)] {
            sleep_until(begin, at_ms);
            shop.kill(index);
            sleep_until(begin, at_ms + 200);
            shop.revive(index);
        }
    });
    assert_eq!(outcome.lost(false), 0, "{}", outcome.losses());
    // What was under way to a killed backend may have been done: nobody can know.
    assert!(outcome.lost(true) < 20, "{}", outcome.losses());
    shop.expect_posts_once();
}
