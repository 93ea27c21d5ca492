//! The live state of an endpoint: one cache line of relaxed atomics that all workers share.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use weir_model::Endpoint;

use crate::answer::{Answer, Answers, Brief, Standing};
use crate::seat::{COMMON, Judgement, Seat, Seats, Watch};

/// An endpoint of a backend with its live state.
#[derive(Clone, Debug)]
pub struct Member {
    /// As configured.
    pub endpoint: Endpoint,
    /// Shared with every other balancer that knows the endpoint.
    pub state: Arc<EndpointState>,
    /// Bits of the state that speak against picking it here.
    heeded: u64,
}

impl Member {
    /// An endpoint that no check of this balancer's judges.
    pub fn new(endpoint: Endpoint, state: Arc<EndpointState>) -> Self {
        Self {
            endpoint,
            state,
            heeded: COMMON,
        }
    }

    /// The same endpoint, judged also by the check that has that seat at it.
    #[must_use]
    pub fn heeding(mut self, seat: Seat) -> Self {
        self.heeded |= seat.mask();
        self
    }

    pub(crate) fn heeded(&self) -> u64 {
        self.heeded
    }
}

/// Load and availability of one endpoint. Outlives reloads; held as `Arc<EndpointState>`.
///
/// Every field is independent of the others, so relaxed ordering is enough: a reader may see one worker's
/// change a moment late, never a value that nobody wrote.
#[derive(Debug)]
#[repr(align(64))]
pub struct EndpointState {
    /// Tries in flight in the low [`IN_FLIGHT_BITS`], above them all that ever began: one addition counts both.
    tries: AtomicU64,
    /// [`Unavailable`] and seats.
    unavailable: AtomicU64,
    /// Tries in flight whose answer is awaited and will be told.
    awaited: AtomicU32,
    added_at_ms: AtomicU64,
    answers: Answers,
    seats: Box<Seats>,
}

/// The least part of its weight that an endpoint has by its own word.
const CAPACITY_MIN: f64 = 0.05;

/// Four million tries in flight at one endpoint, and four million million ever.
const IN_FLIGHT_BITS: u32 = 22;
const BEGUN: u64 = 1 << IN_FLIGHT_BITS;

// A second line would double the cache misses of every pick; sharing one would make neighbours' counters contend.
const _: () = assert!(size_of::<EndpointState>() == 64 && align_of::<EndpointState>() == 64);

impl EndpointState {
    /// An available endpoint without load, added at `added_at_ms` on the clock that picks use.
    pub fn new(added_at_ms: u64) -> Self {
        Self {
            tries: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            awaited: AtomicU32::new(0),
            added_at_ms: AtomicU64::new(added_at_ms),
            answers: Answers::new(),
            seats: Box::default(),
        }
    }

    /// Counts a try as started. Every call is paired with one of [`EndpointState::end`]; [`Lease`] does both.
    #[inline]
    pub fn begin(&self) {
        self.tries.fetch_add(BEGUN + 1, Relaxed);
    }

    /// Counts a try as finished.
    #[inline]
    pub fn end(&self) {
        let before = self.tries.fetch_sub(1, Relaxed);
        debug_assert!(!before.is_multiple_of(BEGUN), "end without begin");
    }

