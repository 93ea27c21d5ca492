//! Listeners of the `Config`: Gateway listeners that share an address and port become sections of one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use weir_model::{Attachment, ClientIp, Listener, ListenerKey, Section};

use super::gateway::JudgedGateway;
use super::policy::PolicyIndex;
use super::reporter::Reporter;
use super::route::is_served;
use crate::yaml::Finding;

/// Opens every listener that is served. `attachments` are those of each Gateway's listeners.
pub(crate) fn write(
    gateways: &[JudgedGateway<'_>],
    mut attachments: Vec<Vec<Vec<Attachment>>>,
    policies: &PolicyIndex<'_>,
    reporter: &mut Reporter,
) -> Vec<Arc<Listener>> {
    let mut listeners: BTreeMap<SocketAddr, Listener> = BTreeMap::new();
    // Gateways come by seniority: the first on an address says how clients are told apart there.
    for (place, gateway) in gateways.iter().enumerate() {
        for number in (0..gateway.listeners.len()).filter(|number| is_served(gateways, (place, *number))) {
            let client_ip = client_ip(gateway, number, policies);
            let mut section = Some(section(
                gateway,
                number,
                std::mem::take(&mut attachments[place][number]),
            ));
            let port = gateway.listeners[number].spec.port.value.number();
            for (bound, address) in gateway.addresses.iter().enumerate() {
                let address = SocketAddr::new(*address, port);
                let listener = listeners.entry(address).or_insert_with(|| Listener {
                    key: ListenerKey { address },
                    sections: Vec::new(),
                    client_ip: client_ip.clone(),
                });
                if listener.client_ip != client_ip {
                    report_client_ip(gateway, number, address, reporter);
                }
                // Most Gateways have one address, and ten thousand routes are not copied for it.
                let is_last = bound + 1 == gateway.addresses.len();
                listener
                    .sections
                    .extend(if is_last { section.take() } else { section.clone() });
            }
        }
    }
    let listeners = listeners.into_values().map(|mut listener| {
        listener
            .sections
            .sort_by(|left, right| left.name.cmp(&right.name));
        Arc::new(listener)
    });
    listeners.collect()
}

fn section(gateway: &JudgedGateway<'_>, number: usize, attachments: Vec<Attachment>) -> Section {
    let spec = gateway.listeners[number].spec;
    let name = format!(
        "{}/{}/{}",
        gateway.object.namespace(),
        gateway.object.name(),
        spec.name.value
    );
    Section {
        name: name.into(),
        host: spec.hostname.value.clone(),
        port: spec.port.number(),
        attachments,
        origin: gateway.object.origin(spec.span),
    }
}

fn client_ip(gateway: &JudgedGateway<'_>, number: usize, policies: &PolicyIndex<'_>) -> ClientIp {
    let name = &gateway.listeners[number].spec.name.value;
    policies.client_ip(gateway.object.id(), name).unwrap_or_default()
}

fn report_client_ip(
    gateway: &JudgedGateway<'_>,
    number: usize,
    address: SocketAddr,
    reporter: &mut Reporter,
) {
    let spec = gateway.listeners[number].spec;
    let message = format!("another listener on {address} finds the client's address in another way");
    let finding = Finding::new("W0270", spec.name.span, message)
        .help("give all listeners of one address and port the same clientIPDetection")
        .effect("the way of the oldest Gateway holds for all of them");
    reporter.add(gateway.object.placed, finding);
}
