//! The run: programs, faults, table.

use std::fs;

use super::options::{Fault, Options};
use super::report::Report;
use super::stage::Stage;
use super::{kill, outage, probes, slow, stop};
use crate::repository;

/// `cargo xtask chaos`.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::read(arguments)?;
    for package in ["peers", "weir"] {
        eprintln!("building {package}");
        let built = repository::cargo(&["build", "--quiet", "--release", "-p", package]).status();
        if !built.map_err(|error| error.to_string())?.success() {
            return Err(format!("{package} does not build"));
        }
    }
    let directory = repository::target().join("chaos/run");
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let stage = Stage {
        directory,
        binaries: repository::target().join("release"),
    };
    let mut report = Report::default();
    for fault in &options.faults {
        match fault {
            Fault::Kill => kill::run(&stage, options.is_short, &mut report),
            Fault::Stop => stop::run(&stage, options.is_short, &mut report),
            Fault::Outage => outage::run(&stage, options.is_short, &mut report),
            Fault::Probes => probes::run(&stage, options.is_short, &mut report),
            Fault::Slow => slow::run(&stage, options.is_short, &mut report),
        }
        .map_err(|problem| format!("{}: {problem}", fault.name()))?;
    }
    println!("\n{}", report.text());
    let json = format!("{:#}\n", report.to_json());
    if let Some(parent) = options.json.parent() {
        fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    }
    fs::write(&options.json, json).map_err(|error| format!("{}: {error}", options.json.display()))?;
    println!("figures: {}", options.json.display());
    match report.missed() {
        0 => Ok(()),
        count => Err(format!("{count} limits are missed, see above")),
    }
}