    /// Tries that have begun and not ended, over all workers.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        (self.tries.load(Relaxed) % BEGUN) as u32
    }

    /// How the endpoint stands with an algorithm that goes by its answers.
    #[inline]
    pub(crate) fn standing(&self, now_ms: u64) -> Standing {
        let is_awaited = self.awaited.load(Relaxed) > 0;
        self.answers.standing(self.in_flight(), is_awaited, now_ms)
    }

    /// The same, when little is to be said of it.
    #[inline]
    pub(crate) fn brief(&self, now_ms: u64) -> Brief {
        let is_awaited = self.awaited.load(Relaxed) > 0;
        self.answers.brief(self.in_flight(), is_awaited, now_ms)
    }

    /// Peak latency in microseconds and the price of failures.
    #[inline]
    pub(crate) fn peak(&self, now_ms: u64) -> (u32, u32) {
        self.answers.peak(now_ms)
    }

    /// Forgets how the endpoint has answered, for one that comes back as another process.
    pub fn forget_answers(&self) {
        self.answers.forget();
    }

    fn begin_watched(&self, now_ms: u64) {
        self.begin();
        if self.awaited.fetch_add(1, Relaxed) == 0 {
            self.answers.begin_waiting(now_ms);
        }
    }

    /// Tries ever begun.
    pub fn picks(&self) -> u64 {
        self.tries.load(Relaxed) >> IN_FLIGHT_BITS
    }

    /// When the endpoint was added, or recovered: the start of its slow start. Milliseconds.
    #[inline]
    pub fn added_at_ms(&self) -> u64 {
        self.added_at_ms.load(Relaxed)
    }

    /// Starts slow start anew: the endpoint has recovered at `now_ms`.
    pub fn restart_ramp(&self, now_ms: u64) {
        self.added_at_ms.store(now_ms, Relaxed);
    }

    /// The endpoint has said that it can still take `percent` of what it can take at all. Holds until `until_ms`.
    pub fn report_capacity(&self, percent: u8, until_ms: u64) {
        let word = until_ms << 8 | u64::from(percent.min(100));
        self.seats.capacity.store(word, Relaxed);
    }

    /// The part of its weight that the endpoint has by its own word: 1 when it has said nothing or long ago; never so
    /// little that it would not be asked again.
    pub(crate) fn capacity(&self, now_ms: u64) -> f64 {
        let word = self.seats.capacity.load(Relaxed);
        if now_ms >= word >> 8 {
            return 1.0;
        }
        (f64::from(word as u8) / 100.0).max(CAPACITY_MIN)
    }

    /// Whether nothing speaks against picking the endpoint, whoever says it.
    pub fn is_available(&self) -> bool {
        self.unavailable.load(Relaxed) == 0
    }

    /// Which of the `heeded` bits speak against picking the endpoint.
    #[inline]
    pub(crate) fn against(&self, heeded: u64) -> u64 {
        self.unavailable.load(Relaxed) & heeded
    }

    /// Which of the `heeded` checks know nothing of the endpoint yet.
    pub(crate) fn pending(&self, heeded: u64) -> u64 {
        self.seats.pending.load(Relaxed) & heeded
    }

    /// Whether `reason` holds.
    pub fn holds(&self, reason: Unavailable) -> bool {
        self.against(reason.bit()) != 0
    }

    /// Makes the endpoint unavailable for `reason`, until [`EndpointState::clear`] takes that reason back.
    pub fn raise(&self, reason: Unavailable) {
        self.change(reason.bit(), 0);
    }

    /// Takes `reason` back; the endpoint is available again when no other reason holds.
    pub fn clear(&self, reason: Unavailable) {
        self.change(0, reason.bit());
    }

    /// A seat for another check; `None` when 56 different checks have one already. Nobody heeds the check's judgement
    /// then, and whoever asked for it is to be told.
    pub fn take_seat(&self) -> Option<Seat> {
        self.seats.take()
    }

    /// Gives a seat back. What its check has said is taken back, too.
    pub fn give_seat_back(&self, seat: Seat) {
        self.judge(seat, Judgement::Good);
        self.seats.give_back(seat);
    }

    /// Says what the check of `seat` thinks of the endpoint; it holds until it says something else.
    pub fn judge(&self, seat: Seat, judgement: Judgement) {
        let mask = seat.mask();
        let before = match judgement {
            Judgement::Pending => self.seats.pending.fetch_or(mask, Relaxed) & mask,
            Judgement::Good | Judgement::Bad => self.seats.pending.fetch_and(!mask, Relaxed) & mask,
        };
        let is_told = match judgement {
            Judgement::Good => self.change(0, mask),
            Judgement::Bad | Judgement::Pending => self.change(mask, 0),
        };
        if !is_told && (before != 0) != (judgement == Judgement::Pending) {
            self.seats.tell();
        }
    }

    /// Has `watch` told whenever something speaks against the endpoint or no longer does.
    pub(crate) fn watch(&self, watch: &Arc<Watch>) {
        self.seats.watch(watch);
    }

    /// Says whether that changed anything; if so, the watches have been told.
    fn change(&self, raise: u64, clear: u64) -> bool {
        let before = if raise != 0 {
            self.unavailable.fetch_or(raise, Relaxed)
        } else {
            self.unavailable.fetch_and(!clear, Relaxed)
        };
        let is_changed = (before | raise) & !clear != before;
        if is_changed {
            self.seats.tell();
        }
        is_changed
    }
}

