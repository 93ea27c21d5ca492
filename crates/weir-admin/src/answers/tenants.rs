//! Tenants, with the keys that keystone-gateway's admin endpoints have (rows OP01 to OP03).

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::Page;
use crate::{Overall, Report, ServiceState, TenantState};

/// Health by tenant. Answers 503 when nothing is healthy only if that is asked for: keystone-gateway never does.
pub(crate) fn overall(report: &Report, is_strict: bool) -> Page {
    // Where there are no tenants, that all of them are well says nothing.
    let status = if report.tenants.is_empty() {
        report.status
    } else {
        together(&report.tenants)
    };
    let counts = |tenant: &TenantState| {
        let (healthy, all) = tenant.healthy();
        (
            tenant.name.clone(),
            Value::from(format!("{healthy}/{all} healthy")),
        )
    };
    let tenants: Map<String, Value> = report.tenants.iter().map(counts).collect();
    let body = json!({
        "status": status.word(),
        "tenants": tenants,
        "uptime": go_duration(Duration::from_millis(report.uptime_ms)),
        "version": report.version,
    });
    Page::json(code(status, is_strict), &body)
}

/// All tenants: what they are called, how they are reached, what serves them.
pub(crate) fn tenants(report: &Report) -> Page {
    let tenants: Vec<Value> = report.tenants.iter().map(tenant).collect();
    Page::json(StatusCode::OK, &json!({ "tenants": tenants }))
}

/// The services of one tenant; 503 when none is healthy.
pub(crate) fn services(report: &Report, name: &str) -> Page {
    let Some(tenant) = report.tenants.iter().find(|tenant| tenant.name == name) else {
        return Page::not_found(&format!("there is no tenant {name:?}"));
    };
    let service = |service: &ServiceState| {
        json!({
            "name": service.name,
            "url": service.url,
            "status": service.status,
            "last_check": service.last_check_unix_ms.map(rfc3339),
            "cause": service.cause,
        })
    };
    let services: Vec<Value> = tenant.services.iter().map(service).collect();
    let body = json!({
        "tenant": tenant.name,
        "status": tenant.status().word(),
        "services": services,
    });
    Page::json(code(tenant.status(), true), &body)
}

fn tenant(tenant: &TenantState) -> Value {
    let kind = match (tenant.domains.is_empty(), &tenant.path_prefix) {
        (false, Some(_)) => "hybrid",
        (false, None) => "host",
        (true, _) => "path",
    };
    let service = |service: &ServiceState| {
        json!({
            "name": service.name,
            "url": service.url,
            "health": service.health,
            "status": service.status,
        })
    };
    json!({
        "name": tenant.name,
        "status": tenant.status().word(),
        "services": tenant.services.iter().map(service).collect::<Vec<_>>(),
        "routing": {
            "type": kind,
            "domains": tenant.domains,
            "path_prefix": tenant.path_prefix,
        },
    })
}

/// Healthy when all are; unhealthy when there are some and no service of any of them is healthy.
fn together(tenants: &[TenantState]) -> Overall {
    if tenants.iter().all(|tenant| tenant.status() == Overall::Healthy) {
        return Overall::Healthy;
    }
    let is_any_served = tenants.iter().any(|tenant| tenant.healthy().0 > 0);
    if is_any_served {
        Overall::Degraded
    } else {
        Overall::Unhealthy
    }
}

fn code(status: Overall, is_strict: bool) -> StatusCode {
    if status == Overall::Unhealthy && is_strict {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

/// A duration as Go's `Duration.String` writes whole seconds, such as `1h2m3s`.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// A time in UTC as RFC 3339 has it, to the second.
fn rfc3339(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar: eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(statuses: &[(&str, &[&str])]) -> Report {
        let tenant = |(name, statuses): &(&str, &[&str])| TenantState {
            name: (*name).to_owned(),
            domains: vec!["api.example.com".to_owned()],
            path_prefix: Some("/v2/".to_owned()),
            services: (1..)
                .zip(*statuses)
                .map(|(number, status)| ServiceState {
                    name: format!("s{number}"),
                    url: format!("http://10.0.0.{number}:80"),
                    status: (*status).to_owned(),
                    last_check_unix_ms: Some(1_763_745_600_999),
                    ..ServiceState::default()
                })
                .collect(),
        };
        Report {
            version: "1.2.1".to_owned(),
            uptime_ms: 3_723_000,
            tenants: statuses.iter().map(tenant).collect(),
            ..Report::default()
        }
    }

    fn body(page: &Page) -> Value {
        serde_json::from_str(&page.body).expect("JSON")
    }

    #[test]
    fn op01_health_has_keystones_keys() {
        let page = overall(&report(&[("api", &["healthy", "unhealthy"])]), true);
        assert_eq!(page.status, 200);
        let expected = json!({
            "status": "degraded",
            "tenants": {"api": "1/2 healthy"},
            "uptime": "1h2m3s",
            "version": "1.2.1",
        });
        assert_eq!(body(&page), expected);
    }

    #[test]
    fn op01_when_it_is_degraded_and_when_unhealthy() {
        for (tenants, strict, status, word) in [
            (&[][..], true, 200, "healthy"),
            (
                &[("a", &["healthy"][..]), ("b", &["healthy"])],
                true,
                200,
                "healthy",
            ),
            (
                &[("a", &["healthy"]), ("b", &["unhealthy"])],
                true,
                200,
                "degraded",
            ),
            (&[("a", &["pending"])], true, 503, "unhealthy"),
            (
                &[("a", &["unhealthy"]), ("b", &["disabled"])],
                true,
                503,
                "unhealthy",
            ),
            (&[("a", &["unhealthy"])], false, 200, "unhealthy"),
        ] {
            let page = overall(&report(tenants), strict);
            assert_eq!(
                (page.status.as_u16(), body(&page)["status"].as_str()),
                (status, Some(word)),
                "{tenants:?}"
            );
        }
    }

    #[test]
    fn op02_tenants_have_name_status_services_and_routing() {
        let listed = body(&tenants(&report(&[("api", &["healthy"])])));
        let expected = json!({"tenants": [{
            "name": "api",
            "status": "healthy",
            "services": [{"name": "s1", "url": "http://10.0.0.1:80", "health": null, "status": "healthy"}],
            "routing": {"type": "hybrid", "domains": ["api.example.com"], "path_prefix": "/v2/"},
        }]});
        assert_eq!(listed, expected);
    }

    #[test]
    fn op03_one_tenants_services() {
        let report = report(&[("api", &["unhealthy", "healthy"]), ("down", &["unhealthy"])]);
        let page = services(&report, "api");
        assert_eq!(page.status, 200);
        let first = &body(&page)["services"][0];
        assert_eq!(
            (&first["name"], &first["status"]),
            (&json!("s1"), &json!("unhealthy"))
        );
        assert_eq!(first["last_check"], "2025-11-21T17:20:00Z");
        assert_eq!(services(&report, "down").status, 503);
        assert_eq!(services(&report, "other").status, 404);
    }

    #[test]
    fn days_of_the_calendar() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_778, (2026, 11, 21)),
        ] {
            assert_eq!(civil(days), expected);
        }
    }
}
