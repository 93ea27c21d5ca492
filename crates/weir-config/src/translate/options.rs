//! What translation is told besides the resources.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The `controllerName` of weir's own GatewayClasses.
pub const CONTROLLER_NAME: &str = "weir.dev/gateway-controller";

/// Envoy Gateway's `controllerName`, served as an alias when configuration comes from files.
pub const ENVOY_GATEWAY_CONTROLLER_NAME: &str = "gateway.envoyproxy.io/gatewayclass-controller";

/// Where tenants are served when nobody says where; keystone-gateway's default.
const TENANTS_PORT: u16 = 8080;

/// Settings of a translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// GatewayClasses of these controllers are served. The first one speaks for Gateways without a class.
    pub controller_names: Vec<Arc<str>>,
    /// Serve a Gateway whose class no object defines.
    pub classless_gateways: bool,
    /// Endpoints may have loopback addresses: weir and its backends share a host.
    pub loopback_endpoints: bool,
    /// Where Gateways without `spec.addresses` listen.
    pub listen_address: IpAddr,
    /// Where tenants are served, whatever their file says.
    pub tenants_address: Option<SocketAddr>,
    /// The port of tenants whose file names none.
    pub tenants_port: u16,
}

impl Options {
    /// For configuration from files: Envoy Gateway's class is served too, so is a Gateway without a class, and
    /// loopback endpoints are allowed.
    ///
    /// Gateways without addresses listen on `0.0.0.0`, which works on every host. `::` would take both families,
    /// but cannot be bound where IPv6 is switched off, as in many containers; who wants it says so.
    pub fn files() -> Self {
        Self {
            controller_names: vec![CONTROLLER_NAME.into(), ENVOY_GATEWAY_CONTROLLER_NAME.into()],
            classless_gateways: true,
            loopback_endpoints: true,
            listen_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            tenants_address: None,
            tenants_port: TENANTS_PORT,
        }
    }

    /// For configuration from a cluster: weir's own GatewayClasses and nothing else.
    pub fn cluster() -> Self {
        Self {
            controller_names: vec![CONTROLLER_NAME.into()],
            classless_gateways: false,
            loopback_endpoints: false,
            listen_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            tenants_address: None,
            tenants_port: TENANTS_PORT,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::files()
    }
}
