//! Changes of configuration under load: how long until a request sees them, and whether any request suffers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::commands::Bench;
use super::figures::Figures;
use super::load::{Generator, Load};
use super::probe::{Answer, Probe};
use super::process::{self, Leashed};
use super::routes::Routes;
use crate::table;

/// Changes of one route, and of one endpoint, per kind of load.
const SMALL_CHANGES: u32 = 20;
/// Changes of all routes per kind of load.
const LARGE_CHANGES: u32 = 3;
/// Connections that must all see a change; enough to meet every worker.
const PROBES: usize = 8;
/// How long a change may take before we give up.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);
/// Pause between changes: somebody who writes files slower than this sees every one of them alone.
const PAUSE: Duration = Duration::from_millis(150);
/// Longest run of the load generator, s; it is stopped when the changes are through.
const LOAD_S: u32 = 600;

/// How long one kind of change took until the first connection and until all connections saw it, ms.
struct Effect {
    what: &'static str,
    limit_ms: Option<f64>,
    first_ms: Figures,
    all_ms: Figures,
}

/// Measures weir with the options' number of routes, under moderate and under full load.
pub(crate) fn run(bench: &Bench) -> Result<(), String> {
    let (port, backend_port) = (process::free_port()?, process::free_port()?);
    let hosts = [1, 2, 3, 4].map(|host| Ipv4Addr::new(127, 0, 0, host));
    let _backend = bench.start_backend("backend", &hosts, backend_port)?;
    let mut routes = Routes::write(
        &bench.directory.join("reload"),
        port,
        backend_port,
        bench.options.routes,
    )?;
    let command = [
        bench.binary("weir").display().to_string(),
        "run".to_owned(),
        "-c".to_owned(),
        routes.directory().display().to_string(),
        "--threads".to_owned(),
        "2".to_owned(),
    ];
    let begin = Instant::now();
    let mut weir = bench.start("weir-reload", &command)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    weir.wait_until_it_serves(address)?;
    println!(
        "{} routes; serving {:.0} ms after the start",
        bench.options.routes,
        ms(begin.elapsed())
    );
    let mut failures = Vec::new();
    let mut records = Vec::new();
    let mut version = 0;
    for (load_name, pause_ms) in [("moderate load", 10), ("full load", 0)] {
        let generator = Generator::new(&bench.tools.wrk, &bench.directory, &requests(bench, pause_ms))?;
        let load = spawn(&generator.command(address, 64, LOAD_S))?;
        std::thread::sleep(Duration::from_secs(1));
        let effects = change(&mut routes, address, &mut weir, &mut version);
        let load = finish(load)?;
        let effects = effects?;
        println!(
            "\n{load_name}: {:.0} requests/s, {} failed\n\n{}",
            load.rate(),
            load.errors,
            text(&effects)
        );
        if load.errors > 0 {
            failures.push(format!(
                "{load_name}: {} of {} requests failed",
                load.errors, load.requests
            ));
        }
        records.push(json!({
            "load": load_name,
            "requests": load.requests,
            "failed": load.errors,
            "effects": effects.iter().map(|effect| json!({
                "what": effect.what,
                "first_ms": effect.first_ms.to_json(),
                "all_ms": effect.all_ms.to_json(),
            })).collect::<Vec<_>>(),
        }));
    }
    let path = bench.options.json.with_file_name("reload.json");
    let record = json!({"routes": bench.options.routes, "runs": records});
    fs::write(&path, format!("{record:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("figures: {}", path.display());
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n"))
    }
}

/// Lua that asks for all routes in no order; with a pause, each connection rests between its requests.
fn requests(bench: &Bench, pause_ms: u32) -> String {
    let pause = match pause_ms {
        0 => String::new(),
        pause_ms => format!("delay = function() return {pause_ms} end\n"),
    };
    format!(
        "{pause}request = function()\n  return wrk.format(\"GET\", \"/r/\" .. math.random(0, {}))\nend\n",
        bench.options.routes.saturating_sub(1)
    )
}

/// Makes all the changes, one after the other.
fn change(
    routes: &mut Routes,
    address: SocketAddr,
    weir: &mut Leashed,
    version: &mut u32,
) -> Result<Vec<Effect>, String> {
    let mut probes = (0..PROBES)
        .map(|_| Probe::connect(address).map_err(|error| error.to_string()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut one = Effect::new("one route changes", Some(50.0));
    for _ in 0..SMALL_CHANGES {
        *version += 1;
        let begin = Instant::now();
        routes.change_one(*version)?;
        one.watch(&mut probes, begin, "/r/0", |answer| has_version(answer, *version))?;
    }
    let mut endpoint = Effect::new("one endpoint changes", Some(10.0));
    for number in 0..SMALL_CHANGES {
        let host = if number % 2 == 0 { 4 } else { 3 };
        let begin = Instant::now();
        routes.move_endpoint(host)?;
        let wanted = format!("127.0.0.{host}:");
        endpoint.watch(&mut probes, begin, "/moving", |answer| {
            answer
                .header("x-backend")
                .is_some_and(|backend| backend.starts_with(&wanted))
        })?;
    }
    let mut all = Effect::new("all routes change", None);
    for _ in 0..LARGE_CHANGES {
        *version += 1;
        let begin = Instant::now();
        routes.change_all(*version)?;
        let last = format!("/r/{}", routes.last());
        all.watch(&mut probes, begin, &last, |answer| has_version(answer, *version))?;
    }
    weir.check_alive()?;
    Ok(vec![one, endpoint, all])
}

impl Effect {
    fn new(what: &'static str, limit_ms: Option<f64>) -> Self {
        Self {
            what,
            limit_ms,
            first_ms: Figures::default(),
            all_ms: Figures::default(),
        }
    }

    /// Asks on every connection, on all at once, until all answers are as wanted: one after the other the requests
    /// themselves would take most of the time under a load.
    fn watch(
        &mut self,
        probes: &mut [Probe],
        begin: Instant,
        path: &str,
        is_new: impl Fn(&Answer) -> bool,
    ) -> Result<(), String> {
        let mut waiting: Vec<&mut Probe> = probes.iter_mut().collect();
        let mut first = None;
        while !waiting.is_empty() {
            let failed = |error| format!("{}: {path}: {error}", self.what);
            for probe in &mut waiting {
                probe.send(path).map_err(failed)?;
            }
            let mut still = Vec::new();
            for probe in waiting {
                let answer = probe.answer().map_err(failed)?;
                if answer.status != 200 {
                    return Err(format!("{}: {path} answered {}", self.what, answer.status));
                }
                if is_new(&answer) {
                    first = first.or(Some(begin.elapsed()));
                } else {
                    still.push(probe);
                }
            }
            waiting = still;
            if begin.elapsed() > CHANGE_LIMIT {
                return Err(format!(
                    "{}: no effect after {} s",
                    self.what,
                    CHANGE_LIMIT.as_secs()
                ));
            }
        }
        self.first_ms.push(ms(first.unwrap_or_default()));
        self.all_ms.push(ms(begin.elapsed()));
        std::thread::sleep(PAUSE);
        Ok(())
    }
}

fn has_version(answer: &Answer, version: u32) -> bool {
    answer.header("x-version").and_then(|text| text.parse().ok()) == Some(version)
}

fn text(effects: &[Effect]) -> String {
    let rows: Vec<Vec<String>> = effects
        .iter()
        .map(|effect| {
            let highest = |figures: &Figures| figures.range().map_or(0.0, |(_, high)| high);
            let median = effect.all_ms.median().unwrap_or(0.0);
            let verdict = match effect.limit_ms {
                Some(limit) if median <= limit => format!("reached ({limit:.0})"),
                Some(limit) => format!("MISSED ({limit:.0})"),
                None => "-".to_owned(),
            };
            vec![
                effect.what.to_owned(),
                format!("{:.1}", effect.first_ms.median().unwrap_or(0.0)),
                format!("{median:.1}"),
                format!("{:.1}", highest(&effect.all_ms)),
                verdict,
            ]
        })
        .collect();
    table::text(
        &[
            "ms from write to effect",
            "first connection",
            "all connections",
            "longest",
            "limit",
        ],
        &rows,
    )
}

/// Starts the load generator.
fn spawn(command: &[String]) -> Result<Child, String> {
    let [program, arguments @ ..] = command else {
        return Err("an empty command".to_owned());
    };
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))
}

/// Stops the load generator by the signal on which it prints its figures.
fn finish(load: Child) -> Result<Load, String> {
    let status = Command::new("kill")
        .args(["-INT", &load.id().to_string()])
        .status();
    status.map_err(|error| format!("kill: {error}"))?;
    let output = load.wait_with_output().map_err(|error| error.to_string())?;
    Load::parse(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| "wrk printed no result".to_owned())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