/// Why an endpoint may not be picked at the moment, wherever it is listed. Several may hold at once. What a check of
/// one backend says is told by its [`Seat`] instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Finishes what it has: a person said so. Holds in a panic, too.
    Draining,
    /// Out of use: a person said so. Holds in a panic, too.
    Disabled,
    /// Fails its health checks.
    Unhealthy,
    /// Taken out for a while because of how it answered.
    Ejected,
}

impl Unavailable {
    fn bit(self) -> u64 {
        match self {
            Self::Draining => 1,
            Self::Disabled => 2,
            Self::Unhealthy => 4,
            Self::Ejected => 8,
        }
    }
}

const _: () = assert!(crate::seat::DECIDED == 3);

/// Holds an endpoint for one try: it counts as in flight until the lease is dropped.
///
/// `H` decides what keeps the state alive. `Arc<EndpointState>` works anywhere, but its reference count is one
/// more contended word per request; a worker-local handle (a borrow, or an `Rc` of the worker's snapshot and an
/// index) costs nothing between cores.
#[derive(Debug)]
pub struct Lease<H: Deref<Target = EndpointState>> {
    endpoint: H,
    awaits: bool,
}

impl<H: Deref<Target = EndpointState>> Lease<H> {
    /// Begins a try at `endpoint`.
    #[inline]
    pub fn new(endpoint: H) -> Self {
        endpoint.begin();
        Self {
            endpoint,
            awaits: false,
        }
    }

    /// Begins a try at `endpoint` whose answer will be told: for balancers that learn. `now_ms` is on the clock
    /// of picks.
    #[inline]
    pub fn watched(endpoint: H, now_ms: u64) -> Self {
        endpoint.begin_watched(now_ms);
        Self {
            endpoint,
            awaits: true,
        }
    }

    /// Tells how the try was answered, once the response's head is there or the try has failed; `latency` is the time
    /// since it began. Only the first call on a watched lease counts. The try stays in flight.
    #[inline]
    pub fn answered(&mut self, now_ms: u64, latency: Duration, answer: Answer) {
        if std::mem::take(&mut self.awaits) {
            self.endpoint.awaited.fetch_sub(1, Relaxed);
            self.endpoint.answers.record(now_ms, latency, answer);
        }
    }

    /// The endpoint held.
    pub fn endpoint(&self) -> &EndpointState {
        &self.endpoint
    }
}

impl<H: Deref<Target = EndpointState>> Drop for Lease<H> {
    #[inline]
    fn drop(&mut self) {
        if self.awaits {
            self.endpoint.awaited.fetch_sub(1, Relaxed);
        }
        self.endpoint.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_until_it_is_dropped() {
        let state = Arc::new(EndpointState::new(0));
        let owned = Lease::new(Arc::clone(&state));
        let borrowed = Lease::new(&*state);
        assert_eq!((state.in_flight(), state.picks()), (2, 2));
        assert_eq!(owned.endpoint().in_flight(), 2);
        drop(owned);
        drop(borrowed);
        assert_eq!((state.in_flight(), state.picks()), (0, 2));
    }

    #[test]
    fn bx01_an_answer_is_told_once_and_only_by_those_who_watch() {
        let state = Arc::new(EndpointState::new(0));
        let (mut plain, mut watched) = (Lease::new(&*state), Lease::watched(&*state, 5));
        let second = Lease::watched(&*state, 6);
        assert_eq!((state.in_flight(), state.picks()), (3, 3));
        plain.answered(20, Duration::from_millis(99), Answer::Success);
        assert_eq!(
            state.standing(30).latency,
            25 * 16_000,
            "silent since the first was begun"
        );
        watched.answered(31, Duration::from_millis(2), Answer::Success);
        watched.answered(31, Duration::from_millis(99), Answer::Success);
        assert_eq!(state.standing(32).latency, 2 * 16_000);
        drop(second);
        assert_eq!(state.standing(31 + 2_048).eased, 1, "nothing is awaited");
        assert_eq!(state.in_flight(), 2);
        drop((plain, watched));
        assert_eq!(state.in_flight(), 0);
    }

    #[test]
    fn an_endpoint_is_available_when_no_reason_holds() {
        let state = EndpointState::new(0);
        assert!(state.is_available());
        state.raise(Unavailable::Ejected);
        state.raise(Unavailable::Draining);
        state.clear(Unavailable::Ejected);
        assert!(!state.is_available());
        assert!(state.holds(Unavailable::Draining) && !state.holds(Unavailable::Ejected));
        state.clear(Unavailable::Draining);
        assert!(state.is_available());
    }
}
