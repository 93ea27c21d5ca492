//! Asking the admin API of a running weir, as its commands do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Token;
use crate::percent::encode;

/// An answer may be at most this long.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where a weir's admin API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Host and port.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Asks one weir.
#[derive(Clone, Debug)]
pub struct Client {
    target: Target,
    token: Option<Token>,
    patience: Duration,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Nothing usable was answered.
#[derive(Debug)]
pub enum AskError {
    /// Nobody can be reached there.
    Unreachable(io::Error),
    /// What answers there speaks no HTTP, or broke off.
    Broken(String),
    /// No answer came in time.
    Late,
    /// The API said no: status and reason.
    Refused(u16, String),
}

/// A request has no body.
struct Nothing;

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => out.write_str(address),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => error.fmt(out),
            Self::Broken(error) => write!(out, "what answers there is no admin API: {error}"),
            Self::Late => out.write_str("no answer came in time"),
            Self::Refused(status, message) => write!(out, "{message} (status {status})"),
        }
    }
}

impl std::error::Error for AskError {}

impl Answer {
    /// The body as this type.
    ///
    /// # Errors
    /// The status is not 200, or the body is something else.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, AskError> {
        if self.status != 200 {
            return Err(self.refusal());
        }
        serde_json::from_slice(&self.body).map_err(|error| AskError::Broken(error.to_string()))
    }

    /// What was said instead of doing it.
    pub fn refusal(&self) -> AskError {
        let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let message = value["message"].as_str().map(str::to_owned);
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(&self.body).trim().to_owned());
        AskError::Refused(self.status, message)
    }
}

impl Client {
    /// Asks there, showing this token, and waits for an answer at most so long.
    pub fn new(target: Target, token: Option<Token>, patience: Duration) -> Self {
        Self {
            target,
            token,
            patience,
        }
    }

    /// Where it asks.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Asks a question.
    ///
    /// # Errors
    /// No answer came.
    pub fn get(&self, path: &str) -> Result<Answer, AskError> {
        self.ask(Method::GET, path)
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// No answer came.
    pub fn post(&self, path: &str) -> Result<Answer, AskError> {
        self.ask(Method::POST, path)
    }

    /// The path of a decision about an endpoint, with its parameters.
    pub fn order_path(endpoint: &str, verb: &str, parameters: &[(&str, &str)]) -> String {
        let pair = |(name, value): &(&str, &str)| format!("{name}={}", encode(value));
        let query: Vec<String> = parameters.iter().map(pair).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("/endpoints/{}/{verb}{mark}{}", encode(endpoint), query.join("&"))
    }

    fn ask(&self, method: Method, path: &str) -> Result<Answer, AskError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(AskError::Unreachable)?;
        runtime.block_on(async {
            let asked = tokio::time::timeout(self.patience, self.exchange(method, path));
            asked.await.unwrap_or(Err(AskError::Late))
        })
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<Answer, AskError> {
        match &self.target {
            Target::Tcp(address) => {
                let stream = tokio::net::TcpStream::connect(address).await;
                self.over(stream.map_err(AskError::Unreachable)?, method, path, address)
                    .await
            }
            Target::Unix(socket) => {
                let stream = tokio::net::UnixStream::connect(socket).await;
                self.over(stream.map_err(AskError::Unreachable)?, method, path, "localhost")
                    .await
            }
        }
    }

    async fn over<S>(&self, stream: S, method: Method, path: &str, host: &str) -> Result<Answer, AskError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |error: hyper::Error| AskError::Broken(error.to_string());
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        let request = request
            .body(Nothing)
            .map_err(|error| AskError::Broken(error.to_string()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // It ends with the runtime.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let body = collect(response.into_body()).await?;
        Ok(Answer { status, body })
    }
}

async fn collect(mut body: Incoming) -> Result<Vec<u8>, AskError> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|task| Pin::new(&mut body).poll_frame(task)).await {
        let frame = frame.map_err(|error| AskError::Broken(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(AskError::Broken("the answer is too long".to_owned()));
        }
    }
    Ok(bytes)
}

impl Body for Nothing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}
