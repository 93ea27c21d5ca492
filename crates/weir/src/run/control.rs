//! What is in force: loads the configuration again and again and hands every change to the data plane.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use weir_config::report::{self, SourceTexts, TextOptions};
use weir_config::resource::{ResourceSet, UNKNOWN_TYPE};
use weir_config::source::FileSource;
use weir_config::translate::{Options, Translation, Translator, Update, translate};
use weir_model::{Config, EndpointSource, ObjectName, Problem, Severity};

use super::board::Board;
use super::plane::Plane;
use super::tenancy::Tenancy;
use crate::config::{self, all_problems};
use crate::log::{Level, Log};

/// Problems written to the log per load, at most.
const PROBLEMS_MAX: usize = 20;
/// Names of objects in one line, at most.
const NAMES_MAX: usize = 3;

/// Owns the source and the last translation.
#[derive(Debug)]
pub(crate) struct Control {
    source: Input,
    strict: bool,
    options: Options,
    log: Log,
    translator: Option<Translator>,
    /// Of the last load.
    problems: Vec<Problem>,
    /// Number of the last load that changed something.
    generation_disk: u64,
    /// Number of the load that is in force.
    generation_running: u64,
    /// Why what runs is not what is written; `None` when it is.
    difference: Option<String>,
    tenants: Arc<Tenancy>,
    /// Where all this is told to whoever asks.
    board: Arc<Board>,
}

/// Where the configuration comes from.
#[derive(Debug)]
pub(crate) enum Input {
    /// Files that may change.
    Files(Box<FileSource>),
    /// A text that never changes, and its name.
    Text(String, String),
}

/// Why it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The kernel told that files were written: the others need not be read.
    Written,
    /// Somebody wants it, and wants to hear of the result even when nothing changed.
    Asked,
    /// It is the first time, or something looks different.
    Unknown,
}

/// One reading of the source.
struct Reading {
    set: ResourceSet,
    held: Vec<ObjectName>,
    left_out: Vec<ObjectName>,
    is_changed: bool,
}

impl Control {
    /// Nothing is loaded yet.
    pub(crate) fn new(source: Input, strict: bool, options: Options, log: Log, board: Arc<Board>) -> Self {
        Self {
            source,
            strict,
            options,
            log,
            translator: None,
            problems: Vec::new(),
            generation_disk: 0,
            generation_running: 0,
            difference: None,
            tenants: Arc::default(),
            board,
        }
    }

    /// Loads and puts in force what changed. Returns whether a configuration is in force.
    pub(crate) fn load(&mut self, plane: &Plane, cause: Cause) -> bool {
        let started = Instant::now();
        let reading = self.read(cause);
        let is_first = self.generation_disk == 0;
        if !reading.is_changed && !is_first {
            self.post(cause, false);
            if cause == Cause::Asked {
                let generation = self.generation_running;
                self.log.info(&format!(
                    "nothing has changed: generation {generation} stays in force"
                ));
                self.remind();
            }
            return self.translator.is_some();
        }
        self.generation_disk += 1;
        let is_rejected = self.reject(&reading, is_first);
        let update = if is_rejected {
            None
        } else {
            self.put_in_force(reading, plane)
        };
        // Before anything is said of it: whoever hears of it may ask at once.
        self.post(cause, true);
        if let Some(update) = update {
            self.announce(&update, started);
        }
        if self.translator.is_some() {
            self.remind();
        }
        self.translator.is_some()
    }

