use std::fmt;

use async_trait::async_trait;
use squall_checkers::{Op, Type, Value};

use super::{Client, Completion, Node};

/// A client whose completions are checked. What is wrong with one is an [`InvalidCompletion`] error, so the operation
/// is `info` and the history says why.
///
/// It knows the operations of the op sets in [`Workload`](crate::Workload); of others it checks the type only.
pub struct ValidatedClient {
    client: Box<dyn Client>,
}

impl ValidatedClient {
    /// The client, checked. Whatever it opens is checked too.
    pub fn new(client: Box<dyn Client>) -> ValidatedClient {
        ValidatedClient { client }
    }
}

#[async_trait]
impl Client for ValidatedClient {
    async fn open(&self, node: &Node) -> anyhow::Result<Box<dyn Client>> {
        Ok(Box::new(ValidatedClient::new(self.client.open(node).await?)))
    }

    async fn setup(&mut self) -> anyhow::Result<()> {
        self.client.setup().await
    }

    async fn invoke(&mut self, op: &Op) -> anyhow::Result<Completion> {
        let completion = self.client.invoke(op).await?;
        match flaw(op, &completion) {
            None => Ok(completion),
            Some(flaw) => Err(InvalidCompletion { op: op.clone(), completion, flaw }.into()),
        }
    }

    async fn close(&mut self) {
        self.client.close().await;
    }
}

/// A completion that cannot be: a mistake in a client, not in what it talks to.
#[derive(Clone, Debug, PartialEq)]
pub struct InvalidCompletion {
    /// What it was asked.
    pub op: Op,
    /// What it answered.
    pub completion: Completion,
    flaw: String,
}

impl fmt::Display for InvalidCompletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Completion { kind, value, .. } = &self.completion;
        write!(
            f,
            "mistake in the client: it completed {} {} with {}",
            self.op.f,
            self.op.value,
            kind.name()
        )?;
        match value {
            Some(value) => write!(f, " {value}: {}", self.flaw),
            None => write!(f, " and no value: {}", self.flaw),
        }
    }
}

impl std::error::Error for InvalidCompletion {}

/// What is wrong, and what would be right.
fn flaw(op: &Op, completion: &Completion) -> Option<String> {
    match completion.kind {
        Type::Invoke => Some("a completion is ok, fail or info".into()),
        Type::Fail | Type::Info => None,
        Type::Ok => match op.f.as_ref() {
            "read" => read_flaw(&op.value, completion.value.as_ref()),
            "write" | "cas" => same_key_flaw(&op.value, completion.value.as_ref()?),
            "txn" => txn_flaw(&op.value, completion.value.as_ref()),
            _ => None,
        },
    }
}

fn read_flaw(asked: &Value, read: Option<&Value>) -> Option<String> {
    match read {
        None => Some("an ok read has the value that was read, null if there is none".into()),
        Some(read) if asked.is_array() => same_key_flaw(asked, read),
        Some(_) => None,
    }
}

fn same_key_flaw(asked: &Value, answered: &Value) -> Option<String> {
    let key = asked.as_array().filter(|pair| pair.len() == 2)?.first()?;
    match answered.as_array().map(Vec::as_slice) {
        Some([same, _]) if same == key => None,
        _ => Some(format!("the value has the form [{key}, value], with the key of the invocation")),
    }
}

