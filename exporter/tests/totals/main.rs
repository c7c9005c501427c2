//! What the binary says of a directory is what happened in it: counted by the processes themselves, by real scrapes, while
//! processes and exporters are killed and files are damaged.

mod damage;
#[path = "../exporter/http.rs"]
#[allow(dead_code, reason = "the other test program uses the rest of it")]
mod http;
mod processes;
#[path = "../exporter/running.rs"]
#[allow(dead_code, reason = "the other test program uses the rest of it")]
mod running;
mod scrape;
mod worker;
