//! Session tokens (rows CH13 to CH15, BX04, BX15): what a client brings back to come to the same endpoint again.
//!
//! A token names an endpoint, or a key from which one follows, and says when its session began and was last used. It
//! is signed with HMAC-SHA-256 (RFC 2104, cut to 128 bits) over itself and the rule that it belongs to: no
//! client can make one or carry it to another rule. Endpoints appear as a keyed hash, so that a token does not tell an
//! address (row CH14). Times are wall-clock seconds and nothing else is kept, so a token holds on every replica that has
//! the key, and after a restart.
//!
//! | bytes | |
//! |---|---|
//! | 1 | form: 1 names an endpoint, 2 carries a key |
//! | 3 | id of the signing key |
//! | 4 | when the session began, seconds since 1970 |
//! | 4 | when the token was written |
//! | 8 | the endpoint's tag, or the key |
//! | 16 | signature |
//!
//! In the text these are 48 characters that need no quoting in a cookie or a header.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use weir_model::EndpointAddress;
use xxhash_rust::xxh64::xxh64;

use crate::rng::mix;
use crate::token_text::{self, TOKEN_BYTES};

/// Bytes of a secret at least.
const SECRET_BYTES_MIN: usize = 32;
/// Bytes before the signature.
const BODY_BYTES: usize = 20;
const FORM_ENDPOINT: u8 = 1;
const FORM_KEY: u8 = 2;
/// A session may seem to begin that much later than now, by another replica's clock.
const CLOCK_SKEW_S: u64 = 60;

/// One secret that tokens are signed with.
#[derive(Clone)]
pub struct TokenKey {
    id: [u8; 3],
    /// Signs tokens; the secret is worked in already.
    signer: Hmac<Sha256>,
    /// Hides addresses.
    tagger: Hmac<Sha256>,
}

/// A secret shorter than 32 bytes. The person who wrote it is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakKey;

/// The secrets in use. The first signs, all verify: to rotate, put a new one first on every replica and take the old one
/// away when its tokens have expired.
#[derive(Clone, Debug)]
pub struct TokenKeys(Box<[TokenKey]>);

/// What a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSubject {
    /// An endpoint, by its tag under the token's key: [`TokenHolders::endpoint`].
    Endpoint {
        /// Position of the token's key in [`TokenKeys`].
        key: u8,
        /// The tag.
        tag: [u8; 8],
    },
    /// A key of the session, from which the endpoint follows: [`TokenHolders::owner`].
    Key(u64),
}

/// A token that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it names.
    pub subject: TokenSubject,
    /// When its session began, seconds since 1970.
    pub begun_s: u64,
    /// When it was written, seconds since 1970.
    pub used_s: u64,
    /// Whether another key than the first signed it: it should be written anew.
    pub is_old_key: bool,
}

/// How long sessions last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionTimeouts {
    /// Since they began.
    pub absolute: Option<Duration>,
    /// Since they were last used.
    pub idle: Option<Duration>,
}

/// Why a token is not followed. The request is then served as one without a token, and gets a new one (row CH14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// No token of weir's.
    Malformed,
    /// Signed with a key that is not in use (any longer, or on another installation).
    UnknownKey,
    /// The signature does not fit: altered, made up, or of another rule.
    Forged,
    /// It begins in the future.
    Early,
    /// Its session has lasted as long as it may.
    Expired,
    /// Its session was not used for too long.
    Idle,
}

/// Where the tokens of a rule lead: its endpoints by tag.
#[derive(Debug)]
pub struct TokenHolders {
    // Tags are keyed hashes, which nobody can aim, so a fixed hash seed is harmless.
    by_tag: HashMap<(u8, [u8; 8]), u32, BuildHasherDefault<DefaultHasher>>,
    /// Unkeyed hashes of the addresses, for [`TokenHolders::owner`]: the same for all keys.
    seeds: Box<[u64]>,
}

