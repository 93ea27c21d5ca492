//! Envoy's response flags of an exchange: the short words that its users search logs for.

use super::super::Exchange;

/// The flags that weir gives, in the order in which Envoy writes them.
const ALL: [&str; 15] = [
    "UH", "UT", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "DC", "URX", "SI", "DPE", "UMSDR", "UPE",
];

/// The flags of a finished exchange, joined by commas; empty when there is nothing to say.
pub(super) fn text(exchange: &Exchange<'_>) -> String {
    let record = &exchange.record;
    let of_reason = record.reason.as_ref().map_or("", |reason| of_word(reason.word()));
    if of_reason.is_empty() && record.retries == 0 && !record.is_delayed {
        return String::new();
    }
    // The client that has gone is no reason to say that the retries were not enough.
    let is_used_up = record.retries > 0 && record.status != 0 && !exchange.is_good();
    let is_set = |flag: &&&str| match **flag {
        "DI" => record.is_delayed,
        "URX" => is_used_up,
        flag => flag == of_reason,
    };
    ALL.iter().filter(is_set).copied().collect::<Vec<_>>().join(",")
}

/// The flag that says the same as a word of weir's; empty when Envoy has none.
fn of_word(word: &str) -> &'static str {
    match word {
        "no_endpoints"
        | "no_endpoint_available"
        | "no_endpoint_probed"
        | "no_endpoint_for_retry"
        | "all_endpoints_tried"
        | "override_unavailable" => "UH",
        "request_timeout" | "backend_request_timeout" | "upstream_write_timeout" => "UT",
        "connect_failed" | "connect_timeout" => "UF",
        "upstream_closed" | "upstream_truncated_head" | "upstream_truncated_body" => "UC",
        "upstream_invalid_head"
        | "upstream_invalid_interim"
        | "upstream_invalid_framing"
        | "upstream_invalid_connection"
        | "upstream_invalid_chunk" => "UPE",
        "backend_connections_full"
        | "backend_pending_requests_full"
        | "backend_requests_full"
        | "endpoint_connections_full"
        | "endpoint_pending_requests_full"
        | "endpoint_requests_full"
        | "pending_timeout" => "UO",
        "no_host" | "no_route" => "NR",
        "fault_abort" => "FI",
        "rate_limited" | "parallel_requests_full" => "RL",
        "client_gone" | "client_gone_uploading" | "client_write_timeout" => "DC",
        "stream_idle_timeout" | "upstream_stalled" | "body_timeout" | "head_timeout" => "SI",
        "stream_timeout" => "UMSDR",
        "chunk_extension"
        | "chunk_extension_too_large"
        | "chunk_line_ending"
        | "chunk_size"
        | "connection_too_long"
        | "encoding_in_http10"
        | "encoding_repeated"
        | "encoding_unknown"
        | "field_name"
        | "field_too_large"
        | "field_value"
        | "head_too_large"
        | "host_mismatch"
        | "host_missing"
        | "host_name"
        | "host_port"
        | "host_repeated"
        | "host_user_information"
        | "length_and_encoding"
        | "length_invalid"
        | "length_repeated"
        | "line_ending"
        | "path_above_root"
        | "path_byte"
        | "path_dot_parameter"
        | "path_escape"
        | "path_escape_forbidden"
        | "path_form"
        | "request_line"
        | "target"
        | "target_too_long"
        | "too_many_fields"
        | "trailer"
        | "version"
        | "version_unsupported" => "DPE",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op08_every_flag_of_a_word_is_one_that_is_written() {
        for (word, flag) in [
            ("no_endpoints", "UH"),
            ("connect_failed", "UF"),
            ("request_timeout", "UT"),
            ("upstream_closed", "UC"),
            ("upstream_invalid_head", "UPE"),
            ("backend_requests_full", "UO"),
            ("no_route", "NR"),
            ("fault_abort", "FI"),
            ("rate_limited", "RL"),
            ("client_gone", "DC"),
            ("body_timeout", "SI"),
            ("length_and_encoding", "DPE"),
            ("stream_timeout", "UMSDR"),
        ] {
            assert_eq!(of_word(word), flag);
            assert!(ALL.contains(&flag), "{flag}");
        }
        assert_eq!(of_word("credentials_wrong"), "");
    }
}
