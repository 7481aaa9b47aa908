//! The HTTP API for clients.

use crate::args::with_port;
use crate::error::{self, ApiError};
use crate::raft::message::{Proposal, Refusal};
use crate::raft::{Answer, Change, Op, Request};
use crate::server::{Event, View};
use crate::store::{Command, Query, Reply, TxnFn, TxnOp};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

const BODY_BYTES_MAX: usize = 16 << 20;

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Api {
    /// To the node.
    pub events: mpsc::Sender<Event>,
    /// What the node looks like, as of its last step.
    pub view: watch::Receiver<View>,
    /// The port for a new member whose address has none.
    pub peer_port: u16,
}

type Body = Result<Bytes, BytesRejection>;
type Outcome = Result<Json<Value>, ApiError>;

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/kv/{key}", get(get_key).put(put_key).delete(delete_key))
        .route("/v1/kv/{key}/cas", post(cas_key))
        .route("/v1/kv/{key}/append", post(append_key))
        .route("/v1/txn", post(txn))
        .route("/v1/members", get(members).post(change_members))
        .route("/health", get(health))
        .route("/leader", get(leader).post(transfer))
        .route("/metrics", get(metrics))
        .fallback(async || ApiError::from(error::NO_SUCH_ROUTE))
        .method_not_allowed_fallback(async || ApiError::from(error::METHOD_NOT_ALLOWED))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueBody {
    #[serde(deserialize_with = "present")]
    value: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CasBody {
    #[serde(deserialize_with = "present")]
    old: Value,
    #[serde(deserialize_with = "present")]
    new: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TxnBody {
    ops: Vec<TxnOp>,
}

/// A field that may be `null` but must be there: serde takes a missing `Value` for `null` otherwise.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Value, D::Error> {
    Value::deserialize(field)
}

async fn get_key(State(api): State<Api>, Path(key): Path<String>) -> Outcome {
    match api.ask(None, Op::Read(Query::Get { key })).await? {
        Answer::Reply(Reply::Value(Some(value))) => Ok(Json(json!({"value": value}))),
        Answer::Reply(Reply::Value(None)) => Err(error::NOT_FOUND.into()),
        other => reply(other),
    }
}

async fn put_key(State(api): State<Api>, Path(key): Path<String>, headers: HeaderMap, body: Body) -> Outcome {
    let ValueBody { value } = parse(body)?;
    api.write(&headers, Command::Put { key, value }).await
}

async fn delete_key(State(api): State<Api>, Path(key): Path<String>, headers: HeaderMap) -> Outcome {
    api.write(&headers, Command::Delete { key }).await
}

async fn cas_key(State(api): State<Api>, Path(key): Path<String>, headers: HeaderMap, body: Body) -> Outcome {
    let CasBody { old, new } = parse(body)?;
    api.write(&headers, Command::Cas { key, old, new }).await
}

async fn append_key(
    State(api): State<Api>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Outcome {
    let ValueBody { value } = parse(body)?;
    api.write(&headers, Command::Append { key, value }).await
}

async fn txn(State(api): State<Api>, headers: HeaderMap, body: Body) -> Outcome {
    let TxnBody { ops } = parse(body)?;
    if ops.iter().all(|op| op.0 == TxnFn::Read) {
        return reply(api.ask(None, Op::Read(Query::Txn { ops })).await?);
    }
    api.write(&headers, Command::Txn { ops }).await
}

async fn members(State(api): State<Api>) -> Json<Value> {
    let status = &api.view.borrow().status;
    Json(json!({"members": status.members, "committed": status.members_committed}))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChangeBody {
    Add { id: String, addr: String },
    Remove(String),
}

async fn change_members(State(api): State<Api>, headers: HeaderMap, body: Body) -> Outcome {
    let change = match parse(body)? {
        ChangeBody::Remove(id) => Change::Remove(id),
        ChangeBody::Add { id, addr } => {
            let addr = with_port(&addr, api.peer_port)
                .map_err(|error| ApiError::new(error::BAD_REQUEST, error.to_string()))?;
            Change::Add { id, addr }
        }
    };
    reply(api.ask(idempotency_key(&headers)?, Op::Propose(Proposal::Change(change))).await?)
}

async fn health(State(api): State<Api>) -> Response {
    let view = api.view.borrow();
    let status = if view.status.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"healthy": view.status.healthy, "leader": view.status.leader}))).into_response()
}