impl TokenKey {
    /// A key from a secret; its id follows from it, so that replicas agree without numbering their keys.
    ///
    /// # Errors
    /// The secret has fewer than 32 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, WeakKey> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(WeakKey);
        }
        let root = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| WeakKey)?;
        let derive = |purpose: &[u8]| {
            let secret = root.clone().chain_update(purpose).finalize().into_bytes();
            Hmac::<Sha256>::new_from_slice(&secret).map_err(|_| WeakKey)
        };
        let named = root
            .clone()
            .chain_update(b"weir session token: id")
            .finalize()
            .into_bytes();
        Ok(Self {
            id: [named[0], named[1], named[2]],
            signer: derive(b"weir session token: signature")?,
            tagger: derive(b"weir session token: endpoint")?,
        })
    }

    fn tag(&self, address: &EndpointAddress) -> [u8; 8] {
        let digest = self.tagger.clone().chain_update(address.to_string().as_bytes());
        let digest = digest.finalize().into_bytes();
        std::array::from_fn(|place| digest[place])
    }

    /// The signature over the body and the rule; the body has a fixed length, so the two cannot be confused.
    fn signature(&self, body: &[u8], rule: &[u8]) -> Hmac<Sha256> {
        self.signer.clone().chain_update(body).chain_update(rule)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TokenKey({:02x?}, secret not shown)", self.id)
    }
}

impl TokenKeys {
    /// The keys, the signing one first. At most 256 count. Without any, no token is written or verified.
    pub fn new(keys: Vec<TokenKey>) -> Self {
        let mut keys = keys;
        keys.truncate(256);
        Self(keys.into())
    }

    /// Appends a token that names `endpoint`, for `rule` (any bytes that name the rule on every replica alike), of a
    /// session that began at `begun_s`; returns whether there is a key to sign with. Times are seconds since 1970.
    pub fn write_endpoint(
        &self,
        endpoint: &EndpointAddress,
        rule: &[u8],
        begun_s: u64,
        now_s: u64,
        out: &mut Vec<u8>,
    ) -> bool {
        self.write(
            FORM_ENDPOINT,
            |key| key.tag(endpoint),
            rule,
            [begun_s, now_s],
            out,
        )
    }

    /// As [`TokenKeys::write_endpoint`], with a key of the session in place of an endpoint.
    pub fn write_key(&self, session: u64, rule: &[u8], begun_s: u64, now_s: u64, out: &mut Vec<u8>) -> bool {
        self.write(FORM_KEY, |_| session.to_be_bytes(), rule, [begun_s, now_s], out)
    }

    fn write(
        &self,
        form: u8,
        subject: impl Fn(&TokenKey) -> [u8; 8],
        rule: &[u8],
        times_s: [u64; 2],
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(key) = self.0.first() else {
            return false;
        };
        let mut token = [0; TOKEN_BYTES];
        let (body, signature) = token.split_at_mut(BODY_BYTES);
        body[0] = form;
        body[1..4].copy_from_slice(&key.id);
        for (place, time_s) in body[4..12].chunks_exact_mut(4).zip(times_s) {
            place.copy_from_slice(&u32::try_from(time_s).unwrap_or(u32::MAX).to_be_bytes());
        }
        body[12..].copy_from_slice(&subject(key));
        let digest = key.signature(body, rule).finalize().into_bytes();
        signature.copy_from_slice(&digest[..TOKEN_BYTES - BODY_BYTES]);
        out.extend_from_slice(&token_text::encode(&token));
        true
    }

