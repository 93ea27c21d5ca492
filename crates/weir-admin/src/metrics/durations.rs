//! How long requests and tries took, under OpenTelemetry's names.

use super::text::{Exposition, Kind};
use crate::{DurationState, Report, TryState};

/// Upper bounds of the buckets of durations, seconds (OpenTelemetry's for HTTP).
pub const DURATION_BOUNDS_S: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Below, an answer is none of the server's errors.
const SERVER_ERRORS: u16 = 500;
/// Whoever asks also has an error when the fault is its own.
const CLIENT_ERRORS: u16 = 400;

pub(super) fn requests(out: &mut Exposition, report: &Report) {
    let routes = report.routes.iter();
    let mut all = routes
        .flat_map(|route| route.durations.iter().map(|one| (&*route.key, one)))
        .peekable();
    if all.peek().is_none() {
        return;
    }
    out.head(
        "http_server_request_duration_seconds",
        Kind::Histogram,
        "Time from a request's first byte to its answer's last, by rule.",
    );
    for (route, one) in all {
        let labels = labels(&[("http_route", route)], one, SERVER_ERRORS);
        histogram(out, "http_server_request_duration_seconds", &labels, one);
    }
}

pub(super) fn tries(out: &mut Exposition, report: &Report) {
    let of = |tried: &'_ TryState| !tried.durations.is_empty();
    if !report.tries.iter().any(of) {
        return;
    }
    out.head(
        "http_client_request_duration_seconds",
        Kind::Histogram,
        "Time from a try's beginning to the last byte of the endpoint's answer, by rule and backend.",
    );
    for tried in &report.tries {
        let own = [("http_route", &*tried.route), ("backend", &*tried.backend)];
        for one in &tried.durations {
            let labels = labels(&own, one, CLIENT_ERRORS);
            histogram(out, "http_client_request_duration_seconds", &labels, one);
        }
    }
}

/// OpenTelemetry's attributes. What is not known has no label: to Prometheus an empty one is the same.
fn labels<'s>(
    own: &[(&'static str, &'s str)],
    one: &'s DurationState,
    errors_from: u16,
) -> Vec<(&'static str, std::borrow::Cow<'s, str>)> {
    let mut labels: Vec<(&'static str, std::borrow::Cow<'s, str>)> =
        own.iter().map(|(name, value)| (*name, (*value).into())).collect();
    // Listeners and endpoints speak plain HTTP.
    labels.push(("url_scheme", "http".into()));
    for (name, value) in [
        ("http_request_method", &one.method),
        ("network_protocol_version", &one.version),
    ] {
        if !value.is_empty() {
            labels.push((name, value.as_str().into()));
        }
    }
    if one.status > 0 {
        labels.push(("http_response_status_code", one.status.to_string().into()));
    }
    match &*one.error {
        "" if one.status >= errors_from => labels.push(("error_type", one.status.to_string().into())),
        "" => {}
        word => labels.push(("error_type", word.into())),
    }
    labels
}

fn histogram(
    out: &mut Exposition,
    name: &str,
    labels: &[(&'static str, std::borrow::Cow<'_, str>)],
    one: &DurationState,
) {
    let mut labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, &**value)).collect();
    let mut within = 0;
    for (bound, count) in DURATION_BOUNDS_S.iter().zip(&one.buckets) {
        within += count;
        let bound = bound.to_string();
        let of_bucket = [&labels[..], &[("le", &*bound)]].concat();
        out.sample(&format!("{name}_bucket"), &of_bucket, within as f64);
    }
    let all: u64 = one.buckets.iter().sum();
    labels.push(("le", "+Inf"));
    out.sample(&format!("{name}_bucket"), &labels, all as f64);
    labels.pop();
    out.sample(&format!("{name}_sum"), &labels, one.sum_us as f64 / 1e6);
    out.sample(&format!("{name}_count"), &labels, all as f64);
}
