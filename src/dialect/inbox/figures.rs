//! The dialect's own metrics.
//!
//! Invariant: no label has a user or a type in it.

crate::metrics! {
    ADDRESSEES_REFUSED = "foghorn_inbox_addressees_refused_total", Counter, [], "Parts of posted ids that name no user or no type that may be posted.";
    USERS_REFUSED = "foghorn_inbox_users_refused_total", Counter, ["cause"], "Requests for inboxes without a user or without a proof of it, by cause; session_store: the backend's Redis does not answer.";
    STREAMS_REFUSED = "foghorn_inbox_streams_refused_total", Counter, ["reason"], "Event streams answered with try again later, by reason.";
    STREAMS_RESUMED = "foghorn_inbox_streams_resumed_total", Counter, ["result"], "Event streams that went on from an id: whole, or resync where something may be missing.";
    REPLAYED = "foghorn_inbox_replayed_total", Counter, [], "Notifications sent again to who came back.";
    REPEATED = "foghorn_inbox_repeated_total", Counter, [], "Notifications posted again within FOGHORN_SSE_DEDUP_SECONDS and not sent again.";
    MQTT_CONNECTED = "foghorn_inbox_mqtt_connected", Gauge, [], "1 while this node is subscribed at the MQTT broker; of all nodes one is.";
    MQTT_CONNECTIONS = "foghorn_inbox_mqtt_connections_total", Counter, [], "Connections that the MQTT broker took.";
    MQTT_ENDS = "foghorn_inbox_mqtt_ends_total", Counter, ["cause"], "Connections to the MQTT broker that were not made or ended, by cause.";
    MQTT_MESSAGES = "foghorn_inbox_mqtt_messages_total", Counter, ["result"], "Messages of the MQTT broker: taken, or why they reach nobody (topic, payload, retained, size).";
    MQTT_ACKNOWLEDGED = "foghorn_inbox_mqtt_acknowledged_total", Counter, [], "Messages that were acknowledged to the MQTT broker.";
    MQTT_SESSIONS_LOST = "foghorn_inbox_mqtt_sessions_lost_total", Counter, [], "Times that the MQTT broker had lost the session, so that everybody connected was told to look.";
    MQTT_OUSTED = "foghorn_inbox_mqtt_ousted_total", Counter, [], "Times that another client with the same id seems to have thrown this one out.";
}
