//! What is asked, and when.

use std::net::SocketAddrV4;
use std::time::Duration;

use crate::Random;

/// A load.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to.
    pub target: SocketAddrV4,
    /// Requests per second.
    pub rate: f64,
    /// How long requests come in.
    pub duration: Duration,
    /// How they come in.
    pub arrivals: Arrivals,
    /// How many of a hundred requests are POSTs; the others are GETs.
    pub posts_percent: u32,
    /// A request without a whole answer after this time is lost.
    pub patience: Duration,
    /// Which random numbers are drawn.
    pub seed: u64,
}

/// The gaps between requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// All the same.
    Even,
    /// As from very many clients that know nothing of each other.
    Random,
}

impl Plan {
    /// GETs at an even pace.
    pub fn new(target: SocketAddrV4, rate: f64, duration: Duration) -> Self {
        Self {
            target,
            rate,
            duration,
            arrivals: Arrivals::Even,
            posts_percent: 0,
            patience: Duration::from_secs(10),
            seed: 1,
        }
    }

    /// When each request is due, and whether it is a POST.
    pub(super) fn schedule(&self) -> Vec<(Duration, bool)> {
        let mut random = Random::new(self.seed);
        let gap_s = 1.0 / self.rate;
        let mut due_s = 0.0;
        let mut schedule = Vec::new();
        while due_s < self.duration.as_secs_f64() {
            let is_post = random.number() % 100 < u64::from(self.posts_percent);
            schedule.push((Duration::from_secs_f64(due_s), is_post));
            due_s += match self.arrivals {
                Arrivals::Even => gap_s,
                Arrivals::Random => gap_s * random.exponential(),
            };
        }
        schedule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_has_the_rate_and_the_share_of_posts() {
        let target = "127.0.0.1:1".parse().expect("an address");
        for (arrivals, low, high) in [(Arrivals::Even, 9_999, 10_001), (Arrivals::Random, 9_700, 10_300)] {
            let plan = Plan {
                arrivals,
                posts_percent: 30,
                ..Plan::new(target, 1_000.0, Duration::from_secs(10))
            };
            let schedule = plan.schedule();
            assert!(
                (low..=high).contains(&schedule.len()),
                "{arrivals:?} {}",
                schedule.len()
            );
            let posts = schedule.iter().filter(|(_, is_post)| *is_post).count();
            assert!((2_800..3_200).contains(&posts), "{posts}");
            assert!(schedule.is_sorted());
        }
    }
}
