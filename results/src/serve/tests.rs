use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use squall_checkers::Verdict;
use tokio::sync::oneshot;

use super::*;
use crate::{Run, RunConfig, RunSummary, Totals};

struct Server {
    addr: SocketAddr,
    store: Store,
    dir: tempfile::TempDir,
}

/// Serves a store with one run while `test` asks, over a real socket, and then sees the server end.
fn with_server<F: Future<Output = ()>>(test: impl FnOnce(Server, Run) -> F) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("runs"));
    let config = RunConfig { target: "refkv".into(), workload: "register".into(), ..RunConfig::default() };
    let run = store.create(&config).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move { stopped.await.unwrap_or(()) };
        let server = tokio::spawn(serve_until(listener, store.clone(), stopped));
        test(Server { addr, store, dir }, run).await;
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    });
}

impl Server {
    async fn get(&self, path: &str) -> (u16, String, String) {
        let response = reqwest::get(format!("http://{}{path}", self.addr)).await.unwrap();
        let content_type = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        (response.status().as_u16(), content_type.unwrap_or_default(), response.text().await.unwrap())
    }

    /// A request as it is, without a client that tidies the path.
    async fn raw(&self, path: &str, host: &str) -> String {
        let (addr, request) =
            (self.addr, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        let ask = move || {
            let mut socket = TcpStream::connect(addr).unwrap();
            socket.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            answer
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }
}

#[test]
fn the_list_follows_the_store() {
    with_server(|server, run| async move {
        let list =
            async || serde_json::from_str::<Vec<RunSummary>>(&server.get("/api/runs").await.2).unwrap();
        assert_eq!(list().await, server.store.list().unwrap());
        run.write_verdict(&Verdict::valid("all", "fine"), &Totals { ops: 7, ..Totals::default() }).unwrap();
        assert_eq!(list().await[0].summary, "fine");
        let (status, content_type, page) = server.get("/").await;
        assert_eq!((status, content_type.as_str()), (200, "text/html; charset=utf-8"));
        assert!(page.contains("/api/runs") && !page.contains("{{"));
    });
}

#[test]
fn a_report_is_rendered_when_missing_and_when_older_than_its_run() {
    with_server(|server, run| async move {
        let path = format!("/runs/{}/", run.id());
        assert!(!run.report_path().exists());
        let (status, _, page) = server.get(&path).await;
        assert!(status == 200 && page.contains("<p class=\"verdict\">incomplete</p>"));
        assert!(run.report_path().exists());

        run.write_verdict(&Verdict::valid("all", "all is well"), &Totals::default()).unwrap();
        let old = fs::File::open(run.report_path()).unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let (_, _, page) = server.get(&path).await;
        assert!(page.contains("all is well"));

        fs::write(run.report_path(), "kept as it is").unwrap();
        assert_eq!(server.get(&path).await.2, "kept as it is");
    });
}

#[test]
fn files_come_with_their_type_and_others_are_missing() {
    with_server(|server, run| async move {
        fs::write(run.create_node_dir("n1").unwrap().join("a b.log"), "<script>").unwrap();
        let file = |path: &str| format!("/runs/{}/{path}", run.id());
        let (status, content_type, body) = server.get(&file("nodes/n1/a%20b.log")).await;
        assert_eq!(
            (status, content_type.as_str(), body.as_str()),
            (200, "text/plain; charset=utf-8", "<script>")
        );
        assert_eq!(server.get(&file("run.toml")).await.0, 200);
        for missing in ["nodes", "nodes/n1", "nodes/n2/a.log", "verdict.json"] {
            assert_eq!(server.get(&file(missing)).await.0, 404, "{missing}");
        }
        assert_eq!(server.get("/runs/20200101-000000-x-y-0000/run.toml").await.0, 404);
    });
}

#[test]
fn nothing_outside_a_run_is_served() {
    with_server(|server, run| async move {
        fs::write(server.dir.path().join("secret"), "do not tell").unwrap();
        fs::write(server.store.dir().join("secret"), "do not tell").unwrap();
        let id = run.id();
        let mut paths = vec![
            format!("/runs/{id}/../secret"),
            format!("/runs/{id}/%2e%2e/secret"),
            format!("/runs/{id}/..%2fsecret"),
            format!("/runs/{id}/nodes/../../secret"),
            format!("/runs/{id}/%2Fetc%2Fpasswd"),
            format!("/runs/{id}//etc/passwd"),
            "/runs/../secret".to_owned(),
            "/runs/%2e%2e/secret".to_owned(),
            "/runs/./secret".to_owned(),
            "/runs/..%2f/secret".to_owned(),
        ];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(server.dir.path(), run.dir().join("out")).unwrap();
            std::os::unix::fs::symlink(server.dir.path().join("secret"), run.dir().join("link.log")).unwrap();
            paths.extend([format!("/runs/{id}/out/secret"), format!("/runs/{id}/link.log")]);
        }
        for path in paths {
            let answer = server.raw(&path, "127.0.0.1").await;
            let refused = answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400");
            assert!(
                refused && !answer.contains("do not tell") && !answer.contains("root:"),
                "{path}: {answer}"
            );
        }
    });
}

#[test]
fn a_loopback_server_answers_only_to_its_own_name() {
    with_server(|server, _| async move {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"] {
            assert!(server.raw("/api/runs", host).await.starts_with("HTTP/1.1 200"), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:80", "10.0.0.1"] {
            assert!(server.raw("/api/runs", host).await.starts_with("HTTP/1.1 403"), "{host}");
        }
    });
}
