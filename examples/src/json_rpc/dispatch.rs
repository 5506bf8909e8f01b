//! Interprets messages and calls the service. Nothing here waits.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The methods that one end offers to the other.
pub trait Service {
    /// Calls a method. The result of a notification is ignored.
    ///
    /// # Errors
    ///
    /// Returns the error that the caller receives.
    fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcError>;
}

/// The error of a method (section 5.1 of the specification).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    /// The number of the error. Those from -32768 to -32000 are reserved.
    pub code: i64,
    /// A sentence about the error.
    pub message: String,
}

impl RpcError {
    /// Creates the error for a method that does not exist.
    #[must_use]
    pub fn method_not_found() -> Self {
        RpcError { code: -32601, message: "Method not found".into() }
    }

    /// Creates the error for parameters that the method does not accept.
    #[must_use]
    pub fn invalid_params() -> Self {
        RpcError { code: -32602, message: "Invalid params".into() }
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}

/// A message from the other end. If it names a method, the method has been called.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// A request, or a message that is not valid.
    Request {
        /// The response to send.
        answer: String,
    },
    /// A notification, or an error that concerns no call.
    Notification,
    /// The response to a call of this end.
    Response {
        /// The id of the call.
        id: u64,
        /// The result of the method.
        result: Result<Value, RpcError>,
    },
}

/// Calls the methods of a [`Service`].
#[derive(Debug, Default)]
pub struct Dispatcher<S>(pub S);

/// Any valid message. The fields say which kind it is.
#[derive(Deserialize)]
struct Fields {
    jsonrpc: String,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    error: Option<RpcError>,
}

/// Distinguishes a field that is `null` from a missing one.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

impl<S: Service> Dispatcher<S> {
    /// Handles one message. A request calls the service.
    pub fn handle(&mut self, message: &[u8]) -> Incoming {
        let Ok(value) = serde_json::from_slice::<Value>(message) else {
            return failure(-32700, "Parse error");
        };
        let fields = match Fields::deserialize(value) {
            Ok(fields) if fields.jsonrpc == "2.0" => fields,
            _ => return failure(-32600, "Invalid Request"),
        };
        match fields {
            Fields { method: Some(method), params, id, .. } => {
                let result = self.0.call(&method, params);
                id.map_or(Incoming::Notification, |id| response(&id, result))
            }
            Fields { id: Some(Value::Null), error: Some(_), .. } => Incoming::Notification,
            Fields { id: Some(id), result, error, .. } => match (id.as_u64(), result, error) {
                (Some(id), Some(result), None) => Incoming::Response { id, result: Ok(result) },
                (Some(id), None, Some(error)) => Incoming::Response { id, result: Err(error) },
                _ => failure(-32600, "Invalid Request"),
            },
            _ => failure(-32600, "Invalid Request"),
        }
    }
}

fn response(id: &Value, result: Result<Value, RpcError>) -> Incoming {
    let answer = match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    };
    Incoming::Request { answer: answer.to_string() }
}

fn failure(code: i64, message: &str) -> Incoming {
    response(&Value::Null, Err(RpcError { code, message: message.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl Service for Echo {
        fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
            if method == "echo" { Ok(params) } else { Err(RpcError::method_not_found()) }
        }
    }

    /// Returns the answer to a message, as JSON.
    fn answer(message: &str) -> Value {
        match Dispatcher(Echo).handle(message.as_bytes()) {
            Incoming::Request { answer } => serde_json::from_str(&answer).unwrap(),
            other => panic!("{other:?} is not an answer"),
        }
    }

    #[test]
    fn a_request_is_answered_with_its_id() {
        let sent = r#"{"jsonrpc": "2.0", "id": "a", "method": "echo", "params": [1]}"#;
        assert_eq!(answer(sent), json!({"jsonrpc": "2.0", "id": "a", "result": [1]}));
    }

    #[test]
    fn errors_have_the_codes_of_the_specification() {
        let cases = [
            ("{", -32700, Value::Null),
            ("[]", -32600, Value::Null),
            (r#"{"jsonrpc": "1.0", "method": "echo", "id": 1}"#, -32600, Value::Null),
            (r#"{"jsonrpc": "2.0", "id": 1}"#, -32600, Value::Null),
            (r#"{"jsonrpc": "2.0", "id": 1, "method": "no"}"#, -32601, json!(1)),
        ];
        for (sent, code, id) in cases {
            let answer = answer(sent);
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{sent}");
        }
    }

    #[test]
    fn a_notification_gets_no_answer() {
        let sent = br#"{"jsonrpc": "2.0", "method": "no"}"#;
        assert_eq!(Dispatcher(Echo).handle(sent), Incoming::Notification);
    }

    #[test]
    fn a_result_of_null_is_a_result() {
        let sent = br#"{"jsonrpc": "2.0", "id": 7, "result": null}"#;
        assert_eq!(Dispatcher(Echo).handle(sent), Incoming::Response { id: 7, result: Ok(Value::Null) });
    }
}
