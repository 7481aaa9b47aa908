//! `squall serve`: the runs of a store in a browser.
//!
//! It only reads, except that a report which is missing or older than its run is rendered again. It listens on the loopback
//! interface unless told otherwise, and then answers only requests that name it so: a page elsewhere that points its own
//! host name at 127.0.0.1 gets nothing.

mod files;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::get;

use crate::Store;

/// The page with the list; the report's style, a script of its own.
const LIST: &str = include_str!("list.html");
const LIST_SCRIPT: &str = include_str!("list.js");
const STYLE: &str = include_str!("../report/report.css");

/// Serves a store until ctrl-c, and prints the address. Port 0 takes a free one.
pub async fn serve(store: Store, addr: SocketAddr) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr}; port 0 takes a free one"))?;
    let addr = listener.local_addr()?;
    println!("runs in {} at http://{addr}/ (ctrl-c ends it)", store.dir().display());
    let stop = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler ctrl-c ends the process as ever.
            std::future::pending::<()>().await;
        }
    };
    serve_until(listener, store, stop).await
}

async fn serve_until(
    listener: tokio::net::TcpListener,
    store: Store,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let mut app = router(store);
    if listener.local_addr()?.ip().is_loopback() {
        app = app.layer(middleware::from_fn(only_for_loopback));
    }
    axum::serve(listener, app).with_graceful_shutdown(stop).await.context("the web server stopped")
}

/// The pages of a store, for servers of one's own:
/// `/`, `/api/runs`, `/runs/<id>/` and below it the files of the run.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/", get(list_page))
        .route("/api/runs", get(list))
        .route("/runs/{id}", get(run_page))
        .route("/runs/{id}/", get(run_page))
        .route("/runs/{id}/{*path}", get(run_file))
        .layer(middleware::map_response(with_safe_headers))
        .with_state(Arc::new(store))
}

async fn list_page() -> Html<String> {
    Html(LIST.replace("{{style}}", STYLE).replace("{{script}}", LIST_SCRIPT))
}

async fn list(State(store): State<Arc<Store>>) -> Response {
    match blocking(move || store.list()).await {
        Ok(runs) => ([(header::CACHE_CONTROL, "no-store")], Json(runs)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

async fn run_page(Path(id): Path<String>) -> Redirect {
    Redirect::to(&format!("/runs/{}/report.html", crate::report::percent_encoded(&id)))
}

async fn run_file(State(store): State<Arc<Store>>, Path((id, path)): Path<(String, String)>) -> Response {
    match blocking(move || files::open(&store, &id, &path)).await {
        Ok(Some(file)) => ([(header::CONTENT_TYPE, file.content_type)], file.bytes).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "there is no such file in this store\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

/// Reads files off the threads that serve sockets.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the request was dropped")?
}

async fn with_safe_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, header::HeaderValue::from_static("no-referrer"));
    response
}

async fn only_for_loopback(request: Request, next: Next) -> Response {
    if names_loopback(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "ask for this server as localhost\n").into_response()
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
