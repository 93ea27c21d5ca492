//! Names to addresses: asks name servers itself, since the C library does not say how long an answer holds.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RecordType;
use weir_model::LookupFamily;

/// `/etc/resolv.conf` and `/etc/hosts` are read again when a lookup begins this long after they were.
const SYSTEM_AGE: Duration = Duration::from_secs(5);
/// A name server that has not answered for this long is asked once more, or the next one is.
const SERVER_PATIENCE: Duration = Duration::from_secs(2);
/// What the library gives to addresses of the hosts file, which have no time to live. Seconds.
const TTL_OF_HOSTS: u32 = 86_400;

/// Finds the addresses of names. Shared by threads; lookups run side by side.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of `name` in that family.
    fn resolve<'a>(&'a self, name: &'a str, family: LookupFamily) -> Resolving<'a>;
}

/// A lookup under way.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = Result<Resolution, ResolveError>> + Send + 'a>>;

/// What a name has resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// In the order received; nothing about them is checked yet.
    pub addresses: Vec<IpAddr>,
    /// How long that holds; `None` when nobody says so.
    pub ttl: Option<Duration>,
}

impl Resolution {
    /// The addresses that can be connected to, sorted and each once, at most `max` of them: a lying server must not fill
    /// the memory (reliability row 29). An IPv4 address in an IPv6 one is itself.
    #[must_use]
    pub fn bounded(&self, max: usize) -> Vec<IpAddr> {
        let canonical = self.addresses.iter().map(IpAddr::to_canonical);
        let mut addresses: Vec<IpAddr> = canonical.filter(is_somewhere).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(max);
        addresses
    }
}

/// Why a name has no addresses. The name server or whoever wrote the name is at fault; a later try may succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// There is no such name.
    Unknown,
    /// The name has no address of the family that is wanted.
    Empty,
    /// No answer was to be had, and why.
    Failed(String),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => out.write_str("there is no such name"),
            Self::Empty => out.write_str("the name has no addresses"),
            Self::Failed(error) => out.write_str(error),
        }
    }
}

impl std::error::Error for ResolveError {}

/// Asks name servers. Lookups need a tokio runtime with I/O and time.
#[derive(Default)]
pub struct DnsResolver {
    servers: Vec<SocketAddr>,
    system: Mutex<Option<(Instant, TokioResolver)>>,
}

impl DnsResolver {
    /// One that asks `servers`; without any, those of `/etc/resolv.conf`, as that file says and after `/etc/hosts`.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            system: Mutex::default(),
        }
    }

    /// The library's resolver. The system's settings may change: one of them serves for a few seconds only.
    fn library(&self) -> Result<TokioResolver, ResolveError> {
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, resolver)) = &*system
            && (since.elapsed() < SYSTEM_AGE || !self.servers.is_empty())
        {
            return Ok(resolver.clone());
        }
        let resolver = self.build().map_err(failed)?;
        *system = Some((Instant::now(), resolver.clone()));
        Ok(resolver)
    }

    fn build(&self) -> Result<TokioResolver, NetError> {
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = self.servers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        adjust(builder.options_mut());
        builder.build()
    }

    async fn look_up(&self, name: &str, family: LookupFamily) -> Result<Resolution, ResolveError> {
        if let Ok(address) = name.parse() {
            return Ok(Resolution {
                addresses: vec![address],
                ttl: None,
            });
        }
        let library = self.library()?;
        let of = |kind| one(&library, name, kind);
        match family {
            LookupFamily::V4 => of(RecordType::A).await,
            LookupFamily::V6 => of(RecordType::AAAA).await,
            LookupFamily::PreferV4 => match of(RecordType::A).await {
                Err(ResolveError::Empty) => of(RecordType::AAAA).await,
                found => found,
            },
            LookupFamily::PreferV6 => match of(RecordType::AAAA).await {
                Err(ResolveError::Empty) => of(RecordType::A).await,
                found => found,
            },
            LookupFamily::Both => both(of(RecordType::A).await, of(RecordType::AAAA).await),
        }
    }
}

