//! What the admin API is told, and what it may ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_admin::{Instance, Order, Readiness, Refusal, Reloaded, Report};
use weir_config::source::Waker;
use weir_config::translate::config_json;
use weir_model::Severity;

use super::board::Board;
use super::picture::{Moment, picture};
use super::plane::Plane;
use super::steering::Steering;
use crate::config;

/// Longest time that a reload is waited for.
const RELOAD_PATIENCE: Duration = Duration::from_secs(60);

/// This process, as the admin API sees it.
#[derive(Debug)]
pub(super) struct Told {
    plane: Arc<Plane>,
    board: Arc<Board>,
    waker: Waker,
    steering: Arc<Steering>,
    started: Instant,
    is_draining: AtomicBool,
}

impl Told {
    /// Nothing has been loaded yet.
    pub(super) fn new(plane: Arc<Plane>, board: Arc<Board>, waker: Waker) -> Self {
        Self {
            plane,
            board,
            waker,
            steering: Arc::default(),
            started: Instant::now(),
            is_draining: AtomicBool::new(false),
        }
    }

    /// From now on it is not ready any more.
    pub(super) fn begin_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }
}

impl Instance for Told {
    fn readiness(&self) -> Readiness {
        let is_started = self.plane.gateway().generation() > 0;
        let is_bound = !self.plane.addresses().is_empty();
        let reasons = [
            (!is_started, "starting"),
            (is_started && !is_bound, "no_listener"),
            (self.is_draining(), "draining"),
        ];
        Readiness {
            reasons: reasons
                .iter()
                .filter(|(holds, _)| *holds)
                .map(|(_, word)| *word)
                .collect(),
        }
    }

    fn tenant_bases(&self) -> Vec<String> {
        self.board.read().tenants.bases()
    }

    fn report(&self) -> Report {
        let moment = Moment {
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            is_draining: self.is_draining(),
        };
        let mut report = picture(self.plane.gateway(), &self.board.read(), moment);
        report.overrides = self.steering.states(&report.backends);
        report
    }

    fn config(&self) -> Value {
        let notice = self.board.read();
        let mut value = config_json(&self.plane.gateway().config());
        value["generation_running"] = notice.generation_running.into();
        value["generation_disk"] = notice.generation_disk.into();
        value["in_sync"] = notice.difference.is_none().into();
        value["difference"] = notice.difference.into();
        value
    }

    fn decide(&self, order: &Order) -> Result<Vec<String>, Refusal> {
        self.steering.decide(self.plane.gateway(), order)
    }

    fn reload(&self) -> Result<Reloaded, Refusal> {
        let answered = self.board.read().answered;
        self.waker.wake();
        let notice = self
            .board
            .wait(RELOAD_PATIENCE, |notice| notice.answered > answered);
        let notice = notice.ok_or_else(|| Refusal::Failed("the reload has not ended in time".to_owned()))?;
        let count = |severity| config::count(&notice.problems, severity) as u64;
        Ok(Reloaded {
            generation_running: notice.generation_running,
            generation_disk: notice.generation_disk,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            difference: notice.difference,
        })
    }
}
