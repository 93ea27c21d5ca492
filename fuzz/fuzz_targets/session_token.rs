//! Session tokens: nothing that was not written is followed, and what was written comes back as it went.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use weir_balance::{SessionTimeouts, TokenHolders, TokenKey, TokenKeys, TokenRefusal, TokenSubject};
use weir_model::EndpointAddress;

const RULE: &[u8] = b"httproute/default/shop/rule/0";
const NOW_S: u64 = 1_790_000_000;
const FOREVER: SessionTimeouts = SessionTimeouts {
    absolute: None,
    idle: None,
};

fuzz_target!(|input: &[u8]| {
    let keys = keys(&[1, 2]);
    check_made_up(&keys, input);
    let Some((head, rest)) = input.split_first_chunk::<24>() else {
        return;
    };
    let number = |at: usize| u64::from_be_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let (session, begun_s, used_s) = (number(0), number(8) % (1 << 32), number(16) % (1 << 32));
    let endpoint = EndpointAddress::Tcp(([10, 0, head[0], head[1]], 80).into());

    for names_endpoint in [false, true] {
        let mut text = Vec::new();
        let is_written = match names_endpoint {
            false => keys.write_key(session, RULE, begun_s, used_s, &mut text),
            true => keys.write_endpoint(&endpoint, RULE, begun_s, used_s, &mut text),
        };
        assert!(is_written && text.len() == 48);
        let token = keys
            .verify(&text, RULE, begun_s, FOREVER)
            .expect("written by this key");
        assert_eq!(
            (token.begun_s, token.used_s, token.is_old_key),
            (begun_s, used_s, false)
        );
        let holders = TokenHolders::new(&keys, [&endpoint]);
        match token.subject {
            TokenSubject::Key(found) => assert!(!names_endpoint && found == session),
            TokenSubject::Endpoint { .. } => {
                assert!(names_endpoint && holders.endpoint(token.subject) == Some(0));
            }
        }
        check_altered(&keys, &text, rest, begun_s);
        check_times(&keys, &text, (begun_s, used_s), rest);
    }
});

fn keys(seeds: &[u8]) -> TokenKeys {
    let key = |seed: &u8| TokenKey::new(&[*seed; 32]).expect("long enough");
    TokenKeys::new(seeds.iter().map(key).collect())
}

/// What was made up is refused, or is what a key's owner would have written to the letter: the fuzzer sees what signatures
/// are compared with, and so does sign now and then.
fn check_made_up(keys: &TokenKeys, text: &[u8]) {
    let Ok(token) = keys.verify(text, RULE, NOW_S, FOREVER) else {
        return;
    };
    assert!(text.len() == 48 && keys.verify(text, b"another rule", NOW_S, FOREVER).is_err());
    if let TokenSubject::Key(session) = token.subject {
        let seed = if token.is_old_key { 2 } else { 1 };
        let mut written = Vec::new();
        assert!(self::keys(&[seed]).write_key(session, RULE, token.begun_s, token.used_s, &mut written));
        assert_eq!(text, written);
    }
}

/// The token with some of its characters changed, for another rule, or under other keys.
fn check_altered(keys: &TokenKeys, text: &[u8], changes: &[u8], now_s: u64) {
    let mut altered = text.to_vec();
    for change in changes.chunks_exact(2) {
        altered[usize::from(change[0]) % text.len()] = change[1];
    }
    let is_same = altered == text;
    assert_eq!(keys.verify(&altered, RULE, now_s, FOREVER).is_ok(), is_same);
    let is_same = changes == RULE;
    assert_eq!(keys.verify(text, changes, now_s, FOREVER).is_ok(), is_same);
    let others = self::keys(&[3]);
    assert_eq!(
        others.verify(text, RULE, now_s, FOREVER),
        Err(TokenRefusal::UnknownKey)
    );
    let rotated = self::keys(&[3, 1]).verify(text, RULE, now_s, FOREVER);
    assert!(
        rotated.is_ok_and(|token| token.is_old_key),
        "an old key still holds"
    );
}

/// The limits on a session's age and rest, by the figures.
fn check_times(keys: &TokenKeys, text: &[u8], (begun_s, used_s): (u64, u64), times: &[u8]) {
    let Some(&[now, absolute, idle]) = times.first_chunk::<3>() else {
        return;
    };
    let now_s = (begun_s + u64::from(now)).saturating_sub(100);
    let timeouts = SessionTimeouts {
        absolute: Some(Duration::from_secs(absolute.into())),
        idle: Some(Duration::from_secs(idle.into())),
    };
    let expected = if begun_s > now_s + 60 {
        Some(TokenRefusal::Early)
    } else if now_s.saturating_sub(begun_s) > absolute.into() {
        Some(TokenRefusal::Expired)
    } else if now_s.saturating_sub(used_s) > idle.into() {
        Some(TokenRefusal::Idle)
    } else {
        None
    };
    assert_eq!(keys.verify(text, RULE, now_s, timeouts).err(), expected);
}
