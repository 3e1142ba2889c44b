//! The thread that ties an approval to the push it caused: W3C Trace Context, level 1.

use std::fmt;

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// A `traceparent`: `00-<trace id>-<span id>-<flags>`, 55 characters. Stored in the outbox, carried in message headers.
///
/// `tracestate` is not carried: nobody here writes one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TraceParent(String);

impl TraceParent {
    /// The context of `span`; `None` when traces are not exported.
    pub fn of(span: &Span) -> Option<Self> {
        let context = span.context();
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| {
            Self(format!(
                "00-{}-{}-{:02x}",
                context.trace_id(),
                context.span_id(),
                context.trace_flags().to_u8()
            ))
        })
    }

    /// The context of the span that is entered now.
    pub fn current() -> Option<Self> {
        Self::of(&Span::current())
    }

    /// Reads a header. `None` for anything but a lawful version 00: a foreign header must not be able to disturb us.
    pub fn parse(text: &str) -> Option<Self> {
        let parent = Self(text.to_owned());
        parent.context().map(|_| parent)
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes `span` a child of this context. Must happen before the span is first entered.
    pub fn adopt(&self, span: &Span) {
        if let Some(context) = self.context() {
            let parent = opentelemetry::Context::new().with_remote_span_context(context);
            // Fails only without an exporter or for a span already begun: either way there is no trace to lose.
            drop(span.set_parent(parent));
        }
    }

    fn context(&self) -> Option<SpanContext> {
        let lower_hex = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        let parts: Vec<&str> = self.0.split('-').collect();
        let &[version, trace, span, flags] = parts.as_slice() else { return None };
        if version != "00"
            || [trace.len(), span.len(), flags.len()] != [32, 16, 2]
            || !lower_hex(trace)
            || !lower_hex(span)
        {
            return None;
        }
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
        context.is_valid().then_some(context)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const LAWFUL: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_a_lawful_header_is_believed() {
        assert_eq!(TraceParent::parse(LAWFUL).expect("lawful").as_str(), LAWFUL);
        for wrong in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-zz",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_trace_of_an_approval_goes_on_in_the_dispatcher() {
        let provider = SdkTracerProvider::builder().build();
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")));
        tracing::subscriber::with_default(subscriber, || {
            let approve = tracing::info_span!("approve");
            let header = TraceParent::of(&approve).expect("traces are exported");
            let carried = TraceParent::parse(header.as_str()).expect("our own header is lawful");
            let push = tracing::info_span!("push");
            carried.adopt(&push);

            let theirs = TraceParent::of(&push).expect("traces are exported");
            assert_eq!(theirs.as_str()[3..35], header.as_str()[3..35], "one trace");
            assert_ne!(theirs.as_str()[36..52], header.as_str()[36..52], "two spans");
        });
    }

    #[test]
    fn without_an_exporter_there_is_no_context_to_carry() {
        assert_eq!(TraceParent::of(&tracing::info_span!("nothing")), None);
    }
}
