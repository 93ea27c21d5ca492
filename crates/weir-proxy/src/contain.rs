//! Defects stay where they are: a task that must go on for ever survives the panic of what it does.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs `future`; `None` when it panicked. Whatever it shares must be whole at every moment, as everything behind locks and
/// atomics here is.
pub(crate) async fn contain<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(
        |task| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_the_future_and_nothing_else() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            assert_eq!(contain(async { 7 }).await, Some(7));
            let late = async {
                tokio::task::yield_now().await;
                std::panic::resume_unwind(Box::new("a defect"))
            };
            assert_eq!(contain::<_>(late).await, None::<()>);
        });
    }
}
