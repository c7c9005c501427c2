//! The exporter over real sockets: its routes, its server, and its binary. One test program, because each links all of TLS
//! and OpenTelemetry.

mod binary;
mod browser;
mod crew;
mod exposure;
mod http;
mod judges;
mod limits;
mod names;
mod otlp;
mod page;
mod routes;
mod running;
mod schema;
mod stream;
mod tls;
mod users;
mod web_config;
