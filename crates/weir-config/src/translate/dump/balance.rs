//! How endpoints are picked.

use weir_model::{Algorithm, BalanceSpec, Choices, HashSource, HashTable, LoadReport};

use super::list;

/// The balance of a rule in one line.
pub(super) fn describe(balance: &BalanceSpec) -> String {
    let mut text = match &balance.algorithm {
        Algorithm::RoundRobin => "round robin".to_string(),
        Algorithm::Random => "random".to_string(),
        Algorithm::LeastRequest(options) => {
            let choices = match options.choices {
                Choices::Sample(count) => format!("{count} choices"),
                Choices::All => "all endpoints".to_string(),
            };
            match options.bias_milli {
                1000 => format!("least request, {choices}"),
                bias => format!("least request, {choices}, bias {}", f64::from(bias) / 1000.0),
            }
        }
        Algorithm::Adaptive => "adaptive".to_string(),
        Algorithm::PeakEwma => "peak EWMA".to_string(),
        Algorithm::ConsistentHash(options) => {
            let sources = list(&options.sources, describe_source);
            let table = match options.table {
                HashTable::Maglev(size) => format!("{} slots", size.slots()),
                HashTable::Ring(size) => format!("a ring of {} to {} points", size.min(), size.max()),
            };
            format!(
                "consistent hash by {sources}, {table}, without key {:?}",
                options.missing_key
            )
        }
    };
    if let Some(named) = &balance.endpoint_override {
        text += &format!(
            ", endpoint named by {}",
            list(&named.headers, |header| header.to_string())
        );
        text += if named.strict { " strictly" } else { "" };
        text += if named.strip { ", removed" } else { "" };
        text += if named.trusted.is_empty() {
            ""
        } else {
            ", from trusted peers only"
        };
        text += &named
            .report_header
            .as_ref()
            .map(|name| format!(", reported in {name}"))
            .unwrap_or_default();
    }
    if let Some(slow) = &balance.slow_start {
        let aggression = f64::from(slow.aggression_milli) / 1000.0;
        text += &format!(
            ", slow start {:?} from {} %",
            slow.window, slow.min_weight_percent
        );
        text += &if aggression == 1.0 {
            String::new()
        } else {
            format!(" aggression {aggression}")
        };
    }
    text += &balance
        .load_report
        .as_ref()
        .map(describe_report)
        .unwrap_or_default();
    text += &balance
        .report_header
        .as_ref()
        .map(|name| format!(", pick reported in {name}"))
        .unwrap_or_default();
    text
}

fn describe_report(report: &LoadReport) -> String {
    let kept = if report.keep { ", kept" } else { "" };
    let expiry_ms = report.expiry.milliseconds();
    format!(", load as reported in {} for {expiry_ms} ms{kept}", report.header)
}

fn describe_source(source: &HashSource) -> String {
    match source {
        HashSource::SourceIp {
            prefix_length_v4: 32,
            prefix_length_v6: 128,
        } => "source ip".to_string(),
        HashSource::SourceIp {
            prefix_length_v4,
            prefix_length_v6,
        } => {
            format!("source ip /{prefix_length_v4} /{prefix_length_v6}")
        }
        HashSource::Headers(names) => format!("headers {}", list(names, |name| name.to_string())),
        HashSource::QueryParams(names) => format!("query {}", list(names, |name| name.to_string())),
        HashSource::Cookie(cookie) => {
            let ttl = cookie
                .ttl
                .map(|ttl| format!(" generated for {ttl:?}"))
                .unwrap_or_default();
            let attributes = list(&cookie.attributes, |(name, value)| format!("{name}={value}"));
            let attributes = if cookie.attributes.is_empty() {
                String::new()
            } else {
                format!(" with {attributes}")
            };
            format!("cookie {}{ttl}{attributes}", cookie.name)
        }
    }
}
