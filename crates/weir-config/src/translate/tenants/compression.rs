//! The codings of a tenants file, in the words of the model.

use std::sync::Arc;

use weir_model::{Compressor, TrafficSpec};

/// Adds `compressors` to what is said of a rule, unless the tenant's policy has its own.
pub(super) fn add(
    compressors: &[Compressor],
    mut traffic: Option<Arc<TrafficSpec>>,
) -> Option<Arc<TrafficSpec>> {
    if compressors.is_empty() {
        return traffic;
    }
    let spec = Arc::make_mut(traffic.get_or_insert_default());
    if spec.compressors.is_empty() {
        spec.compressors = compressors.to_vec();
    }
    traffic
}
