//! Words that nearly every object holds, allocated once.

use std::sync::{Arc, LazyLock};

const WORDS: [&str; 15] = [
    "",
    "BackendTrafficPolicy",
    "EndpointSlice",
    "Endpoints",
    "Gateway",
    "GatewayClass",
    "HTTPRoute",
    "Namespace",
    "ReferenceGrant",
    "Secret",
    "Service",
    "Tenant",
    "default",
    "gateway.networking.k8s.io",
    "gateway.networking.k8s.io/v1",
];

static SHARED: LazyLock<[Arc<str>; WORDS.len()]> = LazyLock::new(|| WORDS.map(Arc::from));

/// The word's shared allocation, or a new one for a word that is not common.
pub(super) fn shared(word: &str) -> Arc<str> {
    match WORDS.binary_search(&word) {
        Ok(index) => SHARED[index].clone(),
        Err(_) => Arc::from(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_share_their_allocation() {
        assert!(WORDS.is_sorted());
        for word in WORDS {
            assert!(Arc::ptr_eq(&shared(word), &shared(word)), "{word}");
            assert_eq!(*shared(word), *word);
        }
        assert_eq!(*shared("rare"), *"rare");
    }
}
