//! Values of flags: each file reads one kind of text and says what it expected when it cannot.

mod address;
mod admin;
mod balance;
mod duration;
mod log_filter;
mod percent;

pub(crate) use address::{
    ListenRange, Target, bind_address, parse_listen_range, parse_name_server, parse_target,
};
pub(crate) use admin::{AdminPlace, parse_admin};
pub(crate) use balance::{Balance, parse_balance};
pub(crate) use duration::{duration_text, parse_duration};
pub(crate) use log_filter::{LogFilter, LogLevel};
pub(crate) use percent::parse_percent;
