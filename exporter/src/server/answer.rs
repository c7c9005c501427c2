//! What stands between a request and the routes: its body, the rate, and who sent it.

use std::time::Instant;

use axum::body::Body;
use axum::http::header::{CONNECTION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::{Body as _, Incoming};
use tower_service::Service as _;

use super::Shared;
use crate::web::Settings;

pub(super) async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Body> {
    let settings = shared.settings().await;
    if let Some(refusal) = refused(shared, settings.as_deref(), &request).await {
        shared.exporter.shared.own.requests.answered(refusal.status().as_u16());
        return refusal;
    }
    let Ok(mut response) = shared.router.clone().call(request.map(Body::new)).await;
    add_headers(settings.as_deref(), &mut response);
    response
}

async fn refused(shared: &Shared, settings: Option<&Settings>, request: &Request<Incoming>) -> Option<Response<Body>> {
    if !request.body().is_end_stream() {
        // What follows on the connection would be the body, so this is its last answer.
        let text = "no request here has a body\n";
        let close = (CONNECTION, HeaderValue::from_static("close"));
        let headers = (request.version() <= axum::http::Version::HTTP_11).then_some(close);
        let mut response = (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
        response.headers_mut().extend(headers);
        return Some(response);
    }
    let settings = settings?;
    if !shared.rate.allows(settings.rate_limit, Instant::now()) {
        return Some((StatusCode::TOO_MANY_REQUESTS, "too many requests\n").into_response());
    }
    if settings.users.is_empty() || shared.attempt.admits(&settings.users, request.headers()).await {
        return None;
    }
    let challenge = HeaderValue::from_static("Basic realm=\"session-lock-exporter\", charset=\"UTF-8\"");
    let mut response = (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)], "unauthorized\n").into_response();
    add_headers(Some(settings), &mut response);
    Some(response)
}

fn add_headers(settings: Option<&Settings>, response: &mut Response<Body>) {
    for (name, value) in settings.iter().flat_map(|settings| &settings.headers) {
        response.headers_mut().insert(name, value.clone());
    }
}
