//! Many requests at once, and how they spread.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Client;

/// What every request of a load is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
}

/// How many answers came from each pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spread(pub(crate) BTreeMap<String, u64>);

impl Spread {
    /// Counts one answer.
    pub(crate) fn count(&mut self, pod: String) {
        *self.0.entry(pod).or_default() += 1;
    }

    /// Counts of the pods that answered at all, ascending by pod.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.0.values().copied().collect()
    }

    /// How many pods answered.
    pub(crate) fn pods(&self) -> usize {
        self.0.len()
    }

    /// Answers of a pod.
    pub(crate) fn of(&self, pod: &str) -> u64 {
        self.0.get(pod).copied().unwrap_or(0)
    }

    /// How far it is from even over `pods` ones: chi-square with `pods - 1` degrees of freedom.
    pub(crate) fn chi_square(&self, pods: usize) -> f64 {
        let expected = self.total() as f64 / pods as f64;
        let absent = expected * pods.saturating_sub(self.pods()) as f64;
        let deviation = |count: &u64| (*count as f64 - expected).powi(2) / expected;
        self.0.values().map(deviation).sum::<f64>() + absent
    }

    /// All answers.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Raises a flag when it goes, also when that is because the test has failed: whoever waits for the flag ends.
#[derive(Debug)]
pub(crate) struct RaisedAtEnd<'f>(pub(crate) &'f AtomicBool);

impl Drop for RaisedAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sends `total` requests over `connections` keep-alive connections that all start together, like
/// `hey -n total -c connections`. Every answer must be 200.
pub(crate) fn load(address: SocketAddr, request: Request<'_>, total: usize, connections: usize) -> Spread {
    let start = Barrier::new(connections);
    let mut spread = Spread::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|worker| {
                let start = &start;
                let count = total / connections + usize::from(worker < total % connections);
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    start.wait();
                    (0..count)
                        .map(|_| client.get(request.target, request.headers).pod())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for worker in workers {
            worker
                .join()
                .expect("every request is answered")
                .into_iter()
                .for_each(|pod| spread.count(pod));
        }
    });
    spread
}
