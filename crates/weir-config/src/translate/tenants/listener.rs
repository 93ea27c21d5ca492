//! Where tenants are served: the address of their file, shared with Gateways that listen there too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use weir_model::{Attachment, ClientIp, HostPattern, Listener, ListenerKey, RouteId, Section};

use crate::resource::Tenant;
use crate::translate::index::Object;
use crate::translate::options::Options;
use crate::translate::reporter::Reporter;
use crate::yaml::{Finding, Span};

/// A tenant's route, and the hosts that it is served under.
type Attached<'a> = (Object<'a, Tenant>, RouteId, Vec<HostPattern>);

/// Where a tenant is served.
pub(super) fn address(tenant: &Tenant, options: &Options) -> SocketAddr {
    if let Some(address) = options.tenants_address {
        return address;
    }
    let settings = &tenant.settings;
    let ip = settings
        .address
        .map_or(options.listen_address, |address| address.value);
    let port = settings.port.map_or(options.tenants_port, |port| port.number());
    SocketAddr::new(ip, port)
}

/// Opens the listeners of all tenants; a file's tenants are one section.
pub(super) fn write(
    attached: Vec<Attached<'_>>,
    options: &Options,
    listeners: &mut Vec<Arc<Listener>>,
    reporter: &mut Reporter,
) {
    let mut files: BTreeMap<(SocketAddr, Arc<str>), Vec<Attached<'_>>> = BTreeMap::new();
    for one in attached {
        let key = (address(one.0.spec, options), one.0.placed.file.clone());
        files.entry(key).or_default().push(one);
    }
    for ((address, file), tenants) in files {
        let Some((first, ..)) = tenants.first() else {
            continue;
        };
        let (first, settings) = (*first, &first.spec.settings);
        let client_ip = match settings.trusted_proxies.as_slice() {
            [] => ClientIp::Peer,
            cidrs => ClientIp::TrustedCidrs(cidrs.to_vec()),
        };
        let span = settings.port.map_or(Span::NONE, |port| port.span);
        let attachments = tenants.iter().map(|(_, route, hosts)| Attachment {
            route: *route,
            hosts: hosts.clone(),
        });
        let section = Section {
            name: file,
            host: HostPattern::Any,
            port: address.port(),
            attachments: attachments.collect(),
            origin: first.origin(if span == Span::NONE { first.spec.span } else { span }),
        };
        match listeners.binary_search_by_key(&address, |listener| listener.key.address) {
            Ok(place) => {
                let listener = Arc::make_mut(&mut listeners[place]);
                if listener.client_ip != client_ip {
                    report_client_ip(first, address, reporter);
                }
                listener.sections.push(section);
                listener
                    .sections
                    .sort_by(|left, right| left.name.cmp(&right.name));
            }
            Err(place) => {
                let listener = Listener {
                    key: ListenerKey { address },
                    sections: vec![section],
                    client_ip,
                };
                listeners.insert(place, Arc::new(listener));
            }
        }
    }
}

fn report_client_ip(tenant: Object<'_, Tenant>, address: SocketAddr, reporter: &mut Reporter) {
    let message = format!("another file or Gateway on {address} trusts other proxies");
    let span = tenant
        .spec
        .settings
        .port
        .map_or(tenant.spec.span, |port| port.span);
    let finding = Finding::new("W0416", span, message)
        .help("give all that share an address and port the same trusted_proxies, or another port")
        .effect("what the other one says holds here too");
    reporter.add(tenant.placed, finding);
}
