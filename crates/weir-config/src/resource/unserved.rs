//! Kinds that weir knows but does not serve.

/// An object of a known kind that is not served. A note or warning about it has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// What the kind is for.
    pub role: UnservedRole,
}

/// What an unserved kind is for: decides how loudly it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnservedRole {
    /// Would change traffic if it were served (GRPCRoute, SecurityPolicy): a warning.
    Traffic,
    /// Belongs to the cluster (Deployment, Secret): a note.
    Cluster,
}
