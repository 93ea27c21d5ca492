//! What is answered, one file per kind of question.

mod endpoints;
mod health;
mod page;
mod tenants;

pub(crate) use endpoints::{decide, reload};
pub(crate) use health::{alive, ready};
pub(crate) use page::{Page, index, refused};
pub(crate) use tenants::{overall, services, tenants};
