//! Where traces go: an OpenTelemetry collector that keeps every span it is sent (OTLP over gRPC).

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tonic::{Request, Response, Status};

/// A span, as a person would read it.
#[derive(Clone)]
pub struct Span {
    /// The subcommand that did it.
    pub process: String,
    /// What was done.
    pub name: String,
    /// 32 hexadecimal digits.
    pub trace: String,
    /// 16 hexadecimal digits.
    pub id: String,
    /// The span that caused it; empty for the first.
    pub parent: String,
    /// To what.
    pub attributes: HashMap<String, String>,
    /// Everything that was exported with it.
    pub everything: String,
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, name, trace, id, parent, .. } = self;
        write!(f, "{trace}: {process} {name:?} {id} below {parent:?}")
    }
}

/// A running collector.
pub struct Collector {
    /// For `telemetry.otlp_endpoint`.
    pub endpoint: String,
    kept: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// On a free port, until the test ends.
    pub async fn start() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let kept = Arc::default();
        let service = TraceServiceServer::new(Keeper(Arc::clone(&kept)));
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let router = axum::Router::new().route_service(path, service);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, kept }
    }

    /// What has arrived so far.
    pub fn spans(&self) -> Vec<Span> {
        self.kept.lock().expect("no panic while keeping").clone()
    }
}

struct Keeper(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().expect("no panic while keeping");
        for exported in request.into_inner().resource_spans {
            let everything_of_resource = format!("{:?}", exported.resource);
            let resource = attributes(&exported.resource.unwrap_or_default().attributes);
            let process = resource.get("loa.process").cloned().unwrap_or_default();
            for span in exported.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                kept.push(Span {
                    process: process.clone(),
                    everything: format!("{everything_of_resource} {span:?}"),
                    name: span.name,
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    attributes: attributes(&span.attributes),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn attributes(exported: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    exported.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}
