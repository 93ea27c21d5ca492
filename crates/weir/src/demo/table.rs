//! What the demonstration shows: per route, how many requests each backend served, and how long they took.

use std::fmt::Write as _;

use weir_model::EndpointAddress;
use weir_proxy::Stats;

use super::example::Example;

/// One route's line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// The path it serves.
    pub(crate) path: &'static str,
    /// Requests so far.
    pub(crate) requests: u64,
    /// Requests that each backend served, in the order of the backends.
    pub(crate) served: Vec<u64>,
    /// Median time of an exchange, microseconds.
    pub(crate) p50_us: u64,
    /// 99th percentile, microseconds.
    pub(crate) p99_us: u64,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    /// Its pod.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: EndpointAddress,
}

/// The rows of the example's routes.
pub(crate) fn rows(stats: &Stats, backends: &[Backend]) -> Vec<Row> {
    let row = |route: &super::example::ExampleRoute| {
        let empty = Row {
            path: route.path,
            served: vec![0; backends.len()],
            ..Row::default()
        };
        let Some(report) = stats.rules.get(route.rule_key) else {
            return empty;
        };
        let served = |backend: &Backend| {
            let endpoint = report
                .endpoints
                .iter()
                .find(|endpoint| endpoint.address == backend.address);
            endpoint.map_or(0, |endpoint| endpoint.requests)
        };
        Row {
            requests: report.requests,
            served: backends.iter().map(served).collect(),
            p50_us: report.latency_quantile_us(0.5),
            p99_us: report.latency_quantile_us(0.99),
            ..empty
        }
    };
    Example::ROUTES.iter().map(row).collect()
}

/// The whole table for a terminal, each line with a line end.
pub(crate) fn table_text(backends: &[Backend], rows: &[Row], color: bool) -> String {
    let (bold, dim, plain) = if color {
        ("\x1b[1m", "\x1b[2m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _written = write!(out, "{bold}{:<25} {:>8}", "route", "requests");
    for backend in backends {
        let _written = write!(out, " {:>11}", backend.name);
    }
    let _written = writeln!(out, " {:>7} {:>7}{plain}", "p50", "p99");
    for row in rows {
        let (style, end) = if row.requests == 0 { (dim, plain) } else { ("", "") };
        let _written = write!(out, "{style}{:<25} {:>8}", row.path, row.requests);
        let served: u64 = row.served.iter().sum();
        for count in &row.served {
            let _written = write!(out, " {:>11}", share(*count, served));
        }
        let times = if row.requests == 0 {
            Default::default()
        } else {
            (time(row.p50_us), time(row.p99_us))
        };
        let _written = writeln!(out, " {:>7} {:>7}{end}", times.0, times.1);
    }
    out
}

/// One line for each route whose numbers differ from `before`.
pub(crate) fn plain_lines(backends: &[Backend], before: &[Row], rows: &[Row]) -> String {
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        if before.get(index) == Some(row) || row.requests == 0 {
            continue;
        }
        let served: u64 = row.served.iter().sum();
        let noun = if row.requests == 1 { "request" } else { "requests" };
        let _written = write!(out, "{} {} {noun}:", row.path, row.requests);
        for (backend, count) in backends.iter().zip(&row.served) {
            let _written = write!(out, " {} {},", backend.name, share(*count, served));
        }
        let _written = writeln!(out, " p50 {}, p99 {}", time(row.p50_us), time(row.p99_us));
    }
    out
}

/// `25 25%`; only `0` for a backend that served nothing.
fn share(count: u64, total: u64) -> String {
    match count {
        0 => "0".to_owned(),
        _ => format!("{count} {:.0}%", count as f64 * 100.0 / total as f64),
    }
}

/// A time in a few characters and a unit.
fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..100_000 => format!("{:.1}ms", us as f64 / 1e3),
        100_000..10_000_000 => format!("{}ms", us / 1000),
        _ => format!("{}s", us / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends() -> Vec<Backend> {
        let backend = |n: u16| Backend {
            name: format!("backend-{n}"),
            address: EndpointAddress::Tcp(([127, 0, 0, 1], 9000 + n).into()),
        };
        vec![backend(1), backend(2)]
    }

    fn row(path: &'static str, served: [u64; 2]) -> Row {
        Row {
            path,
            requests: served[0] + served[1],
            served: served.into(),
            p50_us: 210,
            p99_us: 1_250,
        }
    }

    #[test]
    fn the_table_has_one_line_per_route_and_one_column_per_backend() {
        let text = table_text(&backends(), &[row("/round", [3, 1]), row("/idle", [0, 0])], false);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[0],
            ["route", "requests", "backend-1", "backend-2", "p50", "p99"]
        );
        assert_eq!(
            lines[1],
            ["/round", "4", "3", "75%", "1", "25%", "210us", "1.2ms"]
        );
        assert_eq!(lines[2], ["/idle", "0", "0", "0"]);
        let widths: Vec<_> = text.lines().map(str::len).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{widths:?}");
    }

    #[test]
    fn plain_lines_are_written_for_routes_that_changed() {
        let before = [row("/round", [3, 1]), row("/idle", [0, 0])];
        assert_eq!(plain_lines(&backends(), &before, &before), "");
        let after = [row("/round", [3, 2]), row("/idle", [0, 0])];
        assert_eq!(
            plain_lines(&backends(), &before, &after),
            "/round 5 requests: backend-1 3 60%, backend-2 2 40%, p50 210us, p99 1.2ms\n"
        );
    }

    #[test]
    fn routes_that_nobody_asked_for_have_rows_too() {
        let rows = rows(&Stats::default(), &backends());
        assert_eq!(rows.len(), Example::ROUTES.len());
        assert!(rows.iter().all(|row| row.requests == 0 && row.served == [0, 0]));
    }
}
