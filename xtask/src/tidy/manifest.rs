//! The workspace's packages, as cargo describes them.

use std::fs;

use serde_json::Value;

use crate::repository;

/// A package of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its folder, from the repository's root.
    pub(crate) folder: String,
    /// `[package.metadata.weir] layer`.
    pub(crate) layer: Option<u64>,
    /// Cargo features, `default` not counted.
    pub(crate) features: usize,
    /// Names of dependencies; those of tests only are left out.
    pub(crate) dependencies: Vec<String>,
    /// Whether it asks a dependency for its feature `simulation`.
    pub(crate) simulates: bool,
    /// Whether it takes the workspace's lints.
    pub(crate) inherits_lints: bool,
}

impl Package {
    /// Where its manifest is.
    pub(crate) fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// A package for tests of rules.
    #[cfg(test)]
    pub(crate) fn sample(folder: &str, layer: u64, dependencies: &[&str]) -> Self {
        Self {
            name: folder.rsplit('/').next().unwrap_or(folder).to_owned(),
            folder: folder.to_owned(),
            layer: Some(layer),
            features: 0,
            dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
            simulates: false,
            inherits_lints: true,
        }
    }
}

/// Asks cargo; needs no network.
pub(crate) fn packages() -> Result<Vec<Package>, String> {
    let output = repository::cargo(&["metadata", "--format-version=1", "--no-deps", "--offline"])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .map(|package| read(package).ok_or_else(|| "cargo metadata: a package without a name".to_owned()))
        .collect()
}

fn read(package: &Value) -> Option<Package> {
    let manifest = std::path::Path::new(package["manifest_path"].as_str()?);
    let folder = manifest
        .parent()?
        .strip_prefix(repository::root().canonicalize().ok()?)
        .ok()?;
    let dependencies = package["dependencies"].as_array()?;
    let text = fs::read_to_string(manifest).ok()?;
    Some(Package {
        name: package["name"].as_str()?.to_owned(),
        folder: folder.to_string_lossy().replace('\\', "/"),
        layer: package["metadata"]["weir"]["layer"].as_u64(),
        features: package["features"]
            .as_object()?
            .keys()
            .filter(|name| *name != "default")
            .count(),
        dependencies: dependencies
            .iter()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .filter_map(|dependency| Some(dependency["name"].as_str()?.to_owned()))
            .collect(),
        simulates: dependencies.iter().any(|dependency| {
            let mut features = dependency["features"].as_array().into_iter().flatten();
            features.any(|feature| feature == "simulation")
        }),
        inherits_lints: text
            .split("[lints]")
            .nth(1)
            .is_some_and(|lints| lints.trim_start().starts_with("workspace = true")),
    })
}
