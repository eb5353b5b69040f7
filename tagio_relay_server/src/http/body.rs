//! Bodies of requests.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{StatusCode, body::Incoming};

use super::reply::{self, Reply, TEXT};

/// The whole of a body; the answer to one that is longer than `bytes_max` or that breaks off.
pub(crate) async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, Box<Reply>> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let text = format!("at most {bytes_max} bytes\n");
            Err(Box::new(reply::page(StatusCode::PAYLOAD_TOO_LARGE, TEXT, text)))
        }
        Err(_) => Err(Box::new(reply::bad_request("the body broke off"))),
    }
}
