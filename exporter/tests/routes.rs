//! The route table, asked over a loopback socket.

mod http;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use axum::Router;
use session_lock_exporter::{Stopped, router, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

/// Longer than any drain here can take, so that a test that passes does not depend on it.
const PLENTY: Duration = Duration::from_mins(10);

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    stopped: JoinHandle<std::io::Result<Stopped>>,
}

impl Server {
    async fn start(routes: Router, drain: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (stop, stop_asked) = oneshot::channel();
        let stop_asked = async { stop_asked.await.expect("the test stops its server") };
        let stopped = tokio::spawn(serve(listener, routes, stop_asked, drain));
        Self { address, stop, stopped }
    }

    async fn request(&self, method: &'static str, path: &'static str) -> http::Response {
        let address = self.address;
        let answer = spawn_blocking(move || http::request(address, method, path)).await;
        answer.expect("the client does not panic").expect("the server answers")
    }

    async fn stop(self) -> Stopped {
        self.stop.send(()).expect("the server runs until it is stopped");
        self.stopped.await.expect("the server does not panic").expect("serving does not fail")
    }
}

#[tokio::test]
async fn healthy_answers_200() {
    let server = Server::start(router(), PLENTY).await;
    let response = server.request("GET", "/-/healthy").await;
    assert_eq!((response.status, response.body.as_str()), (200, "session-lock-exporter is healthy.\n"));
    assert!(response.head.contains("content-type: text/plain"), "{}", response.head);
    assert_eq!(server.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn head_answers_without_a_body() {
    let server = Server::start(router(), PLENTY).await;
    let response = server.request("HEAD", "/-/healthy").await;
    assert_eq!((response.status, response.body.as_str()), (200, ""));
    assert_eq!(server.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn another_method_is_405_and_names_the_right_ones() {
    let server = Server::start(router(), PLENTY).await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let response = server.request(method, "/-/healthy").await;
        assert_eq!(response.status, 405, "{method}");
        assert!(response.head.contains("allow: get,head"), "{method}: {}", response.head);
    }
    assert_eq!(server.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn unknown_paths_are_404() {
    let server = Server::start(router(), PLENTY).await;
    for path in ["/", "/-/", "/-/healthy/", "/-/HEALTHY", "/healthy", "/../etc/passwd"] {
        assert_eq!(server.request("GET", path).await.status, 404, "{path}");
    }
    assert_eq!(server.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn the_routes_can_be_mounted_elsewhere() {
    let server = Server::start(Router::new().nest("/locks", router()), PLENTY).await;
    assert_eq!(server.request("GET", "/locks/-/healthy").await.status, 200);
    assert_eq!(server.request("GET", "/-/healthy").await.status, 404);
    assert_eq!(server.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_up_the_stop() {
    let server = Server::start(router(), Duration::from_millis(50)).await;
    let mut half = TcpStream::connect(server.address).expect("the server accepts");
    half.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: half").expect("the request's first half is sent");
    // A later connection that is answered shows that the one before it was accepted.
    assert_eq!(server.request("GET", "/-/healthy").await.status, 200);
    assert_eq!(server.stop().await, Stopped::CutShort);
}
