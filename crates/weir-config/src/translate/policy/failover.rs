//! weir's `failover`: tiers of backends, and how they stand in for each other (rows LB26, LB27, MC04).

use std::sync::Arc;

use weir_model::{Failover, Port, Tier, limits};

use super::values::{duration, flag, overwrite, read};
use crate::resource::HttpBackendRef;
use crate::resource::decode::{Decoder, Field};

/// What a policy says of tiers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyFailover {
    /// How they share the requests.
    pub(crate) failover: Failover,
    priorities: Vec<Priority>,
}

/// The tier of a backend, wherever a rule under the policy refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Priority {
    group: Arc<str>,
    kind: Arc<str>,
    /// Any, when not written.
    namespace: Option<Arc<str>>,
    name: Arc<str>,
    /// Any, when not written.
    port: Option<Port>,
    tier: Tier,
}

impl PolicyFailover {
    /// The tier that the policy gives to a backendRef; the first entry that names it counts.
    pub(crate) fn tier_of(&self, reference: &HttpBackendRef) -> Option<Tier> {
        let (object, port) = (&reference.backend.object, &reference.backend.port);
        let is_meant = |priority: &&Priority| {
            priority.group == object.group
                && priority.kind == object.kind
                && priority.name == object.name.value
                && (priority.namespace.is_none()
                    || priority.namespace == object.namespace.as_ref().map(|written| written.value.clone()))
                && (priority.port.is_none() || priority.port == port.map(|written| written.value))
        };
        self.priorities
            .iter()
            .find(is_meant)
            .map(|priority| priority.tier)
    }
}

/// Decodes the block; `None` when it cannot be used.
pub(super) fn failover(decoder: &mut Decoder, block: Field<'_>) -> Option<PolicyFailover> {
    let known = [
        "overprovisioningPercent",
        "failbackDelay",
        "redistribute",
        "priorities",
    ];
    let fields = decoder.fields(block, &known)?;
    let mut found = PolicyFailover::default();
    let percent = read(decoder, fields, "overprovisioningPercent", |decoder, field| {
        let number = decoder.integer(field, 100..=1_000)?;
        u32::try_from(number.value).ok()
    });
    overwrite(&mut found.failover.overprovisioning_percent, percent);
    let delay = read(decoder, fields, "failbackDelay", duration);
    overwrite(&mut found.failover.failback_delay, delay);
    let redistribute = read(decoder, fields, "redistribute", flag);
    overwrite(&mut found.failover.redistribute, redistribute);
    if let Some(list) = fields.optional("priorities") {
        for item in decoder.items(list, PRIORITIES_MAX) {
            found.priorities.extend(priority(decoder, item));
        }
    }
    Some(found)
}

/// Entries of `priorities`.
const PRIORITIES_MAX: usize = 256;

fn priority(decoder: &mut Decoder, item: Field<'_>) -> Option<Priority> {
    let known = ["group", "kind", "namespace", "name", "port", "priority"];
    let fields = decoder.fields(item, &known)?;
    let text = |decoder: &mut Decoder, field: Field<'_>| decoder.text(field).map(|text| text.value);
    let name = fields.required(decoder, "name")?;
    let name = decoder.name(name)?.value;
    let number = fields.required(decoder, "priority")?;
    Some(Priority {
        group: read(decoder, fields, "group", text).unwrap_or_default(),
        kind: read(decoder, fields, "kind", text).unwrap_or_else(|| "Service".into()),
        namespace: read(decoder, fields, "namespace", text),
        name,
        port: read(decoder, fields, "port", Decoder::port).map(|port| port.value),
        tier: tier(decoder, number)?,
    })
}

/// A priority: 0 serves first.
fn tier(decoder: &mut Decoder, field: Field<'_>) -> Option<Tier> {
    let number = decoder.integer(field, 0..=i64::from(limits::TIER_MAX))?;
    u64::try_from(number.value).ok().and_then(Tier::new)
}