async fn leader(State(api): State<Api>) -> Json<Value> {
    let status = &api.view.borrow().status;
    Json(json!({"leader": status.leader, "term": status.term, "role": status.role, "id": status.id}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransferBody {
    to: String,
}

async fn transfer(State(api): State<Api>, body: Body) -> Outcome {
    let TransferBody { to } = parse(body)?;
    reply(api.ask(None, Op::Transfer(to)).await?)
}

async fn metrics(State(api): State<Api>) -> String {
    api.view.borrow().prometheus()
}

fn parse<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let bytes = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::from(error::TOO_LARGE),
        _ => ApiError::new(error::BAD_REQUEST, rejection.body_text()),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| ApiError::new(error::BAD_REQUEST, error.to_string()))
}

/// `Idempotency-Key: <client>:<seq>`.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<(String, u64)>, ApiError> {
    let Some(header) = headers.get("idempotency-key") else { return Ok(None) };
    header
        .to_str()
        .ok()
        .and_then(|text| text.rsplit_once(':'))
        .and_then(|(client, seq)| Some((client.to_owned(), seq.parse().ok()?)))
        .map(Some)
        .ok_or_else(|| ApiError::new(error::BAD_REQUEST, "Idempotency-Key is not <client>:<number>"))
}

impl Api {
    async fn write(&self, headers: &HeaderMap, command: Command) -> Outcome {
        let key = idempotency_key(headers)?;
        reply(self.ask(key, Op::Propose(Proposal::Write(command))).await?)
    }

    async fn ask(&self, key: Option<(String, u64)>, op: Op) -> Result<Answer, ApiError> {
        let (sender, answer) = oneshot::channel();
        let event = Event::Request(Request { key, op }, sender);
        self.events.try_send(event).map_err(|_| error::OVERLOADED)?;
        Ok(answer.await.map_err(|_| error::INTERNAL)?)
    }
}

fn reply(answer: Answer) -> Outcome {
    match answer {
        Answer::Reply(Reply::Done) => Ok(Json(json!({}))),
        Answer::Reply(Reply::Length(length)) => Ok(Json(json!({"length": length}))),
        Answer::Reply(Reply::Txn(ops)) => Ok(Json(json!({"ops": ops}))),
        Answer::Reply(Reply::Value(value)) => Ok(Json(json!({"value": value}))),
        Answer::Reply(Reply::Mismatch(current)) => {
            Err(ApiError::from(error::CAS_MISMATCH).with("current", current))
        }
        Answer::Reply(Reply::NotAList(key)) => Err(ApiError::from(error::NOT_A_LIST).with("key", json!(key))),
        Answer::Reply(Reply::Expired) => Err(error::SESSION_EXPIRED.into()),
        Answer::Transferring => Ok(Json(json!({}))),
        Answer::Members(members) => Ok(Json(json!({"members": members}))),
        Answer::Refused(Refusal::NotLeader) | Answer::NoLeader => Err(error::NO_LEADER.into()),
        Answer::Refused(Refusal::ChangeInProgress) => Err(error::CHANGE_IN_PROGRESS.into()),
        Answer::Refused(Refusal::LastMember) => Err(error::LAST_MEMBER.into()),
        Answer::Refused(Refusal::NoTransfer) => Err(error::NO_TRANSFER.into()),
        Answer::Timeout => Err(error::TIMEOUT.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_must_be_complete() {
        let ok = |text: &'static str| Ok::<_, BytesRejection>(Bytes::from_static(text.as_bytes()));
        assert!(parse::<ValueBody>(ok(r#"{"value": null}"#)).is_ok());
        assert!(parse::<ValueBody>(ok("{}")).is_err());
        assert!(parse::<CasBody>(ok(r#"{"new": 1}"#)).is_err());
        assert!(parse::<TxnBody>(ok(r#"{"ops": [["append", "x", 1], ["r", "x", null]]}"#)).is_ok());
        assert!(parse::<TxnBody>(ok(r#"{"ops": [["increment", "x", 1]]}"#)).is_err());
        assert!(parse::<ChangeBody>(ok(r#"{"add": {"id": "n4", "addr": "10.92.0.4"}}"#)).is_ok());
        assert!(parse::<ChangeBody>(ok(r#"{"remove": "n3"}"#)).is_ok());
    }

    #[test]
    fn idempotency_keys() {
        let key = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", text.parse().unwrap());
            idempotency_key(&headers)
        };
        assert_eq!(key("client:7"), Ok(Some(("client".into(), 7))));
        assert_eq!(key("a:b:7"), Ok(Some(("a:b".into(), 7))));
        assert!(key("client").is_err() && key("client:x").is_err());
        assert_eq!(idempotency_key(&HeaderMap::new()), Ok(None));
    }
}
