//! Asking other hosts over HTTP and HTTPS: one request a connection, each with a deadline.

mod address;
mod client;
mod download;
pub mod tls;

pub use address::Url;
pub use client::{Answer, Error, Sent, ask, connect, get};
pub use download::download;
