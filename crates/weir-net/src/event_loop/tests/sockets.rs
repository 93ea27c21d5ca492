//! Readiness, on real sockets.

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::{pause, run};
use crate::event_loop::EventLoop;
use crate::{Listener, Stream};

fn unix_pair(event_loop: &EventLoop) -> (Stream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    (Stream::adopt(event_loop, near).unwrap(), far)
}

fn tcp_pair(event_loop: &EventLoop) -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let near = listener.accept().unwrap().0;
    near.set_nonblocking(true).unwrap();
    (Stream::adopt(event_loop, near).unwrap(), far)
}

async fn read(stream: &mut Stream, length: usize) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0; length];
    let length = poll_fn(|task| stream.poll_read(task, &mut buffer)).await?;
    buffer.truncate(length);
    Ok(buffer)
}

async fn readable(stream: &Stream) {
    poll_fn(|task| stream.poll_read_ready(task)).await.unwrap();
}

#[test]
fn an_end_behind_a_short_read_is_read_whenever_it_comes() {
    run(|event_loop| async move {
        let (mut stream, mut far) = tcp_pair(&event_loop);
        far.write_all(b"abc").unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        // Both are there before the first look.
        assert_eq!(read(&mut stream, 100).await.unwrap(), b"abc");
        assert_eq!(read(&mut stream, 100).await.unwrap(), b"");

        let (mut stream, mut far) = tcp_pair(&event_loop);
        far.write_all(b"abc").unwrap();
        readable(&stream).await;
        // The end comes between the event and the read.
        far.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read(&mut stream, 100).await.unwrap(), b"abc");
        assert_eq!(read(&mut stream, 100).await.unwrap(), b"");

        let (mut stream, mut far) = tcp_pair(&event_loop);
        far.write_all(b"abc").unwrap();
        assert_eq!(read(&mut stream, 100).await.unwrap(), b"abc");
        // It comes after the read, when somebody waits for it already.
        let mut waiting = pin!(read(&mut stream, 100));
        let first = poll_fn(|task| Poll::Ready(waiting.as_mut().poll(task))).await;
        assert!(first.is_pending());
        far.shutdown(Shutdown::Write).unwrap();
        assert_eq!(waiting.await.unwrap(), b"");
    });
}

#[test]
fn a_reset_behind_bytes_is_an_error_and_wakes_whoever_waits() {
    run(|event_loop| async move {
        for is_read_before in [false, true] {
            let (mut stream, far) = tcp_pair(&event_loop);
            (&far).write_all(b"abc").unwrap();
            readable(&stream).await;
            if is_read_before {
                assert_eq!(read(&mut stream, 100).await.unwrap(), b"abc");
            }
            socket2::SockRef::from(&far)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(far);
            if !is_read_before {
                assert_eq!(read(&mut stream, 100).await.unwrap(), b"abc");
            }
            let error = read(&mut stream, 100).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert!(!stream.is_quiet());
            assert_eq!(read(&mut stream, 100).await.unwrap(), b"", "and again, at once");
        }
    });
}

#[test]
fn an_event_for_a_socket_that_is_gone_reaches_nobody_in_its_place() {
    run(|event_loop| async move {
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        // Keeps the socket in the poller when the stream is gone.
        let _twin = near.try_clone().unwrap();
        drop(Stream::adopt(&event_loop, near).unwrap());
        let (mut next, mut next_far) = unix_pair(&event_loop);
        far.write_all(b"stale").unwrap();
        for _ in 0..3 {
            pause().await;
        }
        let peeked = poll_fn(|task| Poll::Ready(next.poll_read_ready(task))).await;
        assert!(peeked.is_pending());
        next_far.write_all(b"fresh").unwrap();
        assert_eq!(read(&mut next, 100).await.unwrap(), b"fresh");
    });
}

