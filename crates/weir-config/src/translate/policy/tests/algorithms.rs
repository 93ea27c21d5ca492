//! Ways of balancing that only weir's own kind has (rows LB08, LB09, LB11, LB14, BX01, BX04).

use std::time::Duration;

use weir_model::{Algorithm, HashTable, LoadBound, RingSize, SlowStart, limits};

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

#[test]
fn lb14_a_ramp_has_a_window_a_curve_and_a_beginning() {
    for (further, aggression_milli, min_weight_percent) in [
        ("", 1_000, 10),
        (", aggression: 2", 2_000, 10),
        (", aggression: 0.25", 250, 10),
        (", aggression: 10", 10_000, 10),
        // No curve has no steepness at all.
        (", aggression: 0", 1, 10),
        (", minWeightPercent: 0", 1_000, 0),
        (", minWeightPercent: 100", 1_000, 100),
        (", aggression: 4, minWeightPercent: 3", 4_000, 3),
        (", minWeightPercent: 4, aggression: 3", 3_000, 4),
    ] {
        let spec = format!("loadBalancer: {{type: RoundRobin, slowStart: {{window: 90s{further}}}}}");
        let expected = SlowStart {
            window: Duration::from_secs(90),
            aggression_milli,
            min_weight_percent,
        };
        assert_eq!(valid_own(&spec).balance.slow_start, Some(expected), "{further}");
    }
    let field =
        |further: &str| format!("loadBalancer: {{type: RoundRobin, slowStart: {{window: 9s, {further}}}}}");
    bounds(&field("minWeightPercent: N"), 0, 100);
    for (value, expected) in [
        ("10.001", "E0303 1:70 \"aggression\" is out of range"),
        ("-0.5", "E0303 1:70 \"aggression\" is out of range"),
        ("high", "E0101 1:70 \"aggression\" must be a number, found text"),
    ] {
        assert_eq!(
            judge(true, &field(&format!("aggression: {value}"))).1,
            [expected],
            "{value}"
        );
    }
    let (_, said) = judge(false, &field("aggression: 2, minWeightPercent: 3"));
    assert_eq!(
        said,
        [
            "W0301 1:58 BackendTrafficPolicy has no field \"aggression\"",
            "W0301 1:73 BackendTrafficPolicy has no field \"minWeightPercent\""
        ]
    );
}
