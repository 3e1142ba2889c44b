//! HTTP/1.1 for clients that speak nothing newer (firebase-admin, pywebpush). Faults that only HTTP/2 has become a
//! closed connection.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock::Moment;
use crate::exchange::{Exchange, Fate, Reply};
use crate::service::{Seat, Service};
use crate::wire::Wire;

const BODY_LIMIT: usize = 64 * 1024;

/// Serves a connection until it closes.
pub async fn serve<S>(io: S, service: Arc<Service>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let seat = Arc::new(Mutex::new(Seat::new(Wire::default())));
    let answer = service_fn(move |request| {
        let (service, seat) = (Arc::clone(&service), Arc::clone(&seat));
        async move { answer(&service, &seat, request).await }
    });
    // However it ends, it has ended; the client knows more about it than we do.
    let _ =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), answer).await;
}

async fn answer(
    service: &Service,
    seat: &Mutex<Seat>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<bytes::Bytes>>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(io::Error::other)?.to_bytes();
    let exchange = Exchange {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body,
        now: Moment::now(),
    };
    let Reply { response, delay, fate } = {
        let mut seat = seat.lock().unwrap_or_else(PoisonError::into_inner);
        service.handle(&mut seat, exchange)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match fate {
        Fate::Answer => Ok(response.map(Full::new)),
        Fate::GoAway(notice) if notice.answer_this => {
            let mut response = response.map(Full::<bytes::Bytes>::new);
            response
                .headers_mut()
                .insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
            Ok(response)
        }
        Fate::GoAway(_) | Fate::Reset(_) | Fate::Disconnect => {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}
