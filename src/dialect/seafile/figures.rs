//! The metrics of the dialect's own, beside those that all dialects share ([`crate::metrics`]).
//!
//! Invariant: no label's values grow with users or libraries.

crate::metrics! {
    TOKENS_REFUSED = "foghorn_tokens_refused_total", Counter, ["use", "cause"], "Tokens refused, by what they were for and why.";
    SUBSCRIPTIONS_EXPIRED = "foghorn_subscriptions_expired_total", Counter, [], "Subscriptions ended because their token ran out.";
    GROUP_LOOKUPS = "foghorn_group_lookups_total", Counter, ["result"], "Group member look-ups by result.";
    GROUP_DATABASE_UP = "foghorn_group_database_up", Gauge, [], "1 where group members could be looked up when that was tried last.";
    GROUP_EVENTS_DROPPED = "foghorn_group_events_dropped_total", Counter, ["reason"], "Group events that went to nobody because members could not be found out.";
}
