//! The router as its users see it: rules of precedence by tables, random configurations against a matcher that is
//! obviously right, explanations, what a lookup allocates, and what it costs among many.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests count as production code for this lint"
)]

mod against_naive;
mod allocation;
mod explanation;
mod precedence;
mod scale;
mod support;
