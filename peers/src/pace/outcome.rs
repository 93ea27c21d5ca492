//! What became of every request.

use std::time::Duration;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a whole response of this status.
    Answered(u16),
    /// The connection could not be made, or ended before the response did.
    Broken,
    /// Without a whole response in time.
    Late,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// Its number, from 0.
    pub number: u32,
    /// POST, else GET.
    pub is_post: bool,
    /// When it was due, since the beginning.
    pub due: Duration,
    /// From then to its end.
    pub latency: Duration,
    /// How it ended.
    pub end: End,
}

impl Exchange {
    /// Whether it was answered 200.
    pub fn is_good(&self) -> bool {
        self.end == End::Answered(200)
    }
}

/// What became of a load, in the order in which requests were due.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Every request.
    pub exchanges: Vec<Exchange>,
}

impl Outcome {
    /// Requests of one method that were not answered 200.
    pub fn lost(&self, is_post: bool) -> usize {
        let lost = |exchange: &&Exchange| exchange.is_post == is_post && !exchange.is_good();
        self.exchanges.iter().filter(lost).count()
    }

    /// Requests of one method.
    pub fn count(&self, is_post: bool) -> usize {
        self.exchanges
            .iter()
            .filter(|exchange| exchange.is_post == is_post)
            .count()
    }

    /// The latency that a share of the requests answered 200 did not exceed; zero when there was none.
    pub fn latency(&self, share: f64) -> Duration {
        let good = self.exchanges.iter().filter(|exchange| exchange.is_good());
        let mut latencies: Vec<Duration> = good.map(|exchange| exchange.latency).collect();
        latencies.sort_unstable();
        let rank = (latencies.len() as f64 * share).ceil() as usize;
        latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// How requests ended that were not answered 200, with their numbers: "502 x 3".
    pub fn losses(&self) -> String {
        let mut ends: Vec<(String, usize)> = Vec::new();
        for exchange in self.exchanges.iter().filter(|exchange| !exchange.is_good()) {
            let method = if exchange.is_post { "POST" } else { "GET" };
            let word = match exchange.end {
                End::Answered(status) => format!("{method} {status}"),
                End::Broken => format!("{method} broken"),
                End::Late => format!("{method} late"),
            };
            match ends.iter_mut().find(|(known, _)| *known == word) {
                Some((_, count)) => *count += 1,
                None => ends.push((word, 1)),
            }
        }
        let parts: Vec<String> = ends
            .iter()
            .map(|(word, count)| format!("{word} x {count}"))
            .collect();
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_latencies_are_counted() {
        let exchange = |number: u32, end| Exchange {
            number,
            is_post: number.is_multiple_of(2),
            due: Duration::ZERO,
            latency: Duration::from_millis(number.into()),
            end,
        };
        let mut outcome = Outcome::default();
        assert_eq!(outcome.latency(0.99), Duration::ZERO);
        for number in 1..=100 {
            outcome.exchanges.push(exchange(number, End::Answered(200)));
        }
        assert_eq!(outcome.latency(0.99), Duration::from_millis(99));
        assert_eq!(outcome.latency(0.5), Duration::from_millis(50));
        for end in [End::Answered(502), End::Late, End::Answered(502), End::Broken] {
            let number = outcome.exchanges.len() as u32 + 1;
            outcome.exchanges.push(exchange(number, end));
        }
        assert_eq!((outcome.lost(false), outcome.lost(true)), (2, 2));
        assert_eq!((outcome.count(false), outcome.count(true)), (52, 52));
        assert_eq!(outcome.losses(), "GET 502 x 2, POST late x 1, POST broken x 1");
        assert_eq!(outcome.latency(1.0), Duration::from_millis(100));
    }
}
