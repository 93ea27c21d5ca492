//! Services whose health nobody finds out: they count as healthy whatever becomes of them (row HC05).

use crate::resource::{Placed, ServiceCheck, Tenant, TenantService};
use crate::translate::index::Object;
use crate::translate::reporter::Reporter;
use crate::yaml::Finding;

/// The services of which nothing is said, by file.
#[derive(Debug, Default)]
pub(super) struct Unchecked<'a>(Vec<InFile<'a>>);

/// Those of one file.
#[derive(Debug)]
struct InFile<'a> {
    placed: &'a Placed,
    first: &'a TenantService,
    count: usize,
}

impl<'a> Unchecked<'a> {
    /// Notes the services of a tenant. A policy about health, whatever it says, is word enough.
    pub(super) fn note(&mut self, tenant: Object<'a, Tenant>) {
        if tenant.spec.balance.says(&["healthCheck"]) {
            return;
        }
        for service in &tenant.spec.services {
            if service.check != (ServiceCheck::Unwritten { is_meant: false }) {
                continue;
            }
            let is_same = |known: &&mut InFile<'_>| known.placed.file == tenant.placed.file;
            match self.0.iter_mut().find(is_same) {
                Some(known) => known.count += 1,
                None => self.0.push(InFile {
                    placed: tenant.placed,
                    first: service,
                    count: 1,
                }),
            }
        }
    }

    /// Warns once per file, at the first of them.
    pub(super) fn report(self, reporter: &mut Reporter) {
        for InFile { placed, first, count } in self.0 {
            let message = match count {
                1 => format!("nobody checks whether the service {} is there", first.name.value),
                _ => format!("nobody checks whether {count} services of this file are there"),
            };
            let label = match count {
                1 => "no health path",
                _ => "the first one without a health path",
            };
            let finding = Finding::new("W0417", first.name.span, message)
                .label(label)
                .help("add health: /PATH, health_type: tcp to check that connections are taken, or health_type: none if that is meant")
                .effect("requests are sent there, also when nobody answers");
            reporter.add(placed, finding);
        }
    }
}
