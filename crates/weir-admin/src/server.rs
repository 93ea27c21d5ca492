//! The thread that answers.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};

use crate::Instance;
use crate::answers::Page;
use crate::dispatch::{answer, question};
use crate::door::{Door, DoorSocket, Place, Scope, SocketFile};
use crate::guard::{Denial, Token, Visit, admit};

/// Connections at once; more wait.
const CONNECTIONS_MAX: usize = 64;
/// A request's head must arrive within this time; connections that are not used are closed after it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// After an error of the system (no file is free), so that it is not asked in a hot loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The admin API, served until this value is dropped.
#[derive(Debug)]
pub struct Admin {
    places: Vec<(Place, Scope)>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What connections share.
struct Desk {
    instance: Arc<dyn Instance>,
    token: Option<Token>,
}

/// A body that is sent as a whole.
struct Whole(Option<Bytes>);

impl Admin {
    /// Serves through these doors. What is asked needs `token` where [`Door`]s are not local, and for changes over TCP.
    ///
    /// # Errors
    /// The system gives no thread, or refuses a resource.
    pub fn start(doors: Vec<Door>, token: Option<Token>, instance: Arc<dyn Instance>) -> io::Result<Self> {
        let places = doors
            .iter()
            .map(|door| (door.place.clone(), door.scope))
            .collect();
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let desk = Arc::new(Desk { instance, token });
        let doors = {
            let _inside = runtime.enter();
            let open = |door: Door| Ok((Listening::new(door.socket)?, door.place, door.scope));
            doors.into_iter().map(open).collect::<io::Result<Vec<_>>>()?
        };
        let thread = std::thread::Builder::new()
            .name("weir-admin".to_owned())
            .spawn(move || {
                runtime.block_on(serve(doors, desk, stopped));
                // Questions that wait for something are not waited for.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            places,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it is served, with ports that the system chose, and what is answered there.
    pub fn places(&self) -> &[(Place, Scope)] {
        &self.places
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // A thread that is gone needs no telling, and that it might have panicked changes nothing any more.
        let _ = self.stop.send(true);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A door in the runtime.
enum Listening {
    Tcp(tokio::net::TcpListener),
    Unix {
        listener: tokio::net::UnixListener,
        /// Removed when nobody listens any more.
        _file: SocketFile,
    },
}

impl Listening {
    fn new(socket: DoorSocket) -> io::Result<Self> {
        Ok(match socket {
            DoorSocket::Tcp(listener) => Self::Tcp(tokio::net::TcpListener::from_std(listener)?),
            DoorSocket::Unix(listener, file) => Self::Unix {
                listener: tokio::net::UnixListener::from_std(listener)?,
                _file: file,
            },
        })
    }
}

async fn serve(doors: Vec<(Listening, Place, Scope)>, desk: Arc<Desk>, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    for (listening, place, scope) in doors {
        let door = Arc::new((place, scope));
        tokio::spawn(accept(listening, door, Arc::clone(&desk), Arc::clone(&places)));
    }
    // Ends when it is told to, or with whoever would tell.
    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
}

async fn accept(listening: Listening, door: Arc<(Place, Scope)>, desk: Arc<Desk>, places: Arc<Semaphore>) {
    loop {
        let Ok(permit) = Arc::clone(&places).acquire_owned().await else {
            return pending().await;
        };
        let (desk, door) = (Arc::clone(&desk), Arc::clone(&door));
        let accepted = match &listening {
            Listening::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                let serving = connection(stream, desk, door);
                tokio::spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }),
            Listening::Unix { listener, .. } => listener.accept().await.map(|(stream, _)| {
                let serving = connection(stream, desk, door);
                tokio::spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }),
        };
        if accepted.is_err() {
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

async fn connection<S>(stream: S, desk: Arc<Desk>, door: Arc<(Place, Scope)>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| respond(request, Arc::clone(&desk), Arc::clone(&door)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // A client that went away or spoke no HTTP was answered as far as it could be.
    let _ = served;
}

async fn respond(
    request: Request<Incoming>,
    desk: Arc<Desk>,
    door: Arc<(Place, Scope)>,
) -> Result<Response<Whole>, Infallible> {
    let (place, scope) = &*door;
    let visit = Visit {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
    };
    if let Err(denial) = admit(&visit, place, *scope, desk.token.as_ref()) {
        return Ok(response(denied(denial)));
    }
    let query = request.uri().query().unwrap_or_default();
    let bases = desk.instance.tenant_bases();
    let page = match question(request.method(), request.uri().path(), query, &bases) {
        Err(page) => page,
        Ok(question) => {
            let instance = Arc::clone(&desk.instance);
            // Some questions wait for a publication; nobody else shall.
            let asked = tokio::task::spawn_blocking(move || answer(question, &*instance));
            asked.await.unwrap_or_else(|_| {
                Page::error(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "defect",
                    "a defect in weir kept this from being answered",
                )
            })
        }
    };
    Ok(response(page))
}

fn denied(denial: Denial) -> Page {
    let (word, message) = denial.words();
    Page::error(denial.status(), word, message)
}

fn response(page: Page) -> Response<Whole> {
    const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");
    let mut response = Response::new(Whole(Some(Bytes::from(page.body))));
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    if let Some(allow) = page.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if page.status == StatusCode::UNAUTHORIZED {
        headers.insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"weir admin\""),
        );
    }
    response
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
