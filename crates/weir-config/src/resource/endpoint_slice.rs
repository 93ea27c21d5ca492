//! `discovery.k8s.io/v1` `EndpointSlice` and core `Endpoints`.

use std::net::IpAddr;
use std::sync::Arc;

use weir_model::Port;

use super::TransportProtocol;
use crate::yaml::{Span, Spanned};

/// Some of the endpoints of a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSlice {
    /// Label `kubernetes.io/service-name`: the Service in the slice's namespace.
    pub service: Option<Arc<str>>,
    /// `addressType`.
    pub address_type: AddressType,
    /// `endpoints`.
    pub endpoints: Vec<SliceEndpoint>,
    /// `ports`; they hold for every endpoint.
    pub ports: Vec<SlicePort>,
}

/// Core `Endpoints`: the Service of the same name; one slice per subset and condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoints {
    /// The subsets.
    pub subsets: Vec<EndpointSlice>,
}

/// `addressType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressType {
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
    /// Host names.
    Fqdn,
}

/// One entry of `endpoints`.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceEndpoint {
    /// `addresses`; all are the same endpoint, the first one is used.
    pub addresses: Vec<SliceAddress>,
    /// `conditions.ready`; `None` means unknown, which counts as ready.
    pub ready: Option<bool>,
    /// `conditions.serving`; `None` means the same as ready.
    pub serving: Option<bool>,
    /// `conditions.terminating`; `None` means no.
    pub terminating: Option<bool>,
    /// `targetRef.name`, else `hostname`, else empty: who it is, for people.
    pub name: Arc<str>,
    /// `zone`, empty when not written.
    pub zone: Arc<str>,
    /// Where it starts.
    pub span: Span,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SliceAddress {
    /// Of type IPv4 or IPv6.
    Ip(IpAddr),
    /// Of type FQDN.
    Name(Arc<str>),
}

/// One entry of `ports`.
#[derive(Clone, Debug, PartialEq)]
pub struct SlicePort {
    /// Equals the Service port's name; may be empty.
    pub name: Arc<str>,
    /// The number; `None` means all ports.
    pub port: Option<Spanned<Port>>,
    /// TCP when not written.
    pub protocol: TransportProtocol,
    /// `appProtocol`.
    pub app_protocol: Option<Arc<str>>,
}