impl fmt::Debug for DnsResolver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = out.debug_struct("DnsResolver");
        out.field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl Resolve for DnsResolver {
    fn resolve<'a>(&'a self, name: &'a str, family: LookupFamily) -> Resolving<'a> {
        Box::pin(self.look_up(name, family))
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn adjust(options: &mut ResolverOpts) {
    // The system's are made for people who wait; here the last good answer stays meanwhile, and another server may know.
    options.timeout = options.timeout.min(SERVER_PATIENCE);
    options.attempts = options.attempts.min(1);
    // Who asks decides when to ask again.
    options.cache_size = 0;
    // Together with a random port and identifier: forging an answer takes more guesses (draft-vixie-dnsext-dns0x20).
    options.case_randomization = true;
}

/// The records of one kind.
async fn one(library: &TokioResolver, name: &str, kind: RecordType) -> Result<Resolution, ResolveError> {
    let lookup = library.lookup(name, kind).await.map_err(failed)?;
    let addresses: Vec<IpAddr> = lookup
        .answers()
        .iter()
        .filter_map(|record| record.data.ip_addr())
        .collect();
    if addresses.is_empty() {
        return Err(ResolveError::Empty);
    }
    // Also that of an alias on the way.
    let ttl = lookup.answers().iter().map(|record| record.ttl).min();
    Ok(Resolution {
        addresses,
        ttl: ttl
            .filter(|ttl| *ttl < TTL_OF_HOSTS)
            .map(|ttl| Duration::from_secs(ttl.into())),
    })
}

/// Both together; one of them is enough.
fn both(
    first: Result<Resolution, ResolveError>,
    second: Result<Resolution, ResolveError>,
) -> Result<Resolution, ResolveError> {
    match (first, second) {
        (Ok(mut first), Ok(second)) => {
            first.addresses.extend(second.addresses);
            first.ttl = first.ttl.into_iter().chain(second.ttl).min();
            Ok(first)
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
        (Err(error @ ResolveError::Failed(_)), Err(_)) => Err(error),
        (Err(_), Err(error)) => Err(error),
    }
}

fn failed(error: NetError) -> ResolveError {
    if error.is_nx_domain() {
        ResolveError::Unknown
    } else if error.is_no_records_found() {
        ResolveError::Empty
    } else {
        ResolveError::Failed(error.to_string())
    }
}

/// Whether there can be an endpoint.
fn is_somewhere(address: &IpAddr) -> bool {
    let is_nowhere = address.is_unspecified() || address.is_multicast();
    !is_nowhere && *address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(name: &str, family: LookupFamily) -> Result<Resolution, ResolveError> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("runtime")
            .block_on(DnsResolver::default().resolve(name, family))
    }

    #[test]
    fn addresses_are_their_own_answer_and_local_names_resolve() {
        let found = resolve("127.0.0.9", LookupFamily::V6).expect("literal");
        assert_eq!(found.addresses, ["127.0.0.9".parse::<IpAddr>().expect("address")]);
        for family in [LookupFamily::V4, LookupFamily::PreferV4, LookupFamily::Both] {
            let found = resolve("localhost", family).expect("localhost");
            assert!(found.addresses.iter().all(IpAddr::is_loopback), "{found:?}");
            assert!(!found.addresses.is_empty() && found.ttl.is_none(), "{found:?}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_is_an_error() {
        for name in ["", "a..b", &"x".repeat(300), "spaces in it.invalid"] {
            assert!(resolve(name, LookupFamily::Both).is_err(), "{name}");
        }
    }

    #[test]
    fn lb32_answers_are_bounded_and_only_addresses_that_can_be_are_used() {
        let of = |texts: &[&str]| Resolution {
            addresses: texts.iter().map(|text| text.parse().expect(text)).collect(),
            ttl: None,
        };
        let text = |found: Vec<IpAddr>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mixed = of(&[
            "10.0.0.2",
            "::ffff:10.0.0.1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "10.0.0.2",
            "2001:db8::1",
        ]);
        assert_eq!(text(mixed.bounded(9)), ["10.0.0.1", "10.0.0.2", "2001:db8::1"]);
        assert_eq!(text(mixed.bounded(2)), ["10.0.0.1", "10.0.0.2"]);
        let many = Resolution {
            addresses: (0..5_000u32)
                .map(|one| IpAddr::from((one + 0x0a00_0000).to_be_bytes()))
                .collect(),
            ttl: None,
        };
        assert_eq!(many.bounded(256).len(), 256);
    }

    #[test]
    fn lb32_one_family_of_two_is_enough() {
        let found = |text: &str, ttl| Resolution {
            addresses: vec![text.parse().expect(text)],
            ttl: Some(Duration::from_secs(ttl)),
        };
        let (four, six) = (found("10.0.0.1", 9), found("2001:db8::1", 5));
        let failed = || ResolveError::Failed("refused".to_owned());
        let together = both(Ok(four.clone()), Ok(six.clone())).expect("both");
        assert_eq!(together.addresses.len(), 2);
        assert_eq!(together.ttl, six.ttl);
        assert_eq!(both(Ok(four.clone()), Err(failed())), Ok(four));
        assert_eq!(both(Err(ResolveError::Empty), Ok(six.clone())), Ok(six));
        assert_eq!(both(Err(failed()), Err(ResolveError::Empty)), Err(failed()));
        assert_eq!(both(Err(ResolveError::Empty), Err(failed())), Err(failed()));
    }
}
