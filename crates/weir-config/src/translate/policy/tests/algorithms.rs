//! Ways of balancing that only weir's own kind has (rows LB08, LB09, LB11, BX01, BX04).

use weir_model::{Algorithm, HashTable, LoadBound, RingSize, limits};

use super::judge::{bounds, check, judge, valid_own};

#[test]
fn lb08_bx01_weirs_own_types_belong_to_weirs_own_kind() {
    for (name, expected) in [
        ("Adaptive", Algorithm::Adaptive),
        ("PeakEwma", Algorithm::PeakEwma),
    ] {
        let spec = format!("loadBalancer: {{type: {name}, slowStart: {{window: 10s}}}}");
        let balance = valid_own(&spec).balance;
        assert_eq!(balance.algorithm, expected);
        assert!(balance.slow_start.is_some());
        let message = format!("E0320 1:22 \"type\" cannot be \"{name}\"");
        check(&[(spec.as_str(), &[message.as_str()])]);
    }
}

/// The table that a block with these further fields asks for.
fn table(further: &str) -> HashTable {
    let spec =
        format!("loadBalancer: {{type: ConsistentHash, consistentHash: {{type: SourceIP, {further}}}}}");
    match &valid_own(&spec).balance.algorithm {
        Algorithm::ConsistentHash(hash) => hash.table,
        other => panic!("{other:?}"),
    }
}

#[test]
fn lb09_a_ring_has_its_sizes() {
    let ring = |min: u32, max: u32| HashTable::Ring(RingSize::new(min.into(), max.into()).expect("a size"));
    for (further, expected) in [
        ("", HashTable::default()),
        ("ringHash: {}", ring(1_024, limits::RING_MAX)),
        ("ringHash: {minSize: 5000}", ring(5_000, limits::RING_MAX)),
        ("ringHash: {maxSize: 100}", ring(100, 100)),
        ("ringHash: {minSize: 7, maxSize: 9}", ring(7, 9)),
    ] {
        assert_eq!(table(further), expected, "{further}");
    }
    let hash = |further: &str| {
        format!("loadBalancer: {{type: ConsistentHash, consistentHash: {{type: SourceIP, {further}}}}}")
    };
    for size in ["minSize", "maxSize"] {
        bounds(
            &hash(&format!("ringHash: {{{size}: N}}")),
            1,
            i64::from(limits::RING_MAX),
        );
    }
    for (further, expected) in [
        (
            "ringHash: {minSize: 9, maxSize: 7}",
            "E0303 1:91 minSize 9 is greater than maxSize 7",
        ),
        (
            "ringHash: {}, tableSize: 7",
            "E0305 1:85 \"tableSize\" does not go with \"ringHash\"",
        ),
    ] {
        assert_eq!(judge(true, &hash(further)).1, [expected], "{further}");
    }
    let (_, said) = judge(false, &hash("ringHash: {}"));
    assert_eq!(
        said,
        ["W0301 1:71 BackendTrafficPolicy has no field \"ringHash\""]
    );
}

#[test]
fn lb11_a_bound_goes_with_every_type() {
    for kind in ["RoundRobin", "LeastRequest", "Adaptive"] {
        let balance = valid_own(&format!("loadBalancer: {{type: {kind}, loadBoundPercent: 125}}")).balance;
        assert_eq!(balance.load_bound, LoadBound::new(125));
    }
    bounds("loadBalancer: {type: Random, loadBoundPercent: N}", 100, 10_000);
    let (_, said) = judge(false, "loadBalancer: {type: Random, loadBoundPercent: 125}");
    assert_eq!(
        said,
        ["W0301 1:30 BackendTrafficPolicy has no field \"loadBoundPercent\""]
    );
}
