//! The parts of `weir demo`: the configuration it uses, and the table it shows. This folder knows no socket and no
//! thread; `command/demo.rs` starts those.

mod example;
mod screen;
mod table;

pub(crate) use example::{BACKEND_PORTS, Example, GATEWAY_PORT, HOST};
pub(crate) use screen::Screen;
pub(crate) use table::{Backend, Row, plain_lines, rows, table_text};
