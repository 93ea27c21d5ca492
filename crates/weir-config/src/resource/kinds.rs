//! The kinds that weir knows: their groups and versions, whether they have namespaces, and what is done with them.

use super::UnservedRole;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// API group; empty for the core group.
    pub(super) group: &'static str,
    /// The kind's name.
    pub(super) name: &'static str,
    /// Versions that are read; the first is the one to use.
    pub(super) versions: &'static [&'static str],
    /// Whether its objects live in a namespace.
    pub(super) namespaced: bool,
    /// What is done with it.
    pub(super) treatment: Treatment,
}

/// What is done with a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Decoded and served.
    Served(Served),
    /// Known, but not served.
    Unserved(UnservedRole),
}

/// The kinds that are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    GatewayClass,
    Gateway,
    HttpRoute,
    ReferenceGrant,
    Service,
    Namespace,
    ConfigMap,
    EndpointSlice,
    Endpoints,
    Backend,
    BackendTrafficPolicy,
    TrafficPolicy,
    ClientTrafficPolicy,
    BackendTlsPolicy,
}

const GATEWAY: &str = "gateway.networking.k8s.io";
const ENVOY: &str = "gateway.envoyproxy.io";

/// Groups whose every kind is known to change traffic, also one that is newer than this table.
pub(super) const TRAFFIC_GROUPS: [&str; 4] = [GATEWAY, ENVOY, "gateway.networking.x-k8s.io", "weir.dev"];

const fn served(
    group: &'static str,
    name: &'static str,
    versions: &'static [&'static str],
    namespaced: bool,
    kind: Served,
) -> Kind {
    Kind {
        group,
        name,
        versions,
        namespaced,
        treatment: Treatment::Served(kind),
    }
}

const fn traffic(group: &'static str, name: &'static str) -> Kind {
    Kind {
        group,
        name,
        versions: &[],
        namespaced: true,
        treatment: Treatment::Unserved(UnservedRole::Traffic),
    }
}

const fn cluster(group: &'static str, name: &'static str, namespaced: bool) -> Kind {
    Kind {
        group,
        name,
        versions: &[],
        namespaced,
        treatment: Treatment::Unserved(UnservedRole::Cluster),
    }
}

const KINDS: &[Kind] = &[
    served(
        GATEWAY,
        "GatewayClass",
        &["v1", "v1beta1"],
        false,
        Served::GatewayClass,
    ),
    served(GATEWAY, "Gateway", &["v1", "v1beta1"], true, Served::Gateway),
    served(GATEWAY, "HTTPRoute", &["v1", "v1beta1"], true, Served::HttpRoute),
    served(
        GATEWAY,
        "ReferenceGrant",
        &["v1", "v1beta1"],
        true,
        Served::ReferenceGrant,
    ),
    served("", "Service", &["v1"], true, Served::Service),
    served("", "Namespace", &["v1"], false, Served::Namespace),
    served("", "ConfigMap", &["v1"], true, Served::ConfigMap),
    served("", "Endpoints", &["v1"], true, Served::Endpoints),
    served(
        "discovery.k8s.io",
        "EndpointSlice",
        &["v1"],
        true,
        Served::EndpointSlice,
    ),
    served(ENVOY, "Backend", &["v1alpha1"], true, Served::Backend),
    served(
        ENVOY,
        "BackendTrafficPolicy",
        &["v1alpha1"],
        true,
        Served::BackendTrafficPolicy,
    ),
    served(
        ENVOY,
        "ClientTrafficPolicy",
        &["v1alpha1"],
        true,
        Served::ClientTrafficPolicy,
    ),
    served(
        "weir.dev",
        "TrafficPolicy",
        &["v1alpha1"],
        true,
        Served::TrafficPolicy,
    ),
    served(
        GATEWAY,
        "BackendTLSPolicy",
        &["v1", "v1alpha3", "v1alpha2"],
        true,
        Served::BackendTlsPolicy,
    ),
    traffic(GATEWAY, "GRPCRoute"),
    traffic(GATEWAY, "TLSRoute"),
    traffic(GATEWAY, "TCPRoute"),
    traffic(GATEWAY, "UDPRoute"),
    traffic(GATEWAY, "ListenerSet"),
    traffic(ENVOY, "EnvoyProxy"),
    traffic(ENVOY, "SecurityPolicy"),
    traffic(ENVOY, "EnvoyExtensionPolicy"),
    traffic(ENVOY, "EnvoyPatchPolicy"),
    traffic(ENVOY, "HTTPRouteFilter"),
    traffic("networking.k8s.io", "Ingress"),
    traffic("multicluster.x-k8s.io", "ServiceImport"),
    cluster("", "Node", false),
    cluster("", "Pod", true),
    cluster("", "Secret", true),
    cluster("", "ServiceAccount", true),
    cluster("", "PersistentVolumeClaim", true),
    cluster("apiextensions.k8s.io", "CustomResourceDefinition", false),
    cluster("apps", "DaemonSet", true),
    cluster("apps", "Deployment", true),
    cluster("apps", "ReplicaSet", true),
    cluster("apps", "StatefulSet", true),
    cluster("autoscaling", "HorizontalPodAutoscaler", true),
    cluster("batch", "CronJob", true),
    cluster("batch", "Job", true),
    cluster("networking.k8s.io", "NetworkPolicy", true),
    cluster("policy", "PodDisruptionBudget", true),
    cluster("rbac.authorization.k8s.io", "ClusterRole", false),
    cluster("rbac.authorization.k8s.io", "ClusterRoleBinding", false),
    cluster("rbac.authorization.k8s.io", "Role", true),
    cluster("rbac.authorization.k8s.io", "RoleBinding", true),
];

/// The kind of that group and name.
pub(super) fn find(group: &str, name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name && kind.group == group)
}

/// All kinds.
pub(super) fn all() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter()
}
