//! Names to addresses, through the system's resolver.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Why a name has no addresses. The resolver or whoever wrote the name is at fault; a later try may succeed.
#[derive(Debug)]
pub enum ResolveError {
    /// The resolver answered with an error.
    Failed(io::Error),
    /// The resolver answered with nothing.
    Empty,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(out),
            Self::Empty => out.write_str("the name has no addresses"),
        }
    }
}

impl std::error::Error for ResolveError {}

/// The addresses of `name`, sorted, without duplicates, at most `answers_max` (reliability: a lying server must not
/// fill the memory). An address written as text is its own answer. The lookup runs on the runtime's blocking pool.
pub async fn resolve(name: &str, port: u16, answers_max: usize) -> Result<Vec<SocketAddr>, ResolveError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let answers = tokio::net::lookup_host((name, port))
        .await
        .map_err(ResolveError::Failed)?;
    let mut addresses: Vec<SocketAddr> = answers.collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(answers_max);
    if addresses.is_empty() {
        Err(ResolveError::Empty)
    } else {
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("runtime")
            .block_on(future)
    }

    #[test]
    fn addresses_are_their_own_answer_and_local_names_resolve() {
        block_on(async {
            let addresses = resolve("127.0.0.9", 80, 4).await.expect("literal");
            assert_eq!(addresses, ["127.0.0.9:80".parse().expect("address")]);
            let addresses = resolve("localhost", 81, 1).await.expect("localhost");
            assert_eq!(addresses.len(), 1);
            assert!(addresses[0].ip().is_loopback());
        });
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        block_on(async {
            assert!(resolve("no-such-name.invalid", 80, 4).await.is_err());
        });
    }
}
