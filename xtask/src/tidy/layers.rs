//! Arrows between crates point down; few features; one set of lints.

use super::manifest::Package;
use super::report::Violation;

const FEATURES: usize = 3;

/// The layer of what is never shipped.
const DEV_LAYER: u64 = 9;

/// Rules on the workspace's manifests.
pub(crate) fn check(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let manifest = package.manifest();
        if !package.inherits_lints {
            let advice = "add [lints] workspace = true";
            violations.push(Violation::new(&manifest, 1, "lints", advice));
        }
        let Some(layer) = package.layer else {
            let advice = "add [package.metadata.weir] layer = N; ARCHITECTURE.md says what the layers are";
            violations.push(Violation::new(&manifest, 1, "layers", advice));
            continue;
        };
        if package.simulates && layer < DEV_LAYER {
            let advice = "only what is never shipped may ask for `simulation`: the binary would pay for it";
            violations.push(Violation::new(&manifest, 1, "layers", advice));
        }
        for name in &package.dependencies {
            let below = packages
                .iter()
                .find(|other| other.name == *name)
                .and_then(|other| other.layer);
            if let Some(below) = below.filter(|below| *below >= layer) {
                let advice = format!(
                    "{} (layer {layer}) must not depend on {name} (layer {below}): arrows point to lower layers",
                    package.name
                );
                violations.push(Violation::new(&manifest, 1, "layers", advice));
            }
        }
    }
    let features: usize = packages.iter().map(|package| package.features).sum();
    if features > FEATURES {
        let advice = format!("{features} cargo features in the workspace, over {FEATURES}: decide instead");
        violations.push(Violation::new("Cargo.toml", 1, "features", advice));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_does_not_simulate() {
        let simulating = |layer| Package {
            simulates: true,
            ..Package::sample("crates/one", layer, &[])
        };
        assert_eq!(check(&[simulating(5)]).len(), 1);
        assert!(check(&[simulating(DEV_LAYER)]).is_empty());
    }

    #[test]
    fn arrows_point_down() {
        let low = Package::sample("crates/low", 0, &["libc"]);
        for (package, count) in [
            (Package::sample("crates/high", 1, &["low"]), 0),
            (Package::sample("crates/same", 0, &["low"]), 1),
            (
                Package {
                    layer: None,
                    ..Package::sample("crates/none", 0, &[])
                },
                1,
            ),
            (
                Package {
                    inherits_lints: false,
                    ..Package::sample("crates/lax", 1, &[])
                },
                1,
            ),
            (
                Package {
                    features: 3,
                    ..Package::sample("crates/some", 1, &[])
                },
                0,
            ),
            (
                Package {
                    features: 4,
                    ..Package::sample("crates/many", 1, &[])
                },
                1,
            ),
        ] {
            let name = package.name.clone();
            assert_eq!(check(&[low.clone(), package]).len(), count, "{name}");
        }
    }
}
