//! Each node of the cluster by itself: a proxy shows one of them at a time, and only one may have another key.
//!
//! Invariant: nothing is asked of a node but what clients ask; the list of nodes comes from a node's ops address.

use super::mend::Front;
use super::report::{Check, Outcome};
use super::sides::Side;
use super::trip::Listener;
use super::{Arguments, handshake};
use crate::cli::Mint;
use crate::cli::client::ops::{NodeChoice, OpsAddress};
use crate::client::dial::Server;
use crate::cluster::view::{ClusterView, NodeView};
use crate::config::Sources;

/// Connections that are tried where nobody says which nodes there are.
const TRIES: usize = 8;

/// Looks at each node, or tries several times through `sides`.
pub async fn check(
    arguments: &Arguments,
    sources: &Sources,
    mint: &Mint,
    sides: &[&Side],
) -> Vec<Check> {
    let which = NodeChoice::at(arguments.ops.clone());
    let cluster = match OpsAddress::find(&which, sources) {
        Ok(ops) => ops.fetch_json::<ClusterView>("/nodes", None).await,
        Err(error) => Err(error),
    };
    match cluster {
        Ok(cluster) => {
            let mut checks = Vec::new();
            for node in &cluster.nodes {
                checks.push(look(node, mint).await);
            }
            checks
        }
        Err(error) => {
            let what = format!(
                "the nodes were not asked one by one, since no ops address told of them (--ops): {error}"
            );
            let mut checks = vec![Check::skipped("nodes", "key", what)];
            for side in sides.iter().filter(|side| side.place == "public") {
                checks.push(again(side, mint).await);
            }
            checks
        }
    }
}

/// One node, past all proxies.
async fn look(node: &NodeView, mint: &Mint) -> Check {
    let who = format!("{} at {}", node.name, node.address);
    let alike = node.key == mint.fingerprint();
    let taken = match Server::parse(&format!("http://{}", node.address)) {
        Ok(server) => takes(&direct(server), mint).await,
        Err(_) => None,
    };
    match (taken, alike) {
        (Some(true), _) => Check::ok("nodes", "key", format!("{who} takes tokens of this key")),
        (None, true) => Check::ok(
            "nodes",
            "key",
            format!("{who} has this key, and is not to be reached from here"),
        ),
        (Some(false), _) | (None, false) => {
            let mend = vec![
                format!("JWT_PRIVATE_KEY=…    # on {}: the same as on the others; then restart that node", node.name),
                "(foghorn check-config on it shows where its key is from; a blank or quote too many makes another key)"
                    .into(),
            ];
            Check::fail(
                "nodes",
                "key",
                format!("{who} has another JWT_PRIVATE_KEY than this command"),
                mend,
            )
        }
    }
}

fn direct(server: Server) -> Side {
    let front = Front {
        proxy: None,
        node: server.authority(),
        path: "/notification".to_owned(),
    };
    Side {
        place: "nodes",
        server,
        front,
    }
}

/// Whether a fresh connection takes a token of this key; `None`: there is no connection.
async fn takes(side: &Side, mint: &Mint) -> Option<bool> {
    let (_, stream) = handshake::desktop(side).await;
    let mut listener = Listener::new(side.place, stream?).await;
    let library = format!("foghorn-doctor-{:032x}", rand::random::<u128>());
    let check = listener.subscribe(mint, &library).await;
    listener.leave().await;
    Some(check.outcome == Outcome::Ok)
}

async fn again(side: &Side, mint: &Mint) -> Check {
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..TRIES {
        match takes(side, mint).await {
            Some(true) => taken += 1,
            Some(false) => refused += 1,
            None => {}
        }
    }
    let what = format!(
        "of {} more connections, {taken} take tokens of this key",
        taken + refused
    );
    if refused == 0 {
        return Check::ok(side.place, "all nodes", what);
    }
    let mend = vec![
        "JWT_PRIVATE_KEY=…    # the same on every node; then restart the one that has another".into(),
        "FOGHORN_OPS_PASSWORD=… foghorn nodes --url https://NODE:8084    # shows each node's key fingerprint".into(),
    ];
    Check::fail(
        side.place,
        "all nodes",
        format!("{what}: a node behind this address has another key"),
        mend,
    )
}