fn txn_flaw(asked: &Value, answered: Option<&Value>) -> Option<String> {
    let form =
        || Some("an ok txn has the micro-operations of its invocation, with the reads filled in".to_owned());
    let (Some(asked), Some(answered)) = (asked.as_array(), answered.and_then(Value::as_array)) else {
        return form();
    };
    if asked.len() != answered.len() {
        return form();
    }
    for (asked, answered) in asked.iter().zip(answered) {
        let is_read = asked[0] == "r";
        let same = answered.as_array().is_some_and(|mop| mop.len() == 3)
            && (asked[0] == answered[0] && asked[1] == answered[1])
            && (is_read || asked[2] == answered[2]);
        if !same {
            return form();
        }
        if is_read && !(answered[2].is_array() || answered[2].is_null()) {
            return Some(format!("the read of {} is a list, or null if there is none", asked[1]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Answer(Completion);

    #[async_trait]
    impl Client for Answer {
        async fn open(&self, _: &Node) -> anyhow::Result<Box<dyn Client>> {
            Ok(Box::new(Answer(self.0.clone())))
        }

        async fn invoke(&mut self, _: &Op) -> anyhow::Result<Completion> {
            Ok(self.0.clone())
        }
    }

    async fn ask(f: &'static str, value: Value, answer: Completion) -> Result<Completion, String> {
        let client = ValidatedClient::new(Box::new(Answer(answer)));
        let mut client = client.open(&super::super::test_node()).await.unwrap();
        client.invoke(&Op::new(f).value(value)).await.map_err(|error| {
            assert!(error.is::<InvalidCompletion>());
            error.to_string()
        })
    }

    #[tokio::test]
    async fn good_completions_pass() {
        let good = [
            ("read", json!([1, null]), Completion::value(json!([1, null]))),
            ("read", json!(null), Completion::value(json!([1, 2]))),
            ("read", json!(null), Completion::fail("no leader")),
            ("write", json!([1, 2]), Completion::ok()),
            ("cas", json!([1, [2, 3]]), Completion::fail("no match")),
            ("add", json!(1), Completion::ok()),
            ("dance", json!({"a": 1}), Completion::ok()),
            (
                "txn",
                json!([["r", 1, null], ["append", 2, 3]]),
                Completion::value(json!([["r", 1, [4]], ["append", 2, 3]])),
            ),
        ];
        for (f, value, answer) in good {
            assert_eq!(ask(f, value, answer.clone()).await, Ok(answer));
        }
    }

    #[tokio::test]
    async fn each_mistake_has_its_message() {
        let form = "an ok txn has the micro-operations of its invocation, with the reads filled in";
        let bad = [
            (
                "read",
                json!(1),
                Completion { kind: Type::Invoke, ..Completion::ok() },
                "read 1 with invoke and no value: a completion is ok, fail or info".to_owned(),
            ),
            (
                "read",
                json!([7, null]),
                Completion::ok(),
                "read [7,null] with ok and no value: an ok read has the value that was read, null if there is none"
                    .to_owned(),
            ),
            (
                "read",
                json!([7, null]),
                Completion::value(3),
                "read [7,null] with ok 3: the value has the form [7, value], with the key of the invocation".to_owned(),
            ),
            (
                "write",
                json!([7, 1]),
                Completion::value(json!([8, 1])),
                "write [7,1] with ok [8,1]: the value has the form [7, value], with the key of the invocation"
                    .to_owned(),
            ),
            (
                "txn",
                json!([["r", 1, null]]),
                Completion::ok(),
                format!("txn [[\"r\",1,null]] with ok and no value: {form}"),
            ),
            (
                "txn",
                json!([["r", 1, null]]),
                Completion::value(json!([])),
                format!("txn [[\"r\",1,null]] with ok []: {form}"),
            ),
            (
                "txn",
                json!([["append", 1, 2]]),
                Completion::value(json!([["append", 1, 3]])),
                format!("txn [[\"append\",1,2]] with ok [[\"append\",1,3]]: {form}"),
            ),
            (
                "txn",
                json!([["r", 1, null]]),
                Completion::value(json!([["r", 1, 5]])),
                "txn [[\"r\",1,null]] with ok [[\"r\",1,5]]: the read of 1 is a list, or null if there is none"
                    .to_owned(),
            ),
        ];
        for (f, value, answer, message) in bad {
            let error = ask(f, value, answer).await.unwrap_err();
            assert_eq!(error, format!("mistake in the client: it completed {message}"));
        }
    }
}
