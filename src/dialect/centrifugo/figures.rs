//! The dialect's own metrics.
//!
//! Invariant: no label has a user or a channel in it.

crate::metrics! {
    COMMANDS = "foghorn_centrifugo_commands_total", Counter, ["method", "result"], "Commands of clients, by method and by what they were answered: ok, or the error.";
    CALLS = "foghorn_centrifugo_calls_total", Counter, ["method", "result"], "Commands of backends to the API, by method and by what they were answered: ok, or the error.";
    API_REFUSED = "foghorn_centrifugo_api_refused_total", Counter, ["reason"], "Requests to the API, and logins of operators, that nothing was done of, by reason.";
    SOCKJS = "foghorn_centrifugo_sockjs_requests_total", Counter, ["transport", "result"], "Requests of pages that speak SockJS, by transport and by what became of them.";
    ELSEWHERE = "foghorn_centrifugo_sockjs_elsewhere", Gauge, [], "Requests by SockJS that this node answers for sessions at other nodes.";
    RECOVERIES = "foghorn_centrifugo_recoveries_total", Counter, ["result"], "Subscriptions that asked for what they missed: recovered, or partial where something may be missing.";
}
