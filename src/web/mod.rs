//! Asking other hosts over HTTP and HTTPS: one request a connection, each with a deadline.

mod address;
mod client;
mod download;
pub mod tls;
pub mod wire;

pub use address::Url;
pub use client::{Error, ask, connect, get};
pub use download::download;
pub use wire::Answer;
