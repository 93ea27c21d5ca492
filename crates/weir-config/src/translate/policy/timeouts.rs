//! `timeout`: how long connecting, an exchange and a connection may take.

use std::time::Duration;

use weir_model::ConnectionSpec;

use super::values::{overwrite, read, time_bound};
use crate::resource::decode::{Decoder, Field};
use crate::translate::effective::PolicyTimeouts;

/// Decodes the block. What it says of connections goes into `connection`.
pub(super) fn timeouts(
    decoder: &mut Decoder,
    block: Field<'_>,
    connection: &mut ConnectionSpec,
) -> Option<PolicyTimeouts> {
    let fields = decoder.fields(block, &["tcp", "http"])?;
    let mut timeouts = PolicyTimeouts::default();
    if let Some(tcp) = fields.optional("tcp") {
        let fields = decoder.fields(tcp, &["connectTimeout"])?;
        timeouts.connect = read(decoder, fields, "connectTimeout", time_bound).flatten();
    }
    let known = [
        "requestTimeout",
        "connectionIdleTimeout",
        "maxConnectionDuration",
        "maxStreamDuration",
        "streamIdleTimeout",
    ];
    if let Some(http) = fields.optional("http") {
        let fields = decoder.fields(http, &known)?;
        timeouts.request = read(decoder, fields, "requestTimeout", time_bound);
        timeouts.stream = read(decoder, fields, "maxStreamDuration", time_bound);
        timeouts.stream_idle = read(decoder, fields, "streamIdleTimeout", time_bound);
        let idle: Option<Option<Duration>> = read(decoder, fields, "connectionIdleTimeout", time_bound);
        overwrite(&mut connection.idle_timeout, idle);
        let age = read(decoder, fields, "maxConnectionDuration", time_bound);
        connection.duration_max = age.flatten();
    }
    Some(timeouts)
}
