//! Units with bounds: a value out of bounds cannot be built.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use crate::limits;

/// A TCP port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(NonZeroU16);

impl Port {
    /// `None` for 0 and for values over 65535.
    pub fn new(value: u64) -> Option<Self> {
        u16::try_from(value).ok().and_then(NonZeroU16::new).map(Self)
    }

    /// The number.
    pub fn number(self) -> u16 {
        self.0.get()
    }
}

/// A share among siblings, 0 to 1,000,000 (Gateway API `BackendRef.weight`). 0 means no traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Weight {
    /// The weight of something that names none.
    pub const ONE: Self = Self(1);
    /// No traffic.
    pub const ZERO: Self = Self(0);

    /// `None` above [`limits::WEIGHT_MAX`].
    pub fn new(value: u64) -> Option<Self> {
        u32::try_from(value)
            .ok()
            .filter(|value| *value <= limits::WEIGHT_MAX)
            .map(Self)
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// A part of a hundred, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(100);

    /// `None` above 100.
    pub const fn new(value: u64) -> Option<Self> {
        if value <= 100 {
            Some(Self(value as u8))
        } else {
            None
        }
    }

    /// The number.
    pub fn number(self) -> u32 {
        u32::from(self.0)
    }

    /// The part as a number between 0 and 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// A time span that may be waited for again and again: [`limits::PERIOD_MIN`] to [`limits::PERIOD_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

impl Period {
    /// `None` out of bounds.
    pub const fn new(span: Duration) -> Option<Self> {
        let nanoseconds = span.as_nanos();
        if nanoseconds >= limits::PERIOD_MIN.as_nanos() && nanoseconds <= limits::PERIOD_MAX.as_nanos() {
            Some(Self(span))
        } else {
            None
        }
    }

    /// The nearest one within the bounds.
    pub const fn clamped(span: Duration) -> Self {
        match Self::new(span) {
            Some(period) => period,
            None if span.as_nanos() < limits::PERIOD_MIN.as_nanos() => Self(limits::PERIOD_MIN),
            None => Self(limits::PERIOD_MAX),
        }
    }

    /// The span.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The span in whole milliseconds; at least 1.
    pub const fn milliseconds(self) -> u64 {
        // Within the bounds this fits.
        self.0.as_millis() as u64
    }
}

/// A rank of failover: 0 serves first, the next one takes over what those before it cannot carry (rows LB26, LB27;
/// Envoy calls it priority). At most [`limits::TIER_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tier(u8);

impl Tier {
    /// The one that serves as long as it can.
    pub const FIRST: Self = Self(0);
    /// The one that Envoy Gateway's `Backend.spec.fallback` means.
    pub const FALLBACK: Self = Self(1);

    /// `None` above [`limits::TIER_MAX`].
    pub const fn new(value: u64) -> Option<Self> {
        if value <= limits::TIER_MAX as u64 {
            Some(Self(value as u8))
        } else {
            None
        }
    }

    /// The number, from 0.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// A part of a whole, `numerator / denominator`, between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    numerator: u32,
    denominator: u32,
}

impl Fraction {
    /// Everything.
    pub const ALL: Self = Self {
        numerator: 1,
        denominator: 1,
    };

    /// `None` when the denominator is 0 or smaller than the numerator.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        (denominator > 0 && numerator <= denominator).then_some(Self {
            numerator,
            denominator,
        })
    }

    /// Whether a uniformly drawn 64-bit number falls inside this part.
    pub fn contains(self, drawn: u64) -> bool {
        let scaled = (u128::from(drawn) * u128::from(self.denominator)) >> 64;
        scaled < u128::from(self.numerator)
    }

    /// The part as a number between 0 and 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

/// An address prefix such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix_length: u8,
}

impl Cidr {
    /// `None` when the prefix length exceeds the family's width. Host bits are cleared.
    pub fn new(address: IpAddr, prefix_length: u8) -> Option<Self> {
        let width = if address.is_ipv4() { 32 } else { 128 };
        (prefix_length <= width).then(|| Self {
            network: mask(address, prefix_length),
            prefix_length,
        })
    }

    /// Reads `ADDRESS/LENGTH`, or a bare address as its own prefix.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('/') {
            Some((address, length)) => Self::new(address.parse().ok()?, length.parse().ok()?),
            None => {
                let address: IpAddr = text.parse().ok()?;
                Self::new(address, if address.is_ipv4() { 32 } else { 128 })
            }
        }
    }

    /// Whether `address` lies inside the prefix. An IPv4-mapped IPv6 address counts as its IPv4 address.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && mask(address, self.prefix_length) == self.network
    }
}

/// `ADDRESS/LENGTH`, as it is read.
impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.network, self.prefix_length)
    }
}

/// `address` with everything after its first `prefix_length` bits cleared.
fn mask(address: IpAddr, prefix_length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let bits = u32::MAX
                .checked_shl(32 - u32::from(prefix_length.min(32)))
                .unwrap_or(0);
            IpAddr::V4((v4.to_bits() & bits).into())
        }
        IpAddr::V6(v6) => {
            let bits = u128::MAX
                .checked_shl(128 - u32::from(prefix_length.min(128)))
                .unwrap_or(0);
            IpAddr::V6((v6.to_bits() & bits).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidr_membership_follows_the_prefix() {
        for (cidr, address, inside) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("::/0", "8.8.8.8", false),
            ("10.1.2.0/24", "::ffff:10.1.2.3", true),
            ("fd00::/8", "fd12::1", true),
        ] {
            let parsed = Cidr::parse(cidr).expect(cidr);
            assert_eq!(
                parsed.contains(address.parse().expect(address)),
                inside,
                "{cidr} {address}"
            );
        }
        assert_eq!(Cidr::parse("10.0.0.0/33"), None);
        assert_eq!(Cidr::parse("ten/8"), None);
    }

    #[test]
    fn bounded_units_refuse_what_is_out_of_bounds() {
        assert_eq!(Percent::new(100), Some(Percent::ALL));
        assert_eq!(Percent::new(101), None);
        assert_eq!(Tier::new(1), Some(Tier::FALLBACK));
        assert_eq!(Tier::new(u64::from(limits::TIER_MAX) + 1), None);
        for (span, valid) in [
            (Duration::ZERO, false),
            (Duration::from_micros(999), false),
            (Duration::from_millis(1), true),
            (limits::PERIOD_MAX, true),
            (limits::PERIOD_MAX + Duration::from_nanos(1), false),
        ] {
            assert_eq!(Period::new(span).is_some(), valid, "{span:?}");
            assert!(
                Period::new(Period::clamped(span).duration()).is_some(),
                "{span:?}"
            );
        }
    }

    #[test]
    fn fraction_contains_its_share_of_the_range() {
        let quarter = Fraction::new(1, 4).expect("1/4");
        assert!(quarter.contains(0));
        assert!(quarter.contains(u64::MAX / 4 - 1));
        assert!(!quarter.contains(u64::MAX / 4 + 2));
        assert!(Fraction::ALL.contains(u64::MAX));
        assert!(!Fraction::new(0, 5).expect("0/5").contains(0));
        assert_eq!(Fraction::new(2, 1), None);
    }
}