#[test]
fn a_full_socket_is_written_to_again_when_it_is_drained() {
    run(|event_loop| async move {
        for pair in [0, 1] {
            let (mut stream, mut far): (Stream, Box<dyn Read>) = if pair == 0 {
                let (stream, far) = unix_pair(&event_loop);
                (stream, Box::new(far))
            } else {
                let (stream, far) = tcp_pair(&event_loop);
                (stream, Box::new(far))
            };
            let mut written = 0;
            for _ in 0..3 {
                loop {
                    let block = [7; 65_536];
                    let wrote = poll_fn(|task| Poll::Ready(stream.poll_write_pair(task, &block, b"x"))).await;
                    match wrote {
                        Poll::Ready(length) => written += length.unwrap(),
                        Poll::Pending => break,
                    }
                }
                let mut buffer = vec![0; written];
                far.read_exact(&mut buffer).unwrap();
                written = poll_fn(|task| stream.poll_write(task, b"more")).await.unwrap();
                assert_eq!(written, 4);
            }
        }
    });
}

#[test]
fn who_polls_with_a_waker_of_its_own_is_woken_through_it() {
    struct Own(AtomicUsize, Waker);
    impl Wake for Own {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1.wake_by_ref();
        }
    }
    run(|event_loop| async move {
        let (mut stream, mut far) = unix_pair(&event_loop);
        let task_waker = poll_fn(|task| Poll::Ready(task.waker().clone())).await;
        let own = Arc::new(Own(AtomicUsize::new(0), task_waker));
        let waker = Waker::from(Arc::clone(&own));
        for round in 1..=3 {
            // The task itself first: whoever polls last is woken.
            poll_fn(|task| {
                assert!(stream.poll_read_ready(task).is_pending());
                let mut own_context = Context::from_waker(&waker);
                assert!(stream.poll_read_ready(&mut own_context).is_pending());
                assert!(stream.poll_read_ready(&mut own_context).is_pending());
                Poll::Ready(())
            })
            .await;
            assert_eq!(Arc::strong_count(&own), 3, "one clone at a time");
            far.write_all(b"x").unwrap();
            while own.0.load(Ordering::Relaxed) < round {
                let mut is_polled = false;
                poll_fn(|_| {
                    if std::mem::replace(&mut is_polled, true) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
            assert_eq!(read(&mut stream, 10).await.unwrap(), b"x");
        }
        assert!(
            stream
                .poll_read_ready(&mut Context::from_waker(&waker))
                .is_pending()
        );
        drop(stream);
        assert_eq!(Arc::strong_count(&own), 2, "a dropped socket holds no waker");
    });
}

#[test]
fn a_connection_is_quiet_until_something_comes() {
    run(|event_loop| async move {
        let (mut stream, mut far) = unix_pair(&event_loop);
        pause().await;
        assert!(stream.is_quiet());
        far.write_all(b"abcd").unwrap();
        readable(&stream).await;
        assert!(!stream.is_quiet());
        // A read that fills its buffer leaves the question open; a look at the socket answers it.
        assert_eq!(read(&mut stream, 4).await.unwrap(), b"abcd");
        assert!(stream.is_quiet());
        assert_eq!(
            stream.try_read(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        drop(far);
        readable(&stream).await;
        assert!(!stream.is_quiet());
    });
}

#[test]
fn a_task_with_much_to_do_lets_others_run_and_goes_on_by_itself() {
    run(|event_loop| async move {
        let (mut stream, _far) = tcp_pair(&event_loop);
        let mut written = 0;
        let mut shares = Vec::new();
        poll_fn(|task| {
            let before = written;
            while written < 400 {
                match stream.poll_write(task, b"x") {
                    Poll::Ready(length) => written += length.unwrap(),
                    Poll::Pending => break,
                }
            }
            shares.push(written - before);
            if written == 400 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        assert_eq!(shares, [128, 128, 128, 16]);
    });
}

#[test]
fn connections_are_accepted_until_none_is_left_and_again_later() {
    run(|event_loop| async move {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener::new(&event_loop, socket.into()).unwrap();
        for _ in 0..2 {
            let mut clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
            for client in &mut clients {
                let (accepted, peer) = poll_fn(|task| listener.poll_accept(task)).await.unwrap();
                assert_eq!(peer, client.local_addr().unwrap());
                let mut stream = Stream::adopt(&event_loop, accepted).unwrap();
                assert_eq!(stream.local_address(), Some(address));
                client.write_all(b"hello").unwrap();
                assert_eq!(read(&mut stream, 9).await.unwrap(), b"hello");
            }
            let none = listener.try_accept().unwrap_err();
            assert_eq!(none.kind(), ErrorKind::WouldBlock);
        }
    });
}
