//! Core `Service`.

use std::sync::Arc;

use weir_model::Port;

use crate::yaml::{Span, Spanned};

/// A named set of ports; who serves them is in EndpointSlices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.clusterIP` is `None`.
    pub headless: bool,
    /// `spec.type` is `ExternalName`: this DNS name.
    pub external_name: Option<Spanned<Arc<str>>>,
}

impl Service {
    /// The port of that number; protocols other than TCP do not count.
    pub fn tcp_port(&self, number: Port) -> Option<&ServicePort> {
        self.ports
            .iter()
            .find(|port| *port.port == number && port.protocol == TransportProtocol::Tcp)
    }
}

/// One entry of `spec.ports`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePort {
    /// Its name, by which EndpointSlices refer to it; may be empty when it is the only one.
    pub name: Arc<str>,
    /// The number that backendRefs use.
    pub port: Spanned<Port>,
    /// Where pods listen; `None` means the same number.
    pub target: Option<TargetPort>,
    /// TCP when not written.
    pub protocol: TransportProtocol,
    /// `appProtocol`.
    pub app_protocol: Option<Spanned<Arc<str>>>,
    /// Where it starts.
    pub span: Span,
}

/// `targetPort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// A number.
    Number(Port),
    /// The name of a container port.
    Name(Arc<str>),
}

/// `protocol` of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportProtocol {
    /// TCP, the default.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}