    /// Reads a token that a client has brought for `rule`.
    ///
    /// # Errors
    /// Why it is not followed; the client is at fault, or time.
    pub fn verify(
        &self,
        text: &[u8],
        rule: &[u8],
        now_s: u64,
        timeouts: SessionTimeouts,
    ) -> Result<Token, TokenRefusal> {
        let token = token_text::decode(text).ok_or(TokenRefusal::Malformed)?;
        let (body, signature) = token.split_at(BODY_BYTES);
        if body[0] != FORM_ENDPOINT && body[0] != FORM_KEY {
            return Err(TokenRefusal::Malformed);
        }
        // Two secrets with one id are unlikely and harmless: each is tried.
        let mut refusal = TokenRefusal::UnknownKey;
        for (key, place) in self.0.iter().zip(0u8..) {
            if key.id != body[1..4] {
                continue;
            }
            if key
                .signature(body, rule)
                .verify_truncated_left(signature)
                .is_err()
            {
                refusal = TokenRefusal::Forged;
                continue;
            }
            let token = read(body, place);
            return match token.fault(now_s, timeouts) {
                Some(refusal) => Err(refusal),
                None => Ok(token),
            };
        }
        Err(refusal)
    }
}

impl Token {
    /// Whether the response should carry the token anew: signed with an old key, or a quarter of the idle time gone.
    pub fn is_due(&self, now_s: u64, timeouts: SessionTimeouts) -> bool {
        let unused_s = now_s.saturating_sub(self.used_s);
        self.is_old_key
            || timeouts
                .idle
                .is_some_and(|idle| unused_s * 4 >= idle.as_secs().max(1))
    }

    fn fault(&self, now_s: u64, timeouts: SessionTimeouts) -> Option<TokenRefusal> {
        let over = |since_s: u64, limit: Option<Duration>| {
            limit.is_some_and(|limit| now_s.saturating_sub(since_s) > limit.as_secs())
        };
        if self.begun_s > now_s.saturating_add(CLOCK_SKEW_S) {
            Some(TokenRefusal::Early)
        } else if over(self.begun_s, timeouts.absolute) {
            Some(TokenRefusal::Expired)
        } else if over(self.used_s, timeouts.idle) {
            Some(TokenRefusal::Idle)
        } else {
            None
        }
    }
}

impl TokenRefusal {
    /// A stable word for logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
            Self::Early => "early",
            Self::Expired => "expired",
            Self::Idle => "idle",
        }
    }
}

impl TokenHolders {
    /// The endpoints that tokens of a rule may name, over all its destinations; answers are indexes into these. Costs
    /// about a microsecond per endpoint and key.
    pub fn new<'a>(keys: &TokenKeys, endpoints: impl IntoIterator<Item = &'a EndpointAddress>) -> Self {
        let mut holders = Self {
            by_tag: HashMap::default(),
            seeds: Box::default(),
        };
        let mut seeds = Vec::new();
        for (index, address) in (0u32..).zip(endpoints) {
            seeds.push(xxh64(address.to_string().as_bytes(), 0));
            for (key, place) in keys.0.iter().zip(0u8..) {
                if let Entry::Vacant(vacant) = holders.by_tag.entry((place, key.tag(address))) {
                    vacant.insert(index);
                }
            }
        }
        holders.seeds = seeds.into();
        holders
    }

    /// The endpoint that a token names; `None` when it is gone, or when the token carries a key.
    pub fn endpoint(&self, subject: TokenSubject) -> Option<u32> {
        match subject {
            TokenSubject::Endpoint { key, tag } => self.by_tag.get(&(key, tag)).copied(),
            TokenSubject::Key(_) => None,
        }
    }

    /// The endpoint of a session's key among those that `usable` accepts (rendezvous): a new endpoint takes its share of
    /// all sessions, one that goes leaves its own to all others, and no other session moves. Takes time in proportion to
    /// the number of endpoints, about a nanosecond each.
    pub fn owner(&self, session: u64, usable: impl Fn(u32) -> bool) -> Option<u32> {
        (0u32..)
            .zip(&self.seeds)
            .filter(|(index, _)| usable(*index))
            .max_by_key(|(_, seed)| mix(session ^ **seed))
            .map(|(index, _)| index)
    }
}

