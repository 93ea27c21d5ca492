//! All backends are gone under load.

use std::time::Duration;

use peers::Trapdoor;
use peers::pace::{Exchange, Outcome};

use super::stage::{Shop, sleep_until, under_load};
use crate::docs::policy_under;
use crate::harness::Folder;

const RATE: f64 = 300.0;
const GONE_MS: std::ops::Range<u64> = 500..3_000;
/// What an outage may cost in attempts: a fifth more than the requests that fail, a fifth of those served before it,
/// which have paid for what was saved up, and the few with which it is found out that nobody is there.
fn attempts_max(served_before: usize, failed: usize) -> u64 {
    ((served_before + 6 * failed) / 5 + 12) as u64
}

/// Nothing that was due two seconds after the return was lost.
fn expect_recovery(outcome: &Outcome, back_at_ms: u64) {
    let recovered_at = Duration::from_millis(back_at_ms + 2_000);
    let late = outcome
        .exchanges
        .iter()
        .filter(|exchange| exchange.due > recovered_at);
    let (good, bad): (Vec<&Exchange>, Vec<&Exchange>) = late.partition(|exchange| exchange.is_good());
    assert!(good.len() > 100 && bad.is_empty(), "{bad:?}");
    assert!(outcome.lost(false) > 300, "there was an outage");
}

#[test]
fn lb29_hc10_hc13_an_outage_of_broken_backends_is_not_made_worse_and_ends_when_it_ends() {
    let mut shop = Shop::documented("All backends are gone");
    let plan = shop.plan(RATE, Duration::from_millis(5_700), 0);
    let (outcome, (attempts, back_at_ms)) = under_load(&plan, |begin| {
        sleep_until(begin, GONE_MS.start);
        (0..3).for_each(|index| shop.kill(index));
        let trapdoor = Trapdoor::open(&shop.ports).expect("the ports are free");
        sleep_until(begin, GONE_MS.end);
        let attempts = trapdoor.count();
        drop(trapdoor);
        (0..3).for_each(|index| shop.revive(index));
        (attempts, begin.elapsed().as_millis() as u64)
    });
    // The probes come on top: three a second.
    let is_before =
        |exchange: &&Exchange| exchange.is_good() && exchange.due.as_millis() < GONE_MS.end.into();
    let served_before = outcome.exchanges.iter().filter(is_before).count();
    let most = attempts_max(served_before, outcome.lost(false)) + 9;
    assert!(attempts <= most, "{attempts} attempts of {most}");
    expect_recovery(&outcome, back_at_ms);
}

#[test]
fn lb29_an_outage_of_killed_backends_is_not_made_worse_with_or_without_retries() {
    let retries = policy_under("docs/resilience.md", "A backend dies");
    for policy in ["", &retries] {
        let folder = Folder::new();
        let log = folder.path().join("access.log");
        let flags = ["--access-log", log.to_str().expect("UTF-8")];
        let mut shop = Shop::open_with(policy, &flags);
        let plan = shop.plan(RATE, Duration::from_millis(GONE_MS.end), 0);
        under_load(&plan, |begin| {
            sleep_until(begin, GONE_MS.start);
            (0..3).for_each(|index| shop.kill(index));
        });
        let Shop { mut gateway, .. } = shop;
        gateway.process.signal("TERM");
        assert!(gateway.process.wait().success());
        let log = std::fs::read_to_string(&log).expect("a log");
        let record = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        let (served, failed): (Vec<_>, Vec<_>) = log
            .lines()
            .map(record)
            .partition(|record| record["status"] == 200);
        let tries = |record: &serde_json::Value| 1 + record["retries"].as_u64().expect("a number");
        let attempts: u64 = failed.iter().map(tries).sum();
        let most = attempts_max(served.len(), failed.len());
        assert!((500..=most).contains(&attempts), "{attempts} attempts of {most}");
    }
}
