//! What a response says of its pick (row CH18).

use weir_model::{Algorithm, BalanceSpec, HashSource, MissingKey};

use crate::balancer::Balancer;
use crate::pick::{PickReason, Picked};

impl Balancer {
    /// Appends what a response says of its pick when the rule asks for it (row CH18), for example
    /// `policy=ConsistentHash; source=header:foobar; endpoint=10.0.0.1:8080`.
    pub fn write_report(&self, spec: &BalanceSpec, picked: Picked, out: &mut Vec<u8>) {
        let policy: &[u8] = match &spec.algorithm {
            Algorithm::RoundRobin => b"policy=RoundRobin",
            Algorithm::Random => b"policy=Random",
            Algorithm::LeastRequest(_) => b"policy=LeastRequest",
            Algorithm::Adaptive => b"policy=Adaptive",
            Algorithm::PeakEwma => b"policy=PeakEwma",
            Algorithm::ConsistentHash(_) => b"policy=ConsistentHash",
        };
        out.extend_from_slice(policy);
        let source: &[u8] = match picked.reason {
            PickReason::RoundRobin
            | PickReason::Random
            | PickReason::LeastRequest
            | PickReason::Adaptive
            | PickReason::PeakEwma
            | PickReason::Hash { .. } => b"",
            PickReason::Override => b"; source=override",
            PickReason::Session => b"; source=session",
            PickReason::MissingKey(MissingKey::Random) => b"; source=none, random",
            PickReason::MissingKey(MissingKey::RoundRobin) => b"; source=none, round robin",
            PickReason::MissingKey(MissingKey::LeastRequest) => b"; source=none, least request",
        };
        out.extend_from_slice(source);
        if let PickReason::Hash { source } = picked.reason {
            write_source(spec, source, out);
        }
        if let Some(member) = self.member(picked.index) {
            out.extend_from_slice(b"; endpoint=");
            out.extend_from_slice(member.endpoint.address.to_string().as_bytes());
        }
    }
}

fn write_source(spec: &BalanceSpec, source: u8, out: &mut Vec<u8>) {
    let Algorithm::ConsistentHash(hash) = &spec.algorithm else {
        return;
    };
    let (kind, names): (&str, Vec<&str>) = match hash.sources.get(usize::from(source)) {
        Some(HashSource::SourceIp { .. }) => ("source-ip", Vec::new()),
        Some(HashSource::Headers(names)) => ("header:", names.iter().map(|name| &**name).collect()),
        Some(HashSource::Cookie(cookie)) => ("cookie:", vec![&*cookie.name]),
        Some(HashSource::QueryParams(names)) => ("query:", names.iter().map(|name| &**name).collect()),
        None => return,
    };
    out.extend_from_slice(b"; source=");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(names.join(",").as_bytes());
}

#[cfg(test)]
mod tests {
    use weir_model::{ConsistentHash, CookieSpec, HashTable};

    use super::*;
    use crate::world::{members, spec};

    #[test]
    fn ch18_the_report_names_policy_source_and_endpoint() {
        let cookie = CookieSpec {
            name: "FooBar".into(),
            ttl: None,
            attributes: Vec::new(),
        };
        let sources = vec![
            HashSource::Headers(vec!["one".into(), "two".into()]),
            HashSource::Cookie(cookie),
            HashSource::QueryParams(vec!["user".into()]),
            HashSource::SourceIp {
                prefix_length_v4: 32,
                prefix_length_v6: 128,
            },
        ];
        let hashed = Algorithm::ConsistentHash(ConsistentHash {
            sources,
            table: HashTable::default(),
            missing_key: MissingKey::Random,
        });
        for (algorithm, reason, expected) in [
            (Algorithm::RoundRobin, PickReason::RoundRobin, "policy=RoundRobin"),
            (
                Algorithm::Random,
                PickReason::Override,
                "policy=Random; source=override",
            ),
            (
                Algorithm::Random,
                PickReason::Session,
                "policy=Random; source=session",
            ),
            (
                hashed.clone(),
                PickReason::Hash { source: 0 },
                "policy=ConsistentHash; source=header:one,two",
            ),
            (
                hashed.clone(),
                PickReason::Hash { source: 1 },
                "policy=ConsistentHash; source=cookie:FooBar",
            ),
            (
                hashed.clone(),
                PickReason::Hash { source: 2 },
                "policy=ConsistentHash; source=query:user",
            ),
            (
                hashed.clone(),
                PickReason::Hash { source: 3 },
                "policy=ConsistentHash; source=source-ip",
            ),
            (
                hashed,
                PickReason::MissingKey(MissingKey::Random),
                "policy=ConsistentHash; source=none, random",
            ),
        ] {
            let spec = spec(algorithm);
            let mut text = Vec::new();
            Balancer::new(&spec, members(&[1; 4])).write_report(
                &spec,
                Picked { index: 1, reason },
                &mut text,
            );
            assert_eq!(
                text.escape_ascii().to_string(),
                format!("{expected}; endpoint=10.0.0.2:8080")
            );
        }
    }
}