/// A verified body; it has its length.
fn read(body: &[u8], key: u8) -> Token {
    let time_s = |place: usize| {
        body[place..place + 4]
            .iter()
            .fold(0, |time_s, byte| time_s << 8 | u64::from(*byte))
    };
    let named: [u8; 8] = std::array::from_fn(|place| body[12 + place]);
    Token {
        subject: if body[0] == FORM_KEY {
            TokenSubject::Key(u64::from_be_bytes(named))
        } else {
            TokenSubject::Endpoint { key, tag: named }
        },
        begun_s: time_s(4),
        used_s: time_s(8),
        is_old_key: key > 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_S: u64 = 1_790_000_000;
    const RULE: &[u8] = b"default/shop/0";
    const FOREVER: SessionTimeouts = SessionTimeouts {
        absolute: None,
        idle: None,
    };

    fn key(seed: u8) -> TokenKey {
        TokenKey::new(&[seed; 32]).expect("long enough")
    }

    fn keys(seeds: &[u8]) -> TokenKeys {
        TokenKeys::new(seeds.iter().map(|seed| key(*seed)).collect())
    }

    fn address(number: u8) -> EndpointAddress {
        EndpointAddress::Tcp(([10, 0, 0, number], 8_080).into())
    }

    fn token(keys: &TokenKeys, number: u8, begun_s: u64, now_s: u64) -> Vec<u8> {
        let mut text = Vec::new();
        assert!(keys.write_endpoint(&address(number), RULE, begun_s, now_s, &mut text));
        text
    }

    #[test]
    fn ch13_a_token_leads_back_to_its_endpoint() {
        let keys = keys(&[1]);
        let addresses: Vec<_> = (0..200).map(address).collect();
        let holders = TokenHolders::new(&keys, &addresses);
        for number in 0..200 {
            let text = token(&keys, number, NOW_S - 5, NOW_S);
            assert!(
                text.len() == 48
                    && text
                        .iter()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
            );
            let found = keys.verify(&text, RULE, NOW_S + 10, FOREVER).expect("valid");
            assert_eq!(
                (found.begun_s, found.used_s, found.is_old_key),
                (NOW_S - 5, NOW_S, false)
            );
            assert_eq!(holders.endpoint(found.subject), Some(u32::from(number)));
        }
        let gone = keys
            .verify(&token(&keys, 250, NOW_S, NOW_S), RULE, NOW_S, FOREVER)
            .expect("valid");
        assert_eq!(holders.endpoint(gone.subject), None);
    }

    #[test]
    fn bx15_tokens_hold_on_every_replica_and_after_a_restart() {
        let (one, other) = (keys(&[1, 2]), keys(&[1, 2]));
        assert_eq!(token(&one, 7, NOW_S, NOW_S), token(&other, 7, NOW_S, NOW_S));
        // The order of endpoints differs between replicas.
        let shuffled = TokenHolders::new(&other, &[address(9), address(7), address(8)]);
        let found = other
            .verify(&token(&one, 7, NOW_S, NOW_S), RULE, NOW_S, FOREVER)
            .expect("valid");
        assert_eq!(shuffled.endpoint(found.subject), Some(1));
        // Fixed for ever, since clients hold tokens of earlier versions; computed with another HMAC.
        let text = token(&one, 7, 1_700_000_000, 1_700_000_060);
        assert_eq!(
            String::from_utf8_lossy(&text),
            "AVj3v2VT8QBlU_E8WJGY3SfGia1aJvCiE7t7xA4HUePEXOSO"
        );
    }

    #[test]
    fn bx15_keys_rotate_without_losing_sessions() {
        let (old, both, new) = (keys(&[1]), keys(&[2, 1]), keys(&[2]));
        let text = token(&old, 7, NOW_S, NOW_S);
        let found = both
            .verify(&text, RULE, NOW_S, FOREVER)
            .expect("the old key still verifies");
        assert!(found.is_old_key && found.is_due(NOW_S, FOREVER));
        let holders = TokenHolders::new(&both, &[address(6), address(7)]);
        assert_eq!(holders.endpoint(found.subject), Some(1));
        let renewed = token(&both, 7, found.begun_s, NOW_S);
        assert!(
            !new.verify(&renewed, RULE, NOW_S, FOREVER)
                .expect("the new key")
                .is_old_key
        );
        assert_eq!(
            new.verify(&text, RULE, NOW_S, FOREVER),
            Err(TokenRefusal::UnknownKey)
        );
        // A replica that does not know the new key yet.
        assert_eq!(
            old.verify(&renewed, RULE, NOW_S, FOREVER),
            Err(TokenRefusal::UnknownKey)
        );
    }

    #[test]
    fn ch14_altered_foreign_and_garbage_tokens_are_refused() {
        let keys = keys(&[1]);
        let text = token(&keys, 7, NOW_S, NOW_S);
        for place in 0..text.len() {
            let mut altered = text.clone();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            let refusal = keys.verify(&altered, RULE, NOW_S, FOREVER).expect_err("altered");
            let expected: &[TokenRefusal] = match place {
                0..=1 => &[TokenRefusal::Malformed, TokenRefusal::UnknownKey],
                2..=5 => &[TokenRefusal::UnknownKey],
                _ => &[TokenRefusal::Forged],
            };
            assert!(expected.contains(&refusal), "{place}: {refusal:?}");
        }
        let other_rule = keys.verify(&text, b"default/shop/1", NOW_S, FOREVER);
        assert_eq!(
            other_rule,
            Err(TokenRefusal::Forged),
            "sessions are not shared between rules"
        );
        let mut foreign_key = key(9);
        foreign_key.id = key(1).id;
        let foreign = token(&TokenKeys::new(vec![foreign_key]), 7, NOW_S, NOW_S);
        assert_eq!(
            keys.verify(&foreign, RULE, NOW_S, FOREVER),
            Err(TokenRefusal::Forged),
            "a guessed key id"
        );
        for garbage in [
            "",
            "a",
            "10.0.0.7:8080",
            &"A".repeat(48),
            &"=".repeat(48),
            &"A".repeat(49),
            &"\u{0}".repeat(48),
        ] {
            let refusal = keys.verify(garbage.as_bytes(), RULE, NOW_S, FOREVER);
            assert_eq!(refusal, Err(TokenRefusal::Malformed), "{garbage:?}");
        }
        let none = TokenKeys::new(Vec::new());
        assert_eq!(
            none.verify(&text, RULE, NOW_S, FOREVER),
            Err(TokenRefusal::UnknownKey)
        );
        assert!(!none.write_key(1, RULE, NOW_S, NOW_S, &mut Vec::new()));
    }

    #[test]
    fn ch14_a_token_does_not_tell_the_address() {
        // Under another secret nothing of the endpoint's part is the same.
        let (one, other) = (key(1).tag(&address(7)), key(2).tag(&address(7)));
        assert!(
            one.iter()
                .zip(other)
                .filter(|(left, right)| *left == right)
                .count()
                < 4
        );
        assert_ne!(one, key(1).tag(&address(8)));
        assert!(!format!("{:?}", keys(&[77])).contains("77, 77"));
    }

    #[test]
    fn ch13_sessions_end() {
        let keys = keys(&[1]);
        let timeouts = |absolute_s: Option<u64>, idle_s: Option<u64>| SessionTimeouts {
            absolute: absolute_s.map(Duration::from_secs),
            idle: idle_s.map(Duration::from_secs),
        };
        // Absolute and idle timeout; age of the session, time since its use; the refusal, and whether to write anew.
        type Case = (Option<u64>, Option<u64>, i64, i64, Result<bool, TokenRefusal>);
        let cases: [Case; 10] = [
            (None, None, 1_000_000_000, 1_000_000_000, Ok(false)),
            (Some(60), None, 60, 0, Ok(false)),
            (Some(60), None, 61, 0, Err(TokenRefusal::Expired)),
            (None, Some(60), 100_000, 14, Ok(false)),
            (None, Some(60), 100_000, 15, Ok(true)),
            (None, Some(60), 100_000, 61, Err(TokenRefusal::Idle)),
            (Some(60), Some(10), 61, 61, Err(TokenRefusal::Expired)),
            (None, Some(0), 0, 0, Ok(false)),
            (Some(10), Some(10), -60, -60, Ok(false)),
            (None, None, -61, 0, Err(TokenRefusal::Early)),
        ];
        for (absolute_s, idle_s, age_s, unused_s, expected) in cases {
            let at = |before_s: i64| NOW_S.wrapping_add_signed(-before_s);
            let timeouts = timeouts(absolute_s, idle_s);
            let text = token(&keys, 7, at(age_s), at(unused_s));
            let found = keys.verify(&text, RULE, NOW_S, timeouts);
            assert_eq!(
                found.map(|token| token.is_due(NOW_S, timeouts)),
                expected,
                "{age_s} {unused_s}"
            );
        }
    }

    #[test]
    fn ch15_balanced_sessions_move_to_new_endpoints_and_persistent_ones_do_not() {
        let keys = keys(&[1]);
        let (two, four): (Vec<_>, Vec<_>) = ((0..2).map(address).collect(), (0..4).map(address).collect());
        let (before, after) = (TokenHolders::new(&keys, &two), TokenHolders::new(&keys, &four));
        let mut moved = 0;
        for session in 0..10_000u64 {
            let mut text = Vec::new();
            assert!(keys.write_key(session, RULE, NOW_S, NOW_S, &mut text));
            let found = keys.verify(&text, RULE, NOW_S, FOREVER).expect("valid").subject;
            assert_eq!(
                (found, before.endpoint(found)),
                (TokenSubject::Key(session), None)
            );
            let (old, new) = (before.owner(session, |_| true), after.owner(session, |_| true));
            moved += u32::from(old != new);
            assert!(old == new || new >= Some(2), "nobody moves between the old ones");
            let (without, usable) = (after.owner(session, |index| index != 1), new != Some(1));
            assert!(!usable || without == new, "nobody moves who need not");
        }
        assert!((4_800..5_200).contains(&moved), "{moved} of 10,000");
        assert_eq!(after.owner(1, |_| false), None);
        for number in 0..2 {
            let named = keys
                .verify(&token(&keys, number, NOW_S, NOW_S), RULE, NOW_S, FOREVER)
                .expect("valid")
                .subject;
            assert_eq!(
                (before.endpoint(named), after.endpoint(named)),
                (Some(u32::from(number)), Some(u32::from(number)))
            );
        }
    }

    #[test]
    fn short_secrets_are_refused() {
        for (length, fine) in [(0, false), (16, false), (31, false), (32, true), (200, true)] {
            assert_eq!(TokenKey::new(&vec![1; length]).is_ok(), fine, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn ch14_nothing_that_a_client_makes_up_is_followed(text in prop::collection::vec(any::<u8>(), 0..80), now_s: u64) {
            prop_assert!(keys(&[1, 2]).verify(&text, RULE, now_s, FOREVER).is_err());
        }

        #[test]
        fn ch14_nothing_that_looks_like_a_token_is_followed(text in "[A-Za-z0-9_-]{48}", known: bool, now_s: u64) {
            let keys = keys(&[1, 2]);
            let mut text = text.into_bytes();
            if known {
                text[..6].copy_from_slice(&token(&keys, 1, NOW_S, NOW_S)[..6]);
            }
            prop_assert!(keys.verify(&text, RULE, now_s, FOREVER).is_err());
        }

        #[test]
        fn bx15_what_is_written_is_read(
            session: u64,
            begun_s in 0..u64::from(u32::MAX),
            used_s in 0..u64::from(u32::MAX),
            rule in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (keys, mut text) = (keys(&[3]), Vec::new());
            prop_assert!(keys.write_key(session, &rule, begun_s, used_s, &mut text));
            let found = keys.verify(&text, &rule, begun_s, FOREVER).expect("valid");
            let expected = Token { subject: TokenSubject::Key(session), begun_s, used_s, is_old_key: false };
            prop_assert_eq!(found, expected);
        }
    }
}
