//! `listen`: an event stream that stays open, over HTTP/1.1 and HTTP/2.

use serde_json::{Value, json};

use crate::common::cluster::Cluster;
use crate::common::node::Plan;
use crate::common::redis::Redis;
use crate::page::Page;
use crate::relay::Relay;
use crate::site::{Site, node};

/// What the snippets leave to the test.
const KEEP: &str = "window.inbox = inbox;";

/// Numbers from 1 to `to`.
fn up_to(to: usize) -> Vec<Value> {
    (1..=to).map(|n| json!(n)).collect()
}

async fn listening(site: &Site, snippet: &str) -> Page {
    let mut page = Page::run(site, snippet, KEEP).await;
    page.is_open().await;
    site.post("1");
    assert_eq!(page.shown(1).await, up_to(1));
    page
}

/// Everything was shown once and in order, up to `to`, which this posts last.
async fn has_everything(page: &mut Page, site: &Site, to: usize) {
    page.is_open().await;
    site.post(&to.to_string());
    assert_eq!(page.shown(to).await, up_to(to));
    assert_eq!(page.evaluate("resyncs").await, json!(0));
    page.went_well();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_page_has_everything_once_though_the_network_was_cut() {
    for secure in [false, true] {
        let site = Site::start(secure, &[]).await;
        let mut page = listening(&site, "stream").await;
        let spoken = "performance.getEntriesByType('navigation')[0].nextHopProtocol";
        assert_eq!(
            page.evaluate(spoken).await,
            json!(if secure { "h2" } else { "http/1.1" })
        );
        site.streams.cut();
        page.is_not_open().await;
        site.post("2");
        site.streams.mend();
        has_everything(&mut page, &site, 3).await;
        page.evaluate("inbox.close()").await;
        site.node.emptied("foghorn_connections", "").await;
        site.post("4");
        assert_eq!(
            page.evaluate("[inbox.status, shown.length]").await,
            json!(["CLOSED", 3])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_browser_that_knows_it_is_offline_comes_back_when_it_is_not() {
    let site = Site::start(false, &[]).await;
    let mut page = listening(&site, "stream").await;
    let network = |offline| json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    page.call("Network.enable", json!({})).await;
    page.call("Network.emulateNetworkConditions", network(true))
        .await;
    site.streams.cut();
    page.is_not_open().await;
    site.post("2");
    site.streams.mend();
    page.call("Network.emulateNetworkConditions", network(false))
        .await;
    has_everything(&mut page, &site, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_stream_that_has_gone_silent_is_opened_anew() {
    for secure in [false, true] {
        let site = Site::start(secure, &[("FOGHORN_SSE_HEARTBEAT_SECONDS", "1")]).await;
        let mut page = listening(&site, "sooner").await;
        site.streams.silence();
        site.post("2");
        page.is_not_open().await;
        assert_eq!(page.shown(2).await, up_to(2));
        has_everything(&mut page, &site, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_proxys_502_after_which_the_browser_gives_up_is_survived() {
    let site = Site::start(false, &[]).await;
    let mut page = listening(&site, "stream").await;
    site.streams.bad_gateway();
    // The browser has given up, and the module has not.
    page.until("inbox.status === 'CLOSED'").await;
    site.post("2");
    site.streams.mend();
    has_everything(&mut page, &site, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_page_that_was_hidden_or_frozen_has_everything() {
    for secure in [false, true] {
        let site = Site::start(secure, &[]).await;
        let mut page = listening(&site, "stream").await;
        page.hide().await;
        site.streams.cut();
        page.is_not_open().await;
        site.post("2");
        site.streams.mend();
        page.appear().await;
        has_everything(&mut page, &site, 3).await;
        page.lifecycle("frozen").await;
        site.post("4");
        page.lifecycle("active").await;
        has_everything(&mut page, &site, 5).await;
        page.lifecycle("frozen").await;
        site.streams.cut();
        site.post("6");
        site.streams.mend();
        page.lifecycle("active").await;
        has_everything(&mut page, &site, 7).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_page_that_comes_out_of_the_back_forward_cache_has_everything() {
    for secure in [false, true] {
        let site = Site::start(secure, &[]).await;
        let mut page = listening(&site, "stream").await;
        page.leave_and_come_back(|| site.post("2")).await;
        has_everything(&mut page, &site, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium, curl and Redis"]
async fn a_page_whose_node_is_drained_has_everything_from_another_one() {
    for secure in [false, true] {
        let cluster = Cluster {
            redis: vec![Redis::start().await],
            nodes: Vec::new(),
        };
        let drain = [
            ("FOGHORN_SETTLE_SECONDS", "0"),
            ("FOGHORN_DRAIN_SECONDS", "10"),
        ];
        let (node_a, ports) = node(cluster.member(Plan::new()), secure, &drain).await;
        let (_node_b, other) = node(cluster.member(Plan::new()), secure, &drain).await;
        let (streams, sockets) = (
            Relay::to(ports.streams).await,
            Relay::to(ports.sockets).await,
        );
        let mut site = Site {
            node: node_a,
            streams,
            sockets,
            ports,
        };
        let mut page = listening(&site, "stream").await;
        site.streams.lead_to(other.streams);
        site.ports = other;
        assert!(site.node.stop().await.success());
        site.post("2");
        has_everything(&mut page, &site, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and curl"]
async fn a_page_is_told_where_something_may_be_missing() {
    let mut site = Site::start(
        false,
        &[
            ("FOGHORN_SETTLE_SECONDS", "0"),
            ("FOGHORN_DRAIN_SECONDS", "10"),
        ],
    )
    .await;
    let mut page = listening(&site, "stream").await;
    // The memory of a single node goes with it.
    assert!(site.node.stop().await.success());
    site.node.restart().await;
    page.until("resyncs === 1").await;
    page.is_open().await;
    site.post("2");
    assert_eq!(page.shown(2).await, up_to(2));
}
