//! Resources as written: one file per kind, each value with its place, nothing resolved yet.
//!
//! This folder owns the schema, defaults and validation rules that an API server would apply to one object by
//! itself. It must not know other objects (that is `translate`) nor files (that is `source`).

mod backend;
mod backend_tls_policy;
mod config_map;
pub(crate) mod cookie;
mod cors;
pub mod decode;
mod endpoint_slice;
pub mod format;
mod gateway;
mod gateway_class;
mod hostname;
mod http_filter;
mod http_header;
mod http_match;
mod http_retry;
mod http_route;
mod http_rule;
mod kinds;
mod listener;
mod metadata;
mod namespace;
mod opened;
mod policy;
pub(crate) mod policy_type;
mod read;
mod reference;
mod reference_grant;
mod selector;
mod service;
pub(crate) mod session_persistence;
mod set;
mod tenants;
mod unknown_field;
mod unserved;
mod words;

pub use backend::{AppProtocol, Backend, BackendAddress, BackendEndpoint, BackendType};
pub use backend_tls_policy::{BackendTlsPolicy, TlsTarget};
pub use config_map::ConfigMap;
pub use endpoint_slice::{AddressType, EndpointSlice, Endpoints, SliceAddress, SliceEndpoint, SlicePort};
pub use gateway::{AddressKind, Gateway, GatewayAddress};
pub use gateway_class::GatewayClass;
pub(crate) use http_filter::redirect;
pub use http_filter::{HttpFilter, MirrorFilter};
pub(crate) use http_header::header_change;
pub use http_match::HttpMatch;
pub(crate) use http_match::{path_condition, value_condition};
pub(crate) use http_retry::attempts;
pub use http_route::HttpRoute;
pub use http_rule::{HttpBackendRef, HttpRule, HttpTimeouts};
pub use listener::{
    AllowedNamespaces, AllowedRoutes, GatewayListener, ListenerTls, Protocol, RouteKind, TlsMode,
};
pub use metadata::{Body, Labels, Metadata, Placed, Resource};
pub use namespace::Namespace;
pub use policy::{MergeType, Policy, PolicyTarget, SelectorNamespaces, TargetSelector};
pub use policy_type::UNKNOWN_TYPE;
pub use read::{Decoded, Reader};
pub use reference::{BackendReference, ParentReference, Reference};
pub use reference_grant::{GrantFrom, GrantTo, ReferenceGrant};
pub use selector::{LabelExpression, LabelOperator, LabelSelector};
pub use service::{Service, ServicePort, TargetPort, TransportProtocol};
pub use session_persistence::SessionPersistence;
pub use set::{Assembly, ResourceSet, Version};
pub use tenants::{
    BarePrefix, Canary, CanaryMark, Environment, ErrorHandlers, HostHeader, RateScope, RouteTarget,
    ServiceCheck, ServiceUrl, Tenant, TenantAdmission, TenantBalance, TenantFilters, TenantLimits,
    TenantRate, TenantRoute, TenantService, TenantSettings, TenantTimeouts,
};
pub use unserved::{Unserved, UnservedRole};

pub use crate::yaml::Finding;