    /// Translates a reading and hands on what that changes.
    fn put_in_force(&mut self, reading: Reading, plane: &Plane) -> Option<Update> {
        let update = match &mut self.translator {
            Some(translator) => translator.update(&reading.set),
            None => {
                self.translator = Some(Translator::new(&reading.set, self.options.clone()));
                Update::Config
            }
        };
        let translator = self.translator.as_ref()?;
        let translation = translator.translation();
        let problems = all_problems(&reading.set.problems, &translation.problems);
        report_problems(&self.log, &self.problems, &problems);
        match &update {
            Update::Unchanged => {}
            Update::Endpoints(changes) => plane.change_endpoints(&translation.config, changes),
            Update::Config => plane.publish(&translation.config),
        }
        self.problems = problems;
        self.tenants = Tenancy::of(&reading.set);
        self.generation_running = self.generation_disk;
        self.difference = difference_text(&reading);
        Some(update)
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Option<&Arc<Config>> {
        self.translator
            .as_ref()
            .map(|translator| &translator.translation().config)
    }

    /// Errors of the last load.
    pub(crate) fn errors(&self) -> usize {
        config::count(&self.problems, Severity::Error)
    }

    /// Says once more that what runs is not what is written, if so.
    pub(crate) fn remind(&self) {
        let Some(difference) = &self.difference else {
            return;
        };
        let (running, disk) = (self.generation_running, self.generation_disk);
        self.log.event(
            Level::Warn,
            "differs",
            &match disk - running {
                0 => format!("running differs from disk (in generation {running}): {difference}"),
                _ => format!(
                    "running differs from disk (generation {running} runs, {disk} is on disk): {difference}"
                ),
            },
            &[
                ("generation_running", running.into()),
                ("generation_disk", disk.into()),
            ],
        );
    }

    /// Tells what has come of a load.
    fn post(&self, cause: Cause, is_changed: bool) {
        let is_good = self.difference.is_none() && self.errors() == 0;
        self.board.post(|notice| {
            notice.generation_running = self.generation_running;
            notice.generation_disk = self.generation_disk;
            notice.difference.clone_from(&self.difference);
            notice.tenants = Arc::clone(&self.tenants);
            if is_changed {
                notice.problems = self.problems.clone().into();
                notice.count(is_good);
            }
            notice.answered += u64::from(cause == Cause::Asked);
        });
    }

    fn read(&mut self, cause: Cause) -> Reading {
        match &mut self.source {
            Input::Files(source) => {
                let loaded = match cause {
                    Cause::Written => source.load_written(),
                    Cause::Asked | Cause::Unknown => source.load(),
                };
                Reading {
                    is_changed: !loaded.change.is_nothing(),
                    set: loaded.resources,
                    held: loaded.held,
                    left_out: loaded.left_out,
                }
            }
            Input::Text(name, text) => {
                let set = ResourceSet::from_texts([(name.as_str(), text.as_str())]);
                Reading {
                    set,
                    held: Vec::new(),
                    left_out: Vec::new(),
                    is_changed: self.generation_disk == 0,
                }
            }
        }
    }

    /// Whether a reading is not taken at all: by a strict gateway because of any error, by any at its start because it
    /// does not understand a policy (row OP14). Then it is said why.
    fn reject(&mut self, reading: &Reading, is_first: bool) -> bool {
        let mut read = reading.set.problems.iter();
        let is_denied = is_first && read.any(|problem| problem.code == UNKNOWN_TYPE);
        if !self.strict && !is_denied {
            return false;
        }
        let candidate: Translation = translate(&reading.set, &self.options.clone());
        let problems = all_problems(&reading.set.problems, &candidate.problems);
        let errors = config::count(&problems, Severity::Error);
        if errors == 0 {
            return false;
        }
        report_problems(&self.log, &self.problems, &problems);
        self.problems = problems;
        let noun = if errors == 1 { "error" } else { "errors" };
        self.difference = Some(format!(
            "the configuration on disk has {errors} {noun} and is rejected (--strict)"
        ));
        true
    }

    fn announce(&self, update: &Update, started: Instant) {
        let Some(config) = self.config() else { return };
        let generation = self.generation_running;
        let endpoints: usize = config
            .backends
            .iter()
            .map(|backend| match &backend.endpoints {
                EndpointSource::Static(endpoints) => endpoints.len(),
                EndpointSource::Names(names) => names.len(),
            })
            .sum();
        let (routes, backends, problems) = (config.routes.len(), config.backends.len(), self.problems.len());
        let ms = started.elapsed().as_secs_f64() * 1000.0;
        let how = match update {
            Update::Unchanged => ", nothing to do",
            Update::Endpoints(_) => ", endpoints only",
            Update::Config => "",
        };
        self.log.event(
            Level::Info,
            "generation",
            &format!(
                "generation {generation} in force ({}, {}, {}, {}{how}) in {ms:.1} ms",
                counted(routes, "route"),
                counted(backends, "backend"),
                counted(endpoints, "endpoint"),
                counted(problems, "problem"),
            ),
            &[
                ("generation", generation.into()),
                ("routes", routes.into()),
                ("backends", backends.into()),
                ("endpoints", endpoints.into()),
                ("problems", problems.into()),
                ("duration_ms", json!(ms)),
            ],
        );
    }
}

/// Writes the problems that were not there before.
fn report_problems(log: &Log, before: &[Problem], problems: &[Problem]) {
    // Places do not count: a problem that only moved is not new.
    let identity = |problem: &'_ Problem| (problem.code, problem.message.clone(), problem.object.clone());
    let known: HashSet<_> = before.iter().map(identity).collect();
    let fresh: Vec<_> = problems
        .iter()
        .filter(|problem| !known.contains(&identity(problem)))
        .cloned()
        .collect();
    if fresh.is_empty() {
        return;
    }
    if log.is_json() {
        for problem in fresh.iter().take(PROBLEMS_MAX) {
            let level = level_of(problem.severity);
            let place = problem.origin.to_string();
            let fields = [("code", problem.code.into()), ("place", place.into())];
            log.event(level, "problem", &problem.message, &fields);
        }
    } else {
        let severity_min = if log.shows(Level::Info) {
            Severity::Note
        } else {
            Severity::Warning
        };
        let options = TextOptions {
            color: log.color(),
            severity_min,
            problems_max: PROBLEMS_MAX,
        };
        let mut texts = SourceTexts::new(config::source_text);
        log.block(Level::Warn, &report::text(&fresh, &mut texts, options));
    }
}

fn level_of(severity: Severity) -> Level {
    match severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warn,
        Severity::Note => Level::Info,
    }
}

/// What is said of objects whose last good version stays in force, and of those that are not taken.
fn difference_text(reading: &Reading) -> Option<String> {
    let (held, left_out) = (&reading.held, &reading.left_out);
    let mut parts = Vec::new();
    if !held.is_empty() {
        let objects = counted(held.len(), "object");
        parts.push(format!(
            "the last good version of {objects} stays in force: {}",
            names_text(held)
        ));
    }
    if !left_out.is_empty() {
        let objects = counted(left_out.len(), "new object");
        parts.push(format!("{objects} left out: {}", names_text(left_out)));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn names_text(objects: &[ObjectName]) -> String {
    let names: Vec<_> = objects
        .iter()
        .take(NAMES_MAX)
        .map(ObjectName::to_string)
        .collect();
    match objects.len() - names.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
